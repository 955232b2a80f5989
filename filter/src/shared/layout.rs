//! The layout of shared data: every key that Tollgate uses, and small values.
//!
//! All VMs of one Envoy with the same `vm_id` see the same data. Keys are never freed by Envoy, so their
//! number is bounded: by [`LANES_MAX`] lanes with a fixed number of slots for each of four uses,
//! [`COUNTERS_MAX`] counters, the buckets of [runs](super::runs), and a handful of single keys.

use tollgate_core::lean::digits::Digits;

use crate::host::{self, Error, Result};

/// Most lanes: VMs that settle calls at the same time, dead ones included until their lane is taken over.
pub(crate) const LANES_MAX: u32 = 64;

/// Random id of this Envoy process's shared data.
pub(crate) const INSTANCE: &str = "tg/2/instance";
/// Which VM talks to the collector, and until when.
pub(crate) const LEADER: &str = "tg/1/leader";
/// Which edition of the price book stands in [`PRICES`].
pub(crate) const PRICE_EDITION: &str = "tg/1/price-edition";
/// The price book from the collector, as JSON.
pub(crate) const PRICES: &str = "tg/1/prices";
/// Records lost because the outbox was full.
pub(crate) const DROPPED_OUTBOX_FULL: &str = "tg/1/dropped/outbox_full";
/// Records lost because every lane was taken.
pub(crate) const DROPPED_NO_LANE: &str = "tg/1/dropped/no_lane";

/// Which edition of the policy stands in [`POLICY`].
pub(crate) const POLICY_EDITION: &str = "tg/1/policy-edition";
/// The policy from the collector, as JSON.
pub(crate) const POLICY: &str = "tg/1/policy";
/// How far the collector's clock is ahead of ours, and since when it cannot be reached: see [`Link`].
pub(crate) const LINK: &str = "tg/1/link";
/// Held while a counter is made, so that none is made twice.
pub(crate) const COUNTERS_LOCK: &str = "tg/1/counters-lock";
/// How many counters have been made.
pub(crate) const COUNTERS_MADE: &str = "tg/2/counters-made";
/// OccupiedSlots of the table of counters.
pub(crate) const COUNTERS_MAX: u64 = 4_096;
/// The first of them are for counters that callers cannot name: of budgets without `each`, and of what has no
/// counter of its own.
pub(crate) const OWN_COUNTERS: u64 = 1_024;
/// How many values each budget has a counter for in its windows.
pub(crate) const VALUES: &str = "tg/2/values";
/// Calls whose value had no counter of its own, as the budget has as many as there may be.
pub(crate) const VALUES_SHARED: &str = "tg/2/values-shared";

/// Up to which runs were stopped that the collector told of.
pub(crate) const STOPS_HEARD: &str = "tg/1/stops-heard";

/// A slot of the table of counters.
pub(crate) fn counter(slot: u64) -> Key {
    let mut key = Key::of(b"tg/2/c/");
    key.number(slot);
    key
}

/// A bucket of what runs did.
pub(crate) fn run(bucket: u64) -> Key {
    let mut key = Key::of(b"tg/1/run/");
    key.number(bucket);
    key
}

/// A key that is made for every call, without memory of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    bytes: [u8; KEY_BYTES_MAX],
    length: usize,
}

impl Key {
    fn of(start: &[u8]) -> Self {
        let mut key = Self { bytes: [0; KEY_BYTES_MAX], length: 0 };
        key.part(start);
        key
    }

    fn part(&mut self, part: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + part.len()) {
            place.copy_from_slice(part);
            self.length += part.len();
        }
    }

    /// The key of a slot, of which this is the beginning.
    pub(crate) fn slot(mut self, slot: u64) -> Self {
        self.number(slot);
        self
    }

    fn number(&mut self, number: u64) {
        self.part(Digits::of(number, 1).as_bytes());
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Room for the longest: a slot of a lane, with the largest numbers.
const KEY_BYTES_MAX: usize = 48;

/// What is known of the way to the collector.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Link {
    /// The collector's clock less ours, in milliseconds.
    pub ahead_ms: i64,
    /// Since when every sync has failed; 0 while they work.
    pub away_since_ms: u64,
    /// When the last request was sent that a collector acknowledged, by our clock: leases count from there.
    pub acknowledged_ms: u64,
}

impl Link {
    /// As it stands in shared data.
    pub(crate) fn load() -> Self {
        let Ok((value, _)) = host::shared(LINK) else { return Self::default() };
        let ahead = read_number(&value).unwrap_or(0);
        let number = |at: usize| value.get(at..).and_then(read_number).unwrap_or(0);
        let (away_since_ms, acknowledged_ms) = (number(8), number(16));
        Self { ahead_ms: i64::from_le_bytes(ahead.to_le_bytes()), away_since_ms, acknowledged_ms }
    }

    /// Writes it.
    pub(crate) fn store(self) {
        let mut bytes = self.ahead_ms.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.away_since_ms.to_le_bytes());
        bytes.extend_from_slice(&self.acknowledged_ms.to_le_bytes());
        let _ = host::set_shared(LINK, &bytes);
    }
}

/// Who owns a lane.
pub(crate) fn lane_owner(lane: u32) -> String {
    format!("tg/1/lane/{lane}/owner")
}

/// The first record of a lane's outbox that is not acknowledged.
pub(crate) fn lane_tail(lane: u32) -> String {
    format!("tg/1/lane/{lane}/tail")
}

/// A slot of a lane's journal.
pub(crate) fn journal(lane: u32, slot: u32) -> Key {
    slot_key(lane, b"/j/", slot.into())
}

/// What the keys of all slots of a lane's journal begin with.
pub(crate) fn journal_of(lane: u32) -> Key {
    lane_key(lane, b"/j/")
}

/// A slot for a reservation that a lane's owner holds open.
pub(crate) fn reservation(lane: u32, slot: u32) -> Key {
    slot_key(lane, b"/r/", slot.into())
}

/// A slot of a lane's outbox.
pub(crate) fn outbox(lane: u32, slot: u64) -> Key {
    slot_key(lane, b"/o/", slot)
}

/// A slot of a lane's folded totals.
pub(crate) fn fold(lane: u32, slot: usize) -> Key {
    slot_key(lane, b"/f/", u64::try_from(slot).unwrap_or(u64::MAX))
}

fn slot_key(lane: u32, kind: &[u8], slot: u64) -> Key {
    lane_key(lane, kind).slot(slot)
}

fn lane_key(lane: u32, kind: &[u8]) -> Key {
    let mut key = Key::of(b"tg/1/lane/");
    key.number(lane.into());
    key.part(kind);
    key
}

/// A slot for work that is fetched later.
pub(crate) fn deferred(slot: u64) -> String {
    format!("tg/2/deferred/{slot}")
}

/// A number at `key`; 0 when there is none.
pub(crate) fn number(key: &str) -> u64 {
    host::shared(key).ok().and_then(|(value, _)| read_number(&value)).unwrap_or(0)
}

/// Sets the number at `key`.
pub(crate) fn set_number(key: &str, number: u64) -> Result<()> {
    host::set_shared(key, &number.to_le_bytes())
}

/// Adds to the number at `key`, whoever else does.
pub(crate) fn add(key: &str, by: u64) -> Result<()> {
    for _ in 0..CAS_TRIES {
        let outcome = match host::shared(key) {
            Ok((value, version)) => {
                let sum = read_number(&value).unwrap_or(0).saturating_add(by);
                host::swap_shared(key, &sum.to_le_bytes(), version)
            }
            Err(Error::NOT_FOUND) => host::create_shared(key, &by.to_le_bytes()),
            Err(error) => return Err(error),
        };
        if outcome != Err(Error::CAS_MISMATCH) {
            return outcome;
        }
    }
    Err(Error::CAS_MISMATCH)
}

/// The number that begins `value`.
pub(crate) fn read_number(value: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(value.get(..8)?.try_into().ok()?))
}

const CAS_TRIES: u32 = 64;

#[cfg(test)]
mod tests;

//! What the leader sends to the collector, and what it does with the answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use log::{info, warn};
use tollgate_core::protocol::sync::{CounterReport, PROTOCOL, SyncAnswer};

use crate::budgets;
use crate::collector::advice;
use crate::shared::counters::OccupiedSlots;
use crate::shared::lane::{self, Owner};
use crate::shared::layout::{self, Link};
use crate::shared::runs;

/// A batch is full at this size; one record more may go over.
const BATCH_BYTES: usize = 256 * 1024;
/// So many records do not wait for the end of an interval.
const FEW_RECORDS: u64 = 16;
/// So often every counter is reported, so that the collector knows who lives and what is granted and not
/// used.
const REPORT_ALL_MS: u64 = 3_000;
/// Differences between clocks that are left as they are.
const CLOCK_MS: u64 = 200;
/// After failures the next sync waits at most this long.
const BACKOFF_MS_MAX: u64 = 5_000;
/// So often it is said that syncs fail, and why.
const SAID_MS: u64 = 60_000;

/// The state of the leader's conversation with the collector.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    /// How far each lane's outbox has been read, acknowledged or not.
    lanes: BTreeMap<u32, Cursor>,
    /// Records read and not sent, joined by commas.
    batch: Vec<u8>,
    batch_records: u64,
    flight: Option<Flight>,
    sequence: u64,
    sent_ms: u64,
    failures: u32,
    /// When it was said the last time that they fail.
    said_ms: u64,
    /// When every counter was reported the last time, not only those that changed.
    reported_ms: u64,
    /// When counters were looked at the last time: full batches go out more often than that is worth.
    counted_ms: u64,
    /// Where counters stand.
    slots: OccupiedSlots,
    /// What was reported of counters in the flight, or the last one.
    counters: Vec<CounterReport>,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// Everything before this is acknowledged.
    tail: u64,
    /// Everything before this is in the flight or the batch.
    read: u64,
    capacity: u64,
}

/// A request that is not answered yet.
#[derive(Debug)]
struct Flight {
    sequence: u64,
    batch: Vec<u8>,
    records: u64,
    sent_ms: u64,
    /// How far it reaches in each lane.
    reach: Vec<(u32, u64)>,
    call: u32,
}

/// A request that should go out now.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The JSON body.
    pub body: Vec<u8>,
}

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender<'a> {
    /// Name of the gateway.
    pub gateway: &'a str,
    /// Random id of this Envoy's shared data.
    pub instance: &'a str,
    /// Version of the price book that it holds.
    pub price_version: Option<&'a str>,
    /// Version of the policy that it holds.
    pub policy_version: Option<&'a str>,
    /// Whether there are budgets, so that counters change.
    pub counts: bool,
    /// The collector's clock.
    pub clock_ms: u64,
}

impl Sync {
    /// The next request, when one is due: `interval_ms` after the last, at once while a full batch waits, and
    /// with the next tick where only a few records do: what a gateway settled last does not wait while it is
    /// drained.
    pub(crate) fn next(&mut self, sender: Sender<'_>, interval_ms: u64, now_ms: u64) -> Option<Outgoing> {
        if self.flight.is_some() {
            return None;
        }
        self.collect();
        let full = self.batch.len() >= BATCH_BYTES && self.failures == 0;
        let backoff_ms = (interval_ms << self.failures.min(6)).min(BACKOFF_MS_MAX.max(interval_ms));
        let changed = sender.counts && now_ms.saturating_sub(self.counted_ms) >= interval_ms;
        let counts = changed && self.failures == 0;
        let few = (1..=FEW_RECORDS).contains(&self.batch_records) && self.failures == 0;
        if !full && !counts && !few && now_ms.saturating_sub(self.sent_ms) < backoff_ms {
            return None;
        }
        self.sequence = now_ms.max(self.sequence + 1);
        self.sent_ms = now_ms;
        let batch = std::mem::take(&mut self.batch);
        let flight = Flight {
            sequence: self.sequence,
            sent_ms: now_ms,
            records: std::mem::take(&mut self.batch_records),
            reach: self.lanes.iter().map(|(lane, cursor)| (*lane, cursor.read)).collect(),
            call: 0,
            batch,
        };
        let all = now_ms.saturating_sub(self.reported_ms) >= REPORT_ALL_MS;
        if all {
            self.reported_ms = now_ms;
        }
        self.counters = if all || changed {
            self.counted_ms = now_ms;
            budgets::reports(&mut self.slots, sender.clock_ms, all)
        } else {
            Vec::new()
        };
        let body = request(sender, &flight, &self.counters, now_ms);
        self.flight = Some(flight);
        Some(Outgoing { body })
    }

    /// The next request is due at once, and says what counters changed.
    pub(crate) fn hurry(&mut self) {
        self.sent_ms = 0;
        self.counted_ms = 0;
    }

    /// The next request is the last one, and due at once: it has everything, and gives back what is free.
    pub(crate) fn drain(&mut self) {
        self.take_back();
        self.slots.give_back_all();
        self.hurry();
        self.reported_ms = 0;
        self.failures = 0;
    }

    /// Takes the batch back that is on its way.
    fn take_back(&mut self) {
        let Some(mut flight) = self.flight.take() else { return };
        if !flight.batch.is_empty() && !self.batch.is_empty() {
            flight.batch.push(b',');
        }
        flight.batch.append(&mut self.batch);
        self.batch = flight.batch;
        self.batch_records += flight.records;
    }

    /// The request went out as this call.
    pub(crate) fn sent(&mut self, call: u32) {
        if let Some(flight) = &mut self.flight {
            flight.call = call;
        }
    }

    /// The request could not go out, or its answer was none: the batch is sent again.
    pub(crate) fn failed(&mut self, reason: &str, now_ms: u64) {
        let Some(flight) = &self.flight else { return };
        if now_ms.saturating_sub(self.said_ms) >= SAID_MS {
            self.said_ms = now_ms;
            warn!("sync with the collector failed, {} records wait: {reason}", flight.records);
        }
        if self.failures == 0 {
            Link { away_since_ms: now_ms.max(1), ..Link::load() }.store();
        }
        self.failures = self.failures.saturating_add(1);
        self.take_back();
    }

    /// What was reported of counters in the request that was answered last.
    pub(crate) fn wants(&self) -> &[CounterReport] {
        &self.counters
    }

    /// An answer came for `call`: takes acknowledged records out of the outboxes. Gives the answer.
    pub(crate) fn answered(
        &mut self,
        call: u32,
        status: &[u8],
        body: &[u8],
        now_ms: u64,
    ) -> Option<SyncAnswer> {
        let expected = self.flight.as_ref().filter(|flight| flight.call == call)?.sequence;
        let answer = (status == b"200").then(|| serde_json::from_slice::<SyncAnswer>(body));
        let answer = match answer {
            Some(Ok(answer)) if answer.ack == expected => answer,
            _ => {
                self.failed(&advice::of_answer(status, body), now_ms);
                return None;
            }
        };
        let flight = self.flight.take()?;
        if std::mem::take(&mut self.failures) > 0 {
            info!("sync with the collector works again");
        }
        let held = Link::load();
        let ahead_ms = answer.now_ms.cast_signed() - now_ms.cast_signed();
        // A clock that is read over a network is not exact; small differences change nothing.
        let is_other = held.ahead_ms.abs_diff(ahead_ms) > CLOCK_MS;
        Link {
            ahead_ms: if is_other { ahead_ms } else { held.ahead_ms },
            away_since_ms: 0,
            acknowledged_ms: held.acknowledged_ms.max(flight.sent_ms),
        }
        .store();
        for rejected in &answer.rejected {
            warn!("the collector refused record {} of a batch: {}", rejected.index, rejected.reason);
        }
        for stopped in &answer.stopped {
            runs::stop(&stopped.run, stopped.limit, now_ms);
        }
        if let Some(last) = answer.stopped.last() {
            let _ = layout::set_number(layout::STOPS_HEARD, last.seq);
        }
        for (lane, reach) in flight.reach {
            if let Some(cursor) = self.lanes.get_mut(&lane)
                && lane::acknowledge(lane, cursor.tail, reach, cursor.capacity).is_ok()
            {
                cursor.tail = reach;
            }
        }
        Some(answer)
    }

    /// Forgets everything that another leader may have changed meanwhile. A request under way is not waited
    /// for: what it acknowledges is sent once more and known by its ids.
    pub(crate) fn reset(&mut self) {
        *self = Self { sequence: self.sequence, said_ms: self.said_ms, ..Self::default() };
    }

    /// Reads records that have been settled since, up to a full batch.
    fn collect(&mut self) {
        for index in 0..layout::LANES_MAX {
            let Some((owner, _)) = Owner::of(index) else { break };
            let cursor = self.lanes.entry(index).or_insert_with(|| {
                let tail = layout::number(&layout::lane_tail(index));
                let tail = lane::first(index, tail, owner.capacity).unwrap_or(tail);
                Cursor { tail, read: tail, capacity: owner.capacity }
            });
            while self.batch.len() < BATCH_BYTES
                && let Some(record) = lane::record(index, cursor.read, cursor.capacity)
            {
                if !self.batch.is_empty() {
                    self.batch.push(b',');
                }
                self.batch.extend_from_slice(&record);
                self.batch_records += 1;
                cursor.read += 1;
            }
        }
    }
}

/// A sync request (`tollgate_core::protocol::sync::SyncRequest`), written around records that are JSON
/// already.
fn request(sender: Sender<'_>, flight: &Flight, counters: &[CounterReport], now_ms: u64) -> Vec<u8> {
    let mut head = format!(
        r#"{{"protocol":{PROTOCOL},"version":"{}","gateway":"{}","instance":"{}","sequence":{},"sent_at_ms":{now_ms},"#,
        env!("CARGO_PKG_VERSION"),
        sender.gateway,
        sender.instance,
        flight.sequence
    );
    if let Some(version) = sender.price_version.and_then(|version| serde_json::to_string(version).ok()) {
        let _ = write!(head, r#""price_version":{version},"#);
    }
    if let Some(version) = sender.policy_version.and_then(|version| serde_json::to_string(version).ok()) {
        let _ = write!(head, r#""policy_version":{version},"#);
    }
    if let Some(counters) = serde_json::to_string(counters).ok().filter(|_| !counters.is_empty()) {
        let _ = write!(head, r#""counters":{counters},"#);
    }
    let dropped = [("outbox_full", layout::DROPPED_OUTBOX_FULL), ("no_lane", layout::DROPPED_NO_LANE)]
        .into_iter()
        .map(|(reason, key)| (reason, layout::number(key)))
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!(r#""{reason}":{count}"#))
        .collect::<Vec<_>>()
        .join(",");
    for (name, key) in [("values_shared", layout::VALUES_SHARED), ("stops_heard", layout::STOPS_HEARD)] {
        let number = layout::number(key);
        if number > 0 {
            let _ = write!(head, r#""{name}":{number},"#);
        }
    }
    let _ = write!(head, r#""dropped":{{{dropped}}},"records":["#);
    let mut body = head.into_bytes();
    body.extend_from_slice(&flight.batch);
    body.extend_from_slice(b"]}");
    body
}

#[cfg(test)]
mod tests;

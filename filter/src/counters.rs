//! The table of counters in shared data, which all VMs of this Envoy change by compare-and-swap.
//!
//! A counter is found by the hash of its key and the slots behind it. Its slot is used again when its window is over, no
//! call is under way on it, and the collector knows all of it. A counter is made under a lock, so that two VMs do not
//! make it twice; everything else needs none.

use std::collections::HashMap;

use tollgate_core::budget::Amount;
use tollgate_core::budget::counter::Counter;
use tollgate_core::budget::window::Span;
use tollgate_core::fnv::{ByFnv, fnv};

use crate::host::{self, Error};
use crate::shared::{self, Key};

/// This VM's view of the table.
#[derive(Debug, Default)]
pub struct Counters {
    /// Where counters were found the last time.
    places: HashMap<Vec<u8>, Place, ByFnv>,
    /// Whether a collector must know a counter before its slot is used again.
    reported: bool,
}

/// A slot of the table, and its name in shared data.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: u64,
    name: Key,
}

/// A counter as it was read.
struct Found {
    place: Place,
    bytes: Vec<u8>,
    version: u32,
}

/// Why a counter could not be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failed {
    /// No slot is free for a new counter.
    Full,
    /// Others changed it again and again, or the host refused.
    Busy,
}

/// Why a counter that was there could not be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Missed {
    /// It is not there any more.
    Gone,
    /// Others changed it again and again, or the host refused.
    Busy,
}

impl Counters {
    /// A view for a gateway with a collector (`reported`) or without.
    pub fn new(reported: bool) -> Self {
        Self { places: HashMap::default(), reported }
    }

    /// Changes the counter with this key, which is made with this limit where it is missing and `may_make` says so.
    /// `act` may be called again where another VM was faster; what it gives the last time is the result, with the slot.
    /// Nothing is written where it leaves the counter as it was. It sees the slot, but no key.
    pub fn update<T>(
        &mut self,
        key: &[u8],
        (span, limit): (Span, Amount),
        now_ms: u64,
        may_make: impl Fn(&Self) -> bool,
        mut act: impl FnMut(&mut Counter, u64) -> T,
    ) -> Result<(T, u64), Failed> {
        for _ in 0..TRIES {
            let Some(mut found) = self.find(key) else {
                if !may_make(self) {
                    return Err(Failed::Full);
                }
                self.make(key, Counter::new(key.to_vec(), span, limit), now_ms)?;
                continue;
            };
            let slot = found.place.slot;
            match found.swap(|counter| act(counter, slot)) {
                Swapped::Done(result) => return Ok((result, slot)),
                Swapped::Late => {}
                Swapped::Refused => return Err(Failed::Busy),
            }
        }
        Err(Failed::Busy)
    }

    /// Changes a counter where it is, first looked for in `slot`.
    pub fn update_known<T>(
        &mut self,
        key: &[u8],
        slot: Option<u64>,
        mut act: impl FnMut(&mut Counter) -> T,
    ) -> Result<T, Missed> {
        for _ in 0..TRIES {
            let there = slot.and_then(|slot| Found::at(Place::of(slot), key).ok().flatten());
            let mut found = there.or_else(|| self.find(key)).ok_or(Missed::Gone)?;
            match found.swap(&mut act) {
                Swapped::Done(result) => return Ok(result),
                Swapped::Late => {}
                Swapped::Refused => return Err(Missed::Busy),
            }
        }
        Err(Missed::Busy)
    }

    /// The counter with this key.
    pub fn get(&mut self, key: &[u8]) -> Option<Counter> {
        self.find(key).and_then(|found| Counter::from_bytes(&found.bytes))
    }

    /// How many counters of the same budget and window this VM has met.
    pub fn values_of(&self, budget: &str, span: Span) -> usize {
        let start = [budget.as_bytes(), b"\0"].concat();
        let end = span.start_ms.to_le_bytes();
        self.places.keys().filter(|known| known.starts_with(&start) && known.ends_with(&end)).count()
    }

    /// Every counter in the table.
    pub fn all() -> impl Iterator<Item = Counter> {
        (0..shared::COUNTERS_MAX).filter_map(|slot| {
            let (bytes, _) = host::shared(&shared::counter(slot)).ok()?;
            Counter::from_bytes(&bytes)
        })
    }

    fn find(&mut self, key: &[u8]) -> Option<Found> {
        if let Some(place) = self.places.get(key).copied()
            && let Ok(Some(found)) = Found::at(place, key)
        {
            return Some(found);
        }
        for slot in probes(key) {
            let place = Place::of(slot);
            // Where no slot ever was, no counter is behind it.
            let Ok(found) = Found::at(place, key) else { break };
            if found.is_some() {
                self.remember(key, place);
                return found;
            }
        }
        self.places.remove(key);
        None
    }

    fn remember(&mut self, key: &[u8], place: Place) {
        if self.places.len() >= KNOWN_MAX {
            self.places.clear();
        }
        self.places.insert(key.to_vec(), place);
    }

    /// Makes a counter, unless another VM has meanwhile.
    fn make(&mut self, key: &[u8], counter: Counter, now_ms: u64) -> Result<(), Failed> {
        let _lock = Lock::take(now_ms).ok_or(Failed::Busy)?;
        if self.find(key).is_some() {
            return Ok(());
        }
        let bytes = counter.to_bytes();
        for slot in probes(key) {
            let place = Place::of(slot);
            let made = match host::shared(&place.name) {
                Err(_) => host::create_shared(&place.name, &bytes),
                Ok((old, version)) => {
                    let is_free =
                        Counter::from_bytes(&old).is_none_or(|old| old.is_over(now_ms, self.reported));
                    if !is_free {
                        continue;
                    }
                    host::swap_shared(&place.name, &bytes, version)
                }
            };
            if made.is_ok() {
                self.remember(key, place);
                return Ok(());
            }
        }
        Err(Failed::Full)
    }
}

/// What became of a change.
enum Swapped<T> {
    /// It is written, or there was none.
    Done(T),
    /// Another was faster.
    Late,
    /// The host refused.
    Refused,
}

impl Place {
    fn of(slot: u64) -> Self {
        Self { slot, name: shared::counter(slot) }
    }
}

impl Found {
    /// The counter with this key, if it is there; an error where no slot is.
    fn at(place: Place, key: &[u8]) -> host::Result<Option<Self>> {
        let (bytes, version) = host::shared(&place.name)?;
        let is_it = Counter::key_of(&bytes) == Some(key);
        Ok(is_it.then_some(Self { place, bytes, version }))
    }

    /// Changes it where it is.
    fn swap<T>(&mut self, act: impl FnOnce(&mut Counter) -> T) -> Swapped<T> {
        let Some(mut counter) = Counter::numbers(&self.bytes) else { return Swapped::Refused };
        let before = counter.clone();
        let result = act(&mut counter);
        if counter == before {
            return Swapped::Done(result);
        }
        counter.write_numbers(&mut self.bytes);
        match host::swap_shared(&self.place.name, &self.bytes, self.version) {
            Ok(()) => Swapped::Done(result),
            Err(Error::CAS_MISMATCH) => Swapped::Late,
            Err(_) => Swapped::Refused,
        }
    }
}

/// The slots where a counter may be.
fn probes(key: &[u8]) -> impl Iterator<Item = u64> + use<> {
    let hash = fnv(key);
    (0..PROBES).map(move |step| hash.wrapping_add(step) % shared::COUNTERS_MAX)
}

/// The right to make a counter. Given back when dropped; a VM that died with it loses it after [`LOCK_MS`].
struct Lock;

impl Lock {
    fn take(now_ms: u64) -> Option<Self> {
        let until = (now_ms + LOCK_MS).to_le_bytes();
        for _ in 0..LOCK_TRIES {
            let taken = match host::shared(shared::COUNTERS_LOCK) {
                Ok((held, version)) if shared::read_number(&held).unwrap_or(0) <= now_ms => {
                    host::swap_shared(shared::COUNTERS_LOCK, &until, version)
                }
                Ok(_) => continue,
                Err(_) => host::create_shared(shared::COUNTERS_LOCK, &until),
            };
            if taken.is_ok() {
                return Some(Self);
            }
        }
        None
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = shared::set_number(shared::COUNTERS_LOCK, 0);
    }
}

/// Slots behind its hash that a counter may stand in.
const PROBES: u64 = 64;
/// Tries of a compare-and-swap: 2 to 3 µs each where three threads want one counter.
const TRIES: u32 = 256;
/// Tries for the lock, which is held for some 50 µs at most.
const LOCK_TRIES: u32 = 5_000;
const LOCK_MS: u64 = 1_000;
/// Counters whose slot a VM remembers.
const KNOWN_MAX: usize = 8_192;

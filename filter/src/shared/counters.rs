//! The table of counters in shared data, which all VMs of this Envoy change by compare-and-swap.
//!
//! A counter is found by the hash of its key and the slots behind it. Its slot is used again when its window
//! is over, no call is under way on it, and the collector knows all of it. A counter is made under a lock, so
//! that two VMs do not make it twice; everything else needs none.
//!
//! Counters of named values have slots apart from all others, and a budget has so many of them in a window in
//! one Envoy, so that who invents names takes nothing from anyone else: values beyond share the budget's
//! counter for the rest. Where they are used up, values that never spent anything make room.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use tollgate_core::budget::Amount;
use tollgate_core::budget::counter::Counter;
use tollgate_core::budget::policy::{OTHER, UNKNOWN};
use tollgate_core::budget::window::Span;
use tollgate_core::lean::fnv::{ByFnv, fnv};

use crate::host::{self, Error};
use crate::shared::layout::{self, Key};
use crate::shared::values::Values;

/// This VM's view of the table.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Where counters were found the last time, by the hash of their keys.
    known: HashMap<u64, Rc<Slot>, ByFnv>,
    /// Whether a collector must know a counter before its slot is used again.
    reported: bool,
    /// When values that never spent were looked for the last time.
    evicted_ms: u64,
}

/// A counter's key, and where it was found.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The counter's key. What holds it again compares the pointer first.
    pub key: Rc<[u8]>,
    /// The slot's name in shared data.
    name: Key,
}

/// A counter as it was read.
struct Found {
    slot: Rc<Slot>,
    bytes: Vec<u8>,
    version: u32,
}

/// Why a counter could not be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failed {
    /// No slot is free for a new counter.
    Full,
    /// Others changed it again and again, or the host refused.
    Busy,
}

/// Why a counter that was there could not be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Missed {
    /// It is not there any more.
    Gone,
    /// Others changed it again and again, or the host refused.
    Busy,
}

impl Counters {
    /// A view for a gateway with a collector (`reported`) or without.
    pub(crate) fn new(reported: bool) -> Self {
        Self { known: HashMap::default(), reported, evicted_ms: 0 }
    }

    /// Changes the counter with this key, which is made with this limit where it is missing. `act` may be
    /// called again where another VM was faster; what it gives the last time is the result, with the slot.
    /// Nothing is written where it leaves the counter as it was. It sees the slot, but the counter has no
    /// key.
    pub(crate) fn update<T>(
        &mut self,
        key: &[u8],
        (span, limit): (Span, Amount),
        now_ms: u64,
        act: &mut dyn FnMut(&mut Counter, &Rc<Slot>) -> T,
    ) -> Result<(T, Rc<Slot>), Failed> {
        for _ in 0..TRIES {
            let Some(mut found) = self.find(key) else {
                self.make(key, Counter::new(key.to_vec(), span, limit), now_ms)?;
                continue;
            };
            match found.swap(act) {
                Swapped::Done(result) => return Ok((result, found.slot)),
                Swapped::Late => {}
                Swapped::Refused => return Err(Failed::Busy),
            }
        }
        Err(Failed::Busy)
    }

    /// Changes a counter that is there.
    pub(crate) fn update_known<T>(
        &mut self,
        key: &[u8],
        mut act: impl FnMut(&mut Counter) -> T,
    ) -> Result<T, Missed> {
        for _ in 0..TRIES {
            let mut found = self.find(key).ok_or(Missed::Gone)?;
            match found.swap(&mut |counter, _| act(counter)) {
                Swapped::Done(result) => return Ok(result),
                Swapped::Late => {}
                Swapped::Refused => return Err(Missed::Busy),
            }
        }
        Err(Missed::Busy)
    }

    /// The counter with this key.
    pub(crate) fn get(&mut self, key: &[u8]) -> Option<Counter> {
        self.find(key).and_then(|found| Counter::from_bytes(&found.bytes))
    }

    fn find(&mut self, key: &[u8]) -> Option<Found> {
        let hash = fnv(key);
        if let Some(slot) = self.known.get(&hash).filter(|slot| *slot.key == *key)
            && let Ok(Some(found)) = Found::at(slot)
        {
            return Some(found);
        }
        let key: Rc<[u8]> = key.into();
        for number in probes(&key, hash) {
            let slot = Rc::new(Slot::new(Rc::clone(&key), number));
            // Where no slot ever was, no counter is behind it.
            let Ok(found) = Found::at(&slot) else { break };
            if found.is_some() {
                self.remember(hash, slot);
                return found;
            }
        }
        self.known.remove(&hash);
        None
    }

    fn remember(&mut self, hash: u64, slot: Rc<Slot>) {
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(hash, slot);
    }

    /// Makes a counter, unless another VM has meanwhile.
    fn make(&mut self, key: &[u8], counter: Counter, now_ms: u64) -> Result<(), Failed> {
        let value = is_named(key).then(|| Values::of(key, counter.span));
        if value.as_ref().is_some_and(|value| !value.may_be_more(now_ms)) && !self.evict(key, now_ms) {
            return Err(Failed::Full);
        }
        let _lock = Lock::acquire(now_ms).ok_or(Failed::Busy)?;
        if self.find(key).is_some() {
            return Ok(());
        }
        let (bytes, hash) = (counter.to_bytes(), fnv(key));
        let key: Rc<[u8]> = key.into();
        for number in probes(&key, hash) {
            let slot = Slot::new(Rc::clone(&key), number);
            let made = match host::shared(slot.name) {
                Err(_) => host::create_shared(slot.name, &bytes),
                Ok((old, version)) => {
                    let is_free =
                        Counter::from_bytes(&old).is_none_or(|old| old.is_over(now_ms, self.reported));
                    if !is_free {
                        continue;
                    }
                    host::swap_shared(slot.name, &bytes, version)
                }
            };
            if made.is_ok() {
                let _ = layout::add(layout::COUNTERS_MADE, 1);
                if let Some(value) = value {
                    value.count(1, now_ms);
                }
                self.remember(hash, Rc::new(slot));
                return Ok(());
            }
        }
        Err(Failed::Full)
    }

    /// Takes counters out of the table that are of the same budget and window as this key and never spent
    /// anything; true where there was one. What such a one still has is given back first: it goes the next
    /// time. Looks once a second.
    fn evict(&mut self, key: &[u8], now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.evicted_ms) < EVICT_MS {
            return false;
        }
        self.evicted_ms = now_ms;
        let Some(_lock) = Lock::acquire(now_ms) else { return false };
        let mut gone = 0;
        for slot in layout::OWN_COUNTERS..layout::COUNTERS_MAX {
            let Ok((mut bytes, version)) = host::shared(layout::counter(slot)) else { continue };
            let Some(mut counter) = Counter::from_bytes(&bytes) else { continue };
            if !is_sibling(&counter.key, key) || !counter.never_spent() {
                continue;
            }
            if counter.give_back(Amount::ZERO) > Amount::ZERO {
                counter.write_numbers(&mut bytes);
                let _ = host::swap_shared(layout::counter(slot), &bytes, version);
            } else if (!self.reported || counter.acknowledged >= counter.version)
                && host::swap_shared(layout::counter(slot), GONE, version).is_ok()
            {
                self.known.remove(&fnv(&counter.key));
                Values::of(&counter.key, counter.span).count(-1, now_ms);
                gone += 1;
            }
        }
        gone > 0
    }
}

/// Where counters stand, for who reports all of them: most slots of the table are empty.
#[derive(Debug, Default)]
pub(crate) struct OccupiedSlots {
    slots: Vec<u64>,
    /// What each had used, of which counter, and since when.
    used: BTreeMap<u64, ((u64, Amount), u64)>,
    /// How many counters had been made when all slots were looked at.
    made: u64,
    looked_ms: u64,
    /// Everything is given back, and nothing more is admitted here.
    pub ends: bool,
}

/// A counter, as it is to be reported.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The counter.
    pub counter: Counter,
    /// Nothing was used of it for some seconds, and it has no more than what a few of its calls would hold.
    pub is_idle: bool,
    /// It has just given back what it had above that.
    pub gave_back: bool,
}

impl OccupiedSlots {
    /// Every counter in the table. One that has become idle has just given back all but what a few of its
    /// calls would hold.
    pub(crate) fn counters(&mut self, now_ms: u64) -> Vec<Standing> {
        // Counted behind its making: what is counted here is found below.
        let made = layout::number(layout::COUNTERS_MADE);
        if made != self.made || now_ms.saturating_sub(self.looked_ms) >= LOOK_MS {
            (self.made, self.looked_ms) = (made, now_ms);
            self.slots = (0..layout::COUNTERS_MAX)
                .filter(|slot| host::shared(layout::counter(*slot)).is_ok())
                .collect();
        }
        let mut all = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let Ok((mut bytes, version)) = host::shared(layout::counter(*slot)) else { continue };
            let Some(mut counter) = Counter::from_bytes(&bytes) else { continue };
            let used = (fnv(&counter.key), counter.used);
            let (last, since_ms) = self.used.entry(*slot).or_insert((used, now_ms));
            if *last != used {
                (*last, *since_ms) = (used, now_ms);
            }
            let is_idle = now_ms.saturating_sub(*since_ms) >= IDLE_MS;
            let gave_back = is_idle && counter.give_back(counter.ease()) > Amount::ZERO;
            if gave_back {
                counter.write_numbers(&mut bytes);
                if host::swap_shared(layout::counter(*slot), &bytes, version).is_err() {
                    // A call was faster: it is not idle.
                    self.used.remove(slot);
                    continue;
                }
            }
            all.push(Standing { counter, is_idle, gave_back });
        }
        all
    }
}

impl OccupiedSlots {
    /// Gives back what is free of every counter: nothing more is admitted here.
    pub(crate) fn give_back_all(&mut self) {
        for slot in 0..layout::COUNTERS_MAX {
            let name = layout::counter(slot);
            for _ in 0..TRIES {
                let Ok((mut bytes, version)) = host::shared(name) else { break };
                let Some(mut counter) = Counter::from_bytes(&bytes) else { break };
                if counter.give_back(Amount::ZERO) == Amount::ZERO {
                    break;
                }
                counter.write_numbers(&mut bytes);
                if host::swap_shared(name, &bytes, version) != Err(Error::CAS_MISMATCH) {
                    break;
                }
            }
        }
        self.made = 0;
        self.looked_ms = 0;
        self.ends = true;
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

impl Slot {
    fn new(key: Rc<[u8]>, number: u64) -> Self {
        Self { key, name: layout::counter(number) }
    }
}

impl Found {
    /// The counter with this slot's key, if it is there; an error where no slot is.
    fn at(slot: &Rc<Slot>) -> host::Result<Option<Self>> {
        let (bytes, version) = host::shared(slot.name.as_ref())?;
        let is_it = Counter::key_of(&bytes).is_some_and(|key| *key == *slot.key);
        Ok(is_it.then(|| Self { slot: Rc::clone(slot), bytes, version }))
    }

    /// Changes it where it is.
    fn swap<T>(&mut self, act: &mut dyn FnMut(&mut Counter, &Rc<Slot>) -> T) -> Swapped<T> {
        let Some(mut counter) = Counter::numbers(&self.bytes) else { return Swapped::Refused };
        let version = counter.version;
        let result = act(&mut counter, &self.slot);
        // Most changes are counted; whether there was another one, what was read tells.
        if counter.version == version && Counter::numbers(&self.bytes).as_ref() == Some(&counter) {
            return Swapped::Done(result);
        }
        counter.write_numbers(&mut self.bytes);
        match host::swap_shared(&self.slot.name, &self.bytes, self.version) {
            Ok(()) => Swapped::Done(result),
            Err(Error::CAS_MISMATCH) => Swapped::Late,
            Err(_) => Swapped::Refused,
        }
    }
}

/// The slots where a counter with this key, which has this hash, may be.
fn probes(key: &[u8], hash: u64) -> impl Iterator<Item = u64> + use<> {
    let (start, count) = match is_named(key) {
        true => (layout::OWN_COUNTERS, layout::COUNTERS_MAX - layout::OWN_COUNTERS),
        false => (0, layout::OWN_COUNTERS),
    };
    (0..PROBES).map(move |step| start + hash.wrapping_add(step) % count)
}

/// Whether a key names one of many values, which callers may have invented.
fn is_named(key: &[u8]) -> bool {
    let value = key.split(|byte| *byte == 0).nth(1).unwrap_or_default();
    !(value.is_empty() || value == OTHER.as_bytes() || value == UNKNOWN.as_bytes())
}

/// Whether two keys are of values of the same budget and window.
fn is_sibling(one: &[u8], other: &[u8]) -> bool {
    let budget = |key: &'_ [u8]| key.iter().position(|byte| *byte == 0);
    let window = |key: &'_ [u8]| key.len().checked_sub(16);
    let same = |one: Option<&[u8]>, other: Option<&[u8]>| one.is_some() && one == other;
    same(budget(one).and_then(|end| one.get(..end)), budget(other).and_then(|end| other.get(..end)))
        && same(window(one).and_then(|at| one.get(at..)), window(other).and_then(|at| other.get(at..)))
}

/// The right to make a counter. Given back when dropped; a VM that died with it loses it after [`LOCK_MS`].
struct Lock;

impl Lock {
    fn acquire(now_ms: u64) -> Option<Self> {
        let until = (now_ms + LOCK_MS).to_le_bytes();
        for _ in 0..LOCK_TRIES {
            let taken = match host::shared(layout::COUNTERS_LOCK) {
                Ok((held, version)) if layout::read_number(&held).unwrap_or(0) <= now_ms => {
                    host::swap_shared(layout::COUNTERS_LOCK, &until, version)
                }
                Ok(_) => continue,
                Err(_) => host::create_shared(layout::COUNTERS_LOCK, &until),
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
        let _ = layout::set_number(layout::COUNTERS_LOCK, 0);
    }
}

/// What stands in the slot of a counter that was taken out: found by none, and free.
const GONE: &[u8] = b"\0";
/// Values that never spent are looked for so often.
const EVICT_MS: u64 = 1_000;
/// OccupiedSlots behind its hash that a counter may stand in.
const PROBES: u64 = 64;
/// Tries of a compare-and-swap: 2 to 3 µs each where three threads want one counter.
const TRIES: u32 = 256;
/// Tries for the lock, which is held for some 50 µs at most.
const LOCK_TRIES: u32 = 5_000;
const LOCK_MS: u64 = 1_000;
/// A counter on which nothing was used for so long gives back what it does not need: with the interval in
/// which counters are looked at, within five seconds.
const IDLE_MS: u64 = 2_500;
/// All slots are looked at so often, should one have been made and not counted.
const LOOK_MS: u64 = 30_000;
/// Counters whose slot a VM remembers.
const KNOWN_MAX: usize = 8_192;

#[cfg(test)]
mod tests;

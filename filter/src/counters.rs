//! The table of counters in shared data, which all VMs of this Envoy change by compare-and-swap.
//!
//! A counter is found by the hash of its key and the slots behind it. Its slot is used again when its window is over, no
//! call is under way on it, and the collector knows all of it. A counter is made under a lock, so that two VMs do not
//! make it twice; everything else needs none.

use std::collections::HashMap;

use tollgate_core::budget::Amount;
use tollgate_core::budget::counter::Counter;
use tollgate_core::budget::scope::CounterKey;

use crate::host::{self, Error};
use crate::shared;

/// This VM's view of the table.
#[derive(Debug, Default)]
pub struct Counters {
    /// Where counters were found the last time.
    slots: HashMap<Vec<u8>, u64>,
    /// Whether a collector must know a counter before its slot is used again.
    reported: bool,
}

/// Why a counter could not be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failed {
    /// No slot is free for a new counter.
    Full,
    /// Others changed it again and again, or the host refused.
    Busy,
}

impl Counters {
    /// A view for a gateway with a collector (`reported`) or without.
    pub fn new(reported: bool) -> Self {
        Self { slots: HashMap::new(), reported }
    }

    /// Changes a counter, which is made with this limit where it is missing. `act` may be called again where another VM
    /// was faster; what it gives the last time is the result. Nothing is written where it leaves the counter as it was.
    pub fn update<T>(
        &mut self,
        key: &CounterKey,
        limit: Amount,
        now_ms: u64,
        mut act: impl FnMut(&mut Counter) -> T,
    ) -> Result<T, Failed> {
        let bytes = key.to_bytes();
        for _ in 0..TRIES {
            let (slot, mut counter, version) = match self.find(&bytes) {
                Some(found) => found,
                None => {
                    self.make(&bytes, Counter::new(bytes.clone(), key.span, limit), now_ms)?;
                    continue;
                }
            };
            let before = counter.clone();
            let result = act(&mut counter);
            if counter == before {
                return Ok(result);
            }
            match host::swap_shared(&shared::counter(slot), &counter.to_bytes(), version) {
                Ok(()) => return Ok(result),
                Err(Error::CAS_MISMATCH) => {}
                Err(_) => return Err(Failed::Busy),
            }
        }
        Err(Failed::Busy)
    }

    /// Changes a counter where it is; `None` where it is not.
    pub fn update_known<T>(&mut self, key: &CounterKey, mut act: impl FnMut(&mut Counter) -> T) -> Option<T> {
        let bytes = key.to_bytes();
        for _ in 0..TRIES {
            let (slot, mut counter, version) = self.find(&bytes)?;
            let result = act(&mut counter);
            match host::swap_shared(&shared::counter(slot), &counter.to_bytes(), version) {
                Err(Error::CAS_MISMATCH) => {}
                done => return done.is_ok().then_some(result),
            }
        }
        None
    }

    /// The counter with this key.
    pub fn get(&mut self, key: &CounterKey) -> Option<Counter> {
        self.find(&key.to_bytes()).map(|(_, counter, _)| counter)
    }

    /// How many counters of the same budget and window this VM has met.
    pub fn values_of(&self, key: &CounterKey) -> usize {
        let start = [key.budget.as_bytes(), b"\0"].concat();
        let end = key.span.start_ms.to_le_bytes();
        self.slots.keys().filter(|known| known.starts_with(&start) && known.ends_with(&end)).count()
    }

    /// Every counter in the table.
    pub fn all() -> impl Iterator<Item = Counter> {
        (0..shared::COUNTERS_MAX).filter_map(|slot| read(slot).map(|(counter, _)| counter))
    }

    fn find(&mut self, key: &[u8]) -> Option<(u64, Counter, u32)> {
        if let Some(slot) = self.slots.get(key).copied()
            && let Some((counter, version)) = read(slot)
            && counter.key == key
        {
            return Some((slot, counter, version));
        }
        for slot in probes(key) {
            match host::shared(&shared::counter(slot)) {
                Ok((bytes, version)) => {
                    if let Some(counter) = Counter::from_bytes(&bytes)
                        && counter.key == key
                    {
                        self.remember(key, slot);
                        return Some((slot, counter, version));
                    }
                }
                // Never used, so that no counter is behind it.
                Err(_) => break,
            }
        }
        self.slots.remove(key);
        None
    }

    fn remember(&mut self, key: &[u8], slot: u64) {
        if self.slots.len() >= KNOWN_MAX {
            self.slots.clear();
        }
        self.slots.insert(key.to_vec(), slot);
    }

    /// Makes a counter, unless another VM has meanwhile.
    fn make(&mut self, key: &[u8], counter: Counter, now_ms: u64) -> Result<(), Failed> {
        let _lock = Lock::take(now_ms).ok_or(Failed::Busy)?;
        if self.find(key).is_some() {
            return Ok(());
        }
        let bytes = counter.to_bytes();
        for slot in probes(key) {
            let name = shared::counter(slot);
            let made = match host::shared(&name) {
                Err(_) => host::create_shared(&name, &bytes),
                Ok((old, version)) => {
                    let is_free =
                        Counter::from_bytes(&old).is_none_or(|old| old.is_over(now_ms, self.reported));
                    if !is_free {
                        continue;
                    }
                    host::swap_shared(&name, &bytes, version)
                }
            };
            if made.is_ok() {
                self.remember(key, slot);
                return Ok(());
            }
        }
        Err(Failed::Full)
    }
}

fn read(slot: u64) -> Option<(Counter, u32)> {
    let (bytes, version) = host::shared(&shared::counter(slot)).ok()?;
    Counter::from_bytes(&bytes).map(|counter| (counter, version))
}

/// The slots where a counter may be (FNV-1a).
fn probes(key: &[u8]) -> impl Iterator<Item = u64> + use<> {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
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

//! How many values each budget has counters for, in one window and one Envoy: a list in shared data.
//!
//! Each entry is the hash of the budget's name and generation, the window's start and end, and how many
//! values there are; eight bytes each, little endian. Entries of windows that are over make room for others.
//! It is changed under the lock of the table.

use tollgate_core::budget::policy::VALUES_MAX;
use tollgate_core::budget::window::Span;
use tollgate_core::lean::fnv::fnv;

use crate::host;
use crate::shared::layout;

/// A budget's values in one window.
#[derive(Debug)]
pub(crate) struct Values {
    budget: u64,
    span: Span,
}

impl Values {
    /// Those of which the counter with this key is one.
    pub(crate) fn of(key: &[u8], span: Span) -> Self {
        let name = key.split(|byte| *byte == 0).next().unwrap_or_default();
        let generation = key.len().checked_sub(16).and_then(|at| key.get(at..at + 8)).unwrap_or_default();
        Self { budget: fnv(&[name, b"\0", generation].concat()), span }
    }

    /// Whether there may be one more.
    pub(crate) fn may_be_more(&self, now_ms: u64) -> bool {
        let list = read();
        let count = list.iter().find(|entry| self.is(entry)).map_or(0, |entry| entry[3]);
        let max = u64::try_from(VALUES_MAX).unwrap_or(u64::MAX);
        count < max && (count > 0 || list.iter().filter(|entry| entry[2] > now_ms).count() < ENTRIES_MAX)
    }

    /// Counts values that came, or went.
    pub(crate) fn count(&self, by: i64, now_ms: u64) {
        let mut list = read();
        match list.iter_mut().find(|entry| self.is(entry)) {
            Some(entry) => entry[3] = entry[3].saturating_add_signed(by),
            None => {
                list.retain(|entry| entry[2] > now_ms);
                if list.len() < ENTRIES_MAX {
                    list.push([self.budget, self.span.start_ms, self.span.end_ms, u64::from(by > 0)]);
                }
            }
        }
        let bytes: Vec<u8> = list.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
        let _ = host::set_shared(layout::VALUES, &bytes);
    }

    fn is(&self, entry: &[u64; NUMBERS]) -> bool {
        entry[0] == self.budget && entry[1] == self.span.start_ms
    }
}

fn read() -> Vec<[u64; NUMBERS]> {
    let Ok((bytes, _)) = host::shared(layout::VALUES) else { return Vec::new() };
    let numbers: Vec<u64> = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    numbers.as_chunks().0.to_vec()
}

const NUMBERS: usize = 4;
/// Budgets for each value, times their windows that hold: what is above shares its counters.
const ENTRIES_MAX: usize = 512;

#[cfg(test)]
mod tests;

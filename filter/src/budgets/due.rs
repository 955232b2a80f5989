//! Settlements that wait for the next admission.
//!
//! What a call cost takes the place of its hold with a read and a swap of each of its counters; so does the next call's
//! hold, mostly on the same ones. So where counters have ample room, a VM keeps what is to be settled and puts it into its
//! next swap of that counter, within a tick at the latest. Until then the counters still hold what the call held: too
//! much, never too little. Should the VM die meanwhile, its journal says what is to be settled. What is taken out of the
//! journal is settled in the same callback, and after that: a VM that dies in between leaves a hold too much.

use std::collections::HashMap;
use std::rc::Rc;

use tollgate_core::budget::counter::Settlement;
use tollgate_core::fnv::ByFnv;

use crate::lane::JournalSlot;

/// What one VM has yet to settle.
#[derive(Debug, Default)]
pub struct Settling {
    /// By the slot of the counter.
    due: HashMap<u64, Due, ByFnv>,
    /// Slots in which something may be due: their places in `due` stay.
    waiting: Vec<u64>,
    /// In how many of them something is.
    count: usize,
    late: Vec<(u64, Due)>,
    entries: Vec<JournalSlot>,
}

/// What is to be settled on one counter.
#[derive(Clone, Debug)]
pub struct Due {
    /// The counter's key.
    pub key: Rc<[u8]>,
    /// All that is to be settled on it.
    pub settlement: Settlement,
}

impl Settling {
    /// Keeps what is to be settled on a counter.
    pub fn keep(&mut self, key: &Rc<[u8]>, slot: u64, settlement: Settlement) {
        match self.due.get_mut(&slot) {
            Some(due) if due.is_of(key) => {
                if due.settlement.is_nothing() {
                    self.waiting.push(slot);
                    self.count += 1;
                }
                due.settlement = due.settlement.and(settlement);
            }
            _ => {
                let due = Due { key: Rc::clone(key), settlement };
                // Another counter's, that was in this slot long ago.
                let late = self.due.insert(slot, due).filter(|late| !late.settlement.is_nothing());
                self.count += usize::from(late.is_none());
                self.late.extend(late.map(|late| (slot, late)));
                self.waiting.push(slot);
            }
        }
    }

    /// Remembers where the journal says it.
    pub fn keep_entry(&mut self, slot: JournalSlot) {
        self.entries.push(slot);
    }

    /// Hands over the entries that are to be taken out of the journal before anything is settled, if there are any.
    pub fn take_entries(&mut self, take: impl FnOnce(std::vec::Drain<'_, JournalSlot>)) {
        if !self.entries.is_empty() {
            take(self.entries.drain(..));
        }
    }

    /// What is to be settled on the counter with this key in this slot, which is left to the caller to do.
    pub fn take(&mut self, slot: u64, key: &Rc<[u8]>) -> Option<Settlement> {
        // The place stays: the next call is mostly for the same counters.
        let due = self.due.get_mut(&slot).filter(|due| !due.settlement.is_nothing() && due.is_of(key))?;
        self.count -= 1;
        Some(std::mem::take(&mut due.settlement))
    }

    /// Everything that is to be settled, left to the caller to do, with the slots where counters were.
    pub fn take_all(&mut self) -> Vec<(u64, Due)> {
        let mut all = std::mem::take(&mut self.late);
        let waiting = self.waiting.drain(..).take(if self.count == 0 { 0 } else { usize::MAX });
        for slot in waiting {
            if let Some(due) = self.due.get_mut(&slot).filter(|due| !due.settlement.is_nothing()) {
                let settlement = std::mem::take(&mut due.settlement);
                all.push((slot, Due { key: Rc::clone(&due.key), settlement }));
            }
        }
        self.count = 0;
        all
    }
}

impl Due {
    fn is_of(&self, key: &Rc<[u8]>) -> bool {
        Rc::ptr_eq(&self.key, key) || self.key == *key
    }
}

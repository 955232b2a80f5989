//! What calls that have ended cost, in the place of what was held for them.

use std::rc::Rc;

use tollgate_core::budget::counter::{Counter, Settlement};
use tollgate_core::budget::policy::OTHER;
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::{Amount, Unit};
use tollgate_core::call::Call;
use tollgate_core::call::admission::settled;
use tollgate_core::record::UsageRecord;

use super::due::Due;
use super::{Budgets, Ticket};
use crate::counters::{Failed, Missed, Place};
use crate::journal::{self, HeldOn};
use crate::lane::JournalSlot;

impl Budgets {
    /// A call has ended: what it cost takes the place of what was held for it, soon. One that has no record of its own
    /// cost nothing that others have not. Gives what its journal entry is to say until then.
    pub fn settle(&self, ticket: &Ticket, record: Option<&UsageRecord>) -> Vec<u8> {
        let mut settling = self.settling.borrow_mut();
        let settlement = |held: &HeldOn| match record {
            Some(record) => settled(record, held.unit, held.amount),
            None => Settlement { hold: held.amount, calls: 1, ..Settlement::default() },
        };
        for held in &ticket.held {
            settling.keep(&held.key, held.slot, settlement(held));
        }
        journal::ended(&ticket.held, settlement)
    }

    /// The entry of a call whose settlements wait stands here.
    pub fn keep_entry(&self, slot: JournalSlot) {
        self.settling.borrow_mut().keep_entry(slot);
    }

    /// Has what is to be taken out of the journal now taken out, before anything is settled.
    pub fn take_entries(&self, take: impl FnOnce(std::vec::Drain<'_, JournalSlot>)) {
        self.settling.borrow_mut().take_entries(take);
    }

    /// Settles what waits.
    pub fn settle_due(&self) {
        let all = self.settling.borrow_mut().take_all();
        for (slot, Due { key, settlement }) in all {
            self.settle_on(&key, slot, settlement);
        }
    }

    /// Settles on one counter; where others change it again and again, with the next tick.
    pub(super) fn settle_on(&self, key: &Rc<[u8]>, slot: u64, settlement: Settlement) {
        let settled = self.counters.borrow_mut().update_known(key, |counter| counter.settle(settlement));
        if settled == Err(Missed::Busy) {
            self.settling.borrow_mut().keep(key, slot, settlement);
        }
    }

    /// Charges what was not held: a turn of a session, or the result of work that was begun earlier. Gives the version of the
    /// policy that says where.
    pub fn charge(&self, call: &Call, record: &UsageRecord, now_ms: u64) -> Option<String> {
        let policy = self.policy().filter(|policy| !policy.budgets.is_empty())?;
        let now = self.now(now_ms);
        for touched in policy.touched(&call.subject(), call.is_trusted(), now) {
            let unit = touched.budget.unit;
            if unit == Unit::Calls && call.target().fetches.is_some() {
                // The call that began it was counted.
                continue;
            }
            let charge = settled(record, unit, Amount::ZERO).charge;
            let charged = |counter: &mut Counter, _: &Rc<Place>| counter.charge(charge);
            let new = (touched.span, touched.budget.limit);
            let own = touched.key();
            let other = CounterKey { value: OTHER.to_owned(), ..own.clone() };
            for key in [own, other] {
                let done = self.counters.borrow_mut().update(&key.to_bytes(), new, now, |_| true, charged);
                if done.err() != Some(Failed::Full) || touched.budget.each.is_none() {
                    break;
                }
            }
        }
        Some(policy.version.clone())
    }

    /// Settles what a dead VM has left in its journal.
    pub fn recover(&self, held: &HeldOn, settlement: Settlement) {
        self.settle_on(&held.key, held.slot, settlement);
    }
}

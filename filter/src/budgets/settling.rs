//! What calls that have ended cost, in the place of what was held for them.

use std::rc::Rc;

use tollgate_core::budget::counter::{Counter, Settlement};
use tollgate_core::budget::policy::OTHER;
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::{Amount, OnUnknown, Unit};
use tollgate_core::call::Call;
use tollgate_core::call::admission::settled;
use tollgate_core::record::UsageRecord;

use super::{Budgets, HeldOn, Ticket};
use crate::host;
use crate::shared::counters::{Failed, Missed, Slot};
use crate::shared::journal;
use crate::shared::lane::{JournalSlot, Lane};

/// A call that has ended: what takes the place of its holds.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    held: Vec<HeldOn>,
    /// Where the entry stands.
    slot: Option<Rc<JournalSlot>>,
    /// Its lane was lost: whoever recovers that settles it.
    lost: bool,
}

impl Ended {
    /// Has the journal say what waits, in the place of what was held.
    pub(crate) fn note(&mut self, lane: &mut Lane, slot: JournalSlot) {
        self.lost = lane.has_lost(slot);
        if self.entry().is_some_and(|entry| lane.rewrite(slot, &entry)) {
            self.slot = Some(Rc::new(slot));
        } else {
            lane.clear(slot);
        }
    }

    /// The journal's entry of what waits until a reservation is closed; `None` where nothing does.
    fn entry(&self) -> Option<Vec<u8>> {
        let waits = self.held.iter().filter(|one| one.waits());
        waits.clone().next().is_some().then(|| journal::entry(waits.map(HeldOn::noted), b""))
    }
}

impl Budgets {
    /// A call has ended: what it cost takes the place of what was held for it, soon; none where no budget
    /// held anything. One that has no record of its own cost nothing that others have not.
    #[inline(never)]
    pub(crate) fn settle(&self, ticket: Ticket, record: Option<&UsageRecord>) -> Option<Ended> {
        if ticket.counted.is_somewhere() {
            let cost = |record| settled(record, Unit::Dollars, Amount::ZERO, OnUnknown::default()).charge;
            ticket.counted.settle(record.map_or(Amount::ZERO, cost), host::now_ms());
        }
        if ticket.held.is_empty() {
            return None;
        }
        let (reservations, mut held) = (self.reservations.borrow(), ticket.held);
        for one in &mut held {
            let nothing = Settlement::rolled_back(one.amount);
            one.settlement =
                Some(record.map_or(nothing, |record| settled(record, one.unit, one.amount, one.rule)));
            let reserved_from = one
                .reserved_from
                .as_ref()
                .map(|(reservation, _)| reservation)
                .filter(|reservation| !reservation.is_closed());
            one.settled_with = reserved_from.or_else(|| reservations.at(&one.key)).map(Rc::clone);
        }
        Some(Ended { held, ..Ended::default() })
    }

    /// Settles what a call that has ended held: with its reservations, where the journal says so; else at
    /// once.
    pub(crate) fn finish(&self, ended: Ended, now_ms: u64) {
        let Ended { held, slot, lost } = ended;
        if lost {
            return;
        }
        let waits = self.alone || slot.is_some();
        for one in &held {
            let Some(settlement) = &one.settlement else { continue };
            match one.settled_with.as_ref().filter(|reservation| waits && !reservation.is_closed()) {
                Some(reservation) => reservation.keep(settlement, slot.as_ref()),
                None => self.settle_on(&one.key, *settlement),
            }
        }
        if !waits
            && held.iter().any(|one| {
                one.reserved_from.as_ref().is_some_and(|(reservation, _)| !reservation.is_closed())
            })
        {
            // Nothing says any more that it was taken out of a reservation.
            self.settle_due(now_ms);
        }
    }

    /// Closes all reservations, and settles what waits.
    pub(crate) fn settle_due(&self, now_ms: u64) {
        let all = self.reservations.borrow_mut().close_all(&self.lane, now_ms);
        for (key, settlement) in all {
            self.settle_on(&key, settlement);
        }
    }

    /// Settles on one counter; where others change it again and again, with the next tick.
    pub(crate) fn settle_on(&self, key: &Rc<[u8]>, settlement: Settlement) {
        let settled = self.counters.borrow_mut().update_known(key, |counter| counter.settle(settlement));
        if settled == Err(Missed::Busy) {
            self.reservations.borrow_mut().keep_late(key, settlement);
        }
    }

    /// Charges what was not held: a turn of a session, or the result of work that was begun earlier. Gives
    /// the version of the policy that says where.
    pub(crate) fn charge(&self, call: &Call, record: &UsageRecord, now_ms: u64) -> Option<String> {
        let policy = self.policy().filter(|policy| !policy.budgets.is_empty())?;
        let now = self.now(now_ms);
        for touched in policy.touched(&call.subject(), now) {
            let unit = touched.budget.unit;
            if unit == Unit::Calls && call.target().fetches.is_some() {
                // The call that began it was counted.
                continue;
            }
            let charge = settled(record, unit, Amount::ZERO, touched.budget.on_unknown).charge;
            let mut charged = |counter: &mut Counter, _: &Rc<Slot>| counter.charge(charge);
            let new = (touched.span, touched.budget.limit);
            let own = touched.key();
            let other = CounterKey { value: OTHER.to_owned(), ..own.clone() };
            for key in [own, other] {
                let done = self.counters.borrow_mut().update(&key.to_bytes(), new, now, &mut charged);
                if done.err() != Some(Failed::Full) || touched.budget.each.is_none() {
                    break;
                }
            }
        }
        Some(policy.version.clone())
    }
}

#[cfg(test)]
mod tests;

//! What dead VMs have left in their lanes: records of calls under way, what is to be settled, reservations.

use std::rc::Rc;

use tollgate_core::budget::Unit;
use tollgate_core::budget::reservation::Reservation;
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::window::Span;
use tollgate_core::call::admission::settled;
use tollgate_core::money::Picodollars;
use tollgate_core::record::Recovered;

use crate::gateway::Gateway;
use crate::host;
use crate::shared::journal::{self, Noted, ReservationId};
use crate::shared::lane::{self, JOURNAL_SLOTS, Lane, Listed, Owner, RESERVATION_SLOTS};
use crate::shared::layout;

/// Makes records of what dead VMs left in their journals, settles what they held, moves on the totals that
/// they left, and frees their lanes.
pub(crate) fn recover(gateway: &Gateway, now_ms: u64) -> u64 {
    let own = gateway.lane.id();
    let mut records = 0;
    for index in 0..layout::LANES_MAX {
        let Some((owner, version)) = Owner::of(index) else { break };
        let is_own = own.is_some_and(|own| own.lane == index);
        let is_left =
            if owner.vm == 0 { lane::folds_in(index) > 0 } else { !is_own && owner.is_gone(now_ms) };
        let mine = Owner { vm: gateway.vm, beaten_ms: now_ms, ..owner };
        if !is_left || mine.swap(index, version).is_err() {
            continue;
        }
        let mut lane = Lane::resume(index, gateway.vm, now_ms);
        lane.flush();
        // Who gave its lane back has left no call under way, and no reservation.
        let made = if owner.vm == 0 { Some(0) } else { recover_journal(gateway, index, &mut lane, now_ms) };
        match made {
            Some(made) => {
                records += made;
                lane.release();
            }
            // The rest waits where it is.
            None => lane.abandon(),
        }
    }
    records
}

/// How many records were made; `None` where the outbox had no room for all, or the host refused.
fn recover_journal(gateway: &Gateway, index: u32, lane: &mut Lane, now_ms: u64) -> Option<u64> {
    let reservations: Vec<Listed> = (0..RESERVATION_SLOTS).map(|slot| lane::listed(index, slot)).collect();
    close_reservations(gateway, index, lane, &reservations)?;
    let mut records = 0;
    for slot in 0..JOURNAL_SLOTS {
        let Some(pending) = entry(index, slot) else { continue };
        if !lane.has_room() {
            return None;
        }
        let (mut noted, call) = journal::read(&pending);
        if let Some(recovered) = Recovered::of(call, now_ms) {
            records += 1;
            let charged = charge(gateway, &recovered, &mut noted);
            if lane.append(&recovered.into_json(charged)).is_err() {
                let _ = layout::add(layout::DROPPED_OUTBOX_FULL, 1);
            }
        }
        // Who comes after a leader that dies here must not settle it again.
        host::set_shared(layout::journal(index, slot), b"").ok()?;
        for one in noted {
            if one
                .with
                .is_none_or(|reservation| reservation.generation >= generation(&reservations, reservation))
            {
                gateway.budgets.settle_on(&Rc::from(one.key), one.settlement);
            }
        }
    }
    Some(records)
}

/// Has a call that was under way charged what its record says, where it held something; gives the most that
/// budgets in dollars were charged then.
fn charge(gateway: &Gateway, recovered: &Recovered, noted: &mut [Noted<'_>]) -> Option<Picodollars> {
    let policy = gateway.budgets.policy()?;
    if noted.is_empty() {
        return None;
    }
    let record = recovered.counts();
    let mut most = Picodollars::ZERO;
    for one in noted {
        let key = CounterKey::from_bytes(one.key, Span::default());
        let Some(budget) = key.and_then(|key| policy.budget(&key.budget)) else { continue };
        one.settlement = settled(&record, budget.unit, one.settlement.hold, budget.on_unknown);
        if budget.unit == Unit::Dollars {
            most = most.max(Picodollars::from_pico(one.settlement.charge.0));
        }
    }
    Some(most)
}

/// Gives back what the reservations have left that stood open.
fn close_reservations(gateway: &Gateway, index: u32, lane: &Lane, reservations: &[Listed]) -> Option<()> {
    if reservations.iter().all(|reservation| reservation.key.is_empty()) {
        return Some(());
    }
    let mut left: Vec<Reservation> = reservations.iter().map(|reservation| reservation.held).collect();
    for slot in 0..JOURNAL_SLOTS {
        let Some(pending) = entry(index, slot) else { continue };
        for (reservation, amount) in journal::read(&pending).0.into_iter().filter_map(|one| one.reserved_from)
        {
            let slot = usize::try_from(reservation.slot).ok().and_then(|slot| left.get_mut(slot));
            if let Some(left) =
                slot.filter(|_| generation(reservations, reservation) == reservation.generation)
            {
                left.admit(amount);
            }
        }
    }
    for ((slot, reservation), left) in (0..).zip(reservations).zip(left) {
        if !reservation.key.is_empty() {
            lane.reservations.empty(slot, reservation.generation).then_some(())?;
            gateway.budgets.settle_on(&Rc::from(reservation.key.as_slice()), left.back());
        }
    }
    Some(())
}

/// The generation of the reservation that stands in a slot.
fn generation(reservations: &[Listed], reservation: ReservationId) -> u64 {
    usize::try_from(reservation.slot)
        .ok()
        .and_then(|slot| reservations.get(slot))
        .map_or(0, |reservation| reservation.generation)
}

fn entry(index: u32, slot: u32) -> Option<Vec<u8>> {
    let (entry, _) = host::shared(layout::journal(index, slot)).ok()?;
    (!entry.is_empty()).then_some(entry)
}

#[cfg(test)]
mod tests;

//! Reservations that this VM holds open on counters for calls to come, with what is to be settled when they
//! are closed.
//!
//! What a call cost takes the place of its hold with a read and a swap of each of its counters; so does the
//! next call's hold, mostly on the same ones. So where a counter has ample room, a VM takes some for several
//! calls, admits those on it, keeps what they cost, and settles all that with its next swap of the counter,
//! within a tick at the latest. Until then the counter still holds what the reservation and its calls held:
//! too much, never too little. Should the VM die meanwhile, its lane names its reservations, and its journal
//! says what was taken out of them and what is to be settled. A reservation is taken out of the lane, with
//! all that entries say of it, before the same callback settles it: a VM that dies in between leaves a hold
//! too much.

use std::cell::RefCell;
use std::rc::Rc;

use tollgate_core::budget::counter::Settlement;
use tollgate_core::budget::policy::Touched;
use tollgate_core::budget::reservation::Reservation;
use tollgate_core::budget::window::Span;
use tollgate_core::budget::{Action, Amount, Budget};

use crate::shared::journal::ReservationId;
use crate::shared::lane::{JournalSlot, Lane, LaneId, OwnLane};

/// The reservations of one VM.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    /// A few: no table finds one sooner.
    open: Vec<Rc<OpenReservation>>,
    /// By the budget's place in the policy: the reservation that a call was admitted in last.
    recent: Vec<Option<Recent>>,
    /// The lane that names them.
    lane: Option<LaneId>,
    /// What could not be settled in time.
    late: Vec<(Rc<[u8]>, Settlement)>,
}

/// A reservation, by what of a call leads to it.
#[derive(Debug)]
struct Recent {
    value: String,
    span: Span,
    reservation: Rc<OpenReservation>,
}

/// A reservation.
#[derive(Debug)]
pub(crate) struct OpenReservation {
    /// The key of its counter.
    pub key: Rc<[u8]>,
    /// Where the lane names it; nowhere without a collector, where nobody recovers what a VM leaves.
    pub id: Option<ReservationId>,
    /// While less is used, nobody is warned; `None` where all that it holds does not come to that.
    quiet_below: Option<Amount>,
    /// The counter's limit, with what was topped up and carried over.
    limit: Amount,
    state: RefCell<State>,
}

/// How far a counter is used, here and elsewhere, as far as known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// What is used, calls under way included.
    pub used: Amount,
    /// Its limit, with what was topped up and carried over.
    pub limit: Amount,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    left: Reservation,
    /// What its calls, and earlier ones, are to be charged.
    due: Settlement,
    /// What is used of the counter, here and elsewhere, as far as known; not kept up where nobody is to be
    /// warned.
    used: Amount,
    /// Entries of calls that have ended, until all of their reservations are closed.
    ended: Vec<Rc<JournalSlot>>,
}

/// What a call takes out of a reservation.
pub(crate) type ReservedFrom = (Rc<OpenReservation>, Amount);

impl Reservations {
    /// Whether there may be one for the next call: it can be noted in the journal of the lane that names
    /// them. Reservations of a lane that was lost are left to who recovers that.
    pub(crate) fn may_admit(&mut self, lane: &OwnLane, alone: bool, now_ms: u64) -> bool {
        let may_note = |lane: &mut Lane| {
            self.leave_lost(lane);
            lane.may_note()
        };
        alone || lane.with(now_ms, may_note) == Some(true)
    }

    fn leave_lost(&mut self, lane: &Lane) {
        if self.lane != Some(lane.id()) {
            self.open.drain(..).for_each(|reservation| reservation.state.borrow_mut().closed = true);
            self.lane = Some(lane.id());
        }
    }

    /// There is another policy.
    pub(crate) fn forget_recent(&mut self) {
        self.recent.clear();
    }

    /// The reservation on this counter, whose key is written over what stands in `key` where it is needed.
    pub(crate) fn on(&mut self, touched: &Touched<'_>, key: &mut Vec<u8>) -> Option<Rc<OpenReservation>> {
        let Touched { index, ref value, span, .. } = *touched;
        if let Some(Some(recent)) = self.recent.get(index)
            && recent.value == *value
            && recent.span == span
            && !recent.reservation.is_closed()
        {
            return Some(Rc::clone(&recent.reservation));
        }
        touched.write_key(key);
        let reservation = Rc::clone(self.at(key)?);
        if self.recent.len() <= index {
            self.recent.resize_with(index + 1, || None);
        }
        if let Some(recent) = self.recent.get_mut(index) {
            *recent = Some(Recent { value: value.to_string(), span, reservation: Rc::clone(&reservation) });
        }
        Some(reservation)
    }

    /// The reservation on the counter with this key.
    pub(crate) fn at(&self, key: &[u8]) -> Option<&Rc<OpenReservation>> {
        self.open.iter().find(|reservation| *reservation.key == *key)
    }

    /// A slot for a reservation, if another may be opened: the lane's (`Some`), or none where nobody recovers
    /// it.
    pub(crate) fn claim_slot(&mut self, lane: &OwnLane, alone: bool, now_ms: u64) -> Option<Option<u32>> {
        if !self.may_admit(lane, alone, now_ms) {
            None
        } else if alone {
            (self.open.len() < OPEN_MAX).then_some(None)
        } else {
            lane.with(now_ms, |lane| lane.reservations.claim()).flatten().map(Some)
        }
    }

    /// Gives back a slot that is not needed.
    pub(crate) fn release_slot(&self, slot: Option<u32>, lane: &OwnLane, now_ms: u64) {
        if let Some(slot) = slot {
            lane.with(now_ms, |lane| lane.reservations.release(slot));
        }
    }

    /// Opens a reservation on a counter, for a call that was admitted with it and others: what that call
    /// takes out of it.
    pub(crate) fn open(
        &mut self,
        (key, budget, Standing { used, limit }): (&Rc<[u8]>, &Budget, Standing),
        slot: Option<u32>,
        (hold, left): (Amount, Reservation),
        lane: &OwnLane,
        now_ms: u64,
    ) -> Option<ReservedFrom> {
        let held = Reservation { amount: left.amount.plus(hold), calls: left.calls + 1 };
        let id = slot.and_then(|slot| {
            let generation = lane.with(now_ms, |lane| lane.reservations.list(slot, held, key))?;
            Some(ReservationId { slot, generation })
        });
        let reservation = Rc::new(OpenReservation {
            key: Rc::clone(key),
            id,
            quiet_below: Some(quiet_below(budget, limit)).filter(|below| used.plus(left.amount) >= *below),
            limit,
            state: RefCell::new(State { left, used, ..State::default() }),
        });
        self.open.push(Rc::clone(&reservation));
        Some((reservation, hold))
    }

    /// Closes the reservation on the counter with this key: what is to be settled there, which is left to the
    /// caller to do. `None` where there is none, or where the host refuses.
    pub(crate) fn close(
        &mut self,
        key: &[u8],
        lane: &OwnLane,
        now_ms: u64,
    ) -> Option<(Rc<[u8]>, Settlement)> {
        let at = self.open.iter().position(|reservation| *reservation.key == *key)?;
        let id = self.open.get(at)?.id;
        let unlisted = id.is_none_or(|id| {
            // A lane just lost has no reservation any more.
            let unlist = |lane: &mut Lane| self.lane == Some(lane.id()) && lane.reservations.unlist(id.slot);
            lane.with(now_ms, unlist) == Some(true)
        });
        if !unlisted {
            return None;
        }
        let reservation = self.open.swap_remove(at);
        let State { left, due, ended, .. } =
            reservation.state.replace(State { closed: true, ..State::default() });
        if let Some(id) = id {
            lane.with(now_ms, |lane| {
                lane.reservations.release(id.slot);
                ended.into_iter().filter_map(Rc::into_inner).for_each(|entry| lane.reuse(entry));
            });
        }
        Some((Rc::clone(&reservation.key), due.and(left.back())))
    }

    /// Closes all: what is to be settled, which is left to the caller to do.
    pub(crate) fn close_all(&mut self, lane: &OwnLane, now_ms: u64) -> Vec<(Rc<[u8]>, Settlement)> {
        let mut all = std::mem::take(&mut self.late);
        lane.with(now_ms, |lane| self.leave_lost(lane));
        let open: Vec<Rc<[u8]>> = self.open.iter().map(|reservation| Rc::clone(&reservation.key)).collect();
        all.extend(open.into_iter().filter_map(|key| self.close(&key, lane, now_ms)));
        all
    }

    /// Keeps what could not be settled for later.
    pub(crate) fn keep_late(&mut self, key: &Rc<[u8]>, settlement: Settlement) {
        self.late.push((Rc::clone(key), settlement));
    }
}

impl OpenReservation {
    /// Whether it has room for a call with this hold.
    pub(crate) fn fits(&self, hold: Amount) -> bool {
        self.state.borrow().left.fits(hold)
    }

    /// Whether it is not open any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    /// Admits a call. Gives how far the counter is used then, where that is to be looked at.
    pub(crate) fn admit(&self, hold: Amount) -> Option<Standing> {
        let mut state = self.state.borrow_mut();
        state.left.admit(hold);
        let quiet_below = self.quiet_below?;
        state.used = state.used.plus(hold);
        (state.used >= quiet_below).then_some(Standing { used: state.used, limit: self.limit })
    }

    /// Takes back what a call was to hold that did not go on.
    pub(crate) fn readmit(&self, hold: Amount) {
        let mut state = self.state.borrow_mut();
        state.left.readmit(hold);
        if self.quiet_below.is_some() {
            state.used = state.used.minus(hold);
        }
    }

    /// Keeps what a call is to be charged that has ended, and its journal entry.
    pub(crate) fn keep(&self, settlement: &Settlement, entry: Option<&Rc<JournalSlot>>) {
        let mut state = self.state.borrow_mut();
        state.due.add(settlement);
        if self.quiet_below.is_some() {
            state.used = state.used.plus(settlement.charge).minus(settlement.hold);
        }
        state.ended.extend(entry.map(Rc::clone));
    }
}

/// While less is used of a counter with this limit, nobody is warned.
fn quiet_below(budget: &Budget, limit: Amount) -> Amount {
    match budget.thresholds.iter().min().filter(|_| budget.action != Action::Shadow) {
        Some(percent) => Amount(limit.0.saturating_mul(i128::from(*percent)) / 100),
        None => limit,
    }
    .min(limit)
}

/// Reservations that are open where no lane bounds them.
const OPEN_MAX: usize = 64;

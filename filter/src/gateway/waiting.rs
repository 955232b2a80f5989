//! Calls that wait in one VM until a collector has answered: paused requests, and what is known of the one
//! question for all of them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tollgate_core::call::Call;
use tollgate_core::price::Wanted;
use tollgate_core::protocol::sync::CounterReport;

use crate::budgets::{Decision, Refused, Ticket, Waited};
use crate::gateway::Gateway;
use crate::host;
use crate::shared::lane::JournalSlot;

/// The waiting room.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    parked: RefCell<Vec<Rc<RefCell<Parked>>>>,
    flight: Cell<Option<Flight>>,
    /// What the question under way asks for.
    asked: RefCell<Asked>,
}

/// A call that waits.
#[derive(Debug)]
pub(crate) struct Parked {
    context: u32,
    /// Whose part of the room it takes: see [`crate::budgets::Budgets::share`].
    share: u64,
    since_ms: u64,
    waited: Waited,
    /// Calls that wait with the same piece of a request; [`REFUSED`] where one of them was.
    pub piece: Rc<Cell<u32>>,
    /// The call; its stream takes it back.
    pub call: Option<Box<Call>>,
    /// What became of it, once that is known.
    pub outcome: Option<Outcome>,
}

/// What became of a call that waited.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It went on.
    Went(Ticket, Option<JournalSlot>),
    /// It was refused, and its caller has been told.
    Refused(Refused),
}

/// A question to the collector that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    /// The call-out.
    pub call: u32,
    /// The context that sent it, which is called back.
    pub owner: u32,
    /// When it was sent, Unix milliseconds UTC.
    pub sent_ms: u64,
    /// When it is given up, Unix milliseconds UTC.
    pub until_ms: u64,
}

/// What a question asks for: what is wanted of counters, and models without a price.
pub(crate) type Asked = (Vec<CounterReport>, Vec<Wanted>);

impl Waiting {
    /// Whether there is room for another call of this share. In a full room the last call of the largest
    /// share makes room for one whose share is smaller: so one caller who floods it refuses nobody but
    /// itself.
    pub(crate) fn has_room(&self, gateway: &Gateway, share: u64, owner: u32, now_ms: u64) -> bool {
        let shares: Vec<u64> = self.parked.borrow().iter().map(|parked| parked.borrow().share).collect();
        if shares.len() < PARKED_MAX {
            return true;
        }
        let size = |share: u64| shares.iter().filter(|other| **other == share).count();
        let largest = shares.iter().copied().max_by_key(|share| size(*share)).unwrap_or(share);
        let last = shares.iter().rposition(|share| *share == largest);
        let Some(at) = last.filter(|_| size(largest) > size(share) + 1) else { return false };
        let parked = self.parked.borrow_mut().remove(at);
        let mut parked = parked.borrow_mut();
        if let Some(call) = &parked.call
            && host::set_effective_context(parked.context).is_ok()
        {
            let refused = gateway.crowded_out(call, &crowded(), now_ms);
            parked.refuse(gateway, refused, now_ms);
        }
        let _ = host::set_effective_context(owner);
        true
    }

    /// Takes in a call whose stream is paused.
    pub(crate) fn park(&self, context: u32, share: u64, call: Box<Call>, now_ms: u64) -> Rc<RefCell<Parked>> {
        let parked = Parked {
            context,
            share,
            since_ms: now_ms,
            waited: Waited::No,
            piece: Rc::new(Cell::new(1)),
            call: Some(call),
            outcome: None,
        };
        let parked = Rc::new(RefCell::new(parked));
        self.parked.borrow_mut().push(Rc::clone(&parked));
        parked
    }

    /// A stream has ended that waited.
    pub(crate) fn leave(&self, context: u32) {
        self.parked.borrow_mut().retain(|parked| parked.borrow().context != context);
    }

    /// A stream has ended: its call-out is not answered any more.
    pub(crate) fn ended(&self, context: u32) {
        if self.flight.get().is_some_and(|flight| flight.owner == context) {
            self.flight.set(None);
        }
    }

    /// Whether this call-out is ours.
    pub(crate) fn is_flight(&self, call: u32) -> bool {
        self.flight.get().is_some_and(|flight| flight.call == call)
    }

    /// Whether a question is under way.
    pub(crate) fn is_asking(&self, now_ms: u64) -> bool {
        self.flight.get().is_some_and(|flight| now_ms < flight.until_ms)
    }

    /// A question is under way.
    pub(crate) fn asks(&self, flight: Flight, asked: Asked) {
        self.flight.set(Some(flight));
        *self.asked.borrow_mut() = asked;
    }

    /// The question is answered, or was lost. Gives when it was sent, Unix milliseconds UTC, and what it
    /// asked for.
    pub(crate) fn take_asked(&self) -> (u64, Asked) {
        let sent_ms = self.flight.take().map_or(0, |flight| flight.sent_ms);
        (sent_ms, std::mem::take(&mut *self.asked.borrow_mut()))
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.parked.borrow().is_empty()
    }

    /// A collector has answered all calls that wait.
    pub(crate) fn heard(&self) {
        for parked in self.parked.borrow().iter() {
            let mut parked = parked.borrow_mut();
            parked.waited = parked.waited.heard();
        }
    }

    /// Looks at every call that waits, in the order of their coming, and lets go or refuses those of which it
    /// is known what becomes of them.
    pub(crate) fn wake(&self, gateway: &Gateway, owner: u32, now_ms: u64) {
        let all = std::mem::take(&mut *self.parked.borrow_mut());
        if all.is_empty() {
            return;
        }
        gateway.budgets.forget_wanted();
        for parked in all {
            if !self.resolve(gateway, &mut parked.borrow_mut(), now_ms) {
                self.parked.borrow_mut().push(parked);
            }
        }
        let _ = host::set_effective_context(owner);
    }

    /// Whether it is known what becomes of a call; then its stream has been told.
    fn resolve(&self, gateway: &Gateway, parked: &mut Parked, now_ms: u64) -> bool {
        let is_over = now_ms.saturating_sub(parked.since_ms) >= WAIT_MS;
        let waited = if is_over { parked.waited.over() } else { parked.waited };
        let Some(call) = &parked.call else { return true };
        // Else another stream would be let go, or answered.
        if host::set_effective_context(parked.context).is_err() {
            return false;
        }
        match gateway.decide(call, waited, now_ms) {
            Decision::Wait => return false,
            Decision::Go(ticket) => {
                let slot = gateway.note(call, &ticket, now_ms);
                parked.outcome = Some(Outcome::Went(ticket, slot));
                parked.piece.set(parked.piece.get().saturating_sub(1));
                if parked.piece.get() > 0 {
                    return true;
                }
                let _ = host::continue_request();
            }
            Decision::Refuse(refused) => parked.refuse(gateway, refused, now_ms),
        }
        true
    }
}

impl Parked {
    /// Tells its caller, once where several calls wait with one piece.
    fn refuse(&mut self, gateway: &Gateway, refused: Refused, now_ms: u64) {
        if let Some(call) = &self.call
            && self.piece.replace(REFUSED) < REFUSED
        {
            gateway.refuse(call, &refused, now_ms);
        }
        self.outcome = Some(Outcome::Refused(refused));
    }
}

/// What a call is told for which there is no room.
pub(crate) fn crowded() -> String {
    format!(
        "As many calls as may wait for the collector already ({PARKED_MAX} in a worker of this gateway). Try again \
         shortly."
    )
}

/// What a call is told that cannot wait for the collector.
pub(crate) const TOO_LONG: &str = "Its budget has nothing left for it in this gateway, and a request so long cannot wait for more. Try again shortly: the \
     collector is asked.";

/// More than wait with any piece.
const REFUSED: u32 = u32::MAX / 2;

/// Calls that wait in one VM at the same time; more are refused for now.
const PARKED_MAX: usize = 256;
/// Longest time a call waits for the collector.
pub(crate) const WAIT_MS: u64 = 2_000;

#[cfg(test)]
mod tests;

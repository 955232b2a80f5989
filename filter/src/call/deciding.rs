//! Whether a call may go on: decided once, when all that decides is known of its request.

use std::rc::Rc;

use proxy_wasm::types::Action;
use tollgate_core::call::Call;

use super::HttpCall;
use super::phase::{Admitted, Cut, Phase, RefusedCall, UnderWay};
use super::session::Session;
use crate::budgets::{Decision, Refused, Waited};
use crate::collector::question;
use crate::gateway::Gateway;
use crate::gateway::waiting::{self, Outcome};
use crate::host;

impl HttpCall {
    /// The whole request is known: may the call go on? From there on the provider may charge for it. A call
    /// that may not be answered `Continue` keeps its last piece here.
    pub(super) fn request_ended(&mut self) -> Action {
        self.decide_once(|gateway, call, now_ms| gateway.decide(call, Waited::No, now_ms))
    }

    /// All is said of a call that cannot wait: its body is longer than Envoy keeps, or a part of it was
    /// passed on. What it lacks is asked for, for its next try.
    pub(super) fn decide_now(&mut self) -> Action {
        self.decide_once(|gateway, call, now_ms| gateway.decide_at_once(call, now_ms))
    }

    /// Decides when all is said, unless that was done.
    fn decide_once(&mut self, decide: impl FnOnce(&Gateway, &Call, u64) -> Decision) -> Action {
        if self.phase.is_held() {
            return Action::Pause;
        }
        let Phase::Arriving(call) = &mut self.phase else { return Action::Continue };
        call.request_came();
        let now_ms = host::now_ms();
        match decide(&self.gateway, call, now_ms) {
            Decision::Wait => self.wait_or_decide(now_ms),
            decided => self.go_on(decided, now_ms),
        }
    }

    /// A provider answers before the whole request was decided on: servers may read JSON as it comes. What is
    /// known of the request decides now; an answer that is refused is not passed on. Errors pass, as nothing
    /// was done for them.
    pub(super) fn decide_early(&mut self, now_ms: u64) -> Option<Decision> {
        let is_undecided = matches!(self.phase, Phase::Arriving(_) | Phase::Left(_));
        let call = self.phase.call_mut()?;
        call.request_came();
        let decides = is_undecided && (1..400).contains(&self.answer.status);
        decides.then(|| self.gateway.decide(call, Waited::Enough, now_ms))
    }

    /// What was decided about the call becomes of it.
    pub(super) fn go_on(&mut self, decided: Decision, now_ms: u64) -> Action {
        if let Decision::Refuse(refused) = decided {
            return self.refuse(refused, now_ms);
        }
        if let Some(call) = self.phase.take_undecided() {
            let admitted = match decided {
                Decision::Go(ticket) => Admitted::note(&self.gateway, &call, ticket, now_ms),
                // Its answer has begun: it cannot wait any more.
                Decision::Wait | Decision::Refuse(_) => Admitted::default(),
            };
            self.phase = self.under_way(call, admitted);
        }
        Action::Continue
    }

    /// The phase of a call that goes on.
    fn under_way(&self, call: Box<Call>, admitted: Admitted) -> Phase {
        let is_session = call.target().api.is_session();
        let under_way = UnderWay::new(call, admitted);
        match is_session {
            true => Phase::Session(Box::new(Session::new(&self.gateway, self.context, under_way))),
            false => Phase::UnderWay(under_way),
        }
    }

    /// Has the call wait for the collector; where it may not, it is decided at once.
    fn wait_or_decide(&mut self, now_ms: u64) -> Action {
        let Some(call) = self.phase.take_undecided() else { return Action::Continue };
        let gateway = Rc::clone(&self.gateway);
        let share = gateway.budgets.share(&call, now_ms);
        if gateway.waiting.has_room(&gateway, share, self.context, now_ms) {
            self.phase = Phase::Parked(gateway.waiting.park(self.context, share, call, now_ms));
            question::ask(&gateway, self.context, now_ms);
            return Action::Pause;
        }
        let decided = gateway.decide_crowded(&call, &waiting::crowded(), now_ms);
        self.phase = Phase::Arriving(call);
        self.go_on(decided, now_ms)
    }

    /// Refuses the call. Where its provider has begun to answer what it was sent, that may be charged: the
    /// answer is cut, and settled like any other that is.
    pub(super) fn refuse(&mut self, refused: Refused, now_ms: u64) -> Action {
        let UnderWay { call, mut admitted, mut cut } = match std::mem::take(&mut self.phase) {
            Phase::Arriving(call) | Phase::Left(call) => UnderWay::undecided(call),
            Phase::UnderWay(under_way) => under_way,
            other => {
                self.phase = other;
                return Action::Pause;
            }
        };
        if self.request.has_passed() && (1..400).contains(&self.answer.status) {
            cut = Cut::Closed;
            admitted.slot = admitted.slot.or_else(|| self.gateway.note(&call, &admitted.ticket, now_ms));
        }
        self.gateway.refuse(&call, &refused, now_ms);
        self.phase = match cut {
            Cut::No => Phase::Refused(Box::new(RefusedCall { call, refused, admitted })),
            Cut::Told(_) | Cut::Closed => Phase::HungUp(UnderWay { call, admitted, cut }),
        };
        Action::Pause
    }

    /// Takes the call back that has waited, with what became of it.
    pub(super) fn unpark(&mut self) {
        let Phase::Parked(parked) = &self.phase else { return };
        let parked = Rc::clone(parked);
        let (call, outcome) = {
            let mut parked = parked.borrow_mut();
            (parked.call.take(), parked.outcome.take())
        };
        if outcome.is_none() {
            self.gateway.waiting.leave(self.context);
        }
        let Some(call) = call else { return self.phase = Phase::NoCall };
        self.phase = match outcome {
            Some(Outcome::Went(ticket, slot)) => self.under_way(call, Admitted { ticket, slot }),
            Some(Outcome::Refused(refused)) => {
                let admitted = Admitted::default();
                Phase::Refused(Box::new(RefusedCall { call, refused, admitted }))
            }
            None => Phase::Left(call),
        };
    }
}

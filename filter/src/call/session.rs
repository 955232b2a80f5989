//! Sessions over a websocket: each turn is settled when it ends, and the next one is held for like a call of
//! its own.
//!
//! A session that begins by saying its model (Gemini Live, GPT-Live) holds for its first turn then. In the
//! websocket of Responses each turn begins with a request: it is a call of its own, decided on before the
//! provider has all of it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use proxy_wasm::types::Action;
use tollgate_core::answer::wire::Turn;
use tollgate_core::call::Call;
use tollgate_core::call::refusal;
use tollgate_core::decode::websocket;
use tollgate_core::provider::Api;

use super::{Cut, HttpCall};
use crate::budgets::{Decision, Refused, Ticket};
use crate::collector::waiting::{Outcome, Parked};
use crate::host::{self, Buffer};
use crate::shared::lane::JournalSlot;

/// Turns of a session that are calls of their own, and one that waits.
#[derive(Default)]
pub(crate) struct Turns {
    open: VecDeque<Open>,
    parked: Option<Rc<RefCell<Parked>>>,
    /// The first turn is held for when it is known which model it is with.
    awaits_model: bool,
}

/// A turn that the provider is asked for.
struct Open {
    call: Call,
    ticket: Ticket,
    slot: Option<JournalSlot>,
}

impl Turns {
    /// Whether one of them waits until it is known what becomes of it.
    pub(super) const fn waits(&self) -> bool {
        self.parked.is_some()
    }
}

impl HttpCall {
    /// A session is asked for. One whose model is known holds for its first turn now.
    pub(super) fn begin_session(&mut self, now_ms: u64) -> Action {
        let Some(call) = &self.call else { return Action::Continue };
        let has_own_calls = call.target().api == Api::ResponsesSession;
        if !has_own_calls && call.request_model().is_some() {
            return self.request_ended();
        }
        if let Some(refused) = self.gateway.budgets.spent_already(call, now_ms) {
            return self.refuse(refused, now_ms);
        }
        self.request_ended = true;
        self.turns.awaits_model = !has_own_calls;
        Action::Continue
    }

    /// Reads a piece of what the caller of a session says, and decides about what it asks for.
    pub(super) fn hear(&mut self, size: usize, now_ms: u64) -> Action {
        let gateway = Rc::clone(&self.gateway);
        let Some(call) = &mut self.call else { return Action::Continue };
        let was_between = call.request().is_between_messages();
        super::feed(call, 0, size);
        // What is said before a model is named is held for at the dearest.
        let is_told = call.request().has_spoken() || call.request_model().is_some();
        let asked = match call.target().api {
            Api::ResponsesSession => call.take_asked(now_ms, || gateway.call_id(now_ms)),
            api if self.turns.awaits_model && is_told => {
                self.turns.awaits_model = false;
                Some(vec![call.turn(api, gateway.call_id(now_ms), now_ms)])
            }
            _ => return Action::Continue,
        };
        let Some(asked) = asked else {
            // More at once than can be held for.
            let _ = host::answer(400, "tollgate_ambiguous_request", &[], b"");
            return Action::Pause;
        };
        let count = asked.len();
        for (index, turn) in asked.into_iter().enumerate() {
            let is_last = index + 1 == count;
            match self.decide_turn(&turn, is_last, now_ms) {
                Decision::Go(ticket) => {
                    let slot = gateway.note(&turn, &ticket, now_ms);
                    self.turn_begins(turn, ticket, slot);
                }
                Decision::Refuse(refused) => {
                    self.take_back(index, now_ms);
                    return self.refuse_turn(&turn, refused, was_between.then_some(size), now_ms);
                }
                Decision::Wait => {
                    self.turns.parked = Some(gateway.waiting.park(self.context, Box::new(turn), now_ms));
                    gateway.waiting.ask(&gateway, self.context, now_ms);
                    return Action::Pause;
                }
            }
        }
        Action::Continue
    }

    /// Decides about a turn; only the last of several that came at once may wait.
    fn decide_turn(&self, turn: &Call, may_wait: bool, now_ms: u64) -> Decision {
        match self.gateway.decide(turn, false, false, now_ms) {
            Decision::Wait if may_wait && self.gateway.waiting.has_room() => Decision::Wait,
            Decision::Wait => match self.gateway.decide(turn, true, true, now_ms) {
                Decision::Wait => Decision::Go(Ticket::default()),
                decided => decided,
            },
            decided => decided,
        }
    }

    /// The provider gets a turn.
    fn turn_begins(&mut self, turn: Call, ticket: Ticket, slot: Option<JournalSlot>) {
        if turn.target().api.is_session() {
            (self.ticket, self.slot) = (ticket, slot);
        } else {
            self.turns.open.push_back(Open { call: turn, ticket, slot });
        }
    }

    /// The last turns do not reach the provider: what came with them is refused.
    fn take_back(&mut self, count: usize, now_ms: u64) {
        for _ in 0..count {
            let Some(Open { ticket, slot, .. }) = self.turns.open.pop_back() else { return };
            let ended = (!ticket.held.is_empty()).then(|| self.gateway.budgets.settle(ticket, None));
            self.gateway.forget(slot, ended, now_ms);
        }
    }

    /// No budget has this turn. Where all of its message is in this piece of `size` bytes, the provider is
    /// asked to say something in its place, behind which the caller is told; else the connection is closed.
    fn refuse_turn(&mut self, turn: &Call, refused: Refused, size: Option<usize>, now_ms: u64) -> Action {
        self.keep_denied(turn, &refused, now_ms);
        let Some(size) = size else {
            self.gateway.refuse(turn, &refused, now_ms);
            self.spent = Some(refused);
            return Action::Pause;
        };
        self.gateway.count_refusal(turn, &refused, now_ms);
        let _ = host::set_buffer(Buffer::RequestBody, size, &websocket::PING);
        (self.pinged, self.spent) = (true, Some(refused));
        Action::Continue
    }

    /// It may be known what becomes of a turn that waits.
    pub(super) fn unpark_turn(&mut self, now_ms: u64) {
        let outcome = self.turns.parked.as_ref().and_then(|parked| {
            let mut parked = parked.borrow_mut();
            let outcome = parked.outcome.take()?;
            Some((parked.call.take()?, outcome))
        });
        let Some((turn, outcome)) = outcome else { return };
        self.turns.parked = None;
        match outcome {
            Outcome::Went(ticket, slot) => self.turn_begins(*turn, ticket, slot),
            Outcome::Refused(refused) => {
                self.keep_denied(&turn, &refused, now_ms);
                self.spent = Some(refused);
            }
        }
    }

    fn keep_denied(&self, turn: &Call, refused: &Refused, now_ms: u64) {
        let status = refused.status.unwrap_or_else(|| refused.reason.status());
        let mut record = turn.denied(&self.gateway.config.gateway, status, now_ms);
        record.policy_version = self.gateway.budgets.policy().map(|policy| policy.version.clone());
        self.gateway.keep(&record, &record.to_json(), None, None, now_ms);
    }

    /// Settles the turns that have ended since, of those that are calls of their own.
    fn settle_own_turns(&mut self, now_ms: u64) {
        let Some(call) = &mut self.call else { return };
        for turn in call.take_ended() {
            match self.turns.open.pop_front() {
                Some(open) => self.settle_own(open, Some(turn), now_ms),
                // The provider began it of its own accord, or tells a mistake of no turn.
                None if turn.normalised.says_nothing() => {}
                None => {
                    let Some(call) = &self.call else { return };
                    let call = call.turn(Api::Responses, self.gateway.call_id(now_ms), now_ms);
                    self.settle_own(Open { call, ticket: Ticket::default(), slot: None }, Some(turn), now_ms);
                }
            }
        }
    }

    /// The session has ended: so have its turns.
    pub(super) fn end_turns(&mut self, now_ms: u64) {
        self.unpark_turn(now_ms);
        if self.turns.parked.take().is_some() {
            self.gateway.waiting.leave(self.context);
        }
        if self.status != SWITCHING_PROTOCOLS {
            self.take_back(self.turns.open.len(), now_ms);
        }
        while let Some(open) = self.turns.open.pop_front() {
            self.settle_own(open, None, now_ms);
        }
    }

    fn settle_own(&self, open: Open, ended: Option<Turn>, now_ms: u64) {
        let Some(session) = &self.call else { return };
        let Open { call, mut ticket, slot } = open;
        let gateway = &self.gateway;
        let mut record = gateway.settle_turn(&call, ended, session, now_ms);
        gateway.budgets.note_charged(&ticket, &mut record);
        let version = std::mem::take(&mut ticket.policy_version);
        record.policy_version = Some(version).filter(|version| !version.is_empty());
        let ended = (!ticket.held.is_empty()).then(|| gateway.budgets.settle(ticket, Some(&record)));
        if ended.is_none() {
            record.policy_version = gateway.budgets.charge(&call, &record, now_ms).or(record.policy_version);
        }
        gateway.keep(&record, &record.to_json(), slot, ended, now_ms);
    }
}

impl HttpCall {
    /// The turns that have ended since get records of their own, and the next one is held for.
    pub(super) fn settle_turns(&mut self, now_ms: u64) {
        let Some(call) = &mut self.call else { return };
        if call.target().api == Api::ResponsesSession {
            return self.settle_own_turns(now_ms);
        }
        let gateway = Rc::clone(&self.gateway);
        let book = gateway.book();
        let turns =
            call.take_turns(&gateway.config.gateway, book.as_deref(), now_ms, || gateway.call_id(now_ms));
        for mut record in turns {
            let ticket = std::mem::take(&mut self.ticket);
            gateway.budgets.note_charged(&ticket, &mut record);
            record.policy_version = Some(ticket.policy_version.clone()).filter(|version| !version.is_empty());
            // Only the first has what was held; where there are more, they ended at once.
            let ended = (!ticket.held.is_empty()).then(|| gateway.budgets.settle(ticket, Some(&record)));
            let slot = if ended.is_some() { self.slot.take() } else { None };
            if ended.is_none() {
                record.policy_version =
                    gateway.budgets.charge(call, &record, now_ms).or(record.policy_version);
            }
            gateway.keep(&record, &record.to_json(), slot, ended, now_ms);
            self.turn_since_ms = Some(now_ms);
        }
        self.hold_turn(now_ms);
    }

    /// Holds for the next turn, where that is still to be done. While a collector is asked the session goes
    /// on: a turn that ends meanwhile is charged as it ends.
    pub(super) fn hold_turn(&mut self, now_ms: u64) {
        let (Some(call), Some(since_ms)) = (&self.call, self.turn_since_ms) else { return };
        let expired = now_ms.saturating_sub(since_ms) >= crate::collector::waiting::WAIT_MS;
        match self.gateway.decide(call, true, expired, now_ms) {
            Decision::Go(ticket) => {
                // The entry of a turn that held nothing is still there.
                if self.slot.is_none() || !ticket.held.is_empty() {
                    self.gateway.forget(self.slot.take(), None, now_ms);
                    self.slot = self.gateway.note(call, &ticket, now_ms);
                }
                self.ticket = ticket;
            }
            Decision::Refuse(refused) => self.spent = Some(refused),
            Decision::Wait => return,
        }
        self.turn_since_ms = None;
    }

    /// Of a session that is to end, the provider gets nothing more; but a ping, as only behind what it says
    /// can its caller be told. True where that is what becomes of this piece of the request.
    pub(super) fn silence(&mut self, size: usize) -> bool {
        let Some(call) = self.call.as_mut().filter(|_| self.spent.is_some()) else { return false };
        if self.cut == Cut::No && !call.request().is_between_messages() {
            return false;
        }
        let pings = self.cut == Cut::No && !std::mem::replace(&mut self.pinged, true);
        let _ = host::set_buffer(Buffer::RequestBody, size, if pings { &websocket::PING } else { b"" });
        true
    }

    /// Ends a session that has no budget for another turn: its caller is told behind this piece, and the
    /// connection closed. True where the piece is not to be looked at any more.
    pub(super) fn end_session(&mut self, piece: &[u8]) -> bool {
        let (Some(call), Some(refused)) = (&self.call, &self.spent) else { return false };
        if self.cut != Cut::No || !call.is_between_messages() {
            return false;
        }
        let end = refusal::session_end(call.target(), &refused.message, call.id());
        let _ = host::set_buffer(Buffer::ResponseBody, piece.len(), &[piece, &end].concat());
        self.gateway.count("tollgate_sessions_ended_total");
        self.cut = Cut::Told(host::now_ms());
        true
    }
}

const SWITCHING_PROTOCOLS: u16 = 101;

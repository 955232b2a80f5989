//! Sessions over a websocket: each turn is settled when it ends, and the next one is held for like a call of
//! its own.
//!
//! A session that begins by saying its model (Gemini Live, GPT-Live) holds for its first turn then. Turns
//! that its caller asks for before those under way have ended are held for besides, each before the provider
//! has all that asks for it. In the websocket of Responses each turn begins with a request: it is a call of
//! its own.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use proxy_wasm::types::Action;
use tollgate_core::answer::wire::Turn;
use tollgate_core::call::Call;
use tollgate_core::call::refusal::{self, Reason};
use tollgate_core::decode::websocket;
use tollgate_core::provider::Api;
use tollgate_core::record::Note;

use super::{Cut, HttpCall};
use crate::budgets::{Decision, Refused, Ticket, Waited};
use crate::collector::waiting::{self, Outcome, Parked};
use crate::host::{self, Buffer};
use crate::shared::lane::JournalSlot;

/// Turns of a session besides the one that it holds for, and those that wait.
#[derive(Default)]
pub(crate) struct Turns {
    /// Those that the provider has; where they are no calls of their own, all but the first, for which the
    /// session holds.
    open: VecDeque<Open>,
    /// Of what is said now, so many ask for a turn: the provider does not have them while one of them waits.
    withheld: u32,
    /// Those that wait, all with the same piece of what the caller says.
    parked: Vec<Rc<RefCell<Parked>>>,
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
        !self.parked.is_empty()
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
    // Long: what each sort of session asks for, and what becomes of all of it.
    pub(super) fn hear(&mut self, size: usize, now_ms: u64) -> Action {
        let gateway = Rc::clone(&self.gateway);
        let Some(call) = &mut self.call else { return Action::Continue };
        let was_between = call.request().is_between_messages();
        super::feed(call, 0, size);
        if call.request().has_unread_frames() && gateway.budgets.enforcing(call, now_ms).is_some() {
            return self.refuse_unread(was_between.then_some(size), now_ms);
        }
        // What is said before a model is named is held for at the dearest.
        let is_told = call.request().has_spoken() || call.request_model().is_some();
        let is_begun = self.turns.awaits_model && is_told;
        let mut own = Vec::new();
        let is_too_much = if call.target().api == Api::ResponsesSession {
            let asked = call.take_asked(now_ms, || gateway.call_id(now_ms));
            asked.map(|asked| own = asked).is_none()
        } else {
            self.turns.withheld = call.ask_turns(now_ms);
            let asked = self.turns.open.len() + self.turns.withheld as usize;
            asked > TURNS_MAX && !gateway.budgets.is_idle()
        };
        if is_too_much {
            return self.refuse_many(was_between.then_some(size), now_ms);
        }
        if is_begun {
            self.turns.awaits_model = false;
            self.turn_since_ms = Some(now_ms);
        }
        let before = self.turns.open.len();
        let piece = Rc::new(Cell::new(0));
        let mut own = own.into_iter();
        let lacking = self.lacking(is_begun);
        for _ in 0..own.len().max(lacking) {
            let Some(call) = &self.call else { break };
            let turn =
                own.next().unwrap_or_else(|| call.turn(call.target().api, gateway.call_id(now_ms), now_ms));
            match self.decide_turn(&turn, now_ms) {
                Decision::Go(ticket) => {
                    let slot = gateway.note(&turn, &ticket, now_ms);
                    self.turn_begins(turn, ticket, slot);
                }
                Decision::Refuse(refused) => {
                    self.leave(now_ms);
                    self.take_back(self.turns.open.len().saturating_sub(before), now_ms);
                    return self.refuse_turn(&turn, refused, was_between.then_some(size), now_ms);
                }
                Decision::Wait => {
                    let share = gateway.budgets.share(&turn, now_ms);
                    let parked = gateway.waiting.park(self.context, share, Box::new(turn), now_ms);
                    piece.set(piece.get() + 1);
                    parked.borrow_mut().piece = Rc::clone(&piece);
                    self.turns.parked.push(parked);
                }
            }
        }
        if self.turns.waits() {
            gateway.waiting.ask(&gateway, self.context, now_ms);
            return Action::Pause;
        }
        self.turns.withheld = 0;
        Action::Continue
    }

    /// How many turns that are no calls of their own are to be held for, of those that what is said now asks
    /// for.
    fn lacking(&self, is_begun: bool) -> usize {
        let Some(call) = self.call.as_ref().filter(|_| is_begun || self.turns.withheld > 0) else { return 0 };
        let needed = (call.asked_turns() as usize).max(usize::from(is_begun));
        // Without budgets nobody is refused, and no more are told apart.
        needed
            .min(TURNS_MAX)
            .saturating_sub(usize::from(self.turn_since_ms.is_none()) + self.turns.open.len())
    }

    /// More turns are asked for than are held for at a time: the session ends.
    fn refuse_many(&mut self, size: Option<usize>, now_ms: u64) -> Action {
        let Some(call) = &self.call else { return Action::Continue };
        let api = match call.target().api {
            Api::ResponsesSession => Api::Responses,
            api => api,
        };
        let turn = call.turn(api, self.gateway.call_id(now_ms), now_ms);
        let refused =
            self.gateway.crowded_out(call, "More turns are asked for at once than are held for.", now_ms);
        self.refuse_turn(&turn, refused, size, now_ms)
    }

    /// Something is said that cannot be read, and may ask for a turn: the session ends.
    fn refuse_unread(&mut self, size: Option<usize>, now_ms: u64) -> Action {
        let Some(call) = &self.call else { return Action::Continue };
        let turn = call.turn(call.target().api, self.gateway.call_id(now_ms), now_ms);
        let refused = Refused {
            reason: Reason::UnreadableRequest,
            budget: self.gateway.budgets.enforcing(call, now_ms),
            status: None,
            message: "a frame of the session cannot be read: it is compressed, or of a kind that is reserved"
                .into(),
        };
        self.refuse_turn(&turn, refused, size, now_ms)
    }

    fn decide_turn(&self, turn: &Call, now_ms: u64) -> Decision {
        let gateway = &self.gateway;
        match gateway.decide(turn, Waited::NOT, now_ms) {
            Decision::Wait => {
                let share = gateway.budgets.share(turn, now_ms);
                match gateway.waiting.has_room(gateway, share, self.context, now_ms) {
                    true => Decision::Wait,
                    false => gateway.decide_crowded(turn, &waiting::crowded(), now_ms),
                }
            }
            decided => decided,
        }
    }

    /// What waits does so no more, and does not reach the provider; what was held for it meanwhile is given
    /// back.
    fn leave(&mut self, now_ms: u64) {
        if !self.turns.waits() {
            return;
        }
        self.gateway.waiting.leave(self.context);
        for parked in std::mem::take(&mut self.turns.parked) {
            if let Some(Outcome::Went(ticket, slot)) = parked.borrow_mut().outcome.take() {
                self.give_back(ticket, slot, now_ms);
            }
        }
    }

    /// The provider gets a turn. The first of a session whose turns are no calls of their own is the
    /// session's.
    fn turn_begins(&mut self, turn: Call, ticket: Ticket, slot: Option<JournalSlot>) {
        if turn.target().api.is_session() && self.turn_since_ms.take().is_some() {
            self.hold_for_next(ticket, slot, turn.time_ms());
        } else {
            self.turns.open.push_back(Open { call: turn, ticket, slot });
        }
    }

    /// The session holds this for the turn that is under way, or the next one.
    fn hold_for_next(&mut self, ticket: Ticket, slot: Option<JournalSlot>, now_ms: u64) {
        self.gateway.forget(self.slot.take(), None, now_ms);
        (self.ticket, self.slot) = (ticket, slot);
    }

    /// The last turns do not reach the provider: what came with them is refused.
    fn take_back(&mut self, count: usize, now_ms: u64) {
        for _ in 0..count {
            let Some(Open { ticket, slot, .. }) = self.turns.open.pop_back() else { return };
            self.give_back(ticket, slot, now_ms);
        }
    }

    fn give_back(&self, ticket: Ticket, slot: Option<JournalSlot>, now_ms: u64) {
        let ended = (!ticket.held.is_empty()).then(|| self.gateway.budgets.settle(ticket, None));
        self.gateway.forget(slot, ended, now_ms);
    }

    /// What asked for turns does not reach the provider.
    fn withhold_turns(&mut self) {
        let withheld = std::mem::take(&mut self.turns.withheld);
        if let Some(call) = &mut self.call {
            call.take_back_turns(withheld);
        }
    }

    /// No budget has this turn. Where all of its message is in this piece of `size` bytes, the provider is
    /// asked to say something in its place, behind which the caller is told; else the connection is closed.
    fn refuse_turn(&mut self, turn: &Call, refused: Refused, size: Option<usize>, now_ms: u64) -> Action {
        self.keep_denied(turn, &refused, now_ms);
        self.withhold_turns();
        self.turn_since_ms = None;
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

    /// It may be known what becomes of the turns that wait: all of them go on, or none.
    pub(super) fn unpark_turn(&mut self, now_ms: u64) {
        let refused = self.turns.parked.iter().find_map(|parked| {
            let mut parked = parked.borrow_mut();
            match parked.outcome.take_if(|outcome| matches!(outcome, Outcome::Refused(_)))? {
                Outcome::Refused(refused) => Some((parked.call.take()?, refused)),
                Outcome::Went(..) => None,
            }
        });
        if let Some((turn, refused)) = refused {
            self.keep_denied(&turn, &refused, now_ms);
            self.leave(now_ms);
            self.withhold_turns();
            self.spent = Some(refused);
        } else if self.turns.parked.iter().all(|parked| parked.borrow().outcome.is_some()) {
            self.turns.withheld = 0;
            for parked in std::mem::take(&mut self.turns.parked) {
                let mut parked = parked.borrow_mut();
                if let (Some(turn), Some(Outcome::Went(ticket, slot))) =
                    (parked.call.take(), parked.outcome.take())
                {
                    self.turn_begins(*turn, ticket, slot);
                }
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
        if self.turns.waits() {
            self.leave(now_ms);
            self.withhold_turns();
        }
        let Some(call) = &mut self.call else { return };
        if self.answer.status != SWITCHING_PROTOCOLS {
            call.take_back_turns(u32::MAX);
            self.take_back(self.turns.open.len(), now_ms);
        } else if call.target().api != Api::ResponsesSession {
            self.release_turns(now_ms);
        }
        while let Some(open) = self.turns.open.pop_front() {
            self.settle_own(open, None, now_ms);
        }
    }

    fn settle_own(&self, open: Open, ended: Option<Turn>, now_ms: u64) {
        let Some(session) = &self.call else { return };
        let Open { call, mut ticket, slot } = open;
        let gateway = &self.gateway;
        let is_cut = self.cut != Cut::No && ended.is_none();
        let mut record = gateway.settle_turn(&call, ended, session, now_ms);
        record.notes.extend(is_cut.then_some(Note::EndedByBudget));
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
        let asked = call.asked_turns() as usize;
        for mut record in turns {
            let Some(call) = &self.call else { return };
            let ticket = std::mem::take(&mut self.ticket);
            gateway.budgets.note_charged(&ticket, &mut record);
            record.policy_version = Some(ticket.policy_version.clone()).filter(|version| !version.is_empty());
            let ended = (!ticket.held.is_empty()).then(|| gateway.budgets.settle(ticket, Some(&record)));
            let slot = if ended.is_some() { self.slot.take() } else { None };
            if ended.is_none() {
                record.policy_version =
                    gateway.budgets.charge(call, &record, now_ms).or(record.policy_version);
            }
            gateway.keep(&record, &record.to_json(), slot, ended, now_ms);
            // The next was asked for meanwhile and is held for, or is to be held for.
            let has_next = self.turns.open.len() >= asked.max(1);
            match if has_next { self.turns.open.pop_front() } else { None } {
                Some(Open { ticket, slot, .. }) => {
                    self.hold_for_next(ticket, slot, now_ms);
                    self.turn_since_ms = None;
                }
                None => self.turn_since_ms = Some(now_ms),
            }
        }
        self.release_turns(now_ms);
        self.hold_turn(now_ms);
    }

    /// Gives back what is held for turns that are not asked for any more.
    fn release_turns(&mut self, now_ms: u64) {
        let asked = self.call.as_ref().map_or(0, |call| call.asked_turns() as usize);
        let most = asked.saturating_sub(1);
        self.take_back(self.turns.open.len().saturating_sub(most), now_ms);
    }

    /// Holds for the next turn, where that is still to be done. While a collector is asked the session goes
    /// on: a turn that ends meanwhile is charged as it ends.
    pub(super) fn hold_turn(&mut self, now_ms: u64) {
        let (Some(call), Some(since_ms)) = (&self.call, self.turn_since_ms) else { return };
        if self.spent.is_some() {
            return;
        }
        let expired = now_ms.saturating_sub(since_ms) >= crate::collector::waiting::WAIT_MS;
        match self.gateway.decide(call, Waited { answered: true, expired }, now_ms) {
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
/// Turns of a session that are asked for while one is under way.
const TURNS_MAX: usize = 256;

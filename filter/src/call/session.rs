//! Sessions over a websocket: each turn is settled when it ends, and the next one is held for like a call of
//! its own.
//!
//! A session that begins by saying its model (Gemini Live, GPT-Live) holds for its first turn then. Turns
//! that its caller asks for before those under way have ended are held for besides, each before the provider
//! has all that asks for it. In the websocket of Responses each turn begins with a request: it is a call of
//! its own.

mod settling;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use proxy_wasm::types::Action;
use tollgate_core::call::Call;
use tollgate_core::call::refusal::{self, Reason};
use tollgate_core::decode::websocket;
use tollgate_core::provider::Api;

use super::HttpCall;
use super::phase::{Admitted, Cut, Phase, UnderWay};
use crate::budgets::{Decision, Refused, Waited};
use crate::collector::question;
use crate::gateway::Gateway;
use crate::gateway::waiting::{self, Outcome, Parked};
use crate::host::{self, Buffer};

/// A session that goes on.
pub(super) struct Session {
    gateway: Rc<Gateway>,
    context: u32,
    /// The session itself. What is held for it is held for the turn that is under way, or the next one.
    pub(super) under_way: UnderWay,
    next: NextTurn,
    /// Turns that the provider has; where they are no calls of their own, all but the first, for which the
    /// session holds.
    open: VecDeque<OpenTurn>,
    /// Of what is said now, so many ask for a turn: the provider does not have them while one of them waits.
    withheld: u32,
    /// Those that wait, all with the same piece of what the caller says.
    parked: Vec<Rc<RefCell<Parked>>>,
    /// There is no budget for another turn.
    pub(super) spent: Option<Spent>,
}

/// What the session itself holds for.
enum NextTurn {
    /// Its first turn is held for when it is known which model it is with.
    AwaitsModel,
    /// Its next turn is to be held for, since then, Unix milliseconds UTC.
    Due(u64),
    /// Its turn is held for; or its turns are calls of their own, and hold for themselves.
    Held,
}

/// Why a session ends, and how far its caller knows.
pub(super) struct Spent {
    refused: Refused,
    /// The provider was asked to say something, so that its caller can be told behind it.
    pinged: bool,
}

/// A turn that the provider is asked for.
struct OpenTurn {
    call: Call,
    admitted: Admitted,
}

impl HttpCall {
    /// A session is asked for. One whose model is known holds for its first turn now.
    pub(super) fn begin_session(&mut self, now_ms: u64) -> Action {
        let Phase::Arriving(call) = &self.phase else { return Action::Continue };
        let has_own_calls = call.target().api == Api::ResponsesSession;
        if !has_own_calls && call.request_model().is_some() {
            return self.request_ended();
        }
        if let Some(refused) = self.gateway.budgets.spent_already(call, now_ms) {
            return self.refuse(refused, now_ms);
        }
        let Some(call) = self.phase.take_undecided() else { return Action::Continue };
        let under_way = UnderWay::undecided(call);
        let mut session = Session::new(&self.gateway, self.context, under_way);
        session.next = if has_own_calls { NextTurn::Held } else { NextTurn::AwaitsModel };
        self.phase = Phase::Session(Box::new(session));
        Action::Continue
    }
}

/// What is said in a session.
impl Session {
    /// One that holds for its first turn.
    pub(super) fn new(gateway: &Rc<Gateway>, context: u32, under_way: UnderWay) -> Self {
        Self {
            gateway: Rc::clone(gateway),
            context,
            under_way,
            next: NextTurn::Held,
            open: VecDeque::new(),
            withheld: 0,
            parked: Vec::new(),
            spent: None,
        }
    }

    /// A piece of what the caller says.
    pub(super) fn read_request_piece(&mut self, size: usize) -> Action {
        self.unpark_turns();
        if self.waits() {
            return Action::Pause;
        }
        if let NextTurn::Due(since_ms) = self.next {
            self.hold_turn(since_ms, host::now_ms());
        }
        if self.silence(size) {
            return Action::Continue;
        }
        self.hear(size, host::now_ms())
    }

    /// A piece of what the provider says, which the call has read, where the host gives it. True where it is
    /// not to be looked at any more.
    pub(super) fn read_answer_piece(&mut self, piece: Option<&[u8]>, size: usize) -> bool {
        self.settle_turns(host::now_ms());
        piece.is_some_and(|piece| self.tell_end(piece)) || self.under_way.cut(&self.gateway, size)
    }

    /// Whether a turn waits until it is known what becomes of it.
    const fn waits(&self) -> bool {
        !self.parked.is_empty()
    }

    /// It may be known what becomes of the turns that wait.
    pub(super) fn unpark_turns(&mut self) {
        if self.waits() {
            self.unpark(host::now_ms());
        }
    }

    /// Reads a piece of what the caller of a session says, and decides about what it asks for.
    fn hear(&mut self, size: usize, now_ms: u64) -> Action {
        let gateway = Rc::clone(&self.gateway);
        let call = &mut self.under_way.call;
        let was_between = call.request().is_between_messages();
        super::feed(call, 0, size);
        if call.request().has_unread_frames() && gateway.budgets.enforcing(call, now_ms).is_some() {
            return self.refuse_unread(was_between.then_some(size), now_ms);
        }
        // What is said before a model is named is held for at the dearest.
        let is_told = call.request().has_spoken() || call.request_model().is_some();
        let is_begun = is_told && matches!(self.next, NextTurn::AwaitsModel);
        let mut own = Vec::new();
        let is_too_much = if call.target().api == Api::ResponsesSession {
            let asked = call.take_asked(now_ms, || gateway.call_id(now_ms));
            asked.map(|asked| own = asked).is_none()
        } else {
            self.withheld = call.ask_turns(now_ms);
            let asked = self.open.len() + self.withheld as usize;
            asked > TURNS_MAX && !gateway.budgets.is_idle()
        };
        if is_too_much {
            return self.refuse_many(was_between.then_some(size), now_ms);
        }
        if is_begun {
            self.next = NextTurn::Due(now_ms);
        }
        let asked = own.len().max(self.lacking(is_begun));
        self.decide_turns(asked, own, was_between.then_some(size), now_ms)
    }

    /// Decides about as many turns as what is said now asks for: those that are calls of their own, or those
    /// of the session's that nothing is held for yet. All of them go on, or none.
    fn decide_turns(&mut self, asked: usize, own: Vec<Call>, size: Option<usize>, now_ms: u64) -> Action {
        let gateway = Rc::clone(&self.gateway);
        let before = self.open.len();
        let piece = Rc::new(Cell::new(0));
        let mut own = own.into_iter();
        for _ in 0..asked {
            let call = &self.under_way.call;
            let turn =
                own.next().unwrap_or_else(|| call.turn(call.target().api, gateway.call_id(now_ms), now_ms));
            match self.decide_turn(&turn, now_ms) {
                Decision::Go(ticket) => {
                    let admitted = Admitted::note(&gateway, &turn, ticket, now_ms);
                    self.turn_begins(turn, admitted);
                }
                Decision::Refuse(refused) => {
                    self.leave(now_ms);
                    self.take_back(self.open.len().saturating_sub(before), now_ms);
                    return self.refuse_turn(&turn, refused, size, now_ms);
                }
                Decision::Wait => {
                    let share = gateway.budgets.share(&turn, now_ms);
                    let parked = gateway.waiting.park(self.context, share, Box::new(turn), now_ms);
                    piece.set(piece.get() + 1);
                    parked.borrow_mut().piece = Rc::clone(&piece);
                    self.parked.push(parked);
                }
            }
        }
        if self.waits() {
            question::ask(&gateway, self.context, now_ms);
            return Action::Pause;
        }
        self.withheld = 0;
        Action::Continue
    }

    /// How many turns that are no calls of their own are to be held for, of those that what is said now asks
    /// for.
    fn lacking(&self, is_begun: bool) -> usize {
        if !is_begun && self.withheld == 0 {
            return 0;
        }
        let is_held_for = !matches!(self.next, NextTurn::Due(_));
        let needed = (self.under_way.call.asked_turns() as usize).max(usize::from(is_begun));
        // Without budgets nobody is refused, and no more are told apart.
        needed.min(TURNS_MAX).saturating_sub(usize::from(is_held_for) + self.open.len())
    }

    /// More turns are asked for than are held for at a time: the session ends.
    fn refuse_many(&mut self, size: Option<usize>, now_ms: u64) -> Action {
        let call = &self.under_way.call;
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
        let call = &self.under_way.call;
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
        match gateway.decide(turn, Waited::No, now_ms) {
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
        if !self.waits() {
            return;
        }
        self.gateway.waiting.leave(self.context);
        for parked in std::mem::take(&mut self.parked) {
            if let Some(Outcome::Went(ticket, slot)) = parked.borrow_mut().outcome.take() {
                self.give_back(Admitted { ticket, slot }, now_ms);
            }
        }
    }

    /// The provider gets a turn. The first of a session whose turns are no calls of their own is the
    /// session's.
    fn turn_begins(&mut self, turn: Call, admitted: Admitted) {
        if turn.target().api.is_session() && matches!(self.next, NextTurn::Due(_)) {
            self.next = NextTurn::Held;
            self.hold_for_next(admitted, turn.time_ms());
        } else {
            self.open.push_back(OpenTurn { call: turn, admitted });
        }
    }

    /// The session holds this for the turn that is under way, or the next one.
    fn hold_for_next(&mut self, admitted: Admitted, now_ms: u64) {
        self.gateway.forget(self.under_way.admitted.slot.take(), None, now_ms);
        self.under_way.admitted = admitted;
    }

    /// The last turns do not reach the provider: what came with them is refused.
    fn take_back(&mut self, count: usize, now_ms: u64) {
        for _ in 0..count {
            let Some(OpenTurn { admitted, .. }) = self.open.pop_back() else { return };
            self.give_back(admitted, now_ms);
        }
    }

    fn give_back(&self, Admitted { ticket, slot }: Admitted, now_ms: u64) {
        let ended = self.gateway.budgets.settle(ticket, None);
        self.gateway.forget(slot, ended, now_ms);
    }

    /// What asked for turns does not reach the provider.
    fn withhold_turns(&mut self) {
        self.under_way.call.take_back_turns(std::mem::take(&mut self.withheld));
    }

    /// No budget has another turn: the session ends.
    fn spend(&mut self, refused: Refused) {
        let pinged = self.spent.as_ref().is_some_and(|spent| spent.pinged);
        self.spent = Some(Spent { refused, pinged });
    }

    /// No budget has this turn. Where all of its message is in this piece of `size` bytes, the provider is
    /// asked to say something in its place, behind which the caller is told; else the connection is closed.
    fn refuse_turn(&mut self, turn: &Call, refused: Refused, size: Option<usize>, now_ms: u64) -> Action {
        self.keep_denied(turn, &refused, now_ms);
        self.withhold_turns();
        if let NextTurn::Due(_) = self.next {
            self.next = NextTurn::Held;
        }
        let Some(size) = size else {
            self.gateway.refuse(turn, &refused, now_ms);
            self.spend(refused);
            return Action::Pause;
        };
        self.gateway.count_refusal(turn, &refused, now_ms);
        let _ = host::set_buffer(Buffer::RequestBody, size, &websocket::PING);
        self.spent = Some(Spent { refused, pinged: true });
        Action::Continue
    }

    /// It may be known what becomes of the turns that wait: all of them go on, or none.
    fn unpark(&mut self, now_ms: u64) {
        let refused = self.parked.iter().find_map(|parked| {
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
            self.spend(refused);
        } else if self.parked.iter().all(|parked| parked.borrow().outcome.is_some()) {
            self.withheld = 0;
            for parked in std::mem::take(&mut self.parked) {
                let mut parked = parked.borrow_mut();
                if let (Some(turn), Some(Outcome::Went(ticket, slot))) =
                    (parked.call.take(), parked.outcome.take())
                {
                    self.turn_begins(*turn, Admitted { ticket, slot });
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

    /// Of a session that is to end, the provider gets nothing more; but a ping, as only behind what it says
    /// can its caller be told. True where that is what becomes of this piece of the request.
    fn silence(&mut self, size: usize) -> bool {
        let Some(spent) = &mut self.spent else { return false };
        let UnderWay { call, cut, .. } = &mut self.under_way;
        if *cut == Cut::No && !call.request().is_between_messages() {
            return false;
        }
        let pings = *cut == Cut::No && !std::mem::replace(&mut spent.pinged, true);
        let _ = host::set_buffer(Buffer::RequestBody, size, if pings { &websocket::PING } else { b"" });
        true
    }

    /// Ends a session that has no budget for another turn: its caller is told behind this piece, and the
    /// connection closed. True where the piece is not to be looked at any more.
    fn tell_end(&mut self, piece: &[u8]) -> bool {
        let (Some(spent), UnderWay { call, cut, .. }) = (&self.spent, &mut self.under_way) else {
            return false;
        };
        if *cut != Cut::No || !call.is_between_messages() {
            return false;
        }
        let Refused { reason, status, message, .. } = &spent.refused;
        let end = refusal::session_end(call.target(), *reason, *status, message, call.id());
        let _ = host::set_buffer(Buffer::ResponseBody, piece.len(), &[piece, &end].concat());
        self.gateway.count("tollgate_sessions_ended_total");
        self.under_way.cut = Cut::Told(host::now_ms());
        true
    }
}

const SWITCHING_PROTOCOLS: u16 = 101;
/// Turns of a session that are asked for while one is under way.
const TURNS_MAX: usize = 256;

//! One HTTP stream: Envoy's callbacks translated for `tollgate_core::call::Call`.
//!
//! Long: Envoy's callbacks of one stream, each a method of one type; its phases are to be cut apart.

mod head;
mod request;
mod rewriting;
mod session;
mod settlement;
mod stream;
pub(crate) mod taken;

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use request::{Body, Request};
use tollgate_core::call::refusal::{self, Reason};
use tollgate_core::call::{Call, ResponseHead};
use tollgate_core::provider::Api;
use tollgate_core::request::include_usage::UsageChunkFilter;

use crate::budgets::{Decision, Refused, Ticket, Waited};
use crate::collector::waiting::{self, Outcome, Parked};
use crate::gateway::Gateway;
use crate::host::{self, Buffer, Headers};
#[cfg(feature = "test-panic")]
use crate::panics::ask_to_panic;
use crate::panics::panic_if_asked;
use crate::shared::lane::JournalSlot;

/// A stream; a call only where the request is one to a model.
pub(crate) struct HttpCall {
    gateway: Rc<Gateway>,
    context: u32,
    call: Option<Box<Call>>,
    slot: Option<JournalSlot>,
    request: Request,
    answer: Answer,
    /// What its budgets hold for it.
    ticket: Ticket,
    /// The call, while it waits for the collector.
    parked: Option<Rc<RefCell<Parked>>>,
    /// The call was refused: what comes as an answer is our own.
    refused: Option<Refused>,
    request_ended: bool,
    /// The stream ended while the call waited.
    left: bool,
    /// A budget ends the answer.
    cut: Cut,
    /// Since when the next turn of a session is to be held for, Unix milliseconds UTC.
    turn_since_ms: Option<u64>,
    /// There is no budget for another turn.
    spent: Option<Refused>,
    /// The provider was asked to say something, so that its caller can be told.
    pinged: bool,
    /// Turns of a session that are calls of their own.
    turns: session::Turns,
}

/// The answer, as it comes.
#[derive(Default)]
struct Answer {
    /// Its HTTP status; 0 before it has come.
    status: u16,
    has_ended: bool,
    /// Takes the chunk out that the question for usage brings, where the filter asked and not the caller.
    usage_chunk: Option<UsageChunkFilter>,
}

/// How far an answer is that a budget ends: first its caller is told, then the stream is closed. Closing at
/// once would lose what is still on its way to the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cut {
    No,
    /// Since when, Unix milliseconds UTC.
    Told(u64),
    Closed,
}

impl HttpCall {
    /// A stream that has just begun.
    pub(crate) fn new(gateway: Rc<Gateway>, context: u32) -> Self {
        Self {
            gateway,
            context,
            call: None,
            slot: None,
            request: Request::default(),
            answer: Answer::default(),
            ticket: Ticket::default(),
            parked: None,
            refused: None,
            request_ended: false,
            left: false,
            cut: Cut::No,
            turn_since_ms: None,
            spent: None,
            pinged: false,
            turns: session::Turns::default(),
        }
    }

    /// The whole request is known: may the call go on? From there on the provider may charge for it. A call
    /// that may not be answered `Continue` keeps its last piece here.
    fn request_ended(&mut self) -> Action {
        self.decide_once(|stream, call, now_ms| match stream.gateway.decide(call, Waited::NOT, now_ms) {
            Decision::Wait => None,
            decided => Some(decided),
        })
    }

    /// Decides when all is said, unless that was done: `decide` gives nothing where the call is to wait.
    fn decide_once(&mut self, decide: impl FnOnce(&Self, &Call, u64) -> Option<Decision>) -> Action {
        if self.parked.is_some() || self.refused.is_some() {
            return Action::Pause;
        }
        if std::mem::replace(&mut self.request_ended, true) {
            return Action::Continue;
        }
        if let Some(call) = &mut self.call {
            call.request_came();
        }
        let Some(call) = &self.call else { return Action::Continue };
        let now_ms = host::now_ms();
        match decide(self, call, now_ms) {
            None => self.wait_or_decide(now_ms),
            Some(decided) => self.go_on(decided, now_ms),
        }
    }

    /// What was decided about the call becomes of it.
    fn go_on(&mut self, decided: Decision, now_ms: u64) -> Action {
        match decided {
            Decision::Go(ticket) => {
                self.slot = self.call.as_ref().and_then(|call| self.gateway.note(call, &ticket, now_ms));
                self.ticket = ticket;
                Action::Continue
            }
            Decision::Refuse(refused) => self.refuse(refused, now_ms),
            Decision::Wait => Action::Continue,
        }
    }

    /// Has the call wait for the collector; where it may not, it is decided at once.
    fn wait_or_decide(&mut self, now_ms: u64) -> Action {
        let Some(call) = self.call.take() else { return Action::Continue };
        let gateway = Rc::clone(&self.gateway);
        let share = gateway.budgets.share(&call, now_ms);
        if gateway.waiting.has_room(&gateway, share, self.context, now_ms) {
            self.parked = Some(gateway.waiting.park(self.context, share, call, now_ms));
            gateway.waiting.ask(&gateway, self.context, now_ms);
            return Action::Pause;
        }
        let decided = gateway.decide_crowded(&call, &waiting::crowded(), now_ms);
        self.call = Some(call);
        self.go_on(decided, now_ms)
    }

    /// All is said of a call that cannot wait: its body is longer than Envoy keeps, or a part of it was
    /// passed on. What it lacks is asked for, for its next try.
    fn decide_now(&mut self) -> Action {
        self.decide_once(|stream, call, now_ms| Some(stream.gateway.decide_at_once(call, now_ms)))
    }

    /// A provider answers before the whole request was decided on: servers may read JSON as it comes. What is
    /// known of the request decides now; an answer that is refused is not passed on. Errors pass, as nothing
    /// was done for them.
    fn decide_early(&mut self, now_ms: u64) -> Option<Decision> {
        let is_open = !self.request_ended || self.left;
        let call = self.call.as_mut()?;
        call.request_came();
        if !is_open || self.answer.status == 0 || self.answer.status >= 400 {
            return None;
        }
        (self.left, self.request_ended) = (false, true);
        Some(self.gateway.decide(call, Waited::ENOUGH, now_ms))
    }

    /// Refuses the call. Where its provider has begun to answer what it was sent, that may be charged: the
    /// answer is cut, and settled like any other that is.
    fn refuse(&mut self, refused: Refused, now_ms: u64) -> Action {
        if let Some(call) = &self.call {
            if self.request.has_passed() && (1..400).contains(&self.answer.status) {
                self.cut = Cut::Closed;
                self.slot = self.slot.take().or_else(|| self.gateway.note(call, &self.ticket, now_ms));
            }
            self.gateway.refuse(call, &refused, now_ms);
        }
        self.refused = Some(refused);
        Action::Pause
    }

    /// Takes the call back that has waited, with what became of it.
    fn unpark(&mut self) {
        let Some(parked) = self.parked.take() else { return };
        let mut parked = parked.borrow_mut();
        self.call = parked.call.take();
        match parked.outcome.take() {
            Some(Outcome::Went(ticket, slot)) => (self.ticket, self.slot) = (ticket, slot),
            Some(Outcome::Refused(refused)) => self.refused = Some(refused),
            None => {
                drop(parked);
                self.gateway.waiting.leave(self.context);
                self.left = true;
            }
        }
    }

    /// Ends an answer that no budget covers any more; true where this piece is not to be looked at.
    fn cut(&mut self, size: usize) -> bool {
        match self.cut {
            Cut::No if self.ticket.covers.is_empty() => return false,
            Cut::No => {
                let Some(call) = &self.call else { return false };
                let Some(refused) = self.gateway.cover(call, &mut self.ticket) else { return false };
                let event =
                    refusal::stream_error(call.target(), &refused.message, call.id()).unwrap_or_default();
                let _ = host::set_buffer(Buffer::ResponseBody, size, &event);
                self.cut = Cut::Told(host::now_ms());
            }
            Cut::Told(since_ms) if host::now_ms() >= since_ms + TOLD_MS => {
                let _ = host::set_buffer(Buffer::ResponseBody, size, b"");
                let _ = host::answer(200, "tollgate_budget_spent", &[], b"");
                self.cut = Cut::Closed;
            }
            Cut::Told(_) | Cut::Closed => {
                let _ = host::set_buffer(Buffer::ResponseBody, size, b"");
            }
        }
        true
    }
}

impl Context for HttpCall {
    fn on_http_call_response(&mut self, _call: u32, _headers: usize, body_size: usize, _trailers: usize) {
        let status = host::header(Headers::CallResponse, ":status").unwrap_or_default();
        let body = host::buffer(Buffer::CallResponseBody, body_size).unwrap_or_default();
        let gateway = Rc::clone(&self.gateway);
        gateway.waiting.answered(&gateway, (&status, &body), self.context, host::now_ms());
    }

    /// Repeats what `on_log` does, where that does not run.
    fn on_done(&mut self) -> bool {
        self.settle();
        true
    }
}

impl HttpContext for HttpCall {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let now_ms = host::now_ms();
        let (mut head, reader) = self.read_request_head();
        #[cfg(feature = "test-panic")]
        ask_to_panic(&head.panic_at);
        let call = self.begin(&mut head, reader, end_of_stream, now_ms);
        panic_if_asked("request_headers");
        let Some(call) = call else { return Action::Continue };
        self.request = Request::of(&head, &call);
        let api = call.target().api;
        self.call = Some(call);
        if api.is_session() {
            // Compressed messages could not be read.
            let _ = host::remove_header(Headers::Request, b"sec-websocket-extensions");
            return self.begin_session(now_ms);
        }
        if end_of_stream || api == Api::Unmetered {
            return self.request_ended();
        }
        self.begin_body(&head, now_ms)
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        panic_if_asked("request_body");
        if self.parked.as_ref().is_some_and(|parked| parked.borrow().outcome.is_some()) {
            self.unpark();
        }
        if self.turns.waits() {
            self.unpark_turn(host::now_ms());
        }
        if self.parked.is_some() || self.refused.is_some() || self.turns.waits() {
            return Action::Pause;
        }
        let Body::Passes(passed) = self.request.body else { return self.gather(size, end_of_stream) };
        if self.turn_since_ms.is_some() {
            self.hold_turn(host::now_ms());
        }
        if self.silence(size) {
            return Action::Continue;
        }
        if self.call.as_ref().is_some_and(|call| call.target().api.is_session()) {
            return self.hear(size, host::now_ms());
        }
        if let Some(call) = &mut self.call
            && !self.request_ended
        {
            feed(call, 0, size);
        }
        let received = passed.saturating_add(size);
        // Servers read JSON as it comes.
        let is_whole = passed > 0 && self.call.as_mut().is_some_and(|call| call.request().is_whole());
        if end_of_stream || self.request.is_all(received) || is_whole {
            return if passed > 0 { self.decide_now() } else { self.request_ended() };
        }
        self.request.body = Body::Passes(received);
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        match &self.request.body {
            // No end of the body is told where trailers follow it.
            Body::Waits(waiting) => return self.gather(*waiting, true),
            Body::Taken(taken) if taken.len() > 0 => {
                let message = "the request's body is not JSON that can be read".to_owned();
                let (reason, now_ms) = (Reason::UnreadableRequest, host::now_ms());
                let budget = self.call.as_ref().and_then(|call| self.gateway.budgets.enforcing(call, now_ms));
                return self.refuse(Refused { reason, budget, status: None, message }, now_ms);
            }
            _ => {}
        }
        if self.request.has_passed() { self.decide_now() } else { self.request_ended() }
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        self.unpark();
        if self.refused.is_some() {
            return Action::Continue;
        }
        let pairs = host::header_pairs(Headers::Response).unwrap_or_default();
        let text = |name: &str| {
            let (_, value) = pairs.iter().find(|(known, _)| *known == name.as_bytes())?;
            std::str::from_utf8(value).ok().map(str::to_owned)
        };
        let now_ms = host::now_ms();
        self.answer.status = text(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
        let decided = self.decide_early(now_ms);
        let (content_type, content_encoding) = (text("content-type"), text("content-encoding"));
        if let Some(call) = &mut self.call {
            let head = ResponseHead {
                status: self.answer.status,
                content_type: content_type.as_deref(),
                content_encoding: content_encoding.as_deref(),
                header: &text,
            };
            call.response_head(&head, now_ms);
        }
        if let Some(decided) = decided
            && self.go_on(decided, now_ms) == Action::Pause
        {
            return Action::Pause;
        }
        if let Some(call) = &mut self.call {
            // Whatever the type says and whether a length is known: some servers call their stream a
            // document.
            if self.answer.usage_chunk.is_some() {
                let is_plain =
                    content_encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
                let may = is_plain && self.answer.status == 200;
                if !may || host::remove_header(Headers::Response, b"content-length").is_err() {
                    self.answer.usage_chunk = None;
                }
            }
            let _ = host::set_header(Headers::Response, "x-tollgate-call", call.id().as_bytes());
            if let Some(warning) = &self.ticket.warning {
                let _ = host::set_header(Headers::Response, "x-tollgate-warning", warning.as_bytes());
            }
        }
        panic_if_asked("response_headers");
        self.answer.has_ended |= end_of_stream;
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if self.refused.is_some() {
            return Action::Continue;
        }
        if self.turns.waits() {
            self.unpark_turn(host::now_ms());
        }
        if let Some(call) = &mut self.call
            && size > 0
        {
            let piece = host::buffer(Buffer::ResponseBody, size).ok().filter(|piece| piece.len() == size);
            match &piece {
                Some(piece) => call.response_body(piece),
                None => call.response_lost(),
            }
            if call.target().api.is_session() {
                self.settle_turns(host::now_ms());
            }
            let ends = piece.as_deref().is_some_and(|piece| self.end_session(piece));
            if !ends && !self.cut(size) {
                self.take_out(piece.as_deref(), end_of_stream);
            }
        } else if end_of_stream {
            self.take_out(Some(&[]), true);
        }
        panic_if_asked("response_body");
        self.answer.has_ended |= end_of_stream;
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        self.answer.has_ended = true;
        Action::Continue
    }

    fn on_log(&mut self) {
        panic_if_asked("log");
        self.settle();
    }
}

/// Reads a piece of the request's body. Of a body that cannot be read whole nothing more is read.
fn feed(call: &mut Call, start: usize, end: usize) {
    let size = end.saturating_sub(start);
    if size == 0 {
        return;
    }
    match host::buffer_from(Buffer::RequestBody, start, size) {
        Ok(piece) if piece.len() == size => call.request().feed(&piece),
        _ => call.request().unread(),
    }
}

/// So long after its caller was told, an answer that a budget ends is closed.
const TOLD_MS: u64 = 200;

#[cfg(test)]
mod tests;

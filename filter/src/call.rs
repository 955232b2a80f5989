//! One HTTP stream: Envoy's callbacks translated for `tollgate_core::call::Call`.

mod deciding;
mod head;
mod phase;
mod request;
mod rewriting;
mod session;
mod settlement;
mod stream;

use std::rc::Rc;

use phase::Phase;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use request::{Body, Request};
use tollgate_core::call::refusal::Reason;
use tollgate_core::call::{Call, ResponseHead};
use tollgate_core::provider::Api;
use tollgate_core::request::include_usage::UsageChunkFilter;

use crate::budgets::Refused;
use crate::collector::question;
use crate::gateway::Gateway;
use crate::host::{self, Buffer, Headers};
#[cfg(feature = "test-panic")]
use crate::panics::ask_to_panic;
use crate::panics::panic_if_asked;

/// A stream; a call only where the request is one to a model.
pub(crate) struct HttpCall {
    gateway: Rc<Gateway>,
    context: u32,
    phase: Phase,
    request: Request,
    answer: Answer,
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

impl HttpCall {
    /// A stream that has just begun.
    pub(crate) fn new(gateway: Rc<Gateway>, context: u32) -> Self {
        Self {
            gateway,
            context,
            phase: Phase::default(),
            request: Request::default(),
            answer: Answer::default(),
        }
    }

    /// Reads a piece of a request's body, and decides where it is the last.
    fn read_request_piece(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Body::Passes(passed) = self.request.body else { return self.gather(size, end_of_stream) };
        let Phase::Arriving(call) = &mut self.phase else { return Action::Continue };
        feed(call, 0, size);
        let received = passed.saturating_add(size);
        // Servers read JSON as it comes.
        let is_whole = passed > 0 && call.request().is_whole();
        if end_of_stream || self.request.is_all(received) || is_whole {
            return if passed > 0 { self.decide_now() } else { self.request_ended() };
        }
        self.request.body = Body::Passes(received);
        Action::Continue
    }

    /// An answer begins that is passed on.
    fn begin_answer(&mut self, content_encoding: Option<&str>) {
        let Some(call) = self.phase.call() else { return };
        // Whatever the type says and whether a length is known: some servers call their stream a document.
        if self.answer.usage_chunk.is_some() {
            let is_plain = content_encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
            let may = is_plain && self.answer.status == 200;
            if !may || host::remove_header(Headers::Response, b"content-length").is_err() {
                self.answer.usage_chunk = None;
            }
        }
        let _ = host::set_header(Headers::Response, "x-tollgate-call", call.id().as_bytes());
        if let Some(warning) = self.phase.warning() {
            let _ = host::set_header(Headers::Response, "x-tollgate-warning", warning.as_bytes());
        }
        for (name, value) in &self.request.shown {
            let _ = host::set_header(Headers::Response, name, value.as_bytes());
        }
        if self.gateway.config.budget_headers
            && let Some(ticket) = self.phase.ticket()
            && let Some((remaining, reset)) = self.gateway.budgets.tightest(ticket)
        {
            let _ = host::set_header(Headers::Response, "x-tollgate-budget-remaining", remaining.as_bytes());
            let _ = host::set_header(Headers::Response, "x-tollgate-budget-reset", reset.as_bytes());
        }
    }

    /// Reads a piece of an answer, which is not empty, and passes on what its caller is to have of it.
    fn read_answer_piece(&mut self, size: usize, end_of_stream: bool) {
        let Some(call) = self.phase.call_mut() else { return };
        let piece = host::buffer(Buffer::ResponseBody, size).ok().filter(|piece| piece.len() == size);
        match &piece {
            Some(piece) => call.response_body(piece),
            None => call.response_lost(),
        }
        let is_cut = match &mut self.phase {
            Phase::Session(session) => session.read_answer_piece(piece.as_deref(), size),
            Phase::UnderWay(under_way) => under_way.cut(&self.gateway, size),
            _ => false,
        };
        if !is_cut {
            self.take_out(piece.as_deref(), end_of_stream);
        }
    }
}

impl Context for HttpCall {
    fn on_http_call_response(&mut self, _call: u32, _headers: usize, body_size: usize, _trailers: usize) {
        let status = host::header(Headers::CallResponse, ":status").unwrap_or_default();
        let body = host::buffer(Buffer::CallResponseBody, body_size).unwrap_or_default();
        let gateway = Rc::clone(&self.gateway);
        question::answered(&gateway, (&status, &body), self.context, host::now_ms());
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
        self.phase = Phase::Arriving(call);
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
        if let Phase::Parked(parked) = &self.phase
            && parked.borrow().outcome.is_some()
        {
            self.unpark();
        }
        match &mut self.phase {
            Phase::Parked(_) | Phase::Refused(_) | Phase::HungUp(_) => Action::Pause,
            Phase::Session(session) => session.read_request_piece(size),
            Phase::Arriving(_) | Phase::UnderWay(_) => self.read_request_piece(size, end_of_stream),
            Phase::NoCall | Phase::Left(_) => Action::Continue,
        }
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        if self.phase.is_held() {
            return Action::Pause;
        }
        match &self.request.body {
            // No end of the body is told where trailers follow it.
            Body::Waits(waiting) => return self.gather(*waiting, true),
            Body::Taken(taken) if taken.len() > 0 => {
                let message = "the request's body is not JSON that can be read".to_owned();
                let (reason, now_ms) = (Reason::UnreadableRequest, host::now_ms());
                let budget = self.phase.call().and_then(|call| self.gateway.budgets.enforcing(call, now_ms));
                return self.refuse(Refused { reason, budget, status: None, message }, now_ms);
            }
            _ => {}
        }
        if self.request.has_passed() { self.decide_now() } else { self.request_ended() }
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        self.unpark();
        if self.phase.is_refused() {
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
        if let Some(call) = self.phase.call_mut() {
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
        self.begin_answer(content_encoding.as_deref());
        panic_if_asked("response_headers");
        self.answer.has_ended |= end_of_stream;
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if self.phase.is_refused() {
            return Action::Continue;
        }
        if let Phase::Session(session) = &mut self.phase {
            session.unpark_turns();
        }
        if size > 0 && self.phase.call().is_some() {
            self.read_answer_piece(size, end_of_stream);
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

#[cfg(test)]
mod tests;

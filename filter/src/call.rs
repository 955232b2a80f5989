//! One HTTP stream: Envoy's callbacks translated for `tollgate_core::call::Call`.

mod rewriting;
mod session;

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use tollgate_core::attribution::{AttributionReader, AttributionSource, Handling, set_trusted};
use tollgate_core::call::{Call, End, Ending, ResponseHead};
use tollgate_core::include_usage::{self, UsageChunkFilter};
use tollgate_core::key_id;
use tollgate_core::provider::{Api, Target};
use tollgate_core::record::{Note, Outcome as CallOutcome, UsageRecord};
use tollgate_core::refusal;

use crate::budgets::{Decision, Refused, Ticket};
use crate::deferred;
use crate::host::{self, Buffer, Headers};
use crate::lane::JournalSlot;
#[cfg(feature = "test-panic")]
use crate::panics::ask_to_panic;
use crate::panics::panic_if_asked;
use crate::root::Gateway;
use crate::stream::{ending_of, number_property, show_in_access_log, text_property};
use crate::waiting::{Outcome, Parked};

/// A stream; a call only where the request is one to a model.
pub struct HttpCall {
    gateway: Rc<Gateway>,
    context: u32,
    call: Option<Call>,
    slot: Option<JournalSlot>,
    asking: Asking,
    /// What its budgets hold for it.
    ticket: Ticket,
    /// The call, while it waits for the collector.
    parked: Option<Rc<RefCell<Parked>>>,
    /// The call was refused: what comes as an answer is our own.
    refused: Option<Refused>,
    /// Bytes of the request body so far, and how many there are to be.
    received: usize,
    content_length: Option<usize>,
    /// The request is a `POST`.
    posts: bool,
    request_ended: bool,
    response_ended: bool,
    status: u16,
    /// Usage is asked for where the route does not switch that off.
    may_ask: bool,
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
}

/// How far an answer is that a budget ends: first its caller is told, then the stream is closed. Closing at once would
/// lose what is still on its way to the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cut {
    No,
    /// Since when, Unix milliseconds UTC.
    Told(u64),
    Closed,
}

/// Whether the filter asks for usage that the caller did not ask for.
enum Asking {
    /// It does not.
    No,
    /// The request waits until its whole body is here; this many bytes have been read.
    Gathering(usize),
    /// It does: the chunk that this brings is taken out of the answer.
    Asked(UsageChunkFilter),
}

/// What the request headers say that the filter needs.
#[derive(Default)]
struct RequestHead {
    content_length: Option<usize>,
    method: Vec<u8>,
    path: String,
    authority: String,
    is_json: bool,
    is_form: bool,
    encoded: bool,
    key_id: Option<String>,
    #[cfg(feature = "test-panic")]
    panic_at: Vec<u8>,
}

impl HttpCall {
    /// A stream that has just begun.
    pub fn new(gateway: Rc<Gateway>, context: u32) -> Self {
        Self {
            gateway,
            context,
            call: None,
            slot: None,
            asking: Asking::No,
            ticket: Ticket::default(),
            parked: None,
            refused: None,
            received: 0,
            content_length: None,
            posts: false,
            request_ended: false,
            response_ended: false,
            status: 0,
            may_ask: false,
            left: false,
            cut: Cut::No,
            turn_since_ms: None,
            spent: None,
            pinged: false,
        }
    }

    /// Reads all request headers in one host call; removes those that speak of attribution.
    fn read_request_head(&self) -> (RequestHead, AttributionReader<'_>) {
        let mut head = RequestHead { is_json: true, ..RequestHead::default() };
        let mut reader = AttributionReader::new(&self.gateway.config.attribution);
        let pairs = host::header_pairs(Headers::Request).unwrap_or_default();
        if pairs.iter().next().is_none() {
            self.gateway.count("tollgate_requests_unread_total");
        }
        for (name, value) in pairs.iter() {
            match name {
                b":method" => head.method = value.to_vec(),
                b":path" => head.path = String::from_utf8_lossy(value).into_owned(),
                b":authority" => head.authority = String::from_utf8_lossy(value).into_owned(),
                b"content-type" => {
                    head.is_json = contains(value, b"json");
                    head.is_form = contains(value, b"form-data");
                }
                b"content-length" => {
                    let text = std::str::from_utf8(value).ok();
                    head.content_length = text.and_then(|length| length.parse().ok());
                }
                b"content-encoding" => head.encoded = value != b"identity",
                b"authorization" | b"x-api-key" | b"x-goog-api-key" | b"api-key" => {
                    let key = key_id::key_in(name, value);
                    head.key_id =
                        key.and_then(|key| key_id::key_id(&self.gateway.key_secret, key)).or(head.key_id);
                }
                #[cfg(feature = "test-panic")]
                b"x-tollgate-test-panic" => head.panic_at = value.to_vec(),
                _ => {}
            }
            let Ok(text) = std::str::from_utf8(name) else { continue };
            let handled = match reader.header(text, value) {
                Handling::Keep => Ok(()),
                Handling::Remove => host::remove_header(Headers::Request, name),
                Handling::Replace(rest) => host::set_header(Headers::Request, text, &rest),
            };
            if handled.is_err() {
                log::warn!("attribution header {text} could not be removed");
            }
        }
        (head, reader)
    }

    fn begin(&self, head: &RequestHead, reader: AttributionReader<'_>, now_ms: u64) -> Option<Call> {
        // Before the route is asked for: a changed header makes Envoy choose it anew.
        let _ = host::set_header(Headers::Request, "accept-encoding", b"identity");
        let configured = PROVIDER_PROPERTIES.iter().find_map(|path| text_property(path));
        let target = Target::recognise(configured.as_deref(), &head.authority, &head.path);
        // Reading lists is no call; an unknown POST may be one, and fetching a result and a session are.
        let known = target.fetches.is_some() || target.api == Api::Deferred || target.api.is_session();
        if head.method != b"POST" && !(head.method == b"GET" && known) {
            return None;
        }
        let (mut attribution, mut source) = reader.finish();
        for trusted in &self.gateway.config.trusted {
            let path = trusted.property.join("\0");
            if let Ok(value) = host::property(path.as_bytes())
                && !value.is_empty()
            {
                set_trusted(&mut attribution, trusted.field, &value);
                source = stronger(source, trusted.source);
            }
        }
        if let Some(work) = target.fetches.as_deref().and_then(deferred::recall) {
            (attribution, source) = (work.attribution, work.source);
        }
        let mut call = Call::begin(self.gateway.call_id(now_ms), now_ms, target, &head.path);
        call.attribute(attribution, source);
        call.use_key(head.key_id.clone());
        if call.target().api.is_session() {
            call.request().session();
        } else if let Some(key) = self.gateway.print_key {
            call.request().print(key);
        }
        if head.encoded || !(head.is_json || head.is_form) {
            call.request().unread();
        }
        self.gateway.budgets.meet(&self.gateway.config, now_ms);
        if !self.gateway.budgets.is_idle() {
            call.request().watch_bounds();
        }
        Some(call)
    }

    /// The whole request is known: may the call go on? From there on the provider may charge for it. A call that may not
    /// be answered `Continue` keeps its last piece here.
    fn request_ended(&mut self) -> Action {
        if self.parked.is_some() || self.refused.is_some() {
            return Action::Pause;
        }
        if std::mem::replace(&mut self.request_ended, true) {
            return Action::Continue;
        }
        let Some(call) = &self.call else { return Action::Continue };
        let now_ms = host::now_ms();
        match self.gateway.decide(call, false, false, now_ms) {
            Decision::Go(ticket) => {
                self.slot = self.gateway.note(call, &ticket, now_ms);
                self.ticket = ticket;
                Action::Continue
            }
            Decision::Refuse(refused) => self.refuse(refused, now_ms),
            Decision::Wait if self.gateway.waiting.has_room() => {
                if let Some(call) = self.call.take() {
                    self.parked = Some(self.gateway.waiting.park(self.context, call, now_ms));
                    let gateway = Rc::clone(&self.gateway);
                    gateway.waiting.ask(&gateway, self, self.context, now_ms);
                }
                Action::Pause
            }
            Decision::Wait => {
                let decision = self.gateway.decide(call, true, true, now_ms);
                match decision {
                    Decision::Go(ticket) => {
                        self.slot = self.gateway.note(call, &ticket, now_ms);
                        self.ticket = ticket;
                        Action::Continue
                    }
                    Decision::Refuse(refused) => self.refuse(refused, now_ms),
                    Decision::Wait => Action::Continue,
                }
            }
        }
    }

    fn refuse(&mut self, refused: Refused, now_ms: u64) -> Action {
        if let Some(call) = &self.call {
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

    fn settle(&mut self) {
        self.gateway.waiting.ended(self.context);
        self.unpark();
        if self.call.is_none() {
            return;
        }
        let now_ms = host::now_ms();
        if let Some(refused) = self.refused.take() {
            return self.settle_refused(&refused, now_ms);
        }
        // Results of a batch are one record, which is claimed as a whole.
        if self.call.as_ref().is_some_and(|call| call.target().api.is_session()) {
            self.settle_turns(now_ms);
        }
        let Some(mut call) = self.call.take() else { return };
        let ticket = std::mem::take(&mut self.ticket);
        let book = self.gateway.book();
        let end = End {
            ending: match (self.left, self.cut) {
                (true, _) => Ending::NotSent,
                // No provider works on a request that never came to its end.
                (false, _) if !self.request_ended && self.status == 0 => Ending::NotSent,
                // The provider is hung up on.
                (false, Cut::Closed) => Ending::ClientAbort,
                (false, _) => self.ending(),
            },
            now_ms,
            attempts: number_property(b"upstream\0request_attempt_count"),
            charge_retries: self.gateway.config.charge_retries,
        };
        let mut record = self.gateway.settle(&mut call, end, book.as_deref());
        if self.cut != Cut::No {
            record.notes.push(Note::EndedByBudget);
        }
        record.policy_version = Some(ticket.policy_version.clone()).filter(|version| !version.is_empty());
        let is_recorded = self.is_recorded(&call, &mut record);
        let ended = (!ticket.held.is_empty())
            .then(|| self.gateway.budgets.settle(&ticket, is_recorded.then_some(&record)));
        let is_owed = call.target().fetches.is_some() || call.target().api.is_session();
        if ended.is_none() && is_recorded && is_owed {
            self.gateway.budgets.charge(&call, &record, now_ms);
        }
        if is_recorded {
            let json = record.to_json();
            show_in_access_log(&self.gateway.config.access_log, &record, &json);
            self.gateway.keep(&record, &json, self.slot.take(), ended.as_deref(), now_ms);
        } else if let Some(slot) = self.slot.take() {
            self.gateway.clear(slot, now_ms);
        }
        if ticket.tight {
            self.gateway.settle_due(now_ms);
        }
    }

    fn settle_refused(&mut self, refused: &Refused, now_ms: u64) {
        let Some(call) = self.call.take() else { return };
        let status = refused.status.unwrap_or_else(|| refused.reason.status());
        let mut record = call.denied(&self.gateway.config.gateway, status, now_ms);
        record.policy_version = self.gateway.budgets.policy().map(|policy| policy.version.clone());
        let json = record.to_json();
        show_in_access_log(&self.gateway.config.access_log, &record, &json);
        self.gateway.keep(&record, &json, None, None, now_ms);
    }

    /// Whether a call that has ended leaves a record of its own. Work that it started is remembered; work that it
    /// fetched is charged once.
    fn is_recorded(&self, call: &Call, record: &mut UsageRecord) -> bool {
        let (attribution, source) = call.attribution();
        let ids = call.leads_to();
        // Who only asks after work has not started it: the results that it is told of are for who did.
        let owner = ids.iter().find_map(|id| deferred::recall(id));
        let (starter, trust) =
            owner.as_ref().map_or((attribution, source), |work| (&work.attribution, work.source));
        for id in &ids {
            deferred::remember(id, starter, trust);
        }
        if let Some(id) = &call.target().fetches {
            record.notes.push(Note::Deferred);
            // What was fetched in part is fetched again.
            let whole = record.outcome == CallOutcome::Ok;
            return whole && call.is_reported() && deferred::claim(id, attribution, source);
        }
        let asks = call.target().api == Api::Deferred && !self.posts;
        !asks && !call.is_settled_by_turns()
    }

    /// How the exchange ended. Envoy's details tell an abort from an end, and a provider's answer from its own.
    fn ending(&self) -> Ending {
        if self.response_ended && self.status < 400 {
            return Ending::Complete;
        }
        let details = text_property(b"response\0code_details").unwrap_or_default();
        ending_of(&details, self.response_ended)
    }
}

impl Context for HttpCall {
    fn on_http_call_response(&mut self, _call: u32, _headers: usize, body_size: usize, _trailers: usize) {
        let status = host::header(Headers::CallResponse, ":status").unwrap_or_default();
        let body = host::buffer(Buffer::CallResponseBody, body_size).unwrap_or_default();
        let gateway = Rc::clone(&self.gateway);
        gateway.waiting.answered(&gateway, self, (&status, &body), self.context, host::now_ms());
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
        let (head, reader) = self.read_request_head();
        #[cfg(feature = "test-panic")]
        ask_to_panic(&head.panic_at);
        self.call = self.begin(&head, reader, now_ms);
        self.posts = head.method == b"POST";
        panic_if_asked("request_headers");
        if self.call.is_some() {
            if self.call.as_ref().is_some_and(|call| call.target().api.is_session()) {
                // Compressed messages could not be read.
                let _ = host::remove_header(Headers::Request, b"sec-websocket-extensions");
            }
            let is_session = self.call.as_ref().is_some_and(|call| call.target().api.is_session());
            self.content_length = head.content_length;
            self.may_ask =
                self.call.as_ref().is_some_and(|call| include_usage::is_needed(call.target(), &head.path));
            if end_of_stream || is_session {
                return self.request_ended();
            }
            if self.gathers(&head) {
                self.asking = Asking::Gathering(0);
                if self.gateway.config.pause_headers {
                    return Action::Pause;
                }
                if host::remove_header(Headers::Request, b"content-length").is_err() {
                    self.asking = Asking::No;
                }
            } else if let Some(refused) =
                self.call.as_ref().and_then(|call| self.gateway.budgets.spent_already(call, now_ms))
            {
                // What is not gathered passes as it comes: nothing of it is to, where the answer is known.
                return self.refuse(refused, now_ms);
            }
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        panic_if_asked("request_body");
        if self.parked.as_ref().is_some_and(|parked| parked.borrow().outcome.is_some()) {
            self.unpark();
        }
        if self.parked.is_some() || self.refused.is_some() {
            return Action::Pause;
        }
        if let Asking::Gathering(read) = self.asking {
            return self.gather(read, size, end_of_stream);
        }
        if self.turn_since_ms.is_some() {
            self.hold_turn(host::now_ms());
        }
        if self.silence(size) {
            return Action::Continue;
        }
        if let Some(call) = &mut self.call
            && (!self.request_ended || call.target().api.is_session())
        {
            feed(call, 0, size);
        }
        self.received = self.received.saturating_add(size);
        let is_last = self.content_length.is_some_and(|length| self.received >= length);
        if end_of_stream || is_last { self.request_ended() } else { Action::Continue }
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.request_ended()
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        self.unpark();
        if self.refused.is_some() {
            return Action::Continue;
        }
        if let Some(call) = &mut self.call {
            let pairs = host::header_pairs(Headers::Response).unwrap_or_default();
            let text = |name: &str| {
                let (_, value) = pairs.iter().find(|(known, _)| *known == name.as_bytes())?;
                std::str::from_utf8(value).ok().map(str::to_owned)
            };
            self.status = text(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
            let (content_type, content_encoding) = (text("content-type"), text("content-encoding"));
            let head = ResponseHead {
                status: self.status,
                content_type: content_type.as_deref(),
                content_encoding: content_encoding.as_deref(),
                header: &text,
            };
            call.response_head(&head, host::now_ms());
            let is_stream = content_type.is_some_and(|kind| kind.starts_with("text/event-stream"));
            if let Asking::Asked(_) = self.asking {
                let may = is_stream && content_encoding.is_none() && self.status == 200;
                if !may || host::remove_header(Headers::Response, b"content-length").is_err() {
                    self.asking = Asking::No;
                }
            }
            let _ = host::set_header(Headers::Response, "x-tollgate-call", call.id().as_bytes());
            if let Some(warning) = &self.ticket.warning {
                let _ = host::set_header(Headers::Response, "x-tollgate-warning", warning.as_bytes());
            }
        }
        panic_if_asked("response_headers");
        self.response_ended |= end_of_stream;
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if self.refused.is_some() {
            return Action::Continue;
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
        self.response_ended |= end_of_stream;
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        self.response_ended = true;
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

/// The stronger of two sources.
fn stronger(one: AttributionSource, other: AttributionSource) -> AttributionSource {
    let strength = |source: AttributionSource| match source {
        AttributionSource::Verified => 4,
        AttributionSource::Key => 3,
        AttributionSource::Route => 2,
        AttributionSource::SelfDeclared => 1,
        AttributionSource::None => 0,
    };
    if strength(other) > strength(one) { other } else { one }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// Where `provider` may be configured, the route before the cluster.
const PROVIDER_PROPERTIES: &[&[u8]] = &[
    b"xds\0route_metadata\0filter_metadata\0tollgate\0provider",
    b"xds\0cluster_metadata\0filter_metadata\0tollgate\0provider",
];

/// So long after its caller was told, an answer that a budget ends is closed.
const TOLD_MS: u64 = 200;

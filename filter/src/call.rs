//! One HTTP stream: Envoy's callbacks translated for `tollgate_core::call::Call`.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use tollgate_core::attribution::{AttributionReader, AttributionSource, Handling, set_trusted};
use tollgate_core::call::{Call, End, Ending, ResponseHead};
use tollgate_core::gateway::AccessLogValue;
use tollgate_core::include_usage::{self, UsageChunkFilter};
use tollgate_core::provider::{Api, Target};
use tollgate_core::record::{Note, UsageRecord};

use crate::deferred;
use crate::host::{self, Buffer, Headers};
use crate::lane::JournalSlot;
use crate::root::Gateway;

/// A stream; a call only where the request is one to a model.
pub struct HttpCall {
    gateway: Rc<Gateway>,
    call: Option<Call>,
    slot: Option<JournalSlot>,
    asking: Asking,
    /// The request is a `POST`.
    posts: bool,
    request_ended: bool,
    response_ended: bool,
    status: u16,
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
    encoded: bool,
    #[cfg(feature = "test-panic")]
    panic_at: Vec<u8>,
}

impl HttpCall {
    /// A stream that has just begun.
    pub const fn new(gateway: Rc<Gateway>) -> Self {
        Self {
            gateway,
            call: None,
            slot: None,
            asking: Asking::No,
            posts: false,
            request_ended: false,
            response_ended: false,
            status: 0,
        }
    }

    /// Reads all request headers in one host call; removes those that speak of attribution.
    fn read_request_head(&self) -> (RequestHead, AttributionReader<'_>) {
        let mut head = RequestHead { is_json: true, ..RequestHead::default() };
        let mut reader = AttributionReader::new(&self.gateway.config.attribution);
        let Ok(pairs) = host::header_pairs(Headers::Request) else { return (head, reader) };
        for (name, value) in pairs.iter() {
            match name {
                b":method" => head.method = value.to_vec(),
                b":path" => head.path = String::from_utf8_lossy(value).into_owned(),
                b":authority" => head.authority = String::from_utf8_lossy(value).into_owned(),
                b"content-type" => head.is_json = contains(value, b"json"),
                b"content-length" => {
                    let text = std::str::from_utf8(value).ok();
                    head.content_length = text.and_then(|length| length.parse().ok());
                }
                b"content-encoding" => head.encoded = value != b"identity",
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
        if head.encoded || !head.is_json {
            call.request().unread();
        }
        Some(call)
    }

    /// Whether this request is to wait for its whole body, so that usage can be asked for.
    fn may_ask(&self, head: &RequestHead) -> bool {
        let Some(call) = self.call.as_ref().filter(|_| self.gateway.config.include_usage) else {
            return false;
        };
        let small = head.content_length.is_some_and(|length| length <= GATHERED_BYTES_MAX);
        small && head.is_json && !head.encoded && include_usage::is_needed(call.target(), &head.path)
    }

    /// Reads the body as it gathers; at its end puts the question into it.
    fn gather(&mut self, read: usize, size: usize, end_of_stream: bool) -> Action {
        if let Some(call) = &mut self.call
            && size > read
            && let Ok(piece) = host::buffer_from(Buffer::RequestBody, read, size - read)
        {
            call.request().feed(&piece);
        }
        if !end_of_stream {
            self.asking = Asking::Gathering(size);
            return Action::Pause;
        }
        self.asking = Asking::No;
        if self.call.as_mut().is_some_and(|call| call.request().stream())
            && text_property(INCLUDE_USAGE_PROPERTY).as_deref() != Some("off")
            && let Ok(body) = host::buffer(Buffer::RequestBody, size)
            && let Some(asked) = include_usage::asked(&body)
            && host::set_buffer(Buffer::RequestBody, size, &asked).is_ok()
        {
            if self.gateway.config.pause_headers {
                let _ =
                    host::set_header(Headers::Request, "content-length", asked.len().to_string().as_bytes());
            }
            self.asking = Asking::Asked(UsageChunkFilter::default());
        }
        self.request_ended();
        Action::Continue
    }

    /// Takes the chunk that nobody asked for out of a piece of the answer.
    fn take_out(&mut self, piece: &[u8], end_of_stream: bool) {
        let Asking::Asked(filter) = &mut self.asking else { return };
        let mut out = filter.feed(piece);
        if end_of_stream {
            out.extend(filter.finish());
        }
        if out != piece {
            let _ = host::set_buffer(Buffer::ResponseBody, piece.len(), &out);
        }
    }

    /// The whole request has passed: from now on the provider may charge for it.
    fn request_ended(&mut self) {
        if !std::mem::replace(&mut self.request_ended, true)
            && let Some(call) = &self.call
        {
            self.slot = self.gateway.note(call, host::now_ms());
        }
    }

    /// The turns of a session get records of their own, as they end.
    fn settle_turns(&mut self, now_ms: u64) {
        let Some(call) = &mut self.call else { return };
        let gateway = &self.gateway;
        let book = gateway.book();
        for record in
            call.take_turns(&gateway.config.gateway, book.as_deref(), now_ms, || gateway.call_id(now_ms))
        {
            gateway.keep(&record, &record.to_json(), None, now_ms);
        }
    }

    fn settle(&mut self) {
        if self.call.is_none() {
            return;
        }
        let now_ms = host::now_ms();
        self.settle_turns(now_ms);
        let Some(mut call) = self.call.take() else { return };
        let book = self.gateway.book();
        let end = End {
            ending: self.ending(),
            now_ms,
            attempts: number_property(b"upstream\0request_attempt_count"),
            charge_retries: self.gateway.config.charge_retries,
        };
        let mut record = self.gateway.settle(&mut call, end, book.as_deref());
        if !self.is_recorded(&call, &mut record) {
            if let Some(slot) = self.slot.take() {
                self.gateway.clear(slot, now_ms);
            }
            return;
        }
        let json = record.to_json();
        show_in_access_log(&self.gateway.config.access_log, &record, &json);
        self.gateway.keep(&record, &json, self.slot.take(), now_ms);
    }

    /// Whether a call that has ended leaves a record of its own. Work that it started is remembered; work that it
    /// fetched is charged once.
    fn is_recorded(&self, call: &Call, record: &mut UsageRecord) -> bool {
        let (attribution, source) = call.attribution();
        for id in call.leads_to() {
            deferred::remember(&id, attribution, source);
        }
        if let Some(id) = &call.target().fetches {
            record.notes.push(Note::Deferred);
            return call.is_reported() && deferred::claim(id, attribution, source);
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
            if end_of_stream {
                self.request_ended();
            } else if self.may_ask(&head) {
                self.asking = Asking::Gathering(0);
                if self.gateway.config.pause_headers {
                    return Action::Pause;
                }
                let _ = host::remove_header(Headers::Request, b"content-length");
            }
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        panic_if_asked("request_body");
        if let Asking::Gathering(read) = self.asking {
            return self.gather(read, size, end_of_stream);
        }
        if let Some(call) = &mut self.call
            && size > 0
            && let Ok(piece) = host::buffer(Buffer::RequestBody, size)
        {
            call.request().feed(&piece);
        }
        if end_of_stream {
            self.request_ended();
        }
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.request_ended();
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
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
                if is_stream && content_encoding.is_none() && self.status == 200 {
                    let _ = host::remove_header(Headers::Response, b"content-length");
                } else {
                    self.asking = Asking::No;
                }
            }
            let _ = host::set_header(Headers::Response, "x-tollgate-call", call.id().as_bytes());
        }
        panic_if_asked("response_headers");
        self.response_ended |= end_of_stream;
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if let Some(call) = &mut self.call
            && size > 0
            && let Ok(piece) = host::buffer(Buffer::ResponseBody, size)
        {
            call.response_body(&piece);
            if call.target().api.is_session() {
                self.settle_turns(host::now_ms());
            }
            self.take_out(&piece, end_of_stream);
        } else if end_of_stream {
            self.take_out(&[], true);
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

/// Envoy's response code details, sorted (Envoy's documentation, "Response Code Details", and its source
/// `stream_info.h`, read 2026-11-23).
fn ending_of(details: &str, response_ended: bool) -> Ending {
    let is = |words: &[&str]| words.iter().any(|word| details.contains(word));
    if details == "via_upstream" && response_ended {
        Ending::Complete
    } else if is(&["downstream", "http2.remote_re", "http3.remote_re", "codec_error"]) {
        Ending::ClientAbort
    } else if is(&["connection_failure", "overflow", "no_healthy_upstream", "no_cluster"]) {
        Ending::NotSent
    } else if is(&["upstream", "timeout", "response_payload_too_large"]) || !response_ended {
        Ending::UpstreamAbort
    } else {
        Ending::NotSent
    }
}

/// Values for `%FILTER_STATE(wasm.tollgate.…:PLAIN)%`, those that the configuration names.
fn show_in_access_log(shown: &[AccessLogValue], record: &UsageRecord, json: &[u8]) {
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    for value in shown {
        let text = match value {
            AccessLogValue::Record => {
                let _ = host::set_filter_state(value.filter_state(), json);
                continue;
            }
            AccessLogValue::Call => record.id.clone(),
            AccessLogValue::Agent => record.attribution.agent.clone(),
            AccessLogValue::Team => record.attribution.team.clone(),
            AccessLogValue::Feature => record.attribution.feature.clone(),
            AccessLogValue::Environment => record.attribution.environment.clone(),
            AccessLogValue::Model => record.model().unwrap_or_default().to_owned(),
            AccessLogValue::InputTokens => number(record.usage.input_tokens),
            AccessLogValue::OutputTokens => number(record.usage.output_tokens),
            AccessLogValue::Cost => record.cost_usd.to_string(),
            AccessLogValue::CostStatus => record.cost_status.name().to_owned(),
        };
        let _ = host::set_filter_state(value.filter_state(), text.as_bytes());
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

fn text_property(path: &[u8]) -> Option<String> {
    let value = host::property(path).ok().filter(|value| !value.is_empty())?;
    String::from_utf8(value).ok()
}

/// A whole number attribute: eight bytes, little endian.
fn number_property(path: &[u8]) -> Option<u32> {
    let value = host::property(path).ok()?;
    u32::try_from(crate::shared::read_number(&value)?).ok()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// Where `provider` may be configured, the route before the cluster.
const PROVIDER_PROPERTIES: &[&[u8]] = &[
    b"xds\0route_metadata\0filter_metadata\0tollgate\0provider",
    b"xds\0cluster_metadata\0filter_metadata\0tollgate\0provider",
];

/// Where a route switches the question for usage off.
const INCLUDE_USAGE_PROPERTY: &[u8] = b"xds\0route_metadata\0filter_metadata\0tollgate\0include_usage";
/// Largest request that waits for its whole body, in bytes: well below Envoy's default buffer of 1 MiB.
const GATHERED_BYTES_MAX: usize = 256 * 1024;

#[cfg(feature = "test-panic")]
thread_local! {
    static PANIC_AT: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(feature = "test-panic")]
fn ask_to_panic(callback: &[u8]) {
    if !callback.is_empty() {
        PANIC_AT.with(|at| *at.borrow_mut() = callback.to_vec());
    }
}

/// In test builds: dies in the callback that a request named.
#[cfg(feature = "test-panic")]
#[allow(clippy::panic)] // what this build is for
pub fn panic_if_asked(callback: &str) {
    if PANIC_AT.with(|at| *at.borrow() == callback.as_bytes()) {
        panic!("asked to in {callback}");
    }
}

/// In test builds: dies in the callback that a request named.
#[cfg(not(feature = "test-panic"))]
pub const fn panic_if_asked(_callback: &str) {}

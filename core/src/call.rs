//! One call, from admission to its usage record.
//!
//! The filter feeds it from Envoy's callbacks and `tollgate meter` from a recording; both settle it here.
//!
//! Long: each step of a call is a method of one type; admission, measures, doubts, turns and refusals have
//! files of their own.

pub mod admission;
mod caller;
mod deferred;
mod doubts;
#[cfg(feature = "book")]
pub mod explained;
mod measure;
pub mod refusal;
mod rewritten;
mod ruled;
mod turns;
mod unseen;

use std::cell::{OnceCell, RefCell};

use crate::answer::meter::{Body, Meter};
use crate::answer::wire::Normalised;
use crate::attribution::{Attribution, AttributionSource};
use crate::budget::Amount;
use crate::estimate::{Learned, Passed};
use crate::price::PriceBook;
use crate::price::charge::CostStatus;
use crate::provider::{Api, Target, cancels, is_stored_chat, pays_at_start};
use crate::record::{Admitted, Head, Note, Outcome, UsageRecord};
use crate::request::RequestMeter;
use crate::usage::Usage;
pub use caller::trust;
pub use deferred::Fetched;
use measure::{Consumed, Measure, beside, cut_short, doubtful, session};
pub use ruled::{Identity, OfRun, identify};

/// A call under way. Holds the bounded state of a request meter and an answer's meter, and short strings.
///
/// ```
/// use tollgate_core::call::{Call, End, Ending, ResponseHead};
/// use tollgate_core::estimate::Learned;
/// use tollgate_core::price::CostStatus;
/// use tollgate_core::provider::Target;
///
/// let path = "/v1/chat/completions";
/// let target = Target::recognise(None, "api.openai.com", path);
/// let mut call = Call::begin("id".into(), 1_000, target, path);
/// call.request().feed(br#"{"model":"gpt-5-mini","messages":[{"content":"hello"}]}"#);
/// let head = ResponseHead {
///     status: 200,
///     content_type: Some("application/json"),
///     content_encoding: None,
///     header: &|_| None,
/// };
/// call.response_head(&head, 1_010);
/// call.response_body(br#"{"model":"gpt-5-mini","usage":{"prompt_tokens":7,"completion_tokens":2}}"#);
/// let end = End { ending: Ending::Complete, now_ms: 1_020, attempts: Some(1), charge_retries: false };
/// let record = call.settle(end, "edge-1", None, &mut Learned::default());
/// assert_eq!(record.usage.output_tokens, Some(2));
/// // Without a price book a call has no price. It is not free.
/// assert_eq!(record.cost_status, CostStatus::Unpriced);
/// ```
#[derive(Debug)]
pub struct Call {
    id: String,
    time_ms: u64,
    attribution: Attribution,
    attribution_source: AttributionSource,
    key_id: Option<String>,
    target: Target,
    path_streams: bool,
    /// Starts a run of a thread, or goes on with one.
    runs: bool,
    /// Goes on with work that another call started, or ends it.
    continues: bool,
    /// The page of results that it asks for.
    page: Option<String>,
    /// It started work in the background and listened, but not to its end.
    left_behind: bool,
    /// Ends such work.
    cancels: bool,
    /// Has the path of a cancel, or of a stored chat, which cost nothing.
    looks_free: bool,
    /// Only reads.
    reads: bool,
    /// Its path starts work whose price no later answer through here shows.
    pays_at_start: bool,
    request: RequestMeter,
    answer: Option<Box<Answer>>,
    /// Turns of a session have records of their own.
    turns_taken: bool,
    /// The model that was last asked for in a session.
    last_model: Option<String>,
    /// Turns of a session that it was asked for and that have not ended, where they are no calls of their
    /// own; and when the last of them was asked for, or ended.
    asked: u32,
    asked_ms: u64,
    /// How much of a session that is charged by the second has been told in turns, in milliseconds.
    voice_told_ms: u64,
    /// What its models are called by the price book, where budgets are for some models.
    meant: OnceCell<Meant>,
    /// What rules said of it.
    ruled: RefCell<Ruled>,
}

/// Rules that refused a call, or would have.
#[derive(Clone, Debug, Default)]
struct Ruled {
    refused_by: Option<String>,
    noted_by: Vec<String>,
    /// How what it said differs from who makes it.
    identity: Identity,
    /// The model that was asked for, where another one was put in its place.
    stepped_down_from: Option<String>,
    /// Rules that changed its request.
    changed_by: Vec<String>,
    /// A lower output limit waits for its price.
    awaits_clamp: bool,
    /// What it may cost at most, where that was asked for.
    worst: Option<Amount>,
}

/// The models of a call, by the names of the price book.
#[derive(Debug, Default)]
struct Meant {
    /// Id of the row of its model, where it names one.
    row: Option<String>,
    /// Names and rows of all, where it names several.
    others: Vec<String>,
    /// One of them is the customer's own, and has no row.
    any_model: bool,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    first_byte_ms: u64,
    content_type: Content,
    encoded: bool,
    /// Its length was told, so that it was whole before it came.
    has_length: bool,
    meter: Meter,
}

/// What a content type promises.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Content {
    Json,
    EventStream,
    Other,
}

/// The head of a provider's answer.
#[derive(Clone, Copy)]
pub struct ResponseHead<'a> {
    /// HTTP status.
    pub status: u16,
    /// `content-type`.
    pub content_type: Option<&'a str>,
    /// `content-encoding`.
    pub content_encoding: Option<&'a str>,
    /// Any other header, by its lower-case name: some providers count there.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

/// How an exchange ended, as the gateway saw it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// The answer came to its end.
    Complete,
    /// The caller left before the end.
    ClientAbort,
    /// The provider or the network broke off, or a timeout did, after the request was sent.
    UpstreamAbort,
    /// Nothing was ever sent to a provider: the gateway itself answered.
    NotSent,
}

/// What the gateway knows of a call's end.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// How it ended.
    pub ending: Ending,
    /// When, Unix milliseconds UTC.
    pub now_ms: u64,
    /// Attempts that were made upstream, where the gateway counts them.
    pub attempts: Option<u32>,
    /// Whether attempts that were not seen may have cost something.
    pub charge_retries: bool,
}

impl Call {
    /// A call that is admitted now. `id` is a UUIDv7, `time_ms` Unix milliseconds UTC.
    pub fn begin(id: String, time_ms: u64, target: Target, path: &str) -> Self {
        let (path_alone, query) = path.split_once('?').unwrap_or((path, ""));
        let mut request = RequestMeter::default();
        if target.api == Api::Speech {
            request.count_characters();
        }
        let cancels = (target.fetches.is_some() || target.api == Api::Deferred) && cancels(path);
        Self {
            looks_free: cancels || target.api == Api::Files && is_stored_chat(path),
            pays_at_start: target.api == Api::Deferred && pays_at_start(path),
            runs: path_alone.ends_with("/runs") || path_alone.ends_with("/submit_tool_outputs"),
            cancels: cancels && target.api == Api::Deferred,
            reads: false,
            continues: CONTINUES.iter().any(|verb| path_alone.ends_with(verb)),
            page: deferred::page(query),
            left_behind: false,
            id,
            time_ms,
            attribution: Attribution::default(),
            attribution_source: AttributionSource::None,
            key_id: None,
            target,
            path_streams: path.contains(':') && path.contains(":stream"),
            request,
            answer: None,
            turns_taken: false,
            last_model: None,
            asked: 0,
            asked_ms: time_ms,
            voice_told_ms: 0,
            meant: OnceCell::new(),
            ruled: RefCell::default(),
        }
    }

    /// Says who makes it.
    pub fn attribute(&mut self, attribution: Attribution, source: AttributionSource) {
        self.attribution = attribution;
        self.attribution_source = source;
    }

    /// Says that it only reads, as a `GET` without a body does: that starts nothing.
    pub const fn reads(&mut self) {
        self.reads = true;
    }

    /// Its request has come. What has the path of a cancel, or of a stored chat, and asks for an answer all
    /// the same, is the call that a lenient server takes it for.
    pub fn request_came(&mut self) {
        if !self.looks_free || !self.request.asks_for_an_answer() {
            return;
        }
        (self.looks_free, self.cancels, self.target.fetches) = (false, false, None);
        if self.target.api == Api::Files {
            self.target.api = Api::ChatCompletions;
        }
    }

    /// Says which provider key it uses: see [`crate::attribution::key_id`].
    pub fn use_key(&mut self, key_id: Option<String>) {
        self.key_id = key_id;
    }

    /// The call id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it was admitted, Unix milliseconds UTC.
    pub const fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// What it is addressed to.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The request's body, to be fed.
    pub const fn request(&mut self) -> &mut RequestMeter {
        &mut self.request
    }

    /// The answer's head came. A second head (after an upgrade or an informational answer) replaces the
    /// first.
    pub fn response_head(&mut self, head: &ResponseHead<'_>, now_ms: u64) {
        self.request_came();
        // A run that streams has ended with its stream, which says what it used.
        if self.runs && self.target.api == Api::Deferred && self.request.stream() {
            self.target.api = Api::Responses;
        }
        let encoding = head.content_encoding.filter(|encoding| !matches!(encoding.trim(), "" | "identity"));
        let mut meter = Meter::new(&self.target.provider, self.target.api);
        if let Some(encoding) = encoding {
            meter.encoded(encoding);
        }
        if head.content_type.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            meter.says_events();
        }
        if head.status == SWITCHING_PROTOCOLS {
            meter.upgraded();
        }
        meter.headers(head.header);
        self.target.answers_for(head.header);
        self.answer = Some(Box::new(Answer {
            status: head.status,
            first_byte_ms: now_ms.saturating_sub(self.time_ms),
            content_type: Content::of(head.content_type.unwrap_or_default()),
            encoded: encoding.is_some(),
            has_length: (head.header)("content-length").is_some(),
            meter,
        }));
    }

    /// A piece of the answer's body came.
    pub fn response_body(&mut self, bytes: &[u8]) {
        let names_late = matches!(self.target.api, Api::Live | Api::GenerateContent);
        let asked_for = self.target.path_model.as_deref().or_else(|| self.request.model());
        if let Some(answer) = &mut self.answer {
            if let Some(model) = asked_for.filter(|_| names_late) {
                answer.meter.asks_for(model);
            }
            if let Some(model) = self.request.transcription_model() {
                answer.meter.transcribes(model);
            }
            answer.meter.feed(bytes);
        }
    }

    /// Whether the answer comes as it is made, so that more of it costs more. One that was made as a whole is
    /// ended by nobody.
    pub fn answer_runs(&self) -> bool {
        self.answer.as_deref().is_some_and(|answer| match answer.meter.body() {
            Body::Sse | Body::EventStream | Body::WebSocket => true,
            _ => self.streams() && !answer.has_length,
        })
    }

    /// A piece of the answer's body came that could not be read: what follows cannot be relied on.
    pub fn response_lost(&mut self) {
        if let Some(answer) = &mut self.answer {
            answer.meter.lose();
        }
    }

    /// What the gateway notes before the call's end, with its whole cost still open. A gateway that dies
    /// before the call is settled leaves this behind.
    pub fn journal_entry(&self, gateway: &str) -> Vec<u8> {
        let api = self.target.api;
        let charged = !self.is_free()
            && api != Api::Deferred
            && self.target.fetches.is_none()
            && !self.request.background();
        // A recovered record does not tell the key.
        let head = Head { key_id: None, ..self.head(gateway) };
        let input_estimate = self.request.input_estimate().filter(|_| charged);
        Admitted { head: &head, input_estimate }.entry()
    }

    /// The head of its record, as far as it is known before its end.
    fn head(&self, gateway: &str) -> Head {
        Head {
            id: self.id.clone(),
            time_ms: self.time_ms,
            gateway: gateway.to_owned(),
            attribution: self.attribution.clone(),
            attribution_source: self.attribution_source,
            key_id: self.key_id.clone(),
            provider: self.target.provider.clone().into_owned(),
            operation: self.target.api.operation().to_owned(),
            request_model: self.request_model().map(str::to_owned),
            // Named, as a default would make names of who spent, only to drop them.
            response_model: None,
            service_tier: None,
        }
    }

    /// The record of this call as far as it is known before its end. What a session says is no request that
    /// could be made again.
    fn pending(&self, gateway: &str) -> UsageRecord {
        let prints = !self.target.api.is_session();
        let Ruled {
            refused_by,
            mut noted_by,
            identity,
            stepped_down_from,
            changed_by,
            awaits_clamp: _,
            worst: _,
        } = self.ruled.borrow().clone();
        noted_by.extend(changed_by);
        noted_by.extend(identity.notes().map(str::to_owned));
        UsageRecord {
            head: self.head(gateway),
            refused_by,
            stepped_down_from,
            noted_by,
            prompt: self.request.prompt().filter(|_| prints),
            request_hash: self.request.hash().filter(|_| prints),
            ..UsageRecord::default()
        }
    }

    /// Whether the provider has reported counts so far.
    pub fn is_reported(&self) -> bool {
        self.answer.as_deref().is_some_and(|answer| answer.meter.reported().is_some())
    }

    /// Who makes it, as far as it is known.
    pub const fn attribution(&self) -> (&Attribution, AttributionSource) {
        (&self.attribution, self.attribution_source)
    }

    /// Whether it began a run of a thread that answers at once: work for which nothing was held.
    pub fn is_streamed_run(&self) -> bool {
        self.runs && self.target.api != Api::Deferred
    }

    /// Ends the call. Without a `book` everything is unpriced. What was measured is learned from.
    pub fn settle(
        &mut self,
        end: End,
        gateway: &str,
        book: Option<&PriceBook>,
        learned: &mut Learned,
    ) -> UsageRecord {
        if end.ending == Ending::Complete
            && let Some(answer) = &mut self.answer
        {
            answer.meter.finish();
        }
        self.note_left_behind(end);
        let mut record = self.pending(gateway);
        record.duration_ms = Some(end.now_ms.saturating_sub(self.time_ms));
        record.request_bytes = Some(self.request.body_bytes());
        record.stream = self.streams();
        record.outcome = self.outcome(end.ending);
        record.attempts = end.attempts;
        if let Some(answer) = &self.answer {
            record.status = Some(answer.status);
            record.first_byte_ms = Some(answer.first_byte_ms);
            record.response_bytes = Some(answer.meter.body_bytes());
            record.head.response_model = answer.meter.reading().model().map(str::to_owned);
            record.notes = answer.notes(end.ending);
        }
        if self.goes_on() {
            record.notes.push(Note::Deferred);
        }
        let consumed = self.consumed(end, &record, learned);
        if let Measure::Reported(normalised) = &consumed.measure {
            self.teach(&record, normalised, learned);
        }
        record.head.service_tier =
            consumed.service_tier.or_else(|| self.request.service_tier().map(str::to_owned));
        let is_read = matches!(consumed.measure, Measure::Reported(_));
        consumed.measure.apply(&mut record, book);
        if self.is_unmetered() && record.cost_status == CostStatus::Unpriced && record.usage.is_empty() {
            record.notes.push(Note::NotRead);
        }
        if record.usage.parts().contradictory && !record.notes.contains(&Note::ContradictoryUsage) {
            record.notes.push(Note::ContradictoryUsage);
        }
        let has_unread = |answer: &Answer| answer.meter.reading().has_unread_usage();
        if !is_read
            && self.answer.as_deref().is_some_and(has_unread)
            && !record.notes.contains(&Note::NotRead)
        {
            record.notes.push(Note::NotRead);
        }
        record
    }

    fn teach(&self, record: &UsageRecord, normalised: &Normalised, learned: &mut Learned) {
        let Some((answer, model)) = self.answer.as_deref().zip(record.head.model()) else { return };
        let Some(output) = normalised.usage.output_tokens.filter(|_| self.target.api.generates_text()) else {
            return;
        };
        let hidden = [normalised.usage.reasoning_tokens, normalised.usage.citation_tokens];
        let visible = hidden.into_iter().flatten().fold(output, u64::saturating_sub);
        learned.teach(model, output, visible, answer.meter.reading().visible());
        // Budgets ask before it is known which model answers.
        let asked_for = self.request_model().filter(|asked_for| *asked_for != model);
        for model in std::iter::once(model).chain(asked_for) {
            let name = agent_and_model(&self.attribution.agent, model);
            learned.teach(&name, output, visible, Passed::default());
        }
    }

    fn streams(&self) -> bool {
        let body = self.answer.as_deref().map_or(Body::Empty, |answer| answer.meter.body());
        self.request.stream()
            || self.path_streams
            || matches!(body, Body::Sse | Body::EventStream | Body::WebSocket)
    }

    fn outcome(&self, ending: Ending) -> Outcome {
        let failed = self
            .answer
            .as_deref()
            .is_none_or(|answer| answer.status >= 400 || answer.meter.reading().has_error());
        match ending {
            Ending::ClientAbort => Outcome::ClientAbort,
            Ending::UpstreamAbort => Outcome::UpstreamAbort,
            Ending::NotSent => Outcome::Error,
            Ending::Complete if failed => Outcome::Error,
            Ending::Complete => Outcome::Ok,
        }
    }

    /// What is to be paid for: the table "what is paid when nothing was measured" of docs/prices.md.
    // Long: one arm for each row of that table.
    fn consumed(&self, end: End, record: &UsageRecord, learned: &Learned) -> Consumed {
        let reported = self.answer.as_deref().and_then(|answer| answer.meter.reported());
        let named_tier = self.answer.as_deref().and_then(|answer| answer.meter.reading().service_tier());
        let reported_tier = reported.as_ref().and_then(Normalised::service_tier);
        let service_tier = reported_tier.or(named_tier).map(str::to_owned);
        let api = self.target.api;
        // Nor does who sends a caller elsewhere answer it.
        let refused = self.answer.as_deref().is_some_and(|answer| answer.status >= 300);
        let aborted = matches!(end.ending, Ending::ClientAbort | Ending::UpstreamAbort);
        let estimate = || self.estimated_usage(record, aborted, learned);
        let mut measure = match reported {
            _ if end.ending == Ending::NotSent => Measure::Nothing,
            // What ends work costs nothing.
            Some(_) if api == Api::Deferred && self.continues => Measure::Nothing,
            Some(normalised) if self.tells_its_cost() => Measure::Reported(normalised),
            // Paid where the result is fetched.
            Some(normalised) if api == Api::Deferred && self.request.body_bytes() == 0 => {
                Measure::Told(normalised)
            }
            Some(normalised) if api == Api::Deferred => Measure::Elsewhere(normalised),
            // Most of what `:predict` serves is charged by the character or the picture, not by these tokens.
            Some(normalised) if api == Api::Predict && !self.embeds_by_token() => {
                Measure::Elsewhere(normalised)
            }
            Some(_) if self.is_free() => Measure::Nothing,
            _ if self.goes_on() => Measure::Nothing,
            reported if api.is_session() => session(reported, self.open_turn(record, learned, end.now_ms)),
            Some(normalised) if self.is_unbilled(&normalised) || self.failed_unbilled() => {
                Measure::Unbilled(normalised)
            }
            Some(normalised) if aborted || self.is_partial() => cut_short(normalised, &estimate()),
            Some(normalised) if self.lacks_tokens(&normalised) => {
                beside(normalised, self.without_usage(record, aborted, learned))
            }
            Some(normalised) if self.counts_nothing(&normalised) => {
                self.without_usage(record, aborted, learned)
            }
            Some(normalised)
                if normalised.contradictory || self.saw_more(&normalised) || self.read_more(&normalised) =>
            {
                // The text alone says nothing of what a picture came to.
                let lacks_input = normalised.lacks_input() || self.read_more(&normalised);
                if lacks_input && self.request.has_media() {
                    Measure::InPart(normalised)
                } else {
                    doubtful(normalised, &estimate())
                }
            }
            Some(normalised) => Measure::Reported(normalised),
            None if self.starts_paid_work(refused) => Measure::Unknown,
            None if self.is_free() => Measure::Nothing,
            None if self.target.fetches.is_some()
                && matches!(api, Api::BatchOutput | Api::MessageBatchResults)
                && self.is_json() =>
            {
                Measure::Nothing
            }
            None if self.failed_unbilled() => Measure::Nothing,
            None if refused && !aborted && self.may_be_billed() => {
                Measure::from_estimate(Usage { output_tokens: None, ..estimate() })
            }
            None if refused && !aborted => Measure::Nothing,
            None => self.without_usage(record, aborted, learned),
        };
        measure.name(service_tier.as_deref());
        measure.place(self.target.place.as_ref());
        let unseen =
            end.attempts.filter(|_| end.charge_retries).map_or(0, |attempts| attempts.saturating_sub(1));
        let attempt = self.request.input_estimate().filter(|_| unseen > 0 && api.reads_text());
        match attempt {
            Some(input) => Consumed { measure: measure.with_attempts(unseen, input), service_tier },
            None => Consumed { measure, service_tier },
        }
    }

    /// Whether it costs nothing whatever it uses. Of moderation only OpenAI says so; others charge for it.
    fn is_free(&self) -> bool {
        let api = self.target.api;
        api.is_free() && (api != Api::Moderation || self.target.provider == "openai")
    }

    /// Anthropic does not charge for what its model declined before it said anything (documented; not read
    /// anew).
    fn is_unbilled(&self, reported: &Normalised) -> bool {
        let declined = |answer: &Answer| answer.meter.reading().is_mute_refusal();
        self.target.provider == "anthropic"
            && reported.usage.output_tokens.unwrap_or(0) <= REFUSAL_TOKENS
            && self.answer.as_deref().is_some_and(declined)
    }

    /// Work was started that costs money, and no later answer says how much: videos, fine-tuning, and batches
    /// whose results are written to a bucket. What has no body only asks.
    fn starts_paid_work(&self, refused: bool) -> bool {
        self.target.api == Api::Deferred && self.pays_at_start && !refused && self.request.body_bytes() > 0
    }

    /// An error came in an answer of status 200. `OpenRouter` does not charge for what ends in one; nobody
    /// does for one before any output (PROVIDERS.md, section 4). What was put out before it is an estimate.
    fn failed_unbilled(&self) -> bool {
        let Some(answer) = self.answer.as_deref().filter(|answer| answer.status < 400) else { return false };
        let reading = answer.meter.reading();
        let mute = reading.visible() == Passed::default() && !reading.is_filtered();
        reading.has_error() && (mute || self.target.provider == "openrouter")
    }

    /// Of what Vertex AI serves by `:predict`, Gemini's embeddings are charged by the token (as the recorded
    /// cases say).
    pub(super) fn embeds_by_token(&self) -> bool {
        self.request_model().is_some_and(|model| {
            model.rsplit('/').next().is_some_and(|name| name.starts_with("gemini-embedding"))
        })
    }

    fn is_json(&self) -> bool {
        self.answer.as_deref().is_some_and(|answer| answer.meter.body() == Body::Json)
    }

    /// Azure may charge for what its content filter stopped, and for what took too long, where the model had
    /// begun (documented; not read anew).
    fn may_be_billed(&self) -> bool {
        let begun = |answer: &Answer| match answer.status {
            400 => answer.meter.reading().is_filtered(),
            408 => true,
            _ => false,
        };
        self.target.provider == "azure" && self.answer.as_deref().is_some_and(begun)
    }
}

/// The name under which the answers that one agent gets of a model are remembered.
fn agent_and_model(agent: &str, model: &str) -> String {
    format!("{agent} {model}")
}

impl Answer {
    fn notes(&self, ending: Ending) -> Vec<Note> {
        let body = self.meter.body();
        let unexpected = match (self.content_type, body) {
            (_, Body::Empty) => false,
            (_, Body::WebSocket)
            | (Content::Json, Body::Json)
            | (Content::EventStream, Body::Sse | Body::EventStream)
            | (Content::Other, Body::Unread) => false,
            _ => self.status < 400 && !self.encoded,
        };
        let in_stream = self.status < 400 && self.meter.reading().has_error();
        [
            (self.encoded && self.meter.is_unread(), Note::UnreadEncoding),
            (unexpected, Note::UnexpectedContent),
            (ending == Ending::Complete && self.meter.is_cut(), Note::TruncatedAnswer),
            (in_stream, Note::ErrorInStream),
        ]
        .into_iter()
        .filter_map(|(holds, note)| holds.then_some(note))
        .collect()
    }
}

impl Content {
    fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Self::Json,
            "text/event-stream" | "application/vnd.amazon.eventstream" => Self::EventStream,
            "application/x-jsonl" | "application/jsonl" => Self::Json,
            other if other.ends_with("+json") || other.ends_with("ndjson") => Self::Json,
            _ => Self::Other,
        }
    }
}

/// A refusal without a word may have so many tokens: those that end it. What is beyond is thinking that was
/// not shown. A rule of thumb.
const REFUSAL_TOKENS: u64 = 16;
/// Ends of paths whose work has its id in them.
const CONTINUES: &[&str] = &["/cancel", ":cancel", "/submit_tool_outputs"];
const SWITCHING_PROTOCOLS: u16 = 101;

#[cfg(test)]
mod tests;

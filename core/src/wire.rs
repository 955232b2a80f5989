//! What providers' bodies say: one file for each family of wire formats.
//!
//! A [`Family`] is a table of the places where its documents name things, and one function that turns its usage
//! object into [`Usage`]. The walk over the bytes, and what happens when several documents speak of the same
//! thing, is the same for all and stands here.

mod anthropic;
mod bedrock;
mod cohere;
mod counts;
mod gemini;
mod ollama;
mod openai;
mod realtime;

use serde_json::{Map, Value};

use crate::estimate::{Passed, TextCounter};
use crate::json::{self, Action, Shape, Sink};
use crate::money::Picodollars;
use crate::provider::Api;
use crate::usage::Usage;
use counts::Counts;

/// One family of wire formats.
#[derive(Debug)]
pub struct Family {
    /// Where its documents name things.
    paths: &'static [(&'static str, Action, Field)],
    shape: &'static std::sync::OnceLock<Shape<Field>>,
    /// Response headers that have counts.
    headers: &'static [(&'static str, &'static str)],
    /// How usage objects of one answer combine.
    merge: Merge,
    /// Its usage object, normalised.
    normalise: fn(&Counts<'_>, &Context<'_>) -> Normalised,
}

/// What a place in a document says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// The model that answers.
    Model,
    /// The usage object.
    Usage,
    /// The service tier.
    ServiceTier,
    /// An error, when it is not null.
    Error,
    /// Visible output: text, and arguments of tool calls.
    Output,
    /// Reasoning that the caller sees.
    Reasoning,
    /// The kind of an action that the provider's own tool took.
    ToolAction,
    /// Usage of the provider's own tools, besides the usage object.
    ToolUsage,
    /// A web search that the provider ran.
    SearchQueries,
    /// A count that stands outside a usage object, by the name that it gets in it.
    Count(&'static str),
    /// A count that stands in several places of a document and is their sum.
    CountEach(&'static str),
    /// What kind of event a document is.
    Event,
    /// The model that transcribes what the caller of a session says.
    TranscriptionModel,
    /// The name of a function that the answer calls: output, and a call with its overhead.
    ToolName,
    /// Whether the text that came just before is a thought, when it is true.
    ThoughtFlag,
    /// Says that the answer is whole: in families whose streams have counts before their end.
    End,
    /// The id of the answer, for work that is fetched later.
    Id,
    /// How far the work is.
    Status,
    /// The file that will have, or has, the results of a batch.
    OutputFile,
}

/// How several usage objects of one answer combine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Merge {
    /// Each is a total: the last one counts.
    Last,
    /// Each overwrites the members that it has.
    Overlay,
    /// Each document has its own, for its own model: they add up.
    Sum,
}

/// What else a family's function may look at.
#[derive(Debug)]
pub struct Context<'a> {
    /// Provider id.
    pub provider: &'a str,
    /// The API.
    pub api: Api,
    /// The answer's object of tool usage.
    tool_usage: Option<&'a Map<String, Value>>,
    /// Web searches counted in the answer's items.
    searches: u64,
    /// Counts that came as response headers.
    headers: &'a Map<String, Value>,
}

impl Context<'_> {
    /// A count that came as a response header.
    fn header(&self, name: &str) -> Option<u64> {
        json::value_count(self.headers.get(name)?)
    }
}

/// A usage object, normalised.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Normalised {
    /// The counts of the whole call.
    pub usage: Usage,
    /// Parts of `usage` that another model than the answer's did, or all parts where several models worked.
    pub shares: Vec<Share>,
    /// What the provider said that the call cost.
    pub provider_cost: Option<Picodollars>,
    /// Facts that choose a price, such as `speed` and `inference_geo`, with the provider's words.
    pub conditions: Vec<(&'static str, String)>,
}

impl Normalised {
    /// The service tier among the conditions.
    #[must_use]
    pub fn service_tier(&self) -> Option<&str> {
        self.conditions.iter().find(|(fact, _)| *fact == "service_tier").map(|(_, tier)| tier.as_str())
    }
}

/// What one model used of a call that several worked on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Share {
    /// The model; `None` for the answer's model.
    pub model: Option<String>,
    /// What it used.
    pub usage: Usage,
}

impl Family {
    /// The family of an API.
    #[must_use]
    pub fn of(api: Api) -> &'static Self {
        match api {
            Api::Responses => &openai::RESPONSES,
            Api::Images => &openai::IMAGES,
            Api::Transcription => &openai::TRANSCRIPTION,
            Api::Realtime => &realtime::REALTIME,
            Api::Live => &realtime::LIVE,
            Api::Messages => &anthropic::MESSAGES,
            Api::MessageBatchResults => &anthropic::BATCH_RESULTS,
            Api::BatchOutput => &openai::BATCH_OUTPUT,
            Api::Deferred => &openai::DEFERRED,
            Api::GenerateContent | Api::EmbedContent => &gemini::GENERATE_CONTENT,
            Api::Interactions => &gemini::INTERACTIONS,
            Api::Predict => &gemini::PREDICT,
            Api::Converse => &bedrock::CONVERSE,
            Api::Invoke => &bedrock::INVOKE,
            Api::CohereChat | Api::CohereEmbed | Api::Rerank => &cohere::COHERE,
            Api::OllamaChat | Api::OllamaEmbed => &ollama::OLLAMA,
            Api::ChatCompletions
            | Api::Completions
            | Api::Embeddings
            | Api::Speech
            | Api::Moderation
            | Api::HuggingFaceTask
            | Api::Ocr
            | Api::CountTokens
            | Api::Other => &openai::CHAT,
        }
    }

    /// Response headers that have counts, and the names by which [`Context`] knows them.
    #[must_use]
    pub const fn headers(&self) -> &'static [(&'static str, &'static str)] {
        self.headers
    }

    /// Its places, compiled once.
    #[must_use]
    pub fn shape(&'static self) -> &'static Shape<Field> {
        self.shape.get_or_init(|| Shape::new(self.paths))
    }
}

/// One turn of a session, or one result of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Turn {
    /// Whether it is the transcription of what the caller said, by a model of its own.
    pub is_transcription: bool,
    /// The model, where the document names it.
    pub model: Option<String>,
    /// What it used.
    pub normalised: Normalised,
}

/// What an answer has said so far. Holds the last usage object, a few short strings, and in a session the turns
/// that have not been taken, at most [`TURNS_MAX`] of them.
#[derive(Debug)]
pub struct Reading {
    family: &'static Family,
    provider: String,
    api: Api,
    model: Option<String>,
    transcription_model: Option<String>,
    service_tier: Option<String>,
    id: Option<String>,
    status: Option<String>,
    output_file: Option<String>,
    event: Option<String>,
    usage: Map<String, Value>,
    headers: Map<String, Value>,
    tool_usage: Map<String, Value>,
    searches: u64,
    turns: Vec<Turn>,
    has_error: bool,
    has_end: bool,
    /// Output that passed: visible text, and visible reasoning.
    output: TextCounter,
    reasoning: TextCounter,
    tool_calls: u64,
    /// The output before the text that is passing, as long as nothing else has come since.
    before_text: Option<TextCounter>,
}

impl Reading {
    /// Nothing said yet.
    #[must_use]
    pub fn new(provider: &str, api: Api) -> Self {
        Self {
            family: Family::of(api),
            provider: provider.to_owned(),
            api,
            model: None,
            transcription_model: None,
            service_tier: None,
            id: None,
            status: None,
            output_file: None,
            event: None,
            usage: Map::new(),
            headers: Map::new(),
            tool_usage: Map::new(),
            searches: 0,
            turns: Vec::new(),
            has_error: false,
            has_end: false,
            output: TextCounter::default(),
            reasoning: TextCounter::default(),
            tool_calls: 0,
            before_text: None,
        }
    }

    /// The family of the answer's documents.
    #[must_use]
    pub const fn family(&self) -> &'static Family {
        self.family
    }

    /// The model that answers, as far as it has been named.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The service tier that the answer names.
    #[must_use]
    pub fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_deref()
    }

    /// The answer's id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether the answer says that the work goes on without the caller.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        matches!(self.status.as_deref(), Some("queued" | "in_progress"))
    }

    /// The file with the results of a batch.
    #[must_use]
    pub fn output_file(&self) -> Option<&str> {
        self.output_file.as_deref()
    }

    /// Whether the answer said that something went wrong.
    #[must_use]
    pub const fn has_error(&self) -> bool {
        self.has_error
    }

    /// Whether the counts of a stream are only what had been used so far: the family's streams say when they are
    /// at their end, and this one did not.
    #[must_use]
    pub fn lacks_end(&self) -> bool {
        !self.has_end && self.family.paths.iter().any(|(.., field)| *field == Field::End)
    }

    /// Notes that something went wrong, where the framing says so.
    pub const fn set_error(&mut self) {
        self.has_error = true;
    }

    /// A count from a response header.
    pub fn set_header(&mut self, name: &'static str, count: u64) {
        self.headers.insert(name.to_owned(), count.into());
    }

    /// Visible output that passed.
    #[must_use]
    pub fn visible(&self) -> Passed {
        Passed { text: self.output.tokens(), tool_calls: self.tool_calls }
    }

    /// Reasoning tokens that passed in the open, in o200k's count.
    #[must_use]
    pub fn reasoning_estimate(&self) -> u64 {
        self.reasoning.tokens()
    }

    /// What the provider reported, or `None` when it reported no counts. Of a session: the turns not taken.
    #[must_use]
    pub fn reported(&self) -> Option<Normalised> {
        if self.family.merge != Merge::Sum {
            return Some(self.normalised()).filter(|normalised| !normalised.usage.is_empty());
        }
        let mut answers = self.turns.iter().filter(|turn| !turn.is_transcription).peekable();
        answers.peek()?;
        let mut sum = Normalised::default();
        for turn in answers {
            sum.usage.add(&turn.normalised.usage);
            sum.conditions.clone_from(&turn.normalised.conditions);
            let share = sum.shares.iter_mut().find(|share| share.model == turn.model);
            match share {
                Some(share) => share.usage.add(&turn.normalised.usage),
                None => {
                    let (model, usage) = (turn.model.clone(), turn.normalised.usage.clone());
                    sum.shares.push(Share { model, usage });
                }
            }
        }
        if sum.shares.iter().all(|share| share.model.is_none()) {
            sum.shares.clear();
        }
        Some(sum)
    }

    /// Takes the turns that have ended since.
    pub fn take_turns(&mut self) -> Vec<Turn> {
        std::mem::take(&mut self.turns)
    }

    fn normalised(&self) -> Normalised {
        let context = Context {
            provider: &self.provider,
            api: self.api,
            tool_usage: (!self.tool_usage.is_empty()).then_some(&self.tool_usage),
            searches: self.searches,
            headers: &self.headers,
        };
        (self.family.normalise)(&Counts::new(&self.usage), &context)
    }

    fn usage(&mut self, raw: &[u8]) {
        let Ok(Value::Object(usage)) = serde_json::from_slice(raw) else { return };
        match self.family.merge {
            Merge::Last if usage.is_empty() => {}
            Merge::Last => self.usage = usage,
            Merge::Overlay | Merge::Sum => {
                for (key, value) in usage.into_iter().filter(|(_, value)| !value.is_null()) {
                    self.usage.insert(key, value);
                }
            }
        }
    }

    fn tool_call(&mut self, raw: &[u8]) {
        // Of the events about one call in a stream of Responses, the first counts.
        let repeats = self.event.as_deref().is_some_and(|event| event.ends_with(".done"));
        if let Some(name) = json::text(raw).filter(|name| !name.is_empty() && !repeats) {
            self.tool_calls += 1;
            self.output.feed(name.as_bytes());
        }
    }

    fn count(&mut self, name: &str, count: u64, adds: bool) {
        let before = self.usage.get(name).and_then(json::value_count).filter(|_| adds).unwrap_or(0);
        self.usage.insert(name.to_owned(), before.saturating_add(count).into());
    }

    /// A document of a family whose usage adds up is a turn, where it has usage.
    fn turn_end(&mut self) {
        let event = self.event.take();
        let normalised = self.normalised();
        self.usage.clear();
        let is_transcription =
            event.as_deref().is_some_and(|event| event.ends_with("input_audio_transcription.completed"));
        let counts = event.as_deref().is_none_or(|event| event == "response.done") || is_transcription;
        if normalised.usage.is_empty() || !counts {
            return;
        }
        let model = match (is_transcription, self.api.is_session()) {
            (true, _) => self.transcription_model.clone(),
            (false, true) => None,
            (false, false) => self.model.clone(),
        };
        let turn = Turn { is_transcription, model, normalised };
        let full = self.turns.len() >= TURNS_MAX;
        match self.turns.last_mut() {
            Some(last) if full && last.is_transcription == is_transcription => {
                last.normalised.usage.add(&turn.normalised.usage);
            }
            _ => self.turns.push(turn),
        }
    }
}

impl Sink<Field> for Reading {
    fn value(&mut self, field: Field, raw: Option<&[u8]>) {
        let Some(raw) = raw else {
            self.has_error |= field == Field::Error;
            return;
        };
        let before_text = self.before_text.take();
        if raw == b"null" {
            return;
        }
        match field {
            Field::ToolName => self.tool_call(raw),
            Field::ThoughtFlag => {
                if let Some(before) = before_text.filter(|_| raw == b"true") {
                    self.reasoning.add_since(&self.output, &before);
                    self.output = before;
                }
            }
            Field::Usage => self.usage(raw),
            Field::Model => keep_name(&mut self.model, raw),
            Field::TranscriptionModel => keep_name(&mut self.transcription_model, raw),
            Field::ServiceTier => keep_name(&mut self.service_tier, raw),
            Field::Id => keep_name(&mut self.id, raw),
            Field::Status => keep_name(&mut self.status, raw),
            Field::OutputFile => keep_name(&mut self.output_file, raw),
            Field::Event => {
                keep_name(&mut self.event, raw);
                self.has_error |= raw == b"\"error\"" && !self.api.is_session();
            }
            Field::Error => self.has_error |= !matches!(raw, b"false" | b"\"\"" | b"{}"),
            Field::ToolAction => self.searches += u64::from(raw == b"\"search\""),
            Field::ToolUsage => {
                if let Ok(Value::Object(tools)) = serde_json::from_slice(raw) {
                    self.tool_usage = tools;
                }
            }
            Field::SearchQueries => {
                if let Ok(Value::Array(queries)) = serde_json::from_slice(raw) {
                    self.searches = self.searches.max(queries.len() as u64);
                }
            }
            Field::Count(name) | Field::CountEach(name) => {
                if let Some(count) = json::count(raw) {
                    self.count(name, count, matches!(field, Field::CountEach(_)));
                }
            }
            Field::End => self.has_end = true,
            Field::Output | Field::Reasoning => {}
        }
    }

    fn text(&mut self, field: Field, piece: &[u8]) {
        // Responses name the kind of a delta in its event.
        let thinks = field == Field::Reasoning
            || self.event.as_deref().is_some_and(|event| event.contains("reasoning"));
        if thinks {
            self.reasoning.feed(piece);
        } else {
            if self.before_text.is_none() {
                self.before_text = Some(self.output.clone());
            }
            self.output.feed(piece);
        }
    }

    fn document_end(&mut self) {
        self.before_text = None;
        if self.family.merge == Merge::Sum {
            self.turn_end();
        }
    }
}

/// Keeps the last name that is not empty (Azure's first chunk has `"model":""`).
fn keep_name(slot: &mut Option<String>, raw: &[u8]) {
    if let Some(name) = json::text(raw).filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX)
        && slot.as_deref() != Some(name.as_str())
    {
        *slot = Some(name);
    }
}

/// Turns that are kept until they are taken; more are added to the last.
pub const TURNS_MAX: usize = 64;
/// Longest model or tier name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 256;

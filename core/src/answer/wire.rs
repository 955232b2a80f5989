//! What providers' bodies say: one file for each family of wire formats.
//!
//! A [`Family`] is a table of the places where its documents name things, and one function that turns its
//! usage object into [`Usage`]. The walk over the bytes, and what happens when several documents speak of the
//! same thing, is the same for all and stands here.

mod anthropic;
mod bedrock;
mod cohere;
mod cost;
mod counts;
mod gemini;
mod ollama;
mod openai;
mod reading;
mod realtime;
mod tools;
mod turn;

use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::decode::json::{self, Action, Shape};
use crate::money::Picodollars;
use crate::provider::Api;
use crate::usage::{Share, Usage};
pub use cost::HEADERS as COST_HEADERS;
use counts::Counts;
pub use reading::{Reading, TURNS_MAX, Turn};
use tools::Tools;
pub use turn::OpenTurn;

/// One family of wire formats.
#[derive(Debug)]
pub struct Family {
    /// Where its documents name things.
    paths: &'static [(&'static str, Action, Field)],
    shape: OnceLock<Shape<Field>>,
    /// Response headers that say something of usage or price.
    headers: &'static [(&'static str, &'static str)],
    /// How usage objects of one answer combine.
    merge: Merge,
    /// Whether answers leave out how long the prompt was where nothing of it was read anew.
    leaves_input_out: bool,
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
    /// The same under a second name, by which some tell it once more.
    ReasoningTwin,
    /// Output under a second name, by which some tell it once more.
    OutputTwin,
    /// The kind of an action that the provider's own tool took.
    ToolAction,
    /// The kind of an item of the answer, some of which are calls of the provider's own tools.
    Item,
    /// The container in which code of such an item ran.
    ItemContainer,
    /// The kind of an item that a stream tells by itself.
    StreamItem,
    /// What such an item did.
    StreamAction,
    /// Where code of such an item ran.
    StreamContainer,
    /// The kind of a tool that the provider ran.
    Executed,
    /// What an answer rests on, besides the model.
    Annotation,
    /// The kind of a tool that was offered.
    Offered,
    /// A step of an interaction.
    Step,
    /// A place of a map that the answer rests on.
    Place,
    /// A page of the web that it rests on.
    Page,
    /// Pages that were read because the prompt names them.
    NamedPage,
    /// The caller's own stored data that it rests on.
    OwnData,
    /// A tool that the provider ran, in a piece of a stream, which may tell one once more.
    OtherTool,
    /// An image that was made.
    Image,
    /// Of what kind it is that was made beside text.
    Made,
    /// Ends one of several answers in a document.
    Each,
    /// The usage object, with which a stream ends.
    LastUsage,
    /// A number that says what went wrong, unless it is 0.
    ErrorCode,
    /// What kind of document it is, where that may be an error.
    ErrorKind,
    /// A word that chooses a price, by the name that it gets in a [`Context`].
    Word(&'static str),
    /// An amount of dollars that stands outside a usage object, by the same.
    Dollars(&'static str),
    /// Text of an answer as a whole, which chunks of some streams repeat beside what is new of it.
    WholeOutput,
    /// The same of its reasoning.
    WholeReasoning,
    /// The same under the second name.
    WholeReasoningTwin,
    /// Usage of the provider's own tools, besides the usage object.
    ToolUsage,
    /// What each model did of a call that several worked on.
    Breakdown,
    /// A web search that the provider ran.
    SearchQueries,
    /// A count that stands outside a usage object, by the name that it gets in it.
    Count(&'static str),
    /// The same, of one that may come with every event: only that of an answer that has ended is all of it.
    CountSoFar(&'static str),
    /// A count that stands in several places of a document and is their sum.
    CountEach(&'static str),
    /// Text that came into the conversation of a session.
    Heard,
    /// Audio that a session's model speaks, in base64.
    Audio,
    /// The format of that audio.
    AudioFormat,
    /// What kind of event a document is.
    Event,
    /// The model that transcribes what the caller of a session says.
    TranscriptionModel,
    /// Why a session's provider does not do what its caller asked for.
    Rejected,
    /// Says that a turn of a session is over, which names no event, when it is true.
    TurnComplete,
    /// The name of a function that the answer calls: output, and a call with its overhead.
    ToolName,
    /// Who makes the call that was just named: the model, or code that it wrote.
    Caller,
    /// The id of a call that the answer makes, which each piece of it repeats.
    CallId,
    /// Whether the text that came just before is a thought, when it is true.
    ThoughtFlag,
    /// Says that an answer begins: one that ended before it in the same stream was not the whole.
    Start,
    /// Says that the answer is whole: in families whose streams have counts before their end.
    End,
    /// The same, in families of which only some providers give counts before the end: with every chunk.
    Finish,
    /// Why an answer that is one document has ended.
    StopReason,
    /// The id of the answer, for work that is fetched later.
    Id,
    /// The same, of work that has a name besides at some providers.
    Name,
    /// How far the work is.
    Status,
    /// Whether the work goes on without its caller.
    Background,
    /// One of a list of batches.
    Listed,
    /// The id of one of several answers in a document, before its usage.
    EachId,
    /// The file that will have, or has, the results of a batch.
    OutputFile,
}

/// How several usage objects of one answer combine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Merge {
    /// Each is a total: the last one counts, unless it is less than one before it, as gateways fill in what
    /// they left out.
    Last,
    /// Each is a total, and earlier ones are estimates: the last one counts.
    Final,
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
    /// The answer's object of what each model did.
    breakdown: Option<&'a Map<String, Value>>,
    /// What the provider's own tools did.
    tools: &'a Tools,
    /// The model that answers, as far as it has been named; else the one that was asked for, at Google.
    model: Option<&'a str>,
    /// Images that were made.
    images: u64,
    /// Whether pictures, and sound, were made beside text.
    made: Made,
    /// Counts and words that came as response headers.
    headers: &'a Map<String, Value>,
}

impl Context<'_> {
    /// A count that came as a response header.
    fn header(&self, name: &str) -> Option<u64> {
        json::value_count(self.headers.get(name)?)
    }

    /// A word that came as a response header.
    fn word(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.as_str()
    }
}

/// What was made beside text.
#[derive(Clone, Copy, Debug, Default)]
struct Made {
    images: bool,
    audio: bool,
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
    /// Whether its counts cannot all be true: one is below nothing or beyond any call, or they do not make up
    /// their total.
    pub contradictory: bool,
    /// Facts that choose a price, such as `speed` and `inference_geo`, with the provider's words.
    pub conditions: Vec<(&'static str, String)>,
}

impl Normalised {
    /// Whether it has neither a count nor a cost.
    pub fn says_nothing(&self) -> bool {
        self.usage.is_empty() && self.provider_cost.is_none()
    }

    /// Whether it has an answer of tokens, and nothing of what was read for it.
    #[must_use]
    pub fn lacks_input(&self) -> bool {
        let Usage { input_tokens, output_tokens, audio_ms, pages, search_units, .. } = &self.usage;
        let is_by_token = audio_ms.is_none() && pages.is_none() && search_units.is_none();
        is_by_token && input_tokens.is_none() && output_tokens.is_some_and(|tokens| tokens > 0)
    }

    /// Adds a fact that chooses a price, where it is told.
    fn told(mut self, fact: &'static str, word: Option<&str>) -> Self {
        if let Some(word) = word {
            self.conditions.push((fact, word.to_owned()));
        }
        self
    }

    /// The service tier among the conditions.
    pub fn service_tier(&self) -> Option<&str> {
        self.conditions.iter().find(|(fact, _)| *fact == "service_tier").map(|(_, tier)| tier.as_str())
    }
}

impl Family {
    /// The family of an API.
    pub fn of(api: Api) -> &'static Self {
        match api {
            Api::Responses => &openai::RESPONSES,
            Api::Images => &openai::IMAGES,
            Api::Transcription => &openai::TRANSCRIPTION,
            Api::Realtime => &realtime::REALTIME,
            Api::Voice => &realtime::VOICE,
            Api::ResponsesSession => &realtime::RESPONSES,
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
            Api::Completions => &openai::COMPLETIONS,
            Api::ChatCompletions
            | Api::Embeddings
            | Api::Speech
            | Api::Moderation
            | Api::HuggingFaceTask
            | Api::Ocr
            | Api::CountTokens
            | Api::Files
            | Api::Unmetered
            | Api::Other => &openai::CHAT,
        }
    }

    /// Response headers that say something of usage or price, and the names by which [`Context`] knows them.
    pub const fn headers(&self) -> &'static [(&'static str, &'static str)] {
        self.headers
    }

    /// Whether its documents say behind a text that it was a thought.
    fn tells_thoughts(&self) -> bool {
        self.paths.iter().any(|(.., field)| *field == Field::ThoughtFlag)
    }

    /// Its places, compiled once.
    pub fn shape(&'static self) -> &'static Shape<Field> {
        self.shape.get_or_init(|| Shape::new(self.paths))
    }
}

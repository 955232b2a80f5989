//! What providers' bodies say: one file for each family of wire formats.
//!
//! A [`Family`] is a table of the places where its documents name things, and one function that turns its usage
//! object into [`Usage`]. The walk over the bytes, and what happens when several documents speak of the same
//! thing, is the same for all and stands here.

mod anthropic;
mod counts;
mod gemini;
mod openai;

use serde_json::{Map, Value};

use crate::estimate::TextCounter;
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
}

/// How several usage objects of one answer combine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Merge {
    /// Each is a total: the last one counts.
    Last,
    /// Each overwrites the members that it has.
    Overlay,
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
            Api::Messages => &anthropic::MESSAGES,
            Api::GenerateContent => &gemini::GENERATE_CONTENT,
            Api::ChatCompletions | Api::Completions | Api::Embeddings | Api::CountTokens | Api::Other => {
                &openai::CHAT
            }
        }
    }

    /// Its places, compiled once.
    #[must_use]
    pub fn shape(&'static self) -> &'static Shape<Field> {
        self.shape.get_or_init(|| Shape::new(self.paths))
    }
}

/// What an answer has said so far. Holds the last usage object and a few short strings.
#[derive(Debug)]
pub struct Reading {
    family: &'static Family,
    model: Option<String>,
    service_tier: Option<String>,
    usage: Map<String, Value>,
    tool_usage: Map<String, Value>,
    searches: u64,
    has_error: bool,
    /// Output that passed: visible text, and visible reasoning.
    output: TextCounter,
    reasoning: TextCounter,
}

impl Reading {
    /// Nothing said yet.
    #[must_use]
    pub fn new(family: &'static Family) -> Self {
        Self {
            family,
            model: None,
            service_tier: None,
            usage: Map::new(),
            tool_usage: Map::new(),
            searches: 0,
            has_error: false,
            output: TextCounter::default(),
            reasoning: TextCounter::default(),
        }
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

    /// Whether the answer said that something went wrong.
    #[must_use]
    pub const fn has_error(&self) -> bool {
        self.has_error
    }

    /// Output tokens that passed, estimated; `None` when no output was seen.
    #[must_use]
    pub fn output_estimate(&self) -> Option<u64> {
        let tokens = self.output.tokens() + self.reasoning.tokens();
        (tokens > 0).then_some(tokens)
    }

    /// What the provider reported, or `None` when it reported no counts.
    #[must_use]
    pub fn reported(&self, provider: &str, api: Api) -> Option<Normalised> {
        let context = Context {
            provider,
            api,
            tool_usage: (!self.tool_usage.is_empty()).then_some(&self.tool_usage),
            searches: self.searches,
        };
        let normalised = (self.family.normalise)(&Counts::new(&self.usage), &context);
        (!normalised.usage.is_empty()).then_some(normalised)
    }

    fn usage(&mut self, raw: &[u8]) {
        let Ok(Value::Object(usage)) = serde_json::from_slice(raw) else {
            return;
        };
        match self.family.merge {
            Merge::Last if usage.is_empty() => {}
            Merge::Last => self.usage = usage,
            Merge::Overlay => {
                for (key, value) in usage.into_iter().filter(|(_, value)| !value.is_null()) {
                    self.usage.insert(key, value);
                }
            }
        }
    }
}

impl Sink<Field> for Reading {
    fn value(&mut self, field: Field, raw: Option<&[u8]>) {
        let Some(raw) = raw else {
            self.has_error |= field == Field::Error;
            return;
        };
        if raw == b"null" {
            return;
        }
        match field {
            Field::Usage => self.usage(raw),
            Field::Model => keep_name(&mut self.model, raw),
            Field::ServiceTier => keep_name(&mut self.service_tier, raw),
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
            Field::Output | Field::Reasoning => {}
        }
    }

    fn text(&mut self, field: Field, piece: &[u8]) {
        match field {
            Field::Reasoning => self.reasoning.feed(piece),
            _ => self.output.feed(piece),
        }
    }

    fn document_end(&mut self) {}
}

/// Keeps the last name that is not empty (Azure's first chunk has `"model":""`).
fn keep_name(slot: &mut Option<String>, raw: &[u8]) {
    if let Some(name) = json::text(raw).filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX)
        && slot.as_deref() != Some(name.as_str())
    {
        *slot = Some(name);
    }
}

/// Longest model or tier name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 256;

//! What a call would cost, before it is made: the tokens of its prompt, and the most that it can come to.
//!
//! Models with a public encoding are counted by it; what a provider puts around messages comes to that as
//! `OpenAI`'s cookbook has it ("How to count tokens with tiktoken"; from memory, the page was not opened).
//! Other models' tokens are estimated as a gateway does, and the answer says so.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Encoding, Encodings};
use crate::money::Picodollars;
use crate::price::{Bound, Facts, PriceBook, Step, WorstCase, facts};
use crate::provider::{Api, Target};
use crate::request::{PROMPT_TEXTS, RequestMeter};
use crate::usage::Usage;

/// What is asked.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Question {
    /// Provider id, such as `openai`.
    pub provider: String,
    /// Path of the API, such as `/v1/messages`; by default the one that the body looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The model; needed where neither body nor path names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// In place of a body: a prompt's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Output tokens that are expected, for `cost_usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
}

/// Tokens, cost and worst case of a call that was not made.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Estimate {
    /// Provider id.
    pub provider: String,
    /// The model as it was asked for.
    pub model: String,
    /// The row of the price book; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// By which step it was found; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// Version of the book.
    pub price_version: String,
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// How they were counted: the encoding's name, or `estimated`.
    pub counted_by: String,
    /// Whether they are what the provider will count, as far as is known.
    pub exact: bool,
    /// Output tokens that `cost_usd` has in it: those of the question, else none.
    pub output_tokens: u64,
    /// What input and these output tokens cost; absent without a price for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Picodollars>,
    /// The most that the call can come to.
    pub worst: Worst,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// The most that a call can come to: what a hard budget holds for it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "WorstCase"))]
pub struct Worst {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// What they cost; absent without a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Picodollars>,
    /// Why the request itself does not bound it; empty where it does.
    pub unbounded: Vec<String>,
}

/// Works it out. `now_ms` chooses the price.
///
/// # Errors
/// A sentence that names what is missing or wrong.
// Long: from the question to the answer, each step with what the ones before found.
pub fn estimate(
    book: &PriceBook,
    encodings: &impl Encodings,
    question: &Question,
    now_ms: u64,
) -> Result<Estimate, String> {
    if question.provider.is_empty() {
        return Err("`provider` is missing; name the provider's id, such as `openai`".into());
    }
    let body = body_of(question)?;
    let path = match &question.path {
        Some(path) => path.as_str(),
        None => usual_path(&question.provider, &body)?,
    };
    let target = Target::recognise(Some(&question.provider), "", path);
    let text = body.to_string();
    let mut request = RequestMeter::default();
    request.watch_bounds();
    request.feed(text.as_bytes());
    let named = question.model.as_deref().or(target.path_model.as_deref()).or(request.model());
    let model = named.ok_or("`model` is missing: neither the question, the body nor the path names it")?;
    let tier = request.service_tier().map(|tier| (facts::REQUESTED_TIER, tier));
    let facts = Facts {
        provider: &question.provider,
        request_model: Some(model),
        time_ms: now_ms,
        conditions: tier.as_slice(),
        ..Facts::default()
    };
    let found = book.find(&question.provider, model, now_ms);
    let count = count(encodings.of(model), question, &body, target.api, &request);
    let output_tokens = question.output_tokens.unwrap_or(0);
    let usage =
        Usage { input_tokens: Some(count.tokens), output_tokens: Some(output_tokens), ..Usage::default() };
    let priced = book.price(&facts, &usage);
    let row = book.worst_case(facts);
    let size = row.as_ref().map(WorstCase::size).unwrap_or_default();
    let bounds = request.bounds().ok_or("the body was not read")?;
    let bound = Bound::of(bounds, &target, request.body_bytes(), size);
    let mut notes = count.notes;
    if found.is_none() {
        notes.push(format!("the price book has no row for `{model}` of `{}`", question.provider));
    } else if found.as_ref().is_some_and(|found| found.step.is_estimate()) {
        notes.push("the price is that of the model's vendor: a likely one".into());
    }
    if question.output_tokens.is_none() && target.api.generates_text() {
        notes.push("`cost_usd` is that of the prompt alone; give `output_tokens` for more".into());
    }
    Ok(Estimate {
        provider: question.provider.clone(),
        model: model.to_owned(),
        row: found.as_ref().map(|found| found.model.id.clone()),
        step: found.as_ref().map(|found| found.step),
        price_version: book.version().to_owned(),
        input_tokens: count.tokens,
        counted_by: count.by,
        exact: count.exact,
        output_tokens,
        cost_usd: priced.complete.then_some(priced.cost),
        worst: Worst {
            input_tokens: bound.input_tokens,
            output_tokens: bound.output_tokens,
            cost_usd: row.and_then(|row| row.of(&bound)),
            unbounded: bound.unbounded.into_iter().map(str::to_owned).collect(),
        },
        notes,
    })
}

/// The body that is asked about; of a text the shortest request that sends it.
fn body_of(question: &Question) -> Result<Value, String> {
    match (&question.body, &question.text) {
        (Some(_), Some(_)) => Err("both `body` and `text` are given; give one of them".into()),
        (None, None) => Err("`body` is missing: a request's body, or `text` in its place".into()),
        (Some(body), None) if body.is_object() => Ok(body.clone()),
        (Some(_), None) => Err("`body` is not a JSON object, as requests to models are".into()),
        (None, Some(text)) => {
            let model = question.model.as_deref();
            let model = model.ok_or("`model` is missing; a text needs one")?;
            Ok(json!({"model": model, "messages": [{"role": "user", "content": text}]}))
        }
    }
}

/// The path that such a body is sent to.
fn usual_path(provider: &str, body: &Value) -> Result<&'static str, String> {
    let has = |key: &str| body.get(key).is_some();
    Ok(match provider {
        "anthropic" if has("messages") => "/v1/messages",
        "cohere" if has("messages") => "/v2/chat",
        "ollama" if has("messages") => "/api/chat",
        _ if has("messages") => "/v1/chat/completions",
        _ if has("contents") => "/v1beta/models/unnamed:generateContent",
        _ if has("input") => "/v1/responses",
        _ if has("prompt") => "/v1/completions",
        _ => {
            return Err(
                "`path` is missing, and the body has none of `messages`, `contents`, `input` and `prompt` to tell it by"
                    .into(),
            );
        }
    })
}

struct Count {
    tokens: u64,
    by: String,
    exact: bool,
    notes: Vec<String>,
}

fn count(
    encoding: Encoding<'_>,
    question: &Question,
    body: &Value,
    api: Api,
    request: &RequestMeter,
) -> Count {
    let estimated = |note: String| Count {
        tokens: request.input_estimate().unwrap_or(0),
        by: ESTIMATED.to_owned(),
        exact: false,
        notes: vec![note],
    };
    let (by, tokens) = match encoding {
        Encoding::Counts(name, count) => (name.to_owned(), count),
        Encoding::Elsewhere(name) => {
            return estimated(format!("the text is not counted by `{name}` here; its tokens are estimated"));
        }
        Encoding::Unknown => {
            return estimated(
                "this model's encoding is not public; its tokens are estimated from the text".to_owned(),
            );
        }
    };
    if let Some(text) = &question.text {
        let notes = vec!["the text alone is counted".to_owned()];
        return Count { tokens: tokens(text), by, exact: true, notes };
    }
    let mut sum: u64 = 0;
    for path in PROMPT_TEXTS {
        each_text(body, path, &mut |text| sum = sum.saturating_add(tokens(text)));
    }
    let mut notes = Vec::new();
    if let (Api::ChatCompletions, Some(messages)) = (api, body.get("messages").and_then(Value::as_array)) {
        for message in messages {
            let word = |key: &str| message.get(key).and_then(Value::as_str).map_or(0, &tokens);
            let named = u64::from(message.get("name").is_some());
            sum = sum.saturating_add(MESSAGE_TOKENS + word("role") + word("name") + named);
        }
        sum = sum.saturating_add(REPLY_TOKENS);
    }
    // What these come to inside the provider is not published.
    let opaque: Vec<&str> =
        ["tools", "functions", "response_format", "previous_response_id", "conversation", "file"]
            .into_iter()
            .filter(|key| body.get(key).is_some())
            .collect();
    if !opaque.is_empty() {
        notes.push(format!("what `{}` comes to is not published and counted as text", opaque.join("`, `")));
    }
    let has_media = MEDIA.iter().any(|kind| body.to_string().contains(&format!("\"{kind}\"")));
    if has_media {
        notes.push("images, audio and files are not counted".into());
    }
    let exact = opaque.is_empty()
        && !has_media
        && matches!(api, Api::ChatCompletions | Api::Completions | Api::Embeddings);
    Count { tokens: sum, by, exact, notes }
}

/// Hands over every text at a path such as `messages[].content`. An array or object at its end is text as
/// JSON, unless longer paths lead into it.
fn each_text(value: &Value, path: &str, take: &mut impl FnMut(&str)) {
    each_at(value, path, path, take);
}

fn each_at(value: &Value, rest: &str, path: &str, take: &mut impl FnMut(&str)) {
    if rest.is_empty() {
        match value {
            Value::String(text) => take(text),
            Value::Array(_) | Value::Object(_) => {
                let leads_on = |longer: &&&str| {
                    longer.strip_prefix(path).is_some_and(|more| more.starts_with(['.', '[']))
                };
                if PROMPT_TEXTS.iter().find(leads_on).is_none() {
                    take(&value.to_string());
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        return;
    }
    if let Some(rest) = rest.strip_prefix("[]") {
        for item in value.as_array().into_iter().flatten() {
            each_at(item, rest, path, take);
        }
        return;
    }
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    let (key, rest) = rest.split_at(end);
    if let Some(inner) = value.get(key) {
        each_at(inner, rest, path, take);
    }
}

/// What the answer says of tokens that no encoding counted.
pub(super) const ESTIMATED: &str = "estimated";
/// Tokens around each message of a chat.
const MESSAGE_TOKENS: u64 = 3;
/// Tokens that begin the answer and count as prompt.
const REPLY_TOKENS: u64 = 3;
/// Types of parts that are no text.
const MEDIA: [&str; 6] = ["image_url", "input_image", "image", "input_audio", "input_file", "document"];

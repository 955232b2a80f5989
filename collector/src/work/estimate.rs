//! What a call would cost, before it is made: the tokens of its prompt, and the most that it can come to.
//!
//! Models with a public encoding are counted by it (`tiktoken-rs`); what a provider puts around messages
//! comes to that as `OpenAI`'s cookbook has it ("How to count tokens with tiktoken"; from memory, the page
//! was not opened). Other models' tokens are estimated as a gateway does, and the answer says so.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};
use tollgate_core::price::{Bound, Facts, PriceBook, WorstCase, facts};
use tollgate_core::provider::{Api, Target};
use tollgate_core::request::{PROMPT_TEXTS, RequestMeter};
use tollgate_core::usage::Usage;

use crate::model::answers::estimate::{Estimate, Worst};

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

/// Works it out. `now_ms` chooses the price.
///
/// # Errors
/// A sentence that names what is missing or wrong.
// Long: from the question to the answer, each step with what the ones before found.
pub fn estimate(book: &PriceBook, question: &Question, now_ms: u64) -> Result<Estimate, String> {
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
    let count = count(model, question, &body, target.api, &request);
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
        counted_by: count.by.to_owned(),
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
    by: &'static str,
    exact: bool,
    notes: Vec<String>,
}

fn count(model: &str, question: &Question, body: &Value, api: Api, request: &RequestMeter) -> Count {
    let bare = model.rsplit('/').next().unwrap_or(model);
    let encoding = get_tokenizer(bare)
        .and_then(|tokenizer| Some((name(tokenizer), tiktoken_rs::bpe_for_tokenizer(tokenizer).ok()?)));
    let Some((by, encoding)) = encoding else {
        let notes =
            vec!["this model's encoding is not public; its tokens are estimated from the text".into()];
        return Count { tokens: request.input_estimate().unwrap_or(0), by: "estimated", exact: false, notes };
    };
    let tokens = |text: &str| encoding.count_ordinary(text) as u64;
    if let Some(text) = &question.text {
        return Count {
            tokens: tokens(text),
            by,
            exact: true,
            notes: vec!["the text alone is counted".into()],
        };
    }
    let mut sum: u64 = 0;
    for path in PROMPT_TEXTS {
        each_text(body, path, &mut |text| sum = sum.saturating_add(tokens(text)));
    }
    let mut notes = Vec::new();
    if let (Api::ChatCompletions, Some(messages)) = (api, body.get("messages").and_then(Value::as_array)) {
        for message in messages {
            let word = |key: &str| message.get(key).and_then(Value::as_str).map_or(0, tokens);
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

const fn name(tokenizer: Tokenizer) -> &'static str {
    match tokenizer {
        Tokenizer::O200kHarmony => "o200k_harmony",
        Tokenizer::O200kBase => "o200k_base",
        Tokenizer::Cl100kBase => "cl100k_base",
        Tokenizer::P50kBase => "p50k_base",
        Tokenizer::R50kBase => "r50k_base",
        Tokenizer::P50kEdit => "p50k_edit",
        Tokenizer::Gpt2 => "gpt2",
    }
}

/// Tokens around each message of a chat.
const MESSAGE_TOKENS: u64 = 3;
/// Tokens that begin the answer and count as prompt.
const REPLY_TOKENS: u64 = 3;
/// Types of parts that are no text.
const MEDIA: [&str; 6] = ["image_url", "input_image", "image", "input_audio", "input_file", "document"];

#[cfg(test)]
mod tests {
    use tollgate_core::money::Picodollars;

    use super::*;
    use tollgate_core::price::EMBEDDED;

    const NOW_MS: u64 = 1_795_000_000_000;

    fn asked(question: Value) -> Result<Estimate, String> {
        let question: Question = serde_json::from_value(question).unwrap();
        estimate(&PriceBook::from_files(EMBEDDED).unwrap(), &question, NOW_MS)
    }

    /// The cookbook's example, remembered with its counts: 129 tokens of gpt-3.5-turbo and 124 of gpt-4o.
    #[test]
    fn a_chat_is_counted_as_the_provider_counts_it() {
        let system = |name: Option<&str>, content: &str| match name {
            Some(name) => json!({"role": "system", "name": name, "content": content}),
            None => json!({"role": "system", "content": content}),
        };
        let messages = json!([
            system(None, "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
            system(Some("example_user"), "New synergies will help drive top-line growth."),
            system(Some("example_assistant"), "Things working well together will increase revenue."),
            system(Some("example_user"), "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
            system(Some("example_assistant"), "Let's talk later when we're less busy about how to do better."),
            {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."},
        ]);
        for (model, tokens, by) in [("gpt-3.5-turbo", 129, "cl100k_base"), ("gpt-4o", 124, "o200k_base")] {
            let estimate =
                asked(json!({"provider": "openai", "body": {"model": model, "messages": messages}})).unwrap();
            assert_eq!(
                (estimate.input_tokens, estimate.counted_by.as_str(), estimate.exact),
                (tokens, by, true),
                "{model}"
            );
        }
    }

    #[test]
    fn a_price_follows_the_book_and_the_worst_case_its_limit() {
        let body = json!({"model": "gpt-4.1", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]});
        let bytes = body.to_string().len() as u64;
        let estimate = asked(json!({"provider": "openai", "body": body, "output_tokens": 10})).unwrap();
        assert_eq!((estimate.row.as_deref(), estimate.input_tokens), (Some("gpt-4.1"), 8));
        // 2 and 8 dollars a million.
        assert_eq!(estimate.cost_usd, Some(Picodollars::from_pico(8 * 2_000_000 + 10 * 8_000_000)));
        assert_eq!((estimate.worst.output_tokens, estimate.worst.unbounded.len()), (100, 0));
        assert!(estimate.worst.input_tokens >= bytes);
        assert!(estimate.worst.cost_usd > estimate.cost_usd);
    }

    #[test]
    fn a_model_without_a_public_encoding_is_estimated_and_said() {
        let body = json!({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "one two three four"}]});
        let estimate = asked(json!({"provider": "anthropic", "body": body})).unwrap();
        assert_eq!((estimate.counted_by.as_str(), estimate.exact), ("estimated", false));
        assert!((3..=6).contains(&estimate.input_tokens), "{}", estimate.input_tokens);
        assert_eq!(estimate.worst.unbounded, Vec::<&str>::new(), "the book knows its longest answer");
        assert_eq!(estimate.worst.output_tokens, 64_000);
    }

    #[test]
    fn parts_tools_and_images_are_found_and_said() {
        let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": [
            {"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": "data:"}}]}],
            "tools": [{"type": "function", "function": {"name": "look"}}]});
        let estimate = asked(json!({"provider": "openai", "body": body})).unwrap();
        assert!(!estimate.exact && estimate.input_tokens > 8, "{estimate:?}");
        assert!(estimate.notes.iter().any(|note| note.contains("`tools`")), "{estimate:?}");
        assert!(estimate.notes.iter().any(|note| note.contains("images")), "{estimate:?}");
    }

    #[test]
    fn what_has_no_price_says_so() {
        let estimate = asked(json!({"provider": "openai", "model": "no-such-model", "text": "hi"})).unwrap();
        assert_eq!((estimate.cost_usd, estimate.worst.cost_usd, estimate.row), (None, None, None));
        assert!(estimate.notes.iter().any(|note| note.contains("no row for `no-such-model`")));
    }

    #[test]
    fn a_question_that_lacks_something_is_told_what() {
        for (question, expected) in [
            (json!({}), "`provider` is missing"),
            (json!({"provider": "openai"}), "`body` is missing"),
            (json!({"provider": "openai", "text": "x"}), "`model` is missing"),
            (json!({"provider": "openai", "text": "x", "body": {}}), "both `body` and `text`"),
            (json!({"provider": "openai", "body": []}), "not a JSON object"),
            (json!({"provider": "openai", "body": {}}), "`path` is missing"),
            (json!({"provider": "openai", "body": {"messages": []}}), "`model` is missing"),
        ] {
            let error = asked(question.clone()).unwrap_err();
            assert!(error.contains(expected), "{question}: {error}");
        }
    }
}

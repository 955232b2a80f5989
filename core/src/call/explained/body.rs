//! The body of a call that is described by its model, its prompt and its output limit.

use serde_json::{Value, json};

use crate::keys::Keys;
use crate::provider::{Api, Target};
use crate::request::{RequestMeter, output_limit};

/// What a description says of the body.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    body: Option<Value>,
    model: Option<String>,
    text: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    stream: bool,
}

/// A body, and what of it was made up; none where nothing follows the head.
type Made = (Option<Vec<u8>>, Option<String>);

impl Prompt {
    pub(super) fn read(keys: &mut Keys<'_>) -> Self {
        let prompt = Self {
            body: keys.get("body").cloned(),
            model: keys.text("model"),
            text: keys.text("prompt"),
            input_tokens: keys.number_if_given("input_tokens", 1..=TOKENS_MAX),
            output_tokens: keys.number_if_given("max_output_tokens", 1..=TOKENS_MAX),
            stream: keys.flag("stream", false),
        };
        if prompt.body.is_some() {
            for key in ["model", "prompt", "input_tokens", "max_output_tokens", "stream"] {
                if keys.has(key) {
                    keys.wrong(key, "is given beside `body`, which says it; give one of them");
                }
            }
        }
        if prompt.text.is_some() && prompt.input_tokens.is_some() {
            keys.wrong(
                "input_tokens",
                "is given beside `prompt`, whose text has its tokens; give one of them",
            );
        }
        prompt
    }

    pub(super) fn model(&self) -> &str {
        self.model.as_deref().unwrap_or_default()
    }

    /// The body that says it in this API.
    pub(super) fn body(&self, target: &Target, keys: &mut Keys<'_>) -> Result<Made, (&'static str, String)> {
        match &self.body {
            Some(Value::String(text)) => return Ok((Some(text.clone().into_bytes()), None)),
            Some(body) => return Ok((Some(body.to_string().into_bytes()), None)),
            None => {}
        }
        let says_nothing = self.text.is_none() && self.input_tokens.is_none() && self.output_tokens.is_none();
        if says_nothing && self.model.is_none() && !self.stream {
            return Ok((None, None));
        }
        let (text, note) = self.text();
        let no_shape = || {
            let text =
                "is missing: how a call of this path is made of a prompt is not known here; give its body";
            ("body", text.to_owned())
        };
        let mut body = shape(target.api, &text).ok_or_else(no_shape)?;
        if let Some(model) = &self.model {
            match &target.path_model {
                None => put(&mut body, "model", json!(model)),
                Some(in_path) if in_path == model => {}
                Some(in_path) => {
                    keys.wrong("model", &format!("is `{model}`, and the path names `{in_path}`, which wins"));
                }
            }
        }
        if self.stream {
            match target.api {
                Api::GenerateContent | Api::Converse => {
                    let text = "is told by the path at this API; give a `path` that streams";
                    keys.wrong("stream", text);
                }
                _ => put(&mut body, "stream", json!(true)),
            }
        }
        let mut bytes = body.to_string().into_bytes();
        if let Some(tokens) = self.output_tokens {
            bytes = match target.api {
                // Must always have one, so none is ever written into its requests.
                Api::Messages => {
                    put(&mut body, "max_tokens", json!(tokens));
                    body.to_string().into_bytes()
                }
                _ => output_limit::limited(&bytes, target, tokens).ok_or_else(|| {
                    let text = "cannot be put into a call of this path; give its `body`";
                    ("max_output_tokens", text.to_owned())
                })?,
            };
        }
        Ok((Some(bytes), note))
    }

    /// The prompt; one of so many tokens is made up.
    fn text(&self) -> (String, Option<String>) {
        let Some(wanted) = self.input_tokens else {
            return (self.text.clone().unwrap_or_default(), None);
        };
        let estimate = |words: u64| {
            let mut meter = RequestMeter::default();
            let text = WORD.repeat(usize::try_from(words).unwrap_or_default());
            meter.feed(json!({"prompt": text}).to_string().as_bytes());
            (meter.input_estimate().unwrap_or(0), text)
        };
        let (first, _) = estimate(SAMPLE_WORDS);
        let words = wanted.saturating_mul(SAMPLE_WORDS) / first.max(1);
        let (tokens, text) = estimate(words.max(1));
        let note = format!(
            "the prompt is made up: text of about {tokens} tokens; a real one of as many tokens may be longer or shorter, \
             and what is held depends on its length"
        );
        (text, Some(note))
    }
}

/// The path of a provider's plain API for texts.
pub(super) fn usual_path(provider: &str, model: &str) -> String {
    match provider {
        "anthropic" => "/v1/messages".to_owned(),
        "cohere" => "/v2/chat".to_owned(),
        "ollama" => "/api/chat".to_owned(),
        "gemini" | "vertex" => format!("/v1beta/models/{model}:generateContent"),
        "bedrock" => format!("/model/{model}/converse"),
        _ => "/v1/chat/completions".to_owned(),
    }
}

/// The shortest body that sends a text.
fn shape(api: Api, text: &str) -> Option<Value> {
    Some(match api {
        Api::ChatCompletions | Api::Messages | Api::CohereChat | Api::OllamaChat => {
            json!({"messages": [{"role": "user", "content": text}]})
        }
        Api::Completions => json!({"prompt": text}),
        Api::Responses | Api::Embeddings | Api::Moderation => json!({"input": text}),
        Api::GenerateContent => json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        Api::Converse => json!({"messages": [{"role": "user", "content": [{"text": text}]}]}),
        _ => return None,
    })
}

fn put(body: &mut Value, key: &str, value: Value) {
    if let Some(object) = body.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

const WORD: &str = "word ";
/// Of so many words the tokens of one are told.
const SAMPLE_WORDS: u64 = 1_000;
/// More than any model reads.
const TOKENS_MAX: u64 = 4_000_000;

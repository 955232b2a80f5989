//! One call on its way through a simulated provider: what was asked, and what will be answered.

use serde_json::Value;

use crate::ledger::{Received, Served, Tokens};
use crate::orders::{Fault, Orders};
use crate::prices::{self, Model};
use crate::random::Random;

/// A request, read.
pub(crate) struct Asked {
    pub(crate) received: Received,
    pub(crate) body: Value,
    pub(crate) orders: Orders,
    pub(crate) call: Option<String>,
    pub(crate) random: Random,
    /// Names the answer in its ids; grows with each request.
    pub(crate) number: u64,
}

/// An answer, ready to be delivered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(String, String)>,
    /// The body, one piece for each event of a stream.
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) served: Served,
}

impl Asked {
    /// The text of a field at the top of the body.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.body.get(key)?.as_str()
    }

    /// A number at the top of the body.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.body.get(key)?.as_u64()
    }

    /// Whether a field at the top of the body is `true`.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.body.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Id with this prefix, in the providers' manner.
    pub(crate) fn id(&self, prefix: &str) -> String {
        format!("{prefix}{:024x}", u128::from(self.number) << 40 | u128::from(fold(&self.received.path)))
    }

    /// How many answers a greedy provider gives: to each of several prompts as many as are asked for.
    pub(crate) fn answers(&self) -> u64 {
        if self.orders.greedy.is_none() {
            return 1;
        }
        let prompts = self.body.get("prompt").and_then(Value::as_array);
        let texts = prompts.filter(|prompts| prompts.first().is_some_and(|first| !first.is_number()));
        let asked = self.number("n").unwrap_or(1).max(self.number("best_of").unwrap_or(1)).max(1);
        asked * texts.map_or(1, |texts| texts.len() as u64)
    }

    /// Content events of a stream.
    pub(crate) fn events(&mut self, tokens: &Tokens) -> u64 {
        let spoken = (tokens.output - tokens.reasoning).clamp(1, 60);
        self.orders.events.unwrap_or(spoken)
    }

    /// Tokens of this call: as ordered, else random, with an output of at most `output_limit`.
    pub(crate) fn tokens(&mut self, kinds: Kinds, output_limit: Option<u64>) -> Tokens {
        let random = &mut self.random;
        let input = random.between(20, 6_000);
        let output = random.between(5, 900).min(output_limit.unwrap_or(u64::MAX)).max(1);
        let cached = random.chance(40);
        let cache_read = random.between(0, input * 3 / 4);
        let written = random.chance(30);
        let cache_write_5m = random.between(0, input / 8);
        let cache_write_1h = random.between(0, input / 8);
        let thinks = random.chance(60);
        let reasoning = random.between(0, output * 4 / 5);
        let keep = |keep: bool, count: u64| if keep { count } else { 0 };
        let orders = &self.orders;
        let input = orders.input.unwrap_or(input);
        let output = orders.output.unwrap_or(output);
        // Where the totals are ordered, the parts left to chance must still fit into them.
        let cache_read =
            orders.cache_read.unwrap_or_else(|| keep(cached && orders.input.is_none(), cache_read));
        let part = |ordered: Option<u64>, count| {
            ordered.unwrap_or_else(|| keep(kinds.writes_cache && written && orders.input.is_none(), count))
        };
        let reasons = kinds.reasons && thinks && orders.output.is_none() && orders.greedy.is_none();
        Tokens {
            input,
            cache_read,
            cache_write_5m: part(orders.cache_write_5m, cache_write_5m),
            cache_write_1h: part(orders.cache_write_1h, cache_write_1h),
            output: orders.greedy.map_or(output, |most| most.min(output_limit.unwrap_or(u64::MAX)).max(1)),
            reasoning: orders.reasoning.unwrap_or_else(|| keep(reasons, reasoning)),
        }
    }
}

/// Which parts a model's tokens have.
#[derive(Clone, Copy)]
pub(crate) struct Kinds {
    /// Cache writes have their own price.
    pub(crate) writes_cache: bool,
    /// The model reasons and says how much.
    pub(crate) reasons: bool,
}

impl Answer {
    /// A line for the ledger and an empty answer to `asked`.
    pub(crate) fn new(asked: &Asked, provider: &'static str, operation: &'static str) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            headers: vec![("x-request-id".into(), asked.id("req_"))],
            pieces: Vec::new(),
            served: Served {
                call: asked.call.clone(),
                provider,
                operation,
                received: asked.received.clone(),
                cost_pico: Some(0),
                ..Served::default()
            },
        }
    }

    /// Writes what was used, and what it costs, into the ledger's line.
    pub(crate) fn bill(&mut self, request_model: &str, tier: &str, fallback_tier: &str, tokens: Tokens) {
        let model = prices::model(self.served.provider, request_model, tier)
            .or_else(|| prices::model(self.served.provider, request_model, fallback_tier));
        self.served.request_model = request_model.to_owned();
        self.served.response_model =
            model.map_or_else(|| request_model.to_owned(), |model| model.answers_as.to_owned());
        self.served.service_tier = model.map_or("default", |model| model.service_tier);
        self.served.reported = true;
        self.served.tokens = tokens;
        self.served.cost_pico = model.map(|model: &Model| model.cost(&tokens));
    }

    /// An error in a provider's shape; nothing is charged.
    pub(crate) fn error(asked: &Asked, provider: &'static str, operation: &'static str, status: u16) -> Self {
        let mut answer = Self::new(asked, provider, operation);
        answer.status = status;
        answer.served.status = status;
        if status == 429 || status == 529 {
            answer.headers.push(("retry-after".into(), "1".into()));
        }
        answer.pieces = vec![error_body(provider, status).into_bytes()];
        answer
    }

    /// A JSON answer.
    pub(crate) fn json(mut self, body: String) -> Self {
        self.pieces = vec![body.into_bytes()];
        self
    }

    /// An answer that comes in events.
    pub(crate) fn stream(mut self, content_type: &'static str, events: Vec<String>) -> Self {
        self.content_type = content_type;
        self.served.stream = true;
        self.pieces = events.into_iter().map(String::into_bytes).collect();
        self
    }

    /// Breaks a stream off with an error event, when that was ordered.
    pub(crate) fn with_fault(mut self, fault: Option<Fault>, error_event: &str) -> Self {
        if fault == Some(Fault::ErrorInStream) && self.served.stream {
            self.pieces.truncate(self.pieces.len() / 2);
            self.pieces.push(error_event.as_bytes().to_vec());
            self.served.reported = false;
        }
        self
    }
}

/// Error body of a provider.
fn error_body(provider: &str, status: u16) -> String {
    match provider {
        "anthropic" => {
            let kind = match status {
                429 => "rate_limit_error",
                529 => "overloaded_error",
                400..=499 => "invalid_request_error",
                _ => "api_error",
            };
            format!(
                r#"{{"type":"error","error":{{"type":"{kind}","message":"simulated error {status}"}},"request_id":"req_sim"}}"#
            )
        }
        "gemini" => {
            let name = match status {
                429 => "RESOURCE_EXHAUSTED",
                400..=499 => "INVALID_ARGUMENT",
                _ => "INTERNAL",
            };
            format!(
                "{{\n  \"error\": {{\n    \"code\": {status},\n    \"message\": \"simulated error {status}\",\n    \"status\": \"{name}\"\n  }}\n}}\n"
            )
        }
        _ => {
            let kind = match status {
                429 => "rate_limit_exceeded",
                400..=499 => "invalid_request_error",
                _ => "server_error",
            };
            format!(
                "{{\n  \"error\": {{\n    \"message\": \"simulated error {status}\",\n    \"type\": \"{kind}\",\n    \"param\": null,\n    \"code\": \"{kind}\"\n  }}\n}}"
            )
        }
    }
}

/// Words of an answer, one for each content event.
pub(crate) fn words(count: u64, random: &mut Random) -> Vec<String> {
    (0..count).map(|_| format!("{} ", random.pick(&WORDS))).collect()
}

/// A JSON string literal.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

const fn fold_byte(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

fn fold(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, fold_byte)
}

/// Among them what trips careless parsers: quotes, escapes, keys that look like usage, several bytes a
/// character.
const WORDS: [&str; 16] = [
    "the",
    "budget",
    "of",
    "each",
    "team",
    "is",
    "known",
    "naïve",
    "Größe",
    "日本語",
    "🦀",
    "\"usage\"",
    "{\"usage\":{\"prompt_tokens\":1}}",
    "line\nbreak",
    "data: [DONE]",
    "back\\slash",
];

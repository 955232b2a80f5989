//! The worst case of a call: what is charged to its budgets before it goes on.
//!
//! A request's bytes bound its tokens: no tokenizer makes more than one token of a byte. To them comes an allowance for
//! what providers put around a prompt, and one for each image. What is not in the request (stored conversations, files,
//! pages that a tool fetches) has no such bound and is held at the model's context window; then the call is not
//! *bounded*, and says why.

use crate::json;
use crate::price::Held;
use crate::provider::Api;
use crate::usage::CacheTtl;

/// What a request says that bounds its call; [`crate::request::RequestMeter`] reads it. Holds a bounded amount of it.
#[derive(Clone, Debug, Default)]
pub struct RequestBounds {
    /// The largest output limit: which of several counts is the provider's choice.
    output_limit: Option<u64>,
    choices: Option<u64>,
    images: u64,
    audio_in: bool,
    audio_out: bool,
    cache_write: Option<CacheTtl>,
    speed: Option<String>,
    geo: Option<String>,
    background: bool,
    outside: bool,
    server_tools: bool,
    /// Which of [`ONCE`] were there, and whether one came twice.
    seen: u32,
    twice: Option<&'static str>,
}

/// What stands at a place that bounds a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    Once(u8),
    OutputLimit,
    Choices,
    Image,
    AudioIn,
    Modalities,
    CacheControl,
    Speed,
    Geo,
    Background,
    Outside,
    SourceType,
    ItemType,
    ToolType,
    ServerTool,
}

/// How much a call can consume at most.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bound {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer, of all choices.
    pub output_tokens: u64,
    /// Why it is not bounded by what the request says; empty where it is.
    pub unbounded: Vec<&'static str>,
    /// What else decides its price.
    pub held: Held,
}

/// What is known of a model's size, where the price book says it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelSize {
    /// Context window, in tokens.
    pub context_tokens: Option<u64>,
    /// Longest answer, in tokens.
    pub output_tokens: Option<u64>,
}

impl RequestBounds {
    /// A key that decides about the call and stands in it twice: who reads the first and who reads the last would
    /// not read the same call.
    #[must_use]
    pub const fn ambiguous(&self) -> Option<&'static str> {
        self.twice
    }

    /// Whether the request limits its output.
    #[must_use]
    pub const fn has_output_limit(&self) -> bool {
        self.output_limit.is_some()
    }

    /// A limit is written into the request, which has none.
    pub fn limit_output(&mut self, tokens: u64) {
        self.output_limit = Some(tokens);
    }

    /// Whether the work is to go on without the caller.
    #[must_use]
    pub const fn is_background(&self) -> bool {
        self.background
    }

    /// The most that the call can consume. `body_bytes` is the length of its body.
    #[must_use]
    pub fn bound(&self, api: Api, body_bytes: u64, size: ModelSize) -> Bound {
        let reading = self;
        let mut bound = Bound {
            held: Held {
                cache_write: reading.cache_write,
                audio_in: reading.audio_in || matches!(api, Api::Transcription | Api::Realtime | Api::Live),
                image_in: reading.images > 0,
                audio_out: reading.audio_out || matches!(api, Api::Speech | Api::Realtime | Api::Live),
                image_out: api == Api::Images,
                images: 0,
                tool_calls: 0,
                speed: reading.speed.clone(),
                geo: reading.geo.clone(),
            },
            ..Bound::default()
        };
        let context = size.context_tokens.unwrap_or(CONTEXT_TOKENS);
        bound.input_tokens = body_bytes
            .saturating_add(TEMPLATE_TOKENS)
            .saturating_add(reading.images.saturating_mul(IMAGE_TOKENS));
        if let Some(context) = size.context_tokens {
            bound.input_tokens = bound.input_tokens.min(context);
        }
        if reading.outside {
            bound.unbounded.push("input_outside_of_the_request");
            bound.input_tokens = bound.input_tokens.max(context);
        }
        if reading.server_tools {
            bound.unbounded.push("server_tools");
            bound.input_tokens = bound.input_tokens.max(context);
            bound.held.tool_calls = TOOL_CALLS;
        }
        let choices = reading.choices.unwrap_or(1).max(1);
        bound.output_tokens = if api.generates_text() {
            let limit = reading.output_limit.or(size.output_tokens);
            if limit.is_none() {
                bound.unbounded.push("no_output_limit");
            }
            limit.unwrap_or(OUTPUT_TOKENS).saturating_mul(choices)
        } else {
            other_output(api, choices, size.context_tokens, &mut bound)
        };
        bound
    }
}

/// What is not text can be held by rules of thumb only.
fn other_output(api: Api, choices: u64, context_tokens: Option<u64>, bound: &mut Bound) -> u64 {
    match api {
        Api::Embeddings | Api::EmbedContent | Api::CohereEmbed | Api::OllamaEmbed | Api::Rerank => 0,
        Api::Images => {
            bound.unbounded.push("images");
            bound.held.images = choices;
            IMAGE_OUTPUT_TOKENS.saturating_mul(choices)
        }
        Api::Realtime | Api::Live => {
            // One turn: all that was said so far, whatever has passed.
            bound.unbounded.push("session");
            bound.input_tokens = context_tokens.unwrap_or(SESSION_INPUT_TOKENS);
            SESSION_OUTPUT_TOKENS
        }
        _ => {
            bound.unbounded.push("not_text");
            SESSION_OUTPUT_TOKENS
        }
    }
}

impl Bound {
    /// Whether the request itself bounds what the call can cost.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.unbounded.is_empty()
    }
}

impl RequestBounds {
    /// A place where something stands that bounds a call.
    pub(crate) fn value(&mut self, field: Field, raw: Option<&[u8]>) {
        // A value too long to be kept is there all the same.
        let raw = raw.unwrap_or(b"{}");
        if raw == b"null" && !matches!(field, Field::Once(_)) {
            return;
        }
        match field {
            Field::Once(key) => {
                let bit = 1 << key;
                if self.seen & bit != 0 {
                    self.twice = ONCE.get(usize::from(key)).copied();
                }
                self.seen |= bit;
                self.once(key, raw);
            }
            Field::OutputLimit => self.output_limit = self.output_limit.max(json::count(raw)),
            Field::Choices => self.choices = self.choices.max(json::count(raw)),
            Field::Image => self.images = self.images.saturating_add(1),
            Field::AudioIn => self.audio_in = true,
            Field::Modalities => self.audio_out |= contains(raw, b"audio") || contains(raw, b"AUDIO"),
            Field::CacheControl => {
                let ttl = if contains(raw, b"1h") { CacheTtl::OneHour } else { CacheTtl::FiveMinutes };
                self.cache_write = self.cache_write.max(Some(ttl));
            }
            Field::Speed => self.speed = json::text(raw),
            Field::Geo => self.geo = json::text(raw),
            Field::Background => self.background |= raw == b"true",
            Field::Outside => self.outside |= raw != b"false" && raw != b"[]" && raw != b"\"\"",
            Field::SourceType => {
                // A picture that the provider fetches is a picture; a document has pages.
                match json::text(raw).as_deref() {
                    Some("base64" | "text" | "content") => {}
                    _ => self.outside = true,
                }
            }
            Field::ItemType => match json::text(raw).as_deref() {
                Some("image" | "input_image" | "image_url") => self.images = self.images.saturating_add(1),
                Some("item_reference" | "document" | "file" | "input_file" | "container_upload") => {
                    self.outside = true;
                }
                Some("input_audio") => self.audio_in = true,
                _ => {}
            },
            Field::ToolType => {
                let kind = json::text(raw).unwrap_or_default();
                self.server_tools |= !CLIENT_TOOLS.iter().any(|known| kind.starts_with(known));
            }
            Field::ServerTool => self.server_tools |= raw != b"[]" && raw != b"false",
        }
    }

    fn once(&mut self, key: u8, raw: &[u8]) {
        let Some(name) = ONCE.get(usize::from(key)) else { return };
        match *name {
            "model" | "stream" | "service_tier" => {}
            "n" => self.choices = self.choices.max(json::count(raw)),
            _ => self.output_limit = self.output_limit.max(json::count(raw)),
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The places, to be captured.
pub(crate) fn places() -> impl Iterator<Item = (&'static str, Field)> {
    let once = (0u8..).zip(ONCE).map(|(key, path)| (*path, Field::Once(key)));
    once.chain(PATHS.iter().copied())
}

/// Keys at the top of a request that decide about it and may stand there once. The output limits of each provider's
/// API are among them (references of OpenAI, Anthropic, Mistral, Cohere and Amazon, read 2026-11-25).
const ONCE: &[&str] = &[
    "model",
    "stream",
    "service_tier",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "max_gen_len",
    "max_tokens_to_sample",
    "maxTokens",
];

const PATHS: &[(&str, Field)] = &[
    ("generationConfig.maxOutputTokens", Field::OutputLimit),
    ("generationConfig.max_output_tokens", Field::OutputLimit),
    ("generation_config.maxOutputTokens", Field::OutputLimit),
    ("generation_config.max_output_tokens", Field::OutputLimit),
    ("inferenceConfig.maxTokens", Field::OutputLimit),
    ("inferenceConfig.max_new_tokens", Field::OutputLimit),
    ("textGenerationConfig.maxTokenCount", Field::OutputLimit),
    ("parameters.max_new_tokens", Field::OutputLimit),
    ("options.num_predict", Field::OutputLimit),
    ("best_of", Field::Choices),
    ("num_generations", Field::Choices),
    ("generationConfig.candidateCount", Field::Choices),
    ("generation_config.candidate_count", Field::Choices),
    ("generationConfig.responseModalities", Field::Modalities),
    ("modalities", Field::Modalities),
    ("background", Field::Background),
    ("speed", Field::Speed),
    ("inference_geo", Field::Geo),
    // What is read besides the request.
    ("previous_response_id", Field::Outside),
    ("conversation", Field::Outside),
    ("prompt.id", Field::Outside),
    ("cachedContent", Field::Outside),
    ("cached_content", Field::Outside),
    ("container", Field::Outside),
    ("previous_interaction_id", Field::Outside),
    ("assistant_id", Field::Outside),
    ("thread_id", Field::Outside),
    ("messages[].content[].file", Field::Outside),
    ("messages[].content[].document", Field::Outside),
    ("messages[].content[].video", Field::Outside),
    ("messages[].content[].video_url", Field::Outside),
    ("contents[].parts[].fileData", Field::Outside),
    ("contents[].parts[].file_data", Field::Outside),
    // Parts of a prompt that are not text.
    ("messages[].content[].type", Field::ItemType),
    ("messages[].content[].source.type", Field::SourceType),
    ("messages[].content[].image", Field::Image),
    ("messages[].images[]", Field::Image),
    ("images[]", Field::Image),
    ("messages[].content[].input_audio", Field::AudioIn),
    ("input[].type", Field::ItemType),
    ("input[].content[].type", Field::ItemType),
    ("contents[].parts[].inlineData", Field::Image),
    ("contents[].parts[].inline_data", Field::Image),
    // What is written to a cache at a price of its own.
    ("cache_control", Field::CacheControl),
    ("system[].cache_control", Field::CacheControl),
    ("tools[].cache_control", Field::CacheControl),
    ("messages[].content[].cache_control", Field::CacheControl),
    ("system[].cachePoint", Field::CacheControl),
    ("messages[].content[].cachePoint", Field::CacheControl),
    ("toolConfig.tools[].cachePoint", Field::CacheControl),
    // Tools that the provider runs.
    ("tools[].type", Field::ToolType),
    ("tools[].googleSearch", Field::ServerTool),
    ("tools[].google_search", Field::ServerTool),
    ("tools[].googleSearchRetrieval", Field::ServerTool),
    ("tools[].google_search_retrieval", Field::ServerTool),
    ("tools[].urlContext", Field::ServerTool),
    ("tools[].url_context", Field::ServerTool),
    ("tools[].codeExecution", Field::ServerTool),
    ("tools[].code_execution", Field::ServerTool),
    ("tools[].fileSearch", Field::ServerTool),
    ("tools[].googleMaps", Field::ServerTool),
    ("web_search_options", Field::ServerTool),
    ("search_parameters", Field::ServerTool),
    ("mcp_servers", Field::ServerTool),
    ("plugins", Field::ServerTool),
    ("connectors", Field::ServerTool),
    ("context_management", Field::ServerTool),
];

/// Kinds of tools that the caller runs itself, by the start of their name: only their definition is input.
const CLIENT_TOOLS: &[&str] = &[
    "function",
    "custom",
    "computer",
    "bash",
    "text_editor",
    "memory",
    "local_shell",
    "shell",
    "apply_patch",
];

/// What providers put around a prompt: chat templates, the preamble that tools bring (Anthropic's is up to 700 tokens,
/// its documentation, read 2026-11-25).
const TEMPLATE_TOKENS: u64 = 1_024;
/// One image, at most: what the dearest tiling of current models makes of it. OpenAI's `gpt-4o-mini`, which multiplies
/// its tiles, is the known exception; there the difference shows as overshoot.
const IMAGE_TOKENS: u64 = 8_192;
/// The context window of a model that nothing is known of.
const CONTEXT_TOKENS: u64 = 200_000;
/// The longest answer of a model that nothing is known of.
const OUTPUT_TOKENS: u64 = 65_536;
/// Calls of a provider's own tool that are held for.
const TOOL_CALLS: u64 = 10;
/// A picture of the dearest size and quality.
const IMAGE_OUTPUT_TOKENS: u64 = 8_192;
/// A turn of a session, and what is not text.
const SESSION_INPUT_TOKENS: u64 = 32_768;
const SESSION_OUTPUT_TOKENS: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::RequestMeter;

    fn bound(api: Api, body: &str, size: ModelSize) -> Bound {
        let read = |pieces: &[&[u8]]| bounds(pieces).bound(api, body.len() as u64, size);
        let bound = read(&[body.as_bytes()]);
        for at in 0..=body.len() {
            let (head, tail) = body.as_bytes().split_at(at);
            assert_eq!(read(&[head, tail]), bound, "split at byte {at}");
        }
        bound
    }

    fn bounds(pieces: &[&[u8]]) -> RequestBounds {
        let mut request = RequestMeter::default();
        request.watch_bounds();
        pieces.iter().for_each(|piece| request.feed(piece));
        request.bounds().unwrap().clone()
    }

    #[test]
    fn an_inline_prompt_with_an_output_limit_is_bounded() {
        for (api, body, output) in [
            (Api::ChatCompletions, r#"{"model":"m","max_tokens":50,"messages":[{"content":"hi"}]}"#, 50),
            (Api::ChatCompletions, r#"{"max_tokens":50,"max_completion_tokens":70,"n":3}"#, 210),
            (
                Api::Responses,
                r#"{"input":"hi","max_output_tokens":16,"tools":[{"type":"function","name":"f"}]}"#,
                16,
            ),
            (
                Api::GenerateContent,
                r#"{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":9,"candidateCount":2}}"#,
                18,
            ),
            (Api::Converse, r#"{"inferenceConfig":{"maxTokens":5}}"#, 5),
            (Api::OllamaChat, r#"{"options":{"num_predict":8}}"#, 8),
            (Api::Embeddings, r#"{"input":"hi"}"#, 0),
        ] {
            let bound = bound(api, body, ModelSize::default());
            assert!(bound.is_bounded(), "{body}: {:?}", bound.unbounded);
            assert_eq!(
                (bound.output_tokens, bound.input_tokens),
                (output, body.len() as u64 + TEMPLATE_TOKENS),
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_not_in_the_request_has_no_bound() {
        for (body, expected) in [
            (r#"{"max_tokens":1,"previous_response_id":"r"}"#, "input_outside_of_the_request"),
            (
                r#"{"max_tokens":1,"messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}"#,
                "input_outside_of_the_request",
            ),
            (
                r#"{"max_tokens":1,"messages":[{"content":[{"type":"document","source":{"type":"url"}}]}]}"#,
                "input_outside_of_the_request",
            ),
            (r#"{"max_tokens":1,"tools":[{"type":"web_search_20250305"}]}"#, "server_tools"),
            (r#"{"max_tokens":1,"tools":[{"googleSearch":{}}]}"#, "server_tools"),
            (r#"{"messages":[]}"#, "no_output_limit"),
        ] {
            let bound = bound(Api::ChatCompletions, body, ModelSize::default());
            assert_eq!(bound.unbounded, [expected], "{body}");
            if expected != "no_output_limit" {
                assert_eq!(bound.input_tokens, CONTEXT_TOKENS);
            }
        }
    }

    #[test]
    fn a_models_size_bounds_what_the_request_does_not() {
        let size = ModelSize { context_tokens: Some(1_100), output_tokens: Some(400) };
        let bound =
            bound(Api::ChatCompletions, &format!(r#"{{"n":2,"messages":"{}"}}"#, "x".repeat(200)), size);
        assert_eq!((bound.input_tokens, bound.output_tokens), (1_100, 800));
        assert!(bound.is_bounded());
    }

    #[test]
    fn images_audio_and_cache_writes_are_held_by_their_parts() {
        let body = r#"{"max_tokens":1,"system":[{"text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}],
            "messages":[{"content":[{"type":"image","source":{"type":"base64"}},{"type":"image_url"},{"type":"input_audio","input_audio":{}}]}],
            "modalities":["text","audio"],"speed":"fast","inference_geo":"us"}"#;
        let bound = bound(Api::Messages, body, ModelSize::default());
        assert!(bound.is_bounded());
        assert_eq!(bound.input_tokens, body.len() as u64 + TEMPLATE_TOKENS + 2 * IMAGE_TOKENS);
        let held = bound.held;
        assert!(held.image_in && held.audio_in && held.audio_out);
        assert_eq!(held.cache_write, Some(CacheTtl::OneHour));
        assert_eq!((held.speed.as_deref(), held.geo.as_deref()), (Some("fast"), Some("us")));
    }

    #[test]
    fn a_deciding_key_that_comes_twice_is_said() {
        for (body, expected) in [
            (r#"{"model":"a","messages":[],"model":"b"}"#, Some("model")),
            (r#"{"max_tokens":1,"max_\u0074okens":100000}"#, Some("max_tokens")),
            (r#"{"model":"a","metadata":{"model":"b"}}"#, None),
        ] {
            assert_eq!(bounds(&[body.as_bytes()]).ambiguous(), expected, "{body}");
        }
    }
}

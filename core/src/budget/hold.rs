//! The worst case of a call: what is charged to its budgets before it goes on.
//!
//! A request's bytes bound its tokens: no tokenizer makes more than one token of a byte. To them comes an
//! allowance for what providers put around a prompt, and one for each image. What is not in the request
//! (stored conversations, files, pages that a tool fetches) has no such bound and is held at the model's
//! context window; then the call is not *bounded*, and says why. What of a request decides stands in the
//! tables of [`crate::request::bounds`].

use crate::price::bound::{Bound, Held, ModelSize};
use crate::provider::{Api, Target};
use crate::request::bounds::RequestBounds;

impl Bound {
    /// The most that a call with this request can consume. `body_bytes` is the length of its body.
    pub fn of(reading: &RequestBounds, target: &Target, body_bytes: u64, size: ModelSize) -> Self {
        let api = target.api;
        let prompts = reading.prompts.max(1);
        let answers = reading.answers();
        let context = size.context_tokens.unwrap_or(CONTEXT_TOKENS);
        let mut unbounded = Vec::new();
        let mut input_tokens = body_bytes
            .saturating_add(TEMPLATE_TOKENS.saturating_mul(prompts))
            .saturating_add(reading.images.saturating_mul(IMAGE_TOKENS));
        if api == Api::Rerank {
            input_tokens = input_tokens.saturating_add(reading.query_bytes.saturating_mul(reading.documents));
        }
        // What is embedded has a window for each text and picture, what is ranked for each document.
        let windows = match api {
            Api::Embeddings | Api::EmbedContent | Api::CohereEmbed | Api::OllamaEmbed => {
                reading.prompts.saturating_add(reading.images).max(1)
            }
            Api::Rerank => reading.documents.max(1),
            _ => prompts,
        };
        if let Some(context) = size.context_tokens {
            input_tokens = input_tokens.min(context.saturating_mul(windows));
        }
        if reading.outside || target.goes_on {
            unbounded.push("input_outside_of_the_request");
            input_tokens = input_tokens.max(context.saturating_mul(windows));
        }
        let calls_tools = reading.server_tools || size.works_alone;
        if calls_tools {
            unbounded.push(if size.works_alone { "works_alone" } else { "server_tools" });
            input_tokens = input_tokens.max(context.saturating_mul(windows));
        }
        let output_tokens = if api.generates_text() {
            let limit = reading.output_limit(target).or(size.output_tokens);
            if limit.is_none() {
                unbounded.push("no_output_limit");
            }
            // What a model does by itself is output too, and no limit is for that.
            let alone = if size.works_alone { size.output_tokens.unwrap_or(OUTPUT_TOKENS) } else { 0 };
            let said = limit.unwrap_or(OUTPUT_TOKENS).max(alone);
            said.saturating_add(reading.predicted_bytes).saturating_mul(answers)
        } else {
            // A task's limit is one for text, if that is what it makes.
            let limit = reading.output_limit(target).filter(|_| api == Api::HuggingFaceTask);
            let (reason, tokens) = other_output(api, answers, body_bytes);
            unbounded.extend(reason.filter(|_| limit.is_none()));
            limit.map_or(tokens, |limit| limit.saturating_mul(answers))
        };
        // One turn: all that was said so far, whatever has passed.
        if is_session(api) {
            input_tokens = size.context_tokens.unwrap_or(SESSION_INPUT_TOKENS);
        }
        let tool_calls = if calls_tools { TOOL_CALLS } else { 0 };
        let held = held(reading, api, (answers, tool_calls), body_bytes).boxed();
        Self { input_tokens, output_tokens, unbounded, held }
    }
}

const fn is_session(api: Api) -> bool {
    matches!(api, Api::Realtime | Api::Live | Api::Voice)
}

fn held(reading: &RequestBounds, api: Api, (answers, tool_calls): (u64, u64), body_bytes: u64) -> Held {
    let is_session = is_session(api);
    // Google's models that draw do so without being asked.
    let may_draw = matches!(api, Api::Images | Api::GenerateContent | Api::Interactions);
    let by_piece = matches!(api, Api::Images | Api::Predict | Api::Invoke);
    Held {
        cache_write: reading.cache_write,
        audio_in: reading.audio_in || is_session || api == Api::Transcription,
        image_in: reading.images > 0,
        audio_out: reading.audio_out || is_session || api == Api::Speech,
        image_out: reading.image_out || may_draw,
        images: if by_piece { answers } else { 0 },
        audio_ms: match api {
            Api::Voice => VOICE_MS,
            // No speech is packed into fewer bytes than one for each millisecond.
            Api::Transcription if reading.outside => URL_AUDIO_MS,
            Api::Transcription => body_bytes,
            _ => 0,
        },
        pages: if api == Api::Ocr { PAGES } else { 0 },
        search_units: if api == Api::Rerank { 1 + body_bytes / SEARCH_UNIT_BYTES } else { 0 },
        tool_calls,
        speed: reading.speed.clone(),
        latency: reading.latency.clone(),
        geo: reading.geo.clone(),
    }
}

/// What is not text can be held by rules of thumb only: why, and how much.
fn other_output(api: Api, answers: u64, body_bytes: u64) -> (Option<&'static str>, u64) {
    match api {
        Api::Embeddings | Api::EmbedContent | Api::CohereEmbed | Api::OllamaEmbed | Api::Rerank => (None, 0),
        Api::Images => (Some("images"), IMAGE_OUTPUT_TOKENS.saturating_mul(answers)),
        // Speech has one to two tokens of sound for each character (a rule of thumb).
        Api::Speech => (Some("not_text"), SESSION_OUTPUT_TOKENS.max(body_bytes.saturating_mul(2))),
        // Of a voice session, what a row has no price for by the token is held by the minute alone.
        _ if is_session(api) => (Some("session"), SESSION_OUTPUT_TOKENS),
        _ => (Some("not_text"), SESSION_OUTPUT_TOKENS.saturating_mul(answers)),
    }
}

/// What providers put around a prompt: chat templates, the preamble that tools bring (Anthropic's is up to
/// 700 tokens, its documentation, read 2026-11-25).
const TEMPLATE_TOKENS: u64 = 1_024;
/// One image, at most: what the dearest tiling of current models makes of it. OpenAI's `gpt-4o-mini`, which
/// multiplies its tiles, is the known exception; there the difference shows as overshoot.
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

/// Pages of the longest document that Mistral's OCR reads (a rule of thumb, not read in its reference).
const PAGES: u64 = 1_000;
/// A search unit is a query with up to 100 documents (as the price book says of Cohere), of four bytes at
/// least.
const SEARCH_UNIT_BYTES: u64 = 400;
/// Sound that is fetched from an address: 100 MB (the most that Groq takes by one; its speech-to-text
/// documentation, not read anew) at a byte for each millisecond.
pub(crate) const URL_AUDIO_MS: u64 = 100_000_000;
/// A session that is charged by the second is held for so long at a time, in milliseconds.
pub(crate) const VOICE_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::bound::Bound;
    use crate::price::bound::ModelSize;
    use crate::request::RequestMeter;
    use crate::usage::CacheTtl;

    fn bound(api: Api, body: &str, size: ModelSize) -> Bound {
        let target = Target { api, ..Target::recognise(Some("p"), "", "/") };
        let read = |pieces: &[&[u8]]| Bound::of(&bounds(pieces), &target, body.len() as u64, size);
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
    fn what_is_predicted_is_held_beside_what_may_be_said() {
        let text = "a line\n".repeat(9);
        for (prediction, bytes) in [
            (serde_json::json!({"type": "content", "content": text}), None),
            (serde_json::json!({"type": "content", "content": [{"type": "text", "text": text}]}), None),
            (serde_json::json!(text), Some(63)),
            (serde_json::json!(null), Some(0)),
        ] {
            let bytes = bytes.unwrap_or_else(|| prediction.to_string().len() as u64);
            for choices in [1, 3] {
                let body = serde_json::json!({"max_tokens": 10, "n": choices, "prediction": prediction});
                let bound = bound(Api::ChatCompletions, &body.to_string(), ModelSize::default());
                assert_eq!(bound.output_tokens, (10 + bytes) * choices, "{body}");
            }
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
        let size =
            ModelSize { context_tokens: Some(1_100), output_tokens: Some(400), ..ModelSize::default() };
        let bound =
            bound(Api::ChatCompletions, &format!(r#"{{"n":2,"messages":"{}"}}"#, "x".repeat(200)), size);
        assert_eq!((bound.input_tokens, bound.output_tokens), (1_100, 800));
        assert!(bound.is_bounded());
    }

    #[test]
    fn a_model_that_works_by_itself_is_not_bound_by_the_requests_limit() {
        let alone =
            |output_tokens| ModelSize { context_tokens: Some(9_000), output_tokens, works_alone: true };
        for (output_tokens, expected) in [(Some(400), 400), (Some(5), 10), (None, OUTPUT_TOKENS)] {
            let bound = bound(Api::ChatCompletions, r#"{"max_tokens":10}"#, alone(output_tokens));
            assert_eq!((bound.input_tokens, bound.output_tokens), (9_000, expected));
            assert_eq!(bound.unbounded, ["works_alone"]);
            assert_eq!(bound.held.unwrap().tool_calls, TOOL_CALLS);
        }
    }

    #[test]
    fn what_is_fetched_to_be_heard_is_held_at_its_longest() {
        let fetched =
            bound(Api::Transcription, r#"{"model":"m","url":"https://x/10h.mp3"}"#, ModelSize::default());
        assert_eq!(fetched.held.unwrap().audio_ms, URL_AUDIO_MS);
        assert!(fetched.unbounded.contains(&"input_outside_of_the_request"));
    }

    #[test]
    fn a_service_tier_and_a_latency_are_read_where_bedrock_has_them() {
        for (headers, body, tier, latency) in [
            (&[][..], r#"{"serviceTier":{"type":"priority"}}"#, Some("priority"), None),
            (&[], r#"{"serviceTier":"priority"}"#, Some("priority"), None),
            (&[], r#"{"performanceConfig":{"latency":"optimized"}}"#, None, Some("optimized")),
            (&[("x-amzn-bedrock-service-tier", "priority")], "{}", Some("priority"), None),
            (&[("x-amzn-bedrock-performanceconfig-latency", "optimized")], "{}", None, Some("optimized")),
            (&[("x-amzn-bedrock-service-tier", "")], "{}", None, None),
        ] {
            let mut meter = RequestMeter::default();
            meter.watch_bounds();
            headers.iter().for_each(|(name, value)| meter.header(name.as_bytes(), value.as_bytes()));
            meter.feed(body.as_bytes());
            assert_eq!(meter.service_tier(), tier, "{body}");
            assert_eq!(meter.bounds().unwrap().latency.as_deref(), latency, "{body}");
            assert_eq!(meter.bounds().unwrap().ambiguous(), None);
        }
    }

    #[test]
    fn images_audio_and_cache_writes_are_held_by_their_parts() {
        let body = r#"{"max_tokens":1,"system":[{"text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}],
            "messages":[{"content":[{"type":"image","source":{"type":"base64"}},{"type":"image_url"},{"type":"input_audio","input_audio":{}}]}],
            "modalities":["text","audio"],"speed":"fast","inference_geo":"us"}"#;
        let bound = bound(Api::Messages, body, ModelSize::default());
        assert!(bound.is_bounded());
        assert_eq!(bound.input_tokens, body.len() as u64 + TEMPLATE_TOKENS + 2 * IMAGE_TOKENS);
        let held = bound.held.unwrap();
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

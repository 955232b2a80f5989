//! Usage that the caller did not ask for: `stream_options.include_usage` put into a request, and the chunk
//! that it brings taken out of the answer again.
//!
//! OpenAI and what is compatible with it report the usage of a stream only when asked, in one chunk more,
//! with `choices: []`, which naive callers index into. Source: OpenAI's API reference, chat completions,
//! `stream_options`, read 2026-11-23.

use crate::provider::{Api, Target};
use crate::request::rewrite::{self, members};

/// Largest event that is held back to see whether it is the one to take out, in bytes; a larger one passes.
pub const HELD_BYTES_MAX: usize = 16 * 1024;

/// Whether this upstream reports the usage of a stream only when it is asked to.
pub fn is_needed(target: &Target, path: &str) -> bool {
    if !matches!(target.api, Api::ChatCompletions | Api::Completions) {
        return false;
    }
    match target.provider.as_ref() {
        "azure" => azure_knows_it(path),
        provider => !TELLS_UNASKED.contains(&provider),
    }
}

/// Azure's dated versions know `stream_options` from 2024-09-01-preview on; its `v1` always does.
fn azure_knows_it(path: &str) -> bool {
    let version = path.split(['?', '&']).find_map(|pair| pair.strip_prefix("api-version="));
    version.is_none_or(|version| version.get(..10).is_none_or(|day| day >= "2024-09-01"))
}

/// Providers whose streams always end with usage (PROVIDERS: "Where things are").
const TELLS_UNASKED: &[&str] = &[
    "anthropic",
    "bedrock",
    "cerebras",
    "cohere",
    "deepseek",
    "gemini",
    "groq",
    "mistral",
    "openrouter",
    "perplexity",
    "together",
    "vercel-gateway",
    "vertex",
    "xai",
];

/// The request body that also asks for usage; `None` where it is no stream, asks already, or cannot be read.
/// Everything else in it stays byte for byte.
pub fn asked(body: &[u8]) -> Option<Vec<u8>> {
    let top = members(std::str::from_utf8(body).ok()?)?;
    let inner = top.get("stream_options").and_then(|options| members(options.get()));
    let asks = inner.and_then(|inner| Some(inner.get("include_usage")?.get() == "true")).unwrap_or(false);
    if top.get("stream")?.get() != "true" || asks {
        return None;
    }
    rewrite::put(body, &["stream_options"], &["include_usage"], "true")
}

/// Takes the usage chunk out of a stream of events, whatever its cuts. Holds at most [`HELD_BYTES_MAX`]
/// bytes.
#[derive(Debug, Default)]
pub struct UsageChunkFilter {
    held: Vec<u8>,
    /// The event is too large to be the one; its bytes pass as they come.
    passing: bool,
    line_is_empty: bool,
    after_return: bool,
    removed: bool,
}

impl UsageChunkFilter {
    /// Reads a piece; gives the bytes that may go on.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + self.held.len());
        for &byte in bytes {
            self.byte(byte, &mut out);
        }
        if self.passing {
            out.append(&mut self.held);
        }
        out
    }

    /// What is held back of the pieces so far.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// The stream has ended: gives what is still held.
    pub fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        match without_usage(&held) {
            Cleared::Same => held,
            Cleared::Other(rest) => rest,
            Cleared::Nothing => Vec::new(),
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        self.held.push(byte);
        match byte {
            // The second half of a line end that has been seen.
            b'\n' if after_return => {
                if self.held.len() == 1 && !self.passing {
                    // It belongs to the event before.
                    let belongs_to_removed = self.removed;
                    let end = std::mem::take(&mut self.held);
                    if !belongs_to_removed {
                        out.extend_from_slice(&end);
                    }
                }
            }
            b'\n' | b'\r' if self.line_is_empty => self.event_end(out),
            b'\n' | b'\r' => self.line_is_empty = true,
            _ => self.line_is_empty = false,
        }
        if self.held.len() > HELD_BYTES_MAX {
            self.passing = true;
            out.append(&mut self.held);
        }
    }

    fn event_end(&mut self, out: &mut Vec<u8>) {
        let event = std::mem::take(&mut self.held);
        let cleared = if self.passing { Cleared::Same } else { without_usage(&event) };
        self.removed = cleared == Cleared::Nothing;
        match cleared {
            Cleared::Same => out.extend_from_slice(&event),
            Cleared::Other(rest) => out.extend_from_slice(&rest),
            Cleared::Nothing => {}
        }
        self.passing = false;
        self.line_is_empty = true;
    }
}

/// What is left of an event.
#[derive(Debug, Eq, PartialEq)]
enum Cleared {
    /// It has no usage that was not asked for.
    Same,
    /// What else stood in the chunk, as it was.
    Other(Vec<u8>),
    Nothing,
}

/// Takes out a chunk with usage and no choices, or the usage alone where the chunk says something else, too,
/// such as citations.
fn without_usage(event: &[u8]) -> Cleared {
    let Ok(text) = std::str::from_utf8(event) else { return Cleared::Same };
    let Some(data) = text.lines().find_map(|line| line.strip_prefix("data:")) else { return Cleared::Same };
    if !data.contains("\"usage\"") {
        return Cleared::Same;
    }
    let Some(members) = members(data.trim()) else { return Cleared::Same };
    let is_empty = |value: &str| {
        let inside = value.trim_start_matches(['[', '{']).trim_end_matches([']', '}']).trim();
        inside.is_empty() || matches!(inside, "null" | "\"\"")
    };
    let has_usage = members.get("usage").is_some_and(|usage| usage.get().starts_with('{'));
    let no_choice = members.get("choices").is_some_and(|choices| is_empty(choices.get()));
    if !has_usage || !no_choice {
        return Cleared::Same;
    }
    let says_more = |name: &str, value: &str| !ENVELOPE.contains(&name) && !is_empty(value);
    if !members.iter().any(|(name, value)| says_more(name, value.get())) {
        return Cleared::Nothing;
    }
    match rewrite::without(text, members.get("usage").map_or("", |usage| usage.get())) {
        Some(rest) => Cleared::Other(rest.into_bytes()),
        None => Cleared::Same,
    }
}

/// Members that every chunk has, and that say nothing of their own.
const ENVELOPE: &[&str] = &[
    "id",
    "object",
    "created",
    "model",
    "choices",
    "usage",
    "system_fingerprint",
    "service_tier",
    "provider",
    "obfuscation",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_request_is_asked_once_and_stays_as_it_was() {
        for (body, expected) in [
            (
                r#"{"stream":true,"model":"m"}"#,
                Some(r#"{"stream_options":{"include_usage":true},"stream":true,"model":"m"}"#),
            ),
            (
                r#" { "stream" : true } "#,
                Some(r#" {"stream_options":{"include_usage":true}, "stream" : true } "#),
            ),
            (
                r#"{"stream":true,"stream_options":{"include_obfuscation":false}}"#,
                Some(
                    r#"{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
                ),
            ),
            (
                r#"{"stream":true,"stream_options":{}}"#,
                Some(r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
            ),
            (
                r#"{"stream":true,"stream_options":null}"#,
                Some(r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
            ),
            (
                r#"{"stream":true,"stream_options":{"include_usage": false}}"#,
                Some(r#"{"stream":true,"stream_options":{"include_usage": true}}"#),
            ),
            (r#"{"stream":true,"stream_options":{"include_usage":true}}"#, None),
            (r#"{"stream":false}"#, None),
            (r#"{"model":"m"}"#, None),
            ("[]", None),
            ("{", None),
        ] {
            let asked = asked(body.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(asked.as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn only_upstreams_that_need_it_are_asked() {
        for (provider, path, expected) in [
            ("openai", "/v1/chat/completions", true),
            ("unknown", "/v1/completions", true),
            ("openai", "/v1/responses", false),
            ("mistral", "/v1/chat/completions", false),
            ("azure", "/openai/deployments/d/chat/completions?api-version=2024-02-01", false),
            ("azure", "/openai/deployments/d/chat/completions?api-version=2024-10-21", true),
            ("azure", "/openai/v1/chat/completions", true),
        ] {
            let target = Target::recognise(Some(provider), "", path);
            assert_eq!(is_needed(&target, path), expected, "{provider} {path}");
        }
    }

    fn filtered(pieces: &[&[u8]]) -> String {
        let mut filter = UsageChunkFilter::default();
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(filter.feed(piece));
            assert!(filter.held.len() <= HELD_BYTES_MAX);
        }
        out.extend(filter.finish());
        String::from_utf8(out).unwrap()
    }

    fn event(data: &Value, end: &str) -> String {
        format!("data: {data}{end}{end}")
    }

    #[test]
    fn the_usage_chunk_and_nothing_else_is_taken_out() {
        for end in ["\n", "\r\n", "\r"] {
            let first = event(&json!({"choices": [{"delta": {"content": "a"}}], "usage": null}), end);
            let usage = event(&json!({"choices": [], "usage": {"prompt_tokens": 1}}), end);
            let filter_results = event(&json!({"choices": [], "prompt_filter_results": []}), end);
            let with_choice = event(&json!({"choices": [{"delta": {}}], "usage": {"prompt_tokens": 1}}), end);
            let done = format!("data: [DONE]{end}{end}");
            let before = [": hello", end, end, &filter_results, &first].concat();
            let after = [with_choice, done].concat();
            let stream = [before.as_str(), &usage, &after].concat();
            let expected = [before, after].concat();
            assert_eq!(filtered(&[stream.as_bytes()]), expected, "{end:?}");
            for at in 0..=stream.len() {
                let (head, tail) = stream.as_bytes().split_at(at);
                assert_eq!(filtered(&[head, tail]), expected, "split at byte {at}, {end:?}");
            }
        }
    }

    #[test]
    fn what_else_the_usage_chunk_says_stays_as_it_was() {
        for (data, expected) in [
            (
                r#"{"id":"c","choices":[],"usage":{"prompt_tokens":1,"d":{"x":[2]}},"citations":["https://a"]}"#,
                r#"{"id":"c","choices":[],"citations":["https://a"]}"#,
            ),
            (
                r#"{"citations" : [ "a" ] , "choices" : [ ] , "usage" : {"prompt_tokens":1} }"#,
                r#"{"citations" : [ "a" ] , "choices" : [ ]  }"#,
            ),
            (
                r#"{"usage":{"prompt_tokens":1},"choices":[],"timings":{"ms":3}}"#,
                r#"{"choices":[],"timings":{"ms":3}}"#,
            ),
        ] {
            assert_eq!(filtered(&[format!("data: {data}\n\n").as_bytes()]), format!("data: {expected}\n\n"));
        }
        for nothing in [
            r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1},"citations":[],"search_results":null,"note":""}"#,
        ] {
            assert_eq!(filtered(&[format!("data: {nothing}\n\n").as_bytes()]), "", "{nothing}");
        }
    }

    #[test]
    fn a_large_event_passes_while_it_comes() {
        let large = event(&json!({"choices": [], "usage": {"x": "y".repeat(2 * HELD_BYTES_MAX)}}), "\n");
        let bytes: Vec<&[u8]> = large.as_bytes().chunks(100).collect();
        assert_eq!(filtered(&bytes), large);
    }

    proptest! {
        #[test]
        fn what_is_no_usage_chunk_passes_unchanged(text in "(data: |\\{\\}|x|\n|\r|\r\n|:){0,60}") {
            prop_assert_eq!(&filtered(&[text.as_bytes()]), &text);
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            prop_assert_eq!(filtered(&bytes), text);
        }
    }
}

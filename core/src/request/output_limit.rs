//! An output limit written into requests that have none, in the provider's own field, so that what they can
//! cost has a bound. Sources: the API references of OpenAI, Google, Amazon, Cohere, Mistral and Ollama, read
//! 2026-11-25.

use crate::provider::{Api, Target};
use crate::request::rewrite;

/// Where a request of this kind says how long its answer may be: the spellings of a key, and of the object
/// that it stands in (none: the request itself). The first ones are written where none is there.
pub fn place(target: &Target) -> Option<(&'static [&'static str], &'static [&'static str])> {
    Some(match target.api {
        Api::ChatCompletions if matches!(target.provider.as_ref(), "openai" | "azure") => {
            (&[], &["max_completion_tokens"])
        }
        Api::ChatCompletions | Api::Completions | Api::CohereChat => (&[], &["max_tokens"]),
        Api::Responses if !target.compacts => (&[], &["max_output_tokens"]),
        Api::GenerateContent => {
            (&["generationConfig", "generation_config"], &["maxOutputTokens", "max_output_tokens"])
        }
        Api::Interactions => (&["generation_config"], &["max_output_tokens"]),
        Api::Converse => (&["inferenceConfig"], &["maxTokens"]),
        Api::OllamaChat => (&["options"], &["num_predict"]),
        // Anthropic's must have one; Bedrock's other bodies differ by model.
        _ => return None,
    })
}

/// The request body with this limit; `None` where its kind has no place for one, or it cannot be read.
/// Everything else in it stays byte for byte. The caller has seen that it has none: what stands in its place,
/// such as `null` or Ollama's -1, bounds nothing and is replaced.
pub fn limited(body: &[u8], target: &Target, tokens: u64) -> Option<Vec<u8>> {
    let (outer, keys) = place(target)?;
    rewrite::put(body, outer, keys, &tokens.to_string())
}

/// The request body with a lower limit than it may have; `None` where its kind has no place for one, it
/// cannot be read, or its answer would not have room for the thoughts that it asks for.
pub fn lowered(body: &[u8], target: &Target, tokens: u64) -> Option<Vec<u8>> {
    if target.api == Api::ChatCompletions && has_older_limit(body) {
        // OpenAI refuses both names together; see LangGraph's issue 5943, read 2026-11-30.
        return rewrite::put(body, &[], &["max_tokens"], &tokens.to_string());
    }
    if target.api != Api::Messages {
        return limited(body, target, tokens);
    }
    // Anthropic refuses a limit that is not above the budget of thoughts (as known; its
    // reference was not read anew).
    let members = rewrite::members(std::str::from_utf8(body).ok()?)?;
    let thinking = members.get("thinking").and_then(|thinking| rewrite::members(thinking.get()));
    let budget = thinking.as_ref().and_then(|thinking| thinking.get("budget_tokens"));
    if let Some(budget) = budget
        && budget.get().parse::<u64>().ok().is_none_or(|budget| budget >= tokens)
    {
        return None;
    }
    rewrite::put(body, &[], &["max_tokens"], &tokens.to_string())
}

/// Whether a chat has its limit under the older of its two names.
fn has_older_limit(body: &[u8]) -> bool {
    let members = std::str::from_utf8(body).ok().and_then(rewrite::members);
    members.is_some_and(|members| {
        !members.contains_key("max_completion_tokens")
            && members.get("max_tokens").is_some_and(|limit| limit.get() != "null")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_lowered_where_the_thoughts_fit_into_it() {
        for (body, expected) in [
            (r#"{"max_tokens":900,"a":1}"#, Some(r#"{"max_tokens":100,"a":1}"#)),
            (
                r#"{"max_tokens":900,"thinking":{"type":"enabled","budget_tokens":99}}"#,
                Some(r#"{"max_tokens":100,"thinking":{"type":"enabled","budget_tokens":99}}"#),
            ),
            (r#"{"max_tokens":900,"thinking":{"type":"enabled","budget_tokens":100}}"#, None),
            (r#"{"max_tokens":900,"thinking":{"budget_tokens":"x"}}"#, None),
            (
                r#"{"max_tokens":900,"thinking":{"type":"disabled"}}"#,
                Some(r#"{"max_tokens":100,"thinking":{"type":"disabled"}}"#),
            ),
        ] {
            let target = Target::recognise(Some("anthropic"), "", "/v1/messages");
            let out = lowered(body.as_bytes(), &target, 100).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(out.as_deref(), expected, "{body}");
        }
        let target = Target::recognise(Some("openai"), "", "/v1/chat/completions");
        for (body, expected) in [
            (r#"{"max_completion_tokens":900}"#, r#"{"max_completion_tokens":100}"#),
            (r#"{"model":"m","max_tokens": 900}"#, r#"{"model":"m","max_tokens": 100}"#),
            (r#"{"max_tokens":null}"#, r#"{"max_completion_tokens":100,"max_tokens":null}"#),
            ("{}", r#"{"max_completion_tokens":100}"#),
        ] {
            let out = lowered(body.as_bytes(), &target, 100).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn the_limit_stands_in_the_providers_own_field_and_all_else_stays() {
        for (provider, path, body, expected) in [
            (
                "openai",
                "/v1/chat/completions",
                r#"{"model":"m"}"#,
                Some(r#"{"max_completion_tokens":9,"model":"m"}"#),
            ),
            ("groq", "/v1/chat/completions", "{}", Some(r#"{"max_tokens":9}"#)),
            ("openai", "/v1/responses", r#" {"a":1}"#, Some(r#" {"max_output_tokens":9,"a":1}"#)),
            (
                "gemini",
                "/v1beta/models/g:generateContent",
                r#"{"generationConfig":{"temperature":0}}"#,
                Some(r#"{"generationConfig":{"maxOutputTokens":9,"temperature":0}}"#),
            ),
            (
                "gemini",
                "/v1beta/models/g:generateContent",
                "{}",
                Some(r#"{"generationConfig":{"maxOutputTokens":9}}"#),
            ),
            (
                "bedrock",
                "/model/m/converse",
                r#"{"inferenceConfig":null}"#,
                Some(r#"{"inferenceConfig":{"maxTokens":9}}"#),
            ),
            (
                "openai",
                "/v1/chat/completions",
                r#"{"model":"m", "max_completion_tokens" : null}"#,
                Some(r#"{"model":"m", "max_completion_tokens" : 9}"#),
            ),
            (
                "gemini",
                "/v1beta/models/g:generateContent",
                r#"{"generation_config":{"max_output_tokens":null,"temperature":0}}"#,
                Some(r#"{"generation_config":{"max_output_tokens":9,"temperature":0}}"#),
            ),
            (
                "gemini",
                "/v1beta/models/g:generateContent",
                r#"{"generation_config":{"temperature":0}}"#,
                Some(r#"{"generation_config":{"maxOutputTokens":9,"temperature":0}}"#),
            ),
            (
                "ollama",
                "/api/chat",
                r#"{"options":{"num_predict":-1}}"#,
                Some(r#"{"options":{"num_predict":9}}"#),
            ),
            ("ollama", "/api/chat", r#"{"options":{}}"#, Some(r#"{"options":{"num_predict":9}}"#)),
            ("openai", "/v1/responses/compact", "{}", None),
            ("anthropic", "/v1/messages", "{}", None),
            ("openai", "/v1/embeddings", "{}", None),
            ("openai", "/v1/chat/completions", "[]", None),
        ] {
            let target = Target::recognise(Some(provider), "", path);
            let out = limited(body.as_bytes(), &target, 9).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(out.as_deref(), expected, "{provider} {path} {body}");
        }
    }
}

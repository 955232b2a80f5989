//! An output limit written into requests that have none, in the provider's own field, so that what they can cost has a
//! bound. Sources: the API references of OpenAI, Google, Amazon, Cohere, Mistral and Ollama, read 2026-11-25.

use crate::include_usage::{members, offset, spliced};
use crate::provider::{Api, Target};

/// Where a request of this kind says how long its answer may be: a key, or a key inside an object.
#[must_use]
pub fn place(target: &Target) -> Option<(Option<&'static str>, &'static str)> {
    Some(match target.api {
        Api::ChatCompletions if matches!(target.provider.as_ref(), "openai" | "azure") => {
            (None, "max_completion_tokens")
        }
        Api::ChatCompletions | Api::Completions | Api::CohereChat => (None, "max_tokens"),
        Api::Responses => (None, "max_output_tokens"),
        Api::GenerateContent => (Some("generationConfig"), "maxOutputTokens"),
        Api::Interactions => (Some("generation_config"), "max_output_tokens"),
        Api::Converse => (Some("inferenceConfig"), "maxTokens"),
        Api::OllamaChat => (Some("options"), "num_predict"),
        // Anthropic's must have one; Bedrock's other bodies differ by model.
        _ => return None,
    })
}

/// The request body with this limit; `None` where its kind has no place for one, or it cannot be read. Everything else
/// in it stays byte for byte. The caller has seen that it has none.
#[must_use]
pub fn limited(body: &[u8], target: &Target, tokens: u64) -> Option<Vec<u8>> {
    let (outer, key) = place(target)?;
    let top = members(body)?;
    let at = body.iter().position(|byte| *byte == b'{')? + 1;
    let comma = if top.is_empty() { "" } else { "," };
    let limit = format!(r#""{key}":{tokens}"#);
    let Some(outer) = outer else {
        return spliced(body, at, 0, &format!("{limit}{comma}"));
    };
    let Some(inside) = top.get(outer).map(|value| value.get()) else {
        return spliced(body, at, 0, &format!(r#""{outer}":{{{limit}}}{comma}"#));
    };
    let from = offset(body, inside)?;
    match members(inside.as_bytes()) {
        Some(inner) => {
            let comma = if inner.is_empty() { "" } else { "," };
            spliced(body, from + 1, 0, &format!("{limit}{comma}"))
        }
        None => spliced(body, from, inside.len(), &format!("{{{limit}}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("ollama", "/api/chat", r#"{"options":{}}"#, Some(r#"{"options":{"num_predict":9}}"#)),
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

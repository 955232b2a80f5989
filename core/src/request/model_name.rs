//! Another model's name put into a request: in its body, or in its path.

use std::borrow::Cow;

use super::rewrite;
use crate::provider::endpoint::decoded;

/// The body that asks for this model; everything else in it stays byte for byte. `None` where it is no JSON
/// object.
pub fn in_body(body: &[u8], model: &str) -> Option<Vec<u8>> {
    let value = serde_json::to_string(model).ok()?;
    rewrite::put(body, &[], &["model"], &value)
}

/// The path in which `new` stands in the place of the model `old`; `None` where no segment of it is that
/// name, with a verb behind it or not.
pub fn in_path(path: &str, old: &str, new: &str) -> Option<String> {
    let (path, query) = match path.find(['?', '#']) {
        Some(at) => path.split_at(at),
        None => (path, ""),
    };
    let mut found = false;
    let mut segments: Vec<Cow<'_, str>> = Vec::new();
    for segment in path.split('/') {
        let verb = match decoded(segment).strip_prefix(old) {
            Some(verb) if !found && (verb.is_empty() || verb.starts_with(':')) => verb.to_owned(),
            _ => {
                segments.push(Cow::Borrowed(segment));
                continue;
            }
        };
        found = true;
        segments.push(Cow::Owned(encoded(new) + &verb));
    }
    found.then(|| segments.join("/") + query)
}

/// As a segment of a path: what has a meaning there is percent-encoded.
fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => {
                out.push(char::from(byte));
            }
            _ => {
                let digit = |value: u8| char::from(value + if value < 10 { b'0' } else { b'A' - 10 });
                out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_another_and_all_else_stays() {
        let body =
            |body: &str| in_body(body.as_bytes(), "small").map(|body| String::from_utf8(body).unwrap());
        assert_eq!(body(r#"{ "model" : "big", "a":1}"#).unwrap(), r#"{ "model" : "small", "a":1}"#);
        // An escaped key is the same key.
        assert_eq!(body(r#"{"mod\u0065l":"big"}"#).unwrap(), r#"{"mod\u0065l":"small"}"#);
        assert_eq!(body("[]"), None);
    }

    #[test]
    fn the_model_in_a_path_is_another_and_all_else_stays() {
        for (path, old, new, expected) in [
            (
                "/v1beta/models/gemini-2.5-pro:generateContent?alt=sse",
                "gemini-2.5-pro",
                "gemini-2.5-flash",
                Some("/v1beta/models/gemini-2.5-flash:generateContent?alt=sse"),
            ),
            (
                "/model/anthropic.claude-x-v1%3A0/converse",
                "anthropic.claude-x-v1:0",
                "amazon.nova-lite-v1:0",
                Some("/model/amazon.nova-lite-v1:0/converse"),
            ),
            (
                "/openai/deployments/big/chat/completions?api-version=1",
                "big",
                "a/b c",
                Some("/openai/deployments/a%2Fb%20c/chat/completions?api-version=1"),
            ),
            // Another model begins with the same letters.
            ("/v1beta/models/gemini-2.5-pro-exp:generateContent", "gemini-2.5-pro", "x", None),
            ("/v1/chat/completions?m=big", "big", "x", None),
            ("/big/models/big", "big", "x", Some("/x/models/big")),
        ] {
            assert_eq!(in_path(path, old, new).as_deref(), expected, "{path}");
        }
    }
}

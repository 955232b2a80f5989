//! The encoding `cl100k_base` with its vocabulary, as a module of its own: a page loads it when exact counts
//! are asked for.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use wasm_bindgen::prelude::wasm_bindgen;

/// Tokens of a text.
#[wasm_bindgen]
pub fn count(text: &str) -> u32 {
    u32::try_from(tiktoken_rs::cl100k_base_singleton().count_ordinary(text)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "../../texts.rs"]
mod texts;

/// In Chromium the same texts are counted by `tests/pages`.
#[test]
fn texts_are_counted_as_the_encoding_cuts_them() {
    let oracle = tiktoken_rs::cl100k_base().unwrap();
    for (name, text) in texts::all() {
        let tokens = oracle.encode_ordinary(&text);
        assert_eq!(usize::try_from(count(&text)).unwrap(), tokens.len(), "{name}");
        assert_eq!(oracle.decode(&tokens).unwrap(), text, "{name}");
    }
}

//! Which encoding a model has, and who counts by it.

use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};
use tollgate_core::plan::{Encoding, Encodings};
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// What the page hands over: an object that counts by the encodings that it has loaded.
    #[derive(Debug)]
    pub type Counter;

    /// Tokens of a text by the encoding of a module; undefined where that is not loaded.
    #[wasm_bindgen(method)]
    fn count(this: &Counter, module: &str, text: &str) -> Option<u32>;
}

/// Counts by the modules that a page has loaded.
#[derive(Debug)]
pub struct Loaded<C>(pub C);

/// Tokens of a text by the encoding of a module, where that is loaded.
pub trait Counts {
    /// Of this text, by this module.
    fn tokens(&self, module: &str, text: &str) -> Option<u64>;
}

impl Counts for &Counter {
    fn tokens(&self, module: &str, text: &str) -> Option<u64> {
        self.count(module, text).map(u64::from)
    }
}

impl<C: Counts> Encodings for Loaded<C> {
    fn of(&self, model: &str) -> Encoding<'_> {
        let bare = model.rsplit('/').next().unwrap_or(model);
        let Some(tokenizer) = get_tokenizer(bare) else { return Encoding::Unknown };
        let name = name(tokenizer);
        match module(tokenizer) {
            Some(module) if self.0.tokens(module, "").is_some() => {
                Encoding::Counts(name, Box::new(move |text| self.0.tokens(module, text).unwrap_or(0)))
            }
            _ => Encoding::Elsewhere(name),
        }
    }
}

/// The module that counts for a model; none where there is none.
pub(crate) fn module_of(model: &str) -> Option<&'static str> {
    get_tokenizer(model.rsplit('/').next().unwrap_or(model)).and_then(module)
}

/// Harmony differs from its base in special tokens only, which are no text.
const fn module(tokenizer: Tokenizer) -> Option<&'static str> {
    match tokenizer {
        Tokenizer::O200kHarmony | Tokenizer::O200kBase => Some("o200k_base"),
        Tokenizer::Cl100kBase => Some("cl100k_base"),
        Tokenizer::P50kBase | Tokenizer::R50kBase | Tokenizer::P50kEdit | Tokenizer::Gpt2 => None,
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

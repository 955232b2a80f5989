//! How much a call can consume at most, and what of that decides its price.

use crate::usage::CacheTtl;

/// How much a call can consume at most.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bound {
    /// Tokens of the prompt, of all prompts.
    pub input_tokens: u64,
    /// Tokens of the answer, of all prompts and choices.
    pub output_tokens: u64,
    /// Why it is not bounded by what the request says; empty where it is.
    pub unbounded: Vec<&'static str>,
    /// What else decides its price; `None` where it asks for nothing but text.
    pub held: Option<Box<Held>>,
}

/// What is known of a model's size, where the price book says it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelSize {
    /// Context window, in tokens.
    pub context_tokens: Option<u64>,
    /// Longest answer, in tokens.
    pub output_tokens: Option<u64>,
    /// It searches, reads and thinks by itself, whatever the request allows.
    pub works_alone: bool,
}

/// What of a request decides its price besides tokens.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Held {
    /// Asks for parts to be written to the cache, for this long.
    pub cache_write: Option<CacheTtl>,
    /// Has audio in it.
    pub audio_in: bool,
    /// Has images in it.
    pub image_in: bool,
    /// Asks for audio.
    pub audio_out: bool,
    /// Asks for images.
    pub image_out: bool,
    /// Images asked for.
    pub images: u64,
    /// Milliseconds of sound that are charged by time.
    pub audio_ms: u64,
    /// Pages of documents.
    pub pages: u64,
    /// Search units.
    pub search_units: u64,
    /// Calls of each tool that the provider runs.
    pub tool_calls: u64,
    /// Speed asked for.
    pub speed: Option<String>,
    /// Latency asked for.
    pub latency: Option<String>,
    /// Region of inference asked for.
    pub geo: Option<String>,
}

impl Held {
    /// As a bound has it.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

impl Bound {
    /// Whether the request itself bounds what the call can cost.
    pub fn is_bounded(&self) -> bool {
        self.unbounded.is_empty()
    }
}

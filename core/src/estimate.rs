//! Tokens of a text, estimated without a vocabulary, for calls whose provider reported none.
//!
//! [`TextCounter`] counts as OpenAI's o200k encoding would, from 4 KiB of weights (the vocabulary would be
//! exact and cost 28 MiB in every worker); [`Learned`] turns that into tokens of the model that answers.

mod characters;
mod learned;
mod text;
mod weights;

pub use learned::{Learned, MODELS_MAX};
pub use text::TextCounter;

/// What passed of an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Passed {
    /// Text, in o200k's count as [`TextCounter`] estimates it.
    pub text: u64,
    /// Functions that it calls: what frames a call is output too, and never seen as text.
    pub tool_calls: u64,
    /// Reasoning that was seen, counted alike and no part of the text.
    pub reasoning: u64,
}

impl Passed {
    /// Text without calls.
    pub const fn text(tokens: u64) -> Self {
        Self { text: tokens, tool_calls: 0, reasoning: 0 }
    }
}

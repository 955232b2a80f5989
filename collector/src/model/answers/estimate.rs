//! What a call would cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;
use tollgate_core::price::Step;

/// Tokens, cost and worst case of a call that was not made.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Estimate {
    /// Provider id.
    pub provider: String,
    /// The model as it was asked for.
    pub model: String,
    /// The row of the price book; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// By which step it was found; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// Version of the book.
    pub price_version: String,
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// How they were counted: the encoding's name, or `estimated`.
    pub counted_by: String,
    /// Whether they are what the provider will count, as far as is known.
    pub exact: bool,
    /// Output tokens that `cost_usd` has in it: those of the question, else none.
    pub output_tokens: u64,
    /// What input and these output tokens cost; absent without a price for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Picodollars>,
    /// The most that the call can come to.
    pub worst: Worst,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// The most that a call can come to: what a hard budget holds for it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "WorstCase")]
pub struct Worst {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// What they cost; absent without a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Picodollars>,
    /// Why the request itself does not bound it; empty where it does.
    pub unbounded: Vec<String>,
}

//! A record's price, line by line.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;
use tollgate_core::price::{CostStatus, Step};
use tollgate_core::record::{CostSource, Note};
use tollgate_core::usage::Kind;

/// Why a call costs what it costs.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Explanation {
    /// The call id.
    pub id: String,
    /// When the call was admitted; null where that is no time of the calendar.
    pub time: Option<String>,
    /// Provider id.
    pub provider: String,
    /// The model that was asked for; null where none was named.
    pub request_model: Option<String>,
    /// The model that answered; null where none was named.
    pub response_model: Option<String>,
    /// Version of the price book that priced it; null where none did.
    pub price_version: Option<String>,
    /// The rows of the book that were used, one for each model.
    pub rows: Vec<ExplainedRow>,
    /// The price, line by line; their sum is `book_cost_usd`.
    pub lines: Vec<ExplainedLine>,
    /// What the call costs, by the word of `cost_source`.
    pub cost_usd: Picodollars,
    /// How far `cost_usd` can be trusted.
    pub cost_status: CostStatus,
    /// Whose word `cost_usd` is.
    pub cost_source: CostSource,
    /// What it costs by the price book.
    pub book_cost_usd: Picodollars,
    /// What the provider itself said that it costs; null where it said nothing.
    pub provider_cost_usd: Option<Picodollars>,
    /// What was odd about the call.
    pub notes: Vec<Note>,
    /// What was corrected since, the first first.
    pub adjustments: Vec<ExplainedAdjustment>,
    /// `cost_usd` with the corrections of prices.
    pub adjusted_cost_usd: Picodollars,
    /// What the book says today; null where it has nothing to say of such a call.
    pub today: Option<PricedToday>,
}

/// A row of the book, and why it was this one.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ExplainedRow {
    /// Canonical id of its model; where there is no row, the name that was looked for.
    pub model: String,
    /// First day of the price, UTC; null where it is not known.
    pub from: Option<String>,
    /// By which step the model's name led to the row; null where there is none.
    pub step: Option<Step>,
    /// What was known of the call and is not standard, such as `service_tier`.
    pub facts: BTreeMap<String, String>,
    /// The variant that these facts chose; null where the standard rates held.
    pub variant: Option<String>,
    /// The prompt was above this many tokens; null where length changed nothing.
    pub input_above: Option<u64>,
    /// The operator's discount in the rates, such as `0.85 (contract 7)`; null without one.
    pub discount: Option<String>,
    /// All of this in words.
    pub why: String,
    /// Address of the page that says so; null where the book does not have this price any more.
    pub source: Option<String>,
    /// Day on which it was read; null where the book does not have this price any more.
    pub checked: Option<String>,
    /// What a reader should know; null where there is nothing.
    pub note: Option<String>,
}

/// One line of a price: a quantity of one kind at its rate.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ExplainedLine {
    /// Canonical id of the row's model.
    pub model: String,
    /// What was consumed.
    pub kind: Kind,
    /// How much of it: tokens, or things counted.
    pub quantity: u64,
    /// Price of one.
    pub rate: Picodollars,
    /// The operator's discount in the rate; null without one.
    pub discount: Option<String>,
    /// `quantity` × `rate`, exactly.
    pub cost_usd: Picodollars,
}

/// A correction of what was recorded.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ExplainedAdjustment {
    /// Why there is one.
    pub reason: Reason,
    /// When it was made; null where that is no time of the calendar.
    pub made: Option<String>,
    /// Start of the hour of the summaries that count it; null where that is no time of the calendar.
    pub booked: Option<String>,
    /// What it adds to the cost.
    pub amount_usd: Picodollars,
    /// The cost after it.
    pub cost_usd: Picodollars,
    /// How far that can be trusted.
    pub cost_status: CostStatus,
    /// Whose word it is.
    pub cost_source: CostSource,
    /// Version of the price book that it was made with; null where none was.
    pub price_version: Option<String>,
    /// The price after it, line by line.
    pub lines: Vec<ExplainedLine>,
}

/// Why there is an adjustment.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AdjustmentReason")]
pub enum Reason {
    /// A price was corrected.
    Reprice,
    /// The record came after its month was closed.
    Late,
}

impl Reason {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reprice => "reprice",
            Self::Late => "late",
        }
    }
}

/// What the book that holds now says of a call.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct PricedToday {
    /// Version of the book.
    pub price_version: String,
    /// What the call would cost.
    pub cost_usd: Picodollars,
    /// How far that could be trusted.
    pub cost_status: CostStatus,
    /// The rows that would be used.
    pub rows: Vec<ExplainedRow>,
}

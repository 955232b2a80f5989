//! What a corrected price changes; closed months.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

/// What a corrected book changes, by day, team and agent.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Repriced {
    /// Version of the book.
    pub price_version: String,
    /// Whether adjustments were written.
    pub written: bool,
    /// Groups with a difference.
    pub rows: Vec<RepricedRow>,
    /// Sum of all rows.
    pub total: RepricedRow,
}

/// Calls of one day, team and agent.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct RepricedRow {
    /// Day, UTC; empty in the total.
    pub day: String,
    /// Who spent; empty in the total.
    pub team: String,
    /// Who spent; empty in the total.
    pub agent: String,
    /// Calls whose price changes.
    pub calls: u64,
    /// Of those, calls that had no price.
    pub unpriced_before: u64,
    /// Their cost as it is counted now.
    pub old_cost_usd: Picodollars,
    /// Their cost by the book.
    pub new_cost_usd: Picodollars,
    /// What that adds; below 0 where the book is cheaper.
    pub difference_usd: Picodollars,
}

/// A month that is closed: later corrections and late records are booked in the open one.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Month")]
pub struct MonthRow {
    /// The month, such as `2026-10`.
    pub month: String,
    /// When it was closed; null where that is no time of the calendar.
    pub closed: Option<String>,
    /// Calls that it came to.
    pub calls: u64,
    /// What it came to.
    pub cost_usd: Picodollars,
}

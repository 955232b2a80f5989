//! What agents used when they began, and what they use now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use super::summary::PreviousPeriod;
use crate::model::decimal::Decimal;

/// The first days of each agent, beside the last seven.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Baselines {
    /// How many days of UTC a baseline has; the first may begin within one.
    pub days: u64,
    /// The last seven days: start, and end, exclusive.
    pub recent: PreviousPeriod,
    /// Agents, those that cost most a day when they began first.
    pub rows: Vec<Baseline>,
}

/// The first days of an agent.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Baseline {
    /// The agent; null where calls have none.
    pub agent: Option<String>,
    /// The hour of its first call.
    pub from: String,
    /// End, exclusive: so many days later, or the present.
    pub to: String,
    /// Hours between the two.
    pub hours_recorded: u64,
    /// Whether its days are over; where they are not, there is less to go by.
    pub is_whole: bool,
    /// What it used in its first days.
    pub first: Pace,
    /// What it used in the last seven days.
    pub recent: Pace,
    /// By how many of a hundred the last seven days cost more a day than the first days; null where those
    /// cost nothing.
    pub change_percent: Option<Decimal>,
    /// Each of the first days on which it had calls.
    pub by_day: Vec<BaselineDay>,
}

/// What was used in a time, and how much of it a day and a call.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Pace {
    /// Calls that reached a provider.
    pub calls: u64,
    /// What they cost.
    pub cost_usd: Picodollars,
    /// Calls in 24 hours; null where the time has no hour.
    pub calls_per_day: Option<Decimal>,
    /// Cost of 24 hours; null where the time has no hour.
    pub cost_per_day_usd: Option<Picodollars>,
    /// Tokens of prompt and answer of one call; null without calls.
    pub tokens_per_call: Option<Decimal>,
    /// What one call costs; null without calls.
    pub cost_per_call_usd: Option<Picodollars>,
}

/// A day of a baseline.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct BaselineDay {
    /// The day, in UTC.
    pub day: String,
    /// Its weekday: `monday` to `sunday`.
    pub weekday: String,
    /// Calls that reached a provider.
    pub calls: u64,
    /// What they cost.
    pub cost_usd: Picodollars,
}

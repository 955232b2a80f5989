//! What agents used when they began, and what they use now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use super::summary::PreviousPeriod;
use crate::model::decimal::Decimal;
use crate::model::table::{Cell, Column, Kind, Table};

/// The first days of each agent, beside the last seven.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Baselines {
    /// How many days of UTC a baseline has; the first may begin within one.
    pub days: u64,
    /// The last seven days: start, and end, exclusive.
    pub recent: PreviousPeriod,
    /// Agents, those that cost most a day when they began first.
    pub rows: Vec<Baseline>,
    /// Where nothing was found: what was looked for, and what there is; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
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

impl Baselines {
    /// As a table.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::text("agent").kept(),
            Column::time("from").titled("since").weight(120),
            Column::count("hours_recorded").titled("hours").weight(90),
            Column::money("cost_per_day_usd").titled("$/day").kept(),
            Column::new("calls_per_day", Kind::Ratio).titled("calls/day").weight(190),
            Column::new("tokens_per_call", Kind::Ratio).titled("tokens/call").weight(180),
            Column::money("cost_per_call_usd").titled("$/call").weight(170),
            Column::money("recent_cost_per_day_usd").titled("now $/day").weight(220),
            Column::new("recent_calls_per_day", Kind::Ratio).titled("now calls/day").weight(100),
            Column::new("recent_tokens_per_call", Kind::Ratio).titled("now tokens/call").weight(95),
            Column::new("change_percent", Kind::Change).titled("change").weight(230),
            Column::new("weekdays", Kind::Sparkline).titled("days").weight(10),
        ];
        Table::new(columns).with(self.rows.iter().map(|row| {
            vec![
                Cell::said(row.agent.as_deref()),
                row.from.clone().into(),
                row.hours_recorded.into(),
                Cell::money(row.first.cost_per_day_usd),
                Cell::decimal(row.first.calls_per_day),
                Cell::decimal(row.first.tokens_per_call),
                Cell::money(row.first.cost_per_call_usd),
                Cell::money(row.recent.cost_per_day_usd),
                Cell::decimal(row.recent.calls_per_day),
                Cell::decimal(row.recent.tokens_per_call),
                Cell::decimal(row.change_percent),
                Cell::Amounts(row.by_day.iter().map(|day| day.cost_usd).collect()),
            ]
        }))
    }
}

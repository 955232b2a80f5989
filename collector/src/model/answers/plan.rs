//! What an agent will cost, before it is launched, and how that compares with what it costs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;
pub use tollgate_core::plan::{Plan, Planned, PlannedRow};

use crate::model::decimal::Decimal;
use crate::model::table::{Cell, Column, Kind, Table};

/// A plan that is kept with an agent.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct SavedPlan {
    /// The agent.
    pub agent: String,
    /// When it was kept.
    pub saved_at: Option<String>,
    /// Who did so.
    pub saved_by: String,
    /// The plan, with the tokens of its prompt in place of the text.
    pub plan: Plan,
    /// What it cost at each model then.
    pub rows: Vec<PlannedRow>,
}

/// A plan beside what its agent does.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct CheckedPlan {
    /// The plan.
    pub plan: SavedPlan,
    /// Start of the time that is looked at: the agent's first call in the last 30 days, but not before the
    /// plan was kept.
    pub from: String,
    /// Its end.
    pub to: String,
    /// What was planned at the first of its models, beside what is.
    pub rows: Vec<CheckedRow>,
    /// Models that the agent calls.
    pub models: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// One number of a plan beside what it is.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct CheckedRow {
    /// What it is: `calls_per_day`, `input_tokens_per_call`, `output_tokens_per_call`, `cached_percent`,
    /// `cost_per_call_usd`, `cost_per_month_usd`.
    pub what: String,
    /// As planned.
    pub planned: Option<Decimal>,
    /// As it is.
    pub actual: Option<Decimal>,
    /// By how many of a hundred that is more.
    pub change_percent: Option<Decimal>,
}

/// Models side by side.
pub fn side_by_side(planned: &Planned) -> Table {
    let columns = vec![
        Column::text("provider").weight(60),
        Column::text("model").kept(),
        Column::count("prompt_tokens").weight(90),
        Column::text("counted_by").weight(50),
        Column::new("input_tokens_per_call", Kind::Ratio).weight(100).titled("tokens in"),
        Column::count("output_tokens_per_call").weight(80).titled("out"),
        Column::money("cost_per_call_usd").weight(210).titled("$ a call"),
        Column::money("cost_per_day_usd").weight(200).titled("$ a day"),
        Column::money("cost_per_month_usd").kept().titled("$ a month"),
        Column::money("at_most_per_call_usd").weight(40).titled("$ a call at most"),
    ];
    Table::new(columns).with(planned.rows.iter().map(|row| {
        let money = |cost: Option<Picodollars>| cost.map_or_else(|| Cell::from("unpriced"), Cell::Money);
        vec![
            row.provider.as_str().into(),
            row.model.as_str().into(),
            row.prompt_tokens.into(),
            row.counted_by.as_str().into(),
            Cell::Decimal(row.input_tokens_per_call.rounded(0)),
            row.output_tokens_per_call.into(),
            money(row.cost_per_call_usd),
            money(row.cost_per_day_usd),
            money(row.cost_per_month_usd),
            money(row.at_most_per_call_usd),
        ]
    }))
}

impl CheckedPlan {
    /// Planned and actual side by side.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::text("what").kept(),
            Column::new("planned", Kind::Right).kept(),
            Column::new("actual", Kind::Right).kept(),
            Column::new("change_percent", Kind::Change).kept(),
        ];
        Table::new(columns).with(self.rows.iter().map(|row| {
            let name = row.what.replace("_usd", " $").replace("_percent", " %").replace('_', " ");
            vec![
                name.into(),
                Cell::said(row.planned),
                Cell::said(row.actual),
                Cell::decimal(row.change_percent),
            ]
        }))
    }
}

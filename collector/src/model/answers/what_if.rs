//! What recorded calls would cost at other models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use crate::model::decimal::Decimal;
use crate::model::table::{Cell, Column, Kind, Table};

/// Recorded calls, priced at another model's rates.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "WhatIf")]
pub struct WhatIfAnswer {
    /// Start, inclusive: that of the question, rounded down to the hour.
    pub from: String,
    /// End, exclusive: that of the question, rounded up to the hour.
    pub to: String,
    /// The model that was asked for; null where each agent's nearest smaller relatives are tried.
    pub model: Option<String>,
    /// By agent and model of now, the largest saving first.
    pub rows: Vec<WhatIfRow>,
    /// What the calls of all rows cost.
    pub cost_usd: Picodollars,
    /// What they would cost.
    pub would_cost_usd: Picodollars,
    /// The difference.
    pub saving_usd: Picodollars,
    /// What these numbers take for granted.
    pub assumptions: Vec<String>,
    /// Records that came so lately that the lengths of their prompts are not known here yet: they are priced
    /// as short ones.
    pub unfollowed_records: u64,
    /// Where nothing was found: what was looked for, and what there is; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Calls of one agent at one model.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct WhatIfRow {
    /// The agent.
    pub agent: String,
    /// Provider of now.
    pub provider: String,
    /// Model of now.
    pub model: String,
    /// Provider that is tried.
    pub to_provider: String,
    /// Model that is tried.
    pub to_model: String,
    /// Calls that reached a provider.
    pub calls: u64,
    /// Tokens of their prompts.
    pub input_tokens: u64,
    /// Tokens of their answers.
    pub output_tokens: u64,
    /// What they cost.
    pub cost_usd: Picodollars,
    /// What they would cost.
    pub would_cost_usd: Picodollars,
    /// The part of that which stays as recorded: see `notes`.
    pub kept_usd: Picodollars,
    /// What they cost less; below 0 where they cost more.
    pub saving_usd: Picodollars,
    /// The same in a hundred.
    pub saving_percent: Option<Decimal>,
    /// How many times what they would cost they cost now.
    pub times: Option<Decimal>,
    /// Why these calls may do with a smaller model: what is seen of their shape.
    pub reasons: Vec<String>,
    /// What stays as recorded, or is not known.
    pub notes: Vec<String>,
}

impl WhatIfAnswer {
    /// As a table.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::text("agent").kept(),
            Column::text("provider").weight(20),
            Column::text("model").kept(),
            Column::text("to_provider").weight(20),
            Column::text("to_model").kept().titled("would be"),
            Column::count("calls").weight(100),
            Column::count("input_tokens").weight(30),
            Column::count("output_tokens").weight(30),
            Column::money("cost_usd").weight(210),
            Column::money("would_cost_usd").weight(220).titled("would cost $"),
            Column::money("kept_usd").weight(40).if_any(),
            Column::money("saving_usd").kept(),
            Column::new("saving_percent", Kind::Percent).weight(60),
            Column::new("times", Kind::Ratio).weight(120),
            Column::text("reasons").weight(10),
            Column::text("notes").weight(10).if_any(),
        ];
        let row = |row: &WhatIfRow| -> Vec<Cell> {
            vec![
                row.agent.as_str().into(),
                row.provider.as_str().into(),
                row.model.as_str().into(),
                row.to_provider.as_str().into(),
                row.to_model.as_str().into(),
                row.calls.into(),
                row.input_tokens.into(),
                row.output_tokens.into(),
                row.cost_usd.into(),
                row.would_cost_usd.into(),
                row.kept_usd.into(),
                row.saving_usd.into(),
                Cell::decimal(row.saving_percent),
                Cell::decimal(row.times),
                row.reasons.join("; ").into(),
                row.notes.join("; ").into(),
            ]
        };
        let calls = self.rows.iter().fold(0u64, |sum, row| sum.saturating_add(row.calls));
        let mut total: Vec<Cell> = vec![Cell::Nothing; columns.len()];
        for (name, cell) in [
            ("agent", "total".into()),
            ("calls", calls.into()),
            ("cost_usd", self.cost_usd.into()),
            ("would_cost_usd", self.would_cost_usd.into()),
            ("saving_usd", self.saving_usd.into()),
        ] {
            if let Some(at) = columns.iter().position(|column| column.name == name)
                && let Some(place) = total.get_mut(at)
            {
                *place = cell;
            }
        }
        Table::new(columns).with(self.rows.iter().map(row)).total(total)
    }
}

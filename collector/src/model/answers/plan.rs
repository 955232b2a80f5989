//! What an agent will cost, before it is launched, and how that compares with what it costs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use crate::model::decimal::Decimal;
use crate::model::table::{Cell, Column, Kind, Table};

/// How an agent will call.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Models to compare, such as `gpt-4o-mini` or `openai/gpt-4o-mini`.
    pub models: Vec<String>,
    /// The prompt's text; in place of `prompt_tokens`. It is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Tokens of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of an answer.
    pub output_tokens: u64,
    /// Calls in a time: `100000/month`, `5000/day`, `200/hour`. A month has 30 days.
    pub calls: String,
    /// The part of a prompt that is read from caches, from 0 to 1, such as `0.8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_share: Option<Decimal>,
    /// Calls of a conversation, of which each sends all questions and answers before; 1 without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_turns: Option<u64>,
    /// Tokens that a further question of a conversation adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question_tokens: Option<u64>,
}

/// What a plan costs at each of its models.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Planned {
    /// One for each model, the cheapest first.
    pub rows: Vec<PlannedRow>,
    /// Version of the price book.
    pub price_version: String,
    /// What these numbers take for granted.
    pub assumptions: Vec<String>,
}

/// What a plan costs at one model.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct PlannedRow {
    /// Provider id.
    pub provider: String,
    /// The model, as the book names it.
    pub model: String,
    /// Tokens of the first prompt of a conversation.
    pub prompt_tokens: u64,
    /// How they were counted: the encoding's name, `estimated`, or `given`.
    pub counted_by: String,
    /// Tokens of a prompt, on average over a conversation.
    pub input_tokens_per_call: Decimal,
    /// Tokens of an answer.
    pub output_tokens_per_call: u64,
    /// What a call costs, on average over a conversation; null without a price for all of it.
    pub cost_per_call_usd: Option<Picodollars>,
    /// What a day costs.
    pub cost_per_day_usd: Option<Picodollars>,
    /// What a month of 30 days costs.
    pub cost_per_month_usd: Option<Picodollars>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

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

impl Planned {
    /// Side by side.
    pub fn table(&self) -> Table {
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
        ];
        Table::new(columns).with(self.rows.iter().map(|row| {
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
            ]
        }))
    }
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

//! The prompt audit: what prompts are made of and what their parts cost. No text is kept anywhere.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use crate::model::decimal::Decimal;
use crate::model::table::{Cell, Column, Kind, Table};

/// What prompts of a time are made of.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Prompts")]
pub struct PromptsAnswer {
    /// Start, inclusive: that of the question, rounded down to the hour.
    pub from: String,
    /// End, exclusive: that of the question, rounded up to the hour.
    pub to: String,
    /// By agent, system prompt and tools; the dearest system prompt first.
    pub rows: Vec<PromptRow>,
    /// By agent, in the order of what their prompts cost.
    pub agents: Vec<AgentPrompts>,
    /// Days on which a system prompt or the tools of an agent's feature changed, the latest first.
    pub changes: Vec<PromptChange>,
    /// Calls in this time whose prompts were not looked at: their gateways have no secret for prints
    /// (`TOLLGATE_KEY_SECRET`), or they are known from totals only.
    pub calls_without_prints: u64,
    /// Records that came so lately that they are not counted here yet.
    pub unfollowed_records: u64,
    /// Where nothing was found: what was looked for, and what there is; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Calls of an agent with the same system prompt and tools.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Prompt")]
pub struct PromptRow {
    /// The agent.
    pub agent: String,
    /// Print of the system prompt; null without one.
    pub system: Option<String>,
    /// Print of the tool definitions; null without any.
    pub tools: Option<String>,
    /// Features that use it.
    pub features: Vec<String>,
    /// Models that it is sent to.
    pub models: Vec<String>,
    /// Calls.
    pub calls: u64,
    /// When it was first seen.
    pub first_seen: Option<String>,
    /// Days on which it was used in this time, UTC.
    pub days: u64,
    /// Tokens of the system prompt in a call, estimated from its share of the prompt's bytes.
    pub system_tokens_per_call: Option<Decimal>,
    /// What the system prompt cost in this time.
    pub system_cost_usd: Picodollars,
    /// The same for a month; a time of 28 to 31 days is one.
    pub system_month_usd: Picodollars,
    /// Tokens of the tool definitions in a call.
    pub tools_tokens_per_call: Option<Decimal>,
    /// What the tool definitions cost in this time.
    pub tools_cost_usd: Picodollars,
    /// Tokens of a prompt.
    pub input_tokens_per_call: Option<Decimal>,
    /// How many of a hundred tokens of the prompts were read from caches.
    pub cached_percent: Option<Decimal>,
    /// How many of a hundred calls began as another one within five minutes before.
    pub repeats_percent: Option<Decimal>,
    /// Tokens that such calls could have read from caches, and did not.
    pub missed_tokens: u64,
    /// What that cost more than reading them from caches would have.
    pub missed_usd: Picodollars,
}

/// What an agent's prompts and answers are made of.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AgentPrompts {
    /// The agent.
    pub agent: String,
    /// Calls.
    pub calls: u64,
    /// What the tokens of the prompts cost.
    pub input_cost_usd: Picodollars,
    /// Tokens by part of the prompt: `system`, `tools`, `tool_results`, `history`, `user`, `other`.
    pub tokens: BTreeMap<String, u64>,
    /// Bytes by part.
    pub bytes: BTreeMap<String, u64>,
    /// What each part cost.
    pub cost_usd: BTreeMap<String, Picodollars>,
    /// Tokens of an answer.
    pub output_tokens_per_call: Option<Decimal>,
    /// Half of the answers have fewer tokens than this, a power of two.
    pub median_answer_below: u64,
    /// Nine of ten answers have fewer tokens than this, a power of two.
    pub p90_answer_below: u64,
    /// Actions of several calls whose first and last prompt are compared.
    pub runs: u64,
    /// Tokens of the first prompt of such a run, in the middle.
    pub first_prompt_tokens: Option<Decimal>,
    /// And of its last: history that grows.
    pub last_prompt_tokens: Option<Decimal>,
    /// What reading from caches could have saved.
    pub missed_usd: Picodollars,
    /// Calls that repeat another one within a minute, or that were tried more than once.
    pub retried: u64,
    /// What they cost.
    pub retried_usd: Picodollars,
    /// Calls that failed or were broken off.
    pub failed: u64,
    /// What they cost.
    pub failed_usd: Picodollars,
}

/// A system prompt or tools that changed.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct PromptChange {
    /// The day, UTC.
    pub day: String,
    /// The agent.
    pub agent: String,
    /// The feature.
    pub feature: String,
    /// What changed: `system`, `tools` or both.
    pub changed: Vec<String>,
    /// Print of the system prompt of most calls before.
    pub before: Option<String>,
    /// And since.
    pub after: Option<String>,
    /// Tokens of a prompt before, since the change before that.
    pub tokens_per_call_before: Option<Decimal>,
    /// And since, until the next change.
    pub tokens_per_call_after: Option<Decimal>,
    /// How much more that is, in a hundred.
    pub change_percent: Option<Decimal>,
    /// What a call cost before.
    pub cost_per_call_before_usd: Option<Picodollars>,
    /// And since.
    pub cost_per_call_after_usd: Option<Picodollars>,
}

impl PromptsAnswer {
    /// System prompts as a table.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::text("agent").kept(),
            Column::text("system").weight(230).whole(),
            Column::text("tools").weight(20).whole(),
            Column::text("features").weight(15),
            Column::text("models").weight(15),
            Column::count("calls").weight(220),
            Column::text("first_seen").weight(50).whole(),
            Column::count("days").weight(25),
            Column::new("system_tokens_per_call", Kind::Ratio).weight(210).titled("tokens each"),
            Column::money("system_cost_usd").weight(60),
            Column::money("system_month_usd").kept().titled("$ a month"),
            Column::new("tools_tokens_per_call", Kind::Ratio).weight(35).titled("tools each"),
            Column::money("tools_cost_usd").weight(35),
            Column::new("input_tokens_per_call", Kind::Ratio).weight(40).titled("prompt"),
            Column::new("cached_percent", Kind::Percent).weight(180),
            Column::new("repeats_percent", Kind::Percent).weight(70),
            Column::count("missed_tokens").weight(12),
            Column::money("missed_usd").weight(190),
        ];
        Table::new(columns).with(self.rows.iter().map(|row| {
            vec![
                row.agent.as_str().into(),
                short(row.system.as_ref()),
                short(row.tools.as_ref()),
                row.features.join(", ").into(),
                row.models.join(", ").into(),
                row.calls.into(),
                Cell::said(row.first_seen.as_ref().and_then(|time| time.get(..10))),
                row.days.into(),
                Cell::decimal(row.system_tokens_per_call.map(|tokens| tokens.rounded(0))),
                row.system_cost_usd.into(),
                row.system_month_usd.into(),
                Cell::decimal(row.tools_tokens_per_call.map(|tokens| tokens.rounded(0))),
                row.tools_cost_usd.into(),
                Cell::decimal(row.input_tokens_per_call.map(|tokens| tokens.rounded(0))),
                Cell::decimal(row.cached_percent),
                Cell::decimal(row.repeats_percent),
                row.missed_tokens.into(),
                row.missed_usd.into(),
            ]
        }))
    }

    /// What agents' prompts and answers are made of, as a table.
    pub fn agents_table(&self) -> Table {
        let part = |name: &str| Column::new(name, Kind::Percent);
        let columns = vec![
            Column::text("agent").kept(),
            Column::count("calls").weight(60),
            Column::money("input_cost_usd").weight(220).titled("prompts $"),
            part("system_percent").weight(200).titled("system"),
            part("tools_percent").weight(150).titled("tools"),
            part("tool_results_percent").weight(140).titled("results"),
            part("history_percent").weight(190).titled("history"),
            part("user_percent").weight(180).titled("user"),
            part("other_percent").weight(20).titled("other").if_any(),
            Column::new("output_tokens_per_call", Kind::Ratio).weight(120).titled("answer"),
            Column::count("median_answer_below").weight(20).titled("median <"),
            Column::count("p90_answer_below").weight(20).titled("p90 <"),
            Column::new("first_prompt_tokens", Kind::Ratio).weight(30).titled("first prompt"),
            Column::new("last_prompt_tokens", Kind::Ratio).weight(30).titled("last prompt"),
            Column::count("retried").weight(25),
            Column::money("retried_usd").weight(50),
            Column::count("failed").weight(25),
            Column::money("failed_usd").weight(50),
        ];
        Table::new(columns).with(self.agents.iter().map(|row| {
            let all = row.tokens.values().fold(0u64, |sum, tokens| sum.saturating_add(*tokens));
            let part =
                |name: &str| Cell::decimal(Decimal::percent(row.tokens.get(name).copied().unwrap_or(0), all));
            let whole = |number: Option<Decimal>| Cell::decimal(number.map(|number| number.rounded(0)));
            vec![
                row.agent.as_str().into(),
                row.calls.into(),
                row.input_cost_usd.into(),
                part("system"),
                part("tools"),
                part("tool_results"),
                part("history"),
                part("user"),
                part("other"),
                whole(row.output_tokens_per_call),
                row.median_answer_below.into(),
                row.p90_answer_below.into(),
                whole(row.first_prompt_tokens),
                whole(row.last_prompt_tokens),
                row.retried.into(),
                row.retried_usd.into(),
                row.failed.into(),
                row.failed_usd.into(),
            ]
        }))
    }

    /// Changes as a table.
    pub fn changes_table(&self) -> Table {
        let columns = vec![
            Column::text("day").kept().whole(),
            Column::text("agent").kept(),
            Column::text("feature").weight(200),
            Column::text("changed").weight(150),
            Column::text("before").weight(80).whole(),
            Column::text("after").weight(90).whole(),
            Column::new("tokens_per_call_before", Kind::Ratio).weight(180).titled("tokens before"),
            Column::new("tokens_per_call_after", Kind::Ratio).weight(190).titled("after"),
            Column::new("change_percent", Kind::Change).kept(),
            Column::money("cost_per_call_before_usd").weight(60).titled("$ before"),
            Column::money("cost_per_call_after_usd").weight(70).titled("$ after"),
        ];
        Table::new(columns).with(self.changes.iter().map(|row| {
            vec![
                row.day.as_str().into(),
                row.agent.as_str().into(),
                row.feature.as_str().into(),
                row.changed.join(", ").into(),
                short(row.before.as_ref()),
                short(row.after.as_ref()),
                Cell::decimal(row.tokens_per_call_before.map(|tokens| tokens.rounded(0))),
                Cell::decimal(row.tokens_per_call_after.map(|tokens| tokens.rounded(0))),
                Cell::decimal(row.change_percent),
                Cell::money(row.cost_per_call_before_usd),
                Cell::money(row.cost_per_call_after_usd),
            ]
        }))
    }
}

/// The first characters of a print, as many as tell prints apart for people.
fn short(print: Option<&String>) -> Cell {
    Cell::said(print.map(|print| print.chars().take(8).collect::<String>()))
}

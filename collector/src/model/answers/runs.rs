//! Runs: what one user's action cost, with all that it started.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use crate::model::run::Status;
use crate::model::table::{Cell, Column, Kind, Table};

/// Runs that started in a time.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Runs")]
pub struct RunsAnswer {
    /// Start, inclusive.
    pub from: String,
    /// End, exclusive.
    pub to: String,
    /// Actions, in the order asked for: runs that no other run started, each with its whole tree.
    pub rows: Vec<RunRow>,
    /// Where the next page starts; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// How many actions there are.
    pub actions: u64,
    /// What an action costs at each agent, the largest sum first.
    pub agents: Vec<AgentRuns>,
    /// Records that came so lately that they are not counted here yet.
    pub unfollowed_records: u64,
    /// Where nothing was found: what was looked for, and what there is; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// An action: a run with all that it started.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Run")]
pub struct RunRow {
    /// Id of the run at the top, as its caller names it.
    pub run: String,
    /// The agent at the top; where that made no call itself, the one with the largest cost.
    pub agent: String,
    /// When its first call was admitted.
    pub start: Option<String>,
    /// From then to the end of its last call, in milliseconds.
    pub duration_ms: u64,
    /// How it went.
    pub status: Status,
    /// Calls that reached a provider.
    pub calls: u64,
    /// Calls that were refused.
    pub denied: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Runs in the tree, with the one at the top.
    pub runs: u64,
    /// Levels of the tree.
    pub depth: u64,
    /// Runs that the one at the top started itself.
    pub started: u64,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// Tokens of the prompt of the first call of the run at the top.
    pub first_input_tokens: u64,
    /// And of its last call: history that grows shows here.
    pub last_input_tokens: u64,
    /// What all of it costs.
    pub cost_usd: Picodollars,
}

/// What an action costs at an agent.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AgentRuns {
    /// The agent.
    pub agent: String,
    /// Its actions.
    pub actions: u64,
    /// What they cost together.
    pub cost_usd: Picodollars,
    /// Half of them cost no more than this.
    pub median_cost_usd: Picodollars,
    /// Nine of ten cost no more than this.
    pub p90_cost_usd: Picodollars,
    /// What the dearest cost.
    pub max_cost_usd: Picodollars,
    /// Half of them made no more calls than this.
    pub median_calls: u64,
    /// Nine of ten made no more calls than this.
    pub p90_calls: u64,
    /// The most calls of one.
    pub max_calls: u64,
}

/// A run and all that it started.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RunTree {
    /// Id of the run.
    pub run: String,
    /// The runs that it was started by, the nearest first.
    pub started_by: Vec<String>,
    /// The run, and behind each the runs that it started.
    pub nodes: Vec<RunTreeNode>,
    /// Calls of all of them.
    pub calls: u64,
    /// What all of them cost.
    pub cost_usd: Picodollars,
    /// Records that came so lately that they are not counted here yet.
    pub unfollowed_records: u64,
}

/// A run of a tree.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RunTreeNode {
    /// Its id.
    pub run: String,
    /// Its place under the run that was asked for, which is at 0.
    pub level: u64,
    /// When its first call was admitted.
    pub start: Option<String>,
    /// From then to the end of its last call, in milliseconds.
    pub duration_ms: u64,
    /// How its own calls went.
    pub status: Status,
    /// Its own calls that reached a provider.
    pub calls: u64,
    /// Its own calls that were refused.
    pub denied: u64,
    /// What its own calls cost.
    pub cost_usd: Picodollars,
    /// What it and all that it started cost.
    pub tree_cost_usd: Picodollars,
    /// What it did, the largest cost first.
    pub parts: Vec<RunPartRow>,
}

/// What a run did at one agent, feature and model.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "RunPart")]
pub struct RunPartRow {
    /// The agent.
    pub agent: String,
    /// The team.
    pub team: String,
    /// The feature.
    pub feature: String,
    /// The environment.
    pub environment: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Calls that reached a provider.
    pub calls: u64,
    /// Calls that were refused.
    pub denied: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What they cost.
    pub cost_usd: Picodollars,
}

impl RunsAnswer {
    /// Actions as a table.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::text("run").kept().whole(),
            Column::text("agent").kept(),
            Column::text("start").weight(60).whole(),
            Column::duration("duration_ms").weight(90),
            Column::text("status").weight(100).whole(),
            Column::count("calls").weight(220),
            Column::count("denied").weight(110).if_any(),
            Column::count("errors").weight(110).if_any(),
            Column::count("runs").weight(80),
            Column::count("depth").weight(120),
            Column::count("started").weight(70),
            Column::count("input_tokens").weight(50),
            Column::count("output_tokens").weight(40),
            Column::count("first_input_tokens").weight(20),
            Column::count("last_input_tokens").weight(30),
            Column::money("cost_usd").kept(),
        ];
        Table::new(columns).with(self.rows.iter().map(|row| {
            vec![
                row.run.as_str().into(),
                row.agent.as_str().into(),
                Cell::said(row.start.as_ref()),
                row.duration_ms.into(),
                row.status.name().into(),
                row.calls.into(),
                row.denied.into(),
                row.errors.into(),
                row.runs.into(),
                row.depth.into(),
                row.started.into(),
                row.input_tokens.into(),
                row.output_tokens.into(),
                row.first_input_tokens.into(),
                row.last_input_tokens.into(),
                row.cost_usd.into(),
            ]
        }))
    }

    /// What an action costs at each agent, as a table.
    pub fn agents_table(&self) -> Table {
        let columns = vec![
            Column::text("agent").kept(),
            Column::count("actions").kept(),
            Column::count("median_calls").weight(120),
            Column::count("p90_calls").weight(60),
            Column::count("max_calls").weight(100),
            Column::money("median_cost_usd").weight(200).titled("median $"),
            Column::money("p90_cost_usd").weight(180).titled("p90 $"),
            Column::money("max_cost_usd").weight(150).titled("max $"),
            Column::money("cost_usd").kept(),
        ];
        Table::new(columns).with(self.agents.iter().map(|row| {
            vec![
                row.agent.as_str().into(),
                row.actions.into(),
                row.median_calls.into(),
                row.p90_calls.into(),
                row.max_calls.into(),
                row.median_cost_usd.into(),
                row.p90_cost_usd.into(),
                row.max_cost_usd.into(),
                row.cost_usd.into(),
            ]
        }))
    }
}

impl RunTree {
    /// The tree as a table, what each run did behind it.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::text("run").kept(),
            Column::text("agent").weight(200),
            Column::text("feature").weight(80),
            Column::text("model").weight(150),
            Column::text("start").weight(20).whole(),
            Column::duration("duration_ms").weight(70),
            Column::text("status").weight(60).whole(),
            Column::count("calls").weight(220),
            Column::count("denied").weight(110).if_any(),
            Column::count("input_tokens").weight(40),
            Column::count("output_tokens").weight(30),
            Column::money("cost_usd").kept(),
            Column::new("tree_cost_usd", Kind::Money).weight(210),
        ];
        Table::new(columns).with(self.nodes.iter().flat_map(RunTreeNode::rows)).total(vec![
            "total".into(),
            Cell::Nothing,
            Cell::Nothing,
            Cell::Nothing,
            Cell::Nothing,
            Cell::Nothing,
            Cell::Nothing,
            self.calls.into(),
            Cell::Nothing,
            Cell::Nothing,
            Cell::Nothing,
            self.cost_usd.into(),
        ])
    }
}

impl RunTreeNode {
    /// One row where all of its calls are alike; else one for it and one for each part.
    fn rows(&self) -> Vec<Vec<Cell>> {
        let indent = |more: u64| "  ".repeat(usize::try_from(self.level.saturating_add(more)).unwrap_or(0));
        let part = |name: String, part: &RunPartRow| -> Vec<Cell> {
            vec![
                name.into(),
                part.agent.as_str().into(),
                part.feature.as_str().into(),
                part.model.as_str().into(),
                Cell::Nothing,
                Cell::Nothing,
                Cell::Nothing,
                part.calls.into(),
                part.denied.into(),
                part.input_tokens.into(),
                part.output_tokens.into(),
                part.cost_usd.into(),
                Cell::Nothing,
            ]
        };
        let name = format!("{}{}", indent(0), self.run);
        let only = match self.parts.as_slice() {
            [only] => only.clone(),
            parts => RunPartRow {
                calls: self.calls,
                denied: self.denied,
                input_tokens: parts.iter().fold(0, |sum, one| sum.saturating_add(one.input_tokens)),
                output_tokens: parts.iter().fold(0, |sum, one| sum.saturating_add(one.output_tokens)),
                cost_usd: self.cost_usd,
                ..RunPartRow::default()
            },
        };
        let mut first = part(name, &only);
        let own = [Cell::said(self.start.as_ref()), self.duration_ms.into(), self.status.name().into()];
        for (cell, own) in first.iter_mut().skip(4).zip(own) {
            *cell = own;
        }
        if let Some(last) = first.last_mut() {
            *last = self.tree_cost_usd.into();
        }
        let parts = if self.parts.len() > 1 { self.parts.as_slice() } else { &[] };
        std::iter::once(first).chain(parts.iter().map(|one| part(format!("{}-", indent(1)), one))).collect()
    }
}

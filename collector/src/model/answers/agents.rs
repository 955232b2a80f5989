//! Agents: what is registered of them, and what they do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use crate::model::agent::{Agent, status_name};
use crate::model::table::{Cell, Column, Table};

/// An agent: what is registered of it, and what it did.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "InventoryAgent")]
pub struct AgentRow {
    /// Its name, as calls say it.
    pub agent: String,
    /// Whether it may call.
    pub status: AgentState,
    /// Where it is registered: `file`, `api`, or `seen` where its calls made the proposal; null where it is
    /// not.
    pub source: Option<String>,
    /// What is registered of it; null where nothing is.
    pub registered: Option<Agent>,
    /// Lists of models that may be for its calls.
    pub lists: Vec<String>,
    /// Teams that its calls of the last 30 days were for.
    pub teams_seen: Vec<String>,
    /// Environments that its calls of the last 30 days came from.
    pub environments_seen: Vec<String>,
    /// Models that it ever called.
    pub models_seen: Vec<String>,
    /// Its first call; null where that is not known.
    pub first_seen: Option<String>,
    /// Its last call, to the minute, or to the day where that is longer ago than a day; null where it did not
    /// call in the last 30 days.
    pub last_seen: Option<String>,
    /// Calls of the last 30 days that reached a provider.
    pub calls: u64,
    /// What they cost.
    pub cost_usd: Picodollars,
    /// What a month was planned to cost, by the estimate that is kept; null without one.
    pub planned_per_month_usd: Option<Picodollars>,
    /// What it cost in 24 hours of its first seven days; null where nothing is known of them.
    pub baseline_per_day_usd: Option<Picodollars>,
    /// Whether the day is over on which somebody was to look at it again.
    pub is_review_due: bool,
}

/// How far an agent has come.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Somebody asked for it, or it was seen; gateways do not know it.
    Proposed,
    /// It may call.
    Approved,
    /// It was approved, and the approval has ended.
    Expired,
    /// It may not call any more.
    Retired,
    /// It calls, and nobody has registered it.
    Unregistered,
}

impl AgentState {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Approved => "approved",
            Self::Expired => "expired",
            Self::Retired => "retired",
            Self::Unregistered => "unregistered",
        }
    }
}

/// What was done to an agent.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AgentChanged {
    /// The agent.
    pub agent: String,
    /// What was done.
    pub result: AgentChange,
}

/// What a change did.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentChange {
    /// It is new.
    Created,
    /// It is another now.
    Changed,
    /// It was so before.
    Same,
}

impl AgentChange {
    /// In words.
    pub const fn said(self) -> &'static str {
        match self {
            Self::Created => "is new",
            Self::Changed => "has changed",
            Self::Same => "was so before",
        }
    }
}

/// The inventory.
pub fn inventory(rows: &[AgentRow]) -> Table {
    let columns = vec![
        Column::text("agent").kept(),
        Column::text("team").weight(190),
        Column::text("owner").weight(130),
        Column::text("status").kept().whole(),
        Column::text("environments").weight(120),
        Column::text("models_allowed").weight(140),
        Column::text("models_seen").weight(110),
        Column::money("cost_usd").titled("$ 30 days").kept(),
        Column::text("review").weight(150).whole().if_any(),
        Column::text("function").weight(40),
        Column::text("expires").weight(60).whole().if_any(),
        Column::time("first_seen").weight(50).if_any(),
        Column::time("last_seen").weight(70).if_any(),
        Column::money("planned_per_month_usd").titled("planned $/month").weight(80).if_any(),
        Column::money("baseline_per_day_usd").titled("baseline $/day").weight(55).if_any(),
        Column::text("source").weight(30),
    ];
    Table::new(columns).with(rows.iter().map(row))
}

fn row(row: &AgentRow) -> Vec<Cell> {
    let text = |of: fn(&Agent) -> &String| row.registered.as_ref().map(of).filter(|text| !text.is_empty());
    let list =
        |of: fn(&Agent) -> &Vec<String>| row.registered.as_ref().map(of).filter(|list| !list.is_empty());
    let joined = |list: &[String]| list.join(" ");
    let team = text(|agent| &agent.team).cloned().unwrap_or_else(|| joined(&row.teams_seen));
    let environments =
        list(|agent| &agent.environments).map_or(row.environments_seen.as_slice(), Vec::as_slice);
    let allowed = match list(|agent| &agent.models) {
        Some(models) => joined(models),
        None if row.lists.is_empty() => "any".to_owned(),
        None => format!("by {}", row.lists.join(" ")),
    };
    let day =
        |of: fn(&Agent) -> Option<crate::model::agent::Day>| Cell::said(row.registered.as_ref().and_then(of));
    vec![
        row.agent.clone().into(),
        team.into(),
        Cell::said(text(|agent| &agent.owner)),
        row.status.name().into(),
        joined(environments).into(),
        allowed.into(),
        joined(&row.models_seen).into(),
        Cell::Money(row.cost_usd),
        day(|agent| agent.review),
        Cell::said(text(|agent| &agent.function)),
        day(|agent| agent.expires),
        Cell::said(row.first_seen.as_deref()),
        Cell::said(row.last_seen.as_deref()),
        Cell::money(row.planned_per_month_usd),
        Cell::money(row.baseline_per_day_usd),
        Cell::said(row.source.as_deref()),
    ]
}

/// Registered agents as a file, one a row, which can be read back: lists have `;` between their members.
pub fn register(agents: &[Agent]) -> Table {
    let columns = COLUMNS.into_iter().map(Column::text).collect();
    Table::new(columns).with(agents.iter().map(|agent| {
        let Agent {
            name,
            team,
            owner,
            function,
            environments,
            models,
            status,
            approved_by,
            review,
            expires,
            notes,
        } = agent;
        vec![
            name.clone().into(),
            team.clone().into(),
            owner.clone().into(),
            function.clone().into(),
            environments.join(";").into(),
            models.join(";").into(),
            status_name(*status).into(),
            approved_by.clone().into(),
            Cell::said(*review),
            Cell::said(*expires),
            notes.clone().into(),
        ]
    }))
}

/// Columns of a file of agents.
pub const COLUMNS: [&str; 11] = [
    "name",
    "team",
    "owner",
    "function",
    "environments",
    "models",
    "status",
    "approved_by",
    "review",
    "expires",
    "notes",
];

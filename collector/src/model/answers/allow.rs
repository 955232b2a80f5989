//! Lists of models, and what one would have refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::budget::scope::Scope;
use tollgate_core::money::Picodollars;

use crate::model::agent::Day;
use crate::model::table::{Cell, Column, Table};

/// A list of models.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AllowRow {
    /// Its name; `agent:NAME` is that of an agent's models.
    pub name: String,
    /// The calls that it is for.
    pub scope: Scope,
    /// Models that may be called; one with `!` may not. What it means by words is among them, as the price
    /// book has it now.
    pub models: Vec<String>,
    /// What it means by words, such as `family gpt-5` or `not frontier`.
    #[serde(default)]
    pub words: Vec<String>,
    /// Whether work may be started that is charged later.
    pub deferred: bool,
    /// Whether calls may be made whose models nobody can tell.
    pub untold: bool,
    /// Whether it only notes.
    pub shadow: bool,
    /// Who approved it; empty where nobody says.
    pub approved_by: String,
    /// Why it is there.
    pub reason: String,
    /// Its last day, UTC; null where it has none.
    pub expires: Option<Day>,
    /// Whether that is over.
    pub has_ended: bool,
}

/// What a list would have refused.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AllowTried {
    /// The list.
    pub list: AllowRow,
    /// Start.
    pub from: String,
    /// End, exclusive.
    pub to: String,
    /// What it would have refused, the dearest first.
    pub rows: Vec<TriedRow>,
    /// Calls that it would have refused.
    pub refused_calls: u64,
    /// What they cost.
    pub refused_usd: Picodollars,
    /// Calls that it was for.
    pub calls: u64,
    /// What they cost.
    pub cost_usd: Picodollars,
    /// What these numbers cannot tell.
    pub notes: Vec<String>,
}

/// Calls of an agent to a model that a list would have refused.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct TriedRow {
    /// The agent; null where calls have none.
    pub agent: Option<String>,
    /// Provider id.
    pub provider: Option<String>,
    /// The model asked for; null where none was named.
    pub model: Option<String>,
    /// Why, as a refusal says it.
    pub reason: String,
    /// Calls that reached the provider.
    pub calls: u64,
    /// What they cost.
    pub cost_usd: Picodollars,
}

/// Lists as a table.
pub fn lists(rows: &[AllowRow]) -> Table {
    let columns = vec![
        Column::text("name").kept(),
        Column::text("scope").weight(140),
        Column::text("models").kept().least(16),
        Column::text("state").weight(170).whole(),
        Column::text("deferred").weight(90).whole(),
        Column::text("untold").weight(85).whole(),
        Column::text("expires").weight(120).whole().if_any(),
        Column::text("approved_by").weight(70).if_any(),
        Column::text("reason").weight(40).if_any(),
    ];
    let may = |may: bool| Cell::from(if may { "allow" } else { "deny" });
    Table::new(columns).with(rows.iter().map(|row| {
        vec![
            row.name.clone().into(),
            scope_text(&row.scope).into(),
            shown(&row.words, &row.models).into(),
            match (row.has_ended, row.shadow) {
                (true, _) => "ended",
                (false, true) => "shadow",
                (false, false) => "holds",
            }
            .into(),
            may(row.deferred),
            may(row.untold),
            Cell::said(row.expires),
            row.approved_by.clone().into(),
            row.reason.clone().into(),
        ]
    }))
}

/// Models of a list: its words, where it has any, as what they mean is long.
fn shown(words: &[String], models: &[String]) -> String {
    if words.is_empty() { models.join(" ") } else { format!("{} ({} names)", words.join(", "), models.len()) }
}

/// A scope in words, such as `team=support`.
pub fn scope_text(scope: &Scope) -> String {
    let parts: Vec<String> =
        scope.dimensions().map(|one| format!("{one}={}", scope.values(one).join("|"))).collect();
    if parts.is_empty() { "every call".to_owned() } else { parts.join(" ") }
}

impl AllowTried {
    /// As a table.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::text("agent").kept(),
            Column::text("provider").weight(110),
            Column::text("model").kept(),
            Column::count("calls").kept(),
            Column::money("cost_usd").titled("cost $").kept(),
            Column::text("reason").weight(60),
        ];
        let total = vec![
            "refused".into(),
            Cell::Nothing,
            Cell::Nothing,
            self.refused_calls.into(),
            Cell::Money(self.refused_usd),
            Cell::Nothing,
        ];
        Table::new(columns)
            .with(self.rows.iter().map(|row| {
                vec![
                    Cell::said(row.agent.as_deref()),
                    Cell::said(row.provider.as_deref()),
                    Cell::said(row.model.as_deref()),
                    row.calls.into(),
                    Cell::Money(row.cost_usd),
                    row.reason.clone().into(),
                ]
            }))
            .total(total)
    }
}

//! What would become of a call, and which rule or budget decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_core::attribution::AttributionSource;
use tollgate_core::budget::{Action, Unit};
use tollgate_core::money::Picodollars;

use super::budgets::Quantity;
use crate::model::table::{Cell, Column, Table};

/// What would become of a call, as a gateway with the rules, budgets and prices of now decides.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ExplainedCall {
    /// Whether it goes on to the provider.
    pub passes: bool,
    /// Status of the refusal; null where it passes.
    pub status: Option<u16>,
    /// `x-tollgate-reason` of the refusal; null where it passes.
    pub reason: Option<String>,
    /// The rule that refuses it, as `x-tollgate-rule` has it; null where none does.
    pub refused_by: Option<String>,
    /// The budget that refuses it; null where none does.
    pub budget: Option<String>,
    /// What the caller is told; null where it passes.
    pub message: Option<String>,
    /// The body that the caller gets, in the shape of the provider's errors; null where it passes.
    pub answer: Option<Value>,
    /// Rules that note it: those in shadow that would refuse it, and those that flag it or correct its names.
    pub noted_by: Vec<String>,
    /// Provider id.
    pub provider: String,
    /// What is asked of it, such as `chat`; null where it is no call, which passes unmetered.
    pub operation: Option<String>,
    /// The model asked for; null where none is named.
    pub model: Option<String>,
    /// The most that it may cost; null where no price is known.
    pub most_usd: Option<Picodollars>,
    /// The most tokens that it may use, prompt and answer.
    pub most_tokens: u64,
    /// The output limit that a budget or a rule writes into its request; null where none does.
    pub written_output_tokens: Option<u64>,
    /// How far its attribution can be trusted.
    pub attribution_source: AttributionSource,
    /// Who it is for; a field that nothing says is left out.
    pub identity: Vec<ExplainedField>,
    /// Rules that are for it, in the order in which they are asked.
    pub rules: Vec<ExplainedRule>,
    /// Budgets that are for it.
    pub budgets: Vec<ExplainedBudget>,
    /// Version of the rules and budgets.
    pub policy_version: String,
    /// Version of the price book.
    pub price_version: String,
    /// What this answer cannot tell, or made up.
    pub notes: Vec<String>,
}

/// A field of who makes a call.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ExplainedField {
    /// `agent`, `team`, `feature`, `environment`, `run`, `parent_run` or `tags`.
    pub field: String,
    /// What it is.
    pub value: String,
    /// By which source: `verified`, `key`, `route`, `registry` (the team of the agent), `self_declared`, or
    /// `none` where nobody vouches for what the call says.
    pub source: String,
    /// What the headers say; null where that is the same, or nothing.
    pub said: Option<String>,
}

/// A rule that is for a call.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ExplainedRule {
    /// Its name, as refusals and records have it.
    pub rule: String,
    /// Where it stands in the configuration: `identity`, `unknown_agents`, `require`, `allow` or `limits`.
    pub kind: String,
    /// `enforced`, `shadow` or `expired`.
    pub state: String,
    /// Whether it has nothing against the call, or would not have if it were enforced.
    pub lets: bool,
    /// The reason of a refusal; null where it lets the call go on.
    pub reason: Option<String>,
    /// What a caller would be told; null where it lets the call go on.
    pub message: Option<String>,
}

/// A budget that is for a call.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ExplainedBudget {
    /// Name of the budget.
    pub budget: String,
    /// The value of its `each` under which the call counts; empty where it has none.
    pub value: String,
    /// What becomes of a call that does not fit.
    pub action: Action,
    /// What is counted.
    pub unit: Unit,
    /// How much may be spent in the window that holds now.
    pub limit: Quantity,
    /// What counts as spent, with what calls under way hold, as gateways last reported.
    pub used: Quantity,
    /// `limit` less `used`.
    pub left: Quantity,
    /// What the call would hold; null where it is refused before that is known.
    pub hold: Option<Quantity>,
    /// Whether that fits into what is left.
    pub fits: bool,
    /// What a caller would be told; null where it fits.
    pub message: Option<String>,
}

impl ExplainedCall {
    /// Rules and budgets, and what each says.
    pub fn checks(&self) -> Table {
        let columns = vec![
            Column::text("kind").kept().whole(),
            Column::text("name").kept(),
            Column::text("state").kept().whole(),
            Column::text("says").kept().whole(),
            Column::text("why").weight(200),
        ];
        let rules = self.rules.iter().map(|rule| {
            let says = match (rule.lets, rule.state.as_str()) {
                (true, _) => "lets it pass",
                (false, "enforced") => "refuses it",
                (false, "shadow") => "would refuse it",
                (false, _) => "would have refused it",
            };
            let why = rule.message.clone().map_or(Cell::Nothing, Cell::from);
            vec![
                rule.kind.clone().into(),
                rule.rule.clone().into(),
                rule.state.clone().into(),
                says.into(),
                why,
            ]
        });
        let budgets = self.budgets.iter().map(|budget| {
            let says = match (budget.fits, budget.action) {
                (true, _) => "has room",
                (false, Action::Deny) => "refuses it",
                (false, Action::Warn) => "warns",
                (false, Action::Shadow) => "would refuse it",
            };
            let name = match budget.value.as_str() {
                "" => budget.budget.clone(),
                value => format!("{} ({value})", budget.budget),
            };
            let hold = budget.hold.as_ref().map_or_else(|| "nothing yet".to_owned(), ToString::to_string);
            let why = format!("holds {hold}, {} of {} is left", budget.left, budget.limit);
            let state = match budget.action {
                Action::Deny => "enforced",
                Action::Warn => "warns",
                Action::Shadow => "shadow",
            };
            vec!["budget".into(), name.into(), state.into(), says.into(), why.into()]
        });
        Table::new(columns).with(rules.chain(budgets))
    }

    /// Who it is for, and by which source.
    pub fn who(&self) -> Table {
        let columns = vec![
            Column::text("field").kept().whole(),
            Column::text("value").kept(),
            Column::text("source").kept().whole(),
            Column::text("said").weight(100).if_any(),
        ];
        Table::new(columns).with(self.identity.iter().map(|one| {
            vec![
                one.field.clone().into(),
                one.value.clone().into(),
                one.source.clone().into(),
                Cell::said(one.said.as_deref()),
            ]
        }))
    }

    /// The end of it, in a sentence.
    pub fn verdict(&self) -> String {
        if self.passes {
            return match self.operation {
                Some(_) => "it passes".to_owned(),
                None => "it passes: it only reads, and is no call".to_owned(),
            };
        }
        let by = match (&self.refused_by, &self.budget) {
            (Some(rule), _) => format!(" by `{rule}`"),
            (None, Some(budget)) => format!(" by the budget `{budget}`"),
            (None, None) => String::new(),
        };
        let (status, reason) = (self.status.unwrap_or_default(), self.reason.as_deref().unwrap_or_default());
        format!("it is refused{by}: {status} {reason}\n{}", self.message.as_deref().unwrap_or_default())
    }
}

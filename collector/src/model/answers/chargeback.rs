//! What a month is charged to whom.

pub mod html;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use crate::model::table::{Cell, Column, Table};

/// A month as statements, whose totals add up to that of the month.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Chargeback {
    /// The month, such as `2026-10`, UTC.
    pub month: String,
    /// When it was closed; absent while it can change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<String>,
    /// Whether the month is not over.
    pub partial: bool,
    /// What all calls of the month cost, with what was corrected in earlier months.
    pub total_usd: Picodollars,
    /// Calls that reached a provider.
    pub calls: u64,
    /// Statements: teams by name, then cost centers, then what no team is named for.
    pub statements: Vec<Statement>,
    /// What is shared, by the rules of the configuration, in their order.
    pub shared: Vec<SharedCost>,
}

/// What one payer owes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Statement {
    /// Name of the team or the cost center; `unattributed` where calls named no team.
    pub payer: String,
    /// What it is.
    pub kind: PayerKind,
    /// `own_usd`, `corrections_usd` and `shared_usd` together.
    pub total_usd: Picodollars,
    /// What its calls of this month cost, those apart that are shared.
    pub own_usd: Picodollars,
    /// What corrections of earlier, closed months changed; below 0 where they gave back.
    pub corrections_usd: Picodollars,
    /// Its parts of what is shared.
    pub shared_usd: Picodollars,
    /// The part of `own_usd` from counts that gateways estimated.
    pub estimated_usd: Picodollars,
    /// The part of `own_usd` of calls of earlier months, whose records came after these were closed.
    pub late_usd: Picodollars,
    /// Its calls that are in `own_usd`.
    pub calls: u64,
    /// Its own lines, the largest cost first.
    pub lines: Vec<StatementLine>,
    /// Its parts of what is shared.
    pub shares: Vec<SharedPart>,
}

/// Who pays.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PayerKind {
    /// A team.
    #[default]
    Team,
    /// A cost center of the configuration.
    CostCenter,
    /// Nobody: calls that named no team.
    Unattributed,
}

/// Calls of a payer that have all of this in common.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct StatementLine {
    /// Whether it is what corrections changed in earlier, closed months, and not calls of this one.
    pub is_correction: bool,
    /// The agent.
    pub agent: String,
    /// The feature.
    pub feature: String,
    /// The environment.
    pub environment: String,
    /// The provider.
    pub provider: String,
    /// The model that answered, else the one asked for; absent where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Calls that reached a provider.
    pub calls: u64,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What they cost.
    pub cost_usd: Picodollars,
}

/// A payer's part of what is shared.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct SharedPart {
    /// Name of the rule.
    pub name: String,
    /// The part.
    pub cost_usd: Picodollars,
    /// What all payers share.
    pub of_usd: Picodollars,
    /// How it is split: `even`, `by_spend`, `weights`, or `cost_center`.
    pub split: String,
}

/// What is shared by one rule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct SharedCost {
    /// Name of the rule.
    pub name: String,
    /// How it is split: `even`, `by_spend`, `weights`, or `cost_center`.
    pub split: String,
    /// Its calls.
    pub calls: u64,
    /// What they cost, with corrections.
    pub cost_usd: Picodollars,
}

impl PayerKind {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::CostCenter => "cost_center",
            Self::Unattributed => "unattributed",
        }
    }
}

impl Chargeback {
    /// A row for each payer.
    pub fn overview(&self) -> Table {
        let columns = vec![
            Column::text("payer").kept(),
            Column::text("kind").weight(40),
            Column::count("calls").weight(90),
            Column::money("own_usd").titled("own $"),
            Column::money("corrections_usd").titled("corrected $").if_any(),
            Column::money("shared_usd").titled("shared $").if_any(),
            Column::money("estimated_usd").titled("estimated $").weight(50).if_any(),
            Column::money("late_usd").titled("late $").weight(45).if_any(),
            Column::money("total_usd").titled("total $").kept(),
        ];
        let row = |of: &Statement| {
            vec![
                of.payer.as_str().into(),
                of.kind.name().into(),
                of.calls.into(),
                of.own_usd.into(),
                of.corrections_usd.into(),
                of.shared_usd.into(),
                of.estimated_usd.into(),
                of.late_usd.into(),
                of.total_usd.into(),
            ]
        };
        let mut all = Statement { payer: "total".into(), ..Statement::default() };
        for one in &self.statements {
            all.own_usd += one.own_usd;
            all.corrections_usd += one.corrections_usd;
            all.shared_usd += one.shared_usd;
            all.estimated_usd += one.estimated_usd;
            all.late_usd += one.late_usd;
            all.total_usd += one.total_usd;
            all.calls = all.calls.saturating_add(one.calls);
        }
        let mut total = row(&all);
        if let Some(kind) = total.get_mut(1) {
            *kind = Cell::Nothing;
        }
        Table::new(columns).with(self.statements.iter().map(row)).total(total)
    }

    /// Every line of every statement; their costs add up to the total.
    pub fn lines(&self) -> Table {
        let columns = vec![
            Column::text("month").weight(20),
            Column::text("payer").kept(),
            Column::text("payer_kind").weight(20),
            Column::text("line").weight(150),
            Column::text("name").weight(120).if_any(),
            Column::text("agent").weight(200),
            Column::text("feature").weight(190),
            Column::text("environment").weight(90),
            Column::text("provider").weight(60),
            Column::text("model").weight(110),
            Column::count("calls").weight(160),
            Column::count("input_tokens").titled("tokens in").weight(80),
            Column::count("output_tokens").titled("tokens out").weight(80),
            Column::money("cost_usd").kept(),
        ];
        let rows = self.statements.iter().flat_map(|of| {
            let head = |line: &str, name: Cell| {
                vec![
                    self.month.as_str().into(),
                    of.payer.as_str().into(),
                    of.kind.name().into(),
                    line.into(),
                    name,
                ]
            };
            let own = of.lines.iter().map(move |line| {
                let mut row = head(if line.is_correction { "correction" } else { "usage" }, Cell::Nothing);
                row.extend([
                    line.agent.as_str().into(),
                    line.feature.as_str().into(),
                    line.environment.as_str().into(),
                    line.provider.as_str().into(),
                    Cell::said(line.model.as_ref()),
                    line.calls.into(),
                    line.input_tokens.into(),
                    line.output_tokens.into(),
                    line.cost_usd.into(),
                ]);
                row
            });
            let shares = of.shares.iter().map(move |share| {
                let mut row = head("shared", share.name.as_str().into());
                row.extend(std::iter::repeat_n(Cell::Nothing, 8));
                row.push(share.cost_usd.into());
                row
            });
            own.chain(shares).collect::<Vec<_>>()
        });
        Table::new(columns).with(rows)
    }
}

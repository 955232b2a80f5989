//! Chargeback: a month as statements of those who pay, exactly.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_core::attribution::{INVALID, UNATTRIBUTED};
use tollgate_core::money::Picodollars;

use crate::config::{Payers, Shared};
use crate::model::answers::chargeback::{
    Chargeback, PayerKind, SharedCost, SharedPart, Statement, StatementLine,
};
use crate::model::dimension::Dimension;
use crate::model::split::split;
use crate::store::DetailRow;

/// What the rows of a month are told apart by.
pub const BY: [Dimension; 6] = Dimension::CHARGED;

/// Payers in the order of statements.
type Statements = BTreeMap<(PayerOrder, String), Statement>;

/// Teams, then cost centers, then nobody.
type PayerOrder = PayerKind;

/// The statements of rows told apart by [`BY`], without times: month and its state are left to be set.
#[must_use]
pub fn statements(rows: &[DetailRow], rules: &[Shared]) -> Chargeback {
    let mut all = Statements::new();
    let mut shared: Vec<SharedCost> = rules.iter().map(named).collect();
    let mut answer = Chargeback::default();
    for row in rows {
        let cost = row.sums.totals.cost + row.corrected;
        answer.total_usd += cost;
        answer.calls = answer.calls.saturating_add(row.sums.totals.calls);
        let rule = rules.iter().position(|rule| is_about(rule, row));
        match rule.and_then(|at| shared.get_mut(at)) {
            Some(pool) => {
                pool.cost_usd += cost;
                pool.calls = pool.calls.saturating_add(row.sums.totals.calls);
            }
            None => add(statement(&mut all, value(row, 0)), row),
        }
    }
    let teams = all.iter().filter(|((kind, _), _)| *kind == PayerKind::Team);
    let spent: BTreeMap<String, Picodollars> =
        teams.map(|((_, name), of)| (name.clone(), of.own_usd + of.corrections_usd)).collect();
    for (rule, pool) in rules.iter().zip(&shared) {
        divide(&mut all, rule, pool, &spent);
    }
    answer.shared =
        shared.into_iter().filter(|pool| pool.calls > 0 || pool.cost_usd != Picodollars::ZERO).collect();
    answer.statements = all.into_values().map(finished).collect();
    answer
}

/// Who pays for the calls of a row.
fn statement<'a>(all: &'a mut Statements, team: &str) -> &'a mut Statement {
    let (kind, name) = match team {
        "" | UNATTRIBUTED | INVALID => (PayerKind::Unattributed, UNATTRIBUTED),
        team => (PayerKind::Team, team),
    };
    of_payer(all, kind, name)
}

fn of_payer<'a>(all: &'a mut Statements, kind: PayerKind, name: &str) -> &'a mut Statement {
    let new = || Statement { payer: name.to_owned(), kind, ..Statement::default() };
    all.entry((kind, name.to_owned())).or_insert_with(new)
}

/// Adds a row that nobody else pays for.
fn add(to: &mut Statement, row: &DetailRow) {
    let totals = &row.sums.totals;
    let line = |is_correction, cost_usd| StatementLine {
        is_correction,
        agent: value(row, 1).to_owned(),
        feature: value(row, 2).to_owned(),
        environment: value(row, 3).to_owned(),
        provider: value(row, 4).to_owned(),
        model: Some(value(row, 5).to_owned()).filter(|model| !model.is_empty()),
        cost_usd,
        ..StatementLine::default()
    };
    to.calls = to.calls.saturating_add(totals.calls);
    to.own_usd += totals.cost;
    to.estimated_usd += totals.estimated_cost;
    to.late_usd += row.late;
    to.corrections_usd += row.corrected;
    if totals.calls > 0 || totals.cost != Picodollars::ZERO {
        to.lines.push(StatementLine {
            calls: totals.calls,
            input_tokens: totals.input_tokens,
            output_tokens: totals.output_tokens,
            ..line(false, totals.cost)
        });
    }
    if row.corrected != Picodollars::ZERO {
        to.lines.push(line(true, row.corrected));
    }
}

/// Gives each payer its part of what is shared.
fn divide(all: &mut Statements, rule: &Shared, pool: &SharedCost, spent: &BTreeMap<String, Picodollars>) {
    if pool.cost_usd == Picodollars::ZERO {
        return;
    }
    let teams = |named: &[String]| -> Vec<String> {
        let named: BTreeSet<&String> =
            if named.is_empty() { spent.keys().collect() } else { named.iter().collect() };
        named.into_iter().cloned().collect()
    };
    let own = |team: &String| {
        let spent = spent.get(team).map_or(0, |spent| spent.as_pico());
        u128::try_from(spent).unwrap_or(0)
    };
    let (kind, payers): (_, Vec<(String, u128)>) = match &rule.payers {
        Payers::Even(named) => (PayerKind::Team, teams(named).into_iter().map(|team| (team, 1)).collect()),
        Payers::BySpend(named) => {
            let weighed = teams(named).into_iter().map(|team| {
                let weight = own(&team);
                (team, weight)
            });
            (PayerKind::Team, weighed.collect())
        }
        Payers::Weights(weights) => (
            PayerKind::Team,
            weights.iter().map(|(team, weight)| (team.clone(), u128::from(*weight))).collect(),
        ),
        Payers::CostCenter(center) => (PayerKind::CostCenter, vec![(center.clone(), 1)]),
    };
    let (kind, payers) = match payers.is_empty() {
        // No team spent anything: nobody is there to share it.
        true => (PayerKind::Unattributed, vec![(UNATTRIBUTED.to_owned(), 1)]),
        false => (kind, payers),
    };
    let weights: Vec<u128> = payers.iter().map(|(_, weight)| *weight).collect();
    for ((payer, _), part) in payers.iter().zip(split(pool.cost_usd, &weights)) {
        if part == Picodollars::ZERO {
            continue;
        }
        let of = of_payer(all, kind, payer);
        of.shared_usd += part;
        of.shares.push(SharedPart {
            name: rule.name.clone(),
            cost_usd: part,
            of_usd: pool.cost_usd,
            split: pool.split.clone(),
        });
    }
}

fn finished(mut of: Statement) -> Statement {
    of.total_usd = of.own_usd + of.corrections_usd + of.shared_usd;
    // Rows came by their names, so equal costs are in that order.
    of.lines.sort_by_key(|line| (line.is_correction, std::cmp::Reverse(line.cost_usd)));
    of
}

fn named(rule: &Shared) -> SharedCost {
    let split = match &rule.payers {
        Payers::Even(_) => "even",
        Payers::BySpend(_) => "by_spend",
        Payers::Weights(_) => "weights",
        Payers::CostCenter(_) => "cost_center",
    };
    SharedCost { name: rule.name.clone(), split: split.to_owned(), ..SharedCost::default() }
}

fn is_about(rule: &Shared, row: &DetailRow) -> bool {
    rule.scope.iter().all(|(dimension, wanted)| {
        BY.iter().position(|by| by == dimension).is_some_and(|place| value(row, place) == wanted)
    })
}

fn value(row: &DetailRow, place: usize) -> &str {
    row.values.get(place).and_then(Option::as_deref).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Every;
    use crate::work::exports::sample::{Sample, spans};

    fn rule(name: &str, scope: (Dimension, &str), payers: Payers) -> Shared {
        Shared { name: name.into(), scope: vec![(scope.0, scope.1.into())], payers }
    }

    fn rules() -> Vec<Shared> {
        vec![
            rule("stage", (Dimension::Environment, "stage"), Payers::BySpend(Vec::new())),
            rule("f of b", (Dimension::Feature, "f"), Payers::Even(vec!["a".into(), "z".into()])),
            rule("c", (Dimension::Team, "c"), Payers::Weights([("a".into(), 2), ("b".into(), 1)].into())),
            rule("x", (Dimension::Agent, "x"), Payers::CostCenter("CC-1".into())),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]

        #[test]
        fn statements_add_up_to_the_month_whatever_is_shared(seed in any::<u64>()) {
            let sample = Sample::new(seed, 150);
            for hours in spans() {
                let expected = sample.summary(hours, &[]).total;
                let rows = sample.details(hours, &BY, Every::Period);
                for count in 0..=rules().len() {
                    let answer = statements(&rows, &rules()[..count]);
                    let sum = |of: fn(&Statement) -> Picodollars| answer.statements.iter().map(of).sum::<Picodollars>();
                    prop_assert_eq!(answer.total_usd, expected.cost);
                    prop_assert_eq!(sum(|one| one.total_usd), expected.cost);
                    prop_assert_eq!(answer.calls, expected.calls);
                    let lines = sum(|one| {
                        let own: Picodollars = one.lines.iter().map(|line| line.cost_usd).sum();
                        own + one.shares.iter().map(|share| share.cost_usd).sum::<Picodollars>()
                    });
                    prop_assert_eq!(lines, expected.cost);
                    if count == 0 {
                        prop_assert_eq!(sum(|one| one.estimated_usd), expected.estimated_cost);
                    }
                }
            }
        }
    }

    #[test]
    fn each_rule_is_charged_as_it_says_and_what_names_no_team_stands_apart() {
        let row = |values: [&str; 6], pico: i128| {
            let mut row =
                DetailRow { values: values.map(|one| Some(one.to_owned())).to_vec(), ..DetailRow::default() };
            row.sums.totals.cost = Picodollars::from_pico(pico);
            row.sums.totals.calls = 1;
            row
        };
        let rows = [
            row(["a", "bot", "chat", "prod", "openai", "m"], 300),
            row(["b", "bot", "chat", "prod", "openai", "m"], 100),
            row(["b", "bot", "chat", "stage", "openai", "m"], 101),
            row(["c", "bot", "chat", "prod", "openai", "m"], 10),
            row(["unattributed", "x", "chat", "prod", "openai", "m"], 5),
            row(["invalid", "y", "chat", "prod", "openai", "m"], 7),
        ];
        let answer = statements(&rows, &rules());
        let told: Vec<_> = answer
            .statements
            .iter()
            .map(|one| (one.payer.as_str(), one.kind, one.own_usd.as_pico(), one.shared_usd.as_pico()))
            .collect();
        // `stage` is 101: a has 300 of 400, b 100. `c` is 10: two parts of three for a.
        let expected = [
            ("a", PayerKind::Team, 300, 76 + 7),
            ("b", PayerKind::Team, 100, 25 + 3),
            ("CC-1", PayerKind::CostCenter, 0, 5),
            ("unattributed", PayerKind::Unattributed, 7, 0),
        ];
        assert_eq!(told, expected);
        assert_eq!(answer.total_usd.as_pico(), 523);
    }

    #[test]
    fn corrections_of_closed_months_are_lines_of_their_own() {
        let sample = Sample::new(3, 300);
        let answer = statements(&sample.details(spans()[0], &BY, Every::Period), &[]);
        let corrections: Vec<_> =
            answer.statements.iter().flat_map(|one| &one.lines).filter(|line| line.is_correction).collect();
        assert!(!corrections.is_empty() && corrections.iter().all(|line| line.calls == 0));
        assert!(answer.statements.iter().any(|one| one.late_usd > Picodollars::ZERO));
    }
}

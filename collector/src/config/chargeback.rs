//! `[[chargeback.shared]]`: costs that are shared, and by whom.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Document, Section};
use crate::model::dimension::Dimension;

/// `[chargeback]`: how a month is charged to teams.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChargebackConfig {
    /// `[[chargeback.shared]]`: what is shared. What several are about belongs to the first.
    pub shared: Vec<Shared>,
}

/// Spend that is shared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shared {
    /// Its name in statements.
    pub name: String,
    /// What it is about: each dimension must have the value.
    pub scope: Vec<(Dimension, String)>,
    /// Who pays for it.
    pub payers: Payers,
}

/// Who pays for what is shared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Payers {
    /// Each of these teams the same; all teams where none is named.
    Even(Vec<String>),
    /// Each of these by what it spent itself; all teams where none is named.
    BySpend(Vec<String>),
    /// Each of these by its weight.
    Weights(BTreeMap<String, u64>),
    /// A cost center, which has a statement of its own.
    CostCenter(String),
}

/// The words of `split`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Split {
    Even,
    BySpend,
    Weights,
}

/// Reads `[chargeback]`.
pub(super) fn read<'t>(document: &mut Document<'t>, root: &mut Section<'t>) -> ChargebackConfig {
    let mut section = document.section(root, "chargeback");
    let mut names = BTreeSet::new();
    let mut shared = Vec::new();
    for mut table in document.tables(&mut section, "shared") {
        let line = table.line_of("name");
        if let Some(one) = read_one(document, &mut table) {
            if !names.insert(one.name.clone()) {
                let message = format!(
                    "`{}.name` is `{}`, which another one has; give each its own",
                    table.name(),
                    one.name
                );
                document.report(super::mistake::ConfigError { line, message });
            }
            shared.push(one);
        }
        document.finish(table);
    }
    document.finish(section);
    ChargebackConfig { shared }
}

fn read_one<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<Shared> {
    let name = document.needed(table, "name", "a name for statements, such as `platform`");
    let mut scope = Vec::new();
    for dimension in Dimension::CHARGED {
        let right = format!("the name of one {}", dimension.name());
        if let Some(value) = document.text(table, dimension.name(), &right) {
            scope.push((dimension, value));
        }
    }
    if scope.is_empty() {
        let names: Vec<String> =
            Dimension::CHARGED.iter().map(|dimension| format!("`{}`", dimension.name())).collect();
        let message = format!(
            "`{}` says nothing of what is shared; give one or more of {}",
            table.name(),
            names.join(", ")
        );
        document.at(table, &message);
    }
    let payers = payers(document, table);
    if scope.is_empty() {
        return None;
    }
    Some(Shared { name: name?, scope, payers: payers? })
}

fn payers<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<Payers> {
    let (has_teams, has_weights) = (table.has("teams"), table.has("weights"));
    let (has_split, has_center) = (table.has("split"), table.has("cost_center"));
    let split: Option<Split> = document.choice(table, "split");
    let teams = document.list(table, "teams", "a list of teams such as `[\"support\"]`");
    let weights =
        document.counts(table, "weights", "a table of whole numbers above 0 such as `{ support = 2 }`");
    let center = document.text(table, "cost_center", "the name of a cost center");
    let name = table.name().to_owned();
    let wrong = match (has_split, has_center, split) {
        (true, true, _) => Some("has `split` and `cost_center`; give one of them".to_owned()),
        (false, false, _) => Some("does not say who pays; give `split` or `cost_center`".to_owned()),
        (false, true, _) if has_teams || has_weights => {
            Some("has a `cost_center`, which needs no `teams` and no `weights`; leave them out".to_owned())
        }
        (.., Some(Split::Weights)) if !has_weights => {
            Some("has `split = \"weights\"` without `weights`; give each team its weight".to_owned())
        }
        (.., Some(Split::Weights)) if has_teams => {
            Some("has `teams` beside `weights`; the weights name them".to_owned())
        }
        (.., Some(Split::Even | Split::BySpend)) if has_weights => {
            Some("has `weights`, which only `split = \"weights\"` reads".to_owned())
        }
        _ => None,
    };
    if let Some(wrong) = wrong {
        document.at(table, &format!("`{name}` {wrong}"));
        return None;
    }
    let teams = teams.unwrap_or_default();
    match split {
        Some(Split::Even) => Some(Payers::Even(teams)),
        Some(Split::BySpend) => Some(Payers::BySpend(teams)),
        Some(Split::Weights) => weights.filter(|weights| !weights.is_empty()).map(Payers::Weights),
        None => center.map(Payers::CostCenter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn rules_are_read() {
        let text = "[[chargeback.shared]]\nname = 'staging'\nenvironment = 'staging'\nsplit = 'by_spend'\n\
                    [[chargeback.shared]]\nname = 'gateway'\nteam = 'platform'\nagent = 'router'\nsplit = 'weights'\n\
                    weights = { support = 2, research = 1 }\n\
                    [[chargeback.shared]]\nname = 'labs'\nteam = 'labs'\ncost_center = 'CC-900'\n";
        let shared = Config::parse("t.toml", text).unwrap().chargeback.shared;
        assert_eq!(shared[0].payers, Payers::BySpend(Vec::new()));
        let weights = [("support".to_owned(), 2), ("research".to_owned(), 1)].into();
        assert_eq!((shared[1].scope.len(), &shared[1].payers), (2, &Payers::Weights(weights)));
        assert_eq!(shared[2].payers, Payers::CostCenter("CC-900".into()));
    }

    #[test]
    fn mistakes_name_the_key_and_what_would_be_right() {
        for (text, expected) in [
            ("split = 'even'\nteam = 'a'", "`chargeback.shared[0].name` is missing"),
            (
                "name = 'x'\nsplit = 'even'",
                "`chargeback.shared[0]` says nothing of what is shared; give one or more of `team`",
            ),
            (
                "name = 'x'\nteam = 'a'",
                "`chargeback.shared[0]` does not say who pays; give `split` or `cost_center`",
            ),
            (
                "name = 'x'\nteam = 'a'\nsplit = 'evn'",
                "`chargeback.shared[0].split` is `evn`, not one of `even`, `by_spend`, `weights`",
            ),
            ("name = 'x'\nteam = 'a'\nsplit = 'even'\ncost_center = 'c'", "has `split` and `cost_center`"),
            ("name = 'x'\nteam = 'a'\nsplit = 'weights'", "without `weights`"),
            (
                "name = 'x'\nteam = 'a'\nsplit = 'weights'\nweights = { b = 0 }",
                "`chargeback.shared[0].weights` is `{ b = 0 }`, not a table",
            ),
            ("name = 'x'\nteam = 'a'\nsplit = 'even'\nweights = { b = 1 }", "has `weights`, which only"),
            (
                "name = 'x'\nteam = 'a'\nsplit = 'even'\nteems = []",
                "`chargeback.shared[0].teems` is not a key",
            ),
        ] {
            let error =
                Config::parse("t.toml", &format!("[[chargeback.shared]]\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let twice = "[[chargeback.shared]]\nname = 'x'\nteam = 'a'\nsplit = 'even'\n".repeat(2);
        assert!(Config::parse("t.toml", &twice).unwrap_err().to_string().contains("which another one has"));
    }
}

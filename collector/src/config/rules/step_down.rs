//! `[[step_down]]`: cheaper models for budgets that are nearly spent.

use std::collections::BTreeMap;

use tollgate_core::budget::Budget;
use tollgate_core::budget::rules::StepDown;

use super::{name, scope};
use crate::config::document::{Document, Section};
use crate::config::mistake::ConfigError;
use crate::model::nearest::or_rather;

pub(super) fn read<'t>(
    document: &mut Document<'t>,
    table: &mut Section<'t>,
    budgets: &[Budget],
) -> Option<StepDown> {
    let name = name(document, table);
    let scope = scope(document, table);
    let (budget_line, at_line) = (table.line_of("budget"), table.line_of("at"));
    let budget = document.text(table, "budget", "the name of one of `[[budgets]]`").unwrap_or_default();
    let known = || budgets.iter().map(|budget| budget.name.as_str());
    if !budget.is_empty() && !known().any(|known| known == budget) {
        let message = format!(
            "`{}.budget` is `{budget}`, not one of `[[budgets]]`: {}",
            table.name(),
            or_rather(&budget, known().collect::<Vec<_>>())
        );
        document.report(ConfigError { line: budget_line, message });
    }
    let at = document.needed(table, "at", "how much of the budget is used, such as `\"80%\"`");
    let percent = at.as_ref().and_then(|at| at.strip_suffix('%')?.trim_end().parse::<u64>().ok());
    let percent = percent.filter(|percent| (1..=1_000).contains(percent));
    if let (Some(at), None) = (&at, percent) {
        let message =
            format!("`{}.at` is `{at}`, not a percent from 1% to 1000%, such as `80%`", table.name());
        document.report(ConfigError { line: at_line, message });
    }
    let models = document.words(table, "models");
    document.must(table, "models");
    let shadow = document.flag(table, "shadow").unwrap_or_default();
    if document.is_asked() {
        return None;
    }
    if models.is_empty() {
        let text = format!(
            "`{}.models` names no model; give a table such as `{{ \"gpt-5\" = \"gpt-5-mini\" }}`",
            table.name()
        );
        document.at(table, &text);
    }
    if let Some(pattern) = models.iter().flat_map(|(from, to)| [from, to]).find(|name| name.contains('*')) {
        let text = format!(
            "`{}.models` has `{pattern}`; models stand there by their whole names, as calls name them",
            table.name()
        );
        document.at(table, &text);
    }
    if let Some(circle) = circle(&models) {
        let text = format!(
            "`{}.models` goes in a circle: {circle}; the last one must be the cheapest",
            table.name()
        );
        document.at(table, &text);
    }
    Some(StepDown { name: name?, scope: scope?, budget, percent: percent?, models, shadow })
        .filter(|rule| !rule.models.is_empty())
}

/// Models that are put in the place of each other.
fn circle(models: &BTreeMap<String, String>) -> Option<String> {
    models.keys().find_map(|first| {
        let (mut seen, mut at) = (vec![first.as_str()], first);
        while let Some(next) = models.get(at) {
            seen.push(next);
            if next == first {
                return Some(seen.join(" -> "));
            }
            if seen.len() > models.len() {
                return None;
            }
            at = next;
        }
        None
    })
}

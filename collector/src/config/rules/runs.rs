//! `[[run_limits]]`: what one run may do, with all that it starts.

use tollgate_core::budget::Amount;
use tollgate_core::budget::rules::RunLimit;

use super::{name, scope};
use crate::config::document::{Document, Section};

pub(super) fn read<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<RunLimit> {
    let name = name(document, table);
    let scope = scope(document, table);
    let limits_something = KEYS.iter().any(|key| table.has(key));
    let max_cost = document.dollars(table, "max_run_usd").map(|dollars| Amount(dollars.as_pico()));
    let max_calls = document.count(table, "max_run_calls");
    let max_depth = document.count(table, "max_depth");
    let max_repeats = document.count(table, "max_repeats");
    let shadow = document.flag(table, "shadow").unwrap_or_default();
    if !limits_something && !document.is_asked() {
        let text = format!("`{}` limits nothing; give one or more of `{}`", table.name(), KEYS.join("`, `"));
        document.at(table, &text);
        return None;
    }
    Some(RunLimit { name: name?, scope: scope?, max_cost, max_calls, max_depth, max_repeats, shadow })
}

const KEYS: [&str; 4] = ["max_run_usd", "max_run_calls", "max_depth", "max_repeats"];

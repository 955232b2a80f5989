//! What is said where nothing was found: what was looked for, and what there is.

use std::cmp::Reverse;

use super::question::Question;
use crate::api::error::ApiError;
use crate::api::hours::instant;
use crate::api::months::of_months;
use crate::model::dimension::Dimension;
use crate::model::nearest::{listed, nearest};
use crate::store::{Every, Filters, Store, SummaryQuery};

/// Why an answer has no rows.
///
/// # Errors
/// When the store fails.
pub(in crate::api) async fn nothing(store: &Store, question: &Question) -> Result<String, ApiError> {
    let (from, to) = (instant(question.from_hour), instant(question.to_hour));
    let what = if question.is_estimated { "no calls of estimated cost" } else { "no calls" };
    let wanted = wanted(&question.filters);
    let with = if wanted.is_empty() { String::new() } else { format!(" {wanted}") };
    let mut said = vec![format!("{what} from {from} to {to}{with}")];
    let mut is_anything_known = question.is_estimated || wanted.is_empty();
    for (dimension, values) in question.filters.accepted() {
        let known = names(store, question, *dimension).await?;
        if known.is_empty() {
            break;
        }
        is_anything_known = true;
        said.push(of_names(*dimension, values, &known));
    }
    if wanted.is_empty() && !question.is_estimated || !is_anything_known {
        said.push(of_months(&store.months_seen(question.zone.clone()).await?));
    }
    Ok(said.join("; "))
}

/// The filters in words.
fn wanted(filters: &Filters) -> String {
    let mut words = Vec::new();
    for (dimension, values) in filters.accepted() {
        let values: Vec<String> = values.iter().map(|value| format!("`{}`", shortened(value))).collect();
        words.push(format!("with {} {}", dimension.name(), values.join(" or ")));
    }
    for (dimension, values) in filters.refused() {
        let values: Vec<String> = values.iter().map(|value| format!("`{}`", shortened(value))).collect();
        words.push(format!("without {} {}", dimension.name(), values.join(" and ")));
    }
    if filters.is_unattributed() {
        words.push("without agent or team".to_owned());
    }
    words.join(", ")
}

/// A name that somebody asks for, as it is repeated: no longer than names can be.
fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME_SHOWN_MAX) {
        Some((at, _)) => format!("{}…", name.get(..at).unwrap_or_default()),
        None => name.to_owned(),
    }
}

/// The values of a dimension that calls of this time have, those with most calls first.
async fn names(store: &Store, question: &Question, by: Dimension) -> Result<Vec<String>, ApiError> {
    let filters = Filters::default();
    let query = SummaryQuery { by: vec![by], every: Every::Period, filters, ..question.query() };
    let mut rows = store.summary(query).await?.rows;
    rows.sort_by_key(|row| Reverse(row.totals.calls.saturating_add(row.totals.denied)));
    Ok(rows.into_iter().filter_map(|row| row.values.into_iter().next().flatten()).collect())
}

fn of_names(dimension: Dimension, wanted: &[String], known: &[String]) -> String {
    let name = dimension.name();
    let shown = listed(known.iter().take(NAMES_SHOWN).map(String::as_str));
    let more = match known.len().saturating_sub(NAMES_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let missing = wanted.iter().filter(|value| !known.contains(value));
    let meant: Vec<&str> =
        missing.filter_map(|value| nearest(value, known.iter().map(String::as_str))).collect();
    let meant = if meant.is_empty() { String::new() } else { format!(" (did you mean {}?)", listed(meant)) };
    format!("values of {name} with calls then: {shown}{more}{meant}")
}

/// Names that are listed in a sentence.
const NAMES_SHOWN: usize = 12;
/// Characters of a name that is repeated.
const NAME_SHOWN_MAX: usize = 128;

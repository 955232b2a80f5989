//! The order of rows: by time, then as asked, then the largest cost first.

use std::cmp::{Ordering, Reverse};
use std::collections::{HashMap, HashSet};

use tollgate_core::money::Picodollars;

use super::question::{Question, SortBy};
use super::rows::{Made, Values, add, numbers};
use crate::api::error::ApiError;
use crate::model::answers::summary::{Keys, SummaryRow};
use crate::store::{Aside, Totals};

/// Compares two rows.
pub(super) fn compare(question: &Question, one: &Made, other: &Made) -> Ordering {
    by_time(question, one, other)
        .then_with(|| as_asked(question, one, other))
        .then_with(|| one.hour.cmp(&other.hour))
        .then_with(|| largest(one).cmp(&largest(other)))
        .then_with(|| one.values.cmp(&other.values))
}

/// Time comes first, unless there is nothing else in `by` and another order is asked for.
fn by_time(question: &Question, one: &Made, other: &Made) -> Ordering {
    match question.sort {
        Some(sort) if matches!(sort.by, SortBy::Key(by) if by.unit().is_some()) => {
            turned(one.hour.cmp(&other.hour), sort.is_down)
        }
        Some(_) if question.dimensions().is_empty() => Ordering::Equal,
        _ => one.hour.cmp(&other.hour),
    }
}

fn as_asked(question: &Question, one: &Made, other: &Made) -> Ordering {
    let Some(sort) = question.sort else { return Ordering::Equal };
    let order = match sort.by {
        SortBy::Key(by) => one.row.keys.value(by).cmp(&other.row.keys.value(by)),
        SortBy::Metric(metric) => metric.rank(&one.row).cmp(&metric.rank(&other.row)),
    };
    turned(order, sort.is_down)
}

const fn turned(order: Ordering, is_down: bool) -> Ordering {
    if is_down { order.reverse() } else { order }
}

fn largest(made: &Made) -> (Reverse<Picodollars>, Reverse<u64>) {
    (Reverse(made.totals.cost), Reverse(made.totals.calls.saturating_add(made.totals.denied)))
}

/// The groups that come first over the whole time.
///
/// # Errors
/// When a sum is out of range.
pub(super) fn first_groups(
    question: &Question,
    rows: &[Made],
    top: usize,
    total: Picodollars,
) -> Result<HashSet<Values>, ApiError> {
    let mut sums: HashMap<&Values, (Totals, Option<Aside>, &Keys)> = HashMap::new();
    for made in rows {
        let nothing = || (Totals::default(), Some(Aside::default()), &made.row.keys);
        let (sum, aside, _) = sums.entry(&made.values).or_insert_with(nothing);
        add(sum, &made.totals)?;
        let both = aside.as_mut().zip(made.aside.as_ref());
        if both.is_none_or(|(sum, more)| sum.add(more).is_err()) {
            *aside = None;
        }
    }
    let whole = |(values, (totals, aside, keys)): (&Values, (Totals, Option<Aside>, &Keys))| {
        let row = SummaryRow { keys: keys.clone(), numbers: numbers(&totals), ..SummaryRow::default() };
        let mut made = Made { hour: None, values: values.clone(), totals, aside, row };
        made.derive(total);
        made
    };
    let mut groups: Vec<Made> = sums.into_iter().map(whole).collect();
    groups.sort_by(|one, other| compare(question, one, other));
    Ok(groups.into_iter().take(top).map(|made| made.values).collect())
}

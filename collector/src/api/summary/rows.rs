//! Rows of a summary: what the store found, as it is answered.

use std::collections::{HashMap, HashSet};

use tollgate_core::money::Picodollars;

use super::order;
use super::previous::Previous;
use super::question::Question;
use super::trend::Trend;
use crate::api::error::ApiError;
use crate::api::hours::{hour_of, instant};
use crate::model::answers::summary::derived::Derived;
use crate::model::answers::summary::{By, Keys, Numbers, SummaryRow, SummaryTotal};
use crate::store::{Aside, Asides, StoreError, Summary, Totals};

/// Values of the dimensions asked for.
pub(super) type Values = Vec<Option<String>>;

/// Rows while they are made.
pub(super) struct Rows {
    pub(super) rows: Vec<Made>,
    /// Their sum.
    pub(super) total: Totals,
}

/// A row while it is made.
pub(super) struct Made {
    /// Where its time begins; none where times are not told apart.
    pub(super) hour: Option<i64>,
    pub(super) values: Values,
    pub(super) totals: Totals,
    /// What retries cost and cheaper models saved, where that is asked for.
    pub(super) aside: Option<Aside>,
    pub(super) row: SummaryRow,
}

impl Rows {
    pub(super) fn of(question: &Question, summary: Summary, mut asides: Option<Asides>) -> Self {
        let mut time = Time::of(question, None);
        let made = |one: crate::store::SummaryRow| {
            // Rows come by time, and many are of the same.
            if time.hour != one.hour {
                time = Time::of(question, one.hour);
            }
            let row = SummaryRow {
                numbers: numbers(&one.totals),
                partial: time.is_cut,
                keys: time.keys(question, &one.values),
                ..SummaryRow::default()
            };
            let mut made = Made { hour: one.hour, values: one.values, totals: one.totals, aside: None, row };
            if let Some(asides) = &mut asides {
                let key = (made.hour, std::mem::take(&mut made.values));
                made.aside = Some(asides.remove(&key).unwrap_or_default());
                made.values = key.1;
            }
            made
        };
        let rows = summary.rows.into_iter().map(made).collect();
        let rows = if question.cuts_weeks() { merged(rows) } else { rows };
        Self { rows, total: summary.total }
    }

    /// Leaves only rows of which something is estimated.
    pub(super) fn only_estimated(&mut self) -> Result<(), ApiError> {
        let is_estimated =
            |totals: &Totals| totals.estimated_calls > 0 || totals.estimated_cost != Picodollars::ZERO;
        self.rows.retain(|made| is_estimated(&made.totals));
        self.total = Totals::default();
        for made in &self.rows {
            add(&mut self.total, &made.totals)?;
        }
        Ok(())
    }

    /// Says of each row what it cost in the period before.
    pub(super) fn compare(&mut self, question: &Question, previous: &Previous) {
        let own: HashMap<(i64, &Values), Picodollars> = self
            .rows
            .iter()
            .filter_map(|made| Some(((made.hour?, &made.values), made.totals.cost)))
            .collect();
        // Where the time before each one begins, if all of that is known.
        let mut earlier: HashMap<i64, Option<i64>> = HashMap::new();
        for hour in self.rows.iter().filter_map(|made| made.hour) {
            earlier.entry(hour).or_insert_with(|| {
                let is_whole = |before: &i64| previous.is_of(*before) || !is_cut(question, *before);
                previous.before(hour).filter(is_whole)
            });
        }
        let before: Vec<Option<Picodollars>> = self
            .rows
            .iter()
            .map(|made| match made.hour {
                None => Some(previous.cost(None, &made.values)),
                Some(_) if made.row.partial => None,
                Some(hour) => {
                    let earlier = earlier.get(&hour).copied().flatten()?;
                    let own = own.get(&(earlier, &made.values)).copied();
                    Some(own.unwrap_or_else(|| previous.cost(Some(earlier), &made.values)))
                }
            })
            .collect();
        for (made, before) in self.rows.iter_mut().zip(before) {
            made.row.derived.previous_cost_usd = before;
        }
    }

    /// Makes shares, averages and changes.
    pub(super) fn derive(&mut self, total: Picodollars) {
        for made in &mut self.rows {
            made.derive(total);
        }
    }

    pub(super) fn sort(&mut self, question: &Question) {
        self.rows.sort_by(|one, other| order::compare(question, one, other));
    }

    /// Leaves the first rows, and one for the others at each time; a single other one stays itself. With a
    /// time and something else in `by` the first are those of the whole time.
    pub(super) fn keep_top(
        &mut self,
        question: &Question,
        top: u64,
        total: Picodollars,
    ) -> Result<(), ApiError> {
        let top = usize::try_from(top).unwrap_or(usize::MAX);
        let is_over_time = !question.dimensions().is_empty() && question.units().next().is_some();
        if !is_over_time {
            if self.rows.len() > top.saturating_add(1) {
                let rest = self.rows.split_off(top);
                self.rows.push(others(question, None, rest, total)?);
            }
            return Ok(());
        }
        let groups: HashSet<&Values> = self.rows.iter().map(|made| &made.values).collect();
        if groups.len() <= top.saturating_add(1) {
            return Ok(());
        }
        let kept = order::first_groups(question, &self.rows, top, total)?;
        let mut rows = Vec::new();
        let mut rest: Vec<Made> = Vec::new();
        let close = |rows: &mut Vec<Made>, rest: &mut Vec<Made>| -> Result<(), ApiError> {
            if let Some(hour) = rest.first().map(|made| made.hour) {
                rows.push(others(question, hour, std::mem::take(rest), total)?);
            }
            Ok(())
        };
        let mut hour = None;
        for made in std::mem::take(&mut self.rows) {
            if hour != Some(made.hour) {
                close(&mut rows, &mut rest)?;
                hour = Some(made.hour);
            }
            if kept.contains(&made.values) { rows.push(made) } else { rest.push(made) }
        }
        close(&mut rows, &mut rest)?;
        self.rows = rows;
        Ok(())
    }

    /// Says of each row what it cost in each part of the time.
    pub(super) fn draw(&mut self, trend: &Trend) {
        let shown: HashSet<&Values> =
            self.rows.iter().filter(|made| made.row.others.is_none()).map(|made| &made.values).collect();
        let lines: Vec<Vec<Picodollars>> = self
            .rows
            .iter()
            .map(|made| match made.row.others {
                None => trend.of(&made.values),
                Some(_) => trend.of_others(&shown),
            })
            .collect();
        for (made, line) in self.rows.iter_mut().zip(lines) {
            made.row.trend = Some(line);
        }
    }

    pub(super) fn total_row(&self, total: &Totals, previous: Option<&Previous>) -> SummaryTotal {
        let numbers = numbers(total);
        let before = previous.and_then(Previous::total);
        let mut derived = Derived::of(&numbers, total.cost, before);
        put_aside(&mut derived, sum_of(&self.rows).as_ref());
        SummaryTotal { derived, numbers }
    }

    pub(super) fn into_rows(self) -> Vec<SummaryRow> {
        self.rows.into_iter().map(|made| made.row).collect()
    }
}

impl Made {
    pub(super) fn derive(&mut self, total: Picodollars) {
        let before = self.row.derived.previous_cost_usd;
        self.row.derived = Derived::of(&self.row.numbers, total, before);
        put_aside(&mut self.row.derived, self.aside.as_ref());
    }
}

fn put_aside(derived: &mut Derived, aside: Option<&Aside>) {
    derived.retried = aside.map(|aside| aside.retried.calls);
    derived.retried_usd = aside.map(|aside| aside.retried.cost);
    derived.saved_usd = aside.and_then(Aside::saved_usd);
}

/// What rows have beside their sums; none where it is not known of each.
fn sum_of(rows: &[Made]) -> Option<Aside> {
    let mut sum = Aside::default();
    for made in rows {
        sum.add(made.aside.as_ref()?).ok()?;
    }
    (!rows.is_empty()).then_some(sum)
}

/// The sum of rows that are not shown one by one.
fn others(
    question: &Question,
    hour: Option<i64>,
    rest: Vec<Made>,
    total: Picodollars,
) -> Result<Made, ApiError> {
    let mut totals = Totals::default();
    let mut before = Some(Picodollars::ZERO);
    for made in &rest {
        add(&mut totals, &made.totals)?;
        before = before.zip(made.row.derived.previous_cost_usd).map(|(sum, more)| plus(sum, more));
    }
    let nobody: Values = question.dimensions().iter().map(|_| None).collect();
    let time = Time::of(question, hour);
    let mut row = SummaryRow {
        keys: time.keys(question, &nobody),
        numbers: numbers(&totals),
        partial: time.is_cut,
        others: Some(rest.len() as u64),
        ..SummaryRow::default()
    };
    row.derived.previous_cost_usd = before.filter(|_| question.is_compared);
    let mut made = Made { hour, values: nobody, totals, aside: sum_of(&rest), row };
    made.derive(total);
    Ok(made)
}

/// Rows whose keys are alike are one: of weeks that are cut by months the store has days.
fn merged(rows: Vec<Made>) -> Vec<Made> {
    let mut places: HashMap<Vec<Option<String>>, usize> = HashMap::new();
    let mut all: Vec<Made> = Vec::with_capacity(rows.len());
    for made in rows {
        let key: Vec<Option<String>> = made.row.keys.0.iter().map(|(_, value)| value.clone()).collect();
        let Some(first) = places.get(&key).and_then(|at| all.get_mut(*at)) else {
            places.insert(key, all.len());
            all.push(made);
            continue;
        };
        // The store has summed all of them before, so no sum is out of range.
        if first.totals.add(&made.totals).is_ok() {
            first.row.numbers = numbers(&first.totals);
            first.hour = first.hour.min(made.hour);
            let both = first.aside.as_mut().zip(made.aside.as_ref());
            if both.is_none_or(|(sum, more)| sum.add(more).is_err()) {
                first.aside = None;
            }
        }
    }
    all
}

/// An hour, day, week or month of rows.
struct Time {
    hour: Option<i64>,
    /// How it is written, for each unit of `by`.
    labels: Vec<String>,
    is_cut: bool,
}

impl Time {
    fn of(question: &Question, hour: Option<i64>) -> Self {
        let label = |hour| question.units().map(|unit| unit.label(instant(hour), &question.zone)).collect();
        Self {
            hour,
            labels: hour.map(label).unwrap_or_default(),
            is_cut: hour.is_some_and(|hour| is_cut(question, hour)),
        }
    }

    fn keys(&self, question: &Question, values: &Values) -> Keys {
        let (mut values, mut labels) = (values.iter(), self.labels.iter());
        let key = |by: &By| match by.unit() {
            None => (*by, values.next().cloned().flatten()),
            Some(_) => (*by, labels.next().cloned()),
        };
        Keys(question.by.iter().map(key).collect())
    }
}

/// Whether the question or the present cuts the hour, day, week or month that begins in this hour.
fn is_cut(question: &Question, hour: i64) -> bool {
    let end = instant(question.to_hour).min(question.now);
    question.span(hour).is_none_or(|(from, to)| {
        // Of a zone that is off by a part of an hour, what belongs to an hour is all there is of it.
        hour_of(from, true) < question.from_hour || hour_of(to, true) > hour_of(end, false)
    })
}

/// Adds totals.
///
/// # Errors
/// When a sum is out of range.
pub(super) fn add(sum: &mut Totals, more: &Totals) -> Result<(), ApiError> {
    Ok(sum.add(more).map_err(StoreError::from)?)
}

/// The sum, at the end of its range where it is beyond.
pub(super) fn plus(one: Picodollars, other: Picodollars) -> Picodollars {
    Picodollars::from_pico(one.as_pico().saturating_add(other.as_pico()))
}

/// The numbers that are answered of totals.
pub(super) fn numbers(totals: &Totals) -> Numbers {
    Numbers {
        calls: totals.calls,
        denied: totals.denied,
        errors: totals.errors,
        unpriced: totals.unpriced_calls,
        input_tokens: totals.input_tokens,
        cache_read_tokens: totals.cache_read_tokens,
        cache_write_tokens: totals.cache_write_tokens,
        output_tokens: totals.output_tokens,
        reasoning_tokens: totals.reasoning_tokens,
        cost_usd: totals.cost,
        estimated_cost_usd: totals.estimated_cost,
        estimated_calls: totals.estimated_calls,
    }
}

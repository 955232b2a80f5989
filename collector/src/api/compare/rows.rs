//! Rows of a comparison: grouped, split, told in words, and put in order.

use std::collections::HashMap;

use super::question::{PRICED_BY, Question};
use crate::api::error::ApiError;
use crate::model::answers::compare::{ComparisonRow, Difference, Status};
use crate::model::answers::summary::{By, Keys};
use crate::model::compare::{Pair, drivers, split, words};
use crate::model::decimal::Decimal;
use crate::model::dimension::Dimension;
use crate::store::{Compared, StoreError, Sums, SumsError};

/// Values of some dimensions.
type Values = Vec<Option<String>>;

/// Rows and how many of a hundred dollars that moved are theirs.
pub(super) type Shown = (Vec<ComparisonRow>, Option<Decimal>);

/// Rows, the largest change first.
pub(super) struct Rows(Vec<ComparisonRow>);

impl Rows {
    pub(super) fn of(
        question: &Question,
        by: &[Dimension],
        compared: Vec<Compared>,
    ) -> Result<Self, ApiError> {
        let dimensions = question.dimensions();
        let mut groups: HashMap<Values, HashMap<Values, Pair>> = HashMap::new();
        for one in compared {
            let key = picked(&dimensions, by, &one.values);
            let priced = picked(&dimensions, &PRICED_BY, &one.values);
            let name = priced.iter().flatten().cloned().collect::<Vec<_>>().join(" ");
            let pair = groups.entry(key).or_default().entry(priced).or_default();
            pair.name = name;
            pair.before.add(&one.before).map_err(StoreError::from)?;
            pair.after.add(&one.after).map_err(StoreError::from)?;
        }
        let mut rows = Vec::with_capacity(groups.len());
        for (values, pairs) in groups {
            let mut pairs: Vec<Pair> = pairs.into_values().collect();
            pairs.sort_by(|one, other| one.name.cmp(&other.name));
            let keys = by.iter().map(|one| By::Dimension(*one)).zip(values).collect();
            rows.push(row(Keys(keys), &pairs)?);
        }
        rows.sort_by(|one, other| {
            size(other).cmp(&size(one)).then_with(|| values(&one.keys).cmp(&values(&other.keys)))
        });
        Ok(Self(rows))
    }

    /// All of them.
    pub(super) fn all(self) -> Result<Shown, ApiError> {
        let most = u64::try_from(self.0.len()).unwrap_or(u64::MAX);
        self.first(most, &[])
    }

    /// The fewest that explain most of the change, and one for the others.
    pub(super) fn enough(self, by: &[Dimension]) -> Result<Shown, ApiError> {
        let changes = self.0.iter().map(|row| row.difference.change_usd.as_pico());
        let many = drivers::enough(changes).unwrap_or(0).min(DRIVERS_MAX);
        self.first(u64::try_from(many).unwrap_or(u64::MAX), by)
    }

    /// The first rows, and one for the others.
    pub(super) fn first(mut self, top: u64, by: &[Dimension]) -> Result<Shown, ApiError> {
        let top = usize::try_from(top).unwrap_or(usize::MAX);
        // A single other one stays itself.
        let is_cut = self.0.len() > top.saturating_add(1);
        let rest = if is_cut { self.0.split_off(top) } else { Vec::new() };
        let moved =
            |rows: &[ComparisonRow]| rows.iter().fold(0_u128, |sum, row| sum.saturating_add(size(row)));
        let narrow = |amount: u128| i128::try_from(amount).unwrap_or(i128::MAX);
        let shown = moved(&self.0);
        let explained = Decimal::percent(narrow(shown), narrow(shown.saturating_add(moved(&rest))));
        if !rest.is_empty() {
            self.0.push(ComparisonRow {
                keys: Keys(by.iter().map(|one| (By::Dimension(*one), None)).collect()),
                difference: total(&rest)?,
                others: Some(u64::try_from(rest.len()).unwrap_or(u64::MAX)),
                ..ComparisonRow::default()
            });
        }
        Ok((self.0, explained))
    }
}

/// The sum of rows.
///
/// # Errors
/// When it is out of range.
pub(super) fn total(rows: &[ComparisonRow]) -> Result<Difference, ApiError> {
    let mut sum = Difference::default();
    for row in rows {
        sum.add(&row.difference).ok_or_else(out_of_range)?;
    }
    Ok(sum)
}

/// The names that rows are best told apart by, where nobody said.
pub(super) fn drivers(question: &Question, compared: &[Compared]) -> Vec<Dimension> {
    let dimensions = question.dimensions();
    let mut best: Option<(i128, Vec<Dimension>)> = None;
    for by in drivers::candidates() {
        let mut costs: HashMap<Vec<Option<&str>>, (i128, i128)> = HashMap::new();
        let places = places(&dimensions, &by);
        for one in compared {
            let key = places.iter().map(|at| one.values.get(*at)?.as_deref()).collect();
            let (before, after) = costs.entry(key).or_default();
            *before = before.saturating_add(one.before.totals.cost.as_pico());
            *after = after.saturating_add(one.after.totals.cost.as_pico());
        }
        let costs: Vec<(i128, i128)> = costs.into_values().collect();
        let Some(merit) = drivers::merit(&costs, by.len()) else { continue };
        if best.as_ref().is_none_or(|(known, _)| merit > *known) {
            best = Some((merit, by));
        }
    }
    best.map_or_else(|| vec![Dimension::Agent], |(_, by)| by)
}

fn row(keys: Keys, pairs: &[Pair]) -> Result<ComparisonRow, ApiError> {
    let (mut before, mut after) = (Sums::default(), Sums::default());
    for pair in pairs {
        before.add(&pair.before).map_err(StoreError::from)?;
        after.add(&pair.after).map_err(StoreError::from)?;
    }
    let (before, after) = (before.totals, after.totals);
    let change = after.cost.as_pico().checked_sub(before.cost.as_pico()).ok_or_else(out_of_range)?;
    let difference = Difference {
        before_usd: before.cost,
        after_usd: after.cost,
        change_usd: tollgate_core::money::Picodollars::from_pico(change),
        change_percent: Decimal::change(after.cost, before.cost),
        calls_before: before.calls,
        calls_after: after.calls,
        input_tokens_before: before.input_tokens,
        input_tokens_after: after.input_tokens,
        cache_read_tokens_before: before.cache_read_tokens,
        cache_read_tokens_after: after.cache_read_tokens,
        output_tokens_before: before.output_tokens,
        output_tokens_after: after.output_tokens,
        parts: split::split(pairs).map_err(StoreError::from)?,
    };
    let status = match (before.calls, after.calls) {
        (0, 1..) => Some(Status::New),
        (1.., 0) => Some(Status::Gone),
        _ => None,
    };
    let said = words::said(&difference, status, pairs);
    Ok(ComparisonRow { keys, difference, status, said, others: None })
}

/// The values of some dimensions.
fn picked(of: &[Dimension], by: &[Dimension], values: &[Option<String>]) -> Values {
    places(of, by).into_iter().map(|at| values.get(at).cloned().flatten()).collect()
}

/// Where dimensions stand among others.
fn places(of: &[Dimension], by: &[Dimension]) -> Vec<usize> {
    by.iter().map(|one| of.iter().position(|known| known == one).unwrap_or(usize::MAX)).collect()
}

fn size(row: &ComparisonRow) -> u128 {
    row.difference.change_usd.as_pico().unsigned_abs()
}

fn values(keys: &Keys) -> Vec<Option<&str>> {
    keys.0.iter().map(|(_, value)| value.as_deref()).collect()
}

fn out_of_range() -> ApiError {
    StoreError::from(SumsError::OutOfRange).into()
}

/// Most rows that are named unasked.
const DRIVERS_MAX: usize = 12;

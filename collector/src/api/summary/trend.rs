//! What rows cost in each part of the time, for sparklines.

use std::collections::{BTreeMap, HashMap, HashSet};

use tollgate_core::money::Picodollars;

use super::question::{Question, every};
use super::rows::{Values, plus};
use crate::api::error::ApiError;
use crate::api::hours::{hour_of, instant};
use crate::model::unit::Unit;
use crate::store::{Store, StoreError, SummaryQuery};

/// Costs by part of the time.
pub(super) struct Trend {
    pub(super) unit: Unit,
    /// The place of each part, by the hour that it begins in.
    parts: BTreeMap<i64, usize>,
    costs: HashMap<Values, Vec<(i64, Picodollars)>>,
}

impl Trend {
    /// What this cost, part by part.
    pub(super) fn of(&self, values: &Values) -> Vec<Picodollars> {
        let mut line = self.nothing();
        self.add(&mut line, values);
        line
    }

    /// What all but these cost.
    pub(super) fn of_others(&self, shown: &HashSet<&Values>) -> Vec<Picodollars> {
        let mut line = self.nothing();
        self.costs
            .keys()
            .filter(|values| !shown.contains(values))
            .for_each(|values| self.add(&mut line, values));
        line
    }

    fn nothing(&self) -> Vec<Picodollars> {
        vec![Picodollars::ZERO; self.parts.len()]
    }

    fn add(&self, line: &mut [Picodollars], values: &Values) {
        for (hour, cost) in self.costs.get(values).into_iter().flatten() {
            if let Some(sum) = self.parts.get(hour).and_then(|at| line.get_mut(*at)) {
                *sum = plus(*sum, *cost);
            }
        }
    }
}

/// Asks for it, where it is asked for; none where it would be too long.
///
/// # Errors
/// When the store fails.
pub(super) async fn ask(store: &Store, question: &Question) -> Result<Option<Trend>, ApiError> {
    // With a time in `by` the rows are the trend.
    if !question.has_trend || question.units().next().is_some() {
        return Ok(None);
    }
    let hours = question.to_hour.saturating_sub(question.from_hour);
    let unit = UNITS.into_iter().find(|(_, most)| hours <= *most).map_or(Unit::Month, |(unit, _)| unit);
    let Some(parts) = parts(question, unit) else { return Ok(None) };
    let query = SummaryQuery { every: every(unit), ..question.query() };
    let summary = match store.summary(query).await {
        Ok(summary) => summary,
        Err(StoreError::TooManyRows { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut costs: HashMap<Values, Vec<(i64, Picodollars)>> = HashMap::new();
    for row in summary.rows {
        if let Some(hour) = row.hour {
            costs.entry(row.values).or_default().push((hour, row.totals.cost));
        }
    }
    Ok(Some(Trend { unit, parts, costs }))
}

/// Where the parts begin, in hours; none where they are too many. What is not yet is no part.
fn parts(question: &Question, unit: Unit) -> Option<BTreeMap<i64, usize>> {
    let mut parts = BTreeMap::new();
    let mut time = instant(question.from_hour);
    let end = instant(question.to_hour).min(question.now);
    while time < end {
        let (start, next) = unit.span(time, &question.zone)?;
        parts.insert(hour_of(start, true), parts.len());
        if parts.len() > PARTS_MAX {
            return None;
        }
        time = next;
    }
    Some(parts)
}

/// Units, and up to how many hours they are taken for.
const UNITS: [(Unit, i64); 3] = [(Unit::Hour, 48), (Unit::Day, 62 * 24), (Unit::Week, 400 * 24)];
/// Most parts of the time.
const PARTS_MAX: usize = 400;

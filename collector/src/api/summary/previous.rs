//! The period before: what a summary is compared with.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Unit as Of};
use tollgate_core::money::Picodollars;

use super::question::Question;
use super::rows::{Values, plus};
use crate::api::error::ApiError;
use crate::api::hours::{first_hour, hour_of, instant, is_midnight};
use crate::model::answers::summary::PreviousPeriod;
use crate::model::unit::{Unit, start_of};
use crate::store::{Store, SummaryQuery};

/// What was spent in the period before.
pub(super) struct Previous {
    pub(super) period: PreviousPeriod,
    from_hour: i64,
    /// By where its time begins, none where times are not told apart, and the dimensions' values.
    costs: HashMap<(Option<i64>, Values), Picodollars>,
    /// What each row is compared with the one before of, where times are told apart.
    unit: Option<(Unit, TimeZone)>,
}

impl Previous {
    pub(super) fn cost(&self, hour: Option<i64>, values: &Values) -> Picodollars {
        self.costs.get(&(hour, values.clone())).copied().unwrap_or(Picodollars::ZERO)
    }

    /// Where the hour, day, week or month before the one that begins in this hour begins.
    pub(super) fn before(&self, hour: i64) -> Option<i64> {
        let (unit, zone) = self.unit.as_ref()?;
        let start = unit.span(instant(hour), zone)?.0;
        let last = start.checked_sub(1.millisecond()).ok()?;
        Some(hour_of(unit.span(last, zone)?.0, true))
    }

    /// Whether this is where it begins.
    pub(super) const fn is_of(&self, hour: i64) -> bool {
        self.from_hour == hour
    }

    /// All of it; none where every row is compared with the time before its own.
    pub(super) fn total(&self) -> Option<Picodollars> {
        let sum = || self.costs.values().fold(Picodollars::ZERO, |sum, cost| plus(sum, *cost));
        self.unit.is_none().then(sum)
    }
}

/// Asks for it, where it is asked for.
///
/// # Errors
/// For a question that has no period before, and when the store fails.
pub(super) async fn ask(store: &Store, question: &Question) -> Result<Option<Previous>, ApiError> {
    if !question.is_compared {
        return Ok(None);
    }
    let unit = question.units().min();
    if question.cuts_weeks() {
        return Err(ApiError::parameter(
            "`compare` goes with `week` or with `month` in `by`, not with both: they cut each other",
        ));
    }
    let too_early = || ApiError::parameter("there is no period before this one in the calendar");
    let (from, to) = match unit {
        None => period((question.asked_from, question.asked_to), question.now, &question.zone),
        Some(unit) => before_first(question, unit),
    }
    .ok_or_else(too_early)?;
    // No hour is in both.
    let from_hour = if unit.is_some() { hour_of(from, true) } else { first_hour(from, &question.zone) };
    let to_hour = hour_of(to, true).min(question.from_hour);
    let query = SummaryQuery { from_hour, to_hour, ..question.query() };
    let summary = store.summary(query).await?;
    let costs = summary.rows.into_iter().map(|row| ((row.hour, row.values), row.totals.cost)).collect();
    let period = PreviousPeriod { from: instant(from_hour).to_string(), to: instant(to_hour).to_string() };
    Ok(Some(Previous { period, from_hour, costs, unit: unit.map(|unit| (unit, question.zone.clone())) }))
}

/// The hour, day, week or month before the first one of the answer.
fn before_first(question: &Question, unit: Unit) -> Option<(Timestamp, Timestamp)> {
    let first = unit.span(instant(question.from_hour), &question.zone)?.0;
    unit.span(first.checked_sub(1.millisecond()).ok()?, &question.zone)
}

/// As long a period before: calendar months before calendar months, days before days, else so many hours.
/// Of one that is not over, as much as has passed.
pub(in crate::api) fn period(
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
    zone: &TimeZone,
) -> Option<(Timestamp, Timestamp)> {
    let day = |time: Timestamp| time.to_zoned_datetime(zone.clone()).date();
    let is_whole = is_midnight(from, zone) && is_midnight(to, zone);
    let start = match is_whole {
        true => before_days(day(from), day(to), zone)?,
        false => from.checked_sub(from.duration_until(to)).ok()?,
    };
    let passed = from.duration_until(to.min(now).max(from));
    let is_over = to <= now;
    let until = if is_over { from } else { start.checked_add(passed).ok()?.min(from) };
    (start < until).then_some((start, until))
}

/// Where as many days, or whole months, before these begin.
fn before_days(first: Date, end: Date, zone: &TimeZone) -> Option<Timestamp> {
    let before = if first.day() == 1 && end.day() == 1 {
        let months = first.until((Of::Month, end)).ok()?.get_months();
        first.checked_sub(months.months())
    } else {
        first.checked_sub(first.until((Of::Day, end)).ok()?)
    };
    start_of(before.ok()?, zone)
}

//! `GET /api/v1/summary`: who spent what, from the rollups.
//!
//! Rollups know hours, so the answer's `from` and `to` are what was asked for, rounded outward to the hour.
//! Where a time zone is off UTC by a part of an hour, an hour belongs to the day that it begins in.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tollgate_core::money::Picodollars;

use super::error::ApiError;
use super::params::{Params, listed};
use super::period::Period;
use crate::model::answers::summary::{By, Keys, Numbers, SummaryAnswer, SummaryRow};
use crate::model::clock::{MS_PER_HOUR, now};
use crate::model::dimension::Dimension;
use crate::store::{Every, Summary, SummaryQuery, SummaryRow as Stored, Totals};
use crate::work::app::App;

/// Answers a summary.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn summary(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let question = Question::read(params, now())?;
    let summary = app.store.summary(question.query()).await?;
    Ok(Json(question.answer(summary)).into_response())
}

/// A summary that is asked for.
#[derive(Clone, Debug)]
struct Question {
    by: Vec<By>,
    from_hour: i64,
    to_hour: i64,
    zone: TimeZone,
    filters: crate::store::Filters,
}

impl Question {
    fn read(mut params: Params, now: Timestamp) -> Result<Self, ApiError> {
        let mut period = Period::read(&mut params, now)?;
        let by = params.one("by")?.unwrap_or_default();
        let by = by.split(',').filter(|name| !name.is_empty()).map(parse).collect::<Result<Vec<_>, _>>()?;
        if let Some(twice) = (1..by.len()).find_map(|at| {
            let (before, rest) = by.split_at_checked(at)?;
            rest.first().filter(|one| before.contains(one))
        }) {
            return Err(ApiError::parameter(format!("`by` has `{}` twice", twice.name())));
        }
        let filters = params.filters();
        params.finish()?;

        let to = period.to.unwrap_or(now);
        let from = match period.from.take() {
            Some(from) => from,
            None => to.checked_sub(SINCE).map_err(|_| ApiError::parameter("`to` is too early"))?,
        };
        if from >= to {
            return Err(ApiError::parameter(format!("`from` {from} is not before {to}")));
        }
        Ok(Self {
            by,
            from_hour: from.as_millisecond().div_euclid(MS_PER_HOUR),
            to_hour: to.as_millisecond().saturating_add(MS_PER_HOUR - 1).div_euclid(MS_PER_HOUR),
            zone: period.zone,
            filters,
        })
    }

    fn query(&self) -> SummaryQuery {
        SummaryQuery {
            from_hour: self.from_hour,
            to_hour: self.to_hour,
            by: self.by.iter().filter_map(|by| dimension(*by)).collect(),
            every: self.by.iter().fold(Every::Period, |every, by| match by {
                By::Hour => Every::Hour,
                By::Day if every == Every::Period => Every::Day,
                _ => every,
            }),
            zone: self.zone.clone(),
            filters: self.filters.clone(),
        }
    }

    /// Rows by time, then by cost, the largest first.
    fn answer(&self, mut summary: Summary) -> SummaryAnswer {
        summary.rows.sort_by(|a, b| Self::order(a).cmp(&Self::order(b)));
        SummaryAnswer {
            from: instant(self.from_hour).to_string(),
            to: instant(self.to_hour).to_string(),
            by: self.by.clone(),
            rows: summary.rows.into_iter().map(|row| self.row(row)).collect(),
            total: numbers(&summary.total),
            folded_calls: summary.folded,
        }
    }

    #[allow(clippy::type_complexity)] // a sort key, used in one place
    fn order(row: &Stored) -> (Option<i64>, Reverse<Picodollars>, Reverse<u64>, &[Option<String>]) {
        let calls = row.totals.calls.saturating_add(row.totals.denied);
        (row.hour, Reverse(row.totals.cost), Reverse(calls), &row.values)
    }

    fn row(&self, row: Stored) -> SummaryRow {
        let mut values = row.values.into_iter();
        let hour = row.hour.unwrap_or(self.from_hour);
        let key = |by: &By| match by {
            By::Dimension(_) => (*by, values.next().flatten()),
            By::Day | By::Hour => (*by, Some(label(*by, hour, &self.zone))),
        };
        SummaryRow { keys: Keys(self.by.iter().map(key).collect()), numbers: numbers(&row.totals) }
    }
}

fn parse(name: &str) -> Result<By, ApiError> {
    By::from_name(name).ok_or_else(|| {
        let names = listed(By::all().map(By::name));
        ApiError::parameter(format!("`by` has `{name}`, not one of {names}"))
    })
}

const fn dimension(by: By) -> Option<Dimension> {
    match by {
        By::Dimension(dimension) => Some(dimension),
        By::Day | By::Hour => None,
    }
}

/// The day or hour that begins at this hour, as it is written in the zone.
fn label(by: By, hour: i64, zone: &TimeZone) -> String {
    let start = instant(hour);
    let local = start.to_zoned_datetime(zone.clone());
    match by {
        By::Day => local.date().to_string(),
        _ if *zone == TimeZone::UTC => start.to_string(),
        _ => start.display_with_offset(local.offset()).to_string(),
    }
}

fn numbers(totals: &Totals) -> Numbers {
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
    }
}

/// The instant at which an hour begins.
fn instant(hour: i64) -> Timestamp {
    Timestamp::from_millisecond(hour.saturating_mul(MS_PER_HOUR)).unwrap_or_default()
}

/// How far back a summary looks by default.
const SINCE: SignedDuration = SignedDuration::from_hours(7 * 24);

//! `GET /api/v1/baseline`: what agents used when they began, and what they use now.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::error::ApiError;
use super::params::Params;
use super::period::{Period, instant as instant_of};
use super::summary::question::Question;
use super::summary::{exported, hint};
use crate::api::hours::{hour_of, instant};
use crate::model::answers::baseline::{Baseline, BaselineDay, Baselines, Pace};
use crate::model::answers::summary::{By, PreviousPeriod};
use crate::model::clock::{HOURS_PER_DAY, millis, now};
use crate::model::decimal::{Decimal, each};
use crate::model::dimension::Dimension;
use crate::store::{FirstDays, SummaryQuery, Totals};
use crate::work::app::App;
use crate::work::baseline::{Begun, DAYS, per_day, used};

/// Answers the baselines of agents.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn baseline(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let export = params.export(&headers)?;
    let now = now();
    let days = params.one("days")?.map(|text| parse_days(&text)).transpose()?.unwrap_or(DAYS);
    let from = params.one("from")?.map(|text| instant_of("from", &text, &TimeZone::UTC)).transpose()?;
    let filters = params.filters()?;
    params.finish()?;
    let period = Period { from: None, to: None, zone: TimeZone::UTC };
    let recent = Question::about(vec![By::Dimension(Dimension::Agent)], period, filters, now)?;
    let first = SummaryQuery { from_hour: from.map_or(0, |from| hour_of(from, false)), ..recent.query() };
    let (first, last) =
        tokio::try_join!(app.store.first_days(first, days), used(&app.store, recent.query()))?;
    let recent_hours = recent.to_hour.saturating_sub(recent.from_hour).max(1).unsigned_abs();
    let mut rows = Vec::with_capacity(first.len());
    for one in first {
        rows.push(row(one, &last, (days, recent_hours), now)?);
    }
    let cost = |row: &Baseline| std::cmp::Reverse(row.first.cost_per_day_usd);
    rows.sort_by(|one, other| cost(one).cmp(&cost(other)).then_with(|| one.agent.cmp(&other.agent)));
    let hint = match (rows.is_empty(), from) {
        (false, _) => None,
        (true, None) => Some(hint::nothing(&app.store, &recent).await?),
        (true, Some(from)) if from > now => {
            let from = instant(hour_of(from, false));
            Some(format!("`from` is {from}, which is not yet; baselines are of calls that were made"))
        }
        (true, Some(from)) => {
            let period = Period { from: Some(from), to: None, zone: TimeZone::UTC };
            let since = Question::about(vec![], period, recent.filters.clone(), now)?;
            Some(hint::nothing(&app.store, &since).await?)
        }
    };
    let answer = Baselines {
        days: days.unsigned_abs(),
        recent: PreviousPeriod {
            from: instant(recent.from_hour).to_string(),
            to: instant(recent.to_hour).to_string(),
        },
        rows,
        hint,
    };
    match export {
        None => Ok(Json(answer).into_response()),
        Some(export) => exported(export, &answer.table()),
    }
}

fn row(
    one: FirstDays,
    last: &HashMap<Option<String>, Totals>,
    (days, recent_hours): (i64, u64),
    now: Timestamp,
) -> Result<Baseline, ApiError> {
    let begun = Begun::of(&one, days, millis(now))?;
    let agent = one.values.into_iter().next().flatten();
    let first = pace(&begun.totals, begun.hours());
    let recent = pace(last.get(&agent).unwrap_or(&Totals::default()), recent_hours);
    let change_percent = match (recent.cost_per_day_usd, first.cost_per_day_usd) {
        (Some(now), Some(before)) => Decimal::change(now, before),
        _ => None,
    };
    Ok(Baseline {
        agent,
        from: instant(begun.from_hour).to_string(),
        to: instant(begun.to_hour).to_string(),
        hours_recorded: begun.hours(),
        is_whole: begun.is_whole,
        first,
        recent,
        change_percent,
        by_day: one.days.iter().map(|(day, totals)| of_day(*day, totals)).collect(),
    })
}

/// Of a time of so many hours.
fn pace(totals: &Totals, hours: u64) -> Pace {
    let tokens = i128::from(totals.input_tokens).saturating_add(totals.output_tokens.into());
    let a_day = i128::from(totals.calls).saturating_mul(HOURS_PER_DAY.into());
    Pace {
        calls: totals.calls,
        cost_usd: totals.cost,
        calls_per_day: Decimal::ratio(a_day, hours.into(), PLACES),
        cost_per_day_usd: per_day(totals.cost, hours),
        tokens_per_call: Decimal::ratio(tokens, totals.calls.into(), PLACES),
        cost_per_call_usd: each(totals.cost, totals.calls),
    }
}

fn of_day(day: i64, totals: &Totals) -> BaselineDay {
    let date = instant(day.saturating_mul(HOURS_PER_DAY)).to_zoned_datetime(TimeZone::UTC).date();
    let weekday = match date.weekday() {
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
        Weekday::Sunday => "sunday",
    };
    BaselineDay {
        day: date.to_string(),
        weekday: weekday.to_owned(),
        calls: totals.calls,
        cost_usd: totals.cost,
    }
}

fn parse_days(text: &str) -> Result<i64, ApiError> {
    let days = text.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
    days.ok_or_else(|| ApiError::parameter(format!("`days` is `{text}`, not a number from 1 to {DAYS_MAX}")))
}

/// Most days of a baseline.
const DAYS_MAX: i64 = 90;
/// Decimals of averages.
const PLACES: u8 = 2;

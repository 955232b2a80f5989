//! `/api/v1/plans`: what agents will cost, and how that compares with what they cost.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use tollgate_core::attribution::is_name;
use tollgate_core::money::Picodollars;
use tollgate_core::plan::{MONTH_DAYS, calls_a_month};
use tollgate_core::record::Totals;

use super::error::ApiError;
use super::extract::{Segment, TextBody};
use super::params::Params;
use crate::model::answers::List;
use crate::model::answers::plan::{CheckedPlan, CheckedRow, Plan, Planned, SavedPlan};
use crate::model::clock::{MS_PER_HOUR, now, now_ms};
use crate::model::decimal::Decimal;
use crate::model::dimension::Dimension;
use crate::store::{Every, Filters, SummaryQuery};
use crate::work::access::Caller;
use crate::work::app::App;
use crate::work::estimate::plan;

/// Answers what a plan costs at each of its models.
///
/// # Errors
/// For a plan that cannot be used.
pub async fn price(State(app): State<Arc<App>>, TextBody(body): TextBody) -> Result<Response, ApiError> {
    Ok(Json(planned(&app, read(&body)?).await?.1).into_response())
}

/// Keeps a plan with an agent; its text is not kept, only its tokens.
///
/// # Errors
/// For a plan or a name that cannot be used, and when the store fails.
pub async fn save(
    State(app): State<Arc<App>>,
    Segment(agent): Segment,
    caller: Caller,
    TextBody(body): TextBody,
) -> Result<Response, ApiError> {
    if !is_name(&agent) {
        return Err(ApiError::parameter(format!("`{agent}` is not a name that an agent can have")));
    }
    let (mut plan, planned) = planned(&app, read(&body)?).await?;
    if plan.prompt.take().is_some() {
        plan.prompt_tokens = planned.rows.first().map(|row| row.prompt_tokens);
    }
    app.store.save_plan(agent.clone(), (plan, planned.rows), caller.name, now_ms()).await?;
    Ok(Json(kept(&app, agent).await?).into_response())
}

/// Answers all plans that are kept.
///
/// # Errors
/// When the store fails.
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    params.finish()?;
    Ok(Json(List { rows: app.store.plans().await? }).into_response())
}

/// Answers a plan beside what its agent does.
///
/// # Errors
/// For an agent without a plan, and when the store fails.
pub async fn check(
    State(app): State<Arc<App>>,
    Segment(agent): Segment,
    params: Params,
) -> Result<Response, ApiError> {
    params.finish()?;
    let saved = kept(&app, agent.clone()).await?;
    let now = now();
    let since = now.checked_sub(SignedDuration::from_hours(30 * 24)).unwrap_or(now);
    let kept_at = saved.saved_at.as_ref().and_then(|time| time.parse::<Timestamp>().ok()).unwrap_or(since);
    // Calls before the plan was kept count where there are none after it.
    let mut found = seen(&app, &agent, kept_at.max(since), now).await?;
    let mut notes = Vec::new();
    if found.totals.calls == 0 {
        found = seen(&app, &agent, since, now).await?;
        if found.totals.calls > 0 {
            notes.push("no call since the plan was kept: earlier calls are shown".to_owned());
        } else {
            notes.push("no call of this agent in the last 30 days".to_owned());
        }
    }
    if found.hours < 24 {
        notes
            .push(format!("calls of {} hours only: a day and a month are worked out from them", found.hours));
    }
    let rows = rows(&saved, &found).map_err(ApiError::unavailable)?;
    Ok(Json(CheckedPlan {
        plan: saved,
        from: found.from.to_string(),
        to: found.to.to_string(),
        rows,
        models: found.models,
        notes,
    })
    .into_response())
}

fn read(body: &str) -> Result<Plan, ApiError> {
    serde_json::from_str(body).map_err(|error| ApiError::body(format!("the body is no plan: {error}")))
}

async fn planned(app: &App, asked: Plan) -> Result<(Plan, Planned), ApiError> {
    let book = app.prices.book();
    // Counting a long text takes a while.
    let done = tokio::task::spawn_blocking(move || {
        let planned = plan(&book, &asked, now_ms())?;
        Ok((asked, planned))
    })
    .await;
    done.map_err(|_| ApiError::unavailable("the collector is stopping"))?
        .map_err(|error: String| ApiError::body(error))
}

async fn kept(app: &App, agent: String) -> Result<SavedPlan, ApiError> {
    let saved = app.store.plan(agent.clone()).await?;
    saved.ok_or_else(|| {
        ApiError::not_found(format!(
            "no plan is kept for `{agent}`; `tollgate estimate --save {agent}` keeps one"
        ))
    })
}

/// What an agent did in whole hours.
struct Seen {
    from: Timestamp,
    to: Timestamp,
    hours: u64,
    totals: Totals,
    models: Vec<String>,
}

async fn seen(app: &App, agent: &str, from: Timestamp, to: Timestamp) -> Result<Seen, ApiError> {
    let mut filters = Filters::default();
    filters.accept(Dimension::Agent, agent.to_owned());
    let hour = |time: Timestamp| time.as_millisecond().div_euclid(MS_PER_HOUR);
    let query = SummaryQuery {
        from_hour: hour(from),
        to_hour: hour(to).saturating_add(1),
        by: vec![Dimension::Model],
        every: Every::Hour,
        zone: jiff::tz::TimeZone::UTC,
        filters,
        tag_key: None,
    };
    let summary = app.store.summary(query).await?;
    let first = summary.rows.iter().filter_map(|row| row.hour).min().unwrap_or_else(|| hour(from));
    let mut models: Vec<String> =
        summary.rows.into_iter().filter_map(|row| row.values.into_iter().next().flatten()).collect();
    models.sort_unstable();
    models.dedup();
    let start = Timestamp::from_millisecond(first.saturating_mul(MS_PER_HOUR)).unwrap_or(from).max(from);
    let hours = to.as_millisecond().saturating_sub(start.as_millisecond()).max(0).unsigned_abs() / 3_600_000;
    Ok(Seen { from: start, to, hours: hours.max(1), totals: summary.total, models })
}

/// The numbers of a plan beside what they are.
fn rows(saved: &SavedPlan, seen: &Seen) -> Result<Vec<CheckedRow>, String> {
    let planned = saved.rows.first();
    let calls = u128::from(seen.totals.calls);
    let a_month = calls_a_month(&saved.plan.calls)?;
    let dollars = |cost: Picodollars| Decimal::ratio(cost.as_pico(), 1_000_000_000_000, 6);
    let month_hours = i128::from(MONTH_DAYS * 24);
    let (calls, hours) = (i128::try_from(calls).unwrap_or(i128::MAX), i128::from(seen.hours));
    let cost = seen.totals.cost.as_pico();
    let per_call = |sum: u64| Decimal::ratio(sum.into(), calls, 1);
    let all = [
        (
            "calls_per_day",
            Decimal::ratio(a_month.into(), MONTH_DAYS.into(), 1),
            Decimal::ratio(calls.saturating_mul(24), hours, 1),
        ),
        (
            "input_tokens_per_call",
            planned.map(|row| row.input_tokens_per_call),
            per_call(seen.totals.input_tokens),
        ),
        (
            "output_tokens_per_call",
            Decimal::ratio(saved.plan.output_tokens.into(), 1, 1),
            per_call(seen.totals.output_tokens),
        ),
        (
            "cached_percent",
            saved
                .plan
                .cache_share
                .and_then(|share| {
                    Decimal::percent(share.units(), 10_i128.checked_pow(share.places().into())?)
                })
                .or_else(|| Decimal::ratio(0, 1, 2)),
            Decimal::percent(seen.totals.cache_read_tokens, seen.totals.input_tokens),
        ),
        (
            "cost_per_call_usd",
            planned.and_then(|row| row.cost_per_call_usd).and_then(dollars),
            Decimal::ratio(cost, calls.saturating_mul(1_000_000_000_000), 6),
        ),
        (
            "cost_per_month_usd",
            planned.and_then(|row| row.cost_per_month_usd).and_then(dollars),
            cost.checked_mul(month_hours)
                .and_then(|cost| Decimal::ratio(cost, hours.saturating_mul(1_000_000_000_000), 6)),
        ),
    ];
    let row = |(what, planned, actual): (&str, Option<Decimal>, Option<Decimal>)| CheckedRow {
        what: what.to_owned(),
        planned,
        actual,
        change_percent: planned.zip(actual).and_then(|(planned, actual)| more(planned, actual)),
    };
    Ok(all.map(row).into())
}

/// By how many of a hundred one number is more than another; both have the same decimals.
fn more(planned: Decimal, actual: Decimal) -> Option<Decimal> {
    Decimal::percent(actual.units().checked_sub(planned.units())?, planned.units())
}

//! `/api/v1/reprice`: what a corrected price changes, and its adjustments; `/api/v1/months`: closed months.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::error::ApiError;
use super::extract::Segment;
use super::params::Params;
use super::period::Period;
use crate::model::answers::List;
use crate::model::answers::corrections::{MonthRow, Repriced};
use crate::model::audit::Entry;
use crate::model::clock::{now, rfc3339};
use crate::store::{ClosedMonth, Closing, Month, RecordsQuery};
use crate::work::access::Caller;
use crate::work::app::App;
use crate::work::reprice::reprice;

/// `GET /api/v1/reprice`: answers what the book that holds now would change, and changes nothing.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn preview(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    Ok(Json(run(&app, params, None).await?).into_response())
}

/// `POST /api/v1/reprice`: the same, written as adjustments.
///
/// # Errors
/// Without the right token, for parameters that cannot be used, and when the store fails.
pub async fn apply(
    State(app): State<Arc<App>>,
    caller: Caller,
    params: Params,
) -> Result<Response, ApiError> {
    let entry = caller.entry("records.reprice", "");
    Ok(Json(run(&app, params, Some(entry)).await?).into_response())
}

/// `GET /api/v1/months`: closed months.
///
/// # Errors
/// When the store fails.
pub async fn months(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let rows = app.store.closed_months().await?.into_iter().map(shown).collect();
    Ok(Json(List::<MonthRow> { rows }).into_response())
}

/// `PUT /api/v1/months/{month}`: closes a month and all before it.
///
/// # Errors
/// Without the right token, for a month that is not one or not over, and when the store fails.
pub async fn close(
    State(app): State<Arc<App>>,
    Segment(month): Segment,
    caller: Caller,
) -> Result<Response, ApiError> {
    let parsed: Month =
        month.parse().map_err(|error| ApiError::parameter(format!("`{month}` is {error}")))?;
    match app.store.close_month(parsed, caller.entry("month.close", &month)).await? {
        Closing::Done => {
            let months = app.store.closed_months().await?;
            let closed = months.into_iter().find(|one| one.month == month).map(shown);
            Ok(Json(closed).into_response())
        }
        Closing::Already => Err(ApiError::conflict(format!("`{month}` is closed, or a later month is"))),
        Closing::NotOver => Err(ApiError::conflict(format!("`{month}` is not over yet"))),
    }
}

fn shown(month: ClosedMonth) -> MonthRow {
    MonthRow {
        month: month.month,
        closed: rfc3339(month.closed_ms),
        calls: month.totals.calls,
        cost_usd: month.totals.cost,
    }
}

async fn run(app: &App, mut params: Params, audit: Option<Entry>) -> Result<Repriced, ApiError> {
    let period = Period::read(&mut params, now())?;
    let filters = params.filters()?;
    params.finish()?;
    if period.from.is_none() {
        return Err(ApiError::parameter("`from` or `since` is missing; say from when on to price again"));
    }
    let query = RecordsQuery {
        from_ms: period.from.map(Timestamp::as_millisecond),
        to_ms: period.to.map(Timestamp::as_millisecond),
        filters,
        ..RecordsQuery::default()
    };
    let _alone = app.repricing.lock().await;
    Ok(reprice(&app.store, &app.prices.book(), query, audit).await?)
}

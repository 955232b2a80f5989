//! `GET /api/v1/records`: calls one by one, newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tollgate_core::price::CostStatus;
use tollgate_core::record::Outcome;

use super::error::ApiError;
use super::extract::Segment;
use super::params::{Paging, Params, listed};
use super::period::Period;
use crate::model::answers::records::{RecordRow, RecordsPage};
use crate::model::clock::now;
use crate::store::RecordsQuery;
use crate::work::app::App;
use crate::work::following;

/// Answers a page.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let query = query(params, now())?;
    if query.run.is_some() || query.retried {
        following::catch_up(&app).await?;
    }
    let page = app.store.records(query).await?;
    let next_cursor = page.next.map(|cursor| cursor.to_string());
    Ok(Json(RecordsPage { rows: page.records.into_iter().map(RecordRow).collect(), next_cursor })
        .into_response())
}

/// Answers one record.
///
/// # Errors
/// When there is none with this id, and when the store fails.
pub async fn one(State(app): State<Arc<App>>, Segment(id): Segment) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("there is no record with this id");
    let id = id.parse().map_err(|_| missing())?;
    let record = app.store.record(id).await?.ok_or_else(missing)?;
    Ok(Json(RecordRow(record)).into_response())
}

fn query(mut params: Params, now: Timestamp) -> Result<RecordsQuery, ApiError> {
    let period = Period::read(&mut params, now)?;
    let Paging { limit, after } = Paging::read(&mut params)?;
    let query = RecordsQuery {
        from_ms: period.from.map(Timestamp::as_millisecond),
        to_ms: period.to.map(Timestamp::as_millisecond),
        filters: params.filters()?,
        outcomes: words(&mut params, "outcome", &OUTCOMES, Outcome::name)?,
        cost_statuses: words(&mut params, "cost_status", &COST_STATUSES, CostStatus::name)?,
        retried: params.flag("retried")?,
        run: params.one("run")?,
        limit,
        after,
    };
    params.finish()?;
    Ok(query)
}

fn words<T: Copy>(
    params: &mut Params,
    name: &'static str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> Result<Vec<T>, ApiError> {
    let parse = |given: String| {
        let found = all.iter().copied().find(|one| word(*one) == given);
        found.ok_or_else(|| {
            let words = listed(all.iter().map(|one| word(*one)));
            ApiError::parameter(format!("`{name}` is `{given}`, not one of {words}"))
        })
    };
    params.all(name).into_iter().map(parse).collect()
}

const OUTCOMES: [Outcome; 5] =
    [Outcome::Ok, Outcome::Error, Outcome::ClientAbort, Outcome::UpstreamAbort, Outcome::Denied];
const COST_STATUSES: [CostStatus; 4] =
    [CostStatus::Measured, CostStatus::Estimated, CostStatus::Unpriced, CostStatus::Free];

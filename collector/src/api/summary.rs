//! `GET /api/v1/summary`: who spent what, from the rollups.
//!
//! Rollups know hours, so the answer's `from` and `to` are what was asked for, rounded outward to the hour.
//! Where a time zone is off UTC by a part of an hour, an hour belongs to the day that it begins in.

mod aside;
pub(super) mod hint;
mod order;
pub(super) mod previous;
pub(super) mod question;
mod rows;
mod trend;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LINK};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::hours::instant;
use super::params::Params;
use crate::model::answers::summary::{SummaryAnswer, tables};
use crate::model::clock::now;
use crate::model::table::Table;
use crate::model::table::export::Export;
use crate::store::Store;
use crate::work::app::App;
use crate::work::following;
use question::Question;
use rows::Rows;

/// Answers a summary.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn summary(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let export = params.export(&headers)?;
    let question = Question::read(params, now())?;
    let unfollowed = if question.is_of_a_facet() { following::catch_up(&app).await? } else { 0 };
    let mut answer = answer(&app.store, &question).await?;
    answer.unfollowed_records = unfollowed;
    match export {
        None => Ok(Json(answer).into_response()),
        Some(export) => exported(export, &tables::for_export(&answer, question.metrics.as_deref())),
    }
}

/// A table as a file.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn exported(export: Export, table: &Table) -> Result<Response, ApiError> {
    let body = export.write(table).map_err(|error| ApiError::unavailable(error.to_string()))?;
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(export.content_type()));
    Ok(response)
}

/// Writes a page of a table as a file: where it is not the last, headers say where the next one begins.
///
/// # Errors
/// When it cannot be written.
pub(super) fn exported_page(
    export: Export,
    table: &Table,
    next: Option<&str>,
    uri: &Uri,
) -> Result<Response, ApiError> {
    let mut response = exported(export, table)?;
    let Some(cursor) = next else { return Ok(response) };
    let others = uri.query().unwrap_or_default().split('&').filter(|one| !one.starts_with("cursor="));
    let query: Vec<&str> = others.filter(|one| !one.is_empty()).collect();
    let joint = if query.is_empty() { "" } else { "&" };
    let link = format!("<{}?{}{joint}cursor={cursor}>; rel=\"next\"", uri.path(), query.join("&"));
    let headers = response.headers_mut();
    for (name, text) in [(HeaderName::from_static(NEXT_CURSOR), cursor), (LINK, &link)] {
        let value = HeaderValue::from_str(text).map_err(|error| ApiError::unavailable(error.to_string()))?;
        headers.insert(name, value);
    }
    Ok(response)
}

/// The header that says where the next page of a file begins.
pub(super) const NEXT_CURSOR: &str = "x-tollgate-next-cursor";

/// The answer to a question; what a facet has to follow is not waited for.
///
/// # Errors
/// When the store fails, and for what a summary cannot answer.
pub(super) async fn answer(store: &Store, question: &Question) -> Result<SummaryAnswer, ApiError> {
    let (summary, asides, previous, trend) = tokio::try_join!(
        async { Ok(store.summary(question.query()).await?) },
        aside::ask(store, question),
        previous::ask(store, question),
        trend::ask(store, question),
    )?;
    let (total, folded) = (summary.total.clone(), summary.folded);
    let mut rows = Rows::of(question, summary, asides);
    if question.is_estimated {
        rows.only_estimated()?;
    }
    let total = if question.is_estimated { rows.total.clone() } else { total };
    if let Some(previous) = &previous {
        rows.compare(question, previous);
    }
    rows.derive(total.cost);
    rows.sort(question);
    if let Some(top) = question.top {
        rows.keep_top(question, top, total.cost)?;
    }
    let trend = trend.filter(|_| rows.rows.len() <= TREND_ROWS_MAX);
    if let Some(trend) = &trend {
        rows.draw(trend);
    }
    let hint = if rows.rows.is_empty() { Some(hint::nothing(store, question).await?) } else { None };
    Ok(SummaryAnswer {
        from: instant(question.from_hour).to_string(),
        to: instant(question.to_hour).to_string(),
        by: question.by.clone(),
        total: rows.total_row(&total, previous.as_ref()),
        rows: rows.into_rows(),
        folded_calls: folded,
        partial: question.asked_to > question.now,
        top: question.top,
        previous: previous.map(|previous| previous.period),
        unfollowed_records: 0,
        trend_by: trend.map(|trend| trend.unit.name().to_owned()),
        hint,
    })
}

/// Most rows that get a trend.
const TREND_ROWS_MAX: usize = 1_000;

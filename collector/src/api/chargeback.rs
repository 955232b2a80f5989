//! `GET /api/v1/chargeback`: what a month is charged to whom.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;

use super::error::ApiError;
use super::params::{Params, listed};
use super::summary::exported;
use crate::model::answers::chargeback::Chargeback;
use crate::model::clock::{MS_PER_HOUR, now_ms, rfc3339, signed};
use crate::store::{DetailRow, Every, Filters, Month, SummaryQuery};
use crate::work::app::App;
use crate::work::chargeback::{BY, statements};

/// Answers the statements of a month, or that of one payer.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn chargeback(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let (month, payer) = (params.one("month")?, params.one("team")?);
    let export = params.export(&headers)?;
    params.finish()?;
    let month = month.ok_or_else(|| ApiError::parameter("`month` is missing; give one such as `2026-10`"))?;
    let wrong = |error| ApiError::parameter(format!("`month` is `{month}`, {error}"));
    let answer = of_month(&app, month.parse().map_err(wrong)?).await?;
    let answer = match payer {
        None => answer,
        Some(payer) => only(answer, &payer)?,
    };
    match export {
        None => Ok(Json(answer).into_response()),
        Some(export) => exported(export, &answer.lines()),
    }
}

async fn of_month(app: &App, month: Month) -> Result<Chargeback, ApiError> {
    let query = SummaryQuery {
        from_hour: month.from_hour(),
        to_hour: month.end_hour(),
        by: BY.to_vec(),
        every: Every::Period,
        zone: TimeZone::UTC,
        filters: Filters::default(),
        tag_key: None,
    };
    let take = |rows: &mut Vec<DetailRow>, row| {
        rows.push(row);
        match rows.len() > ROWS_MAX {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let rows = app.store.details(query, Vec::new(), take).await?;
    if rows.len() > ROWS_MAX {
        return Err(crate::store::StoreError::TooManyRows { most: ROWS_MAX }.into());
    }
    let months = app.store.closed_months().await?;
    let name = month.to_string();
    // Closing a month closes all before it; the first that did so counts.
    let closed = months.iter().rev().find(|closed| closed.month >= name);
    Ok(Chargeback {
        partial: month.end_hour().saturating_mul(MS_PER_HOUR) > signed(now_ms()),
        closed_at: closed.and_then(|closed| rfc3339(closed.closed_ms)),
        month: name,
        ..statements(&rows, &app.config().chargeback.shared)
    })
}

/// The statement of one payer alone; the total stays the month's.
fn only(mut answer: Chargeback, payer: &str) -> Result<Chargeback, ApiError> {
    if !answer.statements.iter().any(|one| one.payer == payer) {
        let known = listed(answer.statements.iter().map(|one| one.payer.as_str()));
        let message = match known.is_empty() {
            true => format!("nobody pays anything in {}", answer.month),
            false => {
                format!("`team` is `{payer}`, which pays nothing in {}; there are {known}", answer.month)
            }
        };
        return Err(ApiError::parameter(message));
    }
    answer.statements.retain(|one| one.payer == payer);
    Ok(answer)
}

/// Most rows of a month's statements.
const ROWS_MAX: usize = 200_000;

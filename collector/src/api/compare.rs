//! `GET /api/v1/compare`: where a change of cost comes from.

mod question;
mod rows;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::params::Params;
use super::summary::{self, exported, hint};
use crate::api::hours::instant;
use crate::model::answers::compare::{Comparison, tables};
use crate::model::answers::summary::{By, PreviousPeriod};
use crate::model::clock::now;
use crate::store::Store;
use crate::work::app::App;
use question::Question;
use rows::Rows;

/// Compares two periods.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn compare(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let export = params.export(&headers)?;
    let question = Question::read(params, now())?;
    let answer = answer(&app.store, &question).await?;
    match export {
        None => Ok(Json(answer).into_response()),
        Some(export) => exported(export, &tables::for_export(&answer)),
    }
}

/// What explains most of the change of a plain question's period against the one before.
///
/// # Errors
/// Where there is no period before, and when the store fails.
pub(super) async fn about(store: &Store, plain: summary::question::Question) -> Result<Comparison, ApiError> {
    answer(store, &Question::about(plain, None)?).await
}

async fn answer(store: &Store, question: &Question) -> Result<Comparison, ApiError> {
    let compared = store.compare(question.query(), question.before).await?;
    let hint = match compared.is_empty() {
        true => Some(hint::nothing(store, &question.plain).await?),
        false => question.overlap(),
    };
    let by = question.by.clone().unwrap_or_else(|| rows::drivers(question, &compared));
    let rows = Rows::of(question, &by, compared)?;
    let (rows, explained_percent) = match question.top {
        Some(top) => rows.first(top, &by)?,
        None if question.by.is_none() => rows.enough(&by)?,
        None => rows.all()?,
    };
    let total = rows::total(&rows)?;
    let (from, to) = question.before;
    Ok(Comparison {
        from: instant(question.plain.from_hour).to_string(),
        to: instant(question.plain.to_hour).to_string(),
        with: PreviousPeriod { from: instant(from).to_string(), to: instant(to).to_string() },
        by: by.into_iter().map(By::Dimension).collect(),
        is_found: question.by.is_none(),
        rows,
        total,
        explained_percent,
        partial: question.plain.asked_to > question.plain.now,
        hint,
    })
}

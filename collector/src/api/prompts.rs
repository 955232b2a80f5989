//! `GET /api/v1/prompts`: what prompts are made of, and what that costs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::asked::Asked;
use super::error::ApiError;
use super::params::Params;
use super::summary::exported;
use crate::api::hours::instant;
use crate::model::answers::prompts::PromptsAnswer;
use crate::model::clock::{millis, now};
use crate::store::{PromptsQuery, RunsQuery, Spend, SpendQuery};
use crate::work::app::App;
use crate::work::prompts::Growths;
use crate::work::{following, prompts};

/// Answers what the prompts of the last 30 days, or of the time asked for, are made of.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let export = params.export(&headers)?;
    let exported_table = params.word("table", &["prompts", "agents", "changes"])?;
    let asked = Asked::read(&mut params, now(), 30)?;
    params.finish()?;
    let unfollowed_records = following::catch_up(&app).await?;
    let (from_hour, to_hour) = asked.hours();
    let (from_ms, to_ms) = asked.ms();
    let filters = asked.filters.clone();
    let found = app.store.prompts(PromptsQuery { from_hour, to_hour, filters: filters.clone() }).await?;
    let query = RunsQuery { from_ms, to_ms, filters: filters.clone() };
    let runs = app.store.runs(query, Growths::default(), Growths::add).await?;
    let spend = app.store.spend(SpendQuery { from_hour, to_hour, filters }).await?;
    let book = app.prices.book();
    let at_ms = millis(asked.to.min(now())).saturating_sub(1);
    let length_ms = to_ms.saturating_sub(from_ms).max(1).unsigned_abs();
    let agents = prompts::agents(&book, &found, (&runs, &spend), at_ms);
    let all = |one: &Spend| one.all.totals.calls.saturating_add(one.all.totals.denied);
    let calls = spend.iter().fold(0u64, |sum, one| sum.saturating_add(all(one)));
    let looked_at = found.iter().fold(0u64, |sum, one| sum.saturating_add(one.counts.calls));
    let answer = PromptsAnswer {
        from: instant(from_hour).to_string(),
        to: instant(to_hour).to_string(),
        rows: prompts::rows(&book, &found, at_ms, length_ms),
        agents,
        changes: prompts::changes(&found),
        calls_without_prints: calls.saturating_sub(looked_at),
        unfollowed_records,
        hint: if found.is_empty() && spend.is_empty() {
            Some(asked.nothing(&app.store).await?)
        } else {
            None
        },
    };
    match (export, exported_table) {
        (None, _) => Ok(Json(answer).into_response()),
        (Some(export), "agents") => exported(export, &answer.agents_table()),
        (Some(export), "changes") => exported(export, &answer.changes_table()),
        (Some(export), _) => exported(export, &answer.table()),
    }
}

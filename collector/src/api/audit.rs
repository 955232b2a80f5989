//! `GET /api/v1/audit`: the audit trail, oldest first; `GET /api/v1/accounts`: what became of every record.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::params::{Paging, Params};
use crate::model::answers::audit::{Trail, TrailEntry};
use crate::model::audit::Recorded;
use crate::model::clock::{now_ms, rfc3339};
use crate::work::app::App;

/// Answers a page of entries after `cursor`, and the trail's head now.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn list(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let Paging { limit, after } = Paging::<u64>::read(&mut params)?;
    params.finish()?;
    // The head first: it never lies before an entry that the page shows as missing.
    let head = app.store.audit_head().await?;
    let entries = app.store.audited_after(after.unwrap_or(0), limit).await?;
    let next = entries.last().map(|last| last.seq).filter(|_| entries.len() == limit);
    let answer = Trail {
        rows: entries.into_iter().map(shown).collect(),
        next_cursor: next.map(|seq| seq.to_string()),
        head: head.to_string(),
    };
    Ok(Json(answer).into_response())
}

/// `GET /api/v1/accounts`: what became of every record.
///
/// # Errors
/// When the store fails.
pub async fn accounts(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    params.finish()?;
    Ok(Json(app.store.accounts().await?).into_response())
}

/// `GET /api/v1/accounts/recount`: what summaries should say by the records that are kept, beside what they
/// say.
///
/// # Errors
/// When the store fails.
pub async fn recount(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    params.finish()?;
    Ok(Json(app.store.recount(now_ms()).await?).into_response())
}

/// An entry with its time as text beside the number that its hash covers.
fn shown(entry: Recorded) -> TrailEntry {
    TrailEntry {
        seq: entry.seq,
        time: rfc3339(entry.time_ms),
        time_ms: entry.time_ms,
        actor: entry.actor,
        action: entry.action,
        subject: entry.subject,
        before: entry.before,
        after: entry.after,
        hash: entry.hash,
    }
}

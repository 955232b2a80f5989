//! `GET /api/v1/audit`: the audit trail, oldest first; `GET /api/v1/accounts`: what became of every record.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::ApiError;
use super::params::{Paging, Params};
use crate::model::audit::Recorded;
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
    let answer = Answer {
        rows: entries.iter().map(Row::of).collect(),
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
    Ok(Json(app.store.recount().await?).into_response())
}

#[derive(Serialize)]
struct Answer<'a> {
    rows: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    head: String,
}

/// An entry with its time as text beside the number that its hash covers.
#[derive(Serialize)]
struct Row<'a> {
    seq: u64,
    time: Option<String>,
    time_ms: u64,
    actor: &'a str,
    action: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a RawValue>,
    hash: &'a str,
}

impl<'a> Row<'a> {
    fn of(entry: &'a Recorded) -> Self {
        let time = i64::try_from(entry.time_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Self {
            seq: entry.seq,
            time: time.map(|time| time.to_string()),
            time_ms: entry.time_ms,
            actor: &entry.actor,
            action: &entry.action,
            subject: &entry.subject,
            before: entry.before.as_deref(),
            after: entry.after.as_deref(),
            hash: &entry.hash,
        }
    }
}

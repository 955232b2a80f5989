//! `POST /api/v1/records`: records that did not come by a gateway's sync, such as those of an access log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::error::ApiError;
use super::sync;
use crate::model::answers::collector::Imported;
use crate::model::clock::now_ms;
use crate::work::access::Caller;
use crate::work::app::App;
use crate::work::ingest;

/// Stores records, one a line as JSON; one that is known changes nothing.
///
/// # Errors
/// For a body that cannot be read, and when the store fails: nothing of it is stored then.
pub async fn records(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let body = sync::read(request).await.map_err(|(_, error)| error)?;
    let body = String::from_utf8(body).map_err(|_| ApiError::body("the body is not UTF-8"))?;
    let book = app.prices.book();
    let accept = tokio::task::spawn_blocking(move || ingest::accept_lines(&body, &book, now_ms()));
    let accepted = accept.await.map_err(|_| ApiError::unavailable("the collector is stopping"))?;
    let received = sync::wide(accepted.received);
    let kept = sync::keep(&app, accepted).await?;
    let answer =
        Imported { received, stored: kept.stored, duplicates: kept.duplicates, rejected: kept.rejected };
    if kept.stored > 0 {
        app.imports.fetch_add(1, Ordering::Relaxed);
        let mut entry = caller.entry("records.import", "");
        entry.after = Some(json!({"received": received, "stored": kept.stored}));
        app.store.audit(entry).await?;
    }
    Ok(Json(answer).into_response())
}

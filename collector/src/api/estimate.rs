//! `POST /api/v1/estimate`: what a call would cost, before it is made.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::sync;
use crate::model::clock::now_ms;
use crate::work::app::App;
use crate::work::estimate::{Question, estimate};

/// Answers tokens, cost and worst case of a request body or a text.
///
/// # Errors
/// For a question that cannot be read, or lacks something.
pub async fn ask(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let body = sync::read(request).await.map_err(|(_, error)| error)?;
    let question: Question = serde_json::from_slice(&body)
        .map_err(|error| ApiError::body(format!("the body is no question: {error}")))?;
    let book = app.prices.book();
    // Counting a long text takes a while.
    let answer = tokio::task::spawn_blocking(move || estimate(&book, &question, now_ms())).await;
    let answer = answer.map_err(|_| ApiError::unavailable("the collector is stopping"))?;
    Ok(Json(answer.map_err(ApiError::body)?).into_response())
}

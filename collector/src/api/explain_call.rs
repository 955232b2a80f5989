//! `/api/v1/explain`: what would become of a call, and which rule or budget decides.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tollgate_core::call::explained::Described;

use super::error::ApiError;
use super::params::Params;
use super::sync;
use crate::model::clock::now_ms;
use crate::work::app::App;
use crate::work::explain::{Basis, explain};

/// `GET /api/v1/explain`: of the call that the parameter `call` describes, as JSON.
///
/// # Errors
/// For a description with mistakes, each named; for other parameters; when the store fails.
pub async fn get(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let call = params.one("call")?;
    params.finish()?;
    let call = call.ok_or_else(|| {
        ApiError::parameter(
            "`call` is missing: a call as JSON, such as {\"agent\":\"triage\",\"provider\":\"openai\",\"model\":\"gpt-5-mini\",\
             \"prompt\":\"hello\"}",
        )
    })?;
    answered(&app, call.as_bytes()).await.map_err(ApiError::parameter)?
}

/// `POST /api/v1/explain`: of the call that the body describes.
///
/// # Errors
/// For a description with mistakes, each named, and when the store fails.
pub async fn post(
    State(app): State<Arc<App>>,
    params: Params,
    request: Request,
) -> Result<Response, ApiError> {
    params.finish()?;
    let body = sync::read(request).await.map_err(|(_, error)| error)?;
    answered(&app, &body).await.map_err(ApiError::body)?
}

/// The answer; outside of it what is wrong with the description.
async fn answered(app: &Arc<App>, json: &[u8]) -> Result<Result<Response, ApiError>, String> {
    let value: Value =
        serde_json::from_slice(json).map_err(|error| format!("the call is not JSON: {error}"))?;
    let described = Described::read(&value).map_err(|errors| {
        let all: Vec<String> =
            errors.iter().map(|error| format!("`{}` {}", error.key, error.problem)).collect();
        all.join("; ")
    })?;
    Ok(decided(app, described).await)
}

async fn decided(app: &Arc<App>, described: Described) -> Result<Response, ApiError> {
    let now_ms = now_ms();
    app.budgets.refresh(&app.store).await?;
    let outlook = app.store.budget_outlook(now_ms).await?;
    let held = app.prices.held();
    let policy = app.budgets.policy(&held, now_ms);
    // Reading a long prompt takes a while.
    let answer = tokio::task::spawn_blocking(move || {
        explain(&described, Basis { policy: &policy, book: &held.book, outlook: &outlook, now_ms })
    });
    let answer = answer.await.map_err(|_| ApiError::unavailable("the collector is stopping"))?;
    Ok(Json(answer).into_response())
}

//! Errors as answers: a status, a stable code and a sentence.

use std::time::Duration;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tracing::error;

use crate::model::answers::collector::{Failure, FailureText};
use crate::store::StoreError;
use crate::work::ingest::NotUnderstood;

/// An answer that says what went wrong: `{"error":{"code","message"}}`.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after_s: Option<u32>,
}

impl ApiError {
    /// What it says to people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// A parameter that cannot be used.
    pub fn parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", message)
    }

    /// A body that cannot be used.
    pub fn body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_body", message)
    }

    /// A body that is longer than is read.
    pub fn body_too_large(most: usize) -> Self {
        let message = format!("the body is longer than {most} bytes; send fewer records at a time");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    /// A bill that is longer than is read of a request.
    pub fn bill_too_large(most: usize) -> Self {
        let message = format!(
            "the bill is longer than {most} bytes; `tollgate reconcile` sums files of any length before it sends them"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    /// A body that did not come whole.
    pub fn broken_body() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "broken_body", "the body did not come whole")
    }

    /// Without the right token. Says no more than that.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "a valid token is needed")
    }

    /// Under a name that is not this collector's.
    pub fn other_host(host: &str) -> Self {
        let host: String = host.chars().take(100).collect();
        let message = format!(
            "this collector listens on loopback and is asked for `{host}`: ask for localhost, or name that host in \
             `api.hosts` (or as `api.public_url`) of tollgate.toml"
        );
        Self::new(StatusCode::MISDIRECTED_REQUEST, "other_host", message)
    }

    /// A body that did not come in time.
    pub fn late_body(most: Duration) -> Self {
        let message = format!("the body was not here after {} seconds", most.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "late_body", message)
    }

    /// Something that is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// What is there already says otherwise.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// A receiver did not take what was sent.
    pub fn not_delivered(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "not_delivered", message)
    }

    /// The collector cannot do it now; the same request may pass later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
        Self { retry_after_s: Some(RETRY_AFTER_S), ..error }
    }

    /// More is sent than can be stored; the same request passes when what waits is done.
    pub fn busy() -> Self {
        let message =
            "more is sent than can be stored at the moment; nothing of this request was, send it again";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message);
        Self { retry_after_s: Some(RETRY_AFTER_S), ..error }
    }

    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_s: None }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Failure { error: FailureText { code: self.code.to_owned(), message: self.message } };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Seconds that a client is asked to wait.
const RETRY_AFTER_S: u32 = 1;

impl From<NotUnderstood> for ApiError {
    fn from(error: NotUnderstood) -> Self {
        let code = match error {
            NotUnderstood::Protocol(_) => "unsupported_protocol",
            NotUnderstood::Invalid(_) => "invalid_request",
            NotUnderstood::OtherGateway { .. } => {
                return Self::new(StatusCode::FORBIDDEN, "wrong_gateway", error.to_string());
            }
        };
        Self::new(StatusCode::BAD_REQUEST, code, error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooManyRows { most } => Self::new(
                StatusCode::BAD_REQUEST,
                "too_many_rows",
                format!(
                    "the answer has more than {most} rows; ask for a shorter time, fewer dimensions, or filter"
                ),
            ),
            error => {
                error!(%error, "The store failed");
                Self::unavailable("the store does not work at the moment")
            }
        }
    }
}

/// Answers a path that is no route.
pub async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is no `{}`", uri.path()))
}

/// Answers a method that a route does not have.
pub async fn no_such_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not have that method")
}

//! What handlers take from a request, with errors as the API has them.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;

use super::error::ApiError;

/// The variable part of a path.
#[derive(Clone, Debug)]
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text)).map_err(|error| ApiError::parameter(error.body_text()))
    }
}

/// A body that is text.
#[derive(Clone, Debug)]
pub struct TextBody(pub String);

impl<S: Send + Sync> FromRequest<S> for TextBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match String::from_request(request, state).await {
            Ok(text) => Ok(Self(text)),
            Err(error) => {
                let text = error.body_text();
                let is_long = error.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE;
                Err(if is_long { ApiError::body_too_large(BODY_BYTES_MAX) } else { ApiError::body(text) })
            }
        }
    }
}

/// Longest body of a request that is not sync or an import: axum's default.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

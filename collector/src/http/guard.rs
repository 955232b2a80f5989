//! The guard before every route: no request passes whose token does not allow it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::error::ApiError;
use crate::model::role::Role;
use crate::work::access::{Caller, Presented};
use crate::work::app::App;

/// Lets a request pass whose token allows this role, and notes who it is for the handler.
pub async fn guard(
    State((app, role)): State<(Arc<App>, Role)>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match request.extensions().get::<Presented>() {
        Some(presented) => app.access.presented(Some(presented), role),
        None => app.access.caller(request.headers(), role),
    };
    match caller {
        Some(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        None => {
            if app.access.is_wrong(request.headers()) {
                app.wrong_tokens.note(&app.metrics, request.uri().path()).await;
            }
            ApiError::unauthorized().into_response()
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::unauthorized)
    }
}

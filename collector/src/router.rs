//! Every route on one page.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::api::{error, health, home, records, summary, sync};
use crate::app::App;

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(home::home))
        .route(tollgate_core::sync::PATH, post(sync::sync))
        .route("/api/v1/summary", get(summary::summary))
        .route("/api/v1/records", get(records::list))
        .route("/api/v1/records/{id}", get(records::one))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .with_state(app)
}

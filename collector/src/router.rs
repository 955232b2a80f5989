//! Every route on one page.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};

use crate::api::{audit, budgets, corrections, error, explain, health, home, prices, records, summary, sync};
use crate::app::App;

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(home::home))
        .route(tollgate_core::sync::PATH, post(sync::sync))
        .route("/api/v1/summary", get(summary::summary))
        .route("/api/v1/budgets", get(budgets::list))
        .route("/api/v1/budgets/{name}", put(budgets::put).delete(budgets::remove))
        .route("/api/v1/budgets/{name}/top-up", post(budgets::top_up))
        .route("/api/v1/budgets/release/{instance}", post(budgets::release))
        .route("/api/v1/records", get(records::list))
        .route("/api/v1/records/{id}", get(records::one))
        .route("/api/v1/records/{id}/explain", get(explain::explain))
        .route("/api/v1/prices", get(prices::list))
        .route("/api/v1/prices/missing", get(prices::missing))
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/reprice", get(corrections::preview).post(corrections::apply))
        .route("/api/v1/months", get(corrections::months))
        .route("/api/v1/months/{month}", put(corrections::close))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .with_state(app)
}

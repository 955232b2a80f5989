//! Every route on one page, by the role that it needs.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post, put};

use crate::api::{
    agents, alerts, allow, anomalies, audit, baseline, budgets, chargeback, compare, corrections, error,
    estimate, explain, explain_call, exports, gateways, health, import, openapi, plans, prices, prompts,
    reconcile, records, reports, runs, summary, sync, what_if,
};
use crate::http::answered::answered;
use crate::http::guard::guard;
use crate::http::names::check_name;
use crate::http::receive::receive;
use crate::model::role::Role;
use crate::pages;
use crate::work::app::App;

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    let guarded = |role, routes: Router<Arc<App>>| {
        routes.route_layer(from_fn_with_state((Arc::clone(&app), role), guard))
    };
    let routes = || {
        Router::new()
            .merge(open())
            .merge(guarded(Role::Read, reading().route_layer(from_fn(answered))))
            .merge(guarded(Role::Read, streaming()))
            .merge(guarded(Role::Write, writing()))
            .merge(guarded(Role::Admin, binding()))
    };
    let sessions = Arc::new(pages::Sessions::default());
    let asked_by_pages = routes().fallback(error::no_such_path).with_state(Arc::clone(&app));
    routes()
        .layer(from_fn_with_state((Arc::clone(&app), Arc::clone(&sessions)), pages::by_cookie))
        .with_state(Arc::clone(&app))
        .merge(
            pages::routes(Arc::clone(&app), asked_by_pages.clone(), Arc::clone(&sessions))
                .layer(from_fn(answered))
                .merge(pages::streams(Arc::clone(&app), asked_by_pages, sessions))
                .layer(from_fn(pages::private)),
        )
        .fallback(pages::missing)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(from_fn_with_state(Arc::clone(&app), check_name))
        .layer(from_fn_with_state(app, receive))
}

/// For everyone. Sync looks at its token itself, and counts.
fn open() -> Router<Arc<App>> {
    Router::new()
        .route(tollgate_core::protocol::sync::PATH, post(sync::sync))
        .route("/openapi.json", get(openapi::describe))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
}

fn reading() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/summary", get(summary::summary))
        .route("/api/v1/exports/days", get(exports::days))
        .route("/api/v1/chargeback", get(chargeback::chargeback))
        .route("/api/v1/baseline", get(baseline::baseline))
        .route("/api/v1/compare", get(compare::compare))
        .route("/api/v1/agents", get(agents::list))
        .route("/api/v1/agents/{name}", get(agents::one))
        .route("/api/v1/allow", get(allow::list))
        .route("/api/v1/allow/try", get(allow::tried))
        .route("/api/v1/budgets", get(budgets::list))
        .route("/api/v1/budgets/{name}", get(budgets::one))
        .route("/api/v1/records", get(records::list))
        .route("/api/v1/records/{id}", get(records::one))
        .route("/api/v1/records/{id}/explain", get(explain::explain))
        .route("/api/v1/runs", get(runs::list))
        .route("/api/v1/runs/{run}", get(runs::one))
        .route("/api/v1/what-if", get(what_if::ask))
        .route("/api/v1/prompts", get(prompts::list))
        .route("/api/v1/explain", get(explain_call::get).post(explain_call::post))
        .route("/api/v1/estimate", post(estimate::ask))
        .route("/api/v1/estimate/plan", post(plans::price))
        .route("/api/v1/plans", get(plans::list))
        .route("/api/v1/plans/{agent}/check", get(plans::check))
        .route("/api/v1/prices", get(prices::list))
        .route("/api/v1/prices/missing", get(prices::missing))
        .route("/api/v1/prices/drift", get(prices::drift))
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/gateways", get(gateways::list))
        .route("/api/v1/alerts", get(alerts::list))
        .route("/api/v1/anomalies", get(anomalies::list))
        .route("/api/v1/reviews", get(alerts::reviews))
        .route("/api/v1/reports", get(reports::list))
        .route("/api/v1/reports/{name}/preview", get(reports::preview))
        .route("/api/v1/accounts", get(audit::accounts))
        .route("/api/v1/accounts/recount", get(audit::recount))
        .route("/api/v1/reprice", get(corrections::preview))
        .route("/api/v1/reconcile", post(reconcile::reconcile))
        .route("/api/v1/months", get(corrections::months))
        .route("/metrics", get(health::metrics))
}

/// What is made while it is sent, and may be longer than memory.
fn streaming() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/exports/focus.csv", get(exports::focus_csv))
        .route("/api/v1/exports/focus.parquet", get(exports::focus_parquet))
        .route("/api/v1/exports/records", get(exports::records::records))
        .route("/api/v1/exports/rollups", get(exports::rollups))
}

/// What changes what is kept.
fn writing() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/records", post(import::records))
        .route("/api/v1/alerts/test/{channel}", post(alerts::test))
        .route("/api/v1/reviews/{id}", put(alerts::change_review))
        .route("/api/v1/reports/{name}/send", post(reports::send))
        .route("/api/v1/plans/{agent}", put(plans::save))
        .route("/api/v1/agents", put(agents::put_all))
        .route("/api/v1/agents/{name}", put(agents::put))
        .route("/api/v1/budgets/{name}", put(budgets::put).delete(budgets::remove))
        .route("/api/v1/budgets/{name}/top-up", post(budgets::top_up))
        .route("/api/v1/budgets/{name}/release-kept", post(budgets::release_kept))
        .route("/api/v1/budgets/release/{instance}", post(budgets::release))
        .route("/api/v1/reprice", post(corrections::apply))
}

/// What binds others.
fn binding() -> Router<Arc<App>> {
    Router::new().route("/api/v1/months/{month}", put(corrections::close))
}

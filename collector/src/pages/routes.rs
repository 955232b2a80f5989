//! Every page, and what each answer of one has.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::session::Shared;
use super::views::{
    agents, alerts, api, budgets, compare, estimate, governance, overview, prices, prompts, records, runs,
    search, spend, statements, system, what_if,
};
use super::visitor::Site;
use super::{assets, frame, live, sign_in, visitor};
use crate::api::error::no_such_path;
use crate::work::app::App;

/// All pages. `api` is what they ask.
pub fn routes(app: Arc<App>, api: Router, sessions: Shared) -> Router {
    Router::new()
        .merge(looking())
        .merge(changing())
        .route("/sign-in", get(sign_in::ask).post(sign_in::sign_in))
        .route(&format!("{}/{{name}}", assets::FOLDER), get(assets::one))
        .with_state(Site { app, api, sessions })
}

/// What is sent as it comes about, so that it cannot be kept or compressed as a whole.
pub fn streams(app: Arc<App>, api: Router, sessions: Shared) -> Router {
    Router::new().route("/live", get(live::listen)).with_state(Site { app, api, sessions })
}

fn looking() -> Router<Site> {
    Router::new()
        .route("/", get(overview::show))
        .route("/search", get(search::show))
        .route("/compare", get(compare::show))
        .route("/agents", get(spend::agents))
        .route("/agents/{name}", get(agents::one))
        .route("/teams", get(spend::teams))
        .route("/teams/{name}", get(spend::team))
        .route("/features", get(spend::features))
        .route("/features/{name}", get(spend::feature))
        .route("/models", get(spend::models))
        .route("/models/{name}", get(spend::model))
        .route("/environments", get(spend::environments))
        .route("/environments/{name}", get(spend::environment))
        .route("/providers", get(spend::providers))
        .route("/providers/{name}", get(spend::provider))
        .route("/budgets", get(budgets::list).post(budgets::create))
        .route("/budgets/{name}", get(budgets::one))
        .route("/alerts", get(alerts::alerts))
        .route("/anomalies", get(alerts::anomalies))
        .route("/reviews", get(alerts::reviews))
        .route("/registry", get(governance::registry))
        .route("/allow", get(governance::allow))
        .route("/records", get(records::list))
        .route("/records/{id}", get(records::one))
        .route("/runs", get(runs::list))
        .route("/runs/{run}", get(runs::one))
        .route("/prompts", get(prompts::show))
        .route("/what-if", get(what_if::show))
        .route(ESTIMATE, get(estimate::show))
        .route("/estimate/prices", get(estimate::prices))
        .route("/statements", get(statements::show))
        .route("/reconcile", get(statements::reconcile))
        .route("/prices", get(prices::show))
        .route("/audit", get(system::audit))
        .route("/gateways", get(system::gateways))
        .route("/settings", get(system::settings))
        .route("/api", get(api::show))
}

fn changing() -> Router<Site> {
    Router::new()
        .route("/sign-out", post(sign_in::sign_out))
        .route("/budgets/{name}/top-up", post(budgets::top_up))
        .route("/budgets/{name}/limit", post(budgets::limit))
        .route("/budgets/{name}/define", post(budgets::define))
        .route("/reviews/{id}", post(alerts::change_review))
        .route("/registry/{name}", post(governance::register))
        .route("/reconcile", post(statements::compare))
        .route("/estimate/keep", post(estimate::keep))
}

/// Lets a browser that is signed in read the API by links, such as those to files: only reading, as a cookie
/// goes along by itself.
pub async fn by_cookie(
    State((app, sessions)): State<(Arc<App>, Shared)>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.method() == Method::GET
        && let Some(shown) = visitor::shown(&app, &sessions, request.headers())
    {
        request.extensions_mut().insert(shown);
    }
    next.run(request).await
}

/// Puts on every answer what keeps it here: nothing from elsewhere, in no frame, in no cache.
pub async fn private(request: Request, next: Next) -> Response {
    let is_asset = request.uri().path().starts_with(assets::FOLDER);
    let policy = if request.uri().path() == ESTIMATE { POLICY_OF_MODULES } else { POLICY };
    let response = next.run(request).await;
    let may_be_kept = is_asset && response.status() == StatusCode::OK;
    guarded(response, if may_be_kept { assets::FOR_EVER } else { "no-store" }, policy)
}

fn guarded(mut response: Response, cache: &'static str, policy: &'static str) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // With `no-referrer`, browsers would not say either that a form comes from here.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (CACHE_CONTROL, cache),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Answers a path that is no route: a page for whoever takes pages, else as the API does.
pub async fn missing(uri: Uri, headers: HeaderMap) -> Response {
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match accepts.contains("text/html") {
        true => guarded(frame::missing(uri.path()), "no-store", POLICY),
        false => no_such_path(uri).await.into_response(),
    }
}

/// Nothing inline, nothing from elsewhere, forms to here only, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The same with WebAssembly, for the one page that has a module.
const POLICY_OF_MODULES: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
                                 img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
                                 frame-ancestors 'none'";
const ESTIMATE: &str = "/estimate";

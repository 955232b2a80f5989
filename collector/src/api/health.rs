//! Whether the collector lives and works, and its metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::model::answers::collector::{Alive, Readiness, ReadinessStatus};
use crate::model::clock::{now_ms, signed};
use crate::work::app::App;

/// `GET /healthz`: the process runs.
pub async fn alive() -> Response {
    Json(Alive { status: "ok".to_owned() }).into_response()
}

/// `GET /readyz`: records can be stored and questions answered.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.store.ready().await {
        // The configuration from before works on, so a mistake in the one on disk is told and does not stop
        // anything.
        Ok(()) => {
            let status = ReadinessStatus::Ready;
            let answer = Readiness { status, reason: None, configuration_not_used: app.config_error() };
            Json(answer).into_response()
        }
        Err(error) => {
            let status = ReadinessStatus::NotReady;
            let reason = Some(error.to_string());
            let answer = Readiness { status, reason, configuration_not_used: None };
            (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
        }
    }
}

/// `GET /metrics`, in Prometheus' text, or OpenMetrics where that is asked for.
pub async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let since = signed(now_ms().saturating_sub(LIVE_MS));
    // What the store cannot say now keeps its last value; the other metrics matter most just then.
    if let (Ok(dropped), Ok(instances)) =
        (app.store.dropped().await, app.store.instances_seen_since(since).await)
    {
        app.metrics.set_gateways(dropped, instances);
    }
    if let Ok(accounts) = app.store.booked_accounts().await {
        app.metrics.set_accounts(&accounts);
    }
    if let Ok(outbox) = app.store.outbox().await {
        app.metrics.set_outbox(outbox);
    }
    if let Ok(space) = app.store.space().await {
        app.metrics.set_space(space);
    }
    let config = app.config();
    if let Err(error) = app.metrics.spend.refresh(&app.store, &config.metrics, now_ms()).await {
        tracing::warn!(%error, "Metrics of spend and budgets could not be brought up to date");
    }
    let gen_ai = config.metrics.gen_ai;
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
    if open {
        ([(CONTENT_TYPE, OPEN_METRICS)], app.metrics.open_metrics(gen_ai)).into_response()
    } else {
        ([(CONTENT_TYPE, PROMETHEUS)], app.metrics.prometheus(gen_ai)).into_response()
    }
}

/// A gateway instance counts as live for this long after it reported.
const LIVE_MS: u64 = 60_000;
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

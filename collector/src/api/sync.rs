//! `POST /v1/sync`: gateways report, and hear what was kept.

mod rows;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse, Response};
use tollgate_core::sync::{PROTOCOL, SyncAnswer};
use tracing::{debug, warn};

use super::error::ApiError;
use crate::app::{App, now_ms};
use crate::ingest::{self, Accepted, NotUnderstood};
use crate::metrics::{Metrics, SyncResult};

/// Stores what a gateway sends, and answers after the commit.
pub async fn sync(State(app): State<Arc<App>>, request: Request) -> Response {
    let (result, response) = match answer(&app, request).await {
        Ok(answer) => (SyncResult::Ok, Json(answer).into_response()),
        Err((result, error)) => (result, error.into_response()),
    };
    app.metrics.count_sync(result);
    response
}

async fn answer(app: &Arc<App>, request: Request) -> Result<SyncAnswer, (SyncResult, ApiError)> {
    if !is_authorized(app, request.headers()) {
        return Err((SyncResult::Unauthorized, ApiError::unauthorized()));
    }
    let stopped = || {
        let error = ApiError::unavailable("the collector is stopping");
        (SyncResult::Failed, error)
    };
    let _permit = app.syncs.acquire().await.map_err(|_| stopped())?;
    let body = read(request).await?;
    let accepted = {
        let app = Arc::clone(app);
        let accept = move || ingest::accept(&body, &app.prices.book(), now_ms());
        // Reading 4 MiB of JSON takes longer than other requests should wait.
        tokio::task::spawn_blocking(accept).await.map_err(|_| stopped())?
    };
    let accepted = accepted.map_err(|error| {
        let result = match error {
            NotUnderstood::Protocol(_) => SyncResult::Protocol,
            NotUnderstood::Invalid(_) => SyncResult::Invalid,
        };
        warn!(%error, "A sync request was not understood");
        (result, ApiError::from(error))
    })?;
    store(app, accepted).await.map_err(|error| (SyncResult::Failed, error))
}

async fn store(app: &App, accepted: Accepted) -> Result<SyncAnswer, ApiError> {
    count_accepted(&app.metrics, &accepted);
    let Accepted { batch, rejected, models, policy_version, counters, .. } = accepted;
    let records = batch.len();
    let sender = batch.sender.clone();
    let stored = app.store.ingest(batch).await.inspect_err(|_| {
        app.metrics.records_failed.inc_by(wide(records));
    })?;
    app.metrics.records_stored.inc_by(stored.stored);
    app.metrics.records_duplicate.inc_by(stored.duplicates);
    app.metrics.commit_seconds.observe(stored.took.as_secs_f64());
    debug!(
        gateway = sender.gateway,
        sequence = sender.sequence,
        stored = stored.stored,
        duplicates = stored.duplicates,
        "Synced with gateway `{}`",
        sender.gateway
    );
    if let Some((first, _)) = rejected.first() {
        warn!(
            gateway = sender.gateway,
            rejected = rejected.len(),
            reason = first.reason,
            "Records of gateway `{}` were refused",
            sender.gateway
        );
    }
    let held = app.prices.held();
    let prices = rows::for_gateway(app, &held.book, sender.price_version.as_deref(), &models).await?;
    let now = now_ms();
    let grants = match counters.is_empty() {
        true => Vec::new(),
        false => {
            app.store.sync_counters(sender.gateway.clone(), sender.instance.clone(), counters, now).await?
        }
    };
    let policy = app.budgets.policy(held.unpriced, now);
    Ok(SyncAnswer {
        protocol: PROTOCOL,
        now_ms: now,
        ack: sender.sequence,
        stored: stored.stored,
        duplicates: stored.duplicates,
        rejected: rejected.into_iter().map(|(record, _)| record).collect(),
        prices,
        unpriced: held.unpriced,
        policy: (policy_version.as_ref() != Some(&policy.version)).then_some(policy),
        grants,
    })
}

fn count_accepted(metrics: &Metrics, accepted: &Accepted) {
    metrics.records_received.inc_by(wide(accepted.received));
    metrics.records_priced.inc_by(accepted.priced);
    for (_, refusal) in &accepted.rejected {
        metrics.count_rejected(*refusal);
    }
}

fn is_authorized(app: &App, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let token = value.as_bytes().split_at_checked(BEARER.len());
    token.is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case(BEARER) && app.ingest_token.is(token))
}

/// Reads a body. One that is too long is read on for a while and thrown away, so that its sender is still
/// there to hear the answer.
async fn read(request: Request) -> Result<Vec<u8>, (SyncResult, ApiError)> {
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    let mut length = 0usize;
    while length <= DISCARDED_BYTES_MAX
        && let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        let frame = frame.map_err(|_| (SyncResult::Invalid, ApiError::broken_body()))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= BODY_BYTES_MAX {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
        }
    }
    if length > BODY_BYTES_MAX {
        return Err((SyncResult::TooLarge, ApiError::body_too_large(BODY_BYTES_MAX)));
    }
    Ok(bytes)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Longest body that is kept.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Of a longer body, this much is read before it is refused.
const DISCARDED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;
/// Before the token in the header.
const BEARER: &[u8] = b"Bearer ";

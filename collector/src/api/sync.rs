//! `POST /v1/sync`: gateways report, and hear what was kept.

mod rows;

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::value::to_raw_value;
use tollgate_core::protocol::sync::{CounterGrant, PROTOCOL, RejectedRecord, SyncAnswer};
use tracing::{debug, warn};

use super::error::ApiError;
use crate::model::clock::now_ms;
use crate::model::refusal::Refusal;
use crate::model::role::Role;
use crate::work::app::App;
use crate::work::fleet::Envoy;
use crate::work::ingest::{self, Accepted, NotUnderstood};
use crate::work::metrics::{Metrics, SyncResult};

/// Stores what a gateway sends, and answers after the commit.
pub async fn sync(State(app): State<Arc<App>>, request: Request) -> Response {
    let (result, response) = match answer(&app, request).await {
        Ok((result, answer)) => (result, Json(answer).into_response()),
        Err((result, error)) => (result, error.into_response()),
    };
    app.metrics.count_sync(result);
    response
}

async fn answer(
    app: &Arc<App>,
    request: Request,
) -> Result<(SyncResult, SyncAnswer), (SyncResult, ApiError)> {
    let Some(caller) = app.access.caller(request.headers(), Role::Ingest) else {
        if app.access.is_wrong(request.headers()) {
            app.wrong_tokens.note(&app.metrics, request.uri().path()).await;
        }
        return Err((SyncResult::Unauthorized, ApiError::unauthorized()));
    };
    let stopped = || {
        let error = ApiError::unavailable("the collector is stopping");
        (SyncResult::Failed, error)
    };
    // A place is for who has said all: half a request takes none.
    let body = read(request).await?;
    // Whoever waits longer hears so, and keeps its records meanwhile.
    let permit = tokio::time::timeout(PERMIT_WAITS, app.syncs.acquire()).await;
    let _permit = permit.map_err(|_| (SyncResult::Busy, ApiError::busy()))?.map_err(|_| stopped())?;
    let accepted = {
        let app = Arc::clone(app);
        let accept = move || ingest::accept(&body, &app.prices.book(), &caller.gateways, now_ms());
        // Reading 4 MiB of JSON takes longer than other requests should wait.
        tokio::task::spawn_blocking(accept).await.map_err(|_| stopped())?
    };
    let accepted = accepted.map_err(|error| {
        let result = match error {
            NotUnderstood::Protocol(_) => SyncResult::Protocol,
            NotUnderstood::Invalid(_) => SyncResult::Invalid,
            NotUnderstood::OtherGateway { .. } => SyncResult::WrongGateway,
        };
        warn!(%error, "A sync request was not understood");
        (result, ApiError::from(error))
    })?;
    store(app, accepted).await.map_err(|error| (SyncResult::Failed, error))
}

async fn store(app: &App, accepted: Accepted) -> Result<(SyncResult, SyncAnswer), ApiError> {
    let sender = accepted.batch.sender.clone();
    let (models, adds_rows) = (accepted.models.clone(), accepted.adds_rows);
    let (policy_version, stops_heard) = (accepted.policy_version.clone(), accepted.stops_heard);
    let envoy = Envoy::of(&accepted, now_ms());
    let kept = keep(app, accepted).await?;
    debug!(
        gateway = sender.gateway,
        sequence = sender.sequence,
        stored = kept.stored,
        folded = kept.folded,
        duplicates = kept.duplicates,
        "Synced with gateway `{}`",
        sender.gateway
    );
    if let Some(first) = kept.rejected.first() {
        warn!(
            gateway = sender.gateway,
            rejected = kept.rejected.len(),
            reason = first.reason,
            "Records of gateway `{}` were refused",
            sender.gateway
        );
    }
    let held = app.prices.held();
    let asked = rows::Asked { version: sender.price_version.as_deref(), models: &models, adds_rows };
    let prices = rows::for_gateway(app, &held.book, asked).await?;
    let now = now_ms();
    app.budgets.refresh(&app.store).await?;
    let policy = app.budgets.policy(&held, now);
    // Its own, as what is shared of a policy may not be held while others work.
    let limits = policy.rules.runs.clone();
    let stopped = app.stopping.since(&app.store, &limits, stops_heard, now).await?;
    app.fleet.note(&sender.gateway, &sender.instance, envoy);
    let is_other = policy_version.as_ref() != Some(&policy.version);
    // All of it has a form in JSON; else the gateway would go on with what it holds.
    let policy_json = is_other.then(|| to_raw_value(&policy).ok()).flatten();
    let result = if kept.out_of_order { SyncResult::OutOfOrder } else { SyncResult::Ok };
    let answer = SyncAnswer {
        protocol: PROTOCOL,
        now_ms: now,
        ack: sender.sequence,
        stored: kept.stored,
        duplicates: kept.duplicates,
        rejected: kept.rejected,
        prices: prices.and_then(|part| to_raw_value(&part).ok()),
        unpriced: held.unpriced,
        policy: policy_json,
        grants: kept.grants,
        stopped,
    };
    Ok((result, answer))
}

/// What became of the records of a request.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) stored: u64,
    pub(super) folded: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: bool,
    pub(super) rejected: Vec<RejectedRecord>,
    pub(super) grants: Vec<CounterGrant>,
}

/// Stores records that were accepted, and counts what became of all.
pub(super) async fn keep(app: &App, mut accepted: Accepted) -> Result<Kept, ApiError> {
    count_accepted(&app.metrics, &accepted);
    let batch = std::mem::take(&mut accepted.batch);
    let rejected = wide(accepted.rejected.len());
    let records = accepted.records.saturating_sub(rejected);
    let stored = app.store.ingest(batch).await.inspect_err(|_| {
        app.metrics.records_failed.inc_by(records);
    })?;
    app.metrics.records_stored.inc_by(stored.stored);
    app.metrics.records_folded.inc_by(stored.folded);
    app.metrics.records_duplicate.inc_by(stored.duplicates);
    app.metrics.commit_seconds.observe(stored.took.as_secs_f64());
    if app.config().metrics.gen_ai {
        let too_late = stored.too_late.iter().map(|(place, _)| place);
        let not_new: HashSet<usize> = stored.known.iter().chain(too_late).copied().collect();
        let observations = std::mem::take(&mut accepted.observations).into_iter().enumerate();
        for (_, observation) in observations.filter(|(place, _)| !not_new.contains(place)) {
            observation.into_iter().for_each(|one| app.metrics.gen_ai.observe(one));
        }
    }
    let too_late = stored.too_late.iter().map(|(place, time_ms)| RejectedRecord {
        index: accepted.index_of(*place),
        reason: format!(
            "`time_ms` is {time_ms}; records are kept from {} on, so it may have been counted already",
            stored.kept_since_ms
        ),
    });
    let mut rejected: Vec<_> = too_late.collect();
    for _ in &rejected {
        app.metrics.count_rejected(Refusal::TooLate);
    }
    rejected.extend(accepted.rejected.into_iter().map(|(record, _)| record));
    rejected.sort_by_key(|record| record.index);
    Ok(Kept {
        stored: stored.stored,
        folded: stored.folded,
        duplicates: stored.duplicates,
        out_of_order: stored.out_of_order,
        rejected,
        grants: stored.grants,
    })
}

fn count_accepted(metrics: &Metrics, accepted: &Accepted) {
    metrics.records_received.inc_by(accepted.records);
    metrics.records_priced.inc_by(accepted.priced);
    metrics.reports_refused.inc_by(wide(accepted.impossible.len()));
    if let Some(first) = accepted.impossible.first() {
        let gateway = &accepted.batch.sender.gateway;
        warn!(
            gateway,
            reports = accepted.impossible.len(),
            reason = first,
            "Impossible counter reports of gateway `{gateway}` were refused"
        );
    }
    for (_, refusal) in &accepted.rejected {
        metrics.count_rejected(*refusal);
    }
}

/// Reads a body. One that is too long is read on for a while and thrown away, so that its sender is still
/// there to hear the answer.
pub(super) async fn read(request: Request) -> Result<Vec<u8>, (SyncResult, ApiError)> {
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

pub(super) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// How long a request waits for its turn before its sender is asked to come again: less than the five seconds
/// after which a gateway gives up by default, so that it hears so.
const PERMIT_WAITS: Duration = Duration::from_secs(3);
/// Longest body that is kept.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Of a longer body, this much is read before it is refused.
const DISCARDED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

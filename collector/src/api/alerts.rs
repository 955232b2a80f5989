//! `/api/v1/alerts`: decisions and their deliveries; a test of a channel; `/api/v1/reviews`: budgets that
//! were passed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error::ApiError;
use super::extract::{Segment, TextBody};
use super::params::{Paging, Params, page};
use crate::model::alert::{Alert, Event};
use crate::model::answers::alerts::{AlertRow, ReviewRow, TestMessage};
use crate::model::clock::{now_ms, rfc3339};
use crate::store::{AlertCursor, Review, ReviewChange, StoredAlert};
use crate::work::access::Caller;
use crate::work::alerts::deliver::{Outcome, deliver};
use crate::work::alerts::message::{Item, Message};
use crate::work::alerts::run::base_url;
use crate::work::app::App;

/// `GET /api/v1/alerts`: decisions, the newest first, in pages of `limit` that go on at `cursor`.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn list(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let only_open = match params.one("state")?.as_deref() {
        None | Some("all") => false,
        Some("open") => true,
        Some(other) => return Err(ApiError::parameter(format!("`state` is `{other}`, not `open` or `all`"))),
    };
    let Paging { limit, after } = Paging::<AlertCursor>::read(&mut params)?;
    params.finish()?;
    let (alerts, next) = app.store.alerts(only_open, limit, after).await?;
    Ok(page(alerts.into_iter().map(shown).collect(), next))
}

/// `POST /api/v1/alerts/test/{channel}`: sends a message that says it is a test.
///
/// # Errors
/// When there is no such channel, and when the message is not taken.
pub async fn test(
    State(app): State<Arc<App>>,
    Segment(name): Segment,
    caller: Caller,
) -> Result<Response, ApiError> {
    let config = app.config();
    let channel = config.alerts.channels.get(&name).cloned();
    let channel = channel.ok_or_else(|| ApiError::not_found(format!("there is no channel `{name}`")))?;
    let now = now_ms();
    let alert = Alert {
        rule: "test".into(),
        scope: "all".into(),
        window: now.to_string(),
        severity: "info".into(),
        title: format!("this is a test of channel {name}, asked for by {}", caller.name),
        since_ms: now,
        link: "/api/v1/alerts".into(),
        ..Alert::default()
    }
    .with_id();
    let id = alert.id.clone();
    let item = Item { alert, event: Event::Opened, at_ms: now, zone: channel.zone.clone() };
    let message = Message { id: id.clone(), items: vec![item], base_url: base_url(&config) };
    let sent = tokio::task::spawn_blocking(move || deliver(&channel, &message, now)).await;
    match sent {
        Ok(Outcome::Delivered) => {
            Ok(Json(TestMessage { channel: name, delivered: true, id }).into_response())
        }
        Ok(Outcome::Later(error, _) | Outcome::Never(error)) => {
            Err(ApiError::not_delivered(format!("channel `{name}` does not take it: {error}")))
        }
        Err(_) => Err(ApiError::unavailable("the collector is stopping")),
    }
}

/// `GET /api/v1/reviews`: open ones first, in pages of `limit` that go on at `cursor`.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn reviews(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let Paging { limit, after } = Paging::read(&mut params)?;
    params.finish()?;
    let (reviews, next) = app.store.reviews(limit, after).await?;
    Ok(page(reviews.into_iter().map(shown_review).collect(), next))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    owner: Option<String>,
    note: Option<String>,
    closed: Option<bool>,
}

/// `PUT /api/v1/reviews/{id}`: `{"owner","note","closed"}`, each as far as it is to change.
///
/// # Errors
/// For a body that cannot be used, a review that is not there, and when the store fails.
pub async fn change_review(
    State(app): State<Arc<App>>,
    Segment(id): Segment,
    caller: Caller,
    TextBody(body): TextBody,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found(format!("there is no review `{id}`"));
    let number: i64 = id.parse().map_err(|_| missing())?;
    let change: Change = serde_json::from_str(&body).map_err(|error| {
        ApiError::body(format!("the body is not {{\"owner\",\"note\",\"closed\"}}: {error}"))
    })?;
    let texts = [&change.owner, &change.note];
    if texts.into_iter().flatten().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(ApiError::body(format!("`owner` and `note` may have {TEXT_BYTES_MAX} bytes")));
    }
    let change = ReviewChange { owner: change.owner, note: change.note, closed: change.closed };
    let changed = app.store.change_review(number, change, caller.entry("review.change", &id)).await?;
    Ok(Json(shown_review(changed.ok_or_else(missing)?)).into_response())
}

fn shown(stored: StoredAlert) -> AlertRow {
    let alert = stored.alert;
    AlertRow {
        id: alert.id,
        rule: alert.rule,
        scope: alert.scope,
        window: alert.window,
        threshold: alert.threshold,
        severity: alert.severity,
        title: alert.title,
        facts: alert.facts.into_iter().collect(),
        since: rfc3339(alert.since_ms),
        link: alert.link,
        decided: rfc3339(stored.decided_ms),
        resolved: stored.resolved_ms.and_then(rfc3339),
        deliveries: stored.deliveries,
    }
}

fn shown_review(review: Review) -> ReviewRow {
    ReviewRow {
        id: review.id,
        budget: review.budget,
        agent: review.agent,
        window: review.window,
        title: review.title,
        opened: rfc3339(review.opened_ms),
        owner: review.owner,
        note: review.note,
        closed: review.closed_ms.and_then(rfc3339),
        closed_by: review.closed_by,
    }
}

const TEXT_BYTES_MAX: usize = 4_096;

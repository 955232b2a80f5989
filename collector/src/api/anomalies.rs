//! `GET /api/v1/anomalies`: what agents did that they usually do not, and why.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::SignedDuration;

use super::error::ApiError;
use super::params::{Paging, Params, page};
use super::period::Period;
use crate::model::anomaly::Episode;
use crate::model::answers::anomalies::AnomalyRow;
use crate::model::clock::{self, millis, now_ms, rfc3339};
use crate::store::EpisodesQuery;
use crate::work::anomalies::run::LASTS_MS;
use crate::work::app::App;

/// Answers findings of the last day, or since the time asked for, the newest first, in pages of `limit` that
/// go on at `cursor`.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn list(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let now = clock::now();
    let period = Period::read(&mut params, now)?;
    let agents = params.all("agent");
    let Paging { limit, after } = Paging::read(&mut params)?;
    params.finish()?;
    let from = period.from.unwrap_or_else(|| now.checked_sub(SignedDuration::from_hours(24)).unwrap_or(now));
    let query = EpisodesQuery {
        since_ms: millis(from),
        until_ms: period.to.map_or(u64::MAX, millis),
        agents,
        limit,
        after,
    };
    let (episodes, next) = app.store.episodes(query).await?;
    Ok(page(episodes.into_iter().map(shown).collect(), next))
}

fn shown(episode: Episode) -> AnomalyRow {
    let finding = episode.finding;
    AnomalyRow {
        agent: episode.agent,
        kind: finding.kind,
        start: rfc3339(episode.start_ms),
        last: rfc3339(episode.last_ms),
        ongoing: episode.last_ms.saturating_add(LASTS_MS) > now_ms(),
        window_minutes: finding.window_minutes,
        value: finding.value,
        expected: finding.expected,
        score: finding.score,
        detail: finding.detail,
        drivers: episode.drivers,
    }
}

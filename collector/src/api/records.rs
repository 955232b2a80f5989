//! `GET /api/v1/records`: calls one by one, newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tollgate_core::price::CostStatus;
use tollgate_core::record::{Head, Outcome, UsageRecord};

use super::error::ApiError;
use super::extract::Segment;
use super::params::{Paging, Params, listed};
use super::period::Period;
use crate::model::answers::records::{RecordRow, RecordsPage};
use crate::store::RecordsQuery;
use crate::work::app::App;

/// Answers a page.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let page = app.store.records(query(params, Timestamp::now())?).await?;
    let next_cursor = page.next.map(|cursor| cursor.to_string());
    Ok(Json(RecordsPage { rows: page.records.into_iter().map(shown).collect(), next_cursor }).into_response())
}

/// Answers one record.
///
/// # Errors
/// When there is none with this id, and when the store fails.
pub async fn one(State(app): State<Arc<App>>, Segment(id): Segment) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("there is no record with this id");
    let id = id.parse().map_err(|_| missing())?;
    let record = app.store.record(id).await?.ok_or_else(missing)?;
    Ok(Json(shown(record)).into_response())
}

fn query(mut params: Params, now: Timestamp) -> Result<RecordsQuery, ApiError> {
    let period = Period::read(&mut params, now)?;
    let Paging { limit, after } = Paging::read(&mut params)?;
    let query = RecordsQuery {
        from_ms: period.from.map(Timestamp::as_millisecond),
        to_ms: period.to.map(Timestamp::as_millisecond),
        filters: params.filters(),
        outcomes: words(&mut params, "outcome", &OUTCOMES, Outcome::name)?,
        cost_statuses: words(&mut params, "cost_status", &COST_STATUSES, CostStatus::name)?,
        limit,
        after,
    };
    params.finish()?;
    Ok(query)
}

fn words<T: Copy>(
    params: &mut Params,
    name: &'static str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> Result<Vec<T>, ApiError> {
    let parse = |given: String| {
        let found = all.iter().copied().find(|one| word(*one) == given);
        found.ok_or_else(|| {
            let words = listed(all.iter().map(|one| word(*one)));
            ApiError::parameter(format!("`{name}` is `{given}`, not one of {words}"))
        })
    };
    params.all(name).into_iter().map(parse).collect()
}

/// A record as the API shows it: with `time` instead of milliseconds.
// Long: each field of a record is named, so that none is forgotten.
fn shown(record: UsageRecord) -> RecordRow {
    // Destructured, so that a new field of a record cannot be forgotten here.
    let UsageRecord {
        head:
            Head {
                id,
                time_ms,
                gateway,
                attribution,
                attribution_source,
                key_id,
                provider,
                operation,
                request_model,
                response_model,
                service_tier,
            },
        stream,
        status,
        outcome,
        usage,
        shares,
        usage_estimated,
        charges,
        cost_usd,
        cost_status,
        cost_source,
        provider_cost_usd,
        charged_usd,
        price_version,
        price_basis,
        policy_version,
        attempts,
        duration_ms,
        first_byte_ms,
        request_bytes,
        response_bytes,
        prompt,
        request_hash,
        work,
        notes,
    } = record;
    let instant = i64::try_from(time_ms).map(Timestamp::from_millisecond);
    RecordRow {
        id,
        time: instant.map_or_else(|_| String::new(), |time| time.unwrap_or_default().to_string()),
        gateway,
        attribution,
        attribution_source,
        key_id,
        provider,
        operation,
        request_model,
        response_model,
        service_tier,
        stream,
        status,
        outcome,
        usage,
        shares,
        usage_estimated,
        charges,
        cost_usd,
        cost_status,
        cost_source,
        provider_cost_usd,
        charged_usd,
        price_version,
        price_basis,
        policy_version,
        attempts,
        duration_ms,
        first_byte_ms,
        request_bytes,
        response_bytes,
        prompt,
        request_hash,
        work,
        notes,
    }
}
const OUTCOMES: [Outcome; 5] =
    [Outcome::Ok, Outcome::Error, Outcome::ClientAbort, Outcome::UpstreamAbort, Outcome::Denied];
const COST_STATUSES: [CostStatus; 4] =
    [CostStatus::Measured, CostStatus::Estimated, CostStatus::Unpriced, CostStatus::Free];

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeMap;

    use tollgate_core::money::Picodollars;
    use tollgate_core::record::{Note, Work};

    /// Every field of a stored record is shown, `time_ms` as `time`.
    #[test]
    fn a_row_has_every_field_of_its_record() {
        let record = UsageRecord {
            head: Head { time_ms: 1_763_900_000_123, ..Head::default() },
            provider_cost_usd: Some(Picodollars::from_pico(1)),
            charged_usd: Some(Picodollars::from_pico(1)),
            attempts: Some(2),
            request_hash: Some("aa".into()),
            work: Some(Box::new(Work { fetched: Some("resp_1".into()), ..Work::default() })),
            notes: vec![Note::NoUsage],
            ..UsageRecord::default()
        };
        let names = |value: &serde_json::Value| -> BTreeMap<String, serde_json::Value> {
            value.as_object().unwrap().clone().into_iter().collect()
        };
        let mut stored = names(&serde_json::to_value(&record).unwrap());
        let mut shown = names(&serde_json::to_value(super::shown(record)).unwrap());
        stored.remove("time_ms");
        assert_eq!(shown.remove("time").unwrap(), "2025-11-23T12:13:20.123Z");
        assert_eq!(shown.remove("charges").unwrap(), serde_json::json!([]));
        assert_eq!(shown, stored);
    }
}

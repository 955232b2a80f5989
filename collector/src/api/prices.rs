//! `GET /api/v1/prices`: what the collector's book says; `GET /api/v1/prices/missing`: models that have no
//! price; `GET /api/v1/prices/drift`: rows whose charges and the providers' own words differ.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Price, PricedModel, Sheet, Variant, day};

use super::error::ApiError;
use super::params::Params;
use super::period::Period;
use crate::model::clock::{MS_PER_HOUR, now_ms};
use crate::model::dimension::Dimension;
use crate::model::drift::{Drift, percent};
use crate::store::{Every, SummaryQuery};
use crate::work::app::App;

/// Answers models with their prices: by `provider`, by `model` (any name of it), as of `at`.
///
/// # Errors
/// For parameters that cannot be used.
pub async fn list(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let (provider, model) = (params.one("provider")?, params.one("model")?);
    let at = params.one("at")?.map(|text| {
        let wrong = || ApiError::parameter(format!("`at` is `{text}`, not a day such as `2026-11-01`"));
        tollgate_core::price::day_ms(&text).ok_or_else(wrong)
    });
    let (at_ms, history) = (at.transpose()?.unwrap_or_else(now_ms), params.one("history")?.is_some());
    params.finish()?;
    let held = app.prices.held();
    let is_asked = |row: &&PricedModel| {
        provider.as_ref().is_none_or(|provider| row.provider == *provider)
            && model.as_ref().is_none_or(|model| {
                let found = held.book.find(&row.provider, model, at_ms);
                found.is_some_and(|found| std::ptr::eq(found.model, *row))
            })
    };
    let rows: Vec<Row<'_>> =
        held.book.models().iter().filter(is_asked).map(|model| Row::of(model, at_ms, history)).collect();
    let answer = json!({
        "version": held.book.version(),
        "unpriced": held.unpriced,
        "names": held.book.maps(),
        "rows": rows,
    });
    Ok(Json(answer).into_response())
}

/// Answers models of recorded calls that had no price for all they used.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn missing(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let now = Timestamp::now();
    let period = Period::read(&mut params, now)?;
    let filters = params.filters();
    params.finish()?;
    let hour = |time: Timestamp| time.as_millisecond().div_euclid(MS_PER_HOUR);
    let query = SummaryQuery {
        from_hour: period.from.map_or(0, hour),
        to_hour: period.to.map_or_else(|| hour(now).saturating_add(1), hour),
        by: vec![
            Dimension::Provider,
            Dimension::RequestModel,
            Dimension::ResponseModel,
            Dimension::ServiceTier,
        ],
        every: Every::Period,
        zone: period.zone,
        filters,
    };
    let summary = app.store.summary(query).await?;
    let book = app.prices.book();
    let mut rows: Vec<Missing> = summary
        .rows
        .into_iter()
        .filter(|row| row.totals.unpriced_calls > 0)
        .map(|row| {
            let mut values = row.values.into_iter().map(Option::unwrap_or_default);
            let mut next = || values.next().unwrap_or_default();
            let (provider, request_model) = (next(), next());
            let (response_model, service_tier) = (next(), next());
            let found = [&response_model, &request_model]
                .into_iter()
                .any(|name| !name.is_empty() && book.find(&provider, name, now_ms()).is_some());
            Missing {
                why: if found { "the row has no price for all of it, or had none then" } else { "no row" },
                provider,
                request_model,
                response_model,
                service_tier,
                unpriced_calls: row.totals.unpriced_calls,
                input_tokens: row.totals.input_tokens,
                output_tokens: row.totals.output_tokens,
            }
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.unpriced_calls));
    Ok(Json(json!({ "version": book.version(), "rows": rows })).into_response())
}

/// Answers rows of the book whose charges and the providers' own words differ by more than 1 %, over the last
/// seven days where no period is named.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn drift(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let now = Timestamp::now();
    let period = Period::read(&mut params, now)?;
    let filters = params.filters();
    params.finish()?;
    let hour = |time: Timestamp| time.as_millisecond().div_euclid(MS_PER_HOUR);
    let to_hour = period.to.map_or_else(|| hour(now).saturating_add(1), hour);
    let from_hour = period.from.map_or_else(|| to_hour.saturating_sub(DRIFT_HOURS), hour);
    let rows = app.store.drift(from_hour, to_hour, filters).await?;
    let rows: Vec<DriftRow> = rows.into_iter().map(DriftRow::of).collect();
    Ok(Json(json!({ "version": app.prices.book().version(), "rows": rows })).into_response())
}

#[derive(Debug, Serialize)]
struct DriftRow {
    provider: String,
    model: String,
    calls: u64,
    off_calls: u64,
    doubted_calls: u64,
    without_price: u64,
    book_usd: Picodollars,
    provider_usd: Picodollars,
    difference_usd: Picodollars,
    difference_percent: String,
}

impl DriftRow {
    fn of(Drift { provider, model, reported }: Drift) -> Self {
        Self {
            provider,
            model,
            calls: reported.calls,
            off_calls: reported.off_calls,
            doubted_calls: reported.doubted_calls,
            without_price: reported.without_price,
            book_usd: reported.book,
            provider_usd: reported.provider,
            difference_usd: reported.book - reported.provider,
            difference_percent: percent(reported.off_by()),
        }
    }
}

#[derive(Debug, Serialize)]
struct Missing {
    provider: String,
    request_model: String,
    response_model: String,
    service_tier: String,
    unpriced_calls: u64,
    input_tokens: u64,
    output_tokens: u64,
    why: &'static str,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    provider: &'a str,
    model: &'a str,
    names: Vec<&'a str>,
    snapshots_of: &'a [String],
    prices: Vec<PriceRow<'a>>,
}

impl<'a> Row<'a> {
    fn of(model: &'a PricedModel, at_ms: u64, history: bool) -> Self {
        let prices = model.prices.iter().filter(|price| history || price.holds_at(at_ms));
        Self {
            provider: &model.provider,
            model: &model.id,
            names: model.names().skip(1).collect(),
            snapshots_of: &model.dated,
            prices: prices.map(PriceRow::of).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct PriceRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    source: &'a str,
    checked: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<&'a str>,
    #[serde(flatten)]
    standard: &'a Sheet,
    variants: Vec<VariantRow<'a>>,
}

impl<'a> PriceRow<'a> {
    fn of(price: &'a Price) -> Self {
        Self {
            from: (price.from_ms > 0).then(|| day(price.from_ms)),
            until: price.until_ms.map(day),
            source: &price.origin.source,
            checked: &price.origin.checked,
            note: price.origin.note.as_deref(),
            discount: price.discount.as_deref(),
            standard: &price.standard,
            variants: price.variants.iter().map(VariantRow::of).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct VariantRow<'a> {
    when: String,
    #[serde(flatten)]
    sheet: &'a Sheet,
}

impl<'a> VariantRow<'a> {
    fn of(variant: &'a Variant) -> Self {
        Self { when: variant.label(), sheet: &variant.sheet }
    }
}

/// Hours of drift that are shown where no period is named: seven days.
const DRIFT_HOURS: i64 = 7 * 24;

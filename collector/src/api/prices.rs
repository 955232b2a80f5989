//! `GET /api/v1/prices`: what the collector's book says; `GET /api/v1/prices/missing`: models that have no
//! price; `GET /api/v1/prices/drift`: rows whose charges and the providers' own words differ.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tollgate_core::price::{Price, PricedModel, Sheet, Variant, day};

use super::error::ApiError;
use super::params::Params;
use super::period::Period;
use crate::model::answers::prices::{
    DriftRow, Drifting, MissingPrices, MissingRow, PriceRow, PricedModelRow, Prices, VariantRow,
};
use crate::model::clock::{self, MS_PER_HOUR, now_ms};
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
    let rows = held.book.models().iter().filter(is_asked).map(|model| shown(model, at_ms, history));
    let answer = Prices {
        version: held.book.version().to_owned(),
        unpriced: held.unpriced,
        names: held.book.maps().to_vec(),
        rows: rows.collect(),
    };
    Ok(Json(answer).into_response())
}

/// Answers models of recorded calls that had no price for all they used.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn missing(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let now = clock::now();
    let period = Period::read(&mut params, now)?;
    let filters = params.filters()?;
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
        tag_key: None,
    };
    let summary = app.store.summary(query).await?;
    let book = app.prices.book();
    let mut rows: Vec<MissingRow> = summary
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
            let why = if found { "the row has no price for all of it, or had none then" } else { "no row" };
            MissingRow {
                why: why.to_owned(),
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
    Ok(Json(MissingPrices { version: book.version().to_owned(), rows }).into_response())
}

/// Answers rows of the book whose charges and the providers' own words differ by more than 1 %, over the last
/// seven days where no period is named.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn drift(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let now = clock::now();
    let period = Period::read(&mut params, now)?;
    let filters = params.filters()?;
    params.finish()?;
    let hour = |time: Timestamp| time.as_millisecond().div_euclid(MS_PER_HOUR);
    let to_hour = period.to.map_or_else(|| hour(now).saturating_add(1), hour);
    let from_hour = period.from.map_or_else(|| to_hour.saturating_sub(DRIFT_HOURS), hour);
    let rows = app.store.drift(from_hour, to_hour, filters).await?;
    let rows = rows.into_iter().map(drifting).collect();
    Ok(Json(Drifting { version: app.prices.book().version().to_owned(), rows }).into_response())
}

fn drifting(Drift { provider, model, reported }: Drift) -> DriftRow {
    DriftRow {
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

fn shown(model: &PricedModel, at_ms: u64, history: bool) -> PricedModelRow {
    let prices = model.prices.iter().filter(|price| history || price.holds_at(at_ms));
    PricedModelRow {
        provider: model.provider.clone(),
        model: model.id.clone(),
        names: model.names().skip(1).map(str::to_owned).collect(),
        snapshots_of: model.dated.clone(),
        prices: prices.map(price).collect(),
    }
}

fn price(price: &Price) -> PriceRow {
    let Sheet { rates, tiers } = price.standard.clone();
    PriceRow {
        from: (price.from_ms > 0).then(|| day(price.from_ms)),
        until: price.until_ms.map(day),
        source: price.origin.source.clone(),
        checked: price.origin.checked.clone(),
        note: price.origin.note.clone(),
        discount: price.discount.clone(),
        rates,
        tiers,
        variants: price.variants.iter().map(variant).collect(),
    }
}

fn variant(variant: &Variant) -> VariantRow {
    let Sheet { rates, tiers } = variant.sheet.clone();
    VariantRow { when: variant.label(), rates, tiers }
}

/// Hours of drift that are shown where no period is named: seven days.
const DRIFT_HOURS: i64 = 7 * 24;

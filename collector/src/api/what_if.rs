//! `GET /api/v1/what-if`: what recorded calls would cost at other models.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use tollgate_core::money::Picodollars;

use super::asked::Asked;
use super::error::ApiError;
use super::params::Params;
use super::summary::exported;
use crate::api::hours::instant;
use crate::model::answers::what_if::{WhatIfAnswer, WhatIfRow};
use crate::model::clock::{millis, now};
use crate::model::decimal::Decimal;
use crate::store::SpendQuery;
use crate::work::app::App;
use crate::work::following;
use crate::work::what_if::{Tried, at_model, at_relatives};

/// Answers what the calls of the last 30 days, or of the time asked for, would cost at `to_model`. Without
/// it, at the nearest smaller relative of each model that is used.
///
/// # Errors
/// For parameters that cannot be used, a model without a price, and when the store fails.
pub async fn ask(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let export = params.export(&headers)?;
    let asked = Asked::read(&mut params, now(), 30)?;
    let model = params.one("to_model")?;
    params.finish()?;
    let unfollowed_records = following::catch_up(&app).await?;
    let (from_hour, to_hour) = asked.hours();
    let spend = app.store.spend(SpendQuery { from_hour, to_hour, filters: asked.filters.clone() }).await?;
    let book = app.prices.book();
    // The prices of the end of the time: what the calls would cost from now on.
    let at_ms = millis(asked.to.min(now())).saturating_sub(1);
    let mut tried = match &model {
        Some(model) => at_model(&book, &spend, model, at_ms).map_err(ApiError::parameter)?,
        None => at_relatives(&book, &spend, at_ms),
    };
    tried.sort_by_key(|tried| Reverse((tried.saving(), tried.totals.cost)));
    let sum =
        |of: fn(&Tried) -> Picodollars| tried.iter().map(of).fold(Picodollars::ZERO, |sum, one| sum + one);
    let (cost_usd, would_cost_usd) = (sum(|tried| tried.totals.cost), sum(|tried| tried.would_cost));
    let answer = WhatIfAnswer {
        from: instant(from_hour).to_string(),
        to: instant(to_hour).to_string(),
        model,
        rows: tried.iter().map(row).collect(),
        cost_usd,
        would_cost_usd,
        saving_usd: cost_usd - would_cost_usd,
        assumptions: ASSUMPTIONS.map(str::to_owned).to_vec(),
        unfollowed_records,
        hint: if spend.is_empty() { Some(asked.nothing(&app.store).await?) } else { None },
    };
    match export {
        None => Ok(Json(answer).into_response()),
        Some(export) => exported(export, &answer.table()),
    }
}

fn row(tried: &Tried) -> WhatIfRow {
    let (cost, would) = (tried.totals.cost, tried.would_cost);
    WhatIfRow {
        agent: tried.agent.clone(),
        provider: tried.from.0.clone(),
        model: tried.from.1.clone(),
        to_provider: tried.to.0.clone(),
        to_model: tried.to.1.clone(),
        calls: tried.totals.calls,
        input_tokens: tried.totals.input_tokens,
        output_tokens: tried.totals.output_tokens,
        cost_usd: cost,
        would_cost_usd: would,
        kept_usd: tried.kept,
        saving_usd: tried.saving(),
        saving_percent: Decimal::percent(tried.saving().as_pico(), cost.as_pico()),
        times: Decimal::ratio(cost.as_pico(), would.as_pico(), 1),
        reasons: tried.reasons(),
        notes: tried.notes.iter().cloned().collect(),
    }
}

const ASSUMPTIONS: [&str; 4] = [
    "whether the other model's answers are as good is not known: try it on a share of the calls first",
    "tokens are as they were counted; another model's tokenizer counts the same text otherwise",
    "answers stay as long as they were, and as much is read from caches where the other model has a price for that",
    "prices are those that hold at the end of the time",
];

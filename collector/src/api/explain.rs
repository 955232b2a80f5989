//! `GET /api/v1/records/{id}/explain`: a record's price line by line.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Charge, PriceBasis, PriceBook, day};
use tollgate_core::record::UsageRecord;

use super::error::ApiError;
use super::extract::Segment;
use crate::store::Adjustment;
use crate::work::app::App;

/// Answers rows, lines and adjustments of one record, and what the book says today.
///
/// # Errors
/// When there is no such record, and when the store fails.
pub async fn explain(State(app): State<Arc<App>>, Segment(id): Segment) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("there is no record with this id");
    let id: crate::store::RecordId = id.parse().map_err(|_| missing())?;
    let record = app.store.record(id).await?.ok_or_else(missing)?;
    let adjustments = app.store.adjustments(id).await?;
    Ok(Json(answer(&record, &adjustments, &app.prices.book())).into_response())
}

fn answer(record: &UsageRecord, adjustments: &[Adjustment], book: &PriceBook) -> Value {
    let adjusted: Picodollars = adjustments
        .iter()
        .filter(|adjustment| adjustment.reason == crate::store::Reason::Reprice)
        .map(|adjustment| adjustment.amount_usd)
        .sum();
    let today = book.price_again(record).map(|(priced, status)| {
        json!({
            "price_version": book.version(),
            "cost_usd": priced.cost,
            "cost_status": status,
            "rows": priced.basis.iter().map(|basis| row(basis, book, &record.provider)).collect::<Vec<_>>(),
        })
    });
    json!({
        "id": record.id,
        "time": time(record.time_ms),
        "provider": record.provider,
        "request_model": record.request_model,
        "response_model": record.response_model,
        "price_version": record.price_version,
        "rows": record.price_basis.iter().map(|basis| row(basis, book, &record.provider)).collect::<Vec<_>>(),
        "lines": record.charges.iter().map(|charge| line(charge, &record.price_basis)).collect::<Vec<_>>(),
        "cost_usd": record.cost_usd,
        "cost_status": record.cost_status,
        "cost_source": record.cost_source,
        "book_cost_usd": record.book_cost(),
        "provider_cost_usd": record.provider_cost_usd,
        "notes": record.notes,
        "adjustments": adjustments.iter().map(adjustment).collect::<Vec<_>>(),
        "adjusted_cost_usd": record.cost_usd + adjusted,
        "today": today,
    })
}

/// Which row and why, in words.
fn row(basis: &PriceBasis, book: &PriceBook, provider: &str) -> Value {
    let origin = book.models().iter().find(|model| model.id == basis.model && model.provider == provider);
    let price = origin.and_then(|model| model.prices.iter().find(|price| price.from_ms == basis.from_ms));
    json!({
        "model": basis.model,
        "from": (basis.from_ms > 0).then(|| day(basis.from_ms)),
        "step": basis.step.map(tollgate_core::price::Step::name),
        "facts": basis.facts,
        "variant": basis.variant,
        "input_above": basis.input_above,
        "discount": basis.discount,
        "why": why(basis),
        "source": price.map(|price| price.origin.source.clone()),
        "checked": price.map(|price| price.origin.checked.clone()),
        "note": price.and_then(|price| price.origin.note.clone()),
    })
}

fn why(basis: &PriceBasis) -> String {
    let Some(step) = basis.step else { return "the book had no row for this model".into() };
    let mut words = vec![format!("row found by step `{}`", step.name())];
    words.push(match &basis.variant {
        Some(variant) => format!("rates of {variant}"),
        None if basis.facts.is_empty() => "plain rates".into(),
        None => format!("no rates for {:?} were needed or found", basis.facts),
    });
    words.extend(basis.input_above.map(|above| format!("prompt above {above} tokens, for the whole call")));
    words.extend(basis.discount.as_ref().map(|discount| format!("discount {discount}")));
    words.join("; ")
}

fn line(charge: &Charge, rows: &[PriceBasis]) -> Value {
    let basis = rows.iter().find(|basis| basis.model == charge.model);
    json!({
        "model": charge.model,
        "kind": charge.kind,
        "quantity": charge.quantity,
        "rate": charge.rate,
        "discount": basis.and_then(|basis| basis.discount.clone()),
        "cost_usd": charge.cost_usd,
    })
}

fn adjustment(adjustment: &Adjustment) -> Value {
    let booked =
        adjustment.booked_hour.checked_mul(3_600_000).and_then(|ms| Timestamp::from_millisecond(ms).ok());
    json!({
        "reason": adjustment.reason,
        "made": time(adjustment.made_ms),
        "booked": booked.map(|time| time.to_string()),
        "amount_usd": adjustment.amount_usd,
        "cost_usd": adjustment.cost_usd,
        "cost_status": adjustment.cost_status,
        "cost_source": adjustment.cost_source,
        "price_version": adjustment.price_version,
        "lines": adjustment.charges.iter().map(|charge| line(charge, &adjustment.price_basis)).collect::<Vec<_>>(),
    })
}

fn time(ms: u64) -> Option<String> {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map(|time| time.to_string())
}

//! `GET /api/v1/records/{id}/explain`: a record's price line by line.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Charge, PriceBasis, PriceBook, day};
use tollgate_core::record::UsageRecord;

use super::error::ApiError;
use super::extract::Segment;
use crate::model::answers::explain::{
    ExplainedAdjustment, ExplainedLine, ExplainedRow, Explanation, PricedToday, Reason,
};
use crate::model::clock::{MS_PER_HOUR, rfc3339};
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
    Ok(Json(answer(record, adjustments, &app.prices.book())).into_response())
}

fn answer(record: UsageRecord, adjustments: Vec<Adjustment>, book: &PriceBook) -> Explanation {
    let adjusted: Picodollars = adjustments
        .iter()
        .filter(|adjustment| adjustment.reason == Reason::Reprice)
        .map(|adjustment| adjustment.amount_usd)
        .sum();
    let rows =
        |used: &[PriceBasis]| used.iter().map(|basis| row(basis, book, &record.head.provider)).collect();
    let today = book.price_again(&record).map(|(priced, status)| PricedToday {
        price_version: book.version().to_owned(),
        cost_usd: priced.cost,
        cost_status: status,
        rows: rows(&priced.basis),
    });
    Explanation {
        time: rfc3339(record.head.time_ms),
        rows: rows(&record.price_basis),
        lines: lines(&record.charges, &record.price_basis),
        cost_usd: record.cost_usd,
        cost_status: record.cost_status,
        cost_source: record.cost_source,
        book_cost_usd: record.book_cost(),
        provider_cost_usd: record.provider_cost_usd,
        adjustments: adjustments.into_iter().map(adjustment).collect(),
        adjusted_cost_usd: record.cost_usd + adjusted,
        today,
        id: record.head.id,
        provider: record.head.provider,
        request_model: record.head.request_model,
        response_model: record.head.response_model,
        price_version: record.price_version,
        notes: record.notes,
    }
}

/// Which row and why, in words.
fn row(basis: &PriceBasis, book: &PriceBook, provider: &str) -> ExplainedRow {
    let origin = book.models().iter().find(|model| model.id == basis.model && model.provider == provider);
    let price = origin.and_then(|model| model.prices.iter().find(|price| price.from_ms == basis.from_ms));
    ExplainedRow {
        model: basis.model.clone(),
        from: (basis.from_ms > 0).then(|| day(basis.from_ms)),
        step: basis.step,
        facts: basis.facts.clone(),
        variant: basis.variant.clone(),
        input_above: basis.input_above,
        discount: basis.discount.clone(),
        why: why(basis),
        source: price.map(|price| price.origin.source.clone()),
        checked: price.map(|price| price.origin.checked.clone()),
        note: price.and_then(|price| price.origin.note.clone()),
    }
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

fn lines(charges: &[Charge], rows: &[PriceBasis]) -> Vec<ExplainedLine> {
    let line = |charge: &Charge| {
        let basis = rows.iter().find(|basis| basis.model == charge.model);
        ExplainedLine {
            model: charge.model.clone(),
            kind: charge.kind,
            quantity: charge.quantity,
            rate: charge.rate,
            discount: basis.and_then(|basis| basis.discount.clone()),
            cost_usd: charge.cost_usd,
        }
    };
    charges.iter().map(line).collect()
}

fn adjustment(adjustment: Adjustment) -> ExplainedAdjustment {
    let booked = adjustment.booked_hour.checked_mul(MS_PER_HOUR);
    ExplainedAdjustment {
        reason: adjustment.reason,
        made: rfc3339(adjustment.made_ms),
        booked: booked.and_then(|ms| Timestamp::from_millisecond(ms).ok()).map(|time| time.to_string()),
        amount_usd: adjustment.amount_usd,
        cost_usd: adjustment.cost_usd,
        cost_status: adjustment.cost_status,
        cost_source: adjustment.cost_source,
        price_version: adjustment.price_version,
        lines: lines(&adjustment.charges, &adjustment.price_basis),
    }
}

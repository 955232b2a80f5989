//! What a call consumed, who says so, and what that makes of its record.

use crate::price::{Facts, PriceBook, Priced, facts};
use crate::record::{CostStatus, Note, Outcome, UsageRecord};
use crate::usage::Usage;
use crate::wire::Normalised;

/// What is to be paid for a call.
pub struct Consumed {
    /// What it consumed.
    pub measure: Measure,
    /// The service tier that the answer names.
    pub service_tier: Option<String>,
}

/// What a call consumed, and who says so.
pub enum Measure {
    /// The provider reported it.
    Reported(Normalised),
    /// The gateway worked it out.
    Estimated(Normalised),
    /// Worked out, with attempts that were not seen.
    Retried(Normalised),
    /// The provider reported it, but it is paid with another call, or in other units.
    Elsewhere(Normalised),
    /// Nothing is paid.
    Nothing,
    /// Nobody knows.
    Unknown,
}

impl Measure {
    /// An estimate; nobody knows where there was nothing to work it out from.
    pub fn from_estimate(usage: Usage) -> Self {
        if usage.is_empty() {
            return Self::Unknown;
        }
        Self::Estimated(Normalised { usage, ..Normalised::default() })
    }

    /// The same, with the estimated input of attempts that were not seen. What the provider reported stays apart
    /// from that no longer, so that the sum is an estimate.
    pub fn with_attempts(self, attempts: u32, input: u64) -> Self {
        let more =
            Usage { input_tokens: Some(input.saturating_mul(u64::from(attempts))), ..Usage::default() };
        let mut normalised = match self {
            Self::Reported(normalised) | Self::Estimated(normalised) => normalised,
            Self::Nothing => Normalised::default(),
            other => return other,
        };
        normalised.usage.add(&more);
        Self::Retried(normalised)
    }

    /// With the service tier that the answer named outside of its usage.
    pub fn named(mut self, service_tier: Option<&str>) -> Self {
        if let (Self::Reported(normalised) | Self::Estimated(normalised), Some(tier)) =
            (&mut self, service_tier)
            && normalised.service_tier().is_none()
        {
            normalised.conditions.push((facts::SERVICE_TIER, tier.to_owned()));
        }
        self
    }

    pub fn apply(self, record: &mut UsageRecord, book: Option<&PriceBook>) {
        let (normalised, measured) = match self {
            Self::Nothing => {
                record.cost_status = CostStatus::Free;
                return;
            }
            Self::Unknown => {
                record.cost_status = CostStatus::Unpriced;
                return;
            }
            Self::Elsewhere(normalised) => {
                record.usage = normalised.usage;
                record.cost_status = CostStatus::Unpriced;
                return;
            }
            Self::Reported(normalised) => (normalised, true),
            Self::Estimated(normalised) => (normalised, false),
            Self::Retried(normalised) => {
                record.notes.push(Note::RetriesCharged);
                (normalised, false)
            }
        };
        let retried = record.notes.contains(&Note::RetriesCharged);
        if !measured
            && !retried
            && record.outcome == Outcome::Ok
            && !record.notes.contains(&Note::TruncatedAnswer)
        {
            record.notes.push(Note::NoUsage);
        }
        let priced = price(record, &normalised, book);
        record.usage = normalised.usage;
        record.usage_estimated = !measured;
        record.provider_cost_usd = normalised.provider_cost;
        record.price_version = book.map(|book| book.version().to_owned());
        record.cost_usd = priced.cost;
        record.cost_status = priced.status(measured);
        record.charges = priced.charges;
        record.price_basis = priced.basis;
    }
}

/// Prices a call: each model's share at that model's rates.
fn price(record: &UsageRecord, normalised: &Normalised, book: Option<&PriceBook>) -> Priced {
    let Some(book) = book else {
        return Priced::default();
    };
    let mut conditions: Vec<(&str, &str)> =
        normalised.conditions.iter().map(|(fact, value)| (*fact, value.as_str())).collect();
    if let (Some(tier), None) = (&record.service_tier, normalised.service_tier()) {
        conditions.push((facts::REQUESTED_TIER, tier));
    }
    let facts = Facts {
        provider: &record.provider,
        response_model: record.response_model.as_deref(),
        request_model: record.request_model.as_deref(),
        time_ms: record.time_ms,
        conditions: &conditions,
    };
    if normalised.shares.is_empty() {
        return book.price(&facts, &normalised.usage);
    }
    let mut total = Priced { complete: true, reserved: true, ..Priced::default() };
    for share in &normalised.shares {
        let facts = match &share.model {
            Some(model) => Facts { response_model: Some(model), request_model: None, ..facts },
            None => facts,
        };
        total.add(book.price(&facts, &share.usage));
    }
    let tools = Usage {
        web_searches: normalised.usage.web_searches,
        web_fetches: normalised.usage.web_fetches,
        ..Usage::default()
    };
    total.add(book.price(&facts, &tools));
    total
}

/// The answer broke off after the provider said something: its output is at least what passed.
pub fn cut_short(mut reported: Normalised, estimate: &Usage) -> Measure {
    let usage = &mut reported.usage;
    usage.output_tokens = usage.output_tokens.max(estimate.output_tokens).or(Some(0));
    usage.input_tokens = usage.input_tokens.or(estimate.input_tokens);
    Measure::Estimated(reported)
}

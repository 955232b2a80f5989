//! Pricing on arrival: for calls that a gateway metered before it had a price book.

use tollgate_core::price::{Facts, PriceBook};
use tollgate_core::record::{CostStatus, Note, Outcome, UsageRecord};

/// Prices a record that came unpriced from a gateway without a book; says whether it did.
///
/// A record that names a price version was priced by its gateway, and stays as it is even where that found no
/// price. So does one without any usage: no count is not a cost of zero. Facts that decide a price and are not
/// in the record (speed, region, shares of several models) are not known here.
pub(super) fn price_on_arrival(record: &mut UsageRecord, book: &PriceBook) -> bool {
    let asked = record.cost_status == CostStatus::Unpriced
        && record.price_version.is_none()
        && record.charges.is_empty()
        && record.outcome != Outcome::Denied;
    if !asked || record.usage.is_empty() {
        return false;
    }
    let tier = record.service_tier.as_deref().map(|tier| ("service_tier", tier));
    let facts = Facts {
        provider: &record.provider,
        response_model: record.response_model.as_deref(),
        request_model: record.request_model.as_deref(),
        time_ms: record.time_ms,
        conditions: tier.as_slice(),
    };
    let priced = book.price(&facts, &record.usage);
    if priced.charges.is_empty() {
        return false;
    }
    record.cost_status = priced.status(is_measured(record));
    record.charges = priced.charges;
    record.price_basis = priced.basis;
    record.cost_usd = priced.cost;
    record.price_version = Some(book.version().to_owned());
    true
}

/// Whether the usage is the provider's own, as the gateway would have said; in doubt it is an estimate.
///
/// A gateway notes `no_usage` where it had to estimate an answer that ended well. Of one that broke off, or
/// failed after it had begun, the record alone does not tell.
fn is_measured(record: &UsageRecord) -> bool {
    let told = match record.outcome {
        Outcome::Ok => true,
        Outcome::Error => record.status.is_some_and(|status| status >= 400),
        Outcome::ClientAbort | Outcome::UpstreamAbort | Outcome::Denied => false,
    };
    told && !record.notes.iter().any(|note| matches!(note, Note::NoUsage | Note::Recovered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::money::Picodollars;
    use tollgate_core::price::{Price, PricedModel, Rates, Sheet, Variant};
    use tollgate_core::usage::{Kind, Usage};

    fn sheet(input: i128) -> Sheet {
        Sheet { rates: Rates([(Kind::Input, Picodollars::from_pico(input))].into()), tiers: vec![] }
    }

    fn book() -> PriceBook {
        let price = Price {
            standard: sheet(10),
            variants: vec![Variant {
                when: [("service_tier".to_owned(), "flex".to_owned())].into(),
                sheet: sheet(5),
                ..Variant::default()
            }],
            ..Price::default()
        };
        let model = PricedModel {
            provider: "openai".into(),
            id: "gpt-x".into(),
            prices: vec![price],
            ..PricedModel::default()
        };
        PriceBook::new("v9".into(), vec![model])
    }

    fn unpriced() -> UsageRecord {
        UsageRecord {
            provider: "openai".into(),
            request_model: Some("gpt-x".into()),
            usage: Usage { input_tokens: Some(7), ..Usage::default() },
            ..UsageRecord::default()
        }
    }

    #[test]
    fn a_call_from_before_the_book_is_priced_at_the_rates_of_its_tier() {
        for (tier, cost) in [(None, 70), (Some("flex"), 35), (Some("default"), 70)] {
            let mut record = unpriced();
            record.service_tier = tier.map(str::to_owned);
            assert!(price_on_arrival(&mut record, &book()));
            assert_eq!(record.cost_usd.as_pico(), cost);
            assert_eq!(record.charges.len(), 1);
            assert_eq!(record.cost_status, CostStatus::Measured);
            assert_eq!(record.price_version.as_deref(), Some("v9"));
        }
    }

    #[test]
    fn usage_that_is_not_the_providers_own_is_an_estimate() {
        type Spoil = fn(&mut UsageRecord);
        let cases: &[(CostStatus, Spoil)] = &[
            (CostStatus::Estimated, |r| r.notes = vec![Note::NoUsage]),
            (CostStatus::Measured, |r| r.notes = vec![Note::TruncatedAnswer]),
            (CostStatus::Estimated, |r| r.notes = vec![Note::Recovered]),
            (CostStatus::Estimated, |r| r.outcome = Outcome::ClientAbort),
            (CostStatus::Estimated, |r| r.outcome = Outcome::UpstreamAbort),
            (CostStatus::Estimated, |r| r.outcome = Outcome::Error),
            (CostStatus::Measured, |r| (r.outcome, r.status) = (Outcome::Error, Some(500))),
            (CostStatus::Estimated, |r| (r.outcome, r.status) = (Outcome::Error, Some(200))),
            (CostStatus::Measured, |r| r.notes = vec![Note::ContradictoryUsage]),
        ];
        for (at, (status, spoil)) in cases.iter().enumerate() {
            let mut record = unpriced();
            spoil(&mut record);
            assert!(price_on_arrival(&mut record, &book()));
            assert_eq!(record.cost_status, *status, "case {at}");
        }
    }

    #[test]
    fn a_kind_without_a_rate_leaves_the_rest_priced_and_the_record_unpriced() {
        let mut record = unpriced();
        record.usage.output_tokens = Some(3);
        assert!(price_on_arrival(&mut record, &book()));
        assert_eq!(record.cost_status, CostStatus::Unpriced);
        assert_eq!(record.cost_usd.as_pico(), 70);
    }

    #[test]
    fn what_is_not_for_the_collector_to_price_stays_as_it_came() {
        type Spoil = fn(&mut UsageRecord);
        let cases: &[Spoil] = &[
            |r| r.cost_status = CostStatus::Estimated,
            |r| r.cost_status = CostStatus::Free,
            |r| r.price_version = Some("v1".into()),
            |r| r.outcome = Outcome::Denied,
            |r| r.usage = Usage::default(),
            |r| r.request_model = Some("unknown".into()),
            |r| r.provider = "elsewhere".into(),
        ];
        for (at, spoil) in cases.iter().enumerate() {
            let mut record = unpriced();
            spoil(&mut record);
            let before = record.clone();
            assert!(!price_on_arrival(&mut record, &book()), "case {at}");
            assert_eq!(record, before, "case {at}");
        }
        let mut record = unpriced();
        assert!(!price_on_arrival(&mut record, &PriceBook::default()));
    }
}

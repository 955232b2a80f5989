//! Pricing on arrival: for calls that a gateway metered without a row for their model.

use tollgate_core::budget::{Amount, OnUnknown, Unit};
use tollgate_core::call::admission::settled;
use tollgate_core::money::Picodollars;
use tollgate_core::price::{CostStatus, PriceBook, Priced};
use tollgate_core::record::{CostSource, Note, UsageRecord, is_possible};

use super::rates::RateCheck;
use crate::store::Recharge;

/// Takes out of a record what cannot be of its money, and says so in a note; its usage stays. A cost for
/// which there are no charges is left to the collector to find: the record is unpriced until then. Charges
/// that do not add up to the cost, or are not quantity times rate, and a cost of what costs nothing, are
/// refused with the record, as these are no numbers of a gateway. Charges at rates far from every price of
/// their row are taken out, and the collector prices the call; so is a word of the provider's that no call
/// costs.
pub(super) fn doubt(record: &mut UsageRecord, rates: &RateCheck<'_>) {
    if record.is_cost_sound() && rates.has_far_rate(record) {
        if record.cost_source == CostSource::Book {
            record.leave_uncharged(Note::CostCorrected);
        } else {
            record.charges.clear();
            record.price_basis.clear();
            record.notes.push(Note::CostCorrected);
        }
    }
    let is_word = record.cost_source == CostSource::Provider;
    let is_absurd = record.is_word_absurd() || is_word && rates.is_beyond_all(record);
    if is_absurd || record.provider_cost_usd.is_some_and(|cost| !is_possible(cost)) {
        record.provider_cost_usd = None;
        record.notes.push(Note::ProviderCostIgnored);
        if record.cost_source == CostSource::Provider {
            // What is left of the cost is the book's.
            record.cost_source = CostSource::Book;
            record.cost_usd = record.book_cost();
            if record.charges.is_empty() {
                record.cost_status = CostStatus::Unpriced;
                // Of a row that is said to have priced it there is nothing to see.
                record.price_basis.clear();
            }
        }
    }
    if record.charged_usd.is_some_and(|charged| charged < Picodollars::ZERO) {
        record.charged_usd = None;
    }
    let is_told = record.cost_source == CostSource::Provider;
    if record.cost_usd != Picodollars::ZERO && !is_told && record.charges.is_empty() {
        record.leave_uncharged(Note::CostCorrected);
    }
}

/// Prices a record that came unpriced from a gateway that has no book, or no row for the model; says whether
/// it did.
///
/// A gateway holds a part of the book. A record that it found a row for was priced by it, and stays as it is
/// even where that row has no price for the call; but not where that row is only the asked model's, as the
/// one that answered had none there. So does one without any usage: no count is not a cost of zero. One that
/// has its provider's word gets the book's charges beside it, and the book's cost where these show that the
/// word is not to be believed.
pub(super) fn price_on_arrival(record: &mut UsageRecord, book: &PriceBook) -> bool {
    let by_word = record.cost_source == CostSource::Provider;
    let as_asked = record.is_priced_as_asked();
    if record.cost_status != CostStatus::Unpriced && !(by_word && lacks_charges(record)) && !as_asked {
        return false;
    }
    let without_row =
        record.charges.is_empty() && record.price_basis.iter().all(|basis| basis.step.is_none());
    let lacks_row = record.price_basis.iter().any(|basis| basis.step.is_none());
    let by_shares = lacks_row && !record.shares.is_empty();
    let priced =
        if without_row || by_shares || as_asked { book.price_again(record) } else { book.price_rest(record) };
    let Some((priced, status)) = priced else { return false };
    let reserved = status == CostStatus::Free;
    if as_asked && priced.basis == record.price_basis {
        return false;
    }
    if priced.charges.is_empty() && !priced.complete && !reserved {
        return false;
    }
    let measured = by_word && record.cost_status == CostStatus::Measured || status == CostStatus::Measured;
    priced.owed(record.provider_cost_usd, measured).put(record);
    record.charges = priced.charges;
    record.price_basis = priced.basis;
    record.price_version = Some(book.version().to_owned());
    true
}

/// What a record of fetched work that is not charged would be, priced, were it known that it is to be paid;
/// `None` where it has nothing to pay for.
pub(super) fn if_known(record: &UsageRecord, book: &PriceBook) -> Option<UsageRecord> {
    let has_something = !record.usage.is_empty() || record.provider_cost_usd.is_some();
    if !record.is_uncharged_fetch() || !has_something {
        return None;
    }
    let mut known = record.clone();
    known.notes.retain(|note| !matches!(note, Note::UnknownWork | Note::PaidAtStart));
    known.cost_status = CostStatus::Unpriced;
    if !price_on_arrival(&mut known, book) && known.provider_cost_usd.is_some() {
        Priced::default().owed(known.provider_cost_usd, true).put(&mut known);
    }
    Some(known)
}

/// Whether its gateway had no row for it, and so no charges.
fn lacks_charges(record: &UsageRecord) -> bool {
    record.charges.is_empty() || record.price_basis.iter().any(|basis| basis.step.is_none())
}

/// What budgets in dollars are to be charged besides what its gateway charged them, now that a record which
/// came with the cost `came` is priced as it is: those that keep the worst where nobody knows were charged
/// what the record says, others what it came with, or where its price was not at the gateway the same. Takes
/// out of it what was charged where its price is known, and the note that its price is awaited.
///
/// A word of the provider's that was believed there, and is not here, was charged on all of them.
pub(super) fn recharge(record: &mut UsageRecord, came: Picodollars, source: CostSource) -> Recharge {
    let awaited = record.notes.contains(&Note::PriceAwaited);
    record.notes.retain(|note| *note != Note::PriceAwaited);
    if record.work.as_ref().is_some_and(|work| work.fetched.is_some()) {
        // What was fetched is charged here, whole, once it is known whose it is: its gateway has charged
        // nothing.
        record.charged_usd = None;
        return Recharge::default();
    }
    let Some(charged) = record.charged_usd else {
        let more = Amount(record.cost_usd.as_pico()).minus(Amount(came.as_pico()));
        // Less is taken off only as far as its gateway has charged it: see `count_missed`.
        return match source == CostSource::Provider || record.notes.contains(&Note::CostCorrected) {
            true => Recharge { used: more, worst_used: more, ..Recharge::default() },
            false => Recharge::default(),
        };
    };
    let settlement = settled(record, Unit::Dollars, Amount::ZERO, OnUnknown::Worst);
    let cost = Amount(record.cost_usd.as_pico());
    if record.cost_status != CostStatus::Unpriced {
        record.charged_usd = None;
    }
    let (charged, came) = (Amount(charged.as_pico()), Amount(came.as_pico()));
    Recharge {
        used: cost.minus(if awaited { charged } else { came }),
        worst_used: settlement.charge.minus(charged),
        worst_kept: settlement.kept.minus(charged.minus(came)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::price::Step;
    use tollgate_core::price::{Charge, PriceBasis};
    use tollgate_core::price::{Price, PricedModel, Rates, Sheet, Variant};
    use tollgate_core::record::COST_MAX;
    use tollgate_core::record::{Head, Note, Outcome, Work};
    use tollgate_core::usage::{Kind, Share, Usage};

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

    fn asking_for(model: &str) -> Head {
        Head { provider: "openai".into(), request_model: Some(model.to_owned()), ..Head::default() }
    }

    fn unpriced() -> UsageRecord {
        UsageRecord {
            head: asking_for("gpt-x"),
            usage: Usage { input_tokens: Some(7), ..Usage::default() },
            ..UsageRecord::default()
        }
    }

    #[test]
    fn a_call_from_before_the_book_is_priced_at_the_rates_of_its_tier() {
        for (tier, cost) in [(None, 70), (Some("flex"), 35), (Some("default"), 70)] {
            let mut record = unpriced();
            record.head.service_tier = tier.map(str::to_owned);
            assert!(price_on_arrival(&mut record, &book()));
            assert_eq!(record.cost_usd.as_pico(), cost);
            assert_eq!(record.charges.len(), 1);
            assert_eq!(record.cost_status, CostStatus::Measured);
            assert_eq!(record.price_version.as_deref(), Some("v9"));
        }
    }

    #[test]
    fn what_a_cheaper_model_saved_is_its_cost_less_than_that_of_the_model_asked_for() {
        let row = |id: &str, input: i128| PricedModel {
            provider: "openai".into(),
            id: id.into(),
            prices: vec![Price {
                standard: sheet(input),
                variants: vec![Variant {
                    when: [("service_tier".to_owned(), "flex".to_owned())].into(),
                    sheet: sheet(input / 2),
                    ..Variant::default()
                }],
                ..Price::default()
            }],
            ..PricedModel::default()
        };
        let book = PriceBook::new("v9".into(), vec![row("large", 100), row("small", 10)]);
        for (asked, tier, saved) in [
            (Some("large"), None, Some(630)),
            (Some("large"), Some("flex"), Some(315)),
            (Some("small"), None, Some(0)),
            (Some("unknown"), None, None),
            (None, None, None),
        ] {
            let mut record = UsageRecord { head: asking_for("small"), ..unpriced() };
            record.head.service_tier = tier.map(str::to_owned);
            record.stepped_down_from = asked.map(str::to_owned);
            assert_eq!(book.saved(&record), None, "a call without a price saves nothing that is known");
            assert!(price_on_arrival(&mut record, &book));
            assert_eq!(book.saved(&record).map(Picodollars::as_pico), saved, "{asked:?} {tier:?}");
        }
    }

    #[test]
    fn a_cost_without_charges_is_found_anew_and_the_usage_stays() {
        type Spoil = fn(&mut UsageRecord);
        let cases: &[(CostStatus, Spoil)] = &[
            (CostStatus::Measured, |r| r.cost_usd = COST_MAX),
            (CostStatus::Measured, |r| r.cost_usd = Picodollars::from_pico(1)),
            (CostStatus::Estimated, |r| r.cost_usd = Picodollars::from_pico(-70)),
            (CostStatus::Unpriced, |r| r.cost_usd = Picodollars::from_pico(70)),
        ];
        for (at, (status, spoil)) in cases.iter().enumerate() {
            let mut record = UsageRecord { cost_status: *status, ..unpriced() };
            doubt(&mut record, &RateCheck::new(&book()));
            assert_eq!(record.notes, [], "as it is, nothing is wrong");
            spoil(&mut record);
            doubt(&mut record, &RateCheck::new(&book()));
            assert_eq!(record.notes, [Note::CostCorrected], "case {at}");
            assert_eq!((record.cost_usd, record.cost_status), (Picodollars::ZERO, CostStatus::Unpriced));
            assert!(price_on_arrival(&mut record, &book()), "case {at}");
            assert_eq!((record.cost_usd.as_pico(), record.usage.input_tokens), (70, Some(7)), "case {at}");
        }
    }

    /// As a gateway sends it that has a row: 7 tokens at this rate.
    fn charged(model: &str, rate: i128) -> UsageRecord {
        let cost = Picodollars::from_pico(7 * rate);
        UsageRecord {
            head: asking_for(model),
            cost_usd: cost,
            cost_status: CostStatus::Measured,
            charges: vec![Charge {
                model: model.to_owned(),
                kind: Kind::Input,
                quantity: 7,
                rate: Picodollars::from_pico(rate),
                cost_usd: cost,
            }],
            price_basis: vec![PriceBasis {
                model: model.to_owned(),
                step: Some(Step::Exact),
                ..PriceBasis::default()
            }],
            ..unpriced()
        }
    }

    /// The row has 10 and, for one tier, 5; nothing in the book is dearer.
    #[test]
    fn a_charge_far_from_every_price_of_its_row_is_priced_here() {
        let book = book();
        let arrive = |mut record: UsageRecord| {
            let (came, source) = (record.cost_usd, record.cost_source);
            doubt(&mut record, &RateCheck::new(&book));
            price_on_arrival(&mut record, &book);
            let recharge = recharge(&mut record, came, source);
            (record, recharge.used.0)
        };
        for rate in [100, 10, 5, 1] {
            let (record, recharge) = arrive(charged("gpt-x", rate));
            assert_eq!((record.cost_usd.as_pico(), recharge), (7 * rate, 0), "{rate}");
            assert_eq!(record.notes, []);
        }
        for rate in [101, 777_000_000_000_000, 0] {
            let (record, recharge) = arrive(charged("gpt-x", rate));
            assert_eq!(
                (record.cost_usd.as_pico(), record.notes.as_slice()),
                (70, &[Note::CostCorrected][..])
            );
            assert_eq!(recharge, 70 - 7 * rate, "{rate}");
            assert!(record.is_cost_sound());
        }
        // Of a model without a row nobody knows, up to ten times the dearest.
        for (rate, cost, status) in [(100, 700, CostStatus::Measured), (101, 0, CostStatus::Unpriced)] {
            let (record, _) = arrive(charged("own-model", rate));
            assert_eq!((record.cost_usd.as_pico(), record.cost_status), (cost, status), "{rate}");
            assert_eq!(record.usage.input_tokens, Some(7));
        }
        // By the provider's word the cost stays, and the charges beside it are the book's.
        let mut record = charged("gpt-x", 777_000);
        (record.cost_source, record.provider_cost_usd) = (CostSource::Provider, Some(record.cost_usd));
        let cost = record.cost_usd;
        let (record, _) = arrive(record);
        assert_eq!((record.cost_usd, record.book_cost().as_pico()), (cost, 70));
    }

    #[test]
    fn a_word_that_no_call_costs_is_left_out_whoever_sends_it() {
        const DOLLAR: i128 = 1_000_000_000_000;
        let book = book();
        // With charges, without but with a row, and without a row.
        let mut with_charges = charged("gpt-x", 10);
        with_charges.cost_source = CostSource::Provider;
        let cases = [
            (with_charges, 25_000, 70),
            (told(0), 25_000, 70),
            (UsageRecord { head: asking_for("unknown"), ..told(0) }, 25_000, 0),
            (UsageRecord { usage: Usage::default(), ..told(0) }, 101, 0),
            (UsageRecord { head: asking_for("unknown"), ..told(0) }, 99, 99 * DOLLAR),
        ];
        for (at, (mut record, dollars, expected)) in cases.into_iter().enumerate() {
            let said = Picodollars::from_pico(dollars * DOLLAR);
            (record.cost_usd, record.provider_cost_usd) = (said, Some(said));
            doubt(&mut record, &RateCheck::new(&book));
            price_on_arrival(&mut record, &book);
            assert_eq!(record.cost_usd.as_pico(), expected, "case {at}");
            let is_left_out = record.notes.contains(&Note::ProviderCostIgnored);
            assert_eq!(is_left_out, expected < DOLLAR, "case {at}");
            assert!(record.is_cost_sound(), "case {at}");
        }
    }

    #[test]
    fn a_provider_that_names_a_cost_below_nothing_loses_nobody_the_usage() {
        let mut record = unpriced();
        record.provider_cost_usd = Some(Picodollars::from_pico(-5));
        doubt(&mut record, &RateCheck::new(&book()));
        assert_eq!(
            (record.provider_cost_usd, record.notes.as_slice()),
            (None, &[Note::ProviderCostIgnored][..])
        );
        assert_eq!(record.usage.input_tokens, Some(7));
    }

    /// As a gateway without a row for the model sends it, whose provider said what it cost.
    fn told(cost: i128) -> UsageRecord {
        UsageRecord {
            cost_usd: Picodollars::from_pico(cost),
            provider_cost_usd: Some(Picodollars::from_pico(cost)),
            cost_source: CostSource::Provider,
            cost_status: CostStatus::Measured,
            price_basis: vec![PriceBasis { model: "gpt-x".into(), ..PriceBasis::default() }],
            ..unpriced()
        }
    }

    #[test]
    fn a_cost_by_the_providers_word_gets_the_books_charges_beside_it() {
        let mut record = told(90);
        doubt(&mut record, &RateCheck::new(&book()));
        assert!(price_on_arrival(&mut record, &book()));
        assert_eq!((record.cost_usd.as_pico(), record.cost_source), (90, CostSource::Provider));
        assert_eq!((record.book_cost().as_pico(), record.cost_status), (70, CostStatus::Measured));
        assert!(record.is_cost_sound() && record.notes.is_empty());
        assert!(!price_on_arrival(&mut record, &book()), "once");
        assert_eq!(
            recharge(&mut record, Picodollars::from_pico(90), CostSource::Provider),
            Recharge::default()
        );
        let mut unknown = UsageRecord { head: asking_for("unknown"), ..told(90) };
        assert!(!price_on_arrival(&mut unknown, &book()));
        assert_eq!((unknown.cost_usd.as_pico(), unknown.cost_source), (90, CostSource::Provider));
    }

    #[test]
    fn a_word_under_a_tenth_of_the_charge_that_is_found_here_is_not_believed_and_budgets_are_charged_the_rest()
     {
        let mut record = told(6);
        doubt(&mut record, &RateCheck::new(&book()));
        assert!(price_on_arrival(&mut record, &book()));
        assert_eq!((record.cost_usd.as_pico(), record.cost_source), (70, CostSource::Book));
        assert_eq!(record.provider_cost_usd, Some(Picodollars::from_pico(6)));
        assert_eq!(record.notes, [Note::ProviderCostDoubted]);
        let more = Amount(64);
        let expected = Recharge { used: more, worst_used: more, worst_kept: Amount::ZERO };
        assert_eq!(recharge(&mut record, Picodollars::from_pico(6), CostSource::Provider), expected);
    }

    #[test]
    fn a_word_below_nothing_leaves_the_charges_and_the_rest() {
        let mut record = UsageRecord { price_basis: vec![], ..told(-5) };
        record.charges = vec![Charge {
            model: "gpt-x".into(),
            kind: Kind::Input,
            quantity: 7,
            rate: Picodollars::from_pico(10),
            cost_usd: Picodollars::from_pico(70),
        }];
        doubt(&mut record, &RateCheck::new(&book()));
        assert_eq!((record.cost_usd.as_pico(), record.cost_source), (70, CostSource::Book));
        assert_eq!((record.provider_cost_usd, record.notes), (None, vec![Note::ProviderCostIgnored]));
        let mut record = told(-5);
        doubt(&mut record, &RateCheck::new(&book()));
        assert!(price_on_arrival(&mut record, &book()), "it is priced as any other");
        assert_eq!((record.cost_usd.as_pico(), record.cost_source), (70, CostSource::Book));
    }

    #[test]
    fn budgets_are_charged_what_a_call_cost_once_its_price_is_found() {
        let of = |used, worst_used, worst_kept| Recharge {
            used: Amount(used),
            worst_used: Amount(worst_used),
            worst_kept: Amount(worst_kept),
        };
        type Spoil = fn(&mut UsageRecord);
        let cases: &[(Spoil, Recharge)] = &[
            // No price at admission, so nothing was held; a hold that stayed; an older gateway, which does
            // not say.
            (|r| r.charged_usd = Some(Picodollars::ZERO), of(70, 70, 0)),
            (|r| r.charged_usd = Some(Picodollars::from_pico(1_000)), of(70, -930, -1_000)),
            (|r| r.charged_usd = None, of(0, 0, 0)),
            // What the provider did not report stays charged.
            (
                |r| (r.charged_usd, r.usage_estimated) = (Some(Picodollars::from_pico(1_000)), true),
                of(70, 0, -70),
            ),
            // No price is found here either.
            (
                |r| {
                    r.charged_usd = Some(Picodollars::from_pico(1_000));
                    r.head.request_model = Some("unknown".into());
                },
                of(0, 0, 0),
            ),
            // Its price was not at the gateway, so that the hold stayed on every budget.
            (
                |r| {
                    (r.charged_usd, r.notes) =
                        (Some(Picodollars::from_pico(1_000)), vec![Note::PriceAwaited]);
                },
                of(-930, -930, -1_000),
            ),
            // The gateway took the row of the model that was asked for.
            (
                |r| {
                    r.head.response_model = Some("gpt-x".into());
                    r.head.request_model = Some("gpt-w".into());
                    (r.cost_usd, r.cost_status) = (Picodollars::from_pico(40), CostStatus::Estimated);
                    r.charged_usd = Some(r.cost_usd);
                    let step = Some(Step::Asked);
                    r.price_basis = vec![PriceBasis { model: "gpt-w".into(), step, ..PriceBasis::default() }];
                },
                of(30, 30, 0),
            ),
            // The whole book has no price either: only who keeps the worst goes on keeping it.
            (
                |r| {
                    (r.charged_usd, r.notes) =
                        (Some(Picodollars::from_pico(1_000)), vec![Note::PriceAwaited]);
                    r.head.request_model = Some("unknown".into());
                },
                of(-1_000, 0, 0),
            ),
            // What was fetched its gateway has not charged, whatever that would have been.
            (
                |r| {
                    (r.charged_usd, r.notes) =
                        (Some(Picodollars::from_pico(1_000)), vec![Note::PriceAwaited]);
                    r.work = Some(Box::new(Work { fetched: Some("batch-1".into()), ..Work::default() }));
                },
                of(0, 0, 0),
            ),
            // Nor what is not known to be anybody's.
            (
                |r| {
                    r.charged_usd = Some(Picodollars::from_pico(1_000));
                    r.notes = vec![Note::PriceAwaited, Note::UnknownWork];
                    r.work = Some(Box::new(Work { fetched: Some("file-1".into()), ..Work::default() }));
                },
                of(0, 0, 0),
            ),
        ];
        for (at, (spoil, expected)) in cases.iter().enumerate() {
            let mut record = unpriced();
            spoil(&mut record);
            let came = record.cost_usd;
            price_on_arrival(&mut record, &book());
            assert_eq!(recharge(&mut record, came, CostSource::Book), *expected, "case {at}");
            assert_eq!(record.charged_usd.is_some(), matches!(at, 4 | 7), "case {at}");
            assert!(!record.notes.contains(&Note::PriceAwaited), "case {at}");
        }
    }

    #[test]
    fn what_one_of_several_models_did_is_priced_where_its_gateway_had_no_row() {
        let mut record = unpriced();
        record.price_basis = vec![
            PriceBasis { model: "other".into(), step: Some(Step::Exact), ..PriceBasis::default() },
            PriceBasis { model: "gpt-x".into(), ..PriceBasis::default() },
        ];
        record.charges = vec![Charge {
            model: "other".into(),
            kind: Kind::Input,
            quantity: 4,
            rate: Picodollars::from_pico(100),
            cost_usd: Picodollars::from_pico(400),
        }];
        record.cost_usd = Picodollars::from_pico(400);
        assert!(price_on_arrival(&mut record, &book()));
        assert_eq!((record.cost_usd.as_pico(), record.cost_status), (430, CostStatus::Measured));
        let quantities: Vec<u64> = record.charges.iter().map(|charge| charge.quantity).collect();
        assert_eq!(quantities, [4, 3]);
        assert!(!price_on_arrival(&mut record, &book()), "once");
    }

    #[test]
    fn a_call_that_two_models_shared_is_priced_by_its_shares_or_not_at_all() {
        let mut record = unpriced();
        let tokens = |input| Usage { input_tokens: Some(input), ..Usage::default() };
        record.shares = vec![
            Share { usage: tokens(3), ..Share::default() },
            Share { model: Some("gpt-y".into()), usage: tokens(4), more_calls: 0 },
        ];
        let rows = ["gpt-x", "gpt-y"];
        record.price_basis =
            rows.map(|model| PriceBasis { model: model.into(), ..PriceBasis::default() }).to_vec();
        let mut models = book().into_models();
        let price = Price { standard: sheet(1_000), ..Price::default() };
        models.push(PricedModel { id: "gpt-y".into(), prices: vec![price], ..models[0].clone() });
        let book = PriceBook::new("v9".into(), models);
        let mut without = UsageRecord { shares: Vec::new(), ..record.clone() };
        assert!(price_on_arrival(&mut record, &book));
        assert_eq!((record.cost_usd.as_pico(), record.cost_status), (4_030, CostStatus::Measured));
        assert!(!price_on_arrival(&mut without, &book));
        assert_eq!(without.cost_status, CostStatus::Unpriced);
    }

    #[test]
    fn a_call_of_a_gateway_without_the_row_is_priced_with_the_facts_that_it_kept() {
        let mut record = unpriced();
        record.price_version = Some("v9".into());
        let facts = [("service_tier".to_owned(), "flex".to_owned())].into();
        record.price_basis = vec![PriceBasis { model: "gpt-x".into(), facts, ..PriceBasis::default() }];
        assert!(price_on_arrival(&mut record, &book()));
        assert_eq!((record.cost_usd.as_pico(), record.cost_status), (35, CostStatus::Measured));
        assert_eq!(record.price_basis[0].step, Some(Step::Exact));
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
            |r| r.price_basis = vec![PriceBasis { step: Some(Step::Exact), ..PriceBasis::default() }],
            |r| r.outcome = Outcome::Denied,
            |r| r.usage = Usage::default(),
            |r| r.head.request_model = Some("unknown".into()),
            |r| r.head.provider = "elsewhere".into(),
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

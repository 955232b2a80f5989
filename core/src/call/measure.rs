//! What a call consumed, who says so, and what that makes of its record.

use crate::answer::wire::Normalised;
use crate::money::Picodollars;
use crate::price::charge::CostStatus;
use crate::price::{Facts, PriceBook, Priced, Wanted, facts};
use crate::record::{Note, Outcome, UsageRecord, is_possible};
use crate::usage::{Share, Usage};

/// What is to be paid for a call.
pub(super) struct Consumed {
    /// What it consumed.
    pub measure: Measure,
    /// The service tier that the answer names.
    pub service_tier: Option<String>,
}

/// What a call consumed, and who says so.
pub(super) enum Measure {
    /// The provider reported it.
    Reported(Normalised),
    /// The gateway worked it out.
    Estimated(Normalised),
    /// What the request bounds: of several counts that a call may be charged by those count that have a
    /// price.
    Bounded(Normalised),
    /// The provider reported it, and it cannot all be true: what is missing is worked out.
    Doubtful(Normalised),
    /// The provider reported a part of it, and nobody knows the rest.
    InPart(Normalised),
    /// Worked out, with attempts that were not seen.
    Retried(Normalised),
    /// The provider reported it, but it is paid with another call, or in other units.
    Elsewhere(Normalised),
    /// The provider tells it to whoever asks after another call, which pays it.
    Told(Normalised),
    /// The provider reported it, and does not charge for it.
    Unbilled(Normalised),
    /// Nothing is paid.
    Nothing,
    /// Nobody knows.
    Unknown,
}

impl Measure {
    /// An estimate; nobody knows where there was nothing to work it out from.
    pub(super) fn from_estimate(usage: Usage) -> Self {
        if usage.is_nothing() {
            return Self::Unknown;
        }
        Self::Estimated(Normalised { usage, ..Normalised::default() })
    }

    /// What the request bounds, where neither an answer nor what passed of it says more.
    pub(super) fn from_bounds(usage: Usage) -> Self {
        if usage.is_nothing() {
            return Self::Unknown;
        }
        Self::Bounded(Normalised { usage, ..Normalised::default() })
    }

    /// What was reported of a turn of a session.
    pub(super) const fn of_turn(normalised: Normalised) -> Self {
        if normalised.contradictory { Self::Doubtful(normalised) } else { Self::Reported(normalised) }
    }

    /// The same, with the estimated input of attempts that were not seen. What the provider reported stays
    /// apart from that no longer, so that the sum is an estimate.
    pub(super) fn with_attempts(self, attempts: u32, input: u64) -> Self {
        let more =
            Usage { input_tokens: Some(input.saturating_mul(u64::from(attempts))), ..Usage::default() };
        let mut normalised = match self {
            Self::Reported(normalised)
            | Self::Estimated(normalised)
            | Self::InPart(normalised)
            | Self::Bounded(normalised)
            | Self::Doubtful(normalised) => normalised,
            Self::Nothing => Normalised::default(),
            other => return other,
        };
        normalised.usage.add(&more);
        if !normalised.shares.is_empty() {
            normalised.shares.push(Share { usage: more, ..Share::default() });
        }
        Self::Retried(normalised)
    }

    /// Adds the service tier that the answer named outside of its usage.
    pub(super) fn name(&mut self, service_tier: Option<&str>) {
        if let (Some(normalised), Some(tier)) = (self.priced(), service_tier)
            && normalised.service_tier().is_none()
        {
            normalised.conditions.push((facts::SERVICE_TIER, tier.to_owned()));
        }
    }

    /// Adds what the address says that decides the price.
    pub(super) fn place(&mut self, place: Option<&(&'static str, String)>) {
        if let (Some(normalised), Some(place)) = (self.priced(), place) {
            normalised.conditions.push(place.clone());
        }
    }

    const fn priced(&mut self) -> Option<&mut Normalised> {
        match self {
            Self::Reported(normalised)
            | Self::Estimated(normalised)
            | Self::InPart(normalised)
            | Self::Bounded(normalised)
            | Self::Doubtful(normalised) => Some(normalised),
            _ => None,
        }
    }

    // Long: one arm for each way in which a call was measured, and what that does to its record.
    pub(super) fn apply(self, record: &mut UsageRecord, book: Option<&PriceBook>) {
        let mut is_whole = true;
        let is_bounded = matches!(self, Self::Bounded(_));
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
                record.provider_cost_usd = normalised.provider_cost.filter(|cost| is_possible(*cost));
                record.usage = normalised.usage;
                record.cost_status = CostStatus::Unpriced;
                return;
            }
            Self::Told(normalised) => {
                record.usage = normalised.usage;
                record.cost_status = CostStatus::Free;
                return;
            }
            // The provider says that it charges for it all the same.
            Self::Unbilled(normalised) if names_a_cost(&normalised) => (normalised, true),
            Self::Unbilled(normalised) => {
                record.usage = normalised.usage;
                record.cost_status = CostStatus::Measured;
                record.notes.push(Note::Unbilled);
                return;
            }
            Self::Reported(normalised) => (normalised, true),
            Self::Estimated(normalised) | Self::Bounded(normalised) => (normalised, false),
            Self::Doubtful(normalised) => {
                record.notes.push(Note::ContradictoryUsage);
                (normalised, false)
            }
            Self::InPart(normalised) => {
                record.notes.push(Note::ContradictoryUsage);
                is_whole = false;
                (normalised, false)
            }
            Self::Retried(normalised) => {
                record.notes.push(Note::RetriesCharged);
                (normalised, false)
            }
        };
        let says_why = [Note::RetriesCharged, Note::ContradictoryUsage];
        if !measured
            && !says_why.iter().any(|note| record.notes.contains(note))
            && record.outcome == Outcome::Ok
            && !record.notes.contains(&Note::TruncatedAnswer)
        {
            record.notes.push(Note::NoUsage);
        }
        let mut priced = price(record, &normalised, book);
        priced.complete &= is_whole;
        priced.complete |= is_bounded && !priced.charges.is_empty();
        record.usage = normalised.usage;
        record.shares = kept(normalised.shares);
        record.usage_estimated = !measured;
        record.price_version = book.map(|book| book.version().to_owned());
        priced.owed(normalised.provider_cost, measured).put(record);
        record.charges = priced.charges;
        record.price_basis = priced.basis;
        if record.cost_status == CostStatus::Unpriced && awaits_price(record, book) {
            record.notes.push(Note::PriceAwaited);
            record.charged_usd = book
                .and_then(|book| book.at_dearest(&record.head.provider, record.head.time_ms, &record.usage));
        }
    }
}

/// Whether the price of a call merely is not here: this is a part of the book, and the whole is not known to
/// have none.
fn awaits_price(record: &UsageRecord, book: Option<&PriceBook>) -> bool {
    let may_have = |model: &str| {
        let wanted = Wanted { provider: record.head.provider.clone(), model: model.to_owned() };
        !model.is_empty() && book.is_none_or(|book| !book.has_no_price_for(&wanted))
    };
    let mut lacking = record.price_basis.iter().filter(|basis| basis.step.is_none()).peekable();
    let is_asked_for = lacking.peek().is_some() && record.shares.is_empty();
    lacking.any(|basis| may_have(&basis.model))
        || is_asked_for && record.head.request_model.as_deref().is_some_and(may_have)
}

pub(super) fn names_a_cost(normalised: &Normalised) -> bool {
    normalised.provider_cost.is_some_and(|cost| cost > Picodollars::ZERO && is_possible(cost))
}

/// Prices a call: each model's share at that model's rates.
fn price(record: &UsageRecord, normalised: &Normalised, book: Option<&PriceBook>) -> Priced {
    let mut conditions: Vec<(&str, &str)> =
        normalised.conditions.iter().map(|(fact, value)| (*fact, value.as_str())).collect();
    if let (Some(tier), None) = (&record.head.service_tier, normalised.service_tier()) {
        conditions.push((facts::REQUESTED_TIER, tier));
    }
    let facts = Facts {
        provider: &record.head.provider,
        response_model: record.head.response_model.as_deref(),
        request_model: record.head.request_model.as_deref(),
        time_ms: record.head.time_ms,
        conditions: &conditions,
    };
    // Without a book it finds no row, and keeps the facts for when there is one.
    let none = PriceBook::default();
    book.unwrap_or(&none).price_shares(&facts, &normalised.usage, &normalised.shares)
}

/// The shares as a record keeps them. Of a call with very many runs only what each model used in all: a tier
/// of context length is then chosen anew by their sum, should the call be priced again.
fn kept(shares: Vec<Share>) -> Vec<Share> {
    if shares.len() <= SHARES_MAX {
        return shares;
    }
    let mut by_model: Vec<Share> = Vec::new();
    for share in shares {
        match by_model.iter_mut().find(|known| known.model == share.model) {
            Some(known) => known.add(&share),
            None => by_model.push(share),
        }
    }
    by_model
}

/// The answer broke off after the provider said something: its output is at least what passed.
pub(super) fn cut_short(mut reported: Normalised, estimate: &Usage) -> Measure {
    let usage = &mut reported.usage;
    usage.output_tokens = usage.output_tokens.max(estimate.output_tokens).or(Some(0));
    usage.input_tokens = usage.input_tokens.or(estimate.input_tokens);
    Measure::Estimated(reported)
}

/// The tools that were told of, beside what was worked out of the rest.
pub(super) fn beside(mut reported: Normalised, rest: Measure) -> Measure {
    if let Measure::Estimated(rest) = rest {
        reported.usage.add(&rest.usage);
    }
    Measure::Estimated(reported)
}

/// What was reported cannot all be true: what is missing, or nothing where there was something to see, is
/// what was seen.
pub(super) fn doubtful(mut reported: Normalised, estimate: &Usage) -> Measure {
    let usage = &mut reported.usage;
    for (count, seen) in
        [(&mut usage.input_tokens, estimate.input_tokens), (&mut usage.output_tokens, estimate.output_tokens)]
    {
        *count = count.filter(|count| *count > 0).or(seen).or(*count);
    }
    Measure::Doubtful(reported)
}

/// A session: its turns that were reported, and one that broke off. One in which nobody said anything is
/// free.
pub(super) fn session(reported: Option<Normalised>, broken: Option<Usage>) -> Measure {
    match (reported, broken) {
        (None, None) => Measure::Nothing,
        (None, Some(usage)) => Measure::from_estimate(usage),
        (Some(turns), None) => Measure::of_turn(turns),
        (Some(mut turns), Some(usage)) => {
            turns.usage.add(&usage);
            if !turns.shares.is_empty() {
                turns.shares.push(Share { usage, ..Share::default() });
            }
            Measure::Estimated(turns)
        }
    }
}

/// Shares that a record keeps one by one.
const SHARES_MAX: usize = 32;

#[cfg(all(test, feature = "book"))]
mod tests {
    use super::*;
    use crate::price::{Price, PricedModel, Rates, Sheet};
    use crate::record::Head;
    use crate::usage::Kind;

    fn model(id: &str, rate: i128) -> PricedModel {
        let rate = Picodollars::from_pico(rate);
        let rates = Rates([(Kind::Input, rate), (Kind::Output, rate), (Kind::WebSearch, rate)].into());
        let price = Price { standard: Sheet { rates, tiers: vec![] }, ..Price::default() };
        PricedModel { provider: "p".into(), id: id.into(), prices: vec![price], ..PricedModel::default() }
    }

    fn book(of: &[(&str, i128)]) -> PriceBook {
        PriceBook::new("v".into(), of.iter().map(|(id, rate)| model(id, *rate)).collect())
    }

    fn tokens(input: u64, output: u64) -> Usage {
        Usage { input_tokens: Some(input), output_tokens: Some(output), ..Usage::default() }
    }

    fn advised() -> Normalised {
        let advisor = Share { model: Some("advisor".into()), usage: tokens(500, 20), ..Share::default() };
        let own = Share { usage: tokens(100, 50), ..Share::default() };
        let usage = Usage { web_searches: Some(2), ..tokens(600, 70) };
        Normalised { usage, shares: vec![own, advisor], ..Normalised::default() }
    }

    fn metered(measure: Measure, book: Option<&PriceBook>) -> UsageRecord {
        let mut record = UsageRecord {
            head: Head { provider: "p".into(), response_model: Some("answerer".into()), ..Head::default() },
            ..UsageRecord::default()
        };
        measure.apply(&mut record, book);
        record
    }

    #[test]
    fn a_shared_call_costs_the_same_whenever_it_is_priced() {
        let whole = book(&[("answerer", 1), ("advisor", 10)]);
        let priced = metered(Measure::Reported(advised()), Some(&whole));
        assert_eq!((priced.cost_usd.as_pico(), priced.cost_status), (150 + 5_200 + 2, CostStatus::Measured));
        for part in [None, Some(book(&[])), Some(book(&[("answerer", 1)])), Some(book(&[("advisor", 10)]))] {
            let unpriced = metered(Measure::Reported(advised()), part.as_ref());
            assert_eq!(unpriced.cost_status, CostStatus::Unpriced);
            let (again, status) = whole.price_again(&unpriced).unwrap();
            assert_eq!((again.cost, status), (priced.cost_usd, CostStatus::Measured));
            assert_eq!(again.charges, priced.charges);
        }
    }

    #[test]
    fn a_shared_call_without_its_shares_stays_as_it_is() {
        let whole = book(&[("answerer", 1), ("advisor", 10)]);
        for part in [book(&[]), book(&[("answerer", 1)])] {
            let mut unpriced = metered(Measure::Reported(advised()), Some(&part));
            unpriced.shares.clear();
            assert_eq!(whole.price_again(&unpriced), None);
        }
        let mut priced = metered(Measure::Reported(advised()), Some(&whole));
        priced.shares.clear();
        assert_eq!(whole.price_again(&priced).unwrap().0.cost, priced.cost_usd, "its charges are split");
    }

    #[test]
    fn what_the_shares_have_of_the_whole_is_charged_once() {
        let fees = |pico| {
            [(Kind::WebSearch, Picodollars::from_pico(pico)), (Kind::Request, Picodollars::from_pico(1_000))]
        };
        let mut paid = model("answerer", 0);
        paid.prices[0].standard.rates =
            Rates(fees(7).into_iter().chain([(Kind::Input, Picodollars::ZERO)]).collect());
        let whole = PriceBook::new("v".into(), vec![paid]);
        let of = |web_searches, input: u64| Usage {
            input_tokens: Some(input),
            output_tokens: Some(0),
            web_searches,
            ..Usage::default()
        };
        let share = |searches, calls: u64| Share {
            model: Some("answerer".into()),
            usage: Usage { output_tokens: Some(1), ..of(searches, 5) },
            more_calls: calls - 1,
        };
        for (shares, searches, expected) in [
            // Each has its own, and pays for the call.
            (vec![share(Some(2), 1), share(Some(1), 1)], 3, 3 * 7 + 2 * 1_000),
            (vec![share(Some(9), 3)], 9, 9 * 7 + 3 * 1_000),
            // The whole has more than they: the rest is the answer's, which is no call besides.
            (vec![share(None, 1), share(Some(1), 1)], 3, 3 * 7 + 2 * 1_000),
        ] {
            let mut rates = whole.clone().into_models();
            rates[0].prices[0].standard.rates.0.insert(Kind::Output, Picodollars::ZERO);
            let book = PriceBook::new("v".into(), rates);
            let usage = Usage { output_tokens: Some(2), ..of(Some(searches), 10) };
            let record = metered(
                Measure::Reported(Normalised { usage, shares, ..Normalised::default() }),
                Some(&book),
            );
            assert_eq!((record.cost_usd.as_pico(), record.cost_status), (expected, CostStatus::Measured));
            assert_eq!(book.price_again(&record).unwrap().0.cost, record.cost_usd);
        }
    }

    #[test]
    fn many_calls_of_one_model_have_the_tier_of_one() {
        let mut tiered = model("answerer", 1);
        let dear = Rates(
            [(Kind::Input, Picodollars::from_pico(9)), (Kind::Output, Picodollars::from_pico(9))].into(),
        );
        tiered.prices[0].standard.tiers.push(crate::price::Tier { input_above: 100, rates: dear });
        let book = PriceBook::new("v".into(), vec![tiered]);
        let of = |more_calls| {
            let shares = vec![Share { model: Some("answerer".into()), usage: tokens(400, 0), more_calls }];
            let normalised = Normalised { usage: tokens(400, 0), shares, ..Normalised::default() };
            metered(Measure::Reported(normalised), Some(&book)).cost_usd.as_pico()
        };
        assert_eq!((of(0), of(7)), (3_600, 400));
    }

    #[test]
    fn a_part_of_a_call_has_no_whole_price() {
        let whole = book(&[("answerer", 1)]);
        let part = Normalised {
            usage: Usage { output_tokens: Some(5), ..Usage::default() },
            ..Normalised::default()
        };
        let record = metered(Measure::InPart(part), Some(&whole));
        assert_eq!((record.cost_usd.as_pico(), record.cost_status), (5, CostStatus::Unpriced));
        assert_eq!(record.notes, [Note::ContradictoryUsage]);
    }

    #[test]
    fn what_is_paid_elsewhere_keeps_the_providers_word() {
        let said = Picodollars::from_pico(300_000_000_000);
        let told = |cost| {
            metered(
                Measure::Elsewhere(Normalised { provider_cost: Some(cost), ..Normalised::default() }),
                None,
            )
        };
        assert_eq!(told(said).provider_cost_usd, Some(said));
        assert_eq!(told(Picodollars::from_pico(-1)).provider_cost_usd, None);
    }

    #[test]
    fn attempts_that_were_not_seen_are_the_answering_models() {
        let whole = book(&[("answerer", 1), ("advisor", 10)]);
        let record = metered(Measure::Reported(advised()).with_attempts(2, 7), Some(&whole));
        assert_eq!(record.cost_usd.as_pico(), 150 + 5_200 + 2 + 14);
        assert_eq!(record.usage.input_tokens, Some(614));
    }

    #[test]
    fn a_call_of_very_many_runs_is_a_short_record_of_the_same_cost() {
        let whole = book(&[("answerer", 1), ("advisor", 10)]);
        let run = |at: u64| Share {
            model: at.is_multiple_of(2).then(|| "advisor".into()),
            usage: tokens(3, 1),
            more_calls: 0,
        };
        let shares: Vec<Share> = (0..400).map(run).collect();
        let usage = tokens(1_200, 400);
        let record =
            metered(Measure::Reported(Normalised { usage, shares, ..Normalised::default() }), Some(&whole));
        assert_eq!((record.charges.len(), record.shares.len()), (4, 2));
        assert_eq!(record.cost_usd.as_pico(), 200 * 4 + 200 * 40);
        assert_eq!(whole.price_again(&record).unwrap().0.cost, record.cost_usd);
    }

    #[test]
    fn what_decides_a_price_is_kept_without_a_book() {
        let conditions = vec![("speed", "fast".to_owned())];
        let normalised = Normalised { usage: tokens(1, 1), conditions, ..Normalised::default() };
        let record = metered(Measure::Reported(normalised), None);
        assert_eq!(record.price_basis[0].facts, [("speed".to_owned(), "fast".to_owned())].into());
        assert_eq!(record.price_version, None);
    }
}

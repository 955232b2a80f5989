//! The gap of each day, provider and model, split by cause exactly.

use std::collections::BTreeMap;

use jiff::civil::Date;
use tollgate_core::money::Picodollars;
use tollgate_core::price::PriceBook;

use super::models::Models;
use super::{Bill, Billed};
use crate::model::answers::reconcile::{Causes, ReconciledRow, Reconciliation};

/// What gateways saw of one day, provider and model.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The day.
    pub day: Date,
    /// Id of the provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The numbers.
    pub sums: Sums,
}

/// Numbers of gateways.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// Calls that reached the provider.
    pub calls: u64,
    /// Calls that had no price for all they used.
    pub unpriced: u64,
    /// What they cost.
    pub cost: Picodollars,
    /// The part of it from estimated counts.
    pub estimated: Picodollars,
    /// Tokens of prompts and answers.
    pub tokens: i128,
}

/// A bill beside what gateways saw: by provider, model and day.
pub(super) type Pairs = BTreeMap<(String, String, Date), (Sums, Billed)>;

/// Puts a bill beside what gateways saw of its days and providers. Models are matched by the price book.
#[must_use]
pub fn reconcile(bill: &Bill, seen: &[Seen], book: &PriceBook) -> Reconciliation {
    let mut models = models(bill, seen, book);
    answer(bill, &pairs(bill, seen, &mut models))
}

/// Which names of a bill and of gateways mean the same. What is booked has no calls, and says nothing here:
/// so booking does not change it.
pub(super) fn models<'b>(bill: &Bill, seen: &[Seen], book: &'b PriceBook) -> Models<'b> {
    let called = seen.iter().filter(|one| one.sums.calls > 0);
    Models::of(bill, called.map(|one| (&one.provider, &one.model)), book)
}

/// A bill and what gateways saw, put together.
pub(super) fn pairs(bill: &Bill, seen: &[Seen], models: &mut Models<'_>) -> Pairs {
    let mut pairs = Pairs::new();
    for one in seen {
        let (sums, _) = pairs
            .entry((one.provider.clone(), models.named(&one.provider, &one.model), one.day))
            .or_default();
        sums.calls = sums.calls.saturating_add(one.sums.calls);
        sums.unpriced = sums.unpriced.saturating_add(one.sums.unpriced);
        sums.cost += one.sums.cost;
        sums.estimated += one.sums.estimated;
        sums.tokens = sums.tokens.saturating_add(one.sums.tokens);
    }
    for ((day, provider, model), one) in &bill.rows {
        let (_, billed) = pairs.entry((provider.clone(), models.named(provider, model), *day)).or_default();
        billed.cost += one.cost;
        billed.lines = billed.lines.saturating_add(one.lines);
        billed.counted_lines = billed.counted_lines.saturating_add(one.counted_lines);
        billed.tokens = billed.tokens.saturating_add(one.tokens);
    }
    pairs
}

/// The gap of each pair, by cause.
pub(super) fn answer(bill: &Bill, pairs: &Pairs) -> Reconciliation {
    let shifted = shifts(pairs);
    let mut answer = Reconciliation {
        lines: bill.lines,
        passed_over_lines: bill.passed_over,
        rounded_amounts: bill.rounded,
        ..Reconciliation::default()
    };
    let mut totals: BTreeMap<String, ReconciledRow> = BTreeMap::new();
    for (key, (sums, billed)) in pairs {
        let shift = shifted.get(key).copied().unwrap_or_default();
        let (provider, model, day) = key;
        let row = ReconciledRow {
            day: day.to_string(),
            provider: provider.clone(),
            model: model.clone(),
            calls: sums.calls,
            gateway_usd: sums.cost,
            bill_usd: billed.cost,
            gap_usd: billed.cost - sums.cost,
            causes: causes(sums, billed, shift),
        };
        let new = || ReconciledRow { provider: provider.clone(), ..ReconciledRow::default() };
        totals.entry(provider.clone()).or_insert_with(new).add(&row);
        answer.rows.push(row);
    }
    answer.rows.sort_by(|one, other| (&one.day, &one.provider).cmp(&(&other.day, &other.provider)));
    answer.totals = totals.into_values().collect();
    answer
}

/// A gap by cause, of which the neighbouring days cancel `shift`.
fn causes(sums: &Sums, billed: &Billed, shift: Picodollars) -> Causes {
    let mut rest = billed.cost - sums.cost;
    let mut causes = Causes { time_zone_usd: shift, ..Causes::default() };
    rest = rest - shift;
    if sums.calls == 0 {
        causes.past_the_gateway_usd = rest;
        return causes;
    }
    if rest > Picodollars::ZERO && sums.unpriced > 0 {
        let unpriced = sums.unpriced.min(sums.calls);
        let share = billed.cost.as_pico().max(0).saturating_mul(unpriced.into());
        let share = Picodollars::from_pico(share.checked_div(sums.calls.into()).unwrap_or_default());
        causes.unpriced_usd = share.min(rest);
        rest = rest - causes.unpriced_usd;
    }
    let most = if sums.estimated < Picodollars::ZERO { -sums.estimated } else { sums.estimated };
    causes.estimated_usd = rest.clamp(-most, most);
    rest = rest - causes.estimated_usd;
    // Each line's quantity may be rounded to a token.
    let is_counted = billed.lines > 0 && billed.counted_lines == billed.lines;
    let apart = billed.tokens.saturating_sub(sums.tokens).unsigned_abs();
    match is_counted && apart <= billed.lines.into() {
        true => causes.price_difference_usd = rest,
        false => causes.unknown_usd = rest,
    }
    causes
}

/// What days of one model cancel of the next day's gap; each day with one neighbour at most.
fn shifts(pairs: &Pairs) -> BTreeMap<(String, String, Date), Picodollars> {
    let mut shifts = BTreeMap::new();
    for (key, (sums, billed)) in pairs {
        let (provider, model, day) = key;
        let Ok(next) = day.tomorrow() else { continue };
        let next = (provider.clone(), model.clone(), next);
        let Some((next_sums, next_billed)) = pairs.get(&next) else { continue };
        let gap = (billed.cost - sums.cost).as_pico();
        let other = (next_billed.cost - next_sums.cost).as_pico();
        let larger = gap.unsigned_abs().max(other.unsigned_abs());
        let together = gap.saturating_add(other).unsigned_abs();
        let cancels = gap.signum() * other.signum() < 0 && together <= larger / TOLERANCE;
        if !cancels || shifts.contains_key(key) {
            continue;
        }
        let part = i128::try_from(gap.unsigned_abs().min(other.unsigned_abs())).unwrap_or(i128::MAX);
        shifts.insert(key.clone(), Picodollars::from_pico(part.saturating_mul(gap.signum())));
        shifts.insert(next, Picodollars::from_pico(part.saturating_mul(other.signum())));
    }
    shifts
}

/// One part in so many may two days be apart that cancel each other.
const TOLERANCE: u128 = 50;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tollgate_core::price::{NameMap, PricedModel};

    use super::super::models::ALL;
    use super::*;

    fn day(number: i8) -> Date {
        jiff::civil::date(2026, 11, number)
    }

    fn seen(number: i8, model: &str, cost: i128, sums: Sums) -> Seen {
        let sums = Sums { cost: Picodollars::from_pico(cost), ..sums };
        Seen { day: day(number), provider: "openai".into(), model: model.into(), sums }
    }

    fn bill(rows: &[(i8, &str, i128, Option<i128>)]) -> Bill {
        let mut bill = Bill::default();
        for (number, model, cost, tokens) in rows {
            let cost = crate::work::reconcile::amount::Amount {
                value: Picodollars::from_pico(*cost),
                rounded: false,
            };
            let (provider, model) = ("openai".into(), (*model).into());
            bill.add(super::super::Line { day: day(*number), provider, model, cost, tokens: *tokens });
        }
        bill
    }

    fn reconcile(bill: &Bill, seen: &[Seen]) -> Reconciliation {
        super::reconcile(bill, seen, &PriceBook::default())
    }

    fn pico(amount: i128) -> Picodollars {
        Picodollars::from_pico(amount)
    }

    #[test]
    fn each_cause_is_told() {
        let calls = Sums { calls: 4, tokens: 100, ..Sums::default() };
        let only = |bill: &Bill, seen: &[Seen]| reconcile(bill, seen).rows.first().unwrap().causes;
        let past = only(&bill(&[(1, "gpt-4o", 50, None)]), &[]);
        assert_eq!(past, Causes { past_the_gateway_usd: pico(50), ..Causes::default() });
        let price = only(&bill(&[(1, "gpt-4o", 50, Some(100))]), &[seen(1, "gpt-4o-2024-08-06", 40, calls)]);
        assert_eq!(price, Causes { price_difference_usd: pico(10), ..Causes::default() });
        let unknown = only(&bill(&[(1, "gpt-4o", 50, None)]), &[seen(1, "gpt-4o", 40, calls)]);
        assert_eq!(unknown, Causes { unknown_usd: pico(10), ..Causes::default() });
        let both = Sums { unpriced: 1, estimated: pico(5), ..calls };
        let both = only(&bill(&[(1, "gpt-4o", 40, None)]), &[seen(1, "gpt-4o", 20, both)]);
        let expected = Causes {
            unpriced_usd: pico(10),
            estimated_usd: pico(5),
            unknown_usd: pico(5),
            ..Causes::default()
        };
        assert_eq!(both, expected);
        let rows = reconcile(
            &bill(&[(1, "gpt-4o", 400, None), (2, "gpt-4o", 100, None)]),
            &[seen(1, "gpt-4o", 300, calls), seen(2, "gpt-4o", 201, calls)],
        )
        .rows;
        let shifted: Vec<_> =
            rows.iter().map(|row| (row.causes.time_zone_usd, row.causes.unknown_usd)).collect();
        assert_eq!(shifted, [(pico(100), pico(0)), (pico(-100), pico(-1))]);
    }

    #[test]
    fn a_bill_that_names_no_models_is_compared_with_all_of_them() {
        let calls = Sums { calls: 1, ..Sums::default() };
        let all = reconcile(&bill(&[(1, "", 50, None)]), &[seen(1, "a", 20, calls), seen(1, "b", 20, calls)]);
        let row = all.rows.first().unwrap();
        assert_eq!((all.rows.len(), row.model.as_str(), row.gap_usd), (1, ALL, pico(10)));
    }

    #[test]
    fn dated_versions_stay_apart_where_both_sides_name_them() {
        let calls = Sums { calls: 1, ..Sums::default() };
        let names = ["gpt-4o-2024-08-06", "gpt-4o-2024-05-13"];
        let all = reconcile(
            &bill(&names.map(|name| (1, name, 5, None))),
            &names.map(|name| seen(1, name, 5, calls)),
        );
        assert_eq!(all.rows.iter().filter(|row| row.gap_usd == pico(0)).count(), 2);
    }

    /// Names of the rows that a bill and gateways come to.
    fn matched(book: &PriceBook, billed: &str, known: &str) -> Vec<String> {
        let calls = Sums { calls: 1, ..Sums::default() };
        let rows = super::reconcile(&bill(&[(1, billed, 5, None)]), &[seen(1, known, 5, calls)], book).rows;
        rows.into_iter().map(|row| row.model).collect()
    }

    #[test]
    fn the_price_book_says_which_names_are_one_model() {
        let row = |id: &str, aliases: &[&str]| PricedModel {
            provider: "openai".into(),
            id: id.into(),
            aliases: aliases.iter().map(|name| (*name).into()).collect(),
            ..PricedModel::default()
        };
        let map = NameMap {
            provider: "openai".into(),
            name: "our-own".into(),
            to_provider: "openai".into(),
            to_model: "large-1".into(),
            ..NameMap::default()
        };
        let book = PriceBook::new(
            "v".into(),
            vec![row("large-1", &["big-one"]), row("m-2026-01-01", &[]), row("m-2026-02-02", &[])],
        )
        .with_maps(vec![map]);
        assert_eq!(matched(&book, "Big One", "large-1"), ["large-1"]);
        assert_eq!(matched(&book, "large 1", "big-one"), ["big-one"]);
        assert_eq!(matched(&book, "large-1", "our-own"), ["our-own"]);
        assert_eq!(matched(&PriceBook::default(), "Big One", "large-1"), ["Big One", "large-1"]);
        // One side has no date.
        assert_eq!(matched(&book, "m", "m-2026-01-01"), ["m-2026-01-01"]);
        // Nobody knows which of two rows is meant.
        assert_eq!(matched(&book, "m", "n"), ["m", "n"]);
        assert_eq!(matched(&book, "m-2026-02-02", "m-2026-01-01").len(), 2);
        // What the bill alone has is shown as the book names it.
        assert_eq!(matched(&book, "big one", "n"), ["large-1", "n"]);
    }

    proptest! {
        #[test]
        fn causes_add_up_to_the_gap_and_rows_to_bills_and_gateways(
            billed in prop::collection::vec((1_i8..6, 0_usize..4, -1000_i128..1000, prop::option::of(0_i128..50)), 0..20),
            metered in prop::collection::vec((1_i8..6, 0_usize..4, -9_i128..1000, 0_u64..3, 0_u64..3, 0_i128..200), 0..20),
        ) {
            const NAMES: [&str; 4] = ["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-2024-05-13", "o3"];
            let rows: Vec<_> = billed.iter().map(|(d, m, c, t)| (*d, NAMES[*m], *c, *t)).collect();
            let seen: Vec<_> = metered
                .iter()
                .map(|(d, m, cost, calls, unpriced, estimated)| {
                    let sums = Sums { calls: *calls, unpriced: *unpriced, estimated: pico(*estimated), tokens: 20, ..Sums::default() };
                    seen(*d, NAMES[*m], *cost, sums)
                })
                .collect();
            let answer = reconcile(&bill(&rows), &seen);
            for row in answer.rows.iter().chain(&answer.totals) {
                prop_assert_eq!(row.causes.sum(), row.gap_usd);
                prop_assert_eq!(row.bill_usd - row.gateway_usd, row.gap_usd);
            }
            let total = |of: fn(&ReconciledRow) -> Picodollars| answer.totals.iter().map(of).sum::<Picodollars>().as_pico();
            prop_assert_eq!(total(|row| row.bill_usd), billed.iter().map(|row| row.2).sum::<i128>());
            prop_assert_eq!(total(|row| row.gateway_usd), metered.iter().map(|row| row.2).sum::<i128>());
        }
    }
}

//! Splits the change of a cost into parts, exactly.
//!
//! The cost of before is turned into that of after step by step. Each step replaces one thing, and its part
//! is what the cost changes by: calls, then models, then tokens of a prompt, tokens of an answer, what of the
//! prompt came from a cache, then prices, and last all that is left. Each amount is rounded once, to the
//! pico-dollar, and each part is a difference of two that follow each other: so the parts add up to the
//! change, whatever the numbers are.

use tollgate_core::money::Picodollars;
use tollgate_core::record::{KindTotal, OutOfRange, Sums};

use super::Pair;
use super::exact::scaled;
use crate::model::answers::compare::Parts;

/// Splits the change of a row, given by provider, model and service tier.
///
/// # Errors
/// [`OutOfRange`] where an amount passes 2¹²⁷ pico-dollars.
pub fn split(pairs: &[Pair]) -> Result<Parts, OutOfRange> {
    let whole = Whole::of(pairs)?;
    let change = minus(whole.after, whole.before)?;
    match (whole.calls_before, whole.calls_after) {
        // Only corrections, and other money without calls.
        (0, 0) => return Ok(Parts { other: Picodollars::from_pico(change), ..Parts::default() }),
        (0, _) | (_, 0) => return Ok(Parts { volume: Picodollars::from_pico(change), ..Parts::default() }),
        _ => {}
    }
    let volume = scaled(whole.before, &[whole.calls_after], &[whole.calls_before]).ok_or(OutOfRange)?;
    let mut steps = [0; STEPS];
    for pair in pairs {
        for (sum, step) in steps.iter_mut().zip(levels(pair, &whole)?) {
            *sum = plus(*sum, step)?;
        }
    }
    let [mix, input, output, cache, price] = steps;
    let part = |to: i128, from: i128| minus(to, from).map(Picodollars::from_pico);
    Ok(Parts {
        volume: part(volume, whole.before)?,
        mix: part(mix, volume)?,
        input: part(input, mix)?,
        output: part(output, input)?,
        cache: part(cache, output)?,
        price: part(price, cache)?,
        other: part(whole.after, price)?,
    })
}

/// A row as a whole.
struct Whole {
    before: i128,
    after: i128,
    calls_before: u64,
    calls_after: u64,
    /// Tokens of before.
    input: u64,
    output: u64,
}

impl Whole {
    fn of(pairs: &[Pair]) -> Result<Self, OutOfRange> {
        let mut whole = Self { before: 0, after: 0, calls_before: 0, calls_after: 0, input: 0, output: 0 };
        for Pair { before, after, .. } in pairs {
            let tokens = Tokens::of(before)?;
            whole.before = plus(whole.before, before.totals.cost.as_pico())?;
            whole.after = plus(whole.after, after.totals.cost.as_pico())?;
            for (sum, more) in [
                (&mut whole.calls_before, before.totals.calls),
                (&mut whole.calls_after, after.totals.calls),
                (&mut whole.input, tokens.input),
                (&mut whole.output, tokens.output),
            ] {
                *sum = sum.checked_add(more).ok_or(OutOfRange)?;
            }
        }
        Ok(whole)
    }
}

/// Tokens and what they cost, and the cost of all else.
struct Tokens {
    input: u64,
    input_cost: i128,
    output: u64,
    output_cost: i128,
    /// Fees, differences to the provider's word, corrections.
    rest: i128,
}

impl Tokens {
    fn of(sums: &Sums) -> Result<Self, OutOfRange> {
        let mut tokens =
            Self { input: 0, input_cost: 0, output: 0, output_cost: 0, rest: sums.totals.cost.as_pico() };
        for KindTotal { kind, quantity, cost_usd } in &sums.kinds {
            let (count, cost) = match kind {
                kind if kind.is_input() => (&mut tokens.input, &mut tokens.input_cost),
                kind if kind.is_output() => (&mut tokens.output, &mut tokens.output_cost),
                _ => continue,
            };
            *count = count.checked_add(*quantity).ok_or(OutOfRange)?;
            *cost = plus(*cost, cost_usd.as_pico())?;
            tokens.rest = minus(tokens.rest, cost_usd.as_pico())?;
        }
        Ok(tokens)
    }
}

/// What the calls of one provider, model and service tier would cost after each step from the mix on.
fn levels(pair: &Pair, whole: &Whole) -> Result<[i128; STEPS], OutOfRange> {
    let (calls_before, calls_after) = (pair.before.totals.calls, pair.after.totals.calls);
    let after = Tokens::of(&pair.after)?;
    if calls_after == 0 {
        // What is left of their cost is no price of calls.
        return Ok([0; STEPS]);
    }
    let (input, output, rest, shorter, at_old_rates);
    if calls_before == 0 {
        // Of a model that the row did not have before, prices and cache are its own, and prompts and answers
        // as long as the row's were.
        let as_before = |cost: i128, tokens: u64, before: u64| match tokens {
            0 => Some(cost),
            _ => scaled(cost, &[calls_after, before], &[whole.calls_before, tokens]),
        };
        input = as_before(after.input_cost, after.input, whole.input).ok_or(OutOfRange)?;
        output = as_before(after.output_cost, after.output, whole.output).ok_or(OutOfRange)?;
        rest = after.rest;
        shorter = after.input_cost;
        at_old_rates = (after.input_cost, after.output_cost);
    } else {
        let before = Tokens::of(&pair.before)?;
        let as_many = |cost: i128| scaled(cost, &[calls_after], &[calls_before]).ok_or(OutOfRange);
        input = as_many(before.input_cost)?;
        output = as_many(before.output_cost)?;
        rest = as_many(before.rest)?;
        shorter = match before.input {
            0 => after.input_cost,
            tokens => scaled(before.input_cost, &[after.input], &[tokens]).ok_or(OutOfRange)?,
        };
        at_old_rates = old_rates(pair)?;
    }
    let sum = |input: i128, output: i128| plus(plus(input, output)?, rest);
    Ok([
        sum(input, output)?,
        sum(shorter, output)?,
        sum(shorter, at_old_rates.1)?,
        sum(at_old_rates.0, at_old_rates.1)?,
        sum(after.input_cost, after.output_cost)?,
    ])
}

/// Tokens of after, of prompts and of answers, at what each kind cost before; at what it costs now where it
/// did not occur before.
fn old_rates(pair: &Pair) -> Result<(i128, i128), OutOfRange> {
    let (mut input, mut output) = (0, 0);
    for after in &pair.after.kinds {
        let sum = match after.kind {
            kind if kind.is_input() => &mut input,
            kind if kind.is_output() => &mut output,
            _ => continue,
        };
        let before = pair.before.kind(after.kind);
        let cost = match before.quantity {
            0 => after.cost_usd.as_pico(),
            tokens => scaled(before.cost_usd.as_pico(), &[after.quantity], &[tokens]).ok_or(OutOfRange)?,
        };
        *sum = plus(*sum, cost)?;
    }
    Ok((input, output))
}

fn plus(one: i128, other: i128) -> Result<i128, OutOfRange> {
    one.checked_add(other).ok_or(OutOfRange)
}

fn minus(one: i128, other: i128) -> Result<i128, OutOfRange> {
    one.checked_sub(other).ok_or(OutOfRange)
}

/// Steps from the mix of models on, to prices.
const STEPS: usize = 5;

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;
    use tollgate_core::usage::Kind;

    use super::*;

    /// Calls, tokens with the price of one in pico-dollars, and what else was charged.
    fn sums(calls: u64, kinds: &[(Kind, u64, i128)], rest: i128) -> Sums {
        let mut sums = Sums::default();
        sums.totals.calls = calls;
        let mut cost = rest;
        for (kind, quantity, rate) in kinds {
            let cost_usd = Picodollars::from_pico(i128::from(*quantity) * rate);
            cost += cost_usd.as_pico();
            sums.kinds.push(KindTotal { kind: *kind, quantity: *quantity, cost_usd });
        }
        sums.totals.cost = Picodollars::from_pico(cost);
        sums
    }

    fn pico(parts: &Parts) -> [i128; 7] {
        parts.all().map(|(_, amount)| amount.as_pico())
    }

    fn pair(before: Sums, after: Sums) -> Pair {
        Pair { name: String::new(), before, after }
    }

    #[test]
    fn each_change_alone_is_in_its_own_part() {
        use Kind::{CacheRead, Input, Output, WebSearch};
        let before = || sums(10, &[(Input, 1_000, 10), (CacheRead, 1_000, 1), (Output, 100, 40)], 0);
        for (after, expected, what) in [
            (
                sums(20, &[(Input, 2_000, 10), (CacheRead, 2_000, 1), (Output, 200, 40)], 0),
                [15_000, 0, 0, 0, 0, 0, 0],
                "calls",
            ),
            (
                sums(10, &[(Input, 1_500, 10), (CacheRead, 1_500, 1), (Output, 100, 40)], 0),
                [0, 0, 5_500, 0, 0, 0, 0],
                "prompts",
            ),
            (
                sums(10, &[(Input, 1_000, 10), (CacheRead, 1_000, 1), (Output, 150, 40)], 0),
                [0, 0, 0, 2_000, 0, 0, 0],
                "answers",
            ),
            (
                sums(10, &[(Input, 500, 10), (CacheRead, 1_500, 1), (Output, 100, 40)], 0),
                [0, 0, 0, 0, -4_500, 0, 0],
                "cache",
            ),
            (
                sums(10, &[(Input, 1_000, 12), (CacheRead, 1_000, 1), (Output, 100, 40)], 0),
                [0, 0, 0, 0, 0, 2_000, 0],
                "price",
            ),
            (
                sums(
                    10,
                    &[(Input, 1_000, 10), (CacheRead, 1_000, 1), (Output, 100, 40), (WebSearch, 2, 50)],
                    7,
                ),
                [0, 0, 0, 0, 0, 0, 107],
                "fees",
            ),
        ] {
            assert_eq!(pico(&split(&[pair(before(), after)]).unwrap()), expected, "{what}");
        }
    }

    #[test]
    fn another_model_is_mix_and_longer_prompts_with_it_are_not() {
        use Kind::Input;
        let none = Sums::default;
        let moved = |tokens| {
            split(&[
                pair(sums(10, &[(Input, 1_000, 10)], 0), none()),
                pair(none(), sums(10, &[(Input, tokens, 2)], 0)),
            ])
        };
        assert_eq!(pico(&moved(1_000).unwrap()), [0, -8_000, 0, 0, 0, 0, 0]);
        assert_eq!(pico(&moved(3_000).unwrap()), [0, -8_000, 4_000, 0, 0, 0, 0]);
        // Half of the calls move to a model that was there.
        let half = split(&[
            pair(sums(10, &[(Input, 1_000, 10)], 0), sums(5, &[(Input, 500, 10)], 0)),
            pair(sums(10, &[(Input, 1_000, 2)], 0), sums(15, &[(Input, 1_500, 2)], 0)),
        ]);
        assert_eq!(pico(&half.unwrap()), [0, -4_000, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_new_or_gone_is_volume_and_money_without_calls_is_other() {
        use Kind::Input;
        let (some, none) = (|| sums(3, &[(Input, 9, 5)], 1), Sums::default);
        assert_eq!(pico(&split(&[pair(none(), some())]).unwrap()), [46, 0, 0, 0, 0, 0, 0]);
        assert_eq!(pico(&split(&[pair(some(), none())]).unwrap()), [-46, 0, 0, 0, 0, 0, 0]);
        assert_eq!(pico(&split(&[pair(none(), sums(0, &[], 8))]).unwrap()), [0, 0, 0, 0, 0, 0, 8]);
    }

    fn some_sums(counts: Range<u64>, money: i128) -> impl Strategy<Value = Sums> {
        let kinds = proptest::collection::vec((0..Kind::ALL.len(), counts.clone(), -money..money), 0..5);
        (counts, -money..money, kinds).prop_map(|(calls, cost, kinds)| {
            let mut sums = Sums::default();
            sums.totals.calls = calls;
            sums.totals.cost = Picodollars::from_pico(cost);
            for (kind, quantity, cost) in kinds {
                let cost_usd = Picodollars::from_pico(cost);
                sums.add_kind(KindTotal { kind: Kind::ALL[kind], quantity, cost_usd }).unwrap();
            }
            sums
        })
    }

    /// Of a few calls too, and of none.
    fn few_or_many() -> impl Strategy<Value = Sums> {
        prop_oneof![some_sums(0..3, 1 << 60), some_sums(0..1_000_000_000, 1 << 60)]
    }

    fn change(pairs: &[Pair]) -> i128 {
        pairs.iter().map(|one| one.after.totals.cost.as_pico() - one.before.totals.cost.as_pico()).sum()
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_change_whatever_the_sums_are(
            rows in proptest::collection::vec((few_or_many(), few_or_many()), 0..6),
        ) {
            let pairs: Vec<Pair> = rows.into_iter().map(|(before, after)| pair(before, after)).collect();
            let parts = split(&pairs).unwrap();
            prop_assert_eq!(pico(&parts).iter().sum::<i128>(), change(&pairs));
        }

        /// Their products pass 2¹²⁷.
        #[test]
        fn parts_of_large_sums_are_as_exact(
            rows in proptest::collection::vec(
                (some_sums(1 << 42..1 << 56, 1 << 88), some_sums(1 << 42..1 << 56, 1 << 88)), 1..4,
            ),
        ) {
            let pairs: Vec<Pair> = rows.into_iter().map(|(before, after)| pair(before, after)).collect();
            let parts = split(&pairs).unwrap();
            prop_assert_eq!(pico(&parts).iter().sum::<i128>(), change(&pairs));
        }
    }
}

//! What changed, in words.

use std::cmp::Reverse;

use tollgate_core::money::Picodollars;

use super::Pair;
use crate::model::answers::compare::{Difference, Status};
use crate::model::decimal::Decimal;

/// What made most of a row's change, the most first; none where nothing changed.
pub fn said(difference: &Difference, status: Option<Status>, pairs: &[Pair]) -> Option<String> {
    let calls = |count: u64| if count == 1 { "1 call".to_owned() } else { format!("{count} calls") };
    match status {
        Some(Status::New) => return Some(format!("new, {}", calls(difference.calls_after))),
        Some(Status::Gone) => return Some(format!("gone, {} before", calls(difference.calls_before))),
        None => {}
    }
    let size = |amount: Picodollars| amount.as_pico().unsigned_abs();
    let mut parts = difference.parts.all();
    parts.sort_by_key(|(_, amount)| Reverse(size(*amount)));
    let all = parts.iter().fold(0_u128, |sum, (_, amount)| sum.saturating_add(size(*amount)));
    let matters = |(_, amount): &&(&str, Picodollars)| size(*amount) > 0 && size(*amount) >= all / 10;
    let words: Vec<String> = parts
        .iter()
        .filter(matters)
        .take(SAID_MAX)
        .filter_map(|(name, amount)| of_part(name, *amount, difference, pairs))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// An amount with its sign, as people say it: two decimals, or as many as show two digits of it.
pub fn signed_dollars(amount: Picodollars) -> String {
    let pico = amount.as_pico();
    let sign = if pico < 0 { '-' } else { '+' };
    let unsigned = i128::try_from(pico.unsigned_abs()).unwrap_or(i128::MAX);
    let is_enough = |places: &u8| {
        let unit = 10_i128.pow(12_u32.saturating_sub(u32::from(*places)));
        unsigned == 0 || unsigned / unit >= 10
    };
    let places = (2..12).find(is_enough).unwrap_or(12);
    let shown = Decimal::ratio(unsigned, 1_000_000_000_000, places);
    format!("{sign}${}", shown.map_or_else(|| amount.to_string(), |one| one.to_string()))
}

fn of_part(name: &str, amount: Picodollars, difference: &Difference, pairs: &[Pair]) -> Option<String> {
    let Difference { calls_before, calls_after, .. } = *difference;
    match name {
        "volume" => Some(format!("calls {}", change(calls_after.into(), calls_before.into())?)),
        "input" => {
            let (before, after) = (difference.input_tokens_before, difference.input_tokens_after);
            let change = of_each((before, calls_before), (after, calls_after))?;
            let how = if amount.as_pico() > 0 { "longer" } else { "shorter" };
            Some(format!("tokens in a call {change} ({how} prompts)"))
        }
        "output" => {
            let (before, after) = (difference.output_tokens_before, difference.output_tokens_after);
            let change = of_each((before, calls_before), (after, calls_after))?;
            let how = if amount.as_pico() > 0 { "longer" } else { "shorter" };
            Some(format!("tokens out a call {change} ({how} answers)"))
        }
        "cache" => {
            let part = |read: u64, tokens: u64| Decimal::percent(read, tokens).map(|one| one.rounded(0));
            let before = part(difference.cache_read_tokens_before, difference.input_tokens_before)?;
            let after = part(difference.cache_read_tokens_after, difference.input_tokens_after)?;
            Some(format!("read from caches {after}% of the prompts instead of {before}%"))
        }
        "mix" => mix(difference, pairs),
        "price" => {
            let old = difference.after_usd.as_pico();
            let old = old.checked_sub(difference.parts.other.as_pico())?.checked_sub(amount.as_pico())?;
            let percent = signed(Decimal::percent(amount.as_pico(), old)?);
            Some(format!("price of a token {percent}"))
        }
        _ => Some(format!("fees and corrections {}", signed_dollars(amount))),
    }
}

/// The model whose part of the calls changed most.
fn mix(difference: &Difference, pairs: &[Pair]) -> Option<String> {
    let part = |calls: u64, of: u64| Decimal::percent(calls, of);
    let parts = pairs.iter().filter_map(|pair| {
        let before = part(pair.before.totals.calls, difference.calls_before)?;
        let after = part(pair.after.totals.calls, difference.calls_after)?;
        Some((pair.name.as_str(), before, after))
    });
    let (name, before, after) =
        parts.max_by_key(|(_, before, after)| after.units().saturating_sub(before.units()))?;
    Some(format!("{name} {}% of the calls instead of {}%", after.rounded(0), before.rounded(0)))
}

/// How much a quotient changed.
fn of_each((before, calls_before): (u64, u64), (after, calls_after): (u64, u64)) -> Option<String> {
    let times = |count: u64, calls: u64| i128::from(count).checked_mul(calls.into());
    change(times(after, calls_before)?, times(before, calls_after)?)
}

fn change(after: i128, before: i128) -> Option<String> {
    // What was nothing before cannot be a hundred of anything.
    let percent = Decimal::percent(after.checked_sub(before)?, before);
    Some(percent.map_or_else(|| "from none".to_owned(), signed))
}

/// `+31%`; with a decimal where it is less than ten.
fn signed(percent: Decimal) -> String {
    let sign = if percent.units() > 0 { "+" } else { "" };
    let places = u8::from(percent.rounded(0).units().abs() < 10);
    format!("{sign}{}%", percent.rounded(places))
}

/// Most things that are said of one row.
const SAID_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::super::split::split;
    use super::*;
    use tollgate_core::record::{KindTotal, Sums};
    use tollgate_core::usage::Kind;

    fn sums(calls: u64, input: u64, output: u64) -> Sums {
        let mut sums = Sums::default();
        (sums.totals.calls, sums.totals.input_tokens, sums.totals.output_tokens) = (calls, input, output);
        for (kind, quantity, rate) in [(Kind::Input, input, 1_000_000), (Kind::Output, output, 4_000_000)] {
            let cost_usd = Picodollars::from_pico(i128::from(quantity) * rate);
            sums.totals.cost += cost_usd;
            sums.kinds.push(KindTotal { kind, quantity, cost_usd });
        }
        sums
    }

    fn told(pairs: &[Pair]) -> String {
        let mut all = Difference { parts: split(pairs).unwrap(), ..Difference::default() };
        for pair in pairs {
            all.calls_before += pair.before.totals.calls;
            all.calls_after += pair.after.totals.calls;
            all.input_tokens_before += pair.before.totals.input_tokens;
            all.input_tokens_after += pair.after.totals.input_tokens;
            all.output_tokens_before += pair.before.totals.output_tokens;
            all.output_tokens_after += pair.after.totals.output_tokens;
            all.after_usd += pair.after.totals.cost;
        }
        said(&all, None, pairs).unwrap_or_default()
    }

    #[test]
    fn what_changed_most_is_said_first() {
        let pair = |before, after| Pair { name: "openai gpt-5".into(), before, after };
        assert_eq!(
            told(&[pair(sums(100, 100_000, 1_000), sums(104, 136_240, 1_040))]),
            "tokens in a call +31% (longer prompts), calls +4.0%"
        );
        assert_eq!(
            told(&[pair(sums(10, 100, 100), sums(10, 100, 50))]),
            "tokens out a call -50% (shorter answers)"
        );
        assert_eq!(told(&[pair(sums(10, 100, 100), sums(10, 100, 100))]), "");
        let cheap = Pair { name: "openai gpt-5-mini".into(), before: sums(1, 5, 5), after: sums(9, 1, 1) };
        let mixed = told(&[pair(sums(9, 90_000, 900), sums(1, 10_000, 100)), cheap]);
        assert!(mixed.contains("openai gpt-5-mini 90% of the calls instead of 10%"), "{mixed}");
    }

    #[test]
    fn amounts_show_two_digits() {
        for (amount, shown) in [
            ("12.4", "+$12.40"),
            ("-0.5", "-$0.50"),
            ("0.00123", "+$0.0012"),
            ("0", "+$0.00"),
            ("-1234.567", "-$1234.57"),
        ] {
            assert_eq!(signed_dollars(amount.parse().unwrap()), shown);
        }
    }
}

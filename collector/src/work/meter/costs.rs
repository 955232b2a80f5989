//! The book's price against what the provider itself said that a call cost, whichever of the two the record
//! takes.

use std::fmt::Write as _;

use serde_json::Value;
use tollgate_core::money::Picodollars;

use super::{Exchange, Metered};

/// Counts, and each call whose price is off.
#[derive(Debug, Default)]
pub(super) struct Costs {
    near: u64,
    misses: Vec<String>,
    /// With calls of the provider's own tools, which are charged outside tokens.
    with_fee: u64,
    /// The provider said 0: on the caller's own key, or not told.
    zero: u64,
}

impl Costs {
    /// Adds one exchange, if its provider said what it cost.
    pub(super) fn add(&mut self, exchange: &Exchange, metered: &Metered) {
        let Some(expected) = &exchange.expected else { return };
        let said = expected.get("provider_cost_usd").and_then(Value::as_str).and_then(dollars);
        let Some(said) = said else { return };
        if said == Picodollars::ZERO {
            self.zero += 1;
        } else if has_fee(expected) {
            // Before the comparison, so that no call is left out for being off.
            self.with_fee += 1;
        } else if is_near(metered.book_cost_usd, said) {
            self.near += 1;
        } else {
            let model = metered.response_model.as_deref().or(metered.request_model.as_deref());
            self.misses.push(format!(
                "{} {}/{} {}: {} by the book where the provider says {said}",
                exchange.id,
                exchange.provider,
                exchange.api,
                model.unwrap_or("without a model"),
                metered.book_cost_usd,
            ));
        }
    }

    /// Whether enough prices are near: 95 of 100.
    pub(super) fn is_good(&self) -> bool {
        let misses = u64::try_from(self.misses.len()).unwrap_or(u64::MAX);
        self.near >= misses.saturating_mul(19)
    }

    /// The counts, and each miss on a line.
    pub(super) fn print(&self, text: &mut String) {
        let all = self.near.saturating_add(u64::try_from(self.misses.len()).unwrap_or(u64::MAX));
        if all == 0 {
            return;
        }
        let percent_tenths = self.near.saturating_mul(1000) / all;
        let _ = writeln!(
            text,
            "\nprices by the book: {} of {all} calls within 1 % of what the provider says ({}.{} %); left out: {} with a fee \
             outside tokens, {} that it says cost 0",
            self.near,
            percent_tenths / 10,
            percent_tenths % 10,
            self.with_fee,
            self.zero
        );
        for miss in &self.misses {
            let _ = writeln!(text, "{miss}");
        }
    }
}

fn is_near(ours: Picodollars, theirs: Picodollars) -> bool {
    let off = (ours - theirs).as_pico().saturating_abs();
    off.saturating_mul(100) <= theirs.as_pico().saturating_abs()
}

/// Whether the usage as the provider reported it counts calls of its own tools.
fn has_fee(expected: &Value) -> bool {
    fn counts(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.as_u64().is_some_and(|number| number > 0),
            Value::Object(members) => members.values().any(counts),
            _ => false,
        }
    }
    fn found(value: &Value) -> bool {
        match value {
            Value::Object(members) => members
                .iter()
                .any(|(name, value)| (TOOLS.contains(&name.as_str()) && counts(value)) || found(value)),
            Value::Array(items) => items.iter().any(found),
            _ => false,
        }
    }
    expected.get("raw_usage").is_some_and(found)
}

/// Where `OpenRouter` and xAI count calls of their tools.
const TOOLS: [&str; 2] = ["server_tool_use_details", "server_side_tool_usage_details"];

/// An amount that may be a float's text, such as `7.099999999999999e-05`.
fn dollars(text: &str) -> Option<Picodollars> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number: i128 = format!("{whole}{fraction}").parse().ok()?;
    // To pico-dollars: twelve places, less those that are there already.
    let places = 12 + exponent - i32::try_from(fraction.len()).ok()?;
    let power = 10i128.checked_pow(places.unsigned_abs())?;
    let pico = if places >= 0 { number.checked_mul(power)? } else { number / power };
    Some(Picodollars::from_pico(pico))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_every_form_that_a_float_prints_in() {
        for (text, pico) in [
            ("0", 0),
            ("0.00519", 5_190_000_000),
            ("2.8e-08", 28_000),
            ("7.099999999999999e-05", 70_999_999),
            ("12", 12_000_000_000_000),
        ] {
            assert_eq!(dollars(text), Some(Picodollars::from_pico(pico)), "{text}");
        }
        assert_eq!(dollars("free"), None);
    }

    #[test]
    fn a_fee_is_a_counted_call_of_a_tool_and_not_a_count_of_none() {
        let fee = |details: &str| {
            has_fee(&serde_json::from_str(&format!(r#"{{"raw_usage":[{{"usage":{details}}}]}}"#)).unwrap())
        };
        assert!(fee(r#"{"server_tool_use_details":{"web_search_requests":3}}"#));
        assert!(!fee(r#"{"server_side_tool_usage_details":{"web_search_calls":0}}"#));
        assert!(!fee(r#"{"prompt_tokens":7}"#));
    }

    #[test]
    fn near_is_within_one_percent_either_way() {
        let pico = Picodollars::from_pico;
        assert!(is_near(pico(99), pico(100)) && is_near(pico(101), pico(100)));
        assert!(!is_near(pico(98), pico(100)) && !is_near(pico(102), pico(100)));
    }
}

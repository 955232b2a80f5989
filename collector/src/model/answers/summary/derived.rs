//! What is made of sums: shares, averages, changes. This is the only place where it is made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use super::Numbers;
use crate::model::decimal::{Decimal, each};

/// Shares, averages and changes, each rounded once from exact sums.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default)]
pub struct Derived {
    /// Of a hundred calls that reached a provider, how many failed; null without calls.
    pub error_percent: Option<Decimal>,
    /// Tokens of prompt and answer of one call; null without calls.
    pub tokens_per_call: Option<Decimal>,
    /// Of a hundred tokens of prompts, how many were read from caches; null without such tokens.
    pub cached_percent: Option<Decimal>,
    /// Of a hundred dollars of the total, how many this is; null where the total is nothing.
    pub share_percent: Option<Decimal>,
    /// What one call costs, rounded to twelve decimals; null without calls.
    pub cost_per_call_usd: Option<Picodollars>,
    /// What it cost in the period before; absent unless `compare` asks for it, and where that is no whole
    /// period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_cost_usd: Option<Picodollars>,
    /// By how many of a hundred the cost is above that of the period before; absent where there is none, or
    /// it cost nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_percent: Option<Decimal>,
    /// Calls that are retries: repeats of a request of the same agent within a minute, and calls that Envoy
    /// tried more than once. Absent where rows are told apart by outcome, run, tag or rule, and over more
    /// than a month unless `columns` or `sort` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried: Option<u64>,
    /// What these cost; absent where `retried` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried_usd: Option<Picodollars>,
    /// What cheaper models saved that rules put into requests, at the prices of the models asked for; absent
    /// where `retried` is, and where no rule did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_usd: Option<Picodollars>,
}

impl Derived {
    /// Of numbers that are a part of a total, with what they were in the period before.
    pub fn of(numbers: &Numbers, total: Picodollars, previous: Option<Picodollars>) -> Self {
        let tokens = i128::from(numbers.input_tokens).saturating_add(numbers.output_tokens.into());
        Self {
            error_percent: Decimal::percent(numbers.errors, numbers.calls),
            tokens_per_call: Decimal::ratio(tokens, numbers.calls.into(), RATIO_PLACES),
            cached_percent: Decimal::percent(numbers.cache_read_tokens, numbers.input_tokens),
            share_percent: Decimal::percent(numbers.cost_usd.as_pico(), total.as_pico()),
            cost_per_call_usd: each(numbers.cost_usd, numbers.calls),
            previous_cost_usd: previous,
            change_percent: previous.and_then(|previous| Decimal::change(numbers.cost_usd, previous)),
            retried: None,
            retried_usd: None,
            saved_usd: None,
        }
    }
}

/// Decimals of averages.
const RATIO_PLACES: u8 = 2;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_of_it_is_made_of_the_sums() {
        let numbers = Numbers {
            calls: 3,
            errors: 1,
            input_tokens: 1000,
            cache_read_tokens: 250,
            output_tokens: 1,
            cost_usd: "1".parse().unwrap(),
            ..Numbers::default()
        };
        let derived = Derived::of(&numbers, "8".parse().unwrap(), Some("4".parse().unwrap()));
        assert_eq!(
            serde_json::to_value(derived).unwrap(),
            json!({
                "error_percent": "33.33", "tokens_per_call": "333.67", "cached_percent": "25.00",
                "share_percent": "12.50", "cost_per_call_usd": "0.333333333333",
                "previous_cost_usd": "4.000000000000", "change_percent": "-75.00",
            })
        );
        let nothing = Derived::of(&Numbers::default(), Picodollars::ZERO, None);
        assert_eq!(nothing, Derived::default());
    }
}

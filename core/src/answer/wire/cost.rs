//! What an answer says that the call cost, in dollars.
//!
//! | who | where | notes |
//! | --- | --- | --- |
//! | OpenRouter | `usage.cost`, `is_byok`, `cost_details` | on the caller's own key `cost` is the fee alone |
//! | Vercel AI Gateway | the same, `market_cost`; `providerMetadata.gateway.cost` in the AI SDK's protocol | |
//! | Perplexity | `usage.cost.total_cost` | |
//! | xAI | `usage.cost_in_usd_ticks` | 10⁻¹⁰ dollars; 0 where somebody else bills, as at Azure |
//! | Pydantic's gateway | `usage.pydantic_ai_gateway.cost_estimate` (once `price_estimate`), and a header | the header has four decimals |
//! | Together | `outputs.cost` of a video that is done | |
//! | `LiteLLM` | header `x-litellm-response-cost` | 0 or empty where its own book has no price |
//!
//! Source: recorded answers; `OpenRouter`, Usage accounting; Vercel, AI Gateway, provider options; Pydantic's
//! gateway, its public source (`cost_estimate`, `pydantic-ai-gateway-price-estimate`). Read 2026-11-28.
//! Videos: `OpenRouter`, Video generation; Together's examples (`status.outputs.cost`). Read 2026-11-29.

use serde_json::{Map, Value};

use super::Counts;
use super::counts::decimal;
use crate::money::Picodollars;

/// Response headers that name a cost, of gateways that stand in front of every API, and the names by which
/// they are known here.
pub const HEADERS: [(&str, &str); 2] =
    [("x-litellm-response-cost", "cost"), ("pydantic-ai-gateway-price-estimate", "price_estimate")];

/// What the usage object says, or what stands beside it in the answer.
///
/// An amount that no call costs is given as it is, or as [`IMPOSSIBLE`]: who takes the word says so. A zero
/// that only means "not billed here" is nothing said.
pub(super) fn in_answer(counts: &Counts<'_>, said: &Map<String, Value>) -> Option<Picodollars> {
    let of_ticks = counts.value("cost_in_usd_ticks").and_then(ticks).filter(is_something);
    of_ticks
        .or_else(|| counts.value("cost").and_then(|cost| of_cost(counts, cost)))
        .or_else(|| of_pydantic(counts.value("pydantic_ai_gateway")?))
        .or_else(|| of_gateway(said))
}

/// What response headers say.
pub(super) fn in_headers(said: &Map<String, Value>) -> Option<Picodollars> {
    // LiteLLM writes a word where it knows no price.
    let is_number =
        |value: &&Value| value.as_str().is_some_and(|text| text.bytes().any(|byte| byte.is_ascii_digit()));
    let of_litellm = || amount(said.get("cost").filter(is_number)?).filter(is_something);
    let of_pydantic = || {
        let text = said.get("price_estimate")?.as_str()?.trim_end_matches("USD");
        // It is rounded to a hundredth of a cent.
        decimal(text.trim()).filter(|cost| *cost < Picodollars::ZERO || *cost >= ROUNDED_TO_A_PERCENT)
    };
    of_litellm().or_else(of_pydantic)
}

/// `cost`: a total of parts, or a number beside `is_byok`. On the caller's own key it is what the router
/// takes, and the rest is what it says that the provider takes.
fn of_cost(counts: &Counts<'_>, cost: &Value) -> Option<Picodollars> {
    if cost.is_object() {
        return cost.get("total_cost").map_or(Some(IMPOSSIBLE), amount).filter(is_something);
    }
    let cost = amount(cost)?;
    let own_key = counts.value("is_byok").and_then(Value::as_bool);
    match own_key {
        _ if cost < Picodollars::ZERO => Some(cost),
        Some(false) => Some(cost),
        None if cost > Picodollars::ZERO => Some(cost),
        _ => Some(plus(cost, upstream(counts)?)),
    }
}

/// What a router says that the provider behind it takes.
fn upstream(counts: &Counts<'_>) -> Option<Picodollars> {
    let named = |path: &str| counts.value(path).and_then(amount).filter(is_something);
    named("cost_details.upstream_inference_cost")
        .or_else(|| {
            let parts = UPSTREAM_PARTS.into_iter().filter_map(named);
            parts.reduce(plus)
        })
        .or_else(|| named("market_cost"))
}

fn of_pydantic(told: &Value) -> Option<Picodollars> {
    told.get("cost_estimate").or_else(|| told.get("price_estimate")).and_then(amount).filter(is_something)
}

/// What stands beside the usage: what a job took; of Vercel's gateway what it took, which is nothing on the
/// caller's own key, and what the call is worth.
fn of_gateway(said: &Map<String, Value>) -> Option<Picodollars> {
    let named = |name: &str| said.get(name).and_then(amount).filter(is_something);
    let of_vercel = || {
        named("gateway_cost").or_else(|| named("market_cost").filter(|_| said.contains_key("gateway_cost")))
    };
    named("job_cost").or_else(of_vercel)
}

fn ticks(value: &Value) -> Option<Picodollars> {
    let Some(number) = value.as_number() else { return Some(IMPOSSIBLE) };
    let ticks = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    Some(ticks.map_or(IMPOSSIBLE, |ticks| Picodollars::from_pico(ticks * PICO_PER_TICK)))
}

/// An amount as a JSON number, or as its text. What is neither, and not nothing, is no amount.
fn amount(value: &Value) -> Option<Picodollars> {
    match value {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::Number(number) => Some(decimal(&number.to_string()).unwrap_or(IMPOSSIBLE)),
        Value::String(text) if text.bytes().any(|byte| byte.is_ascii_digit()) => {
            Some(decimal(text.trim()).unwrap_or(IMPOSSIBLE))
        }
        _ => Some(IMPOSSIBLE),
    }
}

/// A sum; of parts of which one is no amount, none either.
fn plus(one: Picodollars, other: Picodollars) -> Picodollars {
    if one < Picodollars::ZERO || other < Picodollars::ZERO {
        return IMPOSSIBLE;
    }
    one.as_pico().checked_add(other.as_pico()).map_or(IMPOSSIBLE, Picodollars::from_pico)
}

/// The sum of what several answers say; nothing where one of them says nothing.
pub(super) fn sum(words: impl Iterator<Item = Option<Picodollars>>) -> Option<Picodollars> {
    words.reduce(|one, other| Some(plus(one?, other?))).flatten()
}

fn is_something(cost: &Picodollars) -> bool {
    *cost != Picodollars::ZERO
}

const UPSTREAM_PARTS: [&str; 4] = [
    "cost_details.upstream_inference_prompt_cost",
    "cost_details.upstream_inference_completions_cost",
    "cost_details.upstream_inference_input_cost",
    "cost_details.upstream_inference_output_cost",
];
const PICO_PER_TICK: i128 = 100;
/// From here on a rounding to four decimals is off by 1 % at most: half a cent.
const ROUNDED_TO_A_PERCENT: Picodollars = Picodollars::from_pico(5_000_000_000);
/// Stands for a number that is no amount of money: it is more than any call costs.
const IMPOSSIBLE: Picodollars = Picodollars::from_pico(i128::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn pico(json: &str) -> Option<i128> {
        let usage: Map<String, Value> = serde_json::from_str(json).unwrap();
        in_answer(&Counts::new(&usage), &Map::new()).map(Picodollars::as_pico)
    }

    #[test]
    fn each_provider_says_it_in_its_own_place() {
        for (usage, expected) in [
            (r#"{"cost":0.00001,"is_byok":false}"#, 10_000_000),
            (r#"{"cost":"0.00001"}"#, 10_000_000),
            (r#"{"cost":{"total_cost":0.00519,"request_cost":0.005}}"#, 5_190_000_000),
            (r#"{"cost_in_usd_ticks":7909000}"#, 790_900_000),
            (r#"{"pydantic_ai_gateway":{"cost_estimate":0.25}}"#, 250_000_000_000),
            (r#"{"pydantic_ai_gateway":{"price_estimate":0.25}}"#, 250_000_000_000),
        ] {
            assert_eq!(pico(usage), Some(expected), "{usage}");
        }
    }

    #[test]
    fn on_the_callers_own_key_a_call_costs_the_fee_and_what_the_provider_takes() {
        for (usage, expected) in [
            (
                r#"{"cost":0.0000005,"is_byok":true,"cost_details":{"upstream_inference_cost":0.00001}}"#,
                Some(10_500_000),
            ),
            (
                r#"{"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.0000063}}"#,
                Some(6_300_000),
            ),
            (r#"{"cost":0,"cost_details":{"upstream_inference_cost":0.0000063}}"#, Some(6_300_000)),
            (
                r#"{"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":null,
                    "upstream_inference_prompt_cost":0.000001,"upstream_inference_completions_cost":0.000002}}"#,
                Some(3_000_000),
            ),
            (r#"{"cost":"0","is_byok":true,"market_cost":"0.000896"}"#, Some(896_000_000)),
            // A fee alone is not what the call cost.
            (r#"{"cost":0.0000005,"is_byok":true}"#, None),
            (
                r#"{"cost":0.002,"is_byok":false,"cost_details":{"upstream_inference_cost":0.001}}"#,
                Some(2_000_000_000),
            ),
            (r#"{"cost":0.002,"cost_details":{"upstream_inference_cost":0.001}}"#, Some(2_000_000_000)),
        ] {
            assert_eq!(pico(usage), expected, "{usage}");
        }
    }

    #[test]
    fn a_zero_is_a_price_only_where_the_key_is_said_to_be_the_routers() {
        assert_eq!(pico(r#"{"cost":0,"is_byok":false}"#), Some(0));
        for usage in [
            r#"{"cost_in_usd_ticks":0}"#,
            r#"{"cost":0}"#,
            r#"{"cost":0,"is_byok":true}"#,
            r#"{"cost":{"total_cost":0}}"#,
            r#"{"pydantic_ai_gateway":{"cost_estimate":0}}"#,
        ] {
            assert_eq!(pico(usage), None, "{usage}");
        }
    }

    #[test]
    fn what_is_no_amount_is_not_passed_over_in_silence() {
        for usage in [
            r#"{"cost":-0.5,"is_byok":false}"#,
            r#"{"cost":-0.5,"is_byok":true,"cost_details":{"upstream_inference_cost":1}}"#,
            r#"{"cost":1e99}"#,
            r#"{"cost_in_usd_ticks":-5}"#,
            r#"{"cost_in_usd_ticks":1e300}"#,
            r#"{"cost":0.1,"is_byok":true,"cost_details":{"upstream_inference_cost":-1}}"#,
        ] {
            let cost = pico(usage).unwrap_or_else(|| panic!("{usage}"));
            assert!(cost < 0 || cost == i128::MAX, "{usage}: {cost}");
        }
        for usage in [
            r#"{"cost":"free"}"#,
            r#"{"cost":true}"#,
            r#"{"cost":[0.01]}"#,
            r#"{"cost":{"total":0.01}}"#,
            r#"{"cost_in_usd_ticks":true}"#,
        ] {
            assert_eq!(pico(usage), Some(i128::MAX), "{usage}");
        }
        for usage in [r#"{"cost":null}"#, r#"{"cost":""}"#, r#"{"cost":{"total_cost":null}}"#] {
            assert_eq!(pico(usage), None, "{usage}");
        }
    }

    #[test]
    fn a_gateway_beside_the_usage_and_headers_are_heard() {
        let said = |json: &str| serde_json::from_str::<Map<String, Value>>(json).unwrap();
        let (none, empty) = (Map::new(), Map::new());
        let beside = |json: &str| in_answer(&Counts::new(&none), &said(json)).map(Picodollars::as_pico);
        assert_eq!(beside(r#"{"gateway_cost":"0.0045405","market_cost":"0.005"}"#), Some(4_540_500_000));
        assert_eq!(beside(r#"{"gateway_cost":"0","market_cost":"0.005"}"#), Some(5_000_000_000));
        assert_eq!(beside(r#"{"gateway_cost":"0"}"#), None);
        let header = |json: &str| in_headers(&said(json)).map(Picodollars::as_pico);
        assert_eq!(header(r#"{"cost":"4.25e-05"}"#), Some(42_500_000));
        assert_eq!(header(r#"{"price_estimate":"0.0123USD"}"#), Some(12_300_000_000));
        for nothing in [r#"{"cost":"0.0"}"#, r#"{"cost":""}"#, r#"{"price_estimate":"0.0001USD"}"#] {
            assert_eq!(header(nothing), None, "{nothing}");
        }
        assert_eq!(in_headers(&empty), None);
    }

    #[test]
    fn several_answers_cost_their_sum_where_each_says_it() {
        let of = |pico: i128| Some(Picodollars::from_pico(pico));
        assert_eq!(sum([of(1), of(2)].into_iter()), of(3));
        assert_eq!(sum([of(1), None].into_iter()), None);
        assert_eq!(sum([None, of(1)].into_iter()), None);
        assert_eq!(sum([].into_iter()), None);
    }
}

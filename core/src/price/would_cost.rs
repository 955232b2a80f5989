//! What calls that were made would cost at another model's rates, from what many of them used together.

use super::facts::Deciding;
use super::{Fit, PricedModel};
use crate::money::Picodollars;
use crate::usage::Kind;

/// Calls whose prompts are of about one length.
#[derive(Clone, Copy, Debug)]
pub struct Alike<'a> {
    /// How many reached a provider.
    pub calls: u64,
    /// Tokens of the shortest prompt: it chooses the tier.
    pub input_tokens: u64,
    /// Service tier in the provider's word; empty for the plain one.
    pub service_tier: &'a str,
    /// What they used together, each kind once.
    pub quantities: &'a [(Kind, u64)],
}

/// What they would cost.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WouldCost {
    /// All that the model has a rate for.
    pub cost: Picodollars,
    /// What it has no rate for: that is not in `cost`.
    pub without_rate: Vec<Kind>,
    /// Whether the row has no price for the service tier, so that another one's rates are taken.
    pub guessed: bool,
}

impl PricedModel {
    /// Prices calls at the rates that this model has at a time, Unix milliseconds UTC; `None` where it has no
    /// price then. Tokens are as they were counted: another tokenizer counts the same text otherwise.
    pub fn would_cost(&self, time_ms: u64, alike: &Alike<'_>) -> Option<WouldCost> {
        let conditions = [("service_tier", alike.service_tier)];
        let deciding = Deciding::of(&self.provider, &conditions, None, time_ms);
        let chosen = self.choose(time_ms, &deciding, alike.input_tokens)?;
        let mut would = WouldCost { guessed: chosen.fit != Fit::Exact, ..WouldCost::default() };
        // What is charged for the call itself is this model's own, not the other's.
        for &(kind, quantity) in alike.quantities.iter().filter(|(kind, _)| *kind != Kind::Request) {
            match chosen.rates.of(kind) {
                Some(rate) => would.cost += rate.times(quantity),
                None => would.without_rate.push(kind),
            }
        }
        if let Some(rate) = chosen.rates.0.get(&Kind::Request) {
            would.cost += rate.times(alike.calls);
        }
        Some(would)
    }
}

#[cfg(all(test, feature = "book"))]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::price::{EMBEDDED, Facts, PriceBook};
    use crate::record::{Sums, UsageRecord};
    use crate::usage::Usage;

    static BOOK: LazyLock<PriceBook> = LazyLock::new(|| PriceBook::from_files(EMBEDDED).unwrap());

    fn now() -> u64 {
        crate::price::day_ms("2026-11-20").unwrap()
    }

    fn used(input: u64, cached: u64, output: u64) -> Usage {
        Usage {
            input_tokens: Some(input),
            cache_read_tokens: Some(cached.min(input)),
            output_tokens: Some(output),
            ..Usage::default()
        }
    }

    proptest! {
        #[test]
        fn many_calls_cost_together_what_each_would(
            calls in proptest::collection::vec((0u64..100_000, 0u64..50_000, 1u64..5_000), 1..20),
            model in prop_oneof![Just(("openai", "gpt-4o")), Just(("openai", "gpt-5-mini")),
                Just(("anthropic", "claude-sonnet-4-5")), Just(("gemini", "gemini-2.5-pro"))],
        ) {
            let (provider, name) = model;
            let row = BOOK.find(provider, name, now()).unwrap().model;
            let (mut sums, mut expected) = (Sums::default(), Picodollars::ZERO);
            for (input, cached, output) in &calls {
                let usage = used(*input, *cached, *output);
                let facts = Facts { provider, response_model: Some(name), time_ms: now(), ..Facts::default() };
                expected += BOOK.price(&facts, &usage).cost;
                sums.add(&Sums::of(&UsageRecord { usage, ..UsageRecord::default() })).unwrap();
            }
            let quantities: Vec<_> = sums.kinds.iter().map(|one| (one.kind, one.quantity)).collect();
            let calls = sums.totals.calls;
            let alike = Alike { calls, input_tokens: 0, service_tier: "", quantities: &quantities };
            let would = row.would_cost(now(), &alike).unwrap();
            prop_assert_eq!(would, WouldCost { cost: expected, ..WouldCost::default() });
        }
    }

    #[test]
    fn long_prompts_have_their_tier_and_what_has_no_rate_is_told() {
        let row = BOOK.find("gemini", "gemini-2.5-pro", now()).unwrap().model;
        let quantities = [(Kind::Input, 1_000_000), (Kind::AudioMillisecond, 5)];
        let at = |input_tokens| {
            let alike = Alike { calls: 3, input_tokens, service_tier: "", quantities: &quantities };
            row.would_cost(now(), &alike).unwrap()
        };
        assert_eq!((at(200_000).cost, at(200_001).cost), ("1.25".parse().unwrap(), "2.5".parse().unwrap()));
        assert_eq!(at(0).without_rate, [Kind::AudioMillisecond]);
    }
}

//! What the simulated models cost: typed by hand from the providers' public price pages, read 2026-11-23.
//!
//! Sources: OpenAI <https://platform.openai.com/docs/pricing>, Anthropic
//! <https://docs.claude.com/en/docs/about-claude/pricing>, Google
//! <https://ai.google.dev/gemini-api/docs/pricing>; each compared with the `genai-prices` 0.2.3 data set.
//! Nothing here is read from Tollgate's price book: this table is the other witness.

use crate::ledger::Tokens;

/// A model that the simulator serves.
#[derive(Debug)]
pub struct Model {
    /// Provider id.
    pub provider: &'static str,
    /// Name in requests.
    pub id: &'static str,
    /// Name in answers: the dated snapshot, where the provider has one.
    pub answers_as: &'static str,
    /// Service tier that costs these rates.
    pub service_tier: &'static str,
    /// Rates of a call.
    pub rates: Rates,
    /// Prompts strictly above this many tokens cost other rates, for the whole call.
    pub long: Option<(u64, Rates)>,
}

/// Pico-dollars per token, which is dollars per million tokens times 1,000,000: `1_250_000` is $1.25 per
/// million.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Input that is neither read from nor written to the cache.
    pub input: i128,
    /// Input read from the cache.
    pub cache_read: i128,
    /// Input written to the cache for five minutes.
    pub cache_write_5m: i128,
    /// Input written to the cache for one hour.
    pub cache_write_1h: i128,
    /// Output, reasoning included.
    pub output: i128,
}

impl Rates {
    /// Rates of a provider that does not charge for cache writes apart.
    const fn plain(input: i128, cache_read: i128, output: i128) -> Self {
        Self { input, cache_read, cache_write_5m: input, cache_write_1h: input, output }
    }
}

/// The model that a request names, at its service tier.
pub fn model(provider: &str, id: &str, service_tier: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| {
        model.provider == provider
            && (model.id == id || model.answers_as == id)
            && model.service_tier == service_tier
    })
}

impl Model {
    /// Pico-dollars for these tokens.
    pub fn cost(&self, tokens: &Tokens) -> i128 {
        let rates = match &self.long {
            Some((above, rates)) if tokens.input > *above => rates,
            _ => &self.rates,
        };
        let plain = tokens.input - tokens.cache_read - tokens.cache_write_5m - tokens.cache_write_1h;
        i128::from(plain) * rates.input
            + i128::from(tokens.cache_read) * rates.cache_read
            + i128::from(tokens.cache_write_5m) * rates.cache_write_5m
            + i128::from(tokens.cache_write_1h) * rates.cache_write_1h
            + i128::from(tokens.output) * rates.output
    }
}

const fn openai(
    id: &'static str,
    answers_as: &'static str,
    service_tier: &'static str,
    rates: Rates,
) -> Model {
    Model { provider: "openai", id, answers_as, service_tier, rates, long: None }
}

const fn anthropic(id: &'static str, answers_as: &'static str, rates: Rates) -> Model {
    Model { provider: "anthropic", id, answers_as, service_tier: "standard", rates, long: None }
}

const fn gemini(id: &'static str, rates: Rates, long: Option<(u64, Rates)>) -> Model {
    Model { provider: "gemini", id, answers_as: id, service_tier: "standard", rates, long }
}

const fn bedrock(id: &'static str, rates: Rates) -> Model {
    Model { provider: "bedrock", id, answers_as: id, service_tier: "standard", rates, long: None }
}

/// Everything that has a price here.
pub static MODELS: [Model; 17] = [
    // The providers' public rates, as the price book has them; not read there anew.
    openai("o1-pro", "o1-pro-2025-03-19", "default", Rates::plain(150_000_000, 150_000_000, 600_000_000)),
    openai("gpt-5-pro", "gpt-5-pro-2025-10-06", "default", Rates::plain(15_000_000, 15_000_000, 120_000_000)),
    openai("o3-pro", "o3-pro-2025-06-10", "default", Rates::plain(20_000_000, 20_000_000, 80_000_000)),
    openai("gpt-realtime", "gpt-realtime", "default", Rates::plain(4_000_000, 400_000, 16_000_000)),
    bedrock("anthropic.claude-opus-4-1-20250805-v1:0", Rates::plain(15_000_000, 1_500_000, 75_000_000)),
    bedrock("amazon.nova-micro-v1:0", Rates::plain(35_000, 8_750, 140_000)),
    openai("gpt-5.1", "gpt-5.1-2025-11-13", "default", Rates::plain(1_250_000, 125_000, 10_000_000)),
    openai("gpt-5-mini", "gpt-5-mini-2025-08-07", "default", Rates::plain(250_000, 25_000, 2_000_000)),
    openai("gpt-5-mini", "gpt-5-mini-2025-08-07", "flex", Rates::plain(125_000, 12_500, 1_000_000)),
    openai("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", "default", Rates::plain(400_000, 100_000, 1_600_000)),
    openai("text-embedding-3-small", "text-embedding-3-small", "default", Rates::plain(20_000, 20_000, 0)),
    Model {
        long: Some((272_000, Rates::plain(5_000_000, 500_000, 22_500_000))),
        ..openai("gpt-5.4", "gpt-5.4-2026-03-05", "default", Rates::plain(2_500_000, 250_000, 15_000_000))
    },
    anthropic(
        "claude-sonnet-4-6",
        "claude-sonnet-4-6",
        Rates {
            input: 3_000_000,
            cache_read: 300_000,
            cache_write_5m: 3_750_000,
            cache_write_1h: 6_000_000,
            output: 15_000_000,
        },
    ),
    anthropic(
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
        Rates {
            input: 1_000_000,
            cache_read: 100_000,
            cache_write_5m: 1_250_000,
            cache_write_1h: 2_000_000,
            output: 5_000_000,
        },
    ),
    gemini("gemini-2.5-flash", Rates::plain(300_000, 30_000, 2_500_000), None),
    gemini("gemini-2.5-flash-lite", Rates::plain(100_000, 10_000, 400_000), None),
    gemini(
        "gemini-2.5-pro",
        Rates::plain(1_250_000, 125_000, 10_000_000),
        Some((200_000, Rates::plain(2_500_000, 250_000, 15_000_000))),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_prompt_costs_more_from_its_first_token() {
        let pro = model("gemini", "gemini-2.5-pro", "standard").unwrap();
        let at = |input| pro.cost(&Tokens { input, output: 1, ..Tokens::default() });
        assert_eq!(at(200_000), 200_000 * 1_250_000 + 10_000_000);
        assert_eq!(at(200_001), 200_001 * 2_500_000 + 15_000_000);
    }

    #[test]
    fn every_part_of_the_input_is_charged_once() {
        let haiku = model("anthropic", "claude-haiku-4-5", "standard").unwrap();
        let tokens = Tokens {
            input: 10,
            cache_read: 1,
            cache_write_5m: 2,
            cache_write_1h: 3,
            output: 0,
            reasoning: 0,
        };
        assert_eq!(haiku.cost(&tokens), 4 * 1_000_000 + 100_000 + 2 * 1_250_000 + 3 * 2_000_000);
    }
}

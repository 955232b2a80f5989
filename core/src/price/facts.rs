//! What of a call decides its price besides the model: service tier, speed, region, search size, time of day.
//!
//! Providers use many words for the same thing. Here each is a *standard* word (the plain rates hold), a
//! *reserved* word (capacity bought beforehand: tokens have no price of their own), or one that a row must
//! have a variant for. A call with a word of the third sort without a variant is estimated at the dearest
//! rates that may be for it. A router that names a reserved word speaks of its own capacity: its caller pays
//! the plain rates all the same (a recorded cost of `OpenRouter` with `service_tier: "provisioned"`).

use std::collections::BTreeMap;

use super::{Price, Variant, names};
use crate::lean::small_map;

/// The service tier that the answer named.
pub const SERVICE_TIER: &str = "service_tier";
/// The service tier that only the request named: it chooses a variant that there is, and nothing else, so
/// that no caller's word makes a call free or unpriced.
pub const REQUESTED_TIER: &str = "requested_service_tier";
/// The memory of the containers in which code ran, such as `4g`: one costs as many times the rate as it has
/// gigabytes.
/// Source: OpenAI's prices of containers, 0.03, 0.12, 0.48 and 1.92 dollars for 1, 4, 16 and 64 GB, as third
/// parties have them (LangChain's client, and a report on the change to minutes), read 2026-11-29.
pub const MEMORY: &str = "memory";
/// What the provider's own tools decide.
pub const OF_TOOLS: [&str; 2] = ["tool", "search_tool"];
/// Region of inference, as the answer or the model's name says.
pub const GEO: &str = "geo";
/// Region that only the model's name or the operator says, as records keep it.
pub const NAME_GEO: &str = "name_geo";
/// As the value of a condition: whatever word there is, as long as it is not one for the plain rates.
const ANY: &str = "*";
/// Facts of the answer that a row must have a price for.
pub(super) const MUST_BE_COVERED: &[&str] =
    &[SERVICE_TIER, "speed", GEO, "traffic_type", "search_size", "tool", "latency"];

/// The facts that are not standard, in one form for every provider.
#[derive(Clone, Debug, Default)]
pub struct Deciding<'a> {
    /// Named by the answer: a variant must cover each.
    required: Vec<(&'a str, &'a str)>,
    /// Known otherwise: they choose a variant where there is one.
    optional: Vec<(&'a str, &'a str)>,
    /// Whether the call ran on capacity that was bought beforehand.
    pub reserved: bool,
    time_ms: u64,
}

impl<'a> Deciding<'a> {
    /// The deciding ones among the `conditions` of a call to `provider`. `name_geo` is the region in a
    /// model's name.
    pub fn of(
        provider: &str,
        conditions: &[(&'a str, &'a str)],
        name_geo: Option<&'a str>,
        time_ms: u64,
    ) -> Self {
        let is_router = names::ROUTERS.contains(&provider);
        let mut deciding = Self { time_ms, ..Self::default() };
        for &(fact, word) in conditions {
            // What the global endpoint of Vertex AI, or a host that is not told apart, costs is the plain
            // price.
            if word.is_empty() || is_one_of(word, STANDARD) || (fact, word) == ("search_size", "low") {
                continue;
            }
            if fact == REQUESTED_TIER {
                if !is_one_of(word, RESERVED) {
                    deciding.optional.push((SERVICE_TIER, word));
                }
            } else if !MUST_BE_COVERED.contains(&fact) {
                deciding.optional.push((fact, word));
            } else if is_one_of(word, RESERVED) {
                deciding.reserved = !is_router;
            } else {
                let known = renamed(fact, word);
                if !deciding.required.contains(&known) {
                    deciding.required.push(known);
                }
            }
        }
        if deciding.required.iter().any(|(fact, _)| *fact == SERVICE_TIER) || deciding.reserved {
            deciding.optional.retain(|(fact, _)| *fact != SERVICE_TIER);
        }
        if let Some(geo) = name_geo
            && !deciding.required.iter().any(|(fact, _)| *fact == GEO)
        {
            deciding.optional.push((GEO, geo));
        }
        deciding
    }

    /// Adds what the operator says of such calls, where the answer says nothing of it.
    pub fn also(&mut self, facts: &'a BTreeMap<String, String>) {
        for (fact, word) in facts {
            if !self.required.iter().any(|(known, _)| known == fact) {
                self.optional.retain(|(known, _)| known != fact);
                self.optional.push((fact, word));
            }
        }
    }

    /// How many times the rate of a container one costs; nothing is known of a size that is no number of
    /// gigabytes.
    #[must_use]
    pub fn container_gigabytes(&self) -> Option<u64> {
        match self.optional.iter().find(|(fact, _)| *fact == MEMORY) {
            Some((_, size)) => size.strip_suffix(['g', 'G']).and_then(|size| size.parse().ok()),
            None => Some(1),
        }
    }

    /// Whether a variant's conditions all hold.
    pub fn chooses(&self, variant: &Variant) -> bool {
        self.may_choose(variant, &[])
    }

    /// The same, where a fact of those that are `unknown` may yet be anything.
    pub fn may_choose(&self, variant: &Variant, unknown: &[&str]) -> bool {
        let known = || self.required.iter().chain(&self.optional);
        variant.daily.is_none_or(|daily| daily.holds_at(self.time_ms))
            && variant.when.iter().all(|(fact, values)| {
                unknown.contains(&fact.as_str())
                    || known().any(|(known, word)| {
                        known == fact && (values == ANY || is_one_of_several(word, values))
                    })
            })
    }

    /// Whether the variant speaks of every fact that must be covered. A region in a model's name must be
    /// covered only where the row has prices by region.
    pub fn covered_by(&self, price: &Price, variant: Option<&Variant>) -> bool {
        let speaks = |fact: &str| variant.is_some_and(|variant| variant.when.contains_key(fact));
        let by_geo = || price.variants.iter().any(|variant| variant.when.contains_key(GEO));
        let named_geo = self.optional.iter().any(|(fact, word)| *fact == GEO && *word != "global");
        self.required.iter().all(|(fact, _)| speaks(fact)) && (!named_geo || speaks(GEO) || !by_geo())
    }

    /// The facts that no variant which may hold is for, so that any of those for another value may.
    pub fn without_variant(&self, price: &Price) -> Vec<&'a str> {
        let known = self.required.iter().chain(&self.optional).map(|(fact, _)| *fact);
        let is_decisive = |fact: &&str| MUST_BE_COVERED.contains(fact);
        let is_for = |fact: &str| {
            let mut variants = price.variants.iter().filter(|variant| variant.when.contains_key(fact));
            variants.any(|variant| self.chooses(variant))
        };
        known.filter(is_decisive).filter(|fact| !is_for(fact)).collect()
    }

    /// Whether it ran at a tier that lets a call wait, which no provider charges more for than a plain call.
    pub fn waits(&self) -> bool {
        let mut known = self.required.iter().chain(&self.optional);
        known.any(|(fact, word)| *fact == SERVICE_TIER && is_one_of(word, WAITING))
    }

    /// What a row without a price for its tier costs of the plain token rates, in percent: half for a batch
    /// at most providers, and the plain rates at those of which that is not known.
    pub(super) fn percent_of_plain(&self, provider: &str) -> u64 {
        let is_batch = self.required.contains(&(SERVICE_TIER, "batch"));
        let known = BATCHES.iter().find(|(known, _)| is_batch && *known == provider);
        known.map_or(100, |(_, percent)| *percent)
    }

    /// Whether one of these facts is a service tier, a speed or a latency that the row has no price for of
    /// any sort. What is faster than a plain call costs about twice as much where it has a price (the median
    /// of the shipped book's fast and priority rates, 2026-11-29).
    pub(super) fn may_be_twice(&self, price: &Price, without_variant: &[&str]) -> bool {
        let has_variant = |fact: &str| price.variants.iter().any(|variant| variant.when.contains_key(fact));
        let is_faster = |fact: &str| match fact {
            SERVICE_TIER => !self.waits(),
            "speed" | "latency" => true,
            _ => false,
        };
        without_variant.iter().any(|fact| is_faster(fact) && !has_variant(fact))
    }

    /// The facts by name, as records keep them.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let requested = |fact: &str| match fact {
            SERVICE_TIER => REQUESTED_TIER.to_owned(),
            GEO => NAME_GEO.to_owned(),
            other => other.to_owned(),
        };
        let optional = self.optional.iter().map(|(fact, word)| (requested(fact), (*word).to_owned()));
        let required = self.required.iter().map(|(fact, word)| ((*fact).to_owned(), (*word).to_owned()));
        let reserved = self.reserved.then(|| (SERVICE_TIER.to_owned(), "reserved".to_owned()));
        small_map::map(optional.chain(required).chain(reserved))
    }
}

/// Vertex says the tier in its traffic type.
fn renamed<'a>(fact: &'a str, word: &'a str) -> (&'a str, &'a str) {
    match word {
        "ON_DEMAND_PRIORITY" => (SERVICE_TIER, "priority"),
        "ON_DEMAND_FLEX" => (SERVICE_TIER, "flex"),
        _ => (fact, word),
    }
}

fn is_one_of_several(word: &str, values: &str) -> bool {
    values.split('|').any(|value| word.eq_ignore_ascii_case(value))
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|one| word.eq_ignore_ascii_case(one))
}

/// Words for the plain rates. `not_available` and `global` are Anthropic's regions of older and of plain
/// calls; Gemini's unspecified values are what an unset enumeration prints.
const STANDARD: &[&str] = &[
    "default",
    "standard",
    "standard_only",
    "auto",
    "on_demand",
    "none",
    "normal",
    "global",
    "not_available",
    "unspecified",
    "service_tier_unspecified",
    "service_tier_standard",
    "traffic_type_unspecified",
];

/// Words for tiers that let a call wait.
const WAITING: &[&str] = &["batch", "flex"];

/// What a batch costs of the plain token rates, in percent, by provider. Sources: Groq's and Fireworks' price
/// pages as third parties list them; Alibaba Cloud, Batch inference; `DeepInfra`, Batch API (20 % off); the
/// batch rates of the other rows of the shipped book. Together names selected models, and xAI 20 to 50 %
/// off: neither is here. Read 2026-11-29.
const BATCHES: &[(&str, u64)] = &[
    ("openai", 50),
    ("azure", 50),
    ("anthropic", 50),
    ("gemini", 50),
    ("vertex", 50),
    ("bedrock", 50),
    ("mistral", 50),
    ("groq", 50),
    ("fireworks", 50),
    ("alibaba", 50),
    ("deepinfra", 80),
];

/// Words for capacity that was bought beforehand (PROVIDERS.md section 3, fact 12).
const RESERVED: &[&str] = &["scale", "reserved", "provisioned", "provisioned_throughput"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_each_fact_under_a_name_that_reads_back_as_it_was() {
        let conditions = [("route", "internal"), (REQUESTED_TIER, "flex"), ("speed", "fast")];
        let map = Deciding::of("bedrock", &conditions, Some("eu"), 0).to_map();
        let kept: Vec<(&str, &str)> = map.iter().map(|(fact, word)| (fact.as_str(), word.as_str())).collect();
        assert_eq!(
            kept,
            [
                ("name_geo", "eu"),
                ("requested_service_tier", "flex"),
                ("route", "internal"),
                ("speed", "fast")
            ]
        );
    }
}

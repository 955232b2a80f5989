//! The most that a call can cost, for budgets: the bill with every fact that is not known yet at its dearest.

use super::facts::{self, Deciding};
use super::{Facts, Found, NameMap, PriceBook, PricedModel, Rates, names};
use crate::budget::hold::{Bound, ModelSize};
use crate::money::Picodollars;
use crate::usage::{CacheTtl, Kind};

/// What of a request decides its price besides tokens.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Held {
    /// Asks for parts to be written to the cache, for this long.
    pub cache_write: Option<CacheTtl>,
    /// Has audio in it.
    pub audio_in: bool,
    /// Has images in it.
    pub image_in: bool,
    /// Asks for audio.
    pub audio_out: bool,
    /// Asks for images.
    pub image_out: bool,
    /// Images asked for.
    pub images: u64,
    /// Calls of each tool that the provider runs.
    pub tool_calls: u64,
    /// Speed asked for.
    pub speed: Option<String>,
    /// Region of inference asked for.
    pub geo: Option<String>,
}

/// What the worst case of a call is computed from: the row that its request asks for, and what the request says.
#[derive(Debug)]
pub struct WorstCase<'b> {
    found: Found<'b>,
    map: Option<&'b NameMap>,
    facts: Facts<'b>,
}

impl WorstCase<'_> {
    /// The size of the model, as far as the book knows it.
    #[must_use]
    pub fn size(&self) -> ModelSize {
        let PricedModel { context_tokens, output_tokens, .. } = *self.found.model;
        ModelSize { context_tokens, output_tokens }
    }

    /// The most that a call within `bound` costs; `None` where the book has no price for its model at this time.
    ///
    /// Of context tiers every one that the prompt may reach counts; of service tiers the plain one and the one asked
    /// for; of what a prompt may be charged as, the dearest.
    #[must_use]
    pub fn of(&self, bound: &Bound) -> Option<Picodollars> {
        let facts = &self.facts;
        let geo = self.found.geo.or_else(|| facts.request_model.and_then(names::geo_of));
        let asked = [("speed", &bound.held.speed), (facts::GEO, &bound.held.geo)];
        let mut conditions = facts.conditions.to_vec();
        conditions.extend(asked.into_iter().filter_map(|(fact, word)| Some((fact, word.as_deref()?))));
        let mut deciding = Deciding::of(facts.provider, &conditions, geo, facts.time_ms);
        if let Some(map) = self.map {
            deciding.also(&map.facts);
        }
        dearest(self.found.model, facts, &deciding, bound)
    }
}

impl PriceBook {
    /// What the worst case of a call is computed from; `None` where the book has no row for its model.
    #[must_use]
    pub fn worst_case<'b>(&'b self, facts: Facts<'b>) -> Option<WorstCase<'b>> {
        let (found, _) = self.row(&facts)?;
        Some(WorstCase { found, map: self.map(&facts), facts })
    }

    /// The most that such a call costs at the dearest rates that the book has for its provider.
    #[must_use]
    pub fn ceiling(&self, facts: &Facts<'_>, bound: &Bound) -> Option<Picodollars> {
        let deciding = Deciding::of(facts.provider, &[], None, facts.time_ms);
        let rows = self.models.iter().filter(|model| model.provider == facts.provider);
        rows.filter_map(|model| dearest(model, facts, &deciding, bound)).max()
    }
}

fn dearest(
    model: &PricedModel,
    facts: &Facts<'_>,
    deciding: &Deciding<'_>,
    bound: &Bound,
) -> Option<Picodollars> {
    let price = model.price_at(facts.time_ms)?;
    let chosen =
        price.variants.iter().filter(|variant| deciding.chooses(variant)).map(|variant| &variant.sheet);
    let sheets = std::iter::once(&price.standard).chain(chosen);
    let reachable = sheets.flat_map(|sheet| {
        let tiers = sheet.tiers.iter().filter(|tier| bound.input_tokens > tier.input_above);
        std::iter::once(&sheet.rates).chain(tiers.map(|tier| &tier.rates))
    });
    reachable.filter_map(|rates| rates.most(bound)).max()
}

impl Rates {
    /// The most that a call within `bound` costs at these rates; `None` where one of its parts has none.
    fn most(&self, bound: &Bound) -> Option<Picodollars> {
        let held = &bound.held;
        let caches = match held.cache_write {
            Some(CacheTtl::OneHour) => Some(Kind::CacheWriteTtl(CacheTtl::OneHour)),
            Some(_) => Some(Kind::CacheWrite),
            // Written without being asked where the list has a price for it and no way to ask.
            None => None,
        };
        let implied =
            self.0.contains_key(&Kind::CacheWriteTtl(CacheTtl::HalfHour)).then_some(Kind::CacheWrite);
        let input = [
            Some(Kind::Input),
            caches,
            implied,
            held.audio_in.then_some(Kind::InputAudio),
            held.image_in.then_some(Kind::InputImage),
        ];
        let output = [
            Some(Kind::Output),
            Some(Kind::Reasoning),
            held.audio_out.then_some(Kind::OutputAudio),
            held.image_out.then_some(Kind::OutputImage),
        ];
        let dearest = |kinds: &[Option<Kind>], tokens: u64| {
            if tokens == 0 {
                return Some(Picodollars::ZERO);
            }
            kinds.iter().flatten().filter_map(|kind| self.of(*kind)).max().map(|rate| rate.times(tokens))
        };
        let pieces = [(Kind::Request, 1), (Kind::Image, held.images)];
        let tools = [Kind::WebSearch, Kind::WebFetch, Kind::FileSearch, Kind::CodeSession];
        let pieces = pieces.into_iter().chain(tools.map(|kind| (kind, held.tool_calls)));
        let pieces = pieces.filter(|(_, count)| *count > 0);
        let extras: Picodollars =
            pieces.filter_map(|(kind, count)| self.of(kind).map(|rate| rate.times(count))).sum();
        let tokens = dearest(&input, bound.input_tokens).zip(dearest(&output, bound.output_tokens));
        match tokens {
            Some((input, output)) => Some(input + output + extras),
            // Priced by the piece alone, or by the character: no text has more of them than bytes.
            None => {
                let spoken = self.0.get(&Kind::Character).filter(|_| held.audio_out);
                let all = extras + spoken.map_or(Picodollars::ZERO, |rate| rate.times(bound.input_tokens));
                (all > Picodollars::ZERO).then_some(all)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::price::{Price, Sheet, Tier, Variant};

    fn rates(input: i128, output: i128) -> Rates {
        Rates(
            [(Kind::Input, Picodollars::from_pico(input)), (Kind::Output, Picodollars::from_pico(output))]
                .into(),
        )
    }

    fn book() -> PriceBook {
        let mut standard = rates(10, 100);
        standard.0.insert(Kind::CacheWrite, Picodollars::from_pico(12));
        standard.0.insert(Kind::CacheWriteTtl(CacheTtl::OneHour), Picodollars::from_pico(20));
        let tiers = vec![Tier { input_above: 1_000, rates: rates(15, 150) }];
        let flex = Variant {
            when: BTreeMap::from([("service_tier".into(), "priority".into())]),
            sheet: Sheet { rates: rates(40, 400), tiers: vec![] },
            ..Variant::default()
        };
        let price =
            Price { standard: Sheet { rates: standard, tiers }, variants: vec![flex], ..Price::default() };
        let model = PricedModel {
            provider: "openai".into(),
            id: "m".into(),
            prices: vec![price],
            ..PricedModel::default()
        };
        PriceBook::new("v".into(), vec![model])
    }

    fn worst(input_tokens: u64, held: Held, conditions: &[(&str, &str)]) -> Option<i128> {
        let facts = Facts { provider: "openai", request_model: Some("m"), conditions, ..Facts::default() };
        let bound = Bound { input_tokens, output_tokens: 10, held, ..Bound::default() };
        book().worst_case(facts).and_then(|row| row.of(&bound)).map(Picodollars::as_pico)
    }

    #[test]
    fn every_fact_that_is_open_is_at_its_dearest() {
        let cached = |ttl| Held { cache_write: Some(ttl), ..Held::default() };
        for (name, input, held, conditions, expected) in [
            ("plain", 100, Held::default(), &[][..], 1_000 + 1_000),
            ("tier", 1_001, Held::default(), &[], 15_015 + 1_500),
            ("cache write", 100, cached(CacheTtl::FiveMinutes), &[], 1_200 + 1_000),
            ("cache write for an hour", 100, cached(CacheTtl::OneHour), &[], 2_000 + 1_000),
            ("service tier", 100, Held::default(), &[(facts::REQUESTED_TIER, "priority")], 4_000 + 4_000),
            (
                "a tier without a price",
                100,
                Held::default(),
                &[(facts::REQUESTED_TIER, "slow")],
                1_000 + 1_000,
            ),
        ] {
            assert_eq!(worst(input, held, conditions), Some(expected), "{name}");
        }
    }

    #[test]
    fn speech_by_the_character_is_held_for_the_bytes_of_its_text() {
        let rates = Rates([(Kind::Character, Picodollars::from_pico(3))].into());
        let held = Held { audio_out: true, ..Held::default() };
        let bound = Bound { input_tokens: 1_100, output_tokens: 10, held, ..Bound::default() };
        assert_eq!(rates.most(&bound).map(Picodollars::as_pico), Some(3_300));
        assert_eq!(rates.most(&Bound { held: Held::default(), ..bound }), None);
    }

    #[test]
    fn a_model_without_a_row_has_a_ceiling() {
        let facts = Facts { provider: "openai", request_model: Some("new"), ..Facts::default() };
        let bound = Bound { input_tokens: 100, output_tokens: 10, ..Bound::default() };
        assert!(book().worst_case(facts).is_none());
        assert_eq!(book().ceiling(&facts, &bound).map(Picodollars::as_pico), Some(2_000));
    }
}

//! The most that a call can cost, for budgets: the bill with every fact that is not known yet at its dearest.

use std::sync::{Arc, Mutex, PoisonError};

use super::dearest::ANY_PROVIDER;
use super::facts::{self, Deciding};
use super::{Facts, Found, NameMap, PriceBook, Priced, PricedModel, Rates, Sheet, names};
use crate::money::Picodollars;
use crate::price::bound::{Bound, Held, ModelSize};
use crate::usage::{CacheTtl, Kind, Usage};

/// What the worst case of a call is computed from: the row that its request asks for, and what the request
/// says.
#[derive(Debug)]
pub struct WorstCase<'b> {
    book: &'b PriceBook,
    facts: Facts<'b>,
    row: Arc<Row>,
}

/// What calls for one model have in common.
#[derive(Debug)]
pub(super) struct Row {
    /// Which calls these are.
    provider: String,
    model: Option<String>,
    conditions: Vec<(String, String)>,
    /// The minute in which it holds: prices change with one, not within.
    minute: u64,
    size: ModelSize,
    /// Of requests that ask for nothing but text.
    plain: Dearest,
}

/// Rows that were looked for last: a gateway meets the same few again and again, and finding one is most of
/// what the worst case takes. Not part of a book's content.
#[derive(Debug, Default)]
pub(super) struct LastRows(Mutex<Vec<Arc<Row>>>);

impl Clone for LastRows {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl WorstCase<'_> {
    /// The size of the model, as far as the book knows it.
    pub fn size(&self) -> ModelSize {
        self.row.size
    }

    /// The most that a call within `bound` costs; `None` where the book has no price for its model at this
    /// time.
    ///
    /// Of context tiers every one that the prompt may reach counts; of service tiers the plain one and the
    /// one asked for; of what a prompt may be charged as, the dearest.
    pub fn of(&self, bound: &Bound) -> Option<Picodollars> {
        let Some(held) = &bound.held else { return self.row.plain.of(bound) };
        let (found, _) = self.book.row(&self.facts)?;
        self.book.dearest_of(found, &self.facts, held).of(bound)
    }
}

impl Row {
    fn is_of(&self, facts: &Facts<'_>) -> bool {
        let same = |((fact, word), (other, other_word)): (&(String, String), &(&str, &str))| {
            fact == other && word == other_word
        };
        self.minute == minute(facts)
            && self.model.as_deref() == facts.request_model
            && self.provider == facts.provider
            && self.conditions.len() == facts.conditions.len()
            && self.conditions.iter().zip(facts.conditions).all(same)
    }
}

const fn minute(facts: &Facts<'_>) -> u64 {
    facts.time_ms / 60_000
}

impl PriceBook {
    /// What the worst case of a call is computed from; `None` where the book has no row for its model.
    pub fn worst_case<'b>(&'b self, facts: Facts<'b>) -> Option<WorstCase<'b>> {
        let is_asked = facts.response_model.is_none();
        let mut last = self.last_rows.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = last.iter().find(|row| is_asked && row.is_of(&facts)) {
            return Some(WorstCase { book: self, facts, row: Arc::clone(row) });
        }
        let (found, _) = self.row(&facts)?;
        let PricedModel { context_tokens, output_tokens, .. } = *found.model;
        let row = Arc::new(Row {
            provider: facts.provider.to_owned(),
            model: facts.request_model.map(str::to_owned),
            conditions: facts.conditions.iter().map(|&(fact, word)| (fact.into(), word.into())).collect(),
            minute: minute(&facts),
            size: ModelSize {
                context_tokens,
                output_tokens,
                works_alone: names::works_alone(&found.model.id)
                    || facts.request_model.is_some_and(names::works_alone),
            },
            plain: self.dearest_of(found, &facts, &Held::default()),
        });
        if is_asked {
            last.truncate(LAST_ROWS_MAX - 1);
            last.insert(0, Arc::clone(&row));
        }
        Some(WorstCase { book: self, facts, row })
    }

    fn dearest_of<'a>(&'a self, found: Found<'a>, facts: &Facts<'a>, held: &'a Held) -> Dearest {
        let geo = found.geo.or_else(|| facts.request_model.and_then(names::geo_of));
        let asked = [("speed", &held.speed), ("latency", &held.latency), (facts::GEO, &held.geo)];
        let mut conditions = facts.conditions.to_vec();
        conditions.extend(asked.into_iter().filter_map(|(fact, word)| Some((fact, word.as_deref()?))));
        let map = self.map(facts);
        let deciding = deciding_of(facts, &conditions, geo, map);
        // What is asked for is what the answer may name.
        for (fact, _) in &mut conditions {
            if *fact == facts::REQUESTED_TIER {
                *fact = facts::SERVICE_TIER;
            }
        }
        let answered = deciding_of(facts, &conditions, geo, map);
        Dearest::of_row(found.model, facts, (&deciding, &answered), held)
    }

    /// What a call is held for whose price is not known here: the dearest row of its provider, or of all
    /// where the book does not know that. `None` where the book has no price at all.
    pub fn ceiling(&self, facts: &Facts<'_>) -> Option<Ceiling> {
        let of = |provider: &str| self.dearest.iter().find(|row| row.provider == provider).cloned();
        let row = match self.dearest.is_empty() {
            true => {
                self.dearest(facts.provider, facts.time_ms).or_else(|| self.dearest_of_all(facts.time_ms))
            }
            false => of(facts.provider).or_else(|| of(ANY_PROVIDER)),
        };
        let works_alone = facts.request_model.is_some_and(names::works_alone);
        let writes_unasked = !names::writes_caches_when_asked(facts.provider);
        row.map(|row| Ceiling { row, time_ms: facts.time_ms, works_alone, writes_unasked })
    }

    /// What `usage` costs at the dearest row of its provider, for a call whose price is not here.
    pub fn at_dearest(&self, provider: &str, time_ms: u64, usage: &Usage) -> Option<Picodollars> {
        let row = self.ceiling(&Facts { provider, time_ms, ..Facts::default() })?.row;
        let mut priced = Priced::default();
        priced.charge_all(&row.id, &row.price_at(time_ms)?.standard.rates, usage, (1, None));
        Some(priced.cost)
    }
}

fn deciding_of<'a>(
    facts: &Facts<'_>,
    conditions: &[(&'a str, &'a str)],
    geo: Option<&'a str>,
    map: Option<&'a NameMap>,
) -> Deciding<'a> {
    let mut deciding = Deciding::of(facts.provider, conditions, geo, facts.time_ms);
    if let Some(map) = map {
        deciding.also(&map.facts);
    }
    deciding
}

/// The dearest price that a call may have.
#[derive(Debug)]
pub struct Ceiling {
    row: PricedModel,
    time_ms: u64,
    works_alone: bool,
    writes_unasked: bool,
}

impl Ceiling {
    /// The largest model's size.
    pub fn size(&self) -> ModelSize {
        let PricedModel { context_tokens, output_tokens, .. } = self.row;
        ModelSize { context_tokens, output_tokens, works_alone: self.works_alone }
    }

    /// The most that a call within `bound` costs.
    pub fn of(&self, bound: &Bound) -> Option<Picodollars> {
        let price = self.row.price_at(self.time_ms)?;
        let held = bound.held.as_deref();
        price.standard.rates.most(held.unwrap_or(&Held::default()), self.writes_unasked).of(bound)
    }
}

/// Rates that may be charged, each for prompts above a length.
#[derive(Debug)]
struct Dearest(Vec<(Option<u64>, Most)>);

impl Dearest {
    /// Of what is asked for, and of that as an answer names it.
    fn of_row(
        model: &PricedModel,
        facts: &Facts<'_>,
        (deciding, answered): (&Deciding<'_>, &Deciding<'_>),
        held: &Held,
    ) -> Self {
        let Some(price) = model.price_at(facts.time_ms) else { return Self(Vec::new()) };
        // Which of the provider's tools is used, only the answer tells.
        let of_tools: &[&str] = if held.tool_calls > 0 { &facts::OF_TOOLS } else { &[] };
        // What a word costs that the row has no price for, its dearest other word bounds best.
        let without = deciding.without_variant(price);
        let is_twice = deciding.may_be_twice(price, &without);
        // A record whose words no row prices together is guessed at the dearest rates that may be for them.
        let chosen = price.variants.iter().find(|variant| answered.chooses(variant));
        let guessed = if answered.covered_by(price, chosen) { &[][..] } else { facts::MUST_BE_COVERED };
        let unknown = [of_tools, &without, guessed].concat();
        let writes_unasked = !names::writes_caches_when_asked(&model.id);
        let most = |rates: &Rates| match is_twice {
            true => rates.twice().most(held, writes_unasked),
            false => rates.most(held, writes_unasked),
        };
        let mut reachable = Vec::new();
        let mut reach = |sheet: &Sheet| {
            reachable.push((None, most(&sheet.rates)));
            for tier in &sheet.tiers {
                reachable.push((Some(tier.input_above), most(&tier.rates)));
            }
        };
        reach(&price.standard);
        for variant in price.variants.iter().filter(|variant| deciding.may_choose(variant, &unknown)) {
            reach(&variant.sheet);
        }
        Self(reachable)
    }

    fn of(&self, bound: &Bound) -> Option<Picodollars> {
        let reachable =
            self.0.iter().filter(|(above, _)| above.is_none_or(|above| bound.input_tokens > above));
        reachable.filter_map(|(_, most)| most.of(bound)).max()
    }
}

/// The most that rates charge for each part of a call.
#[derive(Clone, Copy, Debug)]
struct Most {
    input: Option<Picodollars>,
    output: Option<Picodollars>,
    /// What is charged by the piece, in all.
    extras: Picodollars,
    /// For a character that is spoken.
    spoken: Option<Picodollars>,
}

impl Most {
    /// `None` where one of the parts has no rate.
    fn of(&self, bound: &Bound) -> Option<Picodollars> {
        let part = |rate: Option<Picodollars>, tokens: u64| match tokens {
            0 => Some(Picodollars::ZERO),
            _ => Some(rate?.times(tokens)),
        };
        let tokens = part(self.input, bound.input_tokens).zip(part(self.output, bound.output_tokens));
        let tokens = tokens.map(|(input, output)| input + output);
        // Priced by the piece alone, or by the character: no text has more of them than bytes.
        let spoken = self.spoken.map(|rate| rate.times(bound.input_tokens));
        let most = tokens.max(spoken).map(|most| most + self.extras);
        most.or_else(|| (self.extras > Picodollars::ZERO).then_some(self.extras))
    }
}

impl Rates {
    /// The most that is charged at these rates for a call that asks for this. Where caches are written
    /// unasked, all of a prompt may be, for as long as the provider chooses.
    fn most(&self, held: &Held, writes_unasked: bool) -> Most {
        let caches = match held.cache_write {
            Some(CacheTtl::OneHour) => Some(Kind::CacheWriteTtl(CacheTtl::OneHour)),
            Some(_) => Some(Kind::CacheWrite),
            None => None,
        };
        let writes = self.0.keys().filter(|kind| matches!(kind, Kind::CacheWrite | Kind::CacheWriteTtl(_)));
        let unasked = writes.filter(|_| writes_unasked).max_by_key(|kind| self.of(**kind)).copied();
        let input = [
            Some(Kind::Input),
            caches,
            unasked,
            held.audio_in.then_some(Kind::InputAudio),
            held.image_in.then_some(Kind::InputImage),
        ];
        let output = [
            Some(Kind::Output),
            Some(Kind::Reasoning),
            held.audio_out.then_some(Kind::OutputAudio),
            held.image_out.then_some(Kind::OutputImage),
        ];
        let dearest = |kinds: &[Option<Kind>]| kinds.iter().flatten().filter_map(|kind| self.of(*kind)).max();
        let pieces = [
            (Kind::Request, 1),
            (Kind::Image, held.images),
            (Kind::AudioMillisecond, held.audio_ms),
            (Kind::Page, held.pages),
            (Kind::SearchUnit, held.search_units),
        ];
        let tools = [Kind::WebSearch, Kind::WebFetch, Kind::FileSearch, Kind::CodeSession];
        let pieces = pieces.into_iter().chain(tools.map(|kind| (kind, held.tool_calls)));
        let pieces = pieces.filter(|(_, count)| *count > 0);
        Most {
            input: dearest(&input),
            output: dearest(&output),
            extras: pieces.filter_map(|(kind, count)| self.of(kind).map(|rate| rate.times(count))).sum(),
            spoken: self.0.get(&Kind::Character).copied().filter(|_| held.audio_out),
        }
    }
}

/// Rows that are remembered.
const LAST_ROWS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use crate::price::bound::Held;
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
        standard.0.insert(Kind::WebSearch, Picodollars::from_pico(7));
        let located = Variant {
            when: BTreeMap::from([("location".into(), "*".into())]),
            sheet: Sheet { rates: rates(11, 110), tiers: vec![] },
            ..Variant::default()
        };
        let mut previewed = Variant {
            when: BTreeMap::from([("search_tool".into(), "preview".into())]),
            sheet: Sheet { rates: standard.clone(), tiers: vec![] },
            ..Variant::default()
        };
        previewed.sheet.rates.0.insert(Kind::WebSearch, Picodollars::from_pico(9_000));
        let price = Price {
            standard: Sheet { rates: standard, tiers },
            variants: vec![flex, located, previewed],
            ..Price::default()
        };
        let model = PricedModel {
            provider: "openai".into(),
            id: "claude".into(),
            prices: vec![price],
            ..PricedModel::default()
        };
        PriceBook::new("v".into(), vec![model])
    }

    fn worst(input_tokens: u64, held: Held, conditions: &[(&str, &str)]) -> Option<i128> {
        let facts =
            Facts { provider: "openai", request_model: Some("claude"), conditions, ..Facts::default() };
        let bound = Bound { input_tokens, output_tokens: 10, held: held.boxed(), ..Bound::default() };
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
            ("a region", 100, Held::default(), &[("location", "eu")], 1_100 + 1_100),
            ("the global endpoint", 100, Held::default(), &[("location", "global")], 1_000 + 1_000),
            ("tools", 100, Held { tool_calls: 2, ..Held::default() }, &[], 1_000 + 1_000 + 18_000),
            (
                "a speed without a price",
                100,
                Held { speed: Some("fast".into()), ..Held::default() },
                &[],
                // As its record is guessed: twice the dearest that it may be.
                8_000 + 8_000,
            ),
            ("service tier", 100, Held::default(), &[(facts::REQUESTED_TIER, "priority")], 4_000 + 4_000),
            (
                "a tier without a price",
                100,
                Held::default(),
                &[(facts::REQUESTED_TIER, "slow")],
                4_000 + 4_000,
            ),
        ] {
            assert_eq!(worst(input, held, conditions), Some(expected), "{name}");
        }
    }

    /// OpenAI writes caches unasked from GPT-5.6 on, and charges that above its input.
    #[test]
    fn a_cache_that_is_written_unasked_is_held_at_its_dearest() {
        let mut book = book();
        for (id, ttl, expected) in [
            ("claude", Some(CacheTtl::TwelveHours), 1_000),
            ("gpt-5.6", Some(CacheTtl::TwelveHours), 2_500),
            ("gpt-5.6", Some(CacheTtl::HalfHour), 2_500),
            ("gpt-5.6", None, 1_200),
        ] {
            book.models[0].id = id.into();
            let rates = &mut book.models[0].prices[0].standard.rates.0;
            rates.retain(|kind, _| !matches!(kind, Kind::CacheWriteTtl(_)));
            if let Some(ttl) = ttl {
                rates.insert(Kind::CacheWriteTtl(ttl), Picodollars::from_pico(25));
            }
            let book = PriceBook::new("v".into(), book.models.clone());
            let facts = Facts { provider: "openai", request_model: Some(id), ..Facts::default() };
            let bound = Bound { input_tokens: 100, output_tokens: 10, ..Bound::default() };
            let cost = |row: WorstCase<'_>| row.of(&bound).map(Picodollars::as_pico);
            assert_eq!(book.worst_case(facts).and_then(cost), Some(expected + 1_000), "{id} {ttl:?}");
        }
    }

    /// Over every row of the shipped book: whatever it charges for input that no request asks for is held.
    #[cfg(feature = "book")]
    #[test]
    fn no_usage_without_a_cache_that_was_asked_for_costs_more_than_its_hold() {
        let book = PriceBook::from_files(crate::price::EMBEDDED).unwrap();
        let bound = Bound { input_tokens: 300_000, output_tokens: 10, ..Bound::default() };
        for model in book.models() {
            let facts = Facts {
                provider: &model.provider,
                request_model: Some(&model.id),
                time_ms: 1_795_000_000_000,
                ..Facts::default()
            };
            let Some(held) = book.worst_case(facts).and_then(|row| row.of(&bound)) else { continue };
            let ttls = [CacheTtl::FiveMinutes, CacheTtl::HalfHour, CacheTtl::OneHour, CacheTtl::TwelveHours];
            for ttl in ttls.map(Some).into_iter().chain([None]) {
                let usage = Usage {
                    input_tokens: Some(300_000),
                    output_tokens: Some(10),
                    cache_write_tokens: Some(300_000),
                    cache_write_by_ttl: ttl.map(|ttl| (ttl, 300_000)).into_iter().collect(),
                    ..Usage::default()
                };
                let is_asked = names::writes_caches_when_asked(&model.id);
                let usage = if is_asked {
                    Usage { cache_write_tokens: None, cache_write_by_ttl: BTreeMap::new(), ..usage }
                } else {
                    usage
                };
                let cost = book.price(&facts, &usage).cost;
                assert!(cost <= held, "{} {} {ttl:?}: {cost:?} of {held:?}", model.provider, model.id);
            }
        }
    }

    /// Over every row of the shipped book: where a record's rate is a guess, the hold covers it.
    #[cfg(feature = "book")]
    #[test]
    fn no_word_that_a_request_has_makes_a_record_dearer_than_its_hold() {
        let book = PriceBook::from_files(crate::price::EMBEDDED).unwrap();
        let words = [None, Some("fast"), Some("priority"), Some("flex"), Some("brand-new")];
        for model in book.models() {
            let facts = Facts {
                provider: &model.provider,
                request_model: Some(&model.id),
                time_ms: 1_795_000_000_000,
                ..Facts::default()
            };
            for speed in [None, Some("fast")] {
                for (latency, geo) in [(None, None), (Some("optimized"), None), (None, Some("us"))] {
                    for tier in words {
                        let held = Held {
                            speed: speed.map(str::to_owned),
                            latency: latency.map(str::to_owned),
                            geo: geo.map(str::to_owned),
                            ..Held::default()
                        };
                        let bound = Bound {
                            input_tokens: 300_000,
                            output_tokens: 900,
                            held: held.boxed(),
                            ..Bound::default()
                        };
                        let asked: Vec<_> =
                            tier.map(|tier| (facts::REQUESTED_TIER, tier)).into_iter().collect();
                        let row = book.worst_case(Facts { conditions: &asked, ..facts });
                        let Some(most) = row.and_then(|row| row.of(&bound)) else { continue };
                        let told =
                            [("speed", speed), ("latency", latency), ("geo", geo), ("service_tier", tier)];
                        let told: Vec<_> =
                            told.into_iter().filter_map(|(fact, word)| Some((fact, word?))).collect();
                        let usage = Usage {
                            input_tokens: Some(300_000),
                            output_tokens: Some(900),
                            ..Usage::default()
                        };
                        let priced = book.price(&Facts { conditions: &told, ..facts }, &usage);
                        assert!(priced.cost <= most, "{} {} {told:?}: {priced:?}", model.provider, model.id);
                    }
                }
            }
        }
    }

    #[test]
    fn speech_by_the_character_is_held_for_the_bytes_of_its_text() {
        let rates = Rates([(Kind::Character, Picodollars::from_pico(3))].into());
        let held = Held { audio_out: true, ..Held::default() };
        let bound = Bound { input_tokens: 1_100, output_tokens: 10, ..Bound::default() };
        assert_eq!(rates.most(&held, true).of(&bound).map(Picodollars::as_pico), Some(3_300));
        assert_eq!(rates.most(&Held::default(), true).of(&bound), None);
    }

    /// What is remembered of one call is not taken for another's.
    #[test]
    fn a_row_is_remembered_for_calls_like_it_only() {
        let mut book = book();
        let dear = Price {
            from_ms: 120_000,
            standard: Sheet { rates: rates(50, 500), tiers: vec![] },
            ..Price::default()
        };
        book.models[0].prices.push(dear);
        let cost = |time_ms, conditions: &[(&str, &str)], images| {
            let facts = Facts {
                provider: "openai",
                request_model: Some("claude"),
                time_ms,
                conditions,
                ..Facts::default()
            };
            let held = Held { cache_write: images, ..Held::default() };
            let bound =
                Bound { input_tokens: 100, output_tokens: 10, held: held.boxed(), ..Bound::default() };
            book.worst_case(facts).and_then(|row| row.of(&bound)).map(Picodollars::as_pico)
        };
        let tier = [(facts::REQUESTED_TIER, "priority")];
        for _ in 0..3 {
            assert_eq!(cost(0, &[], None), Some(2_000));
            assert_eq!(cost(119_999, &tier, None), Some(8_000));
            assert_eq!(cost(119_999, &[], Some(CacheTtl::OneHour)), Some(3_000));
            assert_eq!(cost(120_000, &[], None), Some(10_000));
            for other in 0..LAST_ROWS_MAX {
                let name = other.to_string();
                let facts = Facts { provider: "openai", request_model: Some(&name), ..Facts::default() };
                assert!(book.worst_case(facts).is_none());
            }
        }
    }

    #[test]
    fn a_model_without_a_row_has_a_ceiling() {
        let facts = Facts { provider: "openai", request_model: Some("new"), ..Facts::default() };
        let bound = Bound { input_tokens: 100, output_tokens: 10, ..Bound::default() };
        assert!(book().worst_case(facts).is_none());
        let ceiling = book().ceiling(&facts).and_then(|row| row.of(&bound));
        assert_eq!(ceiling.map(Picodollars::as_pico), Some(8_000), "at priority");
    }
}

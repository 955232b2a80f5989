//! The prompt audit: what prompts are made of, what their parts cost, what changed, what could be cached.
//!
//! A part's tokens are its share of the prompt's bytes. Its cost follows the tokens: what was read from and
//! written to caches is taken to be the beginning of prompts, that is the system prompt and the tools, at the
//! average price that these calls paid for such tokens.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_core::money::Picodollars;
use tollgate_core::price::{PriceBook, Rates};
use tollgate_core::record::{KindTotal, Sums, Totals};
use tollgate_core::usage::Kind;

use crate::model::answers::prompts::{AgentPrompts, PromptChange, PromptRow};
use crate::model::clock::{DAY_MS, rfc3339};
use crate::model::decimal::{Decimal, divided, each};
use crate::model::dimension::Dimension;
use crate::model::prompt::{PARTS, Part, PromptCounts};
use crate::model::run::Run;
use crate::store::{PromptSum, RunsFound, Spend};

/// What the parts of some prompts cost, in the order of [`Part::ALL`].
pub fn costs(sums: &Sums, counts: &PromptCounts) -> [Picodollars; PARTS] {
    let of = |is_wanted: fn(Kind) -> bool| -> KindTotal {
        let wanted = sums.kinds.iter().filter(|one| is_wanted(one.kind));
        wanted.fold(KindTotal { kind: Kind::Input, quantity: 0, cost_usd: Picodollars::ZERO }, |sum, one| {
            KindTotal {
                quantity: sum.quantity.saturating_add(one.quantity),
                cost_usd: sum.cost_usd + one.cost_usd,
                ..sum
            }
        })
    };
    let read = of(|kind| matches!(kind, Kind::CacheRead | Kind::CacheReadAudio | Kind::CacheReadImage));
    let written = of(|kind| matches!(kind, Kind::CacheWrite | Kind::CacheWriteTtl(_)));
    let plain = of(|kind| {
        let is_cached = matches!(kind, Kind::CacheRead | Kind::CacheReadAudio | Kind::CacheReadImage)
            || matches!(kind, Kind::CacheWrite | Kind::CacheWriteTtl(_));
        kind.is_input() && !is_cached
    });
    let prefix = counts.part(Part::System).saturating_add(counts.part(Part::Tools));
    let read_in_prefix = read.quantity.min(prefix);
    let written_in_prefix = written.quantity.min(prefix.saturating_sub(read_in_prefix));
    let rest_of_prefix = prefix.saturating_sub(read_in_prefix).saturating_sub(written_in_prefix);
    let prefix_cost = share(read.cost_usd, read_in_prefix, read.quantity)
        + share(written.cost_usd, written_in_prefix, written.quantity)
        + share(plain.cost_usd, rest_of_prefix, plain.quantity.max(rest_of_prefix));
    let all = read.cost_usd + written.cost_usd + plain.cost_usd;
    let others = counts.input_tokens.saturating_sub(prefix);
    Part::ALL.map(|part| match part {
        Part::System | Part::Tools => share(prefix_cost, counts.part(part), prefix),
        _ => share(all - prefix_cost, counts.part(part), others),
    })
}

/// The part of a cost that so many of all tokens have, rounded.
fn share(cost: Picodollars, part: u64, all: u64) -> Picodollars {
    let scaled = cost.as_pico().checked_mul(i128::from(part));
    Picodollars::from_pico(scaled.and_then(|scaled| divided(scaled, all.into())).unwrap_or(0))
}

/// By agent, system prompt and tools, the dearest system prompt first. `length_ms` is that of the time.
pub fn rows(book: &PriceBook, prompts: &[PromptSum], at_ms: u64, length_ms: u64) -> Vec<PromptRow> {
    let mut all: BTreeMap<(&str, Option<&str>, Option<&str>), Gathered> = BTreeMap::new();
    for one in prompts {
        let key = (one.agent.as_str(), one.system.as_deref(), one.tools.as_deref());
        all.entry(key).or_default().add(book, one, at_ms);
    }
    let mut rows: Vec<PromptRow> = all
        .into_iter()
        .map(|((agent, system, tools), of)| {
            let Gathered { counts, sums, costs, missed_tokens, missed, features, models, days, first_ms } =
                of;
            let [system_cost_usd, tools_cost_usd, ..] = costs;
            let per_call = |tokens: u64| Decimal::ratio(tokens.into(), counts.calls.into(), 1);
            PromptRow {
                agent: agent.to_owned(),
                system: system.map(str::to_owned),
                tools: tools.map(str::to_owned),
                features: features.into_iter().collect(),
                models: models.into_iter().collect(),
                calls: counts.calls,
                first_seen: rfc3339(first_ms.max(0).unsigned_abs()),
                days: u64::try_from(days.len()).unwrap_or(0),
                system_tokens_per_call: per_call(counts.part(Part::System)),
                system_cost_usd,
                system_month_usd: a_month(system_cost_usd, length_ms),
                tools_tokens_per_call: per_call(counts.part(Part::Tools)),
                tools_cost_usd,
                input_tokens_per_call: per_call(counts.input_tokens),
                cached_percent: Decimal::percent(sums.totals.cache_read_tokens, counts.input_tokens),
                repeats_percent: Decimal::percent(counts.repeats, counts.calls),
                missed_tokens,
                missed_usd: missed,
            }
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.system_cost_usd, row.calls)));
    rows
}

/// What costs so much in a time costs in a month of 30 days; a time of 28 to 31 days is a month.
fn a_month(cost: Picodollars, length_ms: u64) -> Picodollars {
    if (28 * DAY_MS..=31 * DAY_MS + DAY_MS / 24).contains(&length_ms) {
        return cost;
    }
    let scaled = cost.as_pico().checked_mul(i128::from(30 * DAY_MS));
    let scaled = scaled.and_then(|scaled| divided(scaled, length_ms.into()));
    Picodollars::from_pico(scaled.unwrap_or(cost.as_pico()))
}

/// Calls that are shown in one row.
#[derive(Default)]
struct Gathered {
    counts: PromptCounts,
    sums: Sums,
    costs: [Picodollars; PARTS],
    missed_tokens: u64,
    missed: Picodollars,
    features: BTreeSet<String>,
    models: BTreeSet<String>,
    days: BTreeSet<i64>,
    first_ms: i64,
}

impl Gathered {
    fn add(&mut self, book: &PriceBook, one: &PromptSum, at_ms: u64) {
        self.first_ms = if self.days.is_empty() { one.first_ms } else { self.first_ms.min(one.first_ms) };
        self.days.insert(one.day);
        self.features.insert(one.feature.clone());
        self.models.insert(one.model.clone());
        self.counts.add(&one.counts);
        // Sums of parts of a sum that is in range.
        let _ = self.sums.add(&one.sums);
        for (sum, cost) in self.costs.iter_mut().zip(costs(&one.sums, &one.counts)) {
            *sum += cost;
        }
        let (tokens, cost) = missed(book, one, at_ms);
        self.missed_tokens = self.missed_tokens.saturating_add(tokens);
        self.missed += cost;
    }
}

/// Tokens that could have been read from caches and were not, and what they cost more than that: nothing
/// where the model has no price for reading from caches.
fn missed(book: &PriceBook, one: &PromptSum, at_ms: u64) -> (u64, Picodollars) {
    let tokens = one.counts.cacheable_tokens.saturating_sub(one.counts.repeats_read_tokens);
    let found = book.find(&one.provider, &one.model, at_ms).and_then(|found| found.model.price_at(at_ms));
    let Some(Rates(rates)) = found.map(|price| &price.standard.rates) else { return (0, Picodollars::ZERO) };
    match (rates.get(&Kind::Input), rates.get(&Kind::CacheRead)) {
        (Some(plain), Some(read)) if read < plain => (tokens, (*plain - *read).times(tokens)),
        _ => (0, Picodollars::ZERO),
    }
}

/// By agent: parts, answers, and how prompts grow within a run; those whose prompts cost the most first.
pub fn agents(
    book: &PriceBook,
    prompts: &[PromptSum],
    (runs, spend): (&RunsFound<Growths>, &[Spend]),
    at_ms: u64,
) -> Vec<AgentPrompts> {
    let mut all: BTreeMap<&str, Gathered> = BTreeMap::new();
    for one in prompts {
        all.entry(&one.agent).or_default().add(book, one, at_ms);
    }
    let growths: BTreeMap<&str, Growth> =
        runs.agents.iter().map(String::as_str).zip(runs.found.0.iter().copied()).collect();
    let growth = |agent: &str| growths.get(agent).copied().unwrap_or_default();
    let mut agents: Vec<AgentPrompts> =
        all.into_iter().map(|(agent, of)| agent_row(agent, of, growth(agent), spend)).collect();
    agents.sort_by_key(|agent| std::cmp::Reverse(agent.input_cost_usd));
    agents
}

/// How prompts grow within runs of several calls: sums over an agent's runs.
#[derive(Clone, Copy, Debug, Default)]
struct Growth {
    runs: u64,
    first_tokens: u64,
    last_tokens: u64,
}

/// The same by the places of agents.
#[derive(Clone, Debug, Default)]
pub struct Growths(Vec<Growth>);

impl Growths {
    /// Adds a run.
    pub fn add(&mut self, run: &Run) {
        let Some(place) = run.agent.and_then(|agent| usize::try_from(agent).ok()) else { return };
        if run.own.calls < 2 {
            return;
        }
        if self.0.len() <= place {
            self.0.resize(place.saturating_add(1), Growth::default());
        }
        if let Some(growth) = self.0.get_mut(place) {
            growth.runs = growth.runs.saturating_add(1);
            growth.first_tokens = growth.first_tokens.saturating_add(run.first_tokens);
            growth.last_tokens = growth.last_tokens.saturating_add(run.last_tokens);
        }
    }
}

fn agent_row(agent: &str, of: Gathered, growth: Growth, spend: &[Spend]) -> AgentPrompts {
    let by_part = |values: [u64; PARTS]| -> BTreeMap<String, u64> {
        Part::ALL.iter().zip(values).map(|(part, value)| (part.name().to_owned(), value)).collect()
    };
    let mean = |sum: u64| Decimal::ratio(sum.into(), growth.runs.into(), 1);
    let answers = of.counts.answers;
    let (mut retried, mut failed) = (Totals::default(), Totals::default());
    for one in spend.iter().filter(|one| one.dims.value(Dimension::Agent) == Some(agent)) {
        // Parts of sums that are in range.
        let _ = retried.add(&one.retried).and_then(|()| failed.add(&one.failed));
    }
    AgentPrompts {
        agent: agent.to_owned(),
        calls: of.counts.calls,
        input_cost_usd: of.costs.into_iter().fold(Picodollars::ZERO, |sum, cost| sum + cost),
        tokens: by_part(of.counts.tokens),
        bytes: by_part(of.counts.bytes),
        cost_usd: Part::ALL.iter().zip(of.costs).map(|(part, cost)| (part.name().to_owned(), cost)).collect(),
        output_tokens_per_call: Decimal::ratio(
            of.sums.totals.output_tokens.into(),
            of.counts.calls.into(),
            1,
        ),
        median_answer_below: length_below(&answers, 50),
        p90_answer_below: length_below(&answers, 90),
        runs: growth.runs,
        first_prompt_tokens: mean(growth.first_tokens),
        last_prompt_tokens: mean(growth.last_tokens),
        missed_usd: of.missed,
        retried: retried.calls,
        retried_usd: retried.cost,
        failed: failed.calls,
        failed_usd: failed.cost,
    }
}

/// The power of two that so many of a hundred answers have fewer tokens than; 0 without answers.
fn length_below(answers: &[u64], percent: u64) -> u64 {
    let all = answers.iter().fold(0u64, |sum, calls| sum.saturating_add(*calls));
    let wanted = all.saturating_mul(percent).div_ceil(100);
    let mut seen = 0u64;
    for (class, calls) in answers.iter().enumerate() {
        seen = seen.saturating_add(*calls);
        if seen >= wanted && wanted > 0 {
            return u32::try_from(class).ok().and_then(|class| 1u64.checked_shl(class)).unwrap_or(u64::MAX);
        }
    }
    0
}

/// Days on which the system prompt or the tools of an agent's feature were put aside for new ones, the latest
/// first. A feature may use several: a change is a pair that was not seen before, on the day on which or
/// after which another was seen last. Of the last day it is not known yet what will be seen again.
pub fn changes(prompts: &[PromptSum]) -> Vec<PromptChange> {
    let mut features: BTreeMap<(&str, &str), BTreeMap<Prints<'_>, Stretch>> = BTreeMap::new();
    for one in prompts {
        let prints = (one.system.as_deref(), one.tools.as_deref());
        let of = features.entry((&one.agent, &one.feature)).or_default();
        of.entry(prints).or_insert_with(|| Stretch::of(one.day)).add(one);
    }
    let mut changes = Vec::new();
    for ((agent, feature), of) in &features {
        let first_day = of.values().map(|stretch| stretch.first).min();
        let last_day = of.values().map(|stretch| stretch.last).max();
        // The most used come first, so that each finds what it took the place of.
        let mut new: Vec<_> = of.iter().filter(|(_, stretch)| Some(stretch.first) != first_day).collect();
        new.sort_by_key(|(_, stretch)| std::cmp::Reverse(stretch.calls));
        let mut replaced: BTreeSet<&Prints<'_>> = BTreeSet::new();
        for (prints, after) in new {
            let ended = of.iter().filter(|(other, before)| {
                *other != prints
                    && !replaced.contains(other)
                    && before.first < after.first
                    && Some(before.last) != last_day
                    && (before.last == after.first || before.last == after.first.saturating_sub(1))
            });
            let Some((before_prints, before)) = ended.max_by_key(|(_, before)| before.calls) else {
                continue;
            };
            replaced.insert(before_prints);
            changes.push(change((agent, feature), (before_prints, before), (prints, after)));
        }
    }
    changes.sort_by(|one, other| (&other.day, &one.agent).cmp(&(&one.day, &other.agent)));
    changes
}

/// Prints of the system prompt and the tools.
type Prints<'p> = (Option<&'p str>, Option<&'p str>);

/// Calls with the same prints, and the days on which there were any.
struct Stretch {
    first: i64,
    last: i64,
    calls: u64,
    tokens: u64,
    cost: Picodollars,
}

impl Stretch {
    const fn of(day: i64) -> Self {
        Self { first: day, last: day, calls: 0, tokens: 0, cost: Picodollars::ZERO }
    }

    fn add(&mut self, one: &PromptSum) {
        self.first = self.first.min(one.day);
        self.last = self.last.max(one.day);
        self.calls = self.calls.saturating_add(one.counts.calls);
        self.tokens = self.tokens.saturating_add(one.counts.input_tokens);
        self.cost += one.sums.totals.cost;
    }
}

fn change(
    (agent, feature): (&str, &str),
    (before_prints, before): (&Prints<'_>, &Stretch),
    (after_prints, after): (&Prints<'_>, &Stretch),
) -> PromptChange {
    let changed =
        [("system", before_prints.0 != after_prints.0), ("tools", before_prints.1 != after_prints.1)];
    let per_call = |stretch: &Stretch| Decimal::ratio(stretch.tokens.into(), stretch.calls.into(), 1);
    let times = |tokens: u64, calls: u64| i128::from(tokens).saturating_mul(calls.into());
    let (old, new) = (times(before.tokens, after.calls), times(after.tokens, before.calls));
    let day = rfc3339(after.first.max(0).unsigned_abs().saturating_mul(DAY_MS)).unwrap_or_default();
    PromptChange {
        day: day.chars().take(10).collect(),
        agent: agent.to_owned(),
        feature: feature.to_owned(),
        changed: changed.into_iter().filter(|(_, has)| *has).map(|(what, _)| what.to_owned()).collect(),
        before: before_prints.0.map(str::to_owned),
        after: after_prints.0.map(str::to_owned),
        tokens_per_call_before: per_call(before),
        tokens_per_call_after: per_call(after),
        change_percent: Decimal::percent(new.saturating_sub(old), old),
        cost_per_call_before_usd: each(before.cost, before.calls),
        cost_per_call_after_usd: each(after.cost, after.calls),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(day: i64, system: &str, calls: u64, tokens: u64) -> PromptSum {
        let counts = PromptCounts { calls, input_tokens: tokens, ..PromptCounts::default() };
        PromptSum {
            agent: "a".into(),
            feature: "f".into(),
            provider: "openai".into(),
            model: "gpt-4o".into(),
            service_tier: String::new(),
            system: Some(system.into()),
            tools: None,
            day,
            first_ms: 0,
            sums: Sums::default(),
            counts,
        }
    }

    #[test]
    fn a_change_is_a_new_prompt_in_the_place_of_one_that_is_gone() {
        let days = [
            prompt(1, "one", 10, 1_000),
            prompt(1, "other", 30, 900),
            prompt(2, "one", 30, 3_000),
            prompt(2, "other", 10, 300),
            prompt(3, "one", 5, 500),
            prompt(3, "two", 9, 1_350),
            prompt(4, "two", 20, 3_000),
            prompt(4, "other", 9, 270),
            // A third one beside those that stay is no change.
            prompt(4, "more", 7, 70),
        ];
        let found = changes(&days);
        assert_eq!(found.len(), 1, "{found:?}");
        let change = &found[0];
        assert_eq!((change.before.as_deref(), change.after.as_deref()), (Some("one"), Some("two")));
        assert_eq!(
            (change.day.as_str(), change.changed.as_slice()),
            ("1970-01-04", &["system".to_owned()][..])
        );
        assert_eq!(change.change_percent.unwrap().to_string(), "50.00");
    }

    #[test]
    fn what_was_read_from_caches_is_the_beginning_of_prompts() {
        let kind =
            |kind, quantity, pico| KindTotal { kind, quantity, cost_usd: Picodollars::from_pico(pico) };
        let counts = PromptCounts {
            calls: 1,
            input_tokens: 1_000,
            tokens: [600, 100, 0, 0, 300, 0],
            ..PromptCounts::default()
        };
        let of = |kinds: Vec<KindTotal>| {
            let sums = Sums { kinds, ..Sums::default() };
            costs(&sums, &counts).map(|cost| cost.as_pico())
        };
        assert_eq!(of(vec![kind(Kind::Input, 1_000, 10_000)]), [6_000, 1_000, 0, 0, 3_000, 0]);
        let cached = vec![kind(Kind::Input, 300, 3_000), kind(Kind::CacheRead, 700, 700)];
        assert_eq!(of(cached), [600, 100, 0, 0, 3_000, 0]);
        // More than the beginning was read: the rest of the prompt was cheaper too.
        let more = vec![kind(Kind::Input, 100, 1_000), kind(Kind::CacheRead, 900, 900)];
        assert_eq!(of(more), [600, 100, 0, 0, 1_200, 0]);
    }
}

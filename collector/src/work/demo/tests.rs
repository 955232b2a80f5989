//! What the sample data has in it.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_core::money::Picodollars;
use tollgate_core::price::CostStatus;
use tollgate_core::record::Outcome;

use super::*;
use crate::config::PricesConfig;
use crate::work::{ingest, prices};

const END_MS: u64 = 1_796_083_200_000 - 1_796_083_200_000 % DAY_MS;

fn asked() -> Asked {
    Asked { end_ms: END_MS, days: 90, records: 20_000, seed: 1 }
}

fn made(asked: Asked) -> Vec<UsageRecord> {
    let book = prices::book("", &PricesConfig::default()).unwrap();
    Days::new(&book, asked).flatten().collect()
}

fn cost<'a>(records: impl Iterator<Item = &'a UsageRecord>) -> f64 {
    records.map(|record| record.cost_usd).sum::<Picodollars>().to_dollars_lossy()
}

#[test]
fn it_is_as_many_records_as_asked_for_in_order_and_the_same_every_time() {
    for records in [1, 7, 20_000] {
        let asked = Asked { records, ..asked() };
        let all = made(asked);
        assert_eq!(all.len() as u64, records);
        assert!(all.is_sorted_by_key(|record| record.head.time_ms));
        assert!(all.iter().all(|one| (asked.start_ms()..END_MS).contains(&one.head.time_ms)));
        assert_eq!(all.iter().map(|one| &one.head.id).collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(made(asked), all);
    }
    assert_ne!(made(Asked { seed: 2, ..asked() }), made(asked()));
}

#[test]
fn a_collector_takes_every_record_with_the_price_that_it_would_find() {
    let book = prices::book("", &PricesConfig::default()).unwrap();
    let records = made(asked());
    let lines: Vec<String> =
        records.iter().map(|record| String::from_utf8(record.to_json()).unwrap()).collect();
    let accepted = ingest::accept_lines(&lines.join("\n"), &book, END_MS);
    assert_eq!((accepted.rejected.len(), accepted.batch.len(), accepted.priced), (0, 20_000, 0));
    for (place, line) in lines.iter().enumerate() {
        assert_eq!(accepted.batch.body(place), line);
    }
}

#[test]
fn the_support_agent_costs_two_fifths_more_since_its_prompt_changed_in_one_feature() {
    let asked = Asked { records: 60_000, ..asked() };
    let records = made(asked);
    let of = |agent: &str, feature: Option<&str>, from_ms: u64, to_ms: u64| {
        cost(records.iter().filter(|record| {
            let who = &record.head.attribution;
            who.agent == agent
                && feature.is_none_or(|feature| who.feature == feature)
                && (from_ms..to_ms).contains(&record.head.time_ms)
        }))
    };
    let span = 28 * DAY_MS;
    let (changed, before) = (asked.changed_ms(), asked.changed_ms() - span);
    let rise = |agent, feature| of(agent, feature, changed, END_MS) / of(agent, feature, before, changed);
    let risen = rise("support-agent", None);
    assert!((1.33..1.50).contains(&risen), "{risen}");
    for feature in ["ticket-triage", "refund-checks"] {
        let risen = rise("support-agent", Some(feature));
        assert!((0.85..1.18).contains(&risen), "{feature} {risen}");
    }
    for agent in ["classifier", "code-review"] {
        let risen = rise(agent, None);
        assert!((0.85..1.18).contains(&risen), "{agent} {risen}");
    }
    let prompts: BTreeMap<&str, BTreeSet<bool>> = records
        .iter()
        .filter(|record| record.head.attribution.feature == "chat-answers")
        .filter_map(|record| {
            Some((record.prompt.as_ref()?.system_hash.as_deref()?, record.head.time_ms >= changed))
        })
        .fold(BTreeMap::new(), |mut all, (hash, is_after)| {
            all.entry(hash).or_default().insert(is_after);
            all
        });
    assert_eq!(prompts.len(), 2, "one prompt before, one after");
}

#[test]
fn a_question_to_the_research_agent_is_fifteen_to_thirty_calls_of_a_tree() {
    let records = made(asked());
    let mut calls: BTreeMap<&str, u64> = BTreeMap::new();
    for record in records.iter().filter(|one| one.head.attribution.agent == "research-agent") {
        let who = &record.head.attribution;
        if record.outcome != Outcome::Denied && record.outcome != Outcome::Error {
            *calls.entry(who.parent_run.as_ref().or(who.run.as_ref()).unwrap()).or_default() += 1;
        }
    }
    let whole = calls.values().filter(|calls| (15..=30).contains(*calls)).count();
    // A few calls fail three times.
    assert!(whole * 100 > calls.len() * 95, "{whole} of {}", calls.len());
    assert!(calls.values().all(|calls| *calls <= 30));
}

#[test]
fn there_is_something_of_everything_that_a_report_tells_apart() {
    let records = made(asked());
    let share = |keep: fn(&UsageRecord) -> bool| {
        records.iter().filter(|record| keep(record)).count() as f64 / records.len() as f64
    };
    for (name, found, least, most) in [
        ("errors", share(|one| one.outcome == Outcome::Error), 0.005, 0.04),
        ("denied", share(|one| one.outcome == Outcome::Denied), 0.000_1, 0.02),
        ("estimated", share(|one| one.cost_status == CostStatus::Estimated), 0.001, 0.03),
        ("unpriced", share(|one| one.cost_status == CostStatus::Unpriced), 0.000_5, 0.01),
        ("without a name", share(|one| one.head.attribution.is_empty()), 0.01, 0.05),
        ("staging", share(|one| one.head.attribution.environment == "staging"), 0.1, 0.25),
        ("batch", share(|one| one.head.service_tier.is_some()), 0.005, 0.1),
        ("cached", share(|one| one.usage.cache_read_tokens.is_some_and(|read| read > 0)), 0.2, 0.6),
        ("searches", share(|one| one.usage.web_searches.is_some()), 0.01, 0.2),
    ] {
        assert!((least..most).contains(&found), "{name}: {found}");
    }
    let hashes: BTreeSet<_> = records.iter().map(|record| &record.request_hash).collect();
    assert!(hashes.len() < records.len(), "a request that failed is repeated");
    let providers: BTreeSet<&str> = records.iter().map(|record| record.head.provider.as_str()).collect();
    assert_eq!(providers.into_iter().collect::<Vec<_>>(), ["anthropic", "gemini", "openai"]);
    let staging = cost(records.iter().filter(|one| one.head.attribution.environment == "staging"));
    let part = staging / cost(records.iter());
    assert!((0.1..0.3).contains(&part), "{part}");
}

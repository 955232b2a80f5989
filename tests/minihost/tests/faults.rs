//! Every host call fails once in every place and with every status, and always; streams end behind every
//! callback; bodies are cut anywhere. The module stands that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::collections::BTreeMap;

use support::{Case, EXCHANGES, Kind, Outcome, check};
use tollgate_minihost::faults::{CALLS, Plan};
use tollgate_minihost::random::Random;
use tollgate_minihost::stream::{EndShape, Exchange, Manner};

/// Exchanges that go different ways through the filter.
const WAYS: [&str; 10] = [
    "openai/chat-json",
    "openai/chat-stream-with-usage",
    "openai/chat-stream-without-usage",
    "openai/chat-stream-gzip",
    "openai/chat-rate-limited",
    "openai/realtime-two-turns",
    "openai/responses-background-started",
    "anthropic/messages-stream",
    "anthropic/messages-batch-results",
    "bedrock/converse-stream",
];

/// What hosts answer that lack a capability.
const MISSING: [u32; 4] = [0, 2, 10, 12];

/// Failures, gathered so that one run shows all kinds.
#[derive(Default)]
struct Failures(BTreeMap<String, (usize, String)>, usize);

impl Failures {
    fn look(&mut self, kind: String, case: &Case<'_>, clean: &Outcome) {
        self.1 += 1;
        let checked = match case.run() {
            Ok(Some(outcome)) => {
                check(case, &outcome, clean).map_err(|why| format!("{why}\n  log {:?}", outcome.log))
            }
            Ok(None) => Ok(()),
            Err(why) => Err(why),
        };
        if let Err(why) = checked {
            let details =
                format!("{} {:?} {:?} {:?}: {why}", case.exchange.name, case.kind, case.manner, case.plan);
            self.0.entry(kind).or_insert((0, details)).0 += 1;
        }
    }

    /// Of many faults at once no more is asked than that the module lives.
    fn lives(&mut self, kind: String, case: &Case<'_>) {
        self.1 += 1;
        if let Err(why) = case.run() {
            let details = format!("{} {:?} {:?}: {why}", case.exchange.name, case.kind, case.manner);
            self.0.entry(kind).or_insert((0, details)).0 += 1;
        }
    }

    fn none(self) {
        println!("{} cases", self.1);
        let all: Vec<String> =
            self.0.iter().map(|(kind, (count, first))| format!("{kind}: {count} times\n  {first}")).collect();
        assert!(all.is_empty(), "{} kinds of failures:\n{}", all.len(), all.join("\n"));
    }
}

fn ways() -> Vec<&'static (String, Exchange)> {
    EXCHANGES.iter().filter(|(_, exchange)| WAYS.contains(&exchange.name.as_str())).collect()
}

fn manner(seed: u64, piece_max: usize) -> Manner {
    Manner { seed, piece_max, may_pause_headers: seed.is_multiple_of(2), ..Manner::default() }
}

fn case<'a>(
    (provider, exchange): &'a (String, Exchange),
    kind: Kind,
    manner: Manner,
    plan: Plan,
) -> Case<'a> {
    Case { kind, provider, exchange, manner, plan, meddles: false }
}

fn clean(way: &(String, Exchange), kind: Kind, manner: &Manner) -> Outcome {
    let whole = Manner { abort_after: None, ..manner.clone() };
    let ran = case(way, kind, whole.clone(), Plan::None).run();
    ran.unwrap_or_else(|error| panic!("{} {kind:?} {whole:?}: {error}", way.1.name)).unwrap()
}

#[test]
fn every_fixture_passes_however_it_is_cut() {
    let mut failures = Failures::default();
    for kind in [Kind::Alone, Kind::Reporting] {
        for way in EXCHANGES.iter() {
            let plain = clean(way, kind, &manner(0, 0));
            for (seed, end) in
                [EndShape::EmptyPiece, EndShape::WithData, EndShape::Trailers].into_iter().enumerate()
            {
                for piece_max in [0, 1, 40].into_iter().skip(seed % 2) {
                    // Byte by byte a long body is a matter of minutes.
                    let piece_max =
                        if way.1.response_body.len() > 8_192 { piece_max * 50 } else { piece_max };
                    let manner = Manner { end, ..manner(seed as u64, piece_max) };
                    let case = case(way, kind, manner, Plan::None);
                    let outcome = case.run().unwrap().unwrap();
                    let usage = |outcome: &Outcome| -> Vec<_> {
                        outcome.records.iter().map(|record| record["usage"].clone()).collect()
                    };
                    assert_eq!(usage(&outcome), usage(&plain), "{} {:?}", way.1.name, case.manner);
                    failures.look(way.1.name.clone(), &case, &plain);
                }
            }
        }
    }
    failures.none();
}

#[test]
fn every_host_call_fails_in_every_place() {
    let mut failures = Failures::default();
    for (index, way) in ways().into_iter().enumerate() {
        for kind in [Kind::Alone, Kind::Reporting] {
            let manner = manner(index as u64, 60);
            let clean = clean(way, kind, &manner);
            for (name, statuses) in CALLS {
                let times = clean.world.borrow().faults.calls.get(name).copied().unwrap_or(0);
                for time in 0..times.min(40) {
                    let status = statuses[time as usize % statuses.len()];
                    let plan = Plan::Once(name, time, status);
                    failures.look(format!("{name} once"), &case(way, kind, manner.clone(), plan), &clean);
                }
            }
        }
    }
    failures.none();
}

#[test]
fn every_capability_may_be_missing() {
    let mut failures = Failures::default();
    for (index, way) in ways().into_iter().enumerate() {
        let kinds = if index % 3 == 0 { &[Kind::Alone, Kind::Reporting][..] } else { &[Kind::Reporting] };
        for &kind in kinds {
            let manner = manner(index as u64, 60);
            let clean = clean(way, kind, &manner);
            for (name, statuses) in CALLS {
                for status in statuses.iter().filter(|status| MISSING.contains(status)) {
                    let plan = Plan::Always(name, *status);
                    failures.look(format!("{name} always"), &case(way, kind, manner.clone(), plan), &clean);
                }
            }
        }
    }
    failures.none();
}

#[test]
fn a_stream_may_end_behind_every_callback() {
    let mut failures = Failures::default();
    for (index, way) in EXCHANGES.iter().enumerate() {
        let kind = [Kind::Alone, Kind::Reporting][index % 2];
        let manner = manner(index as u64 / 2, 80);
        let clean = clean(way, kind, &manner);
        for after in 0..clean.seen.callbacks.min(30) {
            let manner = Manner { abort_after: Some(after), ..manner.clone() };
            failures.look(way.1.name.clone(), &case(way, kind, manner, Plan::None), &clean);
        }
    }
    failures.none();
}

#[test]
fn another_worker_changes_what_was_just_read() {
    let mut failures = Failures::default();
    for (index, way) in EXCHANGES.iter().enumerate() {
        for kind in [Kind::Alone, Kind::Reporting] {
            let clean = clean(way, kind, &manner(index as u64, 200));
            for seed in 0..2 {
                let mut case = case(way, kind, manner(index as u64 + seed * 2, 200), Plan::None);
                case.meddles = true;
                failures.look(way.1.name.clone(), &case, &clean);
            }
        }
    }
    failures.none();
}

#[test]
fn anything_fails_at_random() {
    let mut failures = Failures::default();
    let mut seeds = Random::new(1);
    for round in 0..800_u64 {
        let way = &EXCHANGES[seeds.below(EXCHANGES.len())];
        let kind = if round.is_multiple_of(2) { Kind::Alone } else { Kind::Reporting };
        let manner = manner(seeds.next(), [0, 1, 30, 500][seeds.below(4)]);
        let plan = Plan::Random(Random::new(seeds.next()), [5, 50, 300][seeds.below(3)]);
        let abort_after = seeds.chance(300).then(|| seeds.below(20));
        let mut case = case(way, kind, Manner { abort_after, ..manner }, plan);
        case.meddles = seeds.chance(300);
        failures.lives("at random".to_owned(), &case);
    }
    failures.none();
}

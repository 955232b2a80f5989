//! Thousands of streams at once in two workers of one Envoy, a collector that comes and goes, another worker
//! that changes what was read: nothing is lost or doubled, holds come back, memory stays.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::Value;
use support::{EXCHANGES, FILTER, Kind, answer, passed_unchanged, properties, world};
use tollgate_minihost::faults::Plan;
use tollgate_minihost::host::World;
use tollgate_minihost::random::Random;
use tollgate_minihost::stream::{EndShape, Exchange, Manner, Progress, Seen, Stream};
use tollgate_minihost::vm::Vm;

/// Streams of each run.
const STREAMS: usize = 4_000;
/// Streams that are open in a worker at the same time.
const OPEN_MAX: usize = 8;

/// Two workers and what came out of them.
struct Envoy {
    kind: Kind,
    random: Random,
    world: Rc<RefCell<World>>,
    vms: Vec<Vm>,
    open: Vec<Vec<(usize, Manner, Stream)>>,
    begun: usize,
    over: Vec<Seen>,
    /// Records that the collector has acknowledged.
    stored: BTreeMap<String, Value>,
}

impl Envoy {
    fn new(kind: Kind, seed: u64) -> Self {
        let world = world(seed, true);
        let start = |vm: u64| FILTER.start(&world, &kind.configuration(true), &[], seed + vm).unwrap();
        Self {
            kind,
            random: Random::new(seed),
            vms: vec![start(1), start(2)],
            world,
            open: vec![Vec::new(), Vec::new()],
            begun: 0,
            over: Vec::new(),
            stored: BTreeMap::new(),
        }
    }

    /// Streams until so many have begun, then until none is open.
    fn run(&mut self, until: usize) {
        while self.begun < until || self.open.iter().any(|open| !open.is_empty()) {
            let vm = self.random.below(2);
            if self.begun < until && self.open[vm].len() < OPEN_MAX {
                self.begin(vm);
            }
            self.step(vm);
            if self.random.chance(20) {
                self.tick();
            }
        }
        for _ in 0..8 {
            self.tick();
        }
    }

    fn begin(&mut self, vm: usize) {
        let at = self.random.below(EXCHANGES.len());
        let (provider, exchange) = &EXCHANGES[at];
        let ends = [EndShape::EmptyPiece, EndShape::WithData, EndShape::Trailers];
        let manner = Manner {
            seed: self.random.next(),
            piece_max: if exchange.response_body.len() > 8_192 { 5_000 } else { 200 },
            end: ends[self.random.below(3)],
            abort_after: self.random.chance(150).then(|| self.random.below(12)),
            may_pause_headers: true,
        };
        let begun = Stream::begin(&mut self.vms[vm], exchange.clone(), manner.clone(), &properties(provider));
        self.open[vm].push((at, manner, begun.unwrap()));
        self.begun += 1;
    }

    fn step(&mut self, vm: usize) {
        if self.open[vm].is_empty() {
            return;
        }
        let index = self.random.below(self.open[vm].len());
        if self.open[vm][index].2.step(&mut self.vms[vm]).unwrap() == Progress::Over {
            let (at, manner, stream) = self.open[vm].swap_remove(index);
            self.check(at, manner, &stream.seen);
            self.over.push(stream.seen);
        }
    }

    fn check(&self, at: usize, manner: Manner, seen: &Seen) {
        let (provider, exchange): &(String, Exchange) = &EXCHANGES[at];
        let case =
            support::Case { kind: self.kind, provider, exchange, manner, plan: Plan::None, meddles: true };
        passed_unchanged(&case, seen).unwrap_or_else(|why| panic!("{}: {why}", exchange.name));
    }

    /// Time passes; the collector answers, fails, or leaves the question open.
    fn tick(&mut self) {
        self.world.borrow_mut().now_ms += 250;
        for vm in &mut self.vms {
            vm.tick().unwrap();
            let works = self.random.chance(700);
            if self.random.chance(800)
                && let Some(request) = answer(vm, works).unwrap()
            {
                for record in request.records {
                    let record: Value = serde_json::from_str(record.get()).unwrap();
                    self.stored.insert(record["id"].as_str().unwrap().to_owned(), record);
                }
            }
        }
    }

    fn memory_bytes(&mut self) -> usize {
        self.vms.iter_mut().map(Vm::memory_bytes).sum()
    }
}

/// The ids that callers were told.
fn told(seen: &Seen) -> Option<&str> {
    let (_, id) = seen.caller_headers.iter().find(|(name, _)| name == b"x-tollgate-call")?;
    std::str::from_utf8(id).ok()
}

#[test]
fn every_call_that_callers_were_told_of_is_recorded_once() {
    let mut envoy = Envoy::new(Kind::Reporting, 7);
    envoy.run(STREAMS / 4);
    let before = envoy.memory_bytes();
    envoy.run(STREAMS);
    let after = envoy.memory_bytes();
    println!("{} streams, memory of both workers {before} then {after} bytes", envoy.over.len());
    assert!(after <= before + 512 * 1024, "memory grew from {before} to {after} bytes");

    let world = envoy.world.borrow();
    let waiting: Vec<Value> =
        world.records().iter().map(|record| serde_json::from_slice(record).unwrap()).collect();
    let mut known: BTreeSet<&str> = envoy.stored.keys().map(String::as_str).collect();
    known.extend(waiting.iter().map(|record| record["id"].as_str().unwrap()));
    let dropped = world.number("tg/1/dropped/outbox_full") + world.number("tg/1/dropped/no_lane");
    assert_eq!(dropped, 0);
    // Fetching a result leaves a record once, and a session one for each turn under an id of its own.
    let told: Vec<&str> = envoy.over.iter().filter_map(told).collect();
    let missing = told.iter().filter(|id| !known.contains(*id)).count();
    let own: usize = envoy.over.iter().filter(|seen| seen.is_fetch_or_session()).count();
    assert!(missing <= own, "{missing} of {} calls have no record, of which {own} need none", told.len());
    assert!(told.len() > STREAMS / 2 && known.len() > STREAMS / 2, "{} {}", told.len(), known.len());
}

#[test]
fn holds_come_back_to_what_calls_cost() {
    let mut envoy = Envoy::new(Kind::Alone, 8);
    envoy.run(STREAMS);
    let world = envoy.world.borrow();
    let charged = &world.meddler.as_ref().unwrap().charged;
    let dollars = |seen: &Seen| -> i128 {
        let record = support::shown(seen);
        record.map_or(0, |record| record["cost_usd"].as_str().unwrap().replace('.', "").parse().unwrap())
    };
    let shown: i128 = envoy.over.iter().map(dollars).sum();
    let counters = world.counters();
    assert!(counters.len() >= 3, "{counters:?}");
    for counter in &counters {
        assert_eq!((counter.in_flight, counter.held.0), (0, 0), "{counter:?}");
        if counter.key.starts_with(b"all\0") {
            let others = charged.get(&counter.key).copied().unwrap_or(0);
            let used = counter.used.0 - counter.kept.0 - others;
            // Turns and results of batches are charged too, and stand in no access log.
            assert!(used >= shown, "used {used} of which {shown} is shown: {counter:?}");
            let turns = used - shown;
            println!("{} streams, used {used}, shown {shown}, turns and batches {turns}", envoy.over.len());
            assert!(turns < shown, "{turns} of {used} stand in no record");
        }
    }
}

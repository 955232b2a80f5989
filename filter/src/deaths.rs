//! A VM may die between any two host calls: nothing is lost, nothing is settled twice, and nothing stays
//! held.
//!
//! What a VM does is done once, to see which host calls change shared data. Then it is done again for each of
//! them with a VM that dies there, and another VM finds what is left. A death at a host call that changes
//! nothing leaves what the next one does.
//!
//! Two values of shared data cannot be changed at once. So there are gaps of a host call or two, in which a
//! counter holds what no lane names yet, or not any more: a death there leaves that hold, too much and never
//! too little. How much it is says [`unnamed`], before anybody recovers anything. And there is one between a
//! record in the outbox and its journal entry: see [`Death::is_between_record_and_entry`]. Outside of them
//! everything agrees to the last pico-dollar.

use std::cell::Cell;
use std::collections::BTreeMap;

use proxy_wasm::traits::Context as _;
use proxy_wasm::types::Action;
use serde_json::{Value, json};

use crate::call::HttpCall;
use crate::fixture::*;
use crate::host;
use crate::host::simulated::{self, Fault, World};
use crate::shared::journal::ReservationId;
use crate::shared::lane::{self, JOURNAL_SLOTS, Owner, RESERVATION_SLOTS, STALE_MS};
use crate::shared::{journal, layout};

/// A change of shared data: the number of the host call, counted from where its VM began, and the key.
type Change = (usize, String);

/// Where a VM died, and what it left.
struct Death {
    /// For messages.
    place: String,
    /// A record is in the outbox, and its journal entry says still that the call is under way: it is charged
    /// as one of which nobody knows the cost.
    is_between_record_and_entry: bool,
    /// By counter: what it holds that no lane names.
    unnamed: BTreeMap<Vec<u8>, i128>,
}

/// What counters hold that is named neither by a reservation of a lane nor by an entry of its journal.
fn unnamed() -> BTreeMap<Vec<u8>, i128> {
    let mut held: BTreeMap<Vec<u8>, i128> =
        counters().into_iter().map(|counter| (counter.key, counter.held.0)).collect();
    for index in 0..layout::LANES_MAX {
        if Owner::of(index).is_none() {
            break;
        }
        let reservations: Vec<_> = (0..RESERVATION_SLOTS).map(|slot| lane::listed(index, slot)).collect();
        for reservation in reservations.iter().filter(|one| !one.key.is_empty()) {
            *held.entry(reservation.key.clone()).or_default() -= reservation.held.amount.0;
        }
        let generation = |reservation: ReservationId| reservations[reservation.slot as usize].generation;
        let is_open = |reservation: ReservationId| {
            generation(reservation) == reservation.generation
                && !reservations[reservation.slot as usize].key.is_empty()
        };
        for slot in 0..JOURNAL_SLOTS {
            let Ok((entry, _)) = host::shared(layout::journal(index, slot)) else { continue };
            for noted in journal::read(&entry).0 {
                let is_settled =
                    noted.with.is_some_and(|reservation| reservation.generation < generation(reservation));
                let is_in_reservation =
                    noted.reserved_from.is_some_and(|(reservation, _)| is_open(reservation));
                if !is_settled && !is_in_reservation {
                    *held.entry(noted.key.to_vec()).or_default() -= noted.settlement.hold.0;
                }
            }
        }
    }
    held
}

/// A scenario: budgets, and what is granted on each counter.
struct Scenario {
    budgets: Value,
    granted: i128,
}

impl Scenario {
    /// Every counter has so much that reservations are made.
    fn ample() -> Self {
        Self { budgets: budgets(), granted: AMPLE }
    }

    /// No counter has enough for a reservation.
    fn scarce() -> Self {
        let budgets = json!([{"name": "all", "limit_usd": "1", "window": "day", "on_unknown": "worst"},
            {"name": "tokens", "limit_tokens": 1_000_000, "window": "day"}]);
        Self { budgets, granted: 200_000 }
    }

    fn collector(&self) -> Collector {
        Collector { granted: self.granted, ..Collector::new(&self.budgets) }
    }

    /// An Envoy whose VMs have a policy and prices.
    fn begun(&self) -> World {
        simulated::begin(NOW_MS);
        let mut vm = Vm::start(&configuration());
        vm.tick();
        vm.collect(&mut self.collector());
        simulated::with(|world| world.clone())
    }
}

/// A call begins, and is counted where it goes on.
fn begin(vm: &mut Vm, collector: &mut Collector, went: &Cell<usize>) -> HttpCall {
    let before = simulated::with(|world| world.continued.len());
    let (call, action) = vm.chat();
    went.set(went.get() + usize::from(action == Action::Continue));
    vm.collect(collector);
    let after = simulated::with(|world| world.continued.len());
    went.set(went.get() + after - before);
    call
}

/// What a VM does: calls wait for a grant, are admitted, end, and are sent.
fn live(vm: &mut Vm, collector: &mut Collector, went: &Cell<usize>) {
    let mut one = begin(vm, collector, went);
    let mut other = begin(vm, collector, went);
    answer(&mut one, response(MODEL).as_bytes());
    end(&mut one);
    vm.tick();
    vm.collect(collector);
    let mut last = begin(vm, collector, went);
    answer(&mut other, response(MODEL).as_bytes());
    end(&mut other);
    answer(&mut last, response(MODEL).as_bytes());
    end(&mut last);
    vm.tick();
    vm.collect(collector);
}

/// Another VM finds what is left, and tells the collector of it.
fn recover(vm: &mut Vm, collector: &mut Collector) {
    simulated::pass(STALE_MS + 1);
    for _ in 0..3 {
        vm.tick();
        vm.collect(collector);
        simulated::pass(5_000);
    }
}

/// The changes of shared data that this makes.
fn changes(act: impl FnOnce()) -> Vec<Change> {
    let from = simulated::with(|world| world.calls);
    act();
    simulated::with(|world| {
        let changes = world.changes.iter().filter(|(at, name, _)| *at >= from && name.ends_with("_shared"));
        changes.map(|(at, _, key)| (at - from, String::from_utf8_lossy(key).into_owned())).collect()
    })
}

/// What records say that a budget was charged.
fn recorded(budget: &str, collector: &Collector) -> i128 {
    let of = |record: &tollgate_core::record::UsageRecord| match budget {
        "all" => record.charged_usd.unwrap_or(record.cost_usd).as_pico(),
        "calls" => i128::from(record.status.is_some()),
        _ => i128::from(record.usage.input_tokens.unwrap_or(0) + record.usage.output_tokens.unwrap_or(0)),
    };
    collector.records.values().map(of).sum()
}

impl Death {
    /// Of a VM that has died before the last of these changes.
    fn before(changes: &[Change]) -> Self {
        let key = |back: usize| changes.iter().rev().nth(back).map_or("", |(_, key)| key.as_str());
        Self {
            place: format!("death between the changes of `{}` and `{}`", key(1), key(0)),
            is_between_record_and_entry: key(1).contains("/o/") && key(0).contains("/j/"),
            unnamed: unnamed(),
        }
    }

    /// Whether it left nothing that is not named.
    fn is_clean(&self) -> bool {
        !self.is_between_record_and_entry && self.unnamed.values().all(|held| *held == 0)
    }

    /// What must hold once others have found what it left.
    fn check(&self, went: usize, collector: &Collector) {
        let (place, records) = (&self.place, collector.records.len());
        assert!(records == went || records == went + 1, "{place}: {went} calls went on, {records} records");
        for counter in counters() {
            let budget = counter.key.split(|byte| *byte == 0).next().unwrap();
            let budget = std::str::from_utf8(budget).unwrap();
            let recorded = recorded(budget, collector);
            let unnamed = self.unnamed.get(&counter.key).copied().unwrap_or(0);
            let (used, held) = (counter.used.0, counter.held.0);
            assert_eq!(held, unnamed, "{place}: what `{budget}` still holds");
            if self.is_between_record_and_entry {
                continue;
            }
            assert!(used - held <= recorded, "{place}: `{budget}` was charged twice");
            assert!(used >= recorded, "{place}: `{budget}` has spent {recorded}, and has it free again");
            if unnamed == 0 {
                assert_eq!((used, counter.in_flight), (recorded, 0), "{place}: `{budget}`");
            }
        }
    }
}

/// A VM's part in a scenario: what it does, and how many calls went on meanwhile.
type Part = fn(&mut Vm, &mut Collector, &Cell<usize>);

/// Has a VM die at each change that it makes behind what `first` did, which lived and died before; gives how
/// many deaths there were, and how many left nothing that is not named.
fn die_everywhere(scenario: &Scenario, first: Option<Part>, part: Part) -> (usize, usize) {
    scenario.begun();
    let (mut before, went_before) = (scenario.collector(), Cell::new(0));
    if let Some(first) = first {
        first(&mut Vm::start(&configuration()), &mut before, &went_before);
        simulated::pass(STALE_MS + 1);
    }
    let world = simulated::with(|world| world.clone());
    let changes = {
        let (mut vm, mut collector) = (Vm::start(&configuration()), before.clone());
        changes(|| part(&mut vm, &mut collector, &went_before.clone()))
    };
    let mut clean = 0;
    for (index, (at, _)) in changes.iter().enumerate() {
        simulated::with(|held| *held = world.clone());
        let (mut vm, mut collector, went) =
            (Vm::start(&configuration()), before.clone(), went_before.clone());
        simulated::plan(*at, Fault::Die);
        assert!(simulated::dies(|| part(&mut vm, &mut collector, &went)));
        let death = Death::before(&changes[..=index]);
        recover(&mut Vm::start(&configuration()), &mut collector);
        death.check(went.get(), &collector);
        clean += usize::from(death.is_clean());
    }
    (changes.len(), clean)
}

/// Two calls are admitted; one of them ends, and waits to be settled.
fn leave_calls(vm: &mut Vm, collector: &mut Collector, went: &Cell<usize>) {
    let mut one = begin(vm, collector, went);
    let other = begin(vm, collector, went);
    answer(&mut one, response(MODEL).as_bytes());
    end(&mut one);
    // Its VM is gone: nobody ends it.
    std::mem::forget(other);
}

#[test]
fn a_vm_that_holds_reservations_may_die_anywhere() {
    let (deaths, clean) = die_everywhere(&Scenario::ample(), None, live);
    assert!(deaths >= 38 && deaths - clean <= 13, "{deaths} deaths, {clean} left all named");
}

#[test]
fn a_vm_without_reservations_may_die_anywhere() {
    let (deaths, clean) = die_everywhere(&Scenario::scarce(), None, live);
    assert!(deaths >= 34 && deaths - clean <= 15, "{deaths} deaths, {clean} left all named");
}

#[test]
fn a_vm_that_recovers_reservations_may_die_anywhere() {
    let (deaths, clean) = die_everywhere(&Scenario::ample(), Some(leave_calls), |vm, collector, _| {
        recover(vm, collector);
    });
    assert!(deaths >= 44 && deaths - clean <= 7, "{deaths} deaths, {clean} left all named");
}

#[test]
fn a_vm_that_recovers_calls_may_die_anywhere() {
    let (deaths, clean) = die_everywhere(&Scenario::scarce(), Some(leave_calls), |vm, collector, _| {
        recover(vm, collector);
    });
    assert!(deaths >= 37 && deaths - clean <= 3, "{deaths} deaths, {clean} left all named");
}

#[test]
fn a_vm_that_is_drained_may_die_anywhere() {
    let (deaths, clean) = die_everywhere(&Scenario::ample(), None, |vm, collector, went| {
        vm.tick();
        vm.collect(collector);
        leave_calls(vm, collector, went);
        vm.root.on_done();
        vm.collect(collector);
    });
    assert!(deaths >= 27 && deaths - clean <= 6, "{deaths} deaths, {clean} left all named");
}

/// A session of three turns, whose connection is closed in a fourth: each is counted as it goes on.
fn talk(vm: &mut Vm, collector: &mut Collector, went: &Cell<usize>, path: &str, ask: &Value, done: &Value) {
    let (mut session, _) = vm.upgrade("api.openai.com", path);
    vm.collect(collector);
    switches(&mut session);
    for turn in 0..4 {
        let refused = simulated::with(|world| world.answers.len());
        says(&mut session, std::slice::from_ref(ask));
        vm.collect(collector);
        request_body(&mut session, b"", false);
        went.set(went.get() + usize::from(simulated::with(|world| world.answers.len()) == refused));
        if turn < 3 {
            hears(&mut session, std::slice::from_ref(done));
            vm.tick();
            vm.collect(collector);
        }
    }
    end(&mut session);
    vm.tick();
    vm.collect(collector);
}

/// A session that holds for its turns.
fn talk_realtime(vm: &mut Vm, collector: &mut Collector, went: &Cell<usize>) {
    let usage = json!({"input_tokens": 20, "output_tokens": 10});
    let done = json!({"type": "response.done", "response": {"usage": usage}});
    talk(vm, collector, went, "/v1/realtime?model=gpt-m", &json!({"type": "response.create"}), &done);
}

/// A session whose turns are calls of their own.
fn talk_responses(vm: &mut Vm, collector: &mut Collector, went: &Cell<usize>) {
    let ask = json!({"type": "response.create", "model": MODEL, "max_output_tokens": 50, "input": "Why?"});
    let usage = json!({"input_tokens": 20, "output_tokens": 10, "total_tokens": 30});
    let done = json!({"type": "response.completed", "response": {"id": "resp_1", "object": "response",
        "status": "completed", "model": MODEL, "usage": usage}});
    talk(vm, collector, went, "/v1/responses", &ask, &done);
}

/// Every counter has enough for a few calls, and not for a reservation.
fn a_few_calls() -> Scenario {
    let budgets = json!([{"name": "calls", "limit_calls": 1_000_000, "window": "day"}]);
    Scenario { budgets, granted: 20 }
}

#[test]
fn a_vm_whose_session_holds_for_its_turns_may_die_anywhere() {
    for (scenario, all, unnamed) in [(Scenario::ample(), 55, 25), (a_few_calls(), 27, 12)] {
        let (deaths, clean) = die_everywhere(&scenario, None, talk_realtime);
        assert!(deaths >= all && deaths - clean <= unnamed, "{deaths} deaths, {clean} left all named");
    }
}

#[test]
fn a_vm_whose_sessions_turns_are_calls_may_die_anywhere() {
    for (scenario, all, unnamed) in [(Scenario::ample(), 57, 24), (a_few_calls(), 27, 12)] {
        let (deaths, clean) = die_everywhere(&scenario, None, talk_responses);
        assert!(deaths >= all && deaths - clean <= unnamed, "{deaths} deaths, {clean} left all named");
    }
}

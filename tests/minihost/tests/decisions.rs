//! What budgets cost a call, in wasm instructions and host calls (the same on every machine), what calls wait
//! for, and what workers leave that die.
//!
//! `cargo test -p tollgate-minihost --test decisions -- --nocapture` prints the table. For a profile, put a
//! module with function names in its place, set `MINIHOST_PROFILE=1`, `COST_CALLS=20000` and
//! `COST_BUDGETS=3`, with `COST_RULES=1` also two hundred rules, and run it under `perf`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::LazyLock;

use serde_json::{Value, json};
use support::{FILTER, Kind, NOW_MS, PRICES, properties, world};
use tollgate_core::budget::Amount;
use tollgate_core::budget::ledger::Grant;
use tollgate_core::protocol::sync::{CounterReport, SyncRequest};
use tollgate_minihost::host::World;
use tollgate_minihost::random::Random;
use tollgate_minihost::stream::{Exchange, Manner, Progress, Stream};
use tollgate_minihost::vm::Vm;

/// Calls that are looked at, behind as many that warm up what is made once.
static CALLS: LazyLock<u64> =
    LazyLock::new(|| std::env::var("COST_CALLS").ok().and_then(|calls| calls.parse().ok()).unwrap_or(64));

/// A model with a price, among the fixtures'.
const PRICED: &str = "gpt-4.1-mini";

/// What one call costs in the mean.
struct Cost {
    instructions: u64,
    memory_bytes: usize,
    host_calls: BTreeMap<&'static str, u64>,
}

impl Cost {
    fn calls(&self, name: &str) -> u64 {
        self.host_calls.get(name).copied().unwrap_or(0)
    }
}

/// A chat completion of 1 kB, and its answer.
fn chat(model: &str) -> Exchange {
    let question = "How much did each team spend on which model, and why? ".repeat(16);
    let request = json!({"model": model, "messages": [{"role": "user", "content": question}],
        "max_completion_tokens": 400, "temperature": 0.2})
    .to_string();
    let answer = json!({"id": "chatcmpl-1", "object": "chat.completion", "model": format!("{model}-2025-04-14"),
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "By team and by model. ".repeat(30)}}],
        "usage": {"prompt_tokens": 210, "completion_tokens": 180, "total_tokens": 390}})
    .to_string();
    let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    Exchange {
        name: "chat".into(),
        request: vec![
            pair(":method", "POST"),
            pair(":path", "/v1/chat/completions"),
            pair(":authority", "api.openai.com"),
            pair("content-type", "application/json"),
            pair("content-length", &request.len().to_string()),
            pair("authorization", "Bearer sk-secret"),
            pair("x-tollgate-agent", "planner"),
            pair("x-tollgate-team", "search"),
        ],
        request_body: request.into_bytes(),
        response: vec![pair(":status", "200"), pair("content-type", "application/json")],
        response_body: answer.into_bytes(),
    }
}

/// Answers all of the collector's questions: with prices, this policy, and all that a counter has.
fn collect(vm: &mut Vm, policy: &Value) {
    while answer(vm, policy, &PRICES) {}
}

/// What a budget's counters are granted, in all.
fn granted(budget: &str) -> i128 {
    if budget.starts_with("scarce") { 800_000 } else { 10_i128.pow(18) }
}

/// Answers one question; false where there is none.
fn answer(vm: &mut Vm, policy: &Value, prices: &Value) -> bool {
    let Some(asked) = vm.host().call_outs.first().map(|call_out| call_out.body.clone()) else { return false };
    {
        let request: SyncRequest = serde_json::from_slice(&asked).unwrap();
        let grant = |report: &CounterReport| {
            let all = Amount(granted(&report.key.budget));
            let acknowledged = report.report.version;
            let grant = Grant { granted: all, limit: all, acknowledged, ..Grant::default() };
            json!({"key": report.key, "grant": grant})
        };
        let grants: Vec<Value> = request.counters.iter().map(grant).collect();
        let mut prices = prices.clone();
        let resolved = prices["resolved"].as_array().cloned().unwrap_or_default();
        let asked = request.models.iter().map(|wanted| json!(wanted));
        prices["without_price"] = asked.filter(|wanted| !resolved.contains(wanted)).collect();
        let body = json!({"protocol": 2, "now_ms": NOW_MS, "ack": request.sequence, "stored": 0,
            "duplicates": 0, "prices": prices, "policy": policy, "grants": grants});
        let headers = [(b":status".to_vec(), b"200".to_vec())];
        vm.answer(&headers, body.to_string().as_bytes()).unwrap()
    }
}

fn policy(budgets: &[Value]) -> Value {
    let spans = json!([{"start_ms": 0, "end_ms": NOW_MS * 2}]);
    let budgets: Vec<Value> = tollgate_core::budget::define::read(&json!(budgets))
        .unwrap()
        .into_iter()
        .map(|budget| json!({"budget": budget, "generation": 1, "spans": spans}))
        .collect();
    json!({"version": "p", "budgets": budgets})
}

fn cost(model: &str, budgets: &[Value]) -> Cost {
    cost_under(model, &policy(budgets))
}

/// A thousand registered agents, and two hundred rules.
fn rules() -> Value {
    let name = |n: usize| if n == 700 { "planner".to_owned() } else { format!("agent-{n}") };
    let agents: Vec<Value> = (0..1_000)
        .map(|n| json!({"name": name(n), "team": if n == 700 { "search" } else { "team" }}))
        .collect();
    let of_agent = |n: usize| json!({"agent": [name(n * 10)]});
    let allow: Vec<Value> = (0..100)
        .map(|n| json!({"name": format!("models-{n}"), "scope": of_agent(n), "models": ["gpt-4.1*", "gpt-5-mini"]}))
        .collect();
    let limits: Vec<Value> = (0..100)
        .map(|n| {
            let scope = if n % 2 == 0 { of_agent(n) } else { json!({"team": [format!("team-{n}")]}) };
            json!({"name": format!("size-{n}"), "scope": scope, "max_cost": "1000000000000", "max_input_tokens": 90_000})
        })
        .collect();
    json!({"agents": agents, "allow": allow, "limits": limits,
        "unknown": [{"environment": "*", "action": "deny"}],
        "require": [{"environment": "*", "fields": ["agent", "team"]}]})
}

fn cost_under(model: &str, policy: &Value) -> Cost {
    let world = world(7, false);
    let mut vm = FILTER.start(&world, &Kind::Reporting.configuration(true), &[], 7).unwrap();
    let run = |vm: &mut Vm, calls: u64| {
        for _ in 0..calls {
            let mut stream =
                Stream::begin(vm, chat(model), Manner::default(), &properties("openai")).unwrap();
            loop {
                match stream.step(vm).unwrap() {
                    Progress::Over => break,
                    Progress::More => {}
                    Progress::Waits => collect(vm, policy),
                }
            }
            assert_eq!(stream.seen.reply, None);
        }
    };
    for _ in 0..8 {
        world.borrow_mut().now_ms += 250;
        vm.tick().unwrap();
        collect(&mut vm, policy);
    }
    run(&mut vm, *CALLS);
    vm.instructions = 0;
    world.borrow_mut().faults.calls.clear();
    run(&mut vm, *CALLS);
    let calls = world.borrow().faults.calls.clone();
    let mean = |(name, count): (&'static str, u32)| (name, u64::from(count) / *CALLS);
    let memory_bytes = vm.memory_bytes();
    Cost {
        instructions: vm.instructions / *CALLS,
        memory_bytes,
        host_calls: calls.into_iter().map(mean).collect(),
    }
}

/// Three budgets in the three units, then more like them.
fn budgets(count: usize) -> Vec<Value> {
    let budget = |number: usize| match number % 3 {
        0 => json!({"name": format!("dollars-{number}"), "limit_usd": "1000000", "window": "month"}),
        1 => json!({"name": format!("calls-{number}"), "scope": {"team": "search"}, "each": "agent",
            "limit_calls": 1_000_000, "window": "hour"}),
        _ => json!({"name": format!("tokens-{number}"), "scope": {"agent": "planner"},
            "limit_tokens": 1_000_000_000, "window": "day"}),
    };
    (0..count).map(budget).collect()
}

#[test]
fn a_budget_costs_no_read_and_no_swap() {
    if let Some(count) = std::env::var("COST_BUDGETS").ok().and_then(|count| count.parse().ok()) {
        let mut policy = policy(&budgets(count));
        if std::env::var_os("COST_RULES").is_some() {
            policy["rules"] = rules();
        }
        println!("{count} budgets: {} instructions", cost_under(PRICED, &policy).instructions);
        return;
    }
    let costs: Vec<Cost> = [0, 1, 3, 6].map(|count| cost(PRICED, &budgets(count))).into();
    let [none, one, three, six] = &costs[..] else { unreachable!() };
    println!("{:40} {:>8} {:>8} {:>8} {:>8}", "budgets", 0, 1, 3, 6);
    let row = |name: &str, of: &dyn Fn(&Cost) -> u64| {
        println!("{name:40} {:>8} {:>8} {:>8} {:>8}", of(none), of(one), of(three), of(six));
    };
    row("wasm instructions", &|cost| cost.instructions);
    for name in six.host_calls.keys() {
        row(name, &|cost| cost.calls(name));
    }
    let more = |name: &str| [one, three, six].map(|cost| cost.calls(name) - none.calls(name));
    assert_eq!(more("proxy_get_shared_data"), [0, 0, 0], "room is taken for many calls at once");
    // The journal says what is to be settled.
    assert_eq!(more("proxy_set_shared_data"), [1, 1, 1]);
    assert_eq!(more("proxy_http_call"), [0, 0, 0], "nobody is asked");
}

#[test]
fn a_thousand_agents_and_two_hundred_rules_cost_a_call_little() {
    for budgets in [budgets(0), budgets(3)] {
        let plain = policy(&budgets);
        let mut ruled = plain.clone();
        ruled["rules"] = rules();
        let (before, with) = (cost_under(PRICED, &plain), cost_under(PRICED, &ruled));
        let more = with.instructions - before.instructions;
        let memory = with.memory_bytes - before.memory_bytes;
        println!("{} budgets: with rules {more} instructions more, {memory} bytes more", budgets.len());
        // Without budgets it is more, as what a request asks for is read for both.
        assert!(budgets.is_empty() || more <= 8_000, "{more} instructions");
        assert!(memory <= 1 << 20, "{memory} bytes");
        for name in ["proxy_get_shared_data", "proxy_set_shared_data", "proxy_http_call"] {
            assert_eq!(with.calls(name), before.calls(name), "{name}");
        }
    }
}

#[test]
fn a_model_without_a_price_is_asked_for_once() {
    let budget = json!({"name": "dollars", "limit_usd": "1000000", "window": "month"});
    let unpriced = cost("nobody-knows", &[budget]);
    assert_eq!(unpriced.calls("proxy_http_call"), 0);
}

/// Found by reading: what another call had asked for counted as an answer to all that waited, and a call went
/// on unpriced.
#[test]
fn a_call_waits_for_the_answer_to_what_it_asked() {
    let policy = policy(&budgets(1));
    let world = world(7, false);
    let mut vm = FILTER.start(&world, &Kind::Reporting.configuration(true), &[], 7).unwrap();
    let mut no_prices = PRICES.clone();
    no_prices["models"] = json!([]);
    // A part of a book, which cannot tell what the whole has.
    no_prices["resolved"] = json!([]);
    for _ in 0..8 {
        world.borrow_mut().now_ms += 250;
        vm.tick().unwrap();
        while answer(&mut vm, &policy, &no_prices) {}
    }
    let wait = |vm: &mut Vm, model: &str| {
        let mut stream = Stream::begin(vm, chat(model), Manner::default(), &properties("openai")).unwrap();
        while stream.step(vm).unwrap() == Progress::More {}
        stream
    };
    let _unpriced = wait(&mut vm, "nobody-knows");
    let _priced = wait(&mut vm, PRICED);
    assert!(answer(&mut vm, &policy, &no_prices), "the first has asked");
    collect(&mut vm, &policy);
    let held: i128 = world.borrow().counters().iter().map(|counter| counter.held.0).sum();
    assert!(held > 0, "the second is held at its price");
}

/// Two workers, either of which dies now and then between two callbacks and is replaced.
struct Workers {
    world: Rc<RefCell<World>>,
    policy: Value,
    random: Random,
    vms: Vec<(Vm, Vec<Stream>)>,
    begun: u64,
    deaths: u64,
    /// What the collector got.
    records: BTreeMap<String, Value>,
}

impl Workers {
    fn new(seed: u64, budgets: &[Value]) -> Self {
        let mut workers = Self {
            world: world(seed, false),
            policy: policy(budgets),
            random: Random::new(seed),
            vms: Vec::new(),
            begun: 0,
            deaths: 0,
            records: BTreeMap::new(),
        };
        for _ in 0..2 {
            let vm = workers.start();
            workers.vms.push((vm, Vec::new()));
        }
        workers
    }

    fn start(&mut self) -> Vm {
        let configuration = Kind::Reporting.configuration(true);
        FILTER.start(&self.world, &configuration, &[], self.random.next()).unwrap()
    }

    fn tick(&mut self, ms: u64) {
        self.world.borrow_mut().now_ms += ms;
        for index in 0..self.vms.len() {
            self.vms[index].0.tick().unwrap();
            self.collect(index);
        }
    }

    fn collect(&mut self, index: usize) {
        let vm = &mut self.vms[index].0;
        while let Some(call_out) = vm.host().call_outs.first() {
            let request: SyncRequest = serde_json::from_slice(&call_out.body).unwrap();
            for record in request.records {
                let record: Value = serde_json::from_str(record.get()).unwrap();
                self.records.entry(record["id"].as_str().unwrap().to_owned()).or_insert(record);
            }
            answer(vm, &self.policy, &PRICES);
        }
    }

    fn step(&mut self, index: usize) {
        let (vm, streams) = &mut self.vms[index];
        if streams.len() < 8 {
            streams.push(Stream::begin(vm, chat(PRICED), Manner::default(), &properties("openai")).unwrap());
            self.begun += 1;
        }
        self.go_on(index);
    }

    fn go_on(&mut self, index: usize) {
        let (vm, streams) = &mut self.vms[index];
        if streams.is_empty() {
            return;
        }
        let at = self.random.below(streams.len());
        match streams[at].step(vm).unwrap() {
            Progress::Over => drop(streams.swap_remove(at)),
            Progress::More => {}
            Progress::Waits => self.collect(index),
        }
    }

    fn run(&mut self, calls: u64) {
        for _ in 0..8 {
            self.tick(250);
        }
        while self.begun < calls {
            let index = self.random.below(2);
            self.step(index);
            if self.random.chance(5) {
                self.tick(250);
            }
            if self.random.chance(4) {
                let vm = self.start();
                self.vms[index] = (vm, Vec::new());
                self.deaths += 1;
            }
        }
        while self.vms.iter().any(|(_, streams)| !streams.is_empty()) {
            (0..2).for_each(|index| self.go_on(index));
            self.tick(1);
        }
        // A dead worker is one that has been silent for half a minute.
        for _ in 0..160 {
            self.tick(250);
        }
    }
}

#[test]
fn workers_that_die_leave_nothing_held_and_nothing_settled_twice() {
    let mut counted = 0;
    for (seed, budgets) in [
        (1, budgets(3)),
        (2, budgets(3)),
        (3, vec![json!({"name": "scarce", "limit_tokens": 800_000, "window": "day"})]),
        (4, [budgets(2), vec![json!({"name": "scarce", "limit_tokens": 800_000, "window": "day"})]].concat()),
    ] {
        let mut workers = Workers::new(seed, &budgets);
        workers.run(400);
        assert!(workers.deaths > 3, "{}", workers.deaths);
        // Those that were made of what dead workers left, too: each is charged what its record says.
        let sum = |of: &dyn Fn(&Value) -> i128| workers.records.values().map(of).sum::<i128>();
        let number = |value: &Value| value.as_i64().map_or(0, i128::from);
        let world = workers.world.borrow();
        assert_eq!(world.counters().len(), budgets.len());
        for counter in world.counters() {
            assert_eq!((counter.in_flight, counter.held.0), (0, 0), "{counter:?}");
            let of: &dyn Fn(&Value) -> i128 = match counter.key.first() {
                Some(b'd') => {
                    &|record| record["cost_usd"].as_str().unwrap().replace('.', "").parse().unwrap()
                }
                Some(b'c') => &|record| i128::from(record["outcome"] == "ok"),
                _ => &|record| {
                    number(&record["usage"]["input_tokens"]) + number(&record["usage"]["output_tokens"])
                },
            };
            let used = counter.used.0 - counter.kept.0;
            assert_eq!(used, sum(of), "{}", String::from_utf8_lossy(&counter.key));
            counted += used;
        }
        println!("{} calls, {} deaths, {} records", workers.begun, workers.deaths, workers.records.len());
    }
    assert!(counted > 0);
}

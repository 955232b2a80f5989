//! Worlds, exchanges and what must hold after each: shared by the tests of this folder.
#![allow(dead_code)] // each test file uses a part

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

use base64::Engine as _;
use serde_json::{Value, json};
use tollgate_core::budget::Unit;
use tollgate_core::price::{EMBEDDED, PriceBook, Wanted};
use tollgate_core::protocol::sync::SyncRequest;
use tollgate_core::request::include_usage::{self, UsageChunkFilter};
use tollgate_minihost::faults::{Faults, Plan};
use tollgate_minihost::host::{Meddler, Pair, World};
use tollgate_minihost::random::Random;
use tollgate_minihost::stream::{Exchange, Manner, Progress, Seen, Stream};
use tollgate_minihost::vm::{Filter, Vm};
use tollgate_tests::artifacts::Workspace;

pub(crate) const NOW_MS: u64 = 1_795_600_000_000;

/// The module, compiled once for all tests of a file.
pub(crate) static FILTER: LazyLock<Filter> =
    LazyLock::new(|| Filter::load(&Workspace::find().unwrap().filter()).unwrap());

/// Every fixture of the project as an exchange, with its provider.
pub(crate) static EXCHANGES: LazyLock<Vec<(String, Exchange)>> = LazyLock::new(|| {
    let folder = Workspace::find().unwrap().file("core/testdata");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files.iter().flat_map(|file| fixtures(file)).collect()
});

fn fixtures(file: &Path) -> Vec<(String, Exchange)> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| exchange(&serde_json::from_str(line).unwrap())).collect()
}

fn exchange(fixture: &Value) -> (String, Exchange) {
    let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let provider = fixture["provider"].as_str().unwrap().to_owned();
    let answer = fixture["response_body_base64"].as_str().unwrap();
    let request_body = fixture["request_body"].as_str().unwrap_or_default().as_bytes().to_vec();
    let mut request = vec![
        pair(":method", fixture["method"].as_str().unwrap()),
        pair(":path", fixture["path"].as_str().unwrap()),
        pair(":authority", "api.example.com"),
        pair("x-tollgate-agent", "planner"),
        pair("x-tollgate-tags", "a=b"),
        pair("authorization", "Bearer sk-secret"),
    ];
    if !request_body.is_empty() {
        let is_form = request_body.starts_with(b"--");
        let form = "multipart/form-data; boundary=form-7";
        request.push(pair("content-type", if is_form { form } else { "application/json" }));
        request.push(pair("content-length", &request_body.len().to_string()));
    }
    if fixture["response_status"] == 101 {
        request.push(pair("upgrade", "websocket"));
    }
    let mut response = vec![pair(":status", &fixture["response_status"].as_u64().unwrap().to_string())];
    for (name, values) in fixture["response_headers"].as_object().unwrap() {
        let values = values.as_array().unwrap().iter();
        response.extend(values.map(|value| pair(&name.to_lowercase(), value.as_str().unwrap())));
    }
    let response_body = base64::engine::general_purpose::STANDARD.decode(answer).unwrap();
    if !response.iter().any(|(name, _)| name == b"content-length") {
        response.push(pair("content-length", &response_body.len().to_string()));
    }
    let name = format!("{provider}/{}", fixture["id"].as_str().unwrap());
    (provider, Exchange { name, request, request_body, response, response_body })
}

/// Prices of the models in the fixtures.
pub(crate) static PRICES: LazyLock<Value> = LazyLock::new(|| {
    let book = PriceBook::from_files(EMBEDDED).unwrap();
    let mut wanted = BTreeSet::new();
    for (provider, exchange) in EXCHANGES.iter() {
        for body in [&exchange.request_body, &exchange.response_body] {
            let text = String::from_utf8_lossy(body).into_owned();
            for part in text.split("\"model\"").skip(1) {
                let model = part.split('"').nth(1).unwrap_or_default().to_owned();
                wanted.insert(Wanted { provider: provider.clone(), model });
            }
        }
    }
    serde_json::to_value(book.subset(&wanted, NOW_MS, 240 * 1024)).unwrap()
});

/// Which gateway it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Without a collector, with budgets of its own; records stand in the access log.
    Alone,
    /// With a collector; records stand in the outbox.
    Reporting,
}

impl Kind {
    pub(crate) fn configuration(self, pause_headers: bool) -> String {
        let mut configuration = json!({"gateway": "mini", "pause_headers": pause_headers});
        match self {
            Self::Alone => {
                configuration["prices"] = PRICES.clone();
                configuration["budgets"] = json!([
                    {"name": "all", "limit_usd": "100000", "window": "day", "deferred": "allow"},
                    {"name": "agents", "each": "agent", "limit_tokens": 1_000_000_000, "window": "hour",
                     "deferred": "allow"},
                    {"name": "calls", "limit_calls": 1_000_000, "window": "month", "deferred": "allow"},
                ]);
            }
            Self::Reporting => {
                configuration["collector"] = json!({"cluster": "collector", "authority": "collector"});
            }
        }
        configuration.to_string()
    }
}

/// One exchange through a fresh world.
pub(crate) struct Case<'a> {
    pub kind: Kind,
    pub provider: &'a str,
    pub exchange: &'a Exchange,
    pub manner: Manner,
    pub plan: Plan,
    pub meddles: bool,
}

/// What became of it.
pub(crate) struct Outcome {
    pub seen: Seen,
    pub world: Rc<RefCell<World>>,
    pub records: Vec<Value>,
    pub log: Vec<(u32, String)>,
}

pub(crate) fn world(seed: u64, meddles: bool) -> Rc<RefCell<World>> {
    let meddler = meddles.then(|| Meddler {
        random: Random::new(seed),
        per_thousand: 300,
        charged: Default::default(),
    });
    Rc::new(RefCell::new(World { now_ms: NOW_MS, meddler, ..World::default() }))
}

pub(crate) fn properties(provider: &str) -> Vec<(&[u8], &[u8])> {
    let path: &[u8] = b"xds\0route_metadata\0filter_metadata\0tollgate\0provider";
    vec![(path, provider.as_bytes()), (b"upstream\0request_attempt_count", &[1, 0, 0, 0, 0, 0, 0, 0])]
}

impl Case<'_> {
    /// Runs it; `None` where the module refuses to start, which it may where a capability is missing.
    ///
    /// # Errors
    /// The module traps, or a stream waits for ever.
    pub(crate) fn run(&self) -> Result<Option<Outcome>, String> {
        let world = world(self.manner.seed, self.meddles);
        let is_missing = matches!(self.plan, Plan::Always(..));
        if is_missing {
            world.borrow_mut().faults = Faults::new(self.plan.clone());
        }
        let configuration = self.kind.configuration(self.manner.may_pause_headers);
        let started = FILTER.start(&world, &configuration, &["TOLLGATE_KEY_SECRET=s"], self.manner.seed);
        let mut vm = match started {
            Ok(vm) => vm,
            Err(error) if is_missing && format!("{error:?}").contains("was refused") => return Ok(None),
            Err(error) => return Err(format!("{error:?}")),
        };
        if !is_missing {
            world.borrow_mut().faults = Faults::new(self.plan.clone());
        }
        let trapped = |error| format!("{error:?}");
        let begun =
            Stream::begin(&mut vm, self.exchange.clone(), self.manner.clone(), &properties(self.provider));
        let mut stream = begun.map_err(trapped)?;
        drive(&mut vm, &mut stream).map_err(trapped)?;
        // Stats are told on ticks.
        for _ in 0..2 {
            world.borrow_mut().now_ms += 250;
            vm.tick().map_err(trapped)?;
        }
        let seen = stream.seen;
        let records = match self.kind {
            Kind::Alone => shown(&seen).into_iter().collect(),
            Kind::Reporting => {
                let records = world.borrow().records();
                records.iter().map(|json| serde_json::from_slice(json).unwrap()).collect()
            }
        };
        let log = std::mem::take(&mut vm.host().log);
        Ok(Some(Outcome { seen, world, records, log }))
    }

    pub(crate) fn is_aborted(&self, seen: &Seen) -> bool {
        self.manner.abort_after.is_some() || seen.timed_out
    }
}

/// The record in the access log.
pub(crate) fn shown(seen: &Seen) -> Option<Value> {
    let (_, json) = seen.filter_state.iter().find(|(name, _)| name == "tollgate.record")?;
    Some(serde_json::from_slice(json).unwrap())
}

/// Drives one stream to its end; a call that waits is answered by a collector without budgets. One that
/// cannot be let go on is ended by a timeout.
pub(crate) fn drive(vm: &mut Vm, stream: &mut Stream) -> wasmtime::Result<()> {
    let mut waited = 0;
    loop {
        match stream.step(vm)? {
            Progress::Over => return Ok(()),
            Progress::More => {}
            Progress::Waits => {
                vm.host().world.borrow_mut().now_ms += 250;
                vm.tick()?;
                answer(vm, true)?;
                waited += 1;
                if waited == WAITS_MAX {
                    let world = vm.host().world.borrow();
                    let may = world.faults.hit(RESUMING_CALLS);
                    wasmtime::ensure!(may, "a stream waits for ever: {:?}", stream.seen);
                    drop(world);
                    stream.time_out();
                }
            }
        }
    }
}

/// Ticks in which a call that waits must be decided on: those wait two seconds at most.
const WAITS_MAX: u32 = 12;
/// Host calls without which a paused stream stays paused, until Envoy's own timeout.
const RESUMING_CALLS: &[&str] = &[
    "proxy_continue_stream",
    "proxy_send_local_response",
    "proxy_set_effective_context",
    "proxy_get_current_time_nanoseconds",
];

/// The collector's turn: it acknowledges what was sent, or fails.
pub(crate) fn answer(vm: &mut Vm, works: bool) -> wasmtime::Result<Option<SyncRequest>> {
    let Some(asked) = vm.host().call_outs.first().map(|call_out| call_out.body.clone()) else {
        return Ok(None);
    };
    let request: SyncRequest = serde_json::from_slice(&asked).unwrap();
    let now_ms = vm.host().world.borrow().now_ms;
    let body = json!({
        "protocol": 2, "now_ms": now_ms, "ack": request.sequence, "stored": 0, "duplicates": 0,
        "policy": {"version": "p1", "budgets": []},
    });
    let header = |status: &str| vec![(b":status".to_vec(), status.as_bytes().to_vec())];
    match works {
        true => vm.answer(&header("200"), body.to_string().as_bytes())?,
        false => vm.answer(&header("503"), b"upstream connect error")?,
    };
    Ok(works.then_some(request))
}

/// Host calls on which budgets stand: where one fails a call may be refused, and a hold may stay.
pub(crate) const BUDGET_CALLS: &[&str] =
    &["proxy_get_shared_data", "proxy_set_shared_data", "proxy_get_current_time_nanoseconds"];

/// What must hold after a stream whatever failed; `clean` is the same exchange without a fault, uncut.
pub(crate) fn check(case: &Case<'_>, outcome: &Outcome, clean: &Outcome) -> Result<(), String> {
    let world = outcome.world.borrow();
    let faults = &world.faults;
    passed_unchanged(case, &outcome.seen)?;
    if let Some(reply) = &outcome.seen.reply {
        let may = faults.hit(BUDGET_CALLS)
            || faults.hit(&["proxy_get_buffer_bytes"])
            || case.meddles
            || clean.seen.reply.is_some();
        ensure(may, || format!("it was refused: {reply:?}"))?;
        ensure((400..500).contains(&reply.status), || format!("refused with {}", reply.status))?;
    }
    accounted(case, outcome, clean)?;
    for record in &outcome.records {
        measured_right(case, record, clean)?;
    }
    if case.kind == Kind::Alone {
        settled(case, outcome)?;
    }
    Ok(())
}

/// Bytes to provider and caller are what the other side sent, but for the question for usage and its answer.
pub(crate) fn passed_unchanged(case: &Case<'_>, seen: &Seen) -> Result<(), String> {
    let exchange = case.exchange;
    let asked = include_usage::asked(&exchange.request_body);
    let requests: Vec<&[u8]> =
        std::iter::once(exchange.request_body.as_slice()).chain(asked.as_deref()).collect();
    let body = seen.provider_body.as_slice();
    // Of a stream that ends while its call waits, the last piece is kept back.
    let whole = seen.request_complete
        && seen.provider_headers.is_some()
        && seen.reply.is_none()
        && !case.is_aborted(seen);
    if whole {
        ensure(requests.contains(&body), || format!("the provider got {:?}", String::from_utf8_lossy(body)))?;
        let headers = seen.provider_headers.as_deref().unwrap_or_default();
        lengths_agree(headers, body).map_err(|error| format!("request: {error}"))?;
    } else {
        ensure(requests.iter().any(|request| request.starts_with(body)), || {
            format!("the provider got {:?}", String::from_utf8_lossy(body))
        })?;
    }
    if seen.reply.is_some() && seen.caller_body != exchange.response_body {
        return Ok(());
    }
    let mut filter = UsageChunkFilter::default();
    let mut taken_out = filter.feed(&exchange.response_body);
    taken_out.extend(filter.finish());
    let was_asked = asked.as_deref() == Some(body);
    let mut answers = vec![exchange.response_body.as_slice()];
    if was_asked {
        answers.push(&taken_out);
    }
    let got = seen.caller_body.as_slice();
    let fits = |answer: &&[u8]| if seen.response_complete { *answer == got } else { answer.starts_with(got) };
    ensure(answers.iter().any(fits), || format!("the caller got {:?}", String::from_utf8_lossy(got)))?;
    if seen.response_complete {
        lengths_agree(&seen.caller_headers, got).map_err(|error| format!("answer: {error}"))?;
    }
    Ok(())
}

fn lengths_agree(headers: &[Pair], body: &[u8]) -> Result<(), String> {
    for (name, value) in headers.iter().filter(|(name, _)| name == b"content-length") {
        let said = String::from_utf8_lossy(value).parse::<usize>().ok();
        ensure(said == Some(body.len()), || {
            format!("{} says {said:?} of {} bytes", String::from_utf8_lossy(name), body.len())
        })?;
    }
    Ok(())
}

/// A record for the call, or a counted loss.
fn accounted(case: &Case<'_>, outcome: &Outcome, clean: &Outcome) -> Result<(), String> {
    let world = outcome.world.borrow();
    let expects = !clean.records.is_empty() && outcome.seen.callbacks > 0;
    let lost = ["tg/1/dropped/outbox_full", "tg/1/dropped/no_lane"].iter().any(|key| world.number(key) > 0)
        || world.metrics.keys().any(|name| name.starts_with("tollgate_records_dropped_total"))
        || world.metrics.keys().any(|name| name.starts_with("tollgate_requests_unread_total"));
    let ids: BTreeSet<&str> = outcome.records.iter().filter_map(|record| record["id"].as_str()).collect();
    ensure(ids.len() == outcome.records.len(), || "a record is there twice".to_owned())?;
    // Of a session that was cut short, as many turns as had passed; of work that goes on, none.
    let exact = !case.is_aborted(&outcome.seen);
    let enough =
        if exact { outcome.records.len() >= clean.records.len() } else { !outcome.records.is_empty() };
    let silent = match case.kind {
        // Without a collector the access log has the record, and stats count the call.
        Kind::Alone => ["proxy_set_property", "proxy_get_header_map_pairs"].as_slice(),
        // Both ways of counting a loss had to fail.
        Kind::Reporting => &["proxy_define_metric", "proxy_increment_metric"],
    };
    ensure(!expects || enough || lost || world.faults.hit(silent) || is_quiet(case, &outcome.seen), || {
        format!("{} records of {}, and no loss was counted", outcome.records.len(), clean.records.len())
    })
}

/// A call that leaves no record where it is cut short: a session without a turn, the fetch of a result.
fn is_quiet(case: &Case<'_>, seen: &Seen) -> bool {
    !is_post(case) && (case.is_aborted(seen) || !case.exchange.is_session())
}

fn is_post(case: &Case<'_>) -> bool {
    case.exchange.request.iter().any(|(name, value)| name == b":method" && value == b"POST")
}

/// What a record calls measured is what the provider said.
fn measured_right(case: &Case<'_>, record: &Value, clean: &Outcome) -> Result<(), String> {
    // Without prices what was measured is unpriced.
    let status = record["cost_status"].as_str().unwrap();
    if !["measured", "unpriced"].contains(&status) || record["usage_estimated"] == true {
        return Ok(());
    }
    if record["usage"].as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(());
    }
    // Of an upgrade that cannot be metered nothing is known to be right.
    let not_read = |truth: &Value| {
        truth["notes"].as_array().is_some_and(|notes| notes.contains(&Value::from("not_read")))
    };
    let right = |truth: &&Value| truth["usage"] == record["usage"] || not_read(truth);
    ensure(clean.records.iter().any(|truth| right(&truth)), || {
        format!("{}: measured {} where {:?} was", case.exchange.name, record["usage"], clean.records)
    })
}

/// Holds came back: what is used is what records cost and what is kept.
fn settled(case: &Case<'_>, outcome: &Outcome) -> Result<(), String> {
    let world = outcome.world.borrow();
    if world.faults.hit(BUDGET_CALLS) || world.faults.hit(&["proxy_set_property"]) || !is_post(case) {
        return Ok(()); // what ends in a session or a batch is shown by no access log
    }
    let charged = world.meddler.as_ref().map(|meddler| meddler.charged.clone()).unwrap_or_default();
    for counter in world.counters() {
        ensure(counter.in_flight == 0 && counter.held.0 == 0, || format!("a hold stayed: {counter:?}"))?;
        let unit = match counter.key.first() {
            Some(b'c') => Unit::Calls,
            Some(b'a') if counter.key.starts_with(b"agents") => Unit::Tokens,
            _ => Unit::Dollars,
        };
        let cost: i128 = outcome.records.iter().map(|record| cost(record, unit)).sum();
        let meddled = charged.get(&counter.key).copied().unwrap_or(0);
        ensure(counter.used.0 == cost + counter.kept.0 + meddled, || {
            format!("{unit:?}: records {cost}, others {meddled}, counter {counter:?}")
        })?;
    }
    Ok(())
}

fn cost(record: &Value, unit: Unit) -> i128 {
    let tokens = |name: &str| i128::from(record["usage"][name].as_u64().unwrap_or(0));
    match unit {
        Unit::Dollars => {
            // Where its price is not known here, or only likely, what was charged stands in the record.
            let charged = record["charged_usd"].as_str();
            let text = charged.unwrap_or_else(|| record["cost_usd"].as_str().unwrap());
            text.replace('.', "").parse().unwrap()
        }
        Unit::Tokens => tokens("input_tokens") + tokens("output_tokens"),
        Unit::Calls => i128::from(record["outcome"] != "denied" && record["status"].is_number()),
    }
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

//! What tests share: gateways of one Envoy on the simulated host, their calls, and a collector that grants
//! what it is told.

use std::collections::BTreeMap;
use std::rc::Rc;

use proxy_wasm::traits::{Context as _, HttpContext as _, RootContext as _};
use proxy_wasm::types::Action;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tollgate_core::attribution::{Attribution, AttributionSource};
use tollgate_core::budget::Amount;
use tollgate_core::budget::counter::Counter;
use tollgate_core::budget::ledger::{Grant, Want};
use tollgate_core::budget::policy::{Policy, PolicyBudget};
use tollgate_core::budget::window::Span;
use tollgate_core::call::Call;
use tollgate_core::decode::websocket;
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Price, PriceBook, PricedModel, Rates, Sheet, Wanted};
use tollgate_core::protocol::config::GatewayConfig;
use tollgate_core::protocol::sync::{CounterGrant, CounterReport, PROTOCOL, SyncAnswer, SyncRequest};
use tollgate_core::provider::Target;
use tollgate_core::record::UsageRecord;
use tollgate_core::usage::Kind;

use crate::call::HttpCall;
use crate::gateway::{self, Gateway};
use crate::host::simulated::{self, Sent};
use crate::host::{Buffer, Headers};
use crate::root::Root;

/// When tests begin.
pub(crate) const NOW_MS: u64 = 1_795_600_000_000;
/// A model that has a price: 10 pico-dollars for each input token, 100 for each of output.
pub(crate) const MODEL: &str = "gpt-m";
/// What is granted where a test says nothing else.
pub(crate) const AMPLE: i128 = 1_000_000_000_000;

/// Records that a lane's outbox holds.
pub(crate) const OUTBOX: u64 = 64;

/// Prices of [`MODEL`].
pub(crate) fn book() -> PriceBook {
    book_of(&[MODEL])
}

/// The same prices for these models.
pub(crate) fn book_of(models: &[&str]) -> PriceBook {
    let rate = |pico| Picodollars::from_pico(pico);
    let rates = Rates([(Kind::Input, rate(10)), (Kind::Output, rate(100))].into());
    let model = |id: &&str| PricedModel {
        provider: "openai".into(),
        id: (*id).into(),
        output_tokens: Some(100),
        prices: vec![Price { standard: Sheet { rates: rates.clone(), tiers: vec![] }, ..Price::default() }],
        ..PricedModel::default()
    };
    PriceBook::new("b1".into(), models.iter().map(model).collect())
}

/// What a collector sends of a book of two models to who asks for one of them.
pub(crate) fn part(model: &str) -> PriceBook {
    let wanted = Wanted { provider: "openai".into(), model: model.into() };
    book_of(&[MODEL, "gpt-n"]).subset([&wanted], NOW_MS, usize::MAX)
}

/// A policy or a book as a collector sends it.
pub(crate) fn raw(sent: &impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(sent).unwrap()
}

/// A policy of these budgets, in windows that never end.
pub(crate) fn policy(budgets: &Value) -> Policy {
    let entry = |budget| PolicyBudget {
        budget,
        generation: 1,
        spans: vec![Span { start_ms: 0, end_ms: NOW_MS * 2 }],
        quarantine: false,
    };
    let budgets = tollgate_core::budget::define::read(budgets).unwrap();
    Policy { version: "p1".into(), budgets: budgets.into_iter().map(entry).collect(), ..Policy::default() }
}

/// One budget in dollars and one in calls, both ample.
pub(crate) fn budgets() -> Value {
    json!([{"name": "all", "limit_usd": "1", "window": "day"},
           {"name": "calls", "limit_calls": 1_000_000, "window": "day"}])
}

/// Plugin configuration of a gateway with a collector.
pub(crate) fn configuration() -> Value {
    json!({"gateway": "edge", "collector": {"cluster": "collector", "authority": "tollgate"},
        "outbox_records": OUTBOX})
}

/// The same, read.
pub(crate) fn config() -> GatewayConfig {
    GatewayConfig::parse(configuration().to_string().as_bytes()).unwrap()
}

/// A gateway alone, with budgets of its own.
pub(crate) fn alone(budgets: &Value) -> Gateway {
    let json = json!({"gateway": "edge", "budgets": budgets, "prices": book()});
    let config = GatewayConfig::parse(json.to_string().as_bytes()).unwrap();
    Gateway::new(config, 1, Vec::new())
}

/// A gateway with a collector that it has heard of just now, under these budgets. Its VM has this id.
pub(crate) fn gateway(vm: u64, budgets: &Value) -> Gateway {
    let gateway = Gateway::new(config(), vm, Vec::new());
    let now_ms = simulated::with(|world| world.now_ms);
    gateway::adopt(&gateway, Some(&raw(&book())), Some(&raw(&policy(budgets))), now_ms);
    gateway.budgets.acknowledged(now_ms);
    gateway
}

/// Has everything granted that this gateway has asked for: so much in all on each counter.
pub(crate) fn grant_wanted(gateway: &Gateway, granted: i128) {
    let (wanted, _) = gateway.budgets.take_wanted();
    let grants: Vec<CounterGrant> =
        wanted.iter().map(|report| grant(report, Amount(granted), Want::Granted)).collect();
    gateway.budgets.granted(&grants, &wanted);
}

/// So much in all on this counter.
pub(crate) fn grant(report: &CounterReport, granted: Amount, want: Want) -> CounterGrant {
    let acknowledged = report.report.version;
    let returned = report.report.returned;
    let grant = Grant { granted, returned, limit: granted, acknowledged, want, ..Grant::default() };
    CounterGrant { key: report.key.clone(), grant }
}

/// A chat completion whose whole request is known.
pub(crate) fn chat(id: &str, model: &str) -> Call {
    let target = Target::recognise(None, "api.openai.com", "/v1/chat/completions");
    let mut call = Call::begin(id.into(), NOW_MS, target, "/v1/chat/completions");
    let attribution =
        Attribution { agent: "planner".into(), team: "search".into(), ..Attribution::default() };
    call.attribute(attribution, AttributionSource::SelfDeclared);
    call.request().watch_bounds();
    call.request().feed(request(model).as_bytes());
    call
}

/// A request for at most 50 tokens.
pub(crate) fn request(model: &str) -> String {
    json!({"model": model, "max_completion_tokens": 50, "messages": [{"role": "user", "content": "Why?"}]})
        .to_string()
}

/// The provider's answer to it: 20 tokens in, 10 out.
pub(crate) fn response(model: &str) -> String {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Because."}}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}})
    .to_string()
}

/// What such a call costs.
pub(crate) const COST: i128 = 20 * 10 + 10 * 100;

/// Every counter in shared data.
pub(crate) fn counters() -> Vec<Counter> {
    simulated::with(|world| {
        let slots = world.shared.iter().filter(|(key, _)| key.starts_with(b"tg/2/c/"));
        slots.filter_map(|(_, (bytes, _))| Counter::from_bytes(bytes)).collect()
    })
}

/// The counter of the budget with this name.
pub(crate) fn counter(budget: &str) -> Counter {
    let start = [budget.as_bytes(), b"\0"].concat();
    counters().into_iter().find(|counter| counter.key.starts_with(&start)).unwrap()
}

/// One VM, from Envoy's side.
pub(crate) struct Vm {
    /// Its root context.
    pub root: Root,
    contexts: u32,
    answered: usize,
}

impl Vm {
    /// Starts one with this configuration.
    pub(crate) fn start(configuration: &Value) -> Self {
        let json = configuration.to_string().into_bytes();
        simulated::with(|world| world.buffers.insert(Buffer::PluginConfiguration as u32, json.clone()));
        let mut root = Root::new(1);
        assert!(root.on_configure(json.len()), "{configuration} is accepted");
        Self { root, contexts: 1, answered: simulated::with(|world| world.posts.len()) }
    }

    /// Time passes until the next tick.
    pub(crate) fn tick(&mut self) {
        simulated::pass(250);
        self.root.on_tick();
    }

    /// Has the collector answer what it is asked, until nothing is asked any more.
    pub(crate) fn collect(&mut self, collector: &mut Collector) {
        while self.collect_one(collector) {}
    }

    /// Has the collector answer one request; false where there is none.
    pub(crate) fn collect_one(&mut self, collector: &mut Collector) -> bool {
        let Some(sent) = simulated::with(|world| world.posts.get(self.answered).cloned()) else {
            return false;
        };
        self.answered += 1;
        let (status, body) = collector.answer(&sent);
        simulated::with(|world| {
            world.headers.insert(Headers::CallResponse as u32, vec![(":status".into(), status.into())]);
            world.buffers.insert(Buffer::CallResponseBody as u32, body.clone());
        });
        let call = u32::try_from(self.answered).unwrap();
        self.root.on_http_call_response(call, 1, body.len(), 0);
        true
    }

    /// A stream begins: its headers, then its body.
    pub(crate) fn request(&mut self, headers: &[(&str, &str)], body: &[u8]) -> (HttpCall, Action) {
        self.contexts += 1;
        let mut call = HttpCall::new(self.root.gateway(), self.contexts);
        set_headers(Headers::Request, headers);
        let action = call.on_http_request_headers(headers.len(), body.is_empty());
        if body.is_empty() || action == Action::Pause && !simulated::with(|world| world.answers.is_empty()) {
            return (call, action);
        }
        let action = request_body(&mut call, body, true);
        (call, action)
    }

    /// A chat completion is asked for.
    pub(crate) fn chat(&mut self) -> (HttpCall, Action) {
        let body = request(MODEL);
        self.request(&chat_headers(&body.len().to_string()), body.as_bytes())
    }

    /// A session over a websocket is asked for.
    pub(crate) fn upgrade(&mut self, host: &str, path: &str) -> (HttpCall, Action) {
        let headers = [
            (":method", "GET"),
            (":path", path),
            (":authority", host),
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-extensions", "permessage-deflate"),
        ];
        self.request(&headers, b"")
    }

    /// What its calls share.
    pub(crate) fn gateway(&self) -> Rc<Gateway> {
        self.root.gateway()
    }
}

/// Headers of a chat completion whose body has this length.
pub(crate) fn chat_headers(length: &str) -> [(&str, &str); 6] {
    [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        (":authority", "api.openai.com"),
        ("content-type", "application/json"),
        ("content-length", length),
        ("x-tollgate-agent", "planner"),
    ]
}

/// Sets what a header map has.
pub(crate) fn set_headers(map: Headers, headers: &[(&str, &str)]) {
    let owned = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    let owned = owned.collect();
    simulated::with(|world| world.headers.insert(map as u32, owned));
}

/// A piece of a request's body comes.
pub(crate) fn request_body(call: &mut HttpCall, body: &[u8], is_last: bool) -> Action {
    simulated::with(|world| world.buffers.insert(Buffer::RequestBody as u32, body.to_vec()));
    call.on_http_request_body(body.len(), is_last)
}

/// The provider answers with 200 and this body.
pub(crate) fn answer(call: &mut HttpCall, body: &[u8]) {
    set_headers(Headers::Response, &[(":status", "200"), ("content-type", "application/json")]);
    call.on_http_response_headers(2, false);
    simulated::with(|world| world.buffers.insert(Buffer::ResponseBody as u32, body.to_vec()));
    call.on_http_response_body(body.len(), true);
}

/// What of the request's piece goes on to the provider.
pub(crate) fn in_request() -> Vec<u8> {
    simulated::with(|world| world.buffers.get(&(Buffer::RequestBody as u32)).cloned().unwrap_or_default())
}

/// What of the answer's piece goes on to the caller.
pub(crate) fn in_response() -> Vec<u8> {
    simulated::with(|world| world.buffers.get(&(Buffer::ResponseBody as u32)).cloned().unwrap_or_default())
}

/// The provider takes a session.
pub(crate) fn switches(session: &mut HttpCall) {
    set_headers(Headers::Response, &[(":status", "101")]);
    session.on_http_response_headers(1, false);
}

/// The caller of a session says these messages, in one piece: what becomes of it, and its bytes.
pub(crate) fn says(session: &mut HttpCall, messages: &[Value]) -> (Action, Vec<u8>) {
    let bytes: Vec<u8> = messages.iter().flat_map(|message| websocket::text(&message.to_string())).collect();
    (request_body(session, &bytes, false), bytes)
}

/// The provider of a session says these messages, in one piece: what its caller gets.
pub(crate) fn hears(session: &mut HttpCall, messages: &[Value]) -> Vec<u8> {
    let bytes: Vec<u8> = messages.iter().flat_map(|message| websocket::text(&message.to_string())).collect();
    simulated::with(|world| world.buffers.insert(Buffer::ResponseBody as u32, bytes.clone()));
    session.on_http_response_body(bytes.len(), false);
    in_response()
}

/// The stream ends.
pub(crate) fn end(call: &mut HttpCall) {
    call.on_log();
    call.on_done();
}

/// A collector.
#[derive(Clone)]
pub(crate) struct Collector {
    /// The policy that it hands out.
    pub policy: Policy,
    /// What it grants on each counter, in all.
    pub granted: i128,
    /// The records that it has; the first with an id stays.
    pub records: BTreeMap<String, UsageRecord>,
    /// Records that came again.
    pub duplicates: u64,
    /// Totals of records that no outbox had room for.
    pub folded: Vec<Value>,
    /// What it was sent.
    pub requests: Vec<SyncRequest>,
    /// It cannot be reached.
    pub is_away: bool,
}

impl Collector {
    /// One that has these budgets.
    pub(crate) fn new(budgets: &Value) -> Self {
        Self {
            policy: policy(budgets),
            granted: AMPLE,
            records: BTreeMap::new(),
            duplicates: 0,
            folded: Vec::new(),
            requests: Vec::new(),
            is_away: false,
        }
    }

    fn answer(&mut self, sent: &Sent) -> (&'static str, Vec<u8>) {
        if self.is_away {
            return ("503", b"upstream connect error".to_vec());
        }
        let request: SyncRequest = serde_json::from_slice(&sent.body).unwrap();
        let duplicates = self.duplicates;
        for record in &request.records {
            self.store(record.get());
        }
        let grants = request.counters.iter();
        let want = |one: &CounterReport| match one.report.used.plus(one.report.want).0 > self.granted {
            true if one.report.want > Amount::ZERO => Want::Exhausted,
            _ => Want::Granted,
        };
        let answer = SyncAnswer {
            protocol: PROTOCOL,
            now_ms: simulated::with(|world| world.now_ms),
            ack: request.sequence,
            duplicates: self.duplicates - duplicates,
            prices: request.price_version.is_none().then(|| raw(&book())),
            policy: (request.policy_version.as_ref() != Some(&self.policy.version))
                .then(|| raw(&self.policy)),
            grants: grants.map(|report| grant(report, Amount(self.granted), want(report))).collect(),
            ..SyncAnswer::default()
        };
        self.requests.push(request);
        ("200", serde_json::to_vec(&answer).unwrap())
    }

    fn store(&mut self, json: &str) {
        let value: Value = serde_json::from_str(json).unwrap();
        if value.get("folded").is_some() {
            self.folded.push(value);
            return;
        }
        let record: UsageRecord = serde_json::from_value(value).unwrap();
        match self.records.entry(record.head.id.clone()) {
            std::collections::btree_map::Entry::Occupied(_) => self.duplicates += 1,
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(record);
            }
        }
    }
}

//! Every answer of a running collector against its schema in `/openapi.json`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Map, Value, json};
use support::process::{Process, tollgate};
use support::smtp::Smtp;
use support::{Answer, TOKEN, message, receiver, record};
use tempfile::TempDir;
use tollgate_collector::model::anomaly::{Driver, Episode, Finding, Kind};
use tollgate_collector::store::Store;

/// A collector with something of all that it answers, and its description.
struct Checked {
    collector: Process,
    admin: String,
    document: Value,
    schemas: Schemas,
    compiler: Compiler,
    /// Method and path of what was asked.
    asked: BTreeSet<(String, String)>,
    dir: TempDir,
}

impl Checked {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        unusual(&dir.path().join("data"));
        let config = CONFIG.replace("PORT", &receiver().to_string()) + &Smtp::start(250).channel("mail");
        let collector = Process::launch(dir.path(), &config, tollgate());
        let admin = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap().trim().to_owned();
        let mut document = collector.client.get("/openapi.json").json();
        close(&mut document);
        let mut compiler = Compiler::new();
        compiler.add_resource(DOCUMENT, document.clone()).unwrap();
        let (schemas, asked) = (Schemas::new(), BTreeSet::new());
        Self { collector, admin, document, schemas, compiler, asked, dir }
    }

    /// Asks, and checks the answer: its status, itself, and that its schema sees what is missing or too much.
    fn check(&mut self, method: &str, route: &str, path: &str, body: Option<&Value>, status: u16) -> Value {
        let answer = self.ask(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        let (path_key, json) = (escaped(route), escaped(JSON));
        let place = format!("/paths/{path_key}/{method}/responses/{status}/content/{json}/schema");
        let schema = self.document.pointer(&place).cloned();
        let schema = schema.unwrap_or_else(|| panic!("{place} is not described"));
        let location = format!("{DOCUMENT}#{}", place.replace('{', "%7B").replace('}', "%7D"));
        let index = self.compiler.compile(&location, &mut self.schemas).unwrap();
        let answer = answer.json();
        if let Err(error) = self.schemas.validate(&answer, index) {
            panic!("{method} {path}: {error:#}\n{answer:#}");
        }
        if route != "/openapi.json" {
            self.sees_what_is_wrong(&answer, index, &schema, path);
        }
        self.asked.insert((method.to_owned(), route.to_owned()));
        answer
    }

    /// An answer with a member too many, or without one that is always there, does not pass; nor does a
    /// list of which that holds for the first row.
    fn sees_what_is_wrong(&self, answer: &Value, index: SchemaIndex, schema: &Value, path: &str) {
        let schema = self.resolved(schema);
        let mut objects = vec![("", schema)];
        if answer["rows"][0].is_object() {
            objects.push(("/rows/0", self.resolved(&schema["properties"]["rows"]["items"])));
        }
        for (place, schema) in objects {
            let passes = |change: &dyn Fn(&mut Map<String, Value>)| {
                let mut answer = answer.clone();
                change(answer.pointer_mut(place).unwrap().as_object_mut().unwrap());
                self.schemas.validate(&answer, index).is_ok()
            };
            let undeclared = |object: &mut Map<String, Value>| {
                object.insert("undeclared".into(), json!(1));
            };
            assert!(!passes(&undeclared), "{path}{place}: a member that is not declared passes");
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            assert!(!required.is_empty(), "{path}{place}: nothing is required of it");
            for name in required.iter().map(|name| name.as_str().unwrap()) {
                let without = |object: &mut Map<String, Value>| {
                    object.remove(name);
                };
                assert!(!passes(&without), "{path}{place}: it passes without `{name}`");
            }
        }
    }

    /// A `GET` without variable parts.
    fn get(&mut self, path: &str) -> Value {
        let route = path.split('?').next().unwrap().to_owned();
        self.check("get", &route, path, None, 200)
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(place) => self.document.pointer(place.strip_prefix('#').unwrap()).unwrap(),
            None => schema,
        }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = if path == "/v1/sync" { TOKEN } else { self.admin.as_str() };
        let text = match body {
            Some(Value::String(lines)) => lines.clone(),
            Some(body) => body.to_string(),
            None => String::new(),
        };
        self.collector.client.send(method, path, token, &text)
    }

    /// Asks for a list until it has a row.
    fn until_there_is_a_row(&self, path: &str) {
        let begun = Instant::now();
        while self.ask("get", path, None).json()["rows"].as_array().is_none_or(Vec::is_empty) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{path} has no rows");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What is described and was not asked for.
    fn not_asked(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let is_json = operation["responses"]["200"]["content"][JSON].is_object();
                if is_json && !self.asked.contains(&(method.clone(), path.clone())) {
                    left.push(format!("{method} {path}"));
                }
            }
        }
        left
    }
}

/// Allows no member that is not declared, which clients are told to pass over.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object) {
                members.entry("additionalProperties").or_insert(json!(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(all) => all.iter_mut().for_each(close),
        _ => {}
    }
}

/// A part of a JSON pointer within an address.
fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

/// Writes something unusual, which takes weeks to be found.
fn unusual(data: &Path) {
    std::fs::create_dir_all(data).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let finding = Finding {
        kind: Kind::NewModel,
        window_minutes: 60,
        value: 3.0,
        expected: 0.0,
        score: 0.5,
        detail: "gpt-y".into(),
    };
    let driver = Driver { dimension: "feature".into(), value: "chat".into(), percent: 90 };
    let (start_ms, last_ms) = (now_ms() - 60_000, now_ms());
    let episode =
        Episode { seq: 0, agent: "bot-1".into(), start_ms, last_ms, finding, drivers: vec![driver] };
    runtime.block_on(Store::open(data).unwrap().put_episode(None, episode)).unwrap();
}

fn now_ms() -> u64 {
    u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// Calls of each kind that answers tell apart, of a time `ago_ms` ago.
fn records(ago_ms: u64) -> Vec<Value> {
    let mut records: Vec<Value> = (0..20).map(record).collect();
    for record in &mut records {
        record["time_ms"] = json!(now_ms() - ago_ms);
    }
    // By the word of a provider, which is far from the book's.
    records[1]["provider_cost_usd"] = json!("0.000200000000");
    records[1]["cost_usd"] = json!("0.000200000000");
    records[1]["cost_source"] = json!("provider");
    records[1]["notes"] = json!(["no_usage"]);
    records[1]["price_basis"] =
        json!([{"model": "gpt-x", "step": "exact", "facts": {"service_tier": "flex"}, "variant": "flex"}]);
    // At twice the rate of the book that holds now.
    records[2]["response_model"] = json!("gpt-5");
    records[2]["request_model"] = json!("gpt-5");
    records[2]["charges"][0] = json!({
        "model": "gpt-5", "kind": "input", "quantity": 102, "rate": "0.000002500000", "cost_usd": "0.000255000000",
    });
    records[2]["cost_usd"] = json!("0.000255000000");
    // Without a price.
    records[4]["response_model"] = json!("mystery");
    records[4]["charges"] = json!([]);
    records[4]["cost_usd"] = json!("0.000000000000");
    records[4]["cost_status"] = json!("unpriced");
    // With all that is told of few.
    records[3]["service_tier"] = json!("flex");
    records[3]["usage"]["cache_write_tokens"] = json!(2);
    records[3]["usage"]["cache_write_by_ttl"] = json!({"5m": 2});
    records[3]["shares"] = json!([{"model": "gpt-x", "usage": {"input_tokens": 103}}]);
    records[3]["work"] = json!({"started": ["resp_1"]});
    records[3]["attempts"] = json!(2);
    records[3]["key_id"] = json!("0123456789abcdef");
    records
}

/// A report of a gateway that spent more than the budget has.
fn passed(answer: &Value) -> Value {
    let budget = &answer["policy"]["budgets"][0];
    let key = json!({
        "budget": "support", "generation": budget["generation"], "value": "", "span": budget["spans"][0],
    });
    let report = json!({
        "granted": "0", "returned": "0", "used": "2000000000", "held": "0", "kept": "0", "in_flight": 0, "denied": 0,
        "version": 1, "want": "0",
    });
    let mut message = message(2, vec![]);
    message["counters"] = json!([{"key": key, "report": report}]);
    message
}

const DOCUMENT: &str = "http://tollgate.test/openapi.json";
const JSON: &str = "application/json";
const CONFIG: &str = "
[[chargeback.shared]]
name = 'one of three'
agent = 'bot-1'
split = 'even'

[[reports]]
name = 'all'
every = 'day'
channel = 'mail'

[[alerts]]
name = 'spend'
when = 'spend'
window = 'month'
thresholds = ['0.0001']
channels = ['hook']
[channels.hook]
type = 'webhook'
url = 'http://127.0.0.1:PORT/hook'
secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
allow_private = true
[[budgets]]
name = 'support'
scope = { team = 'support', tags = { tier = 'gold' } }
limit_usd = '0.001'
carry_over_usd = '0.0001'
ceiling_usd = '1.00'
window = 'month'
action = 'warn'
";

#[test]
fn every_answer_is_as_it_is_described_and_the_command_line_reads_it() {
    let mut all = Checked::start();
    let answer = all.check("post", "/v1/sync", "/v1/sync", Some(&message(1, records(0))), 200);
    assert_eq!(answer["stored"], 20, "{answer}");
    let answer = all.check("post", "/v1/sync", "/v1/sync", Some(&passed(&answer)), 200);
    assert_eq!(answer["grants"].as_array().unwrap().len(), 1, "{answer}");
    of_the_collector(&mut all);
    of_records(&mut all);
    of_budgets(&mut all);
    of_rules(&mut all);
    of_alerts(&mut all);
    of_reports(&mut all);
    of_corrections(&mut all);
    of_the_trail(&mut all);
    assert_eq!(all.not_asked(), [""; 0], "these are described, and their answers are not looked at");
    commands_read(&all);
}

fn rows(answer: &Value) -> usize {
    answer["rows"].as_array().unwrap().len()
}

fn of_the_collector(all: &mut Checked) {
    all.get("/healthz");
    all.get("/readyz");
    all.get("/openapi.json");
    all.check("get", "/api/v1/summary", "/api/v1/summary?by=nothing", None, 400);
    let question = json!({
        "provider": "openai", "model": "gpt-5", "output_tokens": 7,
        "body": {"model": "gpt-5", "messages": [{"role": "user", "content": "hello"}]},
    });
    let answer = all.check("post", "/api/v1/estimate", "/api/v1/estimate", Some(&question), 200);
    assert!(answer["cost_usd"].is_string() && answer["worst"]["cost_usd"].is_string(), "{answer}");
    let plan = json!({
        "models": ["gpt-4o", "gpt-4o-mini"], "prompt": "hello", "output_tokens": 7, "calls": "10/day", "cache_share": "0.5",
    });
    all.check("post", "/api/v1/estimate/plan", "/api/v1/estimate/plan", Some(&plan), 200);
    let saved = all.check("put", "/api/v1/plans/{agent}", "/api/v1/plans/bot-1", Some(&plan), 200);
    assert_eq!((&saved["plan"]["prompt"], &saved["plan"]["prompt_tokens"]), (&json!(null), &json!(1)));
    assert_eq!(rows(&all.get("/api/v1/plans")), 1);
    all.check("get", "/api/v1/plans/{agent}/check", "/api/v1/plans/bot-1/check", None, 200);
    all.check("get", "/api/v1/plans/{agent}/check", "/api/v1/plans/nobody/check", None, 404);
}

fn of_records(all: &mut Checked) {
    for by in [
        "",
        "day,team,agent",
        "hour,model,key_id,service_tier",
        "week,agent&top=1&compare=previous",
        "month,agent&columns=cost&sort=-cost&not=agent:nobody",
        "agent&trend=true&compare=previous",
    ] {
        let answer = all.get(&format!("/api/v1/summary?by={by}"));
        assert_eq!((answer["total"]["calls"].as_u64(), rows(&answer) > 0), (Some(20), true), "{answer}");
    }
    assert_eq!(rows(&all.get("/api/v1/runs?since=4w")), 1);
    all.check("get", "/api/v1/runs/{run}", "/api/v1/runs/r-1", None, 200);
    all.check("get", "/api/v1/runs/{run}", "/api/v1/runs/none", None, 404);
    assert_eq!(rows(&all.get("/api/v1/prompts?since=4w")), 3);
    assert!(rows(&all.get("/api/v1/what-if?since=4w&to_model=gpt-4o-mini")) >= 3);
    assert!(all.get("/api/v1/summary?by=agent&agent=nobody")["hint"].is_string());
    for asked in ["", "by=agent,model", "by=agent&top=1", "by=&with=2026-01-01..2026-02-01", "month=2026-01"]
    {
        all.get(&format!("/api/v1/compare?{asked}"));
    }
    all.check("get", "/api/v1/compare", "/api/v1/compare?by=day", None, 400);
    for asked in ["", "days=3&from=2026-01-01&agent=bot-1"] {
        assert!(rows(&all.get(&format!("/api/v1/baseline?{asked}"))) > 0, "{asked}");
    }
    assert_eq!(rows(&all.get("/api/v1/records?limit=50")), 20);
    assert!(all.get("/api/v1/records?limit=5")["next_cursor"].is_string());
    for number in 0..4 {
        let id = record(number)["id"].as_str().unwrap().to_owned();
        all.check("get", "/api/v1/records/{id}", &format!("/api/v1/records/{id}"), None, 200);
    }
    all.check("get", "/api/v1/records/{id}", "/api/v1/records/none", None, 404);
    // One that is new, one that is known, and one that cannot be.
    let (mut new, mut broken) = (record(30), record(31));
    new["time_ms"] = json!(now_ms());
    broken["cost_usd"] = json!("-1");
    let lines = json!(format!("{new}\n{new}\n{broken}\n"));
    let answer = all.check("post", "/api/v1/records", "/api/v1/records", Some(&lines), 200);
    let counts = ["received", "stored", "duplicates"].map(|name| answer[name].as_u64().unwrap());
    assert_eq!((counts, answer["rejected"][0]["index"].as_u64()), ([3, 1, 1], Some(2)), "{answer}");
}

fn of_budgets(all: &mut Checked) {
    let route = "/api/v1/budgets/{name}";
    let path = "/api/v1/budgets/agents";
    let budget = json!({
        "limit_tokens": 500, "window": "rolling 24h", "each": "agent", "scope": {"team": ["support", "b*"]},
        "default_output_tokens": 50, "status": 402, "message": "no",
    });
    all.check("put", route, path, Some(&budget), 200);
    all.check("put", route, path, Some(&json!({"limit_usd": 1})), 400);
    all.check("get", route, path, None, 200);
    all.check("get", route, "/api/v1/budgets/support", None, 200);
    assert!(rows(&all.get("/api/v1/budgets")) > 1);
    let top_up = json!({"amount": "50", "value": "bot-1"});
    let answer = all.check("post", &format!("{route}/top-up"), &format!("{path}/top-up"), Some(&top_up), 200);
    assert_eq!(answer["limit"], 550);
    let kept = "/api/v1/budgets/support/release-kept";
    let answer = all.check("post", &format!("{route}/release-kept"), kept, None, 200);
    assert_eq!(answer["released"], "0.000000000000");
    let release = "/api/v1/budgets/release/one";
    all.check("post", "/api/v1/budgets/release/{instance}", release, None, 409);
    let forced = format!("{release}?force=true");
    all.check("post", "/api/v1/budgets/release/{instance}", &forced, None, 200);
    let counters = all.get("/api/v1/budgets");
    let gateways: Vec<&Value> = counters["rows"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row["gateways"].as_array().unwrap())
        .collect();
    assert!(!gateways.is_empty(), "{counters}");
    all.check("delete", route, path, None, 200);
    all.check("delete", route, path, None, 404);
}

fn of_rules(all: &mut Checked) {
    let (route, path) = ("/api/v1/agents/{name}", "/api/v1/agents/bot-1");
    let agent = json!({
        "team": "support", "owner": "dana", "environments": ["prod*"], "models": ["gpt-5*"], "status": "proposed",
        "review": "2099-01-31", "expires": "2099-12-31",
    });
    let answer = all.check("put", route, path, Some(&agent), 200);
    assert_eq!((&answer["agent"], &answer["result"]), (&json!("bot-1"), &json!("created")));
    all.check("put", route, path, Some(&json!({"team": "a b"})), 400);
    let several = json!({"agents": [{"name": "bot-1", "team": "support", "owner": "dana", "models": ["gpt-5"]}, {"name": "idle"}]});
    let answer = all.check("put", "/api/v1/agents", "/api/v1/agents", Some(&several), 200);
    assert_eq!((rows(&answer), &answer["rows"][0]["result"]), (2, &json!("changed")));
    let answer = all.check("get", route, path, None, 200);
    assert_eq!(
        (&answer["status"], &answer["registered"]["approved_by"]),
        (&json!("approved"), &json!("admin"))
    );
    all.check("get", route, "/api/v1/agents/nobody", None, 404);
    assert!(rows(&all.get("/api/v1/agents")) >= 4);
    assert_eq!(rows(&all.get("/api/v1/agents?status=approved")), 2);
    assert_eq!(rows(&all.get("/api/v1/allow")), 1);
    let answer = all.get("/api/v1/allow/try?name=agent:bot-1");
    assert!(answer["refused_calls"].as_u64() > Some(0), "{answer}");
    all.check("get", "/api/v1/allow/try", "/api/v1/allow/try?name=none", None, 404);
    all.check("get", "/api/v1/allow/try", "/api/v1/allow/try", None, 400);
    let call = json!({"agent": "bot-1", "environment": "production", "provider": "openai", "model": "gpt-4o", "prompt": "x"});
    let answer = all.check("post", "/api/v1/explain", "/api/v1/explain", Some(&call), 200);
    assert_eq!(
        (&answer["passes"], &answer["refused_by"]),
        (&json!(false), &json!("agent:bot-1")),
        "{answer}"
    );
    let path = "/api/v1/explain?call=%7B%22provider%22%3A%22openai%22%7D";
    let answer = all.check("get", "/api/v1/explain", path, None, 200);
    assert_eq!(answer["passes"], true, "{answer}");
    all.check("get", "/api/v1/explain", "/api/v1/explain", None, 400);
    all.check("post", "/api/v1/explain", "/api/v1/explain", Some(&json!({"modle": 1})), 400);
}

fn of_alerts(all: &mut Checked) {
    for path in ["/api/v1/alerts", "/api/v1/reviews", "/api/v1/anomalies"] {
        all.until_there_is_a_row(path);
        all.get(path);
    }
    // New agents make alerts too, which no channel hears.
    let begun = Instant::now();
    let is_told = |alerts: &Value| {
        alerts["rows"].as_array().unwrap().iter().any(|row| row["deliveries"][0].is_object())
    };
    while !is_told(&all.get("/api/v1/alerts?state=open")) {
        assert!(begun.elapsed() < Duration::from_secs(30), "no alert is delivered");
        std::thread::sleep(Duration::from_millis(50));
    }
    let review = all.get("/api/v1/reviews")["rows"][0]["id"].to_string();
    let change = json!({"owner": "dana", "note": "a load test", "closed": true});
    let path = format!("/api/v1/reviews/{review}");
    let answer = all.check("put", "/api/v1/reviews/{id}", &path, Some(&change), 200);
    assert!(answer["closed"].is_string() && answer["closed_by"].is_string(), "{answer}");
    all.check("post", "/api/v1/alerts/test/{channel}", "/api/v1/alerts/test/hook", None, 200);
    all.check("post", "/api/v1/alerts/test/{channel}", "/api/v1/alerts/test/none", None, 404);
}

fn of_reports(all: &mut Checked) {
    let (preview, send) = ("/api/v1/reports/{name}/preview", "/api/v1/reports/{name}/send");
    // One of yesterday, one of the day before.
    let records = [86_400_000, 172_800_000].iter().zip(0..).flat_map(|(ago_ms, day)| {
        records(*ago_ms).into_iter().take(1).zip(500 + day * 100..).map(|(mut one, number)| {
            one["id"] = record(number)["id"].clone();
            one
        })
    });
    all.check("post", "/v1/sync", "/v1/sync", Some(&message(9, records.collect())), 200);
    let answer = all.check("get", preview, "/api/v1/reports/all/preview", None, 200);
    assert!(answer["drivers"].is_array() && answer["tops"][3]["rows"][0].is_object(), "{answer}");
    assert_eq!(answer["costs"].as_array().unwrap().len(), 24);
    all.check("get", preview, "/api/v1/reports/all/preview?period=2026-W46", None, 400);
    all.check("get", preview, "/api/v1/reports/al/preview", None, 404);
    all.check("post", send, "/api/v1/reports/all/send", None, 200);
    all.check("post", send, "/api/v1/reports/all/send", None, 409);
    all.check("post", send, "/api/v1/reports/all/send?again=maybe", None, 400);
    all.check("post", send, "/api/v1/reports/al/send", None, 404);
    let answer = all.get("/api/v1/reports");
    assert_eq!(answer["rows"][0]["mails"][0]["state"], "sent", "{answer}");
}

fn of_corrections(all: &mut Checked) {
    let book = all.get("/api/v1/prices?history=1");
    let is_there = |pointer: &str| {
        let mut prices =
            book["rows"].as_array().unwrap().iter().flat_map(|row| row["prices"].as_array().unwrap());
        prices.any(|price| price.pointer(pointer).is_some())
    };
    for pointer in ["/tiers/0", "/variants/0", "/note", "/from", "/until"] {
        assert!(is_there(pointer), "no price of the book has {pointer}");
    }
    assert!(rows(&all.get("/api/v1/prices/missing")) > 0);
    assert!(rows(&all.get("/api/v1/prices/drift")) > 0);
    assert!(all.get("/api/v1/exports/days")["records"].is_object());
    let newest = all.get("/api/v1/records?limit=1")["rows"][0]["time"].clone();
    let month = format!("/api/v1/chargeback?month={}", &newest.as_str().unwrap()[..7]);
    let statements = all.get(&month);
    assert!(statements["statements"][0]["lines"][0].is_object() && statements["shared"][0].is_object());
    all.check("get", "/api/v1/chargeback", &format!("{month}&team=nobody"), None, 400);
    for method in ["get", "post"] {
        let answer = all.check(method, "/api/v1/reprice", "/api/v1/reprice?since=4w", None, 200);
        assert!(rows(&answer) > 0, "{answer}");
    }
    let bill = "start_time,amount_value,line_item\n1795132800,1000,gpt-x\n";
    for (query, status) in
        [("dry_run=true&max_gap=1", 200), ("book=true&reason=a%20bill", 200), ("book=true", 400)]
    {
        let path = format!("/api/v1/reconcile?{query}");
        let answer = all.check("post", "/api/v1/reconcile", &path, Some(&json!(bill)), status);
        assert!(status == 400 || rows(&answer) > 0, "{answer}");
    }
    let closed = "/api/v1/months/2025-10";
    all.check("put", "/api/v1/months/{month}", closed, None, 200);
    all.check("put", "/api/v1/months/{month}", closed, None, 409);
    assert_eq!(rows(&all.get("/api/v1/months")), 1);
    // One of a closed month, which is booked in the open one.
    let mut late = record(40);
    late["time_ms"] = json!(1_761_000_000_000_u64);
    all.check("post", "/api/v1/records", "/api/v1/records", Some(&json!(late.to_string())), 200);
    let mut seen = [0, 0, 0];
    for number in [0, 1, 2, 40] {
        let id = record(number)["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/records/{id}/explain");
        let answer = all.check("get", "/api/v1/records/{id}/explain", &path, None, 200);
        for (seen, name) in seen.iter_mut().zip(["rows", "lines", "adjustments"]) {
            *seen += answer[name].as_array().unwrap().len();
        }
    }
    assert!(seen.iter().all(|seen| *seen > 0), "{seen:?}");
}

fn of_the_trail(all: &mut Checked) {
    let answer = all.get("/api/v1/gateways");
    let row = &answer["rows"][0];
    assert_eq!((rows(&answer), &row["reports"], &row["envoys"]), (1, &json!(true), &json!(1)), "{answer}");
    let answer = all.get("/api/v1/audit?limit=3");
    assert!(answer["next_cursor"].is_string() && rows(&answer) == 3, "{answer}");
    all.get("/api/v1/audit");
    assert_eq!(all.get("/api/v1/accounts")["balanced"], true);
    all.get("/api/v1/accounts/recount");
    // The same in the words of Prometheus.
    let metrics = all.ask("get", "/metrics", None).text;
    for start in [
        "tollgate_spend_usd_total{team=\"support\",agent=\"bot-1\"} 0.0",
        "tollgate_spend_calls_total{team=\"support\",agent=\"bot-1\"} ",
        "tollgate_budget_limit{budget=\"support\",value=\"\",unit=\"dollars\"} 0.001",
        "tollgate_budget_used{budget=\"support\",value=\"\",unit=\"dollars\"} 0.00",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(start)), "no `{start}` in\n{metrics}");
    }
}

/// Each command that reads an answer makes a table of it.
fn commands_read(all: &Checked) {
    let record = record(2)["id"].as_str().unwrap().to_owned();
    let body = all.dir.path().join("body.json");
    std::fs::write(&body, r#"{"model": "gpt-5", "messages": []}"#).unwrap();
    for (command, expected) in [
        (&["summary", "--by", "day,agent"] as &[&str], "bot-1"),
        (&["runs", "--since", "60w"], "r-1"),
        (&["runs", "show", "r-1"], "bot-1"),
        (&["prompts", "--since", "4w"], "bot-1"),
        (&["what-if", "--model", "gpt-4o-mini", "--since", "4w"], "gpt-4o-mini"),
        (&["what-if", "--all", "--agent", "nobody"], "with agent `nobody`"),
        (&["compare"], "what explains most of the change"),
        (&["compare", "--by", "agent,model"], "new, 1 call"),
        (&["baseline"], "no whole baseline yet"),
        (&["top", "--once", "--every", "1"], "support"),
        (&["records", "--wide"], "gpt-x-2026-01-01"),
        (&["records", "--explain", &record], "adjustment (reprice)"),
        (&["explain", &record], "adjustment (reprice)"),
        (&["budgets"], "support"),
        (&["budgets", "suggest"], "limit_usd"),
        (&["budgets", "suggest", "--from-baseline"], "limit_usd"),
        (&["agents", "--wide"], "dana"),
        (&["agents"], "approved"),
        (&["agents", "show", "bot-1"], "$"),
        (&["allow"], "agent:bot-1"),
        (&["allow", "try", "agent:bot-1"], "gpt-x"),
        (&["alerts", "--wide"], "hook opened delivered"),
        (&["alerts", "reviews", "--wide"], "a load test"),
        (&["reports", "list", "--wide"], "all calls"),
        (&["reports", "preview", "all"], "Cost of LLM calls: all"),
        (&["anomalies"], "new_model"),
        (&["audit", "list", "--wide"], "records.reprice"),
        (&["audit", "verify"], "the trail is whole"),
        (&["prices", "list"], "gpt-5"),
        (&["prices", "show", "openai", "gpt-5"], "plain: "),
        (&["prices", "missing"], "mystery"),
        (&["prices", "drift", "--wide"], "gpt-x"),
        (&["reprice", "--since", "4w", "--dry-run"], "nothing changes by price book"),
        (&["estimate", "--provider", "openai", body.to_str().unwrap()], "at most"),
        (&["estimate", "--check", "bot-1"], "input tokens per call"),
        (
            &[
                "estimate",
                "--model",
                "gpt-4o,gpt-5",
                "--prompt-tokens",
                "9",
                "--output-tokens",
                "1",
                "--calls",
                "1/day",
            ],
            "$ a month",
        ),
    ] {
        let shown = all.collector.asked(command);
        assert!(shown.contains(expected), "{command:?}: no `{expected}` in\n{shown}");
        // A pipe has 80 columns.
        let narrow: Vec<&str> = command.iter().copied().filter(|argument| *argument != "--wide").collect();
        let narrow = all.collector.asked(&narrow);
        let is_text = command.ends_with(&["verify"]);
        let wide = narrow.lines().find(|line| line.chars().count() > 80 && !is_text);
        assert_eq!(wide, None, "{command:?}\n{narrow}");
    }
}

//! Agents, rules and lists of models: from the configuration and by command to what gateways get.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::process::{Process, tollgate};
use support::{message, record};

const CONFIG: &str = "
[[budgets]]
name = 'strangers'
limit_usd = '5'
window = 'day'
[[budgets]]
name = 'all'
limit_usd = '5'
window = 'day'
[[agents]]
name = 'bot-0'
team = 'support'
models = ['gpt-5*']
[[unknown_agents]]
environment = '*'
action = 'quarantine'
budget = 'strangers'
[[require]]
environment = 'production'
fields = ['agent', 'run']
[[allow]]
name = 'small'
scope = { team = 'support', environment = 'prod*' }
models = ['gpt-5*', '!gpt-5-pro']
shadow = true
[[limits]]
name = 'cheap'
max_call_usd = '0.50'
";

struct Fixture {
    dir: tempfile::TempDir,
    collector: Process,
    token: String,
    sequence: u64,
}

impl Fixture {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let collector = Process::with(dir.path(), CONFIG);
        let token = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap().trim().to_owned();
        Self { dir, collector, token, sequence: 0 }
    }

    /// Syncs as a gateway that has this version of the policy; gives the policy, null where it is the same.
    fn sync(&mut self, version: Option<&Value>, records: Vec<Value>) -> Value {
        self.sequence += 1;
        let mut message = message(self.sequence, records);
        if let Some(version) = version {
            message["policy_version"] = version.clone();
        }
        self.collector.client.sync(&message).json()["policy"].clone()
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.collector.ask(&[arguments, &["--token", &self.token]].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn agent(&self, name: &str) -> Value {
        self.collector.client.get(&format!("/api/v1/agents/{name}")).json()
    }
}

fn records() -> Vec<Value> {
    let now = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let mut records: Vec<Value> = (0..12).map(record).collect();
    for (record, n) in records.iter_mut().zip(0..) {
        record["time_ms"] = json!(now - n * 1_000);
    }
    records[3]["request_model"] = json!("gpt-5-mini");
    records[4]["request_model"] = json!("gpt-5-pro");
    records[5]["environment"] = json!("staging");
    records
}

/// An agent as gateways are told of it.
fn agent_of(policy: &Value, name: &str) -> Value {
    let agents = policy["rules"]["agents"].as_array().unwrap();
    agents.iter().find(|agent| agent["name"] == name).cloned().unwrap_or_default()
}

#[test]
fn agents_are_registered_proposed_approved_and_told_to_gateways() {
    let mut fixture = Fixture::start();
    // The collector watches for new agents from its first look on.
    let policy = fixture.sync(None, records());
    let rules = &policy["rules"];
    assert_eq!(rules["agents"], json!([{"name": "bot-0", "team": "support"}]), "{policy}");
    let unknown = json!({"environment": "*", "action": "quarantine", "budget": "strangers"});
    assert_eq!(rules["unknown"][0], unknown);
    assert_eq!(rules["require"][0]["fields"], json!(["agent", "run"]));
    let names: Vec<&str> =
        rules["allow"].as_array().unwrap().iter().map(|list| list["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["small", "agent:bot-0"]);
    assert_eq!(rules["limits"][0]["name"], "cheap");
    let quarantine = |name: &str| {
        let budgets = policy["budgets"].as_array().unwrap();
        budgets.iter().find(|one| one["budget"]["name"] == name).unwrap()["quarantine"].clone()
    };
    assert_eq!((quarantine("strangers"), quarantine("all")), (json!(true), Value::Null));
    assert_eq!(fixture.sync(Some(&policy["version"]), vec![]), Value::Null);

    // What was spent before counts on the budget of all, and not on that of unknown agents.
    let used = |name: &str| {
        let rows = fixture.collector.client.get("/api/v1/budgets").json();
        let row = rows["rows"].as_array().unwrap().iter().find(|row| row["budget"] == name).unwrap().clone();
        row["used"].as_str().unwrap().to_owned()
    };
    assert_eq!(used("strangers"), "0.000000000000");
    assert_ne!(used("all"), "0.000000000000");

    let said =
        fixture.run(&["agents", "approve", "bot-1", "--team", "support", "--model", "gpt-5*"]).unwrap();
    assert!(said.contains("approved"), "{said}");
    let next = fixture.sync(Some(&policy["version"]), vec![]);
    assert_ne!(next["version"], policy["version"]);
    assert_eq!(agent_of(&next, "bot-1"), json!({"name": "bot-1", "team": "support"}));
    fixture.run(&["agents", "retire", "bot-1"]).unwrap();
    let last = fixture.sync(Some(&next["version"]), vec![]);
    assert_eq!(agent_of(&last, "bot-1")["status"], "retired", "{last}");

    for command in [["agents", "retire", "bot-0"], ["agents", "approve", "bot-0"]] {
        let said = fixture.run(&command).unwrap_err();
        assert!(said.contains("agent `bot-0` stands in the configuration file; change it there"), "{said}");
    }
    let said = fixture.run(&["agents", "approve", "x", "--model", "gtp-5"]).unwrap_err();
    assert!(said.contains("the price book knows no such model") && said.contains("did you mean"), "{said}");
    let unsigned = fixture.collector.client.send("PUT", "/api/v1/agents/x", "wrong", "{}");
    assert_eq!(unsigned.status, 401);
    let trail = fixture.collector.client.get("/api/v1/audit?limit=100").text;
    assert!(trail.contains("agent.put"), "{trail}");
}

#[test]
fn a_new_agent_is_proposed_with_a_review_which_its_approval_closes() {
    let mut fixture = Fixture::start();
    let mut number = 100;
    let begun = Instant::now();
    // It watches from its first look on.
    while fixture.agent("bot-2")["status"] != "proposed" {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", fixture.agent("bot-2"));
        let mut new = records();
        for record in &mut new {
            record["id"] = support::record(number)["id"].clone();
            number += 1;
        }
        fixture.sync(None, new);
        std::thread::sleep(Duration::from_millis(200));
    }
    let agent = fixture.agent("bot-2");
    assert_eq!((&agent["source"], &agent["registered"]["team"]), (&json!("seen"), &json!("")));
    assert_eq!(agent["teams_seen"], json!(["support"]));
    assert!(agent["first_seen"].is_string() && agent["last_seen"].is_string(), "{agent}");
    let reviews = fixture.collector.client.get("/api/v1/reviews").json();
    let review = |reviews: &Value| {
        let rows = reviews["rows"].as_array().unwrap();
        rows.iter().find(|row| row["agent"] == "bot-2").cloned().unwrap_or_default()
    };
    let title = review(&reviews)["title"].as_str().unwrap().to_owned();
    assert!(title.starts_with("new agent `bot-2`") && title.contains("no estimate"), "{title}");
    fixture.run(&["agents", "approve", "bot-2", "--by", "lee", "--expires", "2099-12-31"]).unwrap();
    let closed = review(&fixture.collector.client.get("/api/v1/reviews").json());
    assert!(closed["closed"].is_string() && closed["note"] == "approved", "{closed}");
    assert_eq!(fixture.agent("bot-2")["registered"]["approved_by"], "lee");
    let approved = agent_of(&fixture.sync(None, vec![]), "bot-2");
    assert_eq!(approved["until_ms"], 4_102_444_800_000_u64);

    // What is registered reads back as it was written.
    for (format, name) in [("csv", "agents.csv"), ("json", "agents.json")] {
        let file = fixture.dir.path().join(name);
        std::fs::write(&file, fixture.run(&["agents", "export", "--format", format]).unwrap()).unwrap();
        let said = fixture.run(&["agents", "import", file.to_str().unwrap()]).unwrap();
        assert!(said.contains("0 are new, 0 have changed, 3 were so before"), "{said}");
    }
    let file = fixture.dir.path().join("wrong.json");
    std::fs::write(&file, r#"{"agents": [{"name": "good"}, {"name": "a b"}]}"#).unwrap();
    let said = fixture.run(&["agents", "import", file.to_str().unwrap()]).unwrap_err();
    assert!(said.contains("`agents[1]`: `name` `a b` cannot be"), "{said}");
    assert_eq!(fixture.collector.client.get("/api/v1/agents/good").status, 404, "all or none");

    let wrong = fixture.collector.client.get("/api/v1/accounts/recount").json();
    assert!(!wrong.to_string().contains("audit trail"), "{wrong}");
}

#[test]
fn a_list_that_is_tried_refuses_what_a_summary_says() {
    let mut fixture = Fixture::start();
    fixture.sync(None, records());
    let tried = |path: &str| fixture.collector.client.get(&format!("/api/v1/allow/try?{path}")).json();
    let summary =
        |path: &str| fixture.collector.client.get(&format!("/api/v1/summary?since=7d&{path}")).json();
    let scope = "team=support&environment=production";
    let named = tried("name=small");
    let all = summary(scope);
    let refused = summary(&format!("{scope}&request_model=gpt-x&request_model=gpt-5-pro"));
    assert_eq!((&named["calls"], &named["cost_usd"]), (&all["total"]["calls"], &all["total"]["cost_usd"]));
    assert_eq!(named["refused_calls"], 10, "{named}");
    assert_eq!(
        (&named["refused_calls"], &named["refused_usd"]),
        (&refused["total"]["calls"], &refused["total"]["cost_usd"])
    );
    let rows = named["rows"].as_array().unwrap();
    let of = |agent: &str, model: &str| {
        rows.iter().find(|row| row["agent"] == agent && row["model"] == model).cloned().unwrap_or_default()
    };
    let one = summary(&format!("{scope}&agent=bot-0&request_model=gpt-x"));
    assert_eq!(
        (&of("bot-0", "gpt-x")["calls"], &of("bot-0", "gpt-x")["cost_usd"]),
        (&one["total"]["calls"], &one["total"]["cost_usd"])
    );
    assert!(of("bot-1", "gpt-5-pro")["reason"].as_str().unwrap().contains("`gpt-5-pro` is not among"));
    assert_eq!(of("bot-0", "gpt-5-mini"), Value::Null);
    // The same without a name.
    let made = tried("models=gpt-5*,!gpt-5-pro&scope=team%3Dsupport&scope=environment%3Dprod*");
    for name in ["refused_calls", "refused_usd", "calls", "cost_usd"] {
        assert_eq!(made[name], named[name], "{name}");
    }
    assert_eq!(made["rows"].as_array().unwrap().len(), rows.len());
    let said = tried("models=*&scope=tag:tier%3Dgold")["error"]["message"].to_string();
    assert!(said.contains("tags"), "{said}");
    let shown = fixture.run(&["allow", "try", "small"]).unwrap();
    assert!(shown.contains("gpt-5-pro") && shown.contains("would have refused 10"), "{shown}");
}

fn check(dir: &Path, text: &str) -> (bool, String) {
    let file = dir.join("t.toml");
    std::fs::write(&file, text).unwrap();
    let output = tollgate().args(["check", "--config"]).arg(&file).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn check_names_what_prices_and_the_calendar_tell() {
    let dir = tempfile::tempdir().unwrap();
    for (text, expected) in [
        (
            "[[agents]]\nname = 'a'\nmodels = ['gtp-5']\n",
            "`agents[0].models` has `gtp-5`, and the price book knows no such model",
        ),
        ("[[allow]]\nname = 'l'\nmodels = ['gpt-5', '!no-such*']\n", "`allow[0].models` has `!no-such*`"),
        (
            "[[allow]]\nname = 'l'\nmodels = ['gpt-5']\nscope = { provider = 'anthropic' }\n",
            "`allow[0].models` has `gpt-5`, and the price book knows no such model at anthropic",
        ),
        (
            "[[allow]]\nname = 'l'\nfamilies = ['gpt-5', 'gtp-6']\n",
            "`allow[0].families` has `gtp-6`, and the price book knows no model of this family",
        ),
        (
            "[[limits]]\nname = 'l'\nmax_call_usd = 1\nscope = { provider = 'opnai' }\n",
            "`limits[0].scope.provider` is `opnai`",
        ),
        (
            "[[agents]]\nname = 'a'\nexpires = '2020-01-31'\n",
            "`agents[0].expires` is `2020-01-31`, which is over",
        ),
        (
            "[[allow]]\nname = 'l'\nmodels = ['*']\nexpires = '2020-01-31'\n",
            "`allow[0].expires` is `2020-01-31`, which is over",
        ),
    ] {
        let (is_good, said) = check(dir.path(), text);
        assert!(!is_good && said.contains(expected) && said.contains("t.toml"), "{text}: {said}");
    }
    let (is_good, said) = check(dir.path(), CONFIG);
    assert!(is_good, "{said}");
}

#[test]
fn an_agent_of_two_teams_is_refused_at_the_start() {
    let fixture = Fixture::start();
    fixture.run(&["agents", "approve", "other", "--team", "search"]).unwrap();
    let dir = fixture.dir.path().to_owned();
    let config = std::fs::read_to_string(dir.join("tollgate.toml")).unwrap();
    let config = format!("{config}\n[[agents]]\nname = 'other'\nteam = 'support'\n");
    let Fixture { dir: kept, collector, .. } = fixture;
    drop(collector);
    std::fs::write(dir.join("tollgate.toml"), config).unwrap();
    let output = tollgate().args(["serve", "--config"]).arg(dir.join("tollgate.toml")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("has `other` in the team `support`, and the registry has it in `search`"),
        "{said}"
    );
    drop(kept);
}

#[test]
fn explain_says_what_decides_and_ends_with_3_where_the_call_is_refused() {
    let fixture = Fixture::start();
    let ask = |call: Value| {
        let file = fixture.dir.path().join("call.json");
        std::fs::write(&file, call.to_string()).unwrap();
        let arguments = ["explain", "--call", file.to_str().unwrap(), "--token", &fixture.token];
        let output = fixture.collector.ask(&arguments);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let call = |model: &str, tokens: u64| {
        json!({"agent": "bot-0", "environment": "production", "run": "r", "provider": "openai", "model": model, "prompt": "hi",
            "max_output_tokens": tokens})
    };
    for (call, code, expected) in [
        (call("gpt-5", 10), 0, "it passes"),
        (call("gpt-4o", 10), 3, "it is refused by `agent:bot-0`: 403 model_not_allowed"),
        (call("gpt-5", 100_000), 3, "it is refused by `cheap`: 403 call_too_large"),
        (json!({"provder": "openai", "model": "gpt-5"}), 1, "`provder` is not a key here"),
    ] {
        let (found, said) = ask(call.clone());
        assert!(found == Some(code) && said.contains(expected), "{call}: {found:?} {said}");
    }
    let (_, said) = ask(call("gpt-5", 10));
    for expected in ["registry", "agent:bot-0", "small", "cheap", "has room"] {
        assert!(said.contains(expected), "{expected} in\n{said}");
    }
}

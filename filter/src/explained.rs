//! What `tollgate explain` says of a call is what the filter does with it, in the same words.

use proxy_wasm::types::Action;
use serde_json::{Map, Value, json};
use tollgate_core::budget::policy::Policy;
use tollgate_core::call::admission::Admission;
use tollgate_core::call::explained::Described;
use tollgate_core::call::refusal::refusal;
use tollgate_core::estimate::Learned;

use crate::fixture::*;
use crate::host::simulated;

const PATH: &str = "/v1/chat/completions";

fn ruled() -> Policy {
    let mut policy = policy(&json!([
        {"name": "watch", "limit_usd": "1", "window": "prepaid", "action": "warn"},
        {"name": "strict", "scope": {"agent": "batcher"}, "limit_usd": "1", "window": "prepaid"},
    ]));
    policy.rules = serde_json::from_value(json!({
        "agents": [
            {"name": "triage", "team": "support", "environments": ["production"]},
            {"name": "old", "status": "retired"},
        ],
        "keys": [],
        "rejects_contradictions": true,
        "unknown": [{"environment": "production", "action": "deny"}],
        "require": [{"environment": "production", "fields": ["feature"]}],
        "allow": [
            {"name": "models", "scope": {"team": ["support"]}, "models": [MODEL]},
            {"name": "trial", "scope": {}, "models": ["other"], "shadow": true},
        ],
        "limits": [{"name": "small", "scope": {"agent": ["triage"]}, "max_cost": "20000", "max_input_tokens": 50}],
    }))
    .unwrap();
    policy
}

/// The filter's answer: status, reason, rule, budget and body; none where the call goes on.
fn answered(headers: &[(&str, &str)], path: &str, body: &str) -> Option<[Value; 5]> {
    simulated::begin(NOW_MS);
    let mut vm = Vm::start(&configuration());
    let mut collector = Collector { policy: ruled(), ..Collector::new(&json!([])) };
    vm.tick();
    vm.collect(&mut collector);
    let length = body.len().to_string();
    let mut all = vec![
        (":method", "POST"),
        (":path", path),
        (":authority", "api.openai.com"),
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
    ];
    all.extend_from_slice(headers);
    let (_call, action) = vm.request(&all, body.as_bytes());
    if action == Action::Pause && simulated::with(|world| world.answers.is_empty()) {
        vm.collect(&mut collector);
    }
    let answer = simulated::with(|world| world.answers.last().cloned())?;
    let header = |name: &str| {
        let found = answer.headers.iter().find(|(known, _)| known == name);
        found.map_or(Value::Null, |(_, value)| json!(value))
    };
    let body = serde_json::from_slice(&answer.body).unwrap();
    let [reason, rule, budget] = ["x-tollgate-reason", "x-tollgate-rule", "x-tollgate-budget"].map(header);
    Some([json!(answer.status), reason, rule, budget, body])
}

/// The same, as it is explained.
fn explained(headers: &[(&str, &str)], path: &str, body: &str) -> Option<[Value; 5]> {
    let mut all = Map::new();
    for (name, value) in headers {
        let values = all.entry(*name).or_insert_with(|| json!([]));
        values.as_array_mut().unwrap().push(json!(value));
    }
    let call = json!({"headers": all, "host": "api.openai.com", "path": path, "body": body});
    let (policy, book, learned) = (ruled(), book(), Learned::default());
    let explained = Described::read(&call).unwrap().explained(&policy, &book, &|_| 0, NOW_MS);
    let Admission::Refuse(reason, budget, message) = explained.admission(&policy, &book, &learned, NOW_MS)
    else {
        return None;
    };
    let call = &explained.call;
    let told = refusal(call.target(), reason, None, &message, "");
    let body = serde_json::from_slice(&told.body).unwrap();
    let rule = json!(call.denied("", 0, NOW_MS).refused_by);
    Some([json!(told.status), json!(reason.name()), rule, json!(budget), body])
}

#[test]
fn explain_says_what_the_filter_does_in_the_same_words() {
    let chat = |model: &str, tokens: u64| {
        json!({"model": model, "max_completion_tokens": tokens, "messages": [{"role": "user", "content": "Why?"}]})
            .to_string()
    };
    let long = json!({"model": MODEL, "max_completion_tokens": 1,
        "messages": [{"role": "user", "content": "word ".repeat(200)}]});
    let from = |agent: &'static str, environment: &'static str| {
        vec![
            ("x-tollgate-agent", agent),
            ("x-tollgate-environment", environment),
            ("x-tollgate-feature", "inbox"),
        ]
    };
    let triage = || from("triage", "production");
    let background = json!({"model": MODEL, "input": "x", "background": true}).to_string();
    let several = json!({"model": MODEL, "models": ["gpt-x"], "messages": []}).to_string();
    let twice = format!(r#"{{"model":"{MODEL}","model":"gpt-x","messages":[]}}"#);
    let mut wrong = Vec::new();
    for (name, headers, path, body, passes) in [
        ("as it is", triage(), PATH, chat(MODEL, 50), true),
        ("a stranger", from("x", "production"), PATH, chat(MODEL, 50), false),
        ("a stranger elsewhere", from("x", "laptop"), PATH, chat(MODEL, 50), true),
        ("no agent", triage().split_off(1), PATH, chat(MODEL, 50), false),
        ("a retired one", from("old", "production"), PATH, chat(MODEL, 50), false),
        ("from elsewhere", from("triage", "laptop"), PATH, chat(MODEL, 50), true),
        ("twice", [triage(), vec![("x-tollgate-agent", "triage")]].concat(), PATH, chat(MODEL, 50), false),
        ("no feature", triage()[..2].to_vec(), PATH, chat(MODEL, 50), false),
        (
            "another team",
            [triage(), vec![("x-tollgate-team", "sales")]].concat(),
            PATH,
            chat(MODEL, 50),
            true,
        ),
        (
            "by baggage",
            vec![("baggage", "tollgate.agent=triage,tollgate.environment=production,tollgate.feature=f")],
            PATH,
            chat(MODEL, 50),
            true,
        ),
        ("another model", triage(), PATH, chat("gpt-x", 50), false),
        ("several models", triage(), PATH, several, false),
        ("a model twice", triage(), PATH, twice, false),
        ("not JSON", triage(), PATH, "model=gpt-x".to_owned(), false),
        (
            "of another type",
            [triage(), vec![("content-type", "text/plain")]].concat(),
            PATH,
            chat(MODEL, 50),
            false,
        ),
        ("in the background", triage(), "/v1/responses", background, false),
        ("an unknown path", triage(), "/v1/secret/things", chat(MODEL, 50), false),
        ("a long answer", triage(), PATH, chat(MODEL, 900_000), false),
        ("a long prompt", triage(), PATH, long.to_string(), false),
        (
            "work for later",
            from("batcher", "laptop"),
            "/v1/batches",
            json!({"input_file_id": "f"}).to_string(),
            false,
        ),
    ] {
        let (said, found) = (answered(&headers, path, &body), explained(&headers, path, &body));
        if said != found || found.is_none() != passes {
            wrong.push(format!("{name}: explain says {found:?}, the filter {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

//! Who may call what: each way to pass for somebody else, or to hide what is called, ends in the policy's
//! answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::http::{Call, Reply};
use tollgate_tests::raw::{Framing, Raw};
use tollgate_tests::stack::{Held, Setup, Slot, Stack};

static STACK: Slot = Slot::new();

const RULES: &str = r#"
[[budgets]]
name = "crumbs"
scope = { agent = "crumb" }
limit_usd = "0.00001"
window = "month"

[[agents]]
name = "triage"
team = "support"
environments = ["production", "staging"]

[[agents]]
name = "index"
team = "search"

[[agents]]
name = "old"
status = "retired"

[[keys]]
id = "5bdcc146bf60754e"
agent = "triage"
environment = "production"

[identity]
contradictions = "reject"

[[unknown_agents]]
environment = "production"
action = "deny"

[[unknown_agents]]
environment = "sandbox"
action = "flag"

[[require]]
environment = "production"
fields = ["agent", "feature"]

[[allow]]
name = "support-models"
scope = { team = "support" }
models = ["gpt-5-mini", "claude-haiku-4-5", "gemini-2.5-flash"]

[[allow]]
name = "search-trial"
scope = { team = "search" }
models = ["!gpt-5*"]
shadow = true

[[limits]]
name = "small-calls"
scope = { agent = "triage" }
max_call_usd = "0.02"
max_input_tokens = 3000
"#;

fn stack() -> Held {
    Stack::shared_as(
        &STACK,
        &Setup {
            name: "governance",
            collector_config: RULES.to_owned(),
            more_providers: vec!["azure".into(), "bedrock".into(), "openrouter".into(), "unknown".into()],
            ..Setup::default()
        },
    )
}

type Headers<'a> = &'a [(&'a str, &'a str)];

/// Who calls, as the table names it.
const TRIAGE: &[(&str, &str)] = &[
    ("x-tollgate-agent", "triage"),
    ("x-tollgate-team", "support"),
    ("x-tollgate-environment", "production"),
    ("x-tollgate-feature", "inbox"),
];

const CHAT: &str = "/openai/v1/chat/completions";

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 50})
}

/// The reason of a refusal; `ok` for an answer.
fn reason(reply: &Reply) -> String {
    match reply.header("x-tollgate-reason") {
        Some(reason) => reason,
        None if reply.status < 400 => "ok".to_owned(),
        None => format!("status {}", reply.status),
    }
}

async fn asked(stack: &Stack, call: Call, headers: &[(&str, &str)]) -> Reply {
    let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value.as_bytes()));
    stack.send(call).await.unwrap()
}

/// Headers in the place of those of [`TRIAGE`].
fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = TRIAGE
        .iter()
        .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed.eq_ignore_ascii_case(name)));
    kept.copied().chain(changes.iter().copied().filter(|(_, value)| *value != "-")).collect()
}

#[tokio::test]
async fn who_calls_is_not_what_they_say() {
    let stack = stack();
    let long = "a".repeat(65);
    let rows: &[(&str, Headers<'_>, &str)] = &[
        ("as it is", &[], "ok"),
        ("a stranger", &[("x-tollgate-agent", "stranger")], "agent_not_allowed"),
        ("no agent", &[("x-tollgate-agent", "-")], "agent_not_allowed"),
        ("a retired one", &[("x-tollgate-agent", "old")], "agent_not_allowed"),
        ("upper case", &[("x-tollgate-agent", "Triage")], "agent_not_allowed"),
        ("percent", &[("x-tollgate-agent", "%74riage")], "agent_not_allowed"),
        ("a look-alike", &[("x-tollgate-agent", "tri\u{430}ge")], "agent_not_allowed"),
        ("a zero width space", &[("x-tollgate-agent", "triage\u{200b}")], "agent_not_allowed"),
        ("a list", &[("x-tollgate-agent", "triage,stranger")], "agent_not_allowed"),
        ("too long", &[("x-tollgate-agent", &long)], "agent_not_allowed"),
        ("twice", &[("x-tollgate-agent", "triage"), ("x-tollgate-agent", "triage")], "agent_not_allowed"),
        (
            "twice, otherwise",
            &[("x-tollgate-agent", "stranger"), ("X-Tollgate-Agent", "triage")],
            "agent_not_allowed",
        ),
        ("by baggage alone", &[("x-tollgate-agent", "-"), ("baggage", "tollgate.agent=triage")], "ok"),
        (
            "by baggage besides",
            &[("x-tollgate-agent", "stranger"), ("baggage", "tollgate.agent=triage")],
            "agent_not_allowed",
        ),
        ("another team", &[("x-tollgate-team", "search")], "ok"),
        (
            "no environment",
            &[("x-tollgate-environment", "-"), ("x-tollgate-agent", "stranger")],
            "agent_not_allowed",
        ),
        ("a false environment", &[("x-tollgate-environment", "laptop")], "ok"),
        (
            "two environments",
            &[
                ("x-tollgate-environment", "production"),
                ("x-tollgate-environment", "laptop"),
                ("x-tollgate-agent", "stranger"),
            ],
            "agent_not_allowed",
        ),
        (
            "an environment with a space",
            &[("x-tollgate-environment", "lap top"), ("x-tollgate-agent", "stranger")],
            "agent_not_allowed",
        ),
        ("no feature", &[("x-tollgate-feature", "-")], "attribution_missing"),
        ("a malformed feature", &[("x-tollgate-feature", "a b")], "attribution_missing"),
        (
            "no feature, and no environment",
            &[("x-tollgate-feature", "-"), ("x-tollgate-environment", "-")],
            "agent_not_allowed",
        ),
        ("hop by hop", &[("connection", "x-tollgate-agent, close")], "agent_not_allowed"),
        (
            "a stranger, hop by hop",
            &[("x-tollgate-agent", "stranger"), ("connection", "x-tollgate-agent")],
            "agent_not_allowed",
        ),
        (
            "an alias that is none",
            &[("x-tollgate-agent", "-"), ("x-litellm-agent", "triage")],
            "agent_not_allowed",
        ),
        (
            "with underscores",
            &[("x-tollgate-agent", "-"), ("x_tollgate_agent", "triage")],
            "agent_not_allowed",
        ),
        ("two credentials", &[("authorization", "Bearer a"), ("x-api-key", "b")], "ok"),
    ];
    let mut wrong = Vec::new();
    for (name, changes, expected) in rows {
        let reply = asked(&stack, Call::post(CHAT, &chat("gpt-5-mini")), &with(changes)).await;
        let found = reason(&reply);
        if found != *expected {
            wrong.push(format!("{name}: {found} instead of {expected}: {}", reply.text()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_is_called_is_not_what_they_say() {
    let stack = stack();
    let deferred =
        json!({"input_file_id": "f", "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let rows: Vec<(&str, Call, &str)> = vec![
        ("allowed", Call::post(CHAT, &chat("gpt-5-mini")), "ok"),
        ("in capitals", Call::post(CHAT, &chat("GPT-5-Mini")), "ok"),
        ("by its date", Call::post(CHAT, &chat("gpt-5-mini-2025-08-07")), "ok"),
        ("not allowed", Call::post(CHAT, &chat("gpt-4o")), "model_not_allowed"),
        ("one that begins so", Call::post(CHAT, &chat("gpt-5-mini-pro-max")), "model_not_allowed"),
        ("with a space", Call::post(CHAT, &chat(" gpt-4o ")), "model_not_allowed"),
        ("a fine-tuned one", Call::post(CHAT, &chat("ft:gpt-4o-2024-08-06:acme::x")), "model_not_allowed"),
        ("none", Call::post(CHAT, &json!({"messages": []})), "model_not_allowed"),
        ("null", Call::post(CHAT, &json!({"model": null, "messages": []})), "model_not_allowed"),
        ("a list", Call::post(CHAT, &json!({"model": ["gpt-5-mini"], "messages": []})), "ambiguous_request"),
        (
            "several",
            Call::post(
                CHAT,
                &json!({"model": "gpt-5-mini", "models": ["gpt-5-mini", "gpt-4o"], "messages": []}),
            ),
            "model_not_allowed",
        ),
        ("with commas", Call::post(CHAT, &chat("gpt-5-mini,gpt-4o")), "model_not_allowed"),
        (
            "to fall back on",
            Call::post(
                CHAT,
                &json!({"model": "gpt-5-mini", "fallbacks": [{"model": "gpt-4o"}], "messages": []}),
            ),
            "model_not_allowed",
        ),
        (
            "by a preset",
            Call::post(CHAT, &json!({"model": "gpt-5-mini", "preset": "x", "messages": []})),
            "model_not_allowed",
        ),
        (
            "twice",
            Call::post_bytes(CHAT, r#"{"model":"gpt-5-mini","model":"gpt-4o","messages":[]}"#)
                .header("content-type", "application/json"),
            "ambiguous_request",
        ),
        (
            "twice, escaped",
            Call::post_bytes(CHAT, r#"{"model":"gpt-5-mini","mod\u0065l":"gpt-4o","messages":[]}"#)
                .header("content-type", "application/json"),
            "ambiguous_request",
        ),
        (
            "escaped",
            Call::post_bytes(CHAT, r#"{"\u006dodel":"gpt-4\u006f","messages":[]}"#)
                .header("content-type", "application/json"),
            "model_not_allowed",
        ),
        (
            "not JSON",
            Call::post_bytes(CHAT, "model=gpt-4o").header("content-type", "application/json"),
            "unreadable_request",
        ),
        (
            "of another type",
            Call::post_bytes(CHAT, chat("gpt-4o").to_string()).header("content-type", "text/plain"),
            "unreadable_request",
        ),
        (
            "encoded",
            Call::post_bytes(CHAT, vec![0x1f, 0x8b, 8, 0])
                .header("content-type", "application/json")
                .header("content-encoding", "gzip"),
            "unreadable_request",
        ),
        ("a batch", Call::post("/openai/v1/batches", &deferred), "deferred_not_allowed"),
        (
            "in the background",
            Call::post(
                "/openai/v1/responses",
                &json!({"model": "gpt-5-mini", "input": "x", "background": true}),
            ),
            "deferred_not_allowed",
        ),
        ("an unknown path", Call::post("/openai/v1/secret/things", &chat("gpt-5-mini")), "not_metered"),
        (
            "another case of the path",
            Call::post("/openai/v1/Chat/Completions", &chat("gpt-4o")),
            "model_not_allowed",
        ),
        ("two slashes", Call::post("/openai/v1//chat/completions", &chat("gpt-4o")), "model_not_allowed"),
        ("a dot", Call::post("/openai/v1/./chat/completions", &chat("gpt-4o")), "model_not_allowed"),
        (
            "up and down",
            Call::post("/openai/v1/models/../chat/completions", &chat("gpt-4o")),
            "model_not_allowed",
        ),
        (
            "escaped in the path",
            Call::post("/openai/v1/chat%2Fcompletions", &chat("gpt-4o")),
            "model_not_allowed",
        ),
        (
            "a query",
            Call::post("/openai/v1/chat/completions?model=gpt-5-mini", &chat("gpt-4o")),
            "model_not_allowed",
        ),
        (
            "an override of the method",
            Call::post(CHAT, &chat("gpt-4o")).header("x-http-method-override", "GET"),
            "model_not_allowed",
        ),
        (
            "another maker's",
            Call::post(
                "/anthropic/v1/messages",
                &json!({"model": "claude-opus-4-1", "max_tokens": 9, "messages": []}),
            ),
            "model_not_allowed",
        ),
        (
            "another maker's that is allowed",
            Call::post(
                "/anthropic/v1/messages",
                &json!({"model": "claude-haiku-4-5", "max_tokens": 9, "messages": []}),
            ),
            "ok",
        ),
        (
            "in the path",
            Call::post("/gemini/v1beta/models/gemini-2.5-pro:generateContent", &json!({"contents": []})),
            "model_not_allowed",
        ),
        (
            "in the path, allowed",
            Call::post(
                "/gemini/v1beta/models/gemini-2.5-flash:generateContent",
                &json!({"contents": [], "generationConfig": {"maxOutputTokens": 50}}),
            ),
            "ok",
        ),
        (
            "in the path and otherwise in the body",
            Call::post(
                "/gemini/v1beta/models/gemini-2.5-pro:generateContent",
                &json!({"model": "gemini-2.5-flash", "contents": []}),
            ),
            "model_not_allowed",
        ),
        (
            "a deployment that says nothing",
            Call::post(
                "/azure/openai/deployments/mine/chat/completions?api-version=1",
                &json!({"model": "gpt-5-mini", "messages": []}),
            ),
            "model_not_allowed",
        ),
        (
            "a router's choice",
            Call::post("/openrouter/api/v1/chat/completions", &chat("openrouter/auto")),
            "model_not_allowed",
        ),
        (
            "many choices",
            Call::post(CHAT, &json!({"model": "gpt-5-mini", "n": 500, "max_tokens": 100, "messages": []})),
            "call_too_large",
        ),
        (
            "best of many",
            Call::post(
                "/openai/v1/completions",
                &json!({"model": "gpt-5-mini", "prompt": "x", "best_of": 500, "max_tokens": 100}),
            ),
            "call_too_large",
        ),
        (
            "a long answer",
            Call::post(CHAT, &json!({"model": "gpt-5-mini", "max_tokens": 100_000, "messages": []})),
            "call_too_large",
        ),
        (
            "no limit on the answer",
            Call::post(CHAT, &json!({"model": "gpt-5-mini", "messages": []})),
            "call_too_large",
        ),
        (
            "a long prompt",
            Call::post(
                CHAT,
                &json!({"model": "gpt-5-mini", "max_tokens": 5, "messages": [{"role": "user", "content": "word ".repeat(5_000)}]}),
            ),
            "call_too_large",
        ),
    ];
    let mut wrong = Vec::new();
    for (name, call, expected) in rows {
        let reply = asked(&stack, call, TRIAGE).await;
        let found = reason(&reply);
        if found != expected {
            wrong.push(format!("{name}: {found} instead of {expected}: {}", reply.text()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn how_it_is_sent_changes_nothing() {
    let stack = stack();
    let headers: Vec<(String, String)> = TRIAGE
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .chain([("content-type".to_owned(), "application/json".to_owned())])
        .collect();
    for (name, framing) in [
        ("a length", Framing::Length),
        ("chunks of a byte", Framing::Chunked(1)),
        ("chunks", Framing::Chunked(7)),
        ("trailers", Framing::Trailers),
        ("an upgrade", Framing::Upgrade),
    ] {
        for (model, status) in [("gpt-5-mini", 200), ("gpt-4o", 403)] {
            let raw = Raw {
                method: "POST".into(),
                target: CHAT.into(),
                headers: headers.clone(),
                body: chat(model).to_string().into_bytes(),
                framing,
                hang_up: Some(Duration::from_secs(10)),
            };
            let (found, answer) = raw.send(stack.gateway()).await.unwrap();
            // Envoy refuses some framings by itself, which lets nothing through either.
            assert!(
                found == status || (found == 0 || found >= 400) && framing == Framing::Upgrade,
                "{name} {model}: {found} {answer}"
            );
        }
    }
}

#[tokio::test]
async fn records_and_refusals_name_the_rule() {
    let stack = stack();
    let reply = asked(&stack, Call::post(CHAT, &chat("gpt-4o")), TRIAGE).await;
    assert_eq!((reply.status, reply.header("x-tollgate-rule").as_deref()), (403, Some("support-models")));
    let message = reply.json().unwrap()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`gpt-4o`") && message.contains("gpt-5-mini"), "{message}");
    let record = stack.record_of(&reply).unwrap();
    assert_eq!((&record["refused_by"], &record["outcome"]), (&json!("support-models"), &json!("denied")));

    let search = with(&[("x-tollgate-agent", "index"), ("x-tollgate-team", "-")]);
    let reply = asked(&stack, Call::post(CHAT, &chat("gpt-5-mini")), &search).await;
    assert_eq!(reason(&reply), "ok", "a list in shadow refuses nothing");
    let record = stack.record_of(&reply).unwrap();
    assert_eq!((&record["noted_by"], &record["team"]), (&json!(["search-trial"]), &json!("search")));

    let flagged = with(&[("x-tollgate-agent", "stranger"), ("x-tollgate-environment", "sandbox")]);
    let reply = asked(&stack, Call::post(CHAT, &chat("gpt-4o")), &flagged).await;
    // It says that it is of the team that has a list, and that list holds.
    assert_eq!(reason(&reply), "model_not_allowed");
    let alone = with(&[
        ("x-tollgate-agent", "stranger"),
        ("x-tollgate-environment", "sandbox"),
        ("x-tollgate-team", "-"),
    ]);
    let reply = asked(&stack, Call::post(CHAT, &chat("gpt-4o")), &alone).await;
    assert_eq!(stack.record_of(&reply).unwrap()["noted_by"], json!(["unknown_agents"]));

    let reply =
        asked(&stack, Call::post(CHAT, &chat("gpt-5-mini")), &with(&[("x-tollgate-team", "search")])).await;
    let record = stack.record_of(&reply).unwrap();
    assert_eq!((&record["team"], &record["noted_by"]), (&json!("support"), &json!(["team"])));
}

/// RFC 4231, test case 2: the secret of the stack's gateway makes this key's hash.
const KEY: (&str, &str) = ("authorization", "Bearer what do ya want for nothing?");

#[tokio::test]
async fn a_key_says_whose_call_it_is_and_headers_do_not_change_that() {
    let stack = stack();
    let feature = ("x-tollgate-feature", "inbox");
    for (name, headers, expected) in [
        ("the key alone", vec![KEY, feature], "ok"),
        ("the same in headers", with(&[KEY]), "ok"),
        ("another agent", vec![KEY, feature, ("x-tollgate-agent", "index")], "identity_contradicted"),
        ("an agent that is none", vec![KEY, feature, ("x-tollgate-agent", "a b")], "identity_contradicted"),
        (
            "another environment",
            vec![KEY, feature, ("x-tollgate-environment", "sandbox")],
            "identity_contradicted",
        ),
        (
            "another agent by baggage",
            vec![KEY, feature, ("baggage", "tollgate.agent=index")],
            "identity_contradicted",
        ),
        ("another key", vec![("authorization", "Bearer other"), feature], "agent_not_allowed"),
        ("the key where the provider does not look", vec![("x-other", KEY.1), feature], "agent_not_allowed"),
        ("two keys", vec![KEY, feature, ("authorization", "Bearer other")], "ok"),
        (
            "two keys, and another agent",
            vec![KEY, feature, ("authorization", "Bearer other"), ("x-tollgate-agent", "index")],
            "identity_contradicted",
        ),
    ] {
        let reply = asked(&stack, Call::post(CHAT, &chat("gpt-5-mini")), &headers).await;
        assert_eq!(reason(&reply), expected, "{name}: {}", reply.text());
        if expected == "identity_contradicted" {
            assert_eq!((reply.status, reply.header("x-tollgate-rule").as_deref()), (400, Some("identity")));
        }
    }
    let reply = asked(&stack, Call::post(CHAT, &chat("gpt-5-mini")), &[KEY, feature]).await;
    let record = stack.record_of(&reply).unwrap();
    let who = ["agent", "team", "environment", "attribution_source"].map(|name| record[name].clone());
    assert_eq!(who, ["triage", "support", "production", "key"].map(|value| json!(value)));
}

/// What explain says of a call, in the words of its answer: status, reason, rule, and text.
fn explained(stack: &Stack, call: &Value) -> (bool, [Value; 4]) {
    let answer = stack.api().post("/api/v1/explain", call).unwrap();
    let refused = ["status", "reason", "refused_by", "message"].map(|name| answer[name].clone());
    (answer["passes"].as_bool().unwrap(), refused)
}

/// The same of the gateway's answer.
fn answered(reply: &Reply) -> (bool, [Value; 4]) {
    let text = |name: &str| reply.header(name).map_or(Value::Null, Value::from);
    let passes = reply.status < 400;
    let body = reply.json().unwrap_or_default();
    let message = ["/error/message", "/message"].iter().find_map(|place| body.pointer(place).cloned());
    let status = if passes { Value::Null } else { json!(reply.status) };
    let message = if passes { Value::Null } else { message.unwrap_or_default() };
    (passes, [status, text("x-tollgate-reason"), text("x-tollgate-rule"), message])
}

/// Headers as a description has them, those that come twice as a list.
fn described(headers: &[(&str, &str)]) -> Value {
    let mut all = serde_json::Map::new();
    for (name, value) in headers {
        let values = all.entry(*name).or_insert_with(|| json!([])).as_array_mut().unwrap();
        values.push(json!(value));
    }
    Value::Object(all)
}

#[tokio::test]
async fn explain_says_what_the_gateway_does_in_the_same_words() {
    let stack = stack();
    let long = json!({"model": "gpt-5-mini", "max_tokens": 100_000, "messages": []});
    let crumb: Headers<'_> =
        &[("x-tollgate-agent", "crumb"), ("x-tollgate-team", "-"), ("x-tollgate-environment", "sandbox")];
    let rows: Vec<(&str, Headers<'_>, &str, Value)> = vec![
        ("as it is", &[], CHAT, chat("gpt-5-mini")),
        ("a stranger", &[("x-tollgate-agent", "stranger")], CHAT, chat("gpt-5-mini")),
        ("no agent", &[("x-tollgate-agent", "-")], CHAT, chat("gpt-5-mini")),
        ("a retired one", &[("x-tollgate-agent", "old")], CHAT, chat("gpt-5-mini")),
        (
            "twice",
            &[("x-tollgate-agent", "triage"), ("x-tollgate-agent", "triage")],
            CHAT,
            chat("gpt-5-mini"),
        ),
        ("no feature", &[("x-tollgate-feature", "-")], CHAT, chat("gpt-5-mini")),
        ("from elsewhere", &[("x-tollgate-environment", "laptop")], CHAT, chat("gpt-5-mini")),
        ("another team", &[("x-tollgate-team", "search")], CHAT, chat("gpt-5-mini")),
        (
            "by baggage",
            &[("x-tollgate-agent", "-"), ("baggage", "tollgate.agent=triage")],
            CHAT,
            chat("gpt-5-mini"),
        ),
        ("not allowed", &[], CHAT, chat("gpt-4o")),
        ("in shadow", &[("x-tollgate-agent", "index"), ("x-tollgate-team", "-")], CHAT, chat("gpt-5-mini")),
        ("several", &[], CHAT, json!({"model": "gpt-5-mini", "models": ["gpt-4o"], "messages": []})),
        (
            "in the background",
            &[],
            "/openai/v1/responses",
            json!({"model": "gpt-5-mini", "input": "x", "background": true}),
        ),
        ("an unknown path", &[], "/openai/v1/secret/things", chat("gpt-5-mini")),
        ("a long answer", &[], CHAT, long),
        ("beyond its budget", crumb, CHAT, chat("gpt-5-mini")),
        (
            "another maker's",
            &[],
            "/anthropic/v1/messages",
            json!({"model": "claude-opus-4-1", "max_tokens": 9, "messages": []}),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, changes, path, body) in rows {
        let headers = with(changes);
        let said = answered(&asked(&stack, Call::post(path, &body), &headers).await);
        let provider = path.split('/').nth(1).unwrap();
        let call = json!({"headers": described(&headers), "provider": provider, "path": path, "body": body});
        let found = explained(&stack, &call);
        if found != said {
            wrong.push(format!("{name}: explain says {found:?}, the gateway {said:?}"));
        }
    }
    let feature = ("x-tollgate-feature", "inbox");
    for headers in [vec![KEY, feature], vec![KEY, feature, ("x-tollgate-agent", "index")]] {
        let said = answered(&asked(&stack, Call::post(CHAT, &chat("gpt-5-mini")), &headers).await);
        let call = json!({"headers": described(&headers[1..]), "key_id": "5bdcc146bf60754e", "provider": "openai",
            "path": CHAT, "body": chat("gpt-5-mini")});
        let found = explained(&stack, &call);
        if found != said {
            wrong.push(format!("by its key: explain says {found:?}, the gateway {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

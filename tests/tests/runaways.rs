//! Runaway agents stop: at the calls, the dollars and the depth of a run, on one gateway and on three. And
//! what rules change of a request keeps it whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_tests::http::{Call, Reply};
use tollgate_tests::sdk;
use tollgate_tests::stack::{Held, Setup, Slot, Stack};

static STACK: Slot = Slot::new();

const RULES: &str = r#"
[[budgets]]
name = "all"
limit_usd = "100"
window = "day"

[[budgets]]
name = "spent-down"
scope = { team = "stepper" }
limit_calls = 50
window = "day"

[[run_limits]]
name = "calls"
scope = { agent = "caller" }
max_run_calls = 12

[[run_limits]]
name = "dollars"
scope = { agent = "spender" }
max_run_usd = "0.01"

[[run_limits]]
name = "depth"
scope = { agent = "digger" }
max_depth = 3

[[run_limits]]
name = "repeats"
scope = { agent = "repeater" }
max_repeats = 4

[[run_limits]]
name = "watched"
scope = { agent = "watched" }
max_run_calls = 1
shadow = true

[[limits]]
name = "clamped"
scope = { agent = "long-winded" }
max_call_usd = "0.02"
clamp = true

[[step_down]]
name = "cheaper"
scope = { team = "stepper" }
budget = "spent-down"
at = "2%"
models = { "gpt-5" = "gpt-5-mini", "claude-opus-4-5" = "claude-haiku-4-5", "gemini-2.5-pro" = "gemini-2.5-flash", "anthropic.claude-opus-4-5-20251101-v1:0" = "anthropic.claude-haiku-4-5-20251001-v1:0" }
"#;

fn stack() -> Held {
    Stack::shared_as(
        &STACK,
        &Setup {
            name: "runaways",
            collector_config: RULES.to_owned(),
            more_providers: vec!["azure".into(), "bedrock".into()],
            plugin: json!({"budget_headers": true}),
            ..Setup::default()
        },
    )
}

const CHAT: &str = "/openai/v1/chat/completions";

/// One more header of a call, or none.
type Header<'a> = Option<(&'a str, &'a str)>;

fn chat(agent: &str, text: &str) -> Call {
    let body =
        json!({"model": "gpt-5-mini", "messages": [{"role": "user", "content": text}], "max_tokens": 50});
    Call::post(CHAT, &body).header("x-tollgate-agent", agent)
}

fn in_run(call: Call, run: &str, parent: Option<&str>) -> Call {
    let call = call.header("x-tollgate-run", run);
    match parent {
        Some(parent) => call.header("x-tollgate-parent-run", parent),
        None => call,
    }
}

fn reason(reply: &Reply) -> String {
    match reply.header("x-tollgate-reason") {
        Some(reason) => reason,
        None if reply.status < 400 => "ok".to_owned(),
        None => format!("status {}: {}", reply.status, reply.text()),
    }
}

#[tokio::test]
async fn a_run_stops_at_its_calls_with_all_that_it_started() {
    let stack = stack();
    let mut went = 0;
    for number in 0..30 {
        // It calls itself: each call in a run of its own, started by the one before.
        let (run, parent) = (format!("calls-{number}"), format!("calls-{}", number - 1));
        let parent = (number > 0).then_some(parent.as_str());
        let reply = stack.send(in_run(chat("caller", &format!("{number}")), &run, parent)).await.unwrap();
        went += u32::from(reason(&reply) == "ok");
        if number >= 12 {
            assert_eq!((reason(&reply).as_str(), reply.status), ("run_limit", 403));
            assert_eq!(reply.header("x-tollgate-rule").as_deref(), Some("calls"));
        }
    }
    assert_eq!(went, 12);
    let reply = stack.send(in_run(chat("caller", "other"), "calls-of-another", None)).await.unwrap();
    assert_eq!(reason(&reply), "ok");
}

#[tokio::test]
async fn many_calls_at_once_stop_exactly_there() {
    let stack = stack();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..60 {
        calls.spawn(
            in_run(chat("caller", &format!("at once {number}")), "at-once", None).send(stack.gateway()),
        );
    }
    let replies = calls.join_all().await;
    let went = replies.iter().filter(|reply| reason(reply.as_ref().unwrap()) == "ok").count();
    assert_eq!(went, 12);
}

#[tokio::test]
async fn a_run_stops_at_its_dollars_and_its_depth() {
    let stack = stack();
    let mut cost = 0.0;
    let mut refused = 0;
    for number in 0..200 {
        let call = chat("spender", &format!("{number}")).header("x-sim", "input=400;output=50");
        let reply = stack.send(in_run(call, "dollars", None)).await.unwrap();
        match reason(&reply).as_str() {
            "ok" => {
                let record = stack.record_of(&reply).unwrap();
                cost += record["cost_usd"].as_str().unwrap().parse::<f64>().unwrap();
            }
            "run_limit" => refused += 1,
            other => panic!("{other}"),
        }
        if refused > 3 {
            break;
        }
    }
    assert!(refused > 3 && cost <= 0.01 && cost > 0.005, "{cost} {refused}");

    for (number, expected) in [(1, "ok"), (2, "ok"), (3, "ok"), (4, "run_limit"), (5, "run_limit")] {
        let (run, parent) = (format!("depth-{number}"), format!("depth-{}", number - 1));
        let parent = (number > 1).then_some(parent.as_str());
        let reply = stack.send(in_run(chat("digger", &run), &run, parent)).await.unwrap();
        assert_eq!(reason(&reply), expected, "{number}");
    }
}

#[tokio::test]
async fn the_same_request_again_and_again_is_slowed_and_a_limit_in_shadow_only_notes() {
    let stack = stack();
    for number in 0..6 {
        let reply = stack.send(chat("repeater", "the same")).await.unwrap();
        let expected = if number < 4 { "ok" } else { "repeated" };
        assert_eq!(reason(&reply), expected);
        if number >= 4 {
            assert_eq!((reply.status, reply.header("retry-after").as_deref()), (429, Some("30")));
        }
    }
    assert_eq!(reason(&stack.send(chat("repeater", "another")).await.unwrap()), "ok");
    let mut last = Value::Null;
    for number in 0..3 {
        let reply = stack.send(in_run(chat("watched", &format!("{number}")), "watched", None)).await.unwrap();
        assert_eq!(reason(&reply), "ok");
        last = stack.record_of(&reply).unwrap();
    }
    assert_eq!(last["noted_by"], json!(["watched"]));
}

/// How many calls of a run go through these gateways, one after the other, until each refuses; and for how
/// long they went through after the limit was passed.
async fn through(gateways: &[SocketAddr], run: &str) -> (u32, Duration) {
    let (mut went, mut passed_at, mut last_ok) = (0, None, None);
    let begun = Instant::now();
    let mut refused_in_a_row = 0;
    for number in 0.. {
        let gateway = gateways[number % gateways.len()];
        let reply =
            in_run(chat("caller", &format!("{run} {number}")), run, None).send(gateway).await.unwrap();
        if reason(&reply) == "ok" {
            went += 1;
            refused_in_a_row = 0;
            last_ok = Some(Instant::now());
            if went == 12 {
                passed_at = Some(Instant::now());
            }
        } else {
            refused_in_a_row += 1;
        }
        if refused_in_a_row > 3 * gateways.len() || begun.elapsed() > Duration::from_secs(30) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    let late = last_ok.zip(passed_at).map(|(last, passed)| last.saturating_duration_since(passed));
    (went, late.unwrap_or_default())
}

#[tokio::test]
async fn a_run_on_three_gateways_stops_within_a_sync() {
    let stack = stack();
    let others = [stack.add_gateway("second").unwrap(), stack.add_gateway("third").unwrap()];
    let gateways = [stack.gateway(), others[0].address(), others[1].address()];
    for gateway in gateways {
        // Each has its policy and its grants.
        let reply = chat("other", "warm").send(gateway).await.unwrap();
        assert_eq!(reason(&reply), "ok");
    }
    let (went, late) = through(&gateways, "on-three").await;
    println!("{went} calls went through, the last one {} ms after the limit was passed", late.as_millis());
    assert!((12..=36).contains(&went), "{went}");
    // A sync is a second; one brings the records up, the next one the stop down.
    assert!(late < Duration::from_millis(2_500), "{late:?}");
    // What it starts on a gateway that has not seen it is stopped too.
    let child = in_run(chat("caller", "child"), "child-on-three", Some("on-three"));
    for gateway in gateways {
        assert_eq!(reason(&child.clone().send(gateway).await.unwrap()), "run_limit");
    }
}

/// Uses up a part of the budget that steps down.
async fn spend_down(stack: &Stack) {
    for _ in 0..2 {
        let reply = stack.send(chat("any", "spend").header("x-tollgate-team", "stepper")).await.unwrap();
        assert_eq!(reason(&reply), "ok");
    }
    // What was held for them is settled.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
}

#[tokio::test]
async fn requests_that_are_changed_stay_whole() {
    let stack = stack();
    spend_down(&stack).await;
    let messages = json!([{"role": "user", "content": "hello"}]);
    let rows: &[(&str, Value, &str, &str)] = &[
        (CHAT, json!({"model": "gpt-5", "messages": messages}), "gpt-5", "gpt-5-mini"),
        ("/openai/v1/responses", json!({"model": "gpt-5", "input": "hello"}), "gpt-5", "gpt-5-mini"),
        (
            "/anthropic/v1/messages",
            json!({"model": "claude-opus-4-5", "max_tokens": 90, "messages": messages}),
            "claude-opus-4-5",
            "claude-haiku-4-5",
        ),
        (
            "/gemini/v1beta/models/gemini-2.5-pro:generateContent",
            json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}),
            "gemini-2.5-pro",
            "gemini-2.5-flash",
        ),
        (
            "/azure/openai/deployments/gpt-5/chat/completions?api-version=2024-10-21",
            json!({"messages": messages}),
            "gpt-5",
            "gpt-5-mini",
        ),
        (
            "/bedrock/model/anthropic.claude-opus-4-5-20251101-v1%3A0/converse",
            json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}]}),
            "anthropic.claude-opus-4-5-20251101-v1:0",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
        ),
    ];
    for (path, body, asked, model) in rows {
        let reply = stack.send(Call::post(path, body).header("x-tollgate-team", "stepper")).await.unwrap();
        assert_eq!(
            (reason(&reply).as_str(), reply.header("x-tollgate-model").as_deref()),
            ("ok", Some(*model)),
            "{path}: {}",
            reply.text()
        );
        let record = stack.record_of(&reply).unwrap();
        assert_eq!(
            (&record["request_model"], &record["stepped_down_from"], &record["noted_by"]),
            (&json!(model), &json!(asked), &json!(["cheaper"])),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_call_that_may_cost_too_much_gets_a_lower_limit_where_it_can() {
    let stack = stack();
    let messages = json!([{"role": "user", "content": "hello"}]);
    let contents = json!([{"role": "user", "parts": [{"text": "hello"}]}]);
    let converse = json!([{"role": "user", "content": [{"text": "hello"}]}]);
    let rows: &[(&str, Value, Header<'_>, &str)] = &[
        (CHAT, json!({"model": "gpt-5", "messages": messages, "max_completion_tokens": 50_000}), None, "ok"),
        (CHAT, json!({"model": "gpt-5", "messages": messages}), None, "ok"),
        (
            "/openai/v1/responses",
            json!({"model": "gpt-5", "input": "hello", "max_output_tokens": 50_000}),
            None,
            "ok",
        ),
        (
            "/anthropic/v1/messages",
            json!({"model": "claude-opus-4-5", "max_tokens": 30_000, "messages": messages}),
            None,
            "ok",
        ),
        (
            "/gemini/v1beta/models/gemini-2.5-pro:generateContent",
            json!({"contents": contents, "generationConfig": {"maxOutputTokens": 60_000, "temperature": 0.5}}),
            None,
            "ok",
        ),
        (
            "/bedrock/model/anthropic.claude-opus-4-5-20251101-v1%3A0/converse",
            json!({"messages": converse, "inferenceConfig": {"maxTokens": 30_000}}),
            None,
            "ok",
        ),
        // Its thoughts would not have room.
        (
            "/anthropic/v1/messages",
            json!({"model": "claude-opus-4-5", "max_tokens": 30_000, "messages": messages,
                "thinking": {"type": "enabled", "budget_tokens": 20_000}}),
            None,
            "call_too_large",
        ),
        // Signed by its caller.
        (
            "/bedrock/model/anthropic.claude-opus-4-5-20251101-v1%3A0/converse",
            json!({"messages": converse, "inferenceConfig": {"maxTokens": 30_000}}),
            Some((
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIA/20261130/us-east-1/bedrock/aws4_request, Signature=x",
            )),
            "call_too_large",
        ),
        // The least that can be asked for is too much.
        (CHAT, json!({"model": "gpt-5", "messages": messages, "n": 100_000}), None, "call_too_large"),
    ];
    for (path, body, header, expected) in rows {
        let call = || {
            let call = Call::post(path, body).header("x-tollgate-agent", "long-winded");
            header.iter().fold(call, |call, (name, value)| call.header(name, *value))
        };
        let mut reply = stack.send(call()).await.unwrap();
        if reason(&reply) == "price_unknown" {
            // The first call of a model brings its price.
            assert_eq!((reply.status, reply.header("retry-after").as_deref()), (429, Some("1")));
            reply = stack.send(call()).await.unwrap();
        }
        assert_eq!(reason(&reply), *expected, "{path} {body}: {}", reply.text());
        let limit = reply.header("x-tollgate-output-limit").map(|limit| limit.parse::<u64>().unwrap());
        assert_eq!(limit.is_some(), *expected == "ok", "{path} {body}");
        if let Some(limit) = limit {
            assert!((16..10_000).contains(&limit), "{path}: {limit}");
            assert_eq!(stack.record_of(&reply).unwrap()["noted_by"], json!(["clamped"]), "{path}");
        }
    }
    let small = chat("long-winded", "a small one");
    assert_eq!(stack.send(small).await.unwrap().header("x-tollgate-output-limit"), None);
}

#[tokio::test]
async fn answers_say_what_is_left() {
    let stack = stack();
    let reply = stack.send(chat("any", "left").header("x-tollgate-team", "stepper")).await.unwrap();
    let left = reply.header("x-tollgate-budget-remaining").unwrap();
    assert!(left.ends_with("; unit=calls; budget=spent-down"), "{left}");
    let calls: u64 = left.split(';').next().unwrap().parse().unwrap();
    assert!(calls <= 50 && calls > 20, "{left}");
    let reset = reply.header("x-tollgate-budget-reset").unwrap();
    assert!(reset.ends_with("T00:00:00Z"), "{reset}");
    let reply = stack.send(chat("any", "left of all")).await.unwrap();
    assert!(reply.header("x-tollgate-budget-remaining").unwrap().ends_with("; unit=usd; budget=all"));
}

#[tokio::test]
async fn official_sdks_take_answers_to_changed_requests() {
    let stack = stack();
    spend_down(&stack).await;
    let seen = sdk::run("changed.py", stack.gateway()).unwrap();
    let models = [
        ("openai", "gpt-5-mini"),
        ("openai-stream", "gpt-5-mini"),
        ("openai-responses", "gpt-5-mini"),
        ("azure", "gpt-5-mini"),
        ("anthropic", "claude-haiku-4-5"),
        ("gemini", "gemini-2.5-flash"),
    ];
    for (name, model) in models {
        let record = stack.api().record_of_run(&format!("step-{name}")).unwrap();
        assert_eq!((&record["request_model"], &record["outcome"]), (&json!(model), &json!("ok")), "{name}");
        let told = seen.iter().find(|line| line["call"] == format!("step-{name}")).unwrap();
        assert!(told["model"].as_str().unwrap().starts_with(model), "{told}");
        // Its first try may have brought the price.
        let run = json!(format!("clamp-{name}"));
        let records = stack.api().records().unwrap();
        let mut tries = records.values().filter(|record| record["run"] == run);
        let went =
            tries.find(|record| record["outcome"] == "ok").unwrap_or_else(|| panic!("{name}: none went"));
        assert_eq!(went["noted_by"], json!(["clamped"]), "{name}");
    }
    let signed = stack.api().record_of_run("step-bedrock").unwrap();
    assert_eq!((&signed["noted_by"], &signed["stepped_down_from"]), (&json!(["cheaper"]), &Value::Null));
    assert_eq!(signed["request_model"], json!("anthropic.claude-opus-4-5-20251101-v1:0"));
}

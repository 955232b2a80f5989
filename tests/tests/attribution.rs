//! Attribution: what headers say, what they may not say, and that no provider sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use serde_json::{Value, json};
use tollgate_tests::http::Call;
use tollgate_tests::stack::{Held, Slot, Stack};

static STACK: Slot = Slot::new();

fn stack() -> Held {
    Stack::shared(&STACK, "attribution")
}

/// The record of a call with these headers.
async fn record(stack: &Stack, headers: &[(&str, &[u8])]) -> Value {
    let body = json!({"model": "gpt-5-mini", "messages": []});
    let call = Call::post("/openai/v1/chat/completions", &body);
    let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
    let reply = stack.send(call).await.unwrap();
    assert_eq!(reply.status, 200, "metering never breaks a call");
    stack.record_of(&reply).unwrap()
}

#[tokio::test]
async fn a_provider_key_is_recorded_by_its_hash_alone() {
    let stack = stack();
    // RFC 4231, test case 2.
    let record = record(&stack, &[("authorization", b"Bearer what do ya want for nothing?")]).await;
    assert_eq!(record["key_id"], "5bdcc146bf60754e");
    assert!(!record.to_string().contains("ya want"));
}

#[tokio::test]
async fn every_header_is_recorded() {
    let stack = stack();
    let record = record(
        &stack,
        &[
            ("x-tollgate-agent", b"triage"),
            ("X-Tollgate-Team", b"support"),
            ("x-tollgate-feature", b"inbox/summary"),
            ("x-tollgate-environment", b"production"),
            ("x-tollgate-run", b"run-1.2"),
            ("x-tollgate-parent-run", b"run-1"),
            ("x-tollgate-tags", b"customer=acme,tier=gold"),
        ],
    )
    .await;
    assert_eq!(record["agent"], "triage");
    assert_eq!(record["team"], "support");
    assert_eq!(record["feature"], "inbox/summary");
    assert_eq!(record["environment"], "production");
    assert_eq!(record["run"], "run-1.2");
    assert_eq!(record["parent_run"], "run-1");
    assert_eq!(record["tags"], json!({"customer": "acme", "tier": "gold"}));
    assert_eq!(record["attribution_source"], "self_declared");
}

#[tokio::test]
async fn what_is_missing_is_unattributed() {
    let stack = stack();
    let record = record(&stack, &[]).await;
    for field in ["agent", "team", "feature", "environment"] {
        assert_eq!(record[field], "unattributed", "{field}");
    }
    for field in ["run", "parent_run"] {
        assert!(record.get(field).is_none_or(Value::is_null), "{field}");
    }
    assert_eq!(record["attribution_source"], "none");
}

#[tokio::test]
async fn what_is_malformed_is_invalid() {
    let stack = stack();
    let long = "a".repeat(65);
    let cases: &[&[u8]] = &[
        b"two words",
        b"",
        b"semi;colon",
        b"=cmd()",
        b"a,b",
        b"caf\xc3\xa9",
        b"\xff\xfe",
        b"\xf0\x9f\xa6",
        long.as_bytes(),
    ];
    for value in cases {
        let record = record(&stack, &[("x-tollgate-agent", value), ("x-tollgate-team", b"fine")]).await;
        let shown = String::from_utf8_lossy(value);
        let expected = if value.is_empty() { ["invalid", "unattributed"].as_slice() } else { &["invalid"] };
        assert!(expected.contains(&record["agent"].as_str().unwrap()), "`{shown}`: {record}");
        assert_eq!(record["team"], "fine", "`{shown}`");
    }
    let longest = "a".repeat(64);
    let record = record(&stack, &[("x-tollgate-agent", longest.as_bytes())]).await;
    assert_eq!(record["agent"], longest);
}

#[tokio::test]
async fn what_is_repeated_is_invalid() {
    let stack = stack();
    let record = record(
        &stack,
        &[
            ("x-tollgate-team", b"mine"),
            ("x-tollgate-team", b"yours"),
            ("x-tollgate-agent", b"same"),
            ("x-tollgate-agent", b"same"),
        ],
    )
    .await;
    assert_eq!(record["team"], "invalid");
    assert_eq!(record["agent"], "invalid");
}

#[tokio::test]
async fn no_provider_sees_an_attribution_header() {
    let stack = stack();
    let paths = [
        ("/openai/v1/chat/completions", json!({"model": "gpt-5-mini", "messages": []})),
        ("/openai/v1/models-that-do-not-exist", json!({})),
        ("/anthropic/v1/messages", json!({"model": "claude-haiku-4-5", "messages": [], "max_tokens": 9})),
        ("/gemini/v1beta/models/gemini-2.5-pro:generateContent", json!({"contents": []})),
    ];
    for (number, (path, body)) in paths.iter().enumerate() {
        let name = format!("removed-{number}");
        let mut call =
            Call::post(path, body).header("x-sim-call", &name).header("authorization", "Bearer sk-kept");
        for header in
            ["agent", "team", "feature", "environment", "run", "parent-run", "tags", "unknown-header"]
        {
            call = call
                .header(&format!("x-tollgate-{header}"), b"x")
                .header(&format!("x-tollgate-{header}"), b"\xff");
        }
        stack.send(call).await.unwrap();
        let received = stack.simulator.ledger().call(&name).unwrap().received;
        assert_eq!(received.header("authorization").as_deref(), Some("Bearer sk-kept"), "{path}");
    }
    assert_eq!(stack.simulator.ledger().violations(), Vec::<String>::new());
}

#[tokio::test]
async fn the_path_cannot_choose_the_provider_whose_prices_hold() {
    let stack = stack();
    let body = json!({"model": "gpt-5-mini", "messages": []});
    let call = Call::post("/openai/anthropic/../v1/chat/completions", &body)
        .header("x-sim-call", "path")
        .header("x-sim", "input=10;output=1");
    let reply = stack.send(call).await.unwrap();
    let record = stack.record_of(&reply).unwrap();
    assert_eq!(record["provider"], "openai");
    assert_eq!(record["operation"], "chat");
}

#[tokio::test]
async fn every_answer_names_its_call_and_ids_differ() {
    let stack = stack();
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let reply = stack
            .send(Call::post("/openai/v1/embeddings", &json!({"model": "text-embedding-3-small"})))
            .await;
        let id = reply.unwrap().header("x-tollgate-call").expect("a call id");
        assert!(ids.insert(id.clone()), "{id} came twice");
    }
}

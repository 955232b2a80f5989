//! Models without a price, end to end: shown everywhere where they are allowed, refused where they are not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::process::Command;

use serde_json::{Value, json};
use tollgate_tests::artifacts::Workspace;
use tollgate_tests::http::{Call, Reply};
use tollgate_tests::stack::{Setup, Stack};

fn stack(name: &str, policy: &str) -> Stack {
    let collector_config = format!("[prices]\nunpriced = '{policy}'\n");
    Stack::set_up(&Setup { name, collector_config, ..Setup::default() }).unwrap()
}

async fn send(stack: &Stack, name: &str, path: &str, body: &Value) -> Reply {
    let call = Call::post(path, body).header("x-sim-call", name).header("x-sim", "input=100;output=10");
    stack.send(call.header("x-tollgate-team", "future")).await.unwrap()
}

fn chat(model: &str) -> Value {
    json!({"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]})
}

#[tokio::test]
async fn where_calls_without_a_price_are_denied_the_provider_is_not_reached() {
    let stack = stack("unpriced-deny", "deny");
    for (provider, path, kind) in [
        ("openai", "/openai/v1/chat/completions", "/error/code"),
        ("anthropic", "/anthropic/v1/messages", "/error/type"),
    ] {
        let name = format!("{provider}-unknown");
        let refused = send(&stack, &name, path, &chat("model-from-the-future")).await;
        assert_eq!(refused.status, 403, "{provider}: {}", refused.text());
        assert_eq!(refused.header("x-tollgate-reason").as_deref(), Some("model_not_priced"));
        let answer = refused.json().unwrap();
        assert!(answer.pointer(kind).is_some_and(Value::is_string), "{provider}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("`model-from-the-future`"), "{message}");
        assert!(stack.simulator.ledger().call(&name).is_none(), "{provider} was reached");
        let record = stack.record_of(&refused).unwrap();
        assert_eq!((&record["outcome"], &record["cost_status"]), (&json!("denied"), &json!("free")));
    }
    let known = send(&stack, "known", "/openai/v1/chat/completions", &chat("gpt-5-mini")).await;
    assert_eq!(known.status, 200, "{}", known.text());
}

#[tokio::test]
async fn where_they_are_allowed_every_summary_and_the_list_of_missing_prices_name_them() {
    let stack = stack("unpriced-allow", "allow");
    let reply = send(&stack, "unknown", "/openai/v1/chat/completions", &chat("model-from-the-future")).await;
    assert_eq!(reply.status, 200);
    let record = stack.record_of(&reply).unwrap();
    assert_eq!(record["cost_status"], "unpriced");
    for by in ["team", "agent", "model", "provider", "environment", "feature", "day"] {
        let summary = stack.api().get(&format!("/api/v1/summary?by={by}&since=1d")).unwrap();
        for row in [&summary["rows"][0], &summary["total"]] {
            assert_eq!(row["unpriced"], 1, "by {by}: {row}");
            assert_eq!((&row["input_tokens"], &row["output_tokens"]), (&json!(100), &json!(10)), "by {by}");
        }
    }
    let missing = stack.api().get("/api/v1/prices/missing?since=1d").unwrap();
    let row = &missing["rows"][0];
    assert_eq!((&row["request_model"], &row["unpriced_calls"]), (&json!("model-from-the-future"), &json!(1)));
    let tollgate = Workspace::find().unwrap().tollgate();
    let url = stack.with(|product| format!("http://{}", product.collector.address()));
    let output = Command::new(tollgate).args(["prices", "missing", "--url", &url]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("model-from-the-future"), "{text}");
}

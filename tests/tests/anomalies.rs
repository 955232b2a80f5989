//! A retry loop with a new system prompt in real traffic is found, and explained.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tollgate_tests::artifacts;
use tollgate_tests::http::Call;
use tollgate_tests::stack::Stack;

const MINUTE_MS: u64 = 60_000;

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Two days of an agent that makes a few calls an hour, as an access log has them.
fn history(now_ms: u64) -> String {
    let record = |call: u64| {
        let time_ms = now_ms - 60 * MINUTE_MS - call * 20 * MINUTE_MS;
        json!({
            "id": format!("01900000-0000-7000-8000-{call:012x}"), "time_ms": time_ms, "gateway": "gateway-1",
            "attribution": {"agent": "looper", "team": "unattributed", "feature": "unattributed",
                "environment": "unattributed"},
            "attribution_source": "self_declared", "provider": "openai", "operation": "chat",
            "request_model": "gpt-4.1-mini", "response_model": "gpt-4.1-mini", "stream": false, "status": 200,
            "outcome": "ok", "usage": {"input_tokens": 60, "output_tokens": 40}, "cost_usd": "0.000088000000",
            "cost_status": "estimated", "request_hash": format!("{call:032x}"),
        })
        .to_string()
    };
    (0..144).map(|call| record(call) + "\n").collect()
}

fn chat(system: &str, question: &str) -> Call {
    let body = json!({"model": "gpt-4.1-mini", "messages": [
        {"role": "system", "content": system}, {"role": "user", "content": question}]});
    Call::post("/openai/v1/chat/completions", &body).header("x-tollgate-agent", "looper")
}

#[tokio::test]
async fn a_retry_loop_and_the_new_prompt_behind_it_are_found() {
    let stack = Stack::start("anomalies").unwrap();
    let log = stack.with(|product| product.collector.config_file().with_file_name("history.log"));
    fs::write(&log, history(now_ms())).unwrap();
    let token = stack.with(|product| product.collector.admin_token().unwrap());
    let url = format!("http://{}", stack.with(|product| product.collector.address()));
    let tollgate = |arguments: &[&str]| {
        let mut command = Command::new(artifacts::build_collector().unwrap());
        let output = command.args(arguments).args(["--url", &url, "--token", token.trim()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = tollgate(&["import", "access-log", log.to_str().unwrap()]);
    assert!(said.starts_with("144 records: 144 stored"), "{said}");
    // What is usual is read once, at the start.
    stack.with(|product| product.collector.stop());
    stack.with(|product| product.collector.restart().unwrap());
    for turn in 0..3 {
        let question = format!("How far is planet {turn}?");
        assert_eq!(stack.send(chat("Answer briefly.", &question)).await.unwrap().status, 200);
    }
    // The loop stands in a minute of its own, behind one in which its prompt was unknown.
    let wait_ms = 2 * MINUTE_MS - now_ms() % MINUTE_MS + 500;
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    for _ in 0..40 {
        assert_eq!(stack.send(chat("Answer at length.", "How far is the moon?")).await.unwrap().status, 200);
    }
    let records = stack
        .api()
        .wait_for(|records| {
            records
                .values()
                .filter(|record| record["gateway"] == "gateway-1" && record["prompt"]["system_bytes"] == 17)
                .count()
                == 40
        })
        .unwrap();
    let looped = records.values().find(|record| record["prompt"]["system_bytes"] == 17).unwrap();
    let hash = looped["prompt"]["system_hash"].as_str().unwrap();
    let found = |rows: &Value| {
        let rows = rows["rows"].as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["kind"] == "retry_loop" && row["agent"] == "looper")
    };
    let mut finding = None;
    for _ in 0..90 {
        finding = found(&stack.api().get("/api/v1/anomalies").unwrap());
        if finding.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let finding = finding.expect("a retry loop within a minute and a half");
    assert_eq!(finding["value"], 40.0, "{finding}");
    let drivers = finding["drivers"].as_array().unwrap();
    let prompt = drivers.iter().find(|driver| driver["dimension"] == "system_prompt");
    assert_eq!(prompt.map(|driver| driver["value"].as_str().unwrap()), Some(hash), "{finding}");
    let shown = tollgate(&["anomalies"]);
    assert!(shown.contains("retry_loop") && shown.contains("looper"), "{shown}");
}

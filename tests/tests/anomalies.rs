//! A retry loop with a new system prompt, in real traffic, is found when its minute is over, and explained.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tollgate_tests::artifacts;
use tollgate_tests::http::Call;
use tollgate_tests::stack::Stack;

const MINUTE_MS: u64 = 60_000;
const LOOP: u64 = 40;

/// Two days of an agent that makes three calls an hour with one system prompt, as an access log has them.
fn history(now_ms: u64) -> String {
    let record = |call: u64| {
        json!({
            "id": format!("01900000-0000-7000-8000-{call:012x}"),
            "time_ms": now_ms - 60 * MINUTE_MS - call * 20 * MINUTE_MS,
            "gateway": "gateway-1", "agent": "looper", "attribution_source": "self_declared", "provider": "openai",
            "operation": "chat", "request_model": "gpt-4.1-mini", "response_model": "gpt-4.1-mini", "status": 200,
            "outcome": "ok", "usage": {"input_tokens": 60, "output_tokens": 40}, "cost_usd": "0.000088000000",
            "cost_status": "measured", "request_hash": format!("{call:032x}"),
            "prompt": {"system_hash": "00000000000000000000000000000001", "system_bytes": 15},
        })
        .to_string()
    };
    (0..144).map(|call| record(call) + "\n").collect()
}

#[tokio::test]
async fn a_retry_loop_and_the_new_prompt_behind_it_are_found() {
    let stack = Stack::start("anomalies").unwrap();
    let tollgate = |arguments: &[&str]| {
        let (token, address) =
            stack.with(|product| (product.collector.admin_token().unwrap(), product.collector.address()));
        let mut command = Command::new(artifacts::build_collector().unwrap());
        command.args(arguments).args(["--url", &format!("http://{address}"), "--token", token.trim()]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let log = stack.with(|product| product.collector.config_file().with_file_name("history.log"));
    fs::write(&log, history(now_ms)).unwrap();
    let said = tollgate(&["import", "access-log", log.to_str().unwrap()]);
    assert!(said.starts_with("144 records: 144 stored"), "{said}");
    let body = json!({"model": "gpt-4.1-mini", "messages": [
        {"role": "system", "content": "Answer at length."}, {"role": "user", "content": "How far is the moon?"}]});
    for _ in 0..LOOP {
        let call = Call::post("/openai/v1/chat/completions", &body).header("x-tollgate-agent", "looper");
        assert_eq!(stack.send(call).await.unwrap().status, 200);
    }
    // A minute that ends meanwhile tells a part of it, and the next the whole.
    let mut finding = Value::Null;
    for _ in 0..1_300 {
        let rows = stack.api().get("/api/v1/anomalies").unwrap()["rows"].as_array().cloned().unwrap();
        let found = |row: &Value| row["kind"] == "retry_loop" && row["agent"] == "looper";
        finding = rows.into_iter().find(found).unwrap_or_default();
        if finding["value"] == json!(LOOP as f64) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(finding["value"], json!(LOOP as f64), "{finding}");
    let records = stack.api().records().unwrap();
    let of_loop = |record: &&Value| record["prompt"]["system_bytes"] == 17;
    assert_eq!(records.values().filter(of_loop).count() as u64, LOOP);
    let hash = &records.values().find(of_loop).unwrap()["prompt"]["system_hash"];
    let drivers = finding["drivers"].as_array().unwrap();
    let prompt = drivers.iter().find(|driver| driver["dimension"] == "system_prompt");
    assert_eq!(prompt.map(|driver| &driver["value"]), Some(hash), "{finding}");
    let shown = tollgate(&["anomalies"]);
    assert!(shown.contains("retry_loop") && shown.contains("looper"), "{shown}");
}

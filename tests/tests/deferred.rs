//! Work that is started by one agent and fetched by another: charged once, when its result is fetched, to who started it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate_simulator::Recorded;
use tollgate_tests::http::Call;
use tollgate_tests::stack::{Held, Slot, Stack};

static STACK: Slot = Slot::new();

fn stack() -> Held {
    Stack::shared(&STACK, "deferred")
}

/// Sends a call in the name of `agent`; the provider answers `answer`.
async fn exchange(stack: &Stack, name: &str, agent: &str, call: Call, answer: &str) {
    let recorded = Recorded {
        status: 200,
        headers: vec![("content-type".into(), "application/json".into())],
        body: answer.as_bytes().to_vec(),
        write_bytes: 11,
    };
    stack.simulator.replay(name, recorded);
    let call =
        call.header("x-sim-call", name).header("x-tollgate-agent", agent).header("x-tollgate-run", name);
    let reply = stack.send(call).await.unwrap();
    assert_eq!((reply.status, reply.text()), (200, answer.to_owned()), "{name}");
}

/// Waits until a later call's record is there: everything before it has arrived too.
async fn all(stack: &Stack, name: &str) -> BTreeMap<String, Value> {
    let body = json!({"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "hi"}]});
    let call = Call::post("/openai/v1/chat/completions", &body).header("x-tollgate-run", name);
    stack.send(call).await.unwrap();
    let is_last = |records: &BTreeMap<String, Value>| records.values().any(|record| record["run"] == name);
    stack.api().wait_for(is_last).unwrap()
}

/// Records with tokens among those whose run begins so: agent, input, output.
fn charged(records: &BTreeMap<String, Value>, prefix: &str) -> Vec<(String, u64, u64)> {
    let mut found: Vec<_> = records
        .values()
        .filter(|record| {
            record["run"].as_str().is_some_and(|run| run.starts_with(prefix)) || record["run"].is_null()
        })
        .filter_map(|record| {
            let input = record["usage"]["input_tokens"].as_u64()?;
            let output = record["usage"]["output_tokens"].as_u64()?;
            Some((record["agent"].as_str()?.to_owned(), input, output))
        })
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn a_background_answer_is_charged_once_to_who_started_it() {
    let stack = stack();
    let started = r#"{"id":"resp_bg1","object":"response","status":"queued","model":"gpt-4.1-mini","background":true,"usage":null}"#;
    let done = r#"{"id":"resp_bg1","object":"response","status":"completed","model":"gpt-4.1-mini","output":[],"usage":{"input_tokens":120,"input_tokens_details":{"cached_tokens":0},"output_tokens":34,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":154}}"#;
    let body = json!({"model": "gpt-4.1-mini", "background": true, "input": "Who spent what?"});
    exchange(&stack, "bg-start", "starter", Call::post("/openai/v1/responses", &body), started).await;
    let get = || Call::get("/openai/v1/responses/resp_bg1");
    exchange(&stack, "bg-early", "fetcher", get(), started).await;
    exchange(&stack, "bg-fetch", "fetcher", get(), done).await;
    exchange(&stack, "bg-again", "another", get(), done).await;
    let records = all(&stack, "bg-last").await;
    let charged = charged_to(&records, 120);
    assert_eq!(charged, [("starter".to_owned(), 120, 34)]);
}

#[tokio::test]
async fn a_batch_is_charged_once_to_who_started_it() {
    let stack = stack();
    let started = r#"{"id":"batch_1","object":"batch","endpoint":"/v1/chat/completions","status":"validating","input_file_id":"file-in"}"#;
    let ended = r#"{"id":"batch_1","object":"batch","status":"completed","input_file_id":"file-in","output_file_id":"file-out1"}"#;
    let line = |input: u64, output: u64| {
        json!({"id": "batch_req_1", "custom_id": "a", "error": null, "response": {"status_code": 200, "body": {
            "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4.1-mini",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}}}})
        .to_string()
    };
    let results = format!("{}\n{}\n", line(1_001, 21), line(1_002, 22));
    let body =
        json!({"input_file_id": "file-in", "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    exchange(&stack, "ba-start", "batcher", Call::post("/openai/v1/batches", &body), started).await;
    exchange(&stack, "ba-poll", "fetcher", Call::get("/openai/v1/batches/batch_1"), ended).await;
    let get = || Call::get("/openai/v1/files/file-out1/content");
    exchange(&stack, "ba-fetch", "fetcher", get(), &results).await;
    exchange(&stack, "ba-again", "another", get(), &results).await;
    let records = all(&stack, "ba-last").await;
    let sum: u64 = records
        .values()
        .filter(|record| record["agent"] == "batcher")
        .filter_map(|record| record["usage"]["input_tokens"].as_u64())
        .sum();
    assert_eq!(sum, 2_003, "{records:#?}");
    let others =
        charged(&records, "ba-").into_iter().filter(|(agent, ..)| agent == "another" || agent == "fetcher");
    assert_eq!(others.count(), 0, "{records:#?}");
}

#[tokio::test]
async fn results_that_stand_in_the_batch_itself_are_charged_once_to_who_started_it() {
    let stack = stack();
    let started = r#"{"name":"batches/gb1","metadata":{"model":"models/gemini-2.5-flash","state":"BATCH_STATE_PENDING"}}"#;
    let answer = |input: u64, output: u64| {
        json!({"response": {"modelVersion": "gemini-2.5-flash", "candidates": [],
            "usageMetadata": {"promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": input + output}}})
    };
    let ended = json!({"name": "batches/gb1", "done": true, "metadata": {"model": "models/gemini-2.5-flash"},
        "response": {"inlinedResponses": {"inlinedResponses": [answer(5_001, 31), answer(5_002, 32)]}}})
    .to_string();
    let start = Call::post(
        "/gemini/v1beta/models/gemini-2.5-flash:batchGenerateContent",
        &json!({"batch": {"input_config": {"requests": {"requests": []}}}}),
    );
    exchange(&stack, "gb-start", "inliner", start, started).await;
    let get = || Call::get("/gemini/v1beta/batches/gb1");
    exchange(&stack, "gb-early", "fetcher", get(), started).await;
    exchange(&stack, "gb-fetch", "fetcher", get(), &ended).await;
    exchange(&stack, "gb-again", "another", get(), &ended).await;
    let records = all(&stack, "gb-last").await;
    assert_eq!(charged_to(&records, 10_003), [("inliner".to_owned(), 10_003, 63)], "{records:#?}");
    let early = records.values().filter(|record| record["run"] == "gb-early" || record["run"] == "gb-again");
    assert_eq!(early.count(), 0, "{records:#?}");
}

#[tokio::test]
async fn a_run_of_a_thread_is_charged_once_to_who_started_it() {
    let stack = stack();
    let run = |status: &str, usage: &str| {
        format!(
            r#"{{"id":"run_7","object":"thread.run","thread_id":"thread_1","assistant_id":"asst_1","status":"{status}","model":"gpt-4.1-mini","usage":{usage}}}"#
        )
    };
    let queued = run("queued", "null");
    let done = run("completed", r#"{"prompt_tokens":777,"completion_tokens":31,"total_tokens":808}"#);
    let body = json!({"assistant_id": "asst_1"});
    exchange(&stack, "run-start", "starter", Call::post("/openai/v1/threads/thread_1/runs", &body), &queued)
        .await;
    let get = || Call::get("/openai/v1/threads/thread_1/runs/run_7");
    exchange(&stack, "run-early", "fetcher", get(), &queued).await;
    exchange(&stack, "run-fetch", "fetcher", get(), &done).await;
    exchange(&stack, "run-again", "another", get(), &done).await;
    let records = all(&stack, "run-last").await;
    assert_eq!(charged_to(&records, 777), [("starter".to_owned(), 777, 31)], "{records:#?}");
}

#[tokio::test]
async fn a_file_that_is_no_batchs_output_is_told_of_and_charged_to_nobody() {
    let stack = stack();
    let line = json!({"id": "batch_req_1", "custom_id": "a", "error": null, "response": {"status_code": 200, "body": {
        "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4.1-mini", "choices": [],
        "usage": {"prompt_tokens": 9_000_000, "completion_tokens": 9, "total_tokens": 9_000_009}}}})
    .to_string();
    let upload =
        r#"{"id":"file-own","object":"file","purpose":"batch","filename":"x.jsonl","status":"processed"}"#;
    exchange(&stack, "own-put", "forger", Call::post("/openai/v1/files", &json!({"x": 1})), upload).await;
    exchange(&stack, "own-ask", "forger", Call::get("/openai/v1/files/file-own"), upload).await;
    for name in ["own-first", "own-again"] {
        exchange(&stack, name, "victim", Call::get("/openai/v1/files/file-own/content"), &line).await;
    }
    let records = all(&stack, "own-last").await;
    let of_victim: Vec<_> = records.values().filter(|record| record["agent"] == "victim").collect();
    assert_eq!(of_victim.len(), 1, "{of_victim:#?}");
    assert_eq!(of_victim[0]["usage"]["input_tokens"], 9_000_000);
    assert_eq!(of_victim[0]["cost_status"], "unpriced");
    assert!(of_victim[0]["notes"].as_array().unwrap().contains(&json!("unknown_work")), "{of_victim:#?}");
    assert!(of_victim[0]["cost_usd"].as_str().unwrap().bytes().all(|byte| matches!(byte, b'0' | b'.')));

    // Who fetched it early has not taken the right to charge it: a provider that names it as a result is believed.
    let ended = r#"{"id":"batch_own","object":"batch","status":"completed","input_file_id":"file-in","output_file_id":"file-own"}"#;
    exchange(&stack, "own-poll", "owner", Call::get("/openai/v1/batches/batch_own"), ended).await;
    exchange(&stack, "own-true", "fetcher", Call::get("/openai/v1/files/file-own/content"), &line).await;
    let records = all(&stack, "own-end").await;
    let charged: Vec<_> = records
        .values()
        .filter(|record| record["agent"] == "owner" && record["cost_status"] == "measured")
        .collect();
    assert_eq!(charged.len(), 1, "{records:#?}");
}

/// Who was charged for this many input tokens.
fn charged_to(records: &BTreeMap<String, Value>, input: u64) -> Vec<(String, u64, u64)> {
    charged(records, "").into_iter().filter(|(_, found, _)| *found == input).collect()
}

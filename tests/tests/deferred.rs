//! Work that is started by one agent and fetched by another: charged once, when its result is fetched, to who
//! started it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tollgate_simulator::Recorded;
use tollgate_tests::burst;
use tollgate_tests::http::Call;
use tollgate_tests::stack::{Held, Setup, Slot, Stack};

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

    // Who fetched it early has not taken the right to charge it: a provider that names it as a result is
    // believed.
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

/// A batch or a background answer that is started through one gateway and fetched through others.
struct Deferred {
    name: &'static str,
    start: Call,
    started: String,
    /// Asks how far it is, where that says under which id its result is.
    poll: Option<(Call, String)>,
    get: Call,
    result: String,
    input: u64,
}

fn background(name: &'static str, input: u64) -> Deferred {
    let answer = |status: &str, usage: Value| {
        json!({"id": format!("resp_{name}"), "object": "response", "status": status, "model": "gpt-4.1-mini",
            "background": true, "output": [], "usage": usage})
        .to_string()
    };
    let body = json!({"model": "gpt-4.1-mini", "background": true, "input": "Who spent what?"});
    Deferred {
        name,
        start: Call::post("/openai/v1/responses", &body),
        started: answer("queued", Value::Null),
        poll: None,
        get: Call::get(&format!("/openai/v1/responses/resp_{name}")),
        result: answer(
            "completed",
            json!({"input_tokens": input, "output_tokens": 10, "total_tokens": input + 10}),
        ),
        input,
    }
}

fn batch(name: &'static str, input: u64) -> Deferred {
    let of = |status: &str, output: Value| {
        json!({"id": format!("batch_{name}"), "object": "batch", "endpoint": "/v1/chat/completions", "status": status,
            "input_file_id": "file-in", "output_file_id": output})
        .to_string()
    };
    let body =
        json!({"input_file_id": "file-in", "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let line = json!({"id": "batch_req_1", "custom_id": "a", "error": null, "response": {"status_code": 200, "body": {
        "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4.1-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": input, "completion_tokens": 10, "total_tokens": input + 10}}}});
    Deferred {
        name,
        start: Call::post("/openai/v1/batches", &body),
        started: of("validating", Value::Null),
        poll: Some((
            Call::get(&format!("/openai/v1/batches/batch_{name}")),
            of("completed", json!(format!("file-{name}"))),
        )),
        get: Call::get(&format!("/openai/v1/files/file-{name}/content")),
        result: format!("{line}\n"),
        input,
    }
}

/// What a step of such work is.
#[derive(Clone, Copy)]
enum Step {
    Start,
    Fetch,
}

impl Deferred {
    async fn step(&self, stack: &Stack, gateway: SocketAddr, step: Step, agent: &str) {
        match step {
            Step::Start => self.send(stack, gateway, agent, self.start.clone(), &self.started).await,
            Step::Fetch => {
                if let Some((poll, ended)) = &self.poll {
                    self.send(stack, gateway, agent, poll.clone(), ended).await;
                }
                self.send(stack, gateway, agent, self.get.clone(), &self.result).await;
            }
        }
    }

    async fn send(&self, stack: &Stack, gateway: SocketAddr, agent: &str, call: Call, answer: &str) {
        let recorded = Recorded {
            status: 200,
            headers: vec![("content-type".into(), "application/json".into())],
            body: answer.as_bytes().to_vec(),
            write_bytes: 11,
        };
        stack.simulator.replay(self.name, recorded);
        let call = call.header("x-sim-call", self.name).header("x-tollgate-agent", agent);
        let reply = call.send(gateway).await.unwrap();
        assert_eq!((reply.status, reply.text()), (200, answer.to_owned()), "{}", self.name);
    }

    /// Waits until there is one record of it, which is the starter's.
    fn is_the_starters(&self, stack: &Stack) {
        let mine = |records: &BTreeMap<String, Value>| charged_to(records, self.input);
        let records = stack
            .api()
            .wait_for(|records| mine(records).iter().any(|(agent, ..)| agent == "starter"))
            .unwrap_or_else(|error| panic!("{}: {error:?}", self.name));
        assert_eq!(mine(&records), [("starter".to_owned(), self.input, 10)], "{}: {records:#?}", self.name);
    }
}

/// Each agent's budget has charged what its records say, and all of them together.
async fn budgets_say_what_records_do(stack: &Stack, gateways: &[SocketAddr]) {
    for (at, gateway) in gateways.iter().enumerate() {
        let body = json!({"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "hi"}]});
        let run = format!("end-{at}");
        let call = Call::post("/openai/v1/chat/completions", &body)
            .header("x-tollgate-run", &run)
            .header("x-tollgate-agent", "starter");
        call.send(*gateway).await.unwrap();
        stack.api().record_of_run(&run).unwrap();
    }
    let api = stack.api();
    let is_so = |row: &Value| {
        let summary = api.get("/api/v1/summary?by=agent&since=1d").unwrap();
        row["in_flight"] == 0 && row["used"] == summary["total"]["cost_usd"]
    };
    burst::budget(&api, "all", is_so).unwrap();
    let each = api.get("/api/v1/budgets?budget=each").unwrap();
    let summary = api.get("/api/v1/summary?by=agent&since=1d").unwrap();
    for agent in ["starter", "fetcher", "another"] {
        let of = |table: &Value, name: &str, member: &str| {
            let rows = table["rows"].as_array().unwrap().iter();
            let found: Vec<i128> =
                rows.filter(|row| row[name] == agent).map(|row| burst::pico(&row[member]).unwrap()).collect();
            assert!(found.len() <= 1, "{table:#}");
            found.first().copied().unwrap_or(0)
        };
        let (used, cost) = (of(&each, "value", "used"), of(&summary, "agent", "cost_usd"));
        assert_eq!(used, cost, "{agent}: {each:#}\n{summary:#}");
        assert_eq!(cost > 0, agent == "starter", "{agent}: {summary:#}");
    }
}

const BUDGETS: &str = "
[[budgets]]
name = 'all'
limit_usd = '50'
window = 'month'
deferred = 'allow'

[[budgets]]
name = 'each'
limit_usd = '20'
window = 'month'
each = 'agent'
deferred = 'allow'
";

#[tokio::test]
async fn work_that_is_fetched_through_two_gateways_is_one_record_for_who_started_it() {
    let setup = Setup { name: "deferred-two", collector_config: BUDGETS.into(), ..Setup::default() };
    let stack = Stack::set_up(&setup).unwrap();
    let second = stack.add_gateway("second").unwrap();
    // What this one tells, it tells late.
    let slow = stack.add_gateway_that_reports_every("slow", Some(4_000)).unwrap();
    let (first, second, slow) = (stack.gateway(), second.address(), slow.address());
    let mut all = Vec::new();
    for (start, works) in [
        (first, [background("bg-early", 1_000_011), batch("ba-early", 1_000_012)]),
        (slow, [background("bg-late", 1_000_013), batch("ba-late", 1_000_014)]),
    ] {
        for work in works {
            work.step(&stack, start, Step::Start, "starter").await;
            work.step(&stack, second, Step::Fetch, "fetcher").await;
            work.step(&stack, first, Step::Fetch, "another").await;
            all.push(work);
        }
    }
    for work in &all {
        work.is_the_starters(&stack);
    }
    budgets_say_what_records_do(&stack, &[first, second, slow]).await;
    for work in &all {
        work.is_the_starters(&stack);
    }
    let audit = stack.api().get("/api/v1/accounts").unwrap();
    assert_eq!(audit["balanced"], true, "{audit}");
}

#[tokio::test]
async fn work_that_is_fetched_again_after_a_restart_is_one_record_for_who_started_it() {
    let setup = Setup { name: "deferred-restart", collector_config: BUDGETS.into(), ..Setup::default() };
    let stack = Arc::new(Stack::set_up(&setup).unwrap());
    let gateway = stack.gateway();
    let before = [background("bg-before", 1_000_021), batch("ba-before", 1_000_022)];
    let again = [background("bg-again", 1_000_023), batch("ba-again", 1_000_024)];
    for work in before.iter().chain(&again) {
        work.step(&stack, gateway, Step::Start, "starter").await;
    }
    for work in &again {
        work.step(&stack, gateway, Step::Fetch, "fetcher").await;
        work.is_the_starters(&stack);
    }
    all(&stack, "before-restart").await;
    let restarting = Arc::clone(&stack);
    tokio::task::spawn_blocking(move || restarting.with(|product| product.envoy.restart()))
        .await
        .unwrap()
        .unwrap();
    for work in before.iter().chain(&again) {
        work.step(&stack, gateway, Step::Fetch, "another").await;
    }
    for work in before.iter().chain(&again) {
        work.is_the_starters(&stack);
    }
    budgets_say_what_records_do(&stack, &[gateway]).await;
    for work in before.iter().chain(&again) {
        work.is_the_starters(&stack);
    }
}

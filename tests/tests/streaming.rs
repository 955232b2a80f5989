//! Streams: passed on at once, and settled whatever way they end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_simulator::Recorded;
use tollgate_tests::books;
use tollgate_tests::http::Call;
use tollgate_tests::stack::{Held, Slot, Stack};

static STACK: Slot = Slot::new();

fn stack() -> Held {
    Stack::shared(&STACK, "streaming")
}

/// A stream of each provider.
fn streams() -> Vec<(&'static str, Call)> {
    let chat = json!({
        "model": "gpt-4.1-mini", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "Who spent what, and on which model?"}],
    });
    let responses = json!({"model": "gpt-4.1-mini", "stream": true, "input": "Who spent what?"});
    let messages = json!({
        "model": "claude-haiku-4-5", "stream": true, "max_tokens": 4000,
        "messages": [{"role": "user", "content": "Who spent what, and on which model?"}],
    });
    let gemini = json!({"contents": [{"parts": [{"text": "Who spent what, and on which model?"}]}]});
    let verb = |verb: &str| format!("/gemini/v1beta/models/gemini-2.5-flash:{verb}");
    vec![
        ("chat", Call::post("/openai/v1/chat/completions", &chat)),
        ("responses", Call::post("/openai/v1/responses", &responses)),
        ("messages", Call::post("/anthropic/v1/messages", &messages)),
        ("gemini-sse", Call::post(&verb("streamGenerateContent?alt=sse"), &gemini)),
        ("gemini-array", Call::post(&verb("streamGenerateContent"), &gemini)),
    ]
}

fn cost(record: &Value) -> i128 {
    books::pico(record["cost_usd"].as_str().unwrap()).unwrap()
}

/// The usage chunk that the filter asked for, in a stream of this content type.
#[tokio::test]
async fn a_usage_chunk_that_nobody_asked_for_is_taken_out_whatever_the_stream_is_called() {
    let stack = stack();
    let text = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4.1-mini\",\
                \"choices\":[{\"index\":0,\"delta\":{\"content\":\"Yes.\"},\"finish_reason\":\"stop\"}]}\n\n";
    let usage = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4.1-mini\",\
                 \"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2,\"total_tokens\":12}}\n\n";
    let asked =
        json!({"model": "gpt-4.1-mini", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let types =
        ["text/event-stream", "application/json", "text/plain", "application/octet-stream", "x/y; q=json"];
    for (index, kind) in types.into_iter().enumerate() {
        let name = format!("called-{index}");
        let recorded = Recorded {
            status: 200,
            headers: vec![("content-type".into(), kind.into())],
            body: [text, usage, "data: [DONE]\n\n"].concat().into_bytes(),
            write_bytes: 50,
        };
        stack.simulator.replay(&name, recorded);
        let call = Call::post("/openai/v1/chat/completions", &asked).header("x-sim-call", &name);
        let reply = stack.send(call.header("x-tollgate-run", &name)).await.unwrap();
        assert_eq!(reply.text(), [text, "data: [DONE]\n\n"].concat(), "{kind}");
    }
    let is_ours = |record: &&Value| record["run"].as_str().is_some_and(|run| run.starts_with("called-"));
    let has_all = |records: &BTreeMap<String, Value>| records.values().filter(is_ours).count() == types.len();
    for record in stack.api().wait_for(has_all).unwrap().values().filter(is_ours) {
        assert_eq!(record["usage"]["output_tokens"], 2, "{record}");
        assert_eq!(record["cost_status"], "measured", "{record}");
    }
}

#[tokio::test]
async fn events_are_passed_on_as_they_come() {
    let stack = stack();
    for (kind, call) in streams() {
        let name = format!("at-once-{kind}");
        let call = call.header("x-sim-call", &name).header("x-sim", "cut=event;events=20;delay_ms=100");
        let start = Instant::now();
        let mut opened = call.open(stack.gateway()).await.unwrap();
        assert!(opened.next().await.unwrap().is_some());
        let first = start.elapsed();
        while opened.next().await.unwrap().is_some() {}
        let whole = start.elapsed();
        assert!(whole > Duration::from_millis(1_500), "{name}: the stream took only {whole:?}");
        assert!(first < whole / 2, "{name}: first bytes after {first:?} of {whole:?}");
    }
}

#[tokio::test]
async fn a_caller_that_hangs_up_pays_an_estimate_of_what_came() {
    let stack = stack();
    for (kind, call) in streams() {
        let name = format!("hang-up-{kind}");
        let call = call
            .header("x-sim-call", &name)
            .header("x-sim", "cut=event;events=200;delay_ms=20;output=400;reasoning=0");
        let mut opened = call.open(stack.gateway()).await.unwrap();
        let id = opened.headers["x-tollgate-call"].to_str().unwrap().to_owned();
        for _ in 0..12 {
            assert!(opened.next().await.unwrap().is_some(), "{name}");
        }
        opened.hang_up().await;
        let record = stack.api().record(&id).unwrap();
        let served = stack.simulator.ledger().call(&name).unwrap();
        assert_eq!(record["outcome"], "client_abort", "{name}: {record}");
        assert_eq!(record["status"], 200, "{name}");
        assert_eq!(record["cost_status"], "estimated", "{name}: {record}");
        assert!(cost(&record) > 0, "{name}: an estimate is not nothing: {record}");
        assert!(!served.finished, "{name}: the provider was let go");
    }
}

#[tokio::test]
async fn a_stream_that_the_provider_breaks_off_is_an_upstream_abort() {
    let stack = stack();
    for (kind, call) in streams() {
        let name = format!("reset-{kind}");
        let call = call.header("x-sim-call", &name).header("x-sim", "fault=reset;cut=event;events=40");
        let reply = stack.send(call).await.unwrap();
        assert!(!reply.complete, "{name}: the break reaches the caller");
        let record = stack.record_of(&reply).unwrap();
        assert_eq!(record["outcome"], "upstream_abort", "{name}: {record}");
        assert_eq!(record["cost_status"], "estimated", "{name}: {record}");
        assert!(cost(&record) > 0, "{name}: {record}");
    }
}

#[tokio::test]
async fn an_error_inside_a_stream_is_noted() {
    let stack = stack();
    let mut silent = Vec::new();
    for (kind, call) in streams() {
        let name = format!("error-inside-{kind}");
        let call =
            call.header("x-sim-call", &name).header("x-sim", "fault=error-in-stream;cut=event;events=30");
        let reply = stack.send(call).await.unwrap();
        assert_eq!(reply.status, 200, "{name}");
        let record = stack.record_of(&reply).unwrap();
        let notes = record["notes"].as_array().cloned().unwrap_or_default();
        if !notes.contains(&json!("error_in_stream")) {
            silent.push(format!("{name}: {record}"));
        }
    }
    assert!(silent.is_empty(), "no note of the error:\n{}", silent.join("\n"));
}

#[tokio::test]
async fn a_provider_that_closes_without_an_answer_is_an_upstream_abort() {
    let stack = stack();
    for (kind, call) in streams() {
        let name = format!("close-{kind}");
        let call = call.header("x-sim-call", &name).header("x-sim", "fault=close");
        let reply = stack.send(call).await.unwrap();
        assert_eq!(reply.status, 503, "{name}");
        let record = stack.record_of(&reply).unwrap();
        assert_eq!(record["outcome"], "upstream_abort", "{name}: {record}");
        let attempts = stack
            .simulator
            .ledger()
            .lines()
            .iter()
            .filter(|line| line.call.as_deref() == Some(&name))
            .count();
        assert_eq!(attempts, 1, "{name}: what the provider may have billed is not tried again");
    }
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_is_recorded() {
    let stack = stack();
    for (kind, call) in streams() {
        let name = format!("gone-{kind}");
        let call =
            call.header("x-sim-call", &name).header("x-sim", "fault=hang").header("x-tollgate-run", &name);
        let waiting = tokio::spawn(call.open(stack.gateway()));
        while stack.simulator.ledger().call(&name).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        waiting.abort();
        let _ = waiting.await;
        // The connection is a task of its own: let it see that nobody waits.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let record = stack.api().record_of_run(&name).unwrap();
        assert_eq!(record["outcome"], "client_abort", "{name}: {record}");
        assert_eq!(record["cost_status"], "estimated", "{name}: {record}");
    }
}

#[tokio::test]
async fn a_huge_last_event_is_metered() {
    let stack = stack();
    let instructions = "Count every token. ".repeat(20_000);
    let body = json!({"model": "gpt-5.1", "stream": true, "input": "hi", "instructions": instructions});
    let call = Call::post("/openai/v1/responses", &body).header("x-sim-call", "huge");
    let reply = stack.send(call).await.unwrap();
    assert!(reply.body.len() > 1_000_000, "the instructions come back three times");
    let served = stack.simulator.ledger().call("huge").unwrap();
    books::same(&stack.record_of(&reply).unwrap(), &served).unwrap();
}

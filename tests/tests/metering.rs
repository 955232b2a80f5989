//! Every call's tokens and cost, from the providers' official SDKs and from every shape of answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use serde_json::{Value, json};
use tollgate_simulator::fingerprint;
use tollgate_tests::books;
use tollgate_tests::http::{Call, Reply};
use tollgate_tests::sdk;
use tollgate_tests::stack::{Held, Slot, Stack};

static STACK: Slot = Slot::new();

fn stack() -> Held {
    Stack::shared(&STACK, "metering")
}

#[test]
fn openai_sdk_calls_are_recorded_as_the_provider_billed_them() {
    sdk_calls_agree("openai_calls.py", 16);
}

#[test]
fn anthropic_sdk_calls_are_recorded_as_the_provider_billed_them() {
    sdk_calls_agree("anthropic_calls.py", 8);
}

#[test]
fn gemini_sdk_calls_are_recorded_as_the_provider_billed_them() {
    sdk_calls_agree("gemini_calls.py", 8);
}

/// Runs a script of SDK calls: what the SDK saw, what the provider served, and our record must be the same.
fn sdk_calls_agree(script: &str, calls: usize) {
    let stack = stack();
    let seen = sdk::run(script, stack.gateway()).unwrap();
    assert_eq!(seen.len(), calls, "{script} made other calls than this test knows");
    for seen in seen {
        let call = seen["call"].as_str().unwrap();
        let served = stack.simulator.ledger().call(call).unwrap_or_else(|| panic!("{call} did not arrive"));
        assert_eq!(seen["input"], served.tokens.input, "{call}: input tokens that the SDK saw");
        assert_eq!(seen["output"], served.tokens.output, "{call}: output tokens that the SDK saw");
        assert_ne!(seen["text"], "", "{call}: the SDK saw no text");
        let record = stack.api().record_of_run(call).unwrap();
        books::same(&record, &served).unwrap_or_else(|error| panic!("{call}: {error}"));
        assert_eq!(record["cost_status"], "measured", "{call}");
        assert_eq!(record["outcome"], "ok", "{call}");
        assert_eq!(record["stream"], served.stream, "{call}");
        assert_eq!(record["team"], "sdk", "{call}");
    }
    assert_eq!(stack.simulator.ledger().violations(), Vec::<String>::new());
}

/// A call of each kind: its name, and the call.
fn every_kind() -> Vec<(&'static str, Call)> {
    let chat = |rest: Value| {
        let mut body = json!({"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        Call::post("/openai/v1/chat/completions", &body)
    };
    let messages = |stream: bool| {
        let body = json!({"model": "claude-haiku-4-5", "max_tokens": 500, "stream": stream, "messages": []});
        Call::post("/anthropic/v1/messages", &body)
    };
    let gemini = |verb: &str| {
        let body = json!({"contents": [{"parts": [{"text": "hi"}]}]});
        Call::post(&format!("/gemini/v1beta/models/gemini-2.5-flash:{verb}"), &body)
    };
    let responses = |stream: bool| {
        let body = json!({"model": "gpt-5.1", "input": "hi", "stream": stream});
        Call::post("/openai/v1/responses", &body)
    };
    vec![
        ("chat", chat(json!({}))),
        ("chat-stream", chat(json!({"stream": true, "stream_options": {"include_usage": true}}))),
        ("responses", responses(false)),
        ("responses-stream", responses(true)),
        (
            "embeddings",
            Call::post("/openai/v1/embeddings", &json!({"model": "text-embedding-3-small", "input": "x"})),
        ),
        ("messages", messages(false)),
        ("messages-stream", messages(true)),
        ("gemini", gemini("generateContent")),
        ("gemini-sse", gemini("streamGenerateContent?alt=sse")),
        ("gemini-array", gemini("streamGenerateContent")),
    ]
}

/// Sends the call with these orders to the simulator; asserts that the bytes passed unchanged.
async fn send(stack: &Stack, name: &str, call: Call, orders: &str) -> Reply {
    let call = call.header("x-sim-call", name).header("x-sim", orders);
    let reply = stack.send(call).await.unwrap();
    let served = stack.simulator.ledger().call(name).unwrap_or_else(|| panic!("{name} did not arrive"));
    assert_eq!(reply.status, served.status, "{name}");
    assert!(reply.complete, "{name}: the answer broke off");
    assert_eq!(reply.body.len(), served.body_bytes, "{name}: bytes of the answer");
    assert_eq!(fingerprint(&reply.body), served.body_fingerprint, "{name}: the answer was changed");
    reply
}

#[tokio::test]
async fn any_cut_of_an_answer_gives_the_same_record_and_the_same_bytes() {
    let stack = stack();
    for (kind, call) in every_kind() {
        for cut in ["1", "7", "1000", "random", "event", "all"] {
            let name = format!("cut-{kind}-{cut}");
            let orders = format!("cut={cut};events=12");
            let reply = send(&stack, &name, call.clone(), &orders).await;
            let record = stack.record_of(&reply).unwrap();
            let served = stack.simulator.ledger().call(&name).unwrap();
            books::same(&record, &served).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(record["cost_status"], "measured", "{name}");
            assert_eq!(record["response_bytes"], served.body_bytes, "{name}");
            assert_eq!(record["request_bytes"], served.received.body_bytes, "{name}");
        }
    }
}

#[tokio::test]
async fn the_provider_is_asked_for_plain_bytes_and_gets_the_body_unchanged() {
    let stack = stack();
    for (kind, call) in every_kind() {
        let name = format!("plain-{kind}");
        send(&stack, &name, call.header("accept-encoding", "gzip, br, zstd"), "").await;
        let received = stack.simulator.ledger().call(&name).unwrap().received;
        assert_eq!(received.header("accept-encoding").as_deref(), Some("identity"), "{name}");
    }
    let body = "x".repeat(3_000_000);
    let body = json!({"model": "gpt-5-mini", "messages": [{"role": "user", "content": body}]}).to_string();
    let call = Call::post_bytes("/openai/v1/chat/completions", body.clone());
    let reply = send(&stack, "plain-big", call, "").await;
    let served = stack.simulator.ledger().call("plain-big").unwrap();
    assert_eq!(served.received.body_fingerprint, fingerprint(body.as_bytes()));
    books::same(&stack.record_of(&reply).unwrap(), &served).unwrap();
}

#[tokio::test]
async fn error_answers_pass_unchanged_and_are_free() {
    let stack = stack();
    for (kind, call) in every_kind() {
        for status in [400, 429, 500, 529] {
            let name = format!("error-{kind}-{status}");
            let reply = send(&stack, &name, call.clone(), &format!("fault={status}")).await;
            let record = stack.record_of(&reply).unwrap();
            assert_eq!(record["outcome"], "error", "{name}");
            assert_eq!(record["status"], status, "{name}");
            assert_eq!(record["cost_usd"], "0.000000000000", "{name}: {record}");
            assert_eq!(record["cost_status"], "free", "{name}: {record}");
        }
    }
}

#[tokio::test]
async fn an_answer_compressed_unasked_passes_and_is_metered_or_says_why_not() {
    let stack = stack();
    for (kind, call) in every_kind() {
        let name = format!("gzip-{kind}");
        let reply = send(&stack, &name, call, "fault=gzip").await;
        assert_eq!(reply.header("content-encoding").as_deref(), Some("gzip"), "{name}");
        let record = stack.record_of(&reply).unwrap();
        if record["cost_status"] == "measured" {
            books::same(&record, &stack.simulator.ledger().call(&name).unwrap()).unwrap();
        } else {
            assert_eq!(record["notes"], json!(["unread_encoding"]), "{name}: {record}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_what_it_says_passes_and_is_recorded_as_such() {
    let stack = stack();
    let mut silent = Vec::new();
    for (kind, call) in every_kind() {
        for fault in ["malformed", "content-type"] {
            let name = format!("{fault}-{kind}");
            let reply = send(&stack, &name, call.clone(), &format!("fault={fault};cut=event")).await;
            let record = stack.record_of(&reply).unwrap();
            let served = stack.simulator.ledger().call(&name).unwrap();
            // Measured is what the provider reported; all else says what is wrong.
            let right = record["cost_status"] == "measured" && books::same(&record, &served).is_ok();
            let noted = record["cost_status"] != "measured" && record["notes"].is_array();
            if !(right || noted) {
                silent.push(format!("{name}: {record}"));
            }
        }
    }
    assert!(silent.is_empty(), "recorded as if nothing were wrong:\n{}", silent.join("\n"));
}

#[tokio::test]
async fn an_unknown_model_is_unpriced_with_its_tokens_kept() {
    let stack = stack();
    let body = json!({"model": "gpt-from-the-future", "messages": []});
    let call = Call::post("/openai/v1/chat/completions", &body);
    let reply = send(&stack, "unpriced", call, "input=100;output=10").await;
    let record = stack.record_of(&reply).unwrap();
    assert_eq!(record["cost_status"], "unpriced");
    assert_eq!(record["cost_usd"], "0.000000000000");
    assert_eq!(record["usage"]["input_tokens"], 100);
    assert_eq!(record["usage"]["output_tokens"], 10);
}

#[tokio::test]
async fn a_stream_is_measured_though_the_caller_did_not_ask_and_shows_it_nothing_of_it() {
    let stack = stack();
    let body = json!({"model": "gpt-4.1-mini", "stream": true, "messages": [{"role": "user", "content": "hi there"}]});
    // Also where the provider calls its stream something else.
    for (cut, fault) in [("event", ""), ("7", ""), ("1000", ""), ("event", ";fault=content-type")] {
        let name = format!("asked-{cut}{fault}");
        let call = Call::post("/openai/v1/chat/completions", &body);
        // Not `send`, which asserts that the caller gets every byte.
        let call = call.header("x-sim-call", &name).header("x-sim", format!("events=20;cut={cut}{fault}"));
        let reply = stack.send(call).await.unwrap();
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
        assert!(!text.contains("\"choices\":[]"), "the extra chunk is taken out: {text}");
        let record = stack.record_of(&reply).unwrap();
        assert_eq!(record["cost_status"], "measured", "{record}");
        books::same(&record, &stack.simulator.ledger().call(&name).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_stream_without_usage_is_estimated_and_says_so() {
    let stack = stack();
    // Too large to wait for, so that usage cannot be asked for.
    let question = "hi there ".repeat(40_000);
    let body =
        json!({"model": "gpt-4.1-mini", "stream": true, "messages": [{"role": "user", "content": question}]});
    let call = Call::post("/openai/v1/chat/completions", &body);
    let reply = send(&stack, "no-usage", call, "events=20").await;
    let record = stack.record_of(&reply).unwrap();
    assert_eq!(record["cost_status"], "estimated", "{record}");
    assert_eq!(record["notes"], json!(["no_usage"]), "{record}");
    assert!(books::pico(record["cost_usd"].as_str().unwrap()).unwrap() > 0, "{record}");
}

#[tokio::test]
async fn an_operation_without_a_price_is_free() {
    let stack = stack();
    for (name, call) in [
        ("models", Call::get("/openai/v1/models")),
        (
            "count-tokens",
            Call::post("/anthropic/v1/messages/count_tokens", &json!({"model": "claude-haiku-4-5"})),
        ),
        ("gemini-count", Call::post("/gemini/v1beta/models/gemini-2.5-pro:countTokens", &json!({}))),
    ] {
        let reply = send(&stack, name, call, "").await;
        if let Some(id) = reply.header("x-tollgate-call") {
            let record = stack.api().record(&id).unwrap();
            assert_eq!(record["cost_status"], "free", "{name}: {record}");
            assert_eq!(record["cost_usd"], "0.000000000000", "{name}: {record}");
        }
    }
}

#[tokio::test]
async fn the_access_log_holds_the_record_and_its_cost() {
    let stack = stack();
    let (_, call) = every_kind().remove(0);
    let call = call.header("x-tollgate-agent", "logged");
    // A gateway gets the prices of a model when it first sees it; until then its log says `unpriced`.
    let mut tries = 0;
    let (record, line) = loop {
        tries += 1;
        assert!(tries < 30, "the gateway does not get the price of a model that it sees");
        let reply = send(&stack, "logged", call.clone(), "input=1000;output=100").await;
        let record = stack.record_of(&reply).unwrap();
        let line = logged(&stack, record["id"].as_str().unwrap());
        assert_eq!(record["cost_status"], "measured", "priced on arrival at the latest");
        if line["cost_status"] != "unpriced" {
            break (record, line);
        }
        assert_eq!(line["cost_usd"], "0.000000000000");
    };
    let id = record["id"].as_str().unwrap();
    assert_eq!(line["cost_usd"], record["cost_usd"]);
    assert_eq!(line["agent"], "logged");
    assert_eq!(line["team"], "unattributed");
    assert_eq!(line["input_tokens"], "1000");
    assert_eq!(line["output_tokens"], "100");
    assert_eq!(line["cost_status"], "measured");
    let whole: Value = serde_json::from_str(line["record"].as_str().unwrap()).unwrap();
    assert_eq!(whole["id"], id);
    assert_eq!(whole["cost_usd"], record["cost_usd"]);
    assert_eq!(whole["usage"], record["usage"]);
}

/// The line of the access log that names this call; Envoy writes it with a delay of its own.
fn logged(stack: &Stack, id: &str) -> Value {
    let path = stack.with(|product| product.access_log.clone());
    for _ in 0..200 {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(line) = log.lines().find(|line| line.contains(&format!("\"call\":\"{id}\""))) {
            return serde_json::from_str(line).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("call {id} is not in the access log");
}

//! Realtime sessions over a websocket: each turn is a record, right by the provider's own ledger.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tollgate_simulator::websocket::{Messages, frames};
use tollgate_tests::burst;
use tollgate_tests::stack::{Held, Setup, Slot, Stack};

static STACK: Slot = Slot::new();

fn stack() -> Held {
    Stack::shared(&STACK, "sessions")
}

/// A caller's end of a session.
struct Session {
    socket: TcpStream,
    messages: Messages,
    /// The answer's head.
    head: String,
}

impl Session {
    async fn open(stack: &Stack, name: &str) -> Self {
        Self::open_at(stack, "/openai/v1/realtime?model=gpt-realtime", name).await
    }

    async fn open_at(stack: &Stack, path: &str, name: &str) -> Self {
        let mut socket = TcpStream::connect(stack.gateway()).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-extensions: permessage-deflate\r\nx-sim-call: {name}\r\nx-tollgate-run: {name}\r\n\
             x-tollgate-agent: voice\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        let end = loop {
            if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            let mut buffer = [0; 1_024];
            let size = socket.read(&mut buffer).await.unwrap();
            assert!(size > 0, "closed: {}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&buffer[..size]);
        };
        let mut messages = Messages::default();
        messages.read(&read[end..]);
        Self { socket, messages, head: String::from_utf8_lossy(&read[..end]).into_owned() }
    }

    /// The next event of this type.
    async fn event(&mut self, kind: &str) -> Value {
        loop {
            while let Some(message) = self.messages.take_text() {
                let event: Value = serde_json::from_str(&message).unwrap();
                if event["type"] == kind || event.get(kind).is_some() {
                    return event;
                }
            }
            let mut buffer = [0; 4_096];
            let size = self.socket.read(&mut buffer).await.unwrap();
            assert!(size > 0, "the session ended before {kind}");
            self.messages.read(&buffer[..size]);
        }
    }

    /// Sends an event in masked frames of so many bytes, byte by byte where `slowly`.
    async fn say(&mut self, event: &Value, piece_max: usize, slowly: bool) {
        let bytes = frames(&event.to_string(), piece_max, Some([0x37, 0xfa, 0x21, 0x3d]));
        let step = if slowly { 5 } else { bytes.len() };
        for piece in bytes.chunks(step) {
            self.socket.write_all(piece).await.unwrap();
            self.socket.flush().await.unwrap();
        }
    }
}

fn of_run(records: &BTreeMap<String, Value>, run: &str) -> Vec<Value> {
    records.values().filter(|record| record["run"] == run).cloned().collect()
}

#[tokio::test]
async fn each_turn_is_a_record_with_the_providers_usage() {
    let stack = stack();
    let mut session = Session::open(&stack, "turns").await;
    assert!(session.head.starts_with("HTTP/1.1 101"), "{}", session.head);
    session.event("session.created").await;
    let item = json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "How far is the moon? ".repeat(40)}]}});
    for (piece_max, slowly) in [(4_000, false), (7, false), (60, true)] {
        session.say(&item, piece_max, slowly).await;
        session.say(&json!({"type": "response.create"}), piece_max, slowly).await;
        session.event("response.done").await;
    }
    // Turns are recorded while the session goes on.
    let records = stack.api().wait_for(|records| of_run(records, "turns").len() == 3).unwrap();
    drop(session);
    let ledger = stack.simulator.ledger();
    let mut told: Vec<(u64, u64)> = of_run(&records, "turns")
        .iter()
        .map(|record| {
            assert_eq!(
                (&record["operation"], &record["agent"]),
                (&json!("realtime"), &json!("voice")),
                "{record}"
            );
            assert_eq!(
                (&record["response_model"], &record["cost_status"]),
                (&json!("gpt-realtime"), &json!("measured"))
            );
            let count = |name: &str| record["usage"][name].as_u64().unwrap();
            (count("input_tokens"), count("output_tokens"))
        })
        .collect();
    let mut served: Vec<(u64, u64)> = (1..=3)
        .map(|turn| {
            let line = ledger.call(&format!("turns-{turn}")).unwrap();
            assert_eq!(
                line.received.header("sec-websocket-extensions"),
                None,
                "compressed frames could not be read"
            );
            assert_eq!(line.received.header("x-tollgate-agent"), None);
            (line.tokens.input, line.tokens.output)
        })
        .collect();
    told.sort_unstable();
    served.sort_unstable();
    assert_eq!(told, served);
}

#[tokio::test]
async fn a_hang_up_in_the_middle_of_a_turn_keeps_the_turns_before_and_estimates_it() {
    let stack = stack();
    let mut session = Session::open(&stack, "left").await;
    session.event("session.created").await;
    session.say(&json!({"type": "response.create"}), 10, false).await;
    session.event("response.done").await;
    session.say(&json!({"type": "response.create"}), 10, false).await;
    session.event("response.output_text.delta").await;
    drop(session);
    let records = stack.api().wait_for(|records| of_run(records, "left").len() == 2).unwrap();
    let (measured, broken): (Vec<Value>, Vec<Value>) =
        of_run(&records, "left").into_iter().partition(|record| record["cost_status"] == "measured");
    let line = stack.simulator.ledger().call("left-1").unwrap();
    assert_eq!(measured.len(), 1, "{records:?}");
    assert_eq!(measured[0]["usage"]["input_tokens"], line.tokens.input);
    assert_eq!(measured[0]["usage"]["output_tokens"], line.tokens.output);
    assert_eq!(
        (&broken[0]["cost_status"], &broken[0]["outcome"], &broken[0]["usage_estimated"]),
        (&json!("estimated"), &json!("client_abort"), &json!(true)),
        "{broken:?}"
    );
    let read = broken[0]["usage"]["input_tokens"].as_u64().unwrap();
    assert!(read >= line.tokens.input + line.tokens.output, "the turn before is read again: {read}");
    assert!(broken[0]["usage"]["output_tokens"].as_u64().unwrap() > 0);
    assert_ne!(broken[0]["cost_usd"], "0.000000000000");
}

#[tokio::test]
async fn a_session_in_which_nobody_spoke_costs_nothing() {
    let stack = stack();
    let mut session = Session::open(&stack, "silent").await;
    session.event("session.created").await;
    drop(session);
    let records = stack.api().wait_for(|records| !of_run(records, "silent").is_empty()).unwrap();
    let record = &of_run(&records, "silent")[0];
    assert_eq!(
        (&record["cost_usd"], &record["cost_status"]),
        (&json!("0.000000000000"), &json!("free")),
        "{record}"
    );
}

#[tokio::test]
async fn a_session_ends_where_no_budget_has_another_turn() {
    let budgets = "[[budgets]]\nname = 'turns'\nlimit_calls = 2\nwindow = 'prepaid'\n".to_owned();
    let setup = Setup { name: "session-budget", collector_config: budgets, ..Setup::default() };
    let stack = Stack::set_up(&setup).unwrap();
    let mut session = Session::open(&stack, "spent").await;
    session.event("session.created").await;
    for _ in 0..2 {
        session.say(&json!({"type": "response.create"}), 100, false).await;
        session.event("response.done").await;
    }
    // The collector is asked for a third; a caller that goes on talking is told what it says.
    let mut error = None;
    for _ in 0..40 {
        let silence = json!({"type": "input_audio_buffer.append", "audio": "AAAA"});
        session.say(&silence, 100, false).await;
        let told = session.event("error");
        if let Ok(event) = tokio::time::timeout(std::time::Duration::from_millis(250), told).await {
            error = Some(event);
            break;
        }
    }
    let error = error.expect("the caller is told");
    assert_eq!(error["error"]["code"], "insufficient_quota", "{error}");
    assert!(error["error"]["message"].as_str().unwrap().contains("`turns`"), "{error}");
    session.say(&json!({"type": "response.create"}), 100, false).await;
    let row = burst::budget(&stack.api(), "turns", |row| row["used"] == 2 && row["held"] == 0).unwrap();
    assert_eq!((&row["kept"], &row["in_flight"]), (&json!(0), &json!(0)), "{row:#}");
    assert!(stack.simulator.ledger().call("spent-3").is_none(), "the provider gets no third");
}

fn request(model: &str, max_output_tokens: u64) -> Value {
    json!({"type": "response.create", "model": model, "max_output_tokens": max_output_tokens, "input": "How far is the moon?"})
}

#[tokio::test]
async fn each_request_in_the_websocket_of_responses_is_a_record_of_its_model() {
    let stack = stack();
    let mut session = Session::open_at(&stack, "/openai/v1/responses", "asked").await;
    assert!(session.head.starts_with("HTTP/1.1 101"), "{}", session.head);
    for (model, piece_max, slowly) in
        [("gpt-5-mini", 4_000, false), ("gpt-4.1-mini", 7, false), ("gpt-5-mini", 60, true)]
    {
        session.say(&request(model, 400), piece_max, slowly).await;
        session.event("response.completed").await;
    }
    let records = stack.api().wait_for(|records| of_run(records, "asked").len() == 3).unwrap();
    drop(session);
    let mut told: Vec<(String, u64, u64)> = of_run(&records, "asked")
        .iter()
        .map(|record| {
            assert_eq!(
                (&record["operation"], &record["cost_status"]),
                (&json!("chat"), &json!("measured")),
                "{record}"
            );
            assert_eq!(record["request_model"], record["response_model"]);
            let count = |name: &str| record["usage"][name].as_u64().unwrap();
            let model = record["request_model"].as_str().unwrap().to_owned();
            (model, count("input_tokens"), count("output_tokens"))
        })
        .collect();
    let ledger = stack.simulator.ledger();
    let served = |turn| {
        let line = ledger.call(&format!("asked-{turn}")).unwrap();
        (line.request_model.clone(), line.tokens.input, line.tokens.output)
    };
    let mut served: Vec<_> = (1..=3).map(served).collect();
    told.sort_unstable();
    served.sort_unstable();
    assert_eq!(told, served);
}

#[tokio::test]
async fn a_request_in_the_websocket_of_responses_that_no_budget_covers_reaches_no_provider() {
    let budgets = "[[budgets]]\nname = 'small'\nlimit_usd = '0.01'\nwindow = 'prepaid'\n".to_owned();
    let setup = Setup { name: "responses-budget", collector_config: budgets, ..Setup::default() };
    let stack = Stack::set_up(&setup).unwrap();
    let mut session = Session::open_at(&stack, "/openai/v1/responses", "covered").await;
    session.say(&request("gpt-5-mini", 1_000), 4_000, false).await;
    session.event("response.completed").await;
    session.say(&request("gpt-5-mini", 100_000), 4_000, false).await;
    let told = tokio::time::timeout(std::time::Duration::from_secs(5), session.event("error")).await;
    let error = told.expect("the caller is told");
    assert!(error["error"]["message"].as_str().unwrap().contains("`small`"), "{error}");
    drop(session);
    // A session that begins with what is not covered.
    let mut session = Session::open_at(&stack, "/openai/v1/responses", "dear").await;
    session.say(&request("gpt-5-mini", 100_000), 50, true).await;
    let records = stack
        .api()
        .wait_for(|records| of_run(records, "dear").iter().any(|record| record["outcome"] == "denied"))
        .unwrap();
    assert_eq!(of_run(&records, "covered").iter().filter(|record| record["outcome"] == "denied").count(), 1);
    drop(session);
    let row = burst::budget(&stack.api(), "small", |row| row["held"] == "0.000000000000" || row["held"] == 0)
        .unwrap();
    assert_eq!(row["in_flight"], json!(0), "{row:#}");
    for turn in ["covered-2", "dear-1"] {
        assert!(stack.simulator.ledger().call(turn).is_none(), "the provider gets no {turn}");
    }
}

const LIVE: &str = "/gemini/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";

#[tokio::test]
async fn the_model_of_a_live_session_is_the_one_that_it_is_set_up_with() {
    let stack = stack();
    let mut session = Session::open_at(&stack, LIVE, "live").await;
    session.say(&json!({"setup": {"model": "models/gemini-2.0-flash-live-001"}}), 20, false).await;
    session.event("setupComplete").await;
    let question = json!({"clientContent": {"turns": [{"parts": [{"text": "How far is the moon?"}]}], "turnComplete": true}});
    session.say(&question, 4_000, false).await;
    session.event("usageMetadata").await;
    let records = stack.api().wait_for(|records| !of_run(records, "live").is_empty()).unwrap();
    let record = &of_run(&records, "live")[0];
    let line = stack.simulator.ledger().call("live-1").unwrap();
    assert_eq!(record["request_model"], "models/gemini-2.0-flash-live-001", "{record}");
    assert_eq!(record["usage"]["output_tokens"], line.tokens.output);
}

#[tokio::test]
async fn a_live_session_is_held_for_when_its_model_is_known() {
    let budgets = "[[budgets]]\nname = 'tiny'\nlimit_tokens = 10\nwindow = 'prepaid'\n".to_owned();
    let setup = Setup { name: "live-budget", collector_config: budgets, ..Setup::default() };
    let stack = Stack::set_up(&setup).unwrap();
    let mut session = Session::open_at(&stack, LIVE, "broke").await;
    session.say(&json!({"setup": {"model": "models/gemini-2.0-flash-live-001"}}), 4_000, false).await;
    let records = stack
        .api()
        .wait_for(|records| of_run(records, "broke").iter().any(|record| record["outcome"] == "denied"))
        .unwrap();
    assert_eq!(of_run(&records, "broke")[0]["request_model"], "models/gemini-2.0-flash-live-001");
    assert!(stack.simulator.ledger().call("broke-1").is_none());
}

#[tokio::test]
async fn an_upgrade_that_cannot_be_metered_is_recorded_or_refused() {
    let stack = stack();
    let session = Session::open_at(&stack, "/openai/v1/something/new", "unknown").await;
    assert!(session.head.starts_with("HTTP/1.1 101"), "{}", session.head);
    drop(session);
    let records = stack.api().wait_for(|records| !of_run(records, "unknown").is_empty()).unwrap();
    let record = &of_run(&records, "unknown")[0];
    assert_eq!(
        (&record["cost_status"], &record["notes"]),
        (&json!("unpriced"), &json!(["not_read"])),
        "{record}"
    );
    for (unmetered, status) in [("deny", "403"), ("allow", "101")] {
        let budgets = format!(
            "[[budgets]]\nname = 'b'\nlimit_usd = '5'\nwindow = 'day'\nscope = {{ model = 'gpt-5' }}\nunmetered = '{unmetered}'\n"
        );
        let name = if unmetered == "deny" { "unmetered-deny" } else { "unmetered-allow" };
        let setup = Setup { name, collector_config: budgets, ..Setup::default() };
        let stack = Stack::set_up(&setup).unwrap();
        let session = Session::open_at(&stack, "/openai/v1/something/new", "unknown").await;
        assert!(session.head.starts_with(&format!("HTTP/1.1 {status}")), "{}", session.head);
    }
}

/// Says all of these at once and reads until the session ends, or nothing comes for a while; gives what the
/// provider said.
async fn pipelined(session: &mut Session, events: &[Value]) -> Vec<Value> {
    let bytes: Vec<u8> = events
        .iter()
        .flat_map(|event| frames(&event.to_string(), 4_000, Some([0x37, 0xfa, 0x21, 0x3d])))
        .collect();
    let Session { socket, messages, .. } = session;
    let (mut reading, mut writing) = socket.split();
    let write = async {
        let _ = writing.write_all(&bytes).await;
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    let read = async {
        let mut buffer = [0; 4_096];
        let patience = std::time::Duration::from_secs(3);
        while let Ok(Ok(size @ 1..)) = tokio::time::timeout(patience, reading.read(&mut buffer)).await {
            messages.read(&buffer[..size]);
            while let Some(message) = messages.take_text() {
                said.push(serde_json::from_str(&message).unwrap());
            }
        }
    };
    tokio::select! { () = write => {} () = read => {} }
    said
}

#[tokio::test]
async fn turns_that_are_asked_for_at_once_pass_no_budget_and_leave_records() {
    let budgets = "[[budgets]]\nname = 'turns'\nlimit_calls = 8\nwindow = 'prepaid'\n".to_owned();
    let setup = Setup { name: "pipelined", collector_config: budgets, ..Setup::default() };
    let stack = Stack::set_up(&setup).unwrap();
    let create = json!({"type": "response.create"});
    let question =
        json!({"clientContent": {"turns": [{"parts": [{"text": "How far?"}]}], "turnComplete": true}});
    let served = |name: &str| {
        let ledger = stack.simulator.ledger();
        (1..50).filter(|turn| ledger.call(&format!("{name}-{turn}")).is_some()).count()
    };
    // Three at once have room, and all of them are answered.
    let mut session = Session::open(&stack, "few").await;
    session.event("session.created").await;
    let said = pipelined(&mut session, &[create.clone(), create.clone(), create.clone()]).await;
    assert_eq!(said.iter().filter(|event| event["type"] == "response.done").count(), 3, "{said:?}");
    drop(session);
    // Of what follows some passes, and is cut.
    let mut session = Session::open_at(&stack, LIVE, "flood").await;
    session.say(&json!({"setup": {"model": "models/gemini-2.0-flash-live-001"}}), 4_000, false).await;
    session.event("setupComplete").await;
    session.say(&question, 4_000, false).await;
    session.say(&question, 4_000, false).await;
    pipelined(&mut session, &vec![question; 3_000]).await;
    drop(session);
    let mut session = Session::open(&stack, "more").await;
    session.event("session.created").await;
    pipelined(&mut session, &vec![create; 3_000]).await;
    drop(session);
    let total = served("few") + served("flood") + served("more");
    assert!(total <= 8, "{total} turns reached the provider");
    let row = burst::budget(&stack.api(), "turns", |row| row["held"] == 0 && row["in_flight"] == 0).unwrap();
    let records = stack.api().records().unwrap();
    let left =
        |run: &str| of_run(&records, run).iter().filter(|record| record["outcome"] != "denied").count();
    for run in ["few", "flood", "more"] {
        assert!(left(run) >= served(run), "{run}: {} records of {} turns", left(run), served(run));
    }
    // A session in which nothing was asked for is a call, too.
    let recorded = records.values().filter(|record| record["outcome"] != "denied").count();
    assert_eq!(row["used"].as_u64(), Some(recorded as u64), "{row:#} {records:#?}");
}

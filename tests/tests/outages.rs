//! What breaks must not lose or double a record: a collector that is away or killed, a filter that dies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::time::Duration;

use serde_json::json;
use tollgate_tests::artifacts;
use tollgate_tests::books;
use tollgate_tests::http::{Call, Reply};
use tollgate_tests::stack::{Setup, Stack};

async fn call(stack: &Stack, name: &str) -> Reply {
    let body = json!({"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]});
    let call = Call::post("/openai/v1/chat/completions", &body).header("x-sim-call", name);
    stack.send(call).await.unwrap()
}

/// Every call that the ledger has is a record with the same numbers, and there is no other.
fn books_agree(stack: &Stack, ids: &[(String, String)]) {
    let records = stack.api().wait_for_records(ids.len()).unwrap();
    for (name, id) in ids {
        let record = records.get(id).unwrap_or_else(|| panic!("call {name} ({id}) was lost"));
        let served = stack.simulator.ledger().call(name).unwrap();
        books::same(record, &served).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert_eq!(records.len(), ids.len(), "records that nobody sent");
}

/// A sync request to a collector of which all but the last byte is sent.
fn half_request(stack: &Stack, number: u64) -> std::net::TcpStream {
    use std::io::Write as _;
    let (address, token) =
        stack.with(|product| (product.collector.address(), product.collector.token_file()));
    let token = std::fs::read_to_string(token).unwrap();
    let body =
        json!({"protocol": 1, "gateway": "slow", "instance": "slow", "sequence": number, "sent_at_ms": 0,
        "records": []})
        .to_string();
    let head = format!(
        "POST /v1/sync HTTP/1.1\r\nhost: c\r\nauthorization: Bearer {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        token.trim(),
        body.len()
    );
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body.as_bytes()[..body.len() - 1]).unwrap();
    stream
}

/// Makes these calls; adds the name and record id of each.
async fn call_all(stack: &Stack, numbers: std::ops::Range<u32>, ids: &mut Vec<(String, String)>) {
    for number in numbers {
        let name = format!("call-{number}");
        let reply = call(stack, &name).await;
        assert_eq!(reply.status, 200, "{name}");
        ids.push((name, reply.header("x-tollgate-call").unwrap()));
    }
}

#[tokio::test]
async fn half_requests_to_the_collector_slow_no_gateway_down() {
    let stack = Stack::start("busy").unwrap();
    let mut ids = Vec::new();
    call_all(&stack, 0..10, &mut ids).await;
    // More than are stored at a time, all but the last byte of each.
    let places: Vec<_> = (0..64).map(|number| half_request(&stack, number)).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = std::time::Instant::now();
    call_all(&stack, 10..40, &mut ids).await;
    books_agree(&stack, &ids);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(places);
    let accounts = stack.api().get("/api/v1/accounts").unwrap();
    assert_eq!((&accounts["balanced"], &accounts["dropped"]), (&json!(true), &json!({})), "{accounts}");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_call_and_no_record() {
    let stack = Stack::start("outage").unwrap();
    let mut ids = Vec::new();
    call_all(&stack, 0..20, &mut ids).await;
    stack.with(|product| product.collector.stop());
    call_all(&stack, 20..60, &mut ids).await;
    stack.with(|product| product.collector.restart()).unwrap();
    call_all(&stack, 60..80, &mut ids).await;
    // Killed at any moment, with syncs on their way: what was not acknowledged comes again, once.
    for round in 0..5_u32 {
        let from = 80 + round * 20;
        call_all(&stack, from..from + 20, &mut ids).await;
        stack.with(|product| {
            product.collector.kill();
            std::thread::sleep(Duration::from_millis(50));
            product.collector.restart().unwrap();
        });
    }
    books_agree(&stack, &ids);
    let summary = stack.api().get("/api/v1/summary?by=team&since=1d").unwrap();
    assert_eq!(summary["total"]["calls"], ids.len(), "the rollups count each record once");
}

#[tokio::test]
async fn a_filter_that_panics_loses_nothing_that_was_settled() {
    // A long interval: what was settled before the panic is still on its way when it comes.
    let setup = Setup {
        name: "panic",
        module: Some(artifacts::build_panicking_filter().unwrap()),
        plugin: json!({"collector": {"interval_ms": 1000}}),
        ..Setup::default()
    };
    let stack = Stack::set_up(&setup).unwrap();
    let mut ids = Vec::new();
    for callback in CALLBACKS {
        for number in 0..10 {
            let name = format!("before-{callback}-{number}");
            let reply = call(&stack, &name).await;
            assert_eq!(reply.status, 200, "{name}: the module is back");
            ids.push((name, reply.header("x-tollgate-call").unwrap()));
        }
        let body = json!({"model": "gpt-5-mini", "messages": []});
        let fatal = Call::post("/openai/v1/chat/completions", &body)
            .header("x-sim-call", format!("fatal-{callback}"))
            .header("x-tollgate-test-panic", callback);
        // Its own answer may be an error or broken off; that is not the point here.
        let _ = stack.send(fatal).await;
        wait_until_back(&stack).await;
    }
    let records = stack.api().wait_for(|records| ids.iter().all(|(_, id)| records.contains_key(id)));
    let records = records.unwrap_or_else(|error| panic!("settled calls were lost: {error:#}"));
    for (name, id) in &ids {
        let served = stack.simulator.ledger().call(name).unwrap();
        books::same(&records[id], &served).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// The module of a worker is made anew a second after its death, by the next call.
async fn wait_until_back(stack: &Stack) {
    let mut in_a_row = 0;
    for _ in 0..300 {
        let probe = stack.send(Call::get("/openai/v1/models")).await;
        let answered = probe.is_ok_and(|reply| reply.status == 200 && reply.complete);
        in_a_row = if answered { in_a_row + 1 } else { 0 };
        // Connections go to either worker: enough of them in a row have met both.
        if in_a_row == 12 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the module did not come back");
}

/// Where the test build of the filter can be made to panic.
const CALLBACKS: [&str; 6] =
    ["request_headers", "request_body", "response_headers", "response_body", "log", "tick"];

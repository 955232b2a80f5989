//! Many calls at once, on two workers: nothing lost, nothing double.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tollgate_simulator::Random;
use tollgate_tests::books;
use tollgate_tests::http::Call;
use tollgate_tests::stack::Stack;

#[tokio::test]
async fn five_hundred_calls_at_once_are_all_recorded_once() {
    let stack = Arc::new(Stack::start("concurrency").unwrap());
    let calls: Vec<_> = (0..CALLS).map(|number| tokio::spawn(one(Arc::clone(&stack), number))).collect();
    let mut ids = BTreeMap::new();
    for call in calls {
        let (name, id) = call.await.unwrap();
        assert!(ids.insert(id.clone(), name).is_none(), "{id} came twice");
    }
    let records = stack.api().wait_for_records(CALLS).unwrap();
    assert_eq!(records.len(), CALLS, "every call is one record");
    let mut expected = 0;
    for (id, name) in &ids {
        let served = stack.simulator.ledger().call(name).unwrap();
        let record = records.get(id).unwrap_or_else(|| panic!("{name} ({id}) was lost"));
        books::same(record, &served).unwrap_or_else(|error| panic!("{name}: {error}"));
        expected += served.cost_pico.unwrap();
    }
    let summary = stack.api().get("/api/v1/summary?by=team&since=1d").unwrap();
    assert_eq!(summary["total"]["calls"], CALLS);
    assert_eq!(summary["total"]["cost_usd"], books::dollars(expected));
    let busy: Vec<u64> = stack.with(|product| {
        let per_worker = |worker| {
            product.envoy.stat(&format!(
                "listener.127.0.0.1_{}.worker_{worker}.downstream_cx_total",
                product.envoy.address().port()
            ))
        };
        [0, 1].map(|worker| per_worker(worker).unwrap()).to_vec()
    });
    assert!(busy.iter().all(|connections| *connections > 0), "both workers had calls: {busy:?}");
}

/// One call of a random kind, slow enough that all of them are open together.
async fn one(stack: Arc<Stack>, number: usize) -> (String, String) {
    let name = format!("at-once-{number}");
    let mut random = Random::named(1, &name);
    let stream = random.chance(50);
    let call = match random.between(0, 2) {
        0 => Call::post(
            "/openai/v1/chat/completions",
            &json!({
                "model": "gpt-5-mini", "messages": [], "stream": stream, "stream_options": {"include_usage": true},
            }),
        ),
        1 => Call::post(
            "/anthropic/v1/messages",
            &json!({
                "model": "claude-haiku-4-5", "messages": [], "max_tokens": 1000, "stream": stream,
            }),
        ),
        _ => {
            let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            Call::post(&format!("/gemini/v1beta/models/gemini-2.5-flash:{verb}"), &json!({"contents": []}))
        }
    };
    let call = call
        .header("x-sim-call", &name)
        .header("x-sim", "events=20;delay_ms=50")
        .header("x-tollgate-agent", format!("agent-{}", number % 10))
        .header("x-tollgate-team", format!("team-{}", number % 3));
    let reply = stack.send(call).await.unwrap();
    assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    assert!(reply.complete, "{name}: broke off");
    (name, reply.header("x-tollgate-call").expect("a call id"))
}

const CALLS: usize = 500;

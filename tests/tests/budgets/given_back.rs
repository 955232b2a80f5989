//! What nobody spent is given back: after cancelled streams, errors, restarts, and gateways that are gone.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_tests::burst;
use tollgate_tests::http::Call;
use tollgate_tests::stack::Stack;

use super::stack;

/// A call that may write a long answer.
fn long_call(orders: &str, name: &str) -> Call {
    let body = json!({
        "model": "gpt-5-mini", "max_completion_tokens": 64_000, "stream": true,
        "messages": [{"role": "user", "content": "Write as much as you can."}],
    });
    call(&body, orders, name)
}

/// A call that costs next to nothing, and holds little.
fn short_call(name: &str) -> Call {
    let body = json!({
        "model": "gpt-5-mini", "max_completion_tokens": 20,
        "messages": [{"role": "user", "content": "Hello"}],
    });
    call(&body, "input=20;output=10", name)
}

fn call(body: &Value, orders: &str, name: &str) -> Call {
    Call::post("/openai/v1/chat/completions", body)
        .header("x-sim-call", name)
        .header("x-sim", orders)
        .header("x-tollgate-team", "burst")
}

/// The budget's row once nothing is under way and what it has used is what the records say.
fn used_is_what_records_say(stack: &Stack, records: usize) -> Value {
    stack.api().wait_for_records(records).unwrap();
    let row = burst::budget(&stack.api(), "b", |row| {
        let summary = stack.api().get("/api/v1/summary?by=team&since=1d").unwrap();
        row["in_flight"] == 0 && row["used"] == summary["total"]["cost_usd"]
    });
    row.unwrap()
}

#[tokio::test]
async fn cancelled_streams_are_charged_what_their_records_say() {
    let stack = stack("cancelled", "[[budgets]]\nname = 'b'\nlimit_usd = '0.80'\nwindow = 'month'\n");
    for number in 0..5 {
        let call = long_call("events=400;delay_ms=20", &format!("cancelled-{number}"));
        let mut opened = call.open(stack.gateway()).await.unwrap();
        assert_eq!(opened.status, 200);
        for _ in 0..3 {
            opened.next().await.unwrap();
        }
        opened.hang_up().await;
    }
    let row = used_is_what_records_say(&stack, 5);
    assert_eq!(row["kept"], "0.000000000000", "{row:#}");
    let used = burst::pico(&row["used"]).unwrap();
    assert!(used > 0 && used < 10_000_000_000, "a few words each: {row:#}");
    // Five such calls would not have fitted, had their holds stayed.
    for number in 0..5 {
        let reply = stack.send(long_call("input=20;output=20", &format!("whole-{number}"))).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[tokio::test]
async fn a_budget_that_keeps_the_worst_gives_it_back_when_told_to() {
    let budget = "[[budgets]]\nname = 'b'\nlimit_usd = '0.20'\nwindow = 'month'\non_unknown = 'worst'\n";
    let stack = stack("keeps", budget);
    let mut opened = long_call("events=400;delay_ms=20", "cancelled").open(stack.gateway()).await.unwrap();
    opened.next().await.unwrap();
    opened.hang_up().await;
    let kept = |row: &Value| row["in_flight"] == 0 && burst::pico(&row["kept"]).unwrap() > 100_000_000_000;
    burst::budget(&stack.api(), "b", kept).unwrap();
    let reply = stack.send(long_call("output=20", "second")).await.unwrap();
    assert_eq!(reply.status, 402, "{}", reply.text());
    assert!(reply.text().contains("is kept for calls of which nobody knows the cost"), "{}", reply.text());
    let token = stack.with(|product| product.collector.admin_token()).unwrap();
    let release = Call::post("/api/v1/budgets/b/release-kept", &json!(null))
        .header("authorization", format!("Bearer {token}"));
    let collector = stack.with(|product| product.collector.address());
    let released = release.send(collector).await.unwrap();
    assert_eq!(released.status, 200, "{}", released.text());
    used_is_what_records_say(&stack, 2);
    passes_within(&stack, Duration::from_secs(5), || long_call("input=20;output=20", "third")).await;
    let audit = stack.api().text("/api/v1/audit").unwrap();
    assert!(audit.contains("budget.release_kept"), "{audit}");
}

#[tokio::test]
async fn what_a_gateway_was_granted_that_is_gone_is_there_again_when_its_lease_ends() {
    let budget = "[[budgets]]\nname = 'b'\nlimit_usd = '0.40'\nwindow = 'month'\nlease = '4s'\n";
    let stack = stack("lease", budget);
    let mut second = stack.add_gateway("second").unwrap();
    // It holds two long calls when it is killed, $0.256, and is granted more than that.
    let mut open = Vec::new();
    for number in 0..2 {
        let call = long_call("events=400;delay_ms=20", &format!("lost-{number}"));
        let mut opened = call.open(second.address()).await.unwrap();
        opened.next().await.unwrap();
        open.push(opened);
    }
    burst::budget(&stack.api(), "b", |row| row["in_flight"] == 2).unwrap();
    second.process().kill();
    let reply = stack.send(long_call("output=20", "too-soon")).await.unwrap();
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert!(reply.text().contains("leased to other gateways") || reply.text().contains("calls under way"));
    passes_within(&stack, Duration::from_secs(8), || long_call("input=20;output=20", "later")).await;
    // The provider may have finished what was under way: nobody else spends that.
    let row = burst::budget(&stack.api(), "b", |row| row["in_flight"] == 0).unwrap();
    assert!(burst::pico(&row["presumed"]).unwrap() >= 2 * 128_000_000_000, "{row:#}");
    assert_eq!(burst::pico(&row["held"]).unwrap(), 0, "{row:#}");
    let reply = stack.send(long_call("input=20;output=20", "second")).await.unwrap();
    assert_eq!(reply.status, 200, "what it cost is little: {}", reply.text());
    let both = json!({
        "model": "gpt-5-mini", "max_completion_tokens": 80_000, "stream": true,
        "messages": [{"role": "user", "content": "Write as much as you can."}],
    });
    let reply = stack.send(call(&both, "output=20", "too-much")).await.unwrap();
    assert_eq!(reply.status, 429, "{}", reply.text());
}

#[tokio::test]
async fn an_idle_counter_gives_back_all_but_what_a_few_of_its_calls_hold() {
    let stack = stack("idle", "[[budgets]]\nname = 'b'\nlimit_usd = '5.00'\nwindow = 'month'\n");
    for number in 0..3 {
        let reply = stack.send(short_call(&format!("idle-{number}"))).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let start = Instant::now();
    let row = burst::budget(&stack.api(), "b", |row| {
        let free = burst::pico(&row["granted"]).unwrap() - burst::pico(&row["used"]).unwrap();
        // Four calls of some thousand tokens.
        free <= 4 * 1_000_000_000
    })
    .unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?} {row:#}", start.elapsed());
    // The next call finds room, even with the collector gone.
    stack.with(|product| product.collector.kill());
    let reply = stack.send(short_call("idle-next")).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn three_restarts_of_a_gateway_leave_the_budget_as_it_was() {
    let stack = stack("restarts", "[[budgets]]\nname = 'b'\nlimit_usd = '1.00'\nwindow = 'month'\n");
    for round in 0..3 {
        let mut gateway = stack.add_gateway(&format!("round-{round}")).unwrap();
        for number in 0..3 {
            let call = long_call("input=20;output=20", &format!("round-{round}-{number}"));
            let reply = call.send(gateway.address()).await.unwrap();
            assert_eq!(reply.status, 200, "round {round}: {}", reply.text());
        }
        // As the units of `envoy/README.md` do it.
        for hook in ["/healthcheck/fail", "/drain_listeners?graceful"] {
            let reply = Call::post_bytes(hook, "").send(gateway.admin()).await.unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        gateway.process().stop(Duration::from_secs(10));
    }
    let row = used_is_what_records_say(&stack, 9);
    let granted = burst::pico(&row["granted"]).unwrap();
    // Next to nothing of each, and that only until its lease ends: one call is a large part of this budget.
    assert!(granted < 50_000_000_000, "{row:#}");
    passes_within(&stack, Duration::from_secs(3), || long_call("input=20;output=20", "after")).await;
}

#[tokio::test]
async fn a_gateway_that_is_drained_under_load_closes_its_door_and_leaves_next_to_nothing() {
    let stack = stack("drained", "[[budgets]]\nname = 'b'\nlimit_usd = '10.00'\nwindow = 'month'\n");
    let mut gateway = stack.add_gateway("drained").unwrap();
    let (mut calls, mut drained) = (0, None);
    let begun = Instant::now();
    // Callers come until nobody lets them in.
    loop {
        if begun.elapsed() > Duration::from_secs(2) && drained.is_none() {
            for hook in ["/healthcheck/fail", "/drain_listeners?graceful"] {
                Call::post_bytes(hook, "").send(gateway.admin()).await.unwrap();
            }
            drained = Some(Instant::now());
        }
        match long_call("input=20;output=20", &format!("call-{calls}")).send(gateway.address()).await {
            Ok(reply) => assert_eq!(reply.status, 200, "{}", reply.text()),
            Err(error) if drained.is_none() => panic!("before it was drained: {error}"),
            Err(_) => break,
        }
        calls += 1;
        let since = drained.map_or(Duration::ZERO, |drained| drained.elapsed());
        assert!(since < Duration::from_secs(5), "its listeners are still open");
    }
    tokio::time::sleep(Duration::from_secs(8)).await;
    gateway.process().stop(Duration::from_secs(10));
    let row = used_is_what_records_say(&stack, calls);
    let (granted, used) = (burst::pico(&row["granted"]).unwrap(), burst::pico(&row["used"]).unwrap());
    // What a few of its calls would hold.
    assert!(granted - used <= 200_000_000_000, "{row:#}");
}

#[tokio::test]
async fn a_grant_is_not_spent_beyond_its_lease_while_the_collector_is_away() {
    let budget = "[[budgets]]\nname = 'b'\nlimit_usd = '5.00'\nwindow = 'month'\nlease = '3s'\n";
    let stack = stack("away", budget);
    let reply = stack.send(short_call("granted")).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    stack.with(|product| product.collector.kill());
    let within = stack.send(short_call("within")).await.unwrap();
    assert_eq!(within.status, 200, "{}", within.text());
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    let beyond = stack.send(short_call("beyond")).await.unwrap();
    assert_eq!(beyond.status, 429, "{}", beyond.text());
    assert!(beyond.text().contains("has a lease of 3 s"), "{}", beyond.text());
    stack.with(|product| product.collector.restart()).unwrap();
    passes_within(&stack, Duration::from_secs(10), || short_call("again")).await;
    // Nothing of it was spent: a collector that was away does not make the budget one that is reached.
    let row = used_is_what_records_say(&stack, 4);
    assert_eq!(row["denied"], 0, "{row:#}");
    let alerts = stack.api().get("/api/v1/alerts").unwrap();
    assert_eq!(alerts["rows"], json!([]), "{alerts:#}");
}

/// Sends a call again and again, until it passes.
async fn passes_within(stack: &Stack, limit: Duration, call: impl Fn() -> Call) {
    let start = Instant::now();
    loop {
        let reply = stack.send(call()).await.unwrap();
        if reply.status == 200 {
            return;
        }
        assert!(start.elapsed() < limit, "after {limit:?}: {} {}", reply.status, reply.text());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

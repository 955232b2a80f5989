//! Budgets that hold: under a burst, over a fleet, with the collector killed; judged by the providers' own
//! ledger.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

mod given_back;
mod refusals;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate_tests::artifacts;
use tollgate_tests::burst::{self, Burst};
use tollgate_tests::http::{Call, Reply, get_blocking};
use tollgate_tests::stack::{Setup, Stack};

/// What a call of [`Burst`] costs, and holds at most, in pico-dollars: `gpt-5-mini` at $0.25 and $2.
const COST: i128 = 400 * 250_000 + 150 * 2_000_000;
const HOLD_MAX: i128 = 1_500 * 250_000 + 200 * 2_000_000;
const ORDERS: &str = "input=400;output=150;events=4;delay_ms=20";

fn stack(name: &str, budgets: &str) -> Stack {
    let setup = Setup { name, collector_config: budgets.to_owned(), ..Setup::default() };
    Stack::set_up(&setup).unwrap()
}

fn limit(calls: i128) -> String {
    let pico = calls * COST;
    format!("{}.{:012}", pico / 1_000_000_000_000, pico % 1_000_000_000_000)
}

fn burst(name: &str, gateways: Vec<(SocketAddr, usize)>) -> Burst {
    let (orders, name) = (ORDERS.into(), name.into());
    Burst { gateways, orders, max_tokens: 200, name, refused_rounds: 4, ..Burst::default() }
}

/// The budget's own account, once nothing is under way: `used` is what the records say, and what is not spent
/// is less than one more call could cost.
fn settled(stack: &Stack, budget: &str, spent: i128, limit: i128) -> Value {
    let row = burst::budget(&stack.api(), budget, |row| {
        row["in_flight"] == 0 && burst::pico(&row["used"]).is_ok_and(|used| used >= spent)
    })
    .unwrap();
    let summary = stack.api().get("/api/v1/summary?by=team&since=1d&team=burst").unwrap();
    let recorded = burst::pico(&summary["total"]["cost_usd"]).unwrap();
    let (used, kept) = (burst::pico(&row["used"]).unwrap(), burst::pico(&row["kept"]).unwrap());
    assert_eq!(used, recorded + kept, "used is what records say and what was kept: {row:#}");
    assert!(spent <= limit, "spent {spent} of {limit}");
    row
}

#[tokio::test]
async fn a_burst_on_two_workers_spends_what_there_is_and_no_more() {
    let budgets = format!("[[budgets]]\nname = 'b'\nlimit_usd = '{}'\nwindow = 'prepaid'\n", limit(300));
    let stack = stack("burst", &budgets);
    let outcome = burst("one", vec![(stack.gateway(), 1_000)]).run().await.unwrap();
    let spent = burst::charged(&stack.simulator, "one");
    let row = settled(&stack, "b", spent, 300 * COST);
    assert_eq!(spent, outcome.passed as i128 * COST, "{outcome:?}");
    assert!(300 * COST - spent < HOLD_MAX, "{} left, {outcome:?} {row:#}", 300 * COST - spent);
    assert_eq!(outcome.passed + outcome.refused, 1_000);
    assert_eq!(row["kept"], "0.000000000000");
}

#[tokio::test]
async fn three_gateways_share_a_budget() {
    for (name, shares, calls) in
        [("equal", [100, 100, 100], 90), ("unequal", [270, 20, 10], 90), ("two-calls", [40, 40, 40], 2)]
    {
        let budgets =
            format!("[[budgets]]\nname = 'b'\nlimit_usd = '{}'\nwindow = 'prepaid'\n", limit(calls));
        let stack = stack(name, &budgets);
        let others = [stack.add_gateway("second").unwrap(), stack.add_gateway("third").unwrap()];
        let addresses = [stack.gateway(), others[0].address(), others[1].address()];
        let outcome = burst(name, addresses.into_iter().zip(shares).collect()).run().await.unwrap();
        let spent = burst::charged(&stack.simulator, name);
        let row = settled(&stack, "b", spent, calls * COST);
        assert!(calls * COST - spent < HOLD_MAX, "{name}: {} left {outcome:?} {row:#}", calls * COST - spent);
    }
}

#[tokio::test]
async fn the_limit_holds_with_the_collector_killed_callers_gone_and_providers_failing() {
    let budgets = format!(
        "[[budgets]]\nname = 'b'\nlimit_usd = '{}'\nwindow = 'prepaid'\non_unknown = 'worst'\n",
        limit(150)
    );
    let stack = Arc::new(stack("killed", &budgets));
    let second = stack.add_gateway("second").unwrap();
    let gateways = vec![(stack.gateway(), 150), (second.address(), 150)];
    let rough = Burst { hang_up_percent: 10, refused_rounds: 15, ..burst("rough", gateways.clone()) };
    let failing =
        Burst { orders: format!("{ORDERS};fault=500"), refused_rounds: 15, ..burst("failing", gateways) };
    let rough = tokio::spawn(async move { rough.run().await });
    let failing = tokio::spawn(async move { failing.run().await });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let stack = Arc::clone(&stack);
        let outage = move || {
            stack.with(|product| {
                product.collector.kill();
                std::thread::sleep(Duration::from_millis(300));
                product.collector.restart().unwrap();
            });
        };
        tokio::task::spawn_blocking(outage).await.unwrap();
    }
    let (rough, failing) = (rough.await.unwrap().unwrap(), failing.await.unwrap().unwrap());
    assert!(rough.passed > 0 && failing.statuses.contains_key(&500), "{rough:?} {failing:?}");
    // What providers charge of broken answers nobody reports; all that they made is at most the worst case
    // kept.
    let spent = burst::charged(&stack.simulator, "rough");
    let row = settled(&stack, "b", 0, 150 * COST);
    let used = burst::pico(&row["used"]).unwrap();
    assert!(used <= 150 * COST && spent <= used, "spent {spent}, used {used} {row:#}");
    // Nothing is refused for ever: what is left can be had.
    let left = 150 * COST - used;
    let more = burst("more", vec![(second.address(), 20)]).run().await.unwrap();
    assert!(left < HOLD_MAX || more.passed > 0, "{left} left: {more:?}");
}

#[tokio::test]
async fn two_collectors_on_one_database_keep_one_limit_though_one_is_killed() {
    let budgets = format!("[[budgets]]\nname = 'b'\nlimit_usd = '{}'\nwindow = 'prepaid'\n", limit(300));
    let setup = Setup {
        name: "two-collectors",
        collector_config: budgets,
        second_collector: true,
        ..Setup::default()
    };
    let stack = Arc::new(Stack::set_up(&setup).unwrap());
    let second = stack.add_gateway("second").unwrap();
    let gateways = vec![(stack.gateway(), 500), (second.address(), 500)];
    let calls = Burst { refused_rounds: 15, ..burst("pair", gateways) };
    let calls = tokio::spawn(async move { calls.run().await });
    tokio::time::sleep(Duration::from_millis(400)).await;
    let other = stack.with(|product| {
        let second = product.second.as_mut().unwrap();
        let metrics = get_blocking(second.address(), "/metrics").unwrap();
        second.kill();
        metrics
    });
    let took: u64 = other
        .lines()
        .filter(|line| line.starts_with("tollgate_collector_sync_requests_total{result=\"ok\""))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert!(took > 2, "both collectors were asked: {other}");
    let outcome = calls.await.unwrap().unwrap();
    let spent = burst::charged(&stack.simulator, "pair");
    let row = settled(&stack, "b", spent, 300 * COST);
    assert_eq!(spent, outcome.passed as i128 * COST, "{outcome:?}");
    assert!(300 * COST - spent < HOLD_MAX, "{} left, {outcome:?} {row:#}", 300 * COST - spent);
    assert_eq!(outcome.passed + outcome.refused, 1_000);
    let accounts = stack.api().get("/api/v1/accounts").unwrap();
    assert_eq!(accounts["balanced"], true, "{accounts}");
    // It comes back, and knows what the other does.
    stack.with(|product| product.second.as_mut().unwrap().restart()).unwrap();
    let back = stack.with(|product| product.second.as_ref().unwrap().api());
    let row_there = burst::budget(&back, "b", |_| true).unwrap();
    assert_eq!(row_there["used"], row["used"]);
}

async fn chat(stack: &Stack, name: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let mut call =
        Call::post("/openai/v1/chat/completions", body).header("x-sim-call", name).header("x-sim", ORDERS);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    stack.send(call).await.unwrap()
}

#[tokio::test]
async fn a_filter_that_panics_leaks_no_hold_and_charges_no_call_twice() {
    let setup = Setup {
        name: "panic-held",
        module: Some(artifacts::build_panicking_filter().unwrap()),
        collector_config: "[[budgets]]\nname = 'b'\nlimit_usd = '1'\nwindow = 'prepaid'\n".into(),
        ..Setup::default()
    };
    let stack = Stack::set_up(&setup).unwrap();
    let body = json!({"model": "gpt-5-mini", "max_completion_tokens": 200, "messages": []});
    for number in 0..6 {
        assert_eq!(chat(&stack, &format!("before-{number}"), &[], &body).await.status, 200);
    }
    let fatal = Call::post("/openai/v1/chat/completions", &body)
        .header("x-sim-call", "fatal")
        .header("x-sim", ORDERS)
        .header("x-tollgate-test-panic", "response_body");
    let _ = stack.send(fatal).await;
    // The lane of a dead VM is taken over after thirty seconds: then its call holds nothing any more, and is
    // charged what its record says, an estimate of its prompt.
    let start = std::time::Instant::now();
    let row = loop {
        let row = burst::budget(&stack.api(), "b", |_| true).unwrap();
        let summary = stack.api().get("/api/v1/summary?by=team&since=1d").unwrap();
        let is_recovered = summary["total"]["calls"] == 7 || summary["total"]["errors"] == 1;
        if row["in_flight"] == 0 && is_recovered && row["used"] == summary["total"]["cost_usd"] {
            break row;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{row:#}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let used = burst::pico(&row["used"]).unwrap();
    assert!((6 * COST..6 * COST + HOLD_MAX).contains(&used), "{row:#}");
    assert_eq!((&row["kept"], &row["held"]), (&json!("0.000000000000"), &json!("0.000000000000")), "{row:#}");
}

#[tokio::test]
async fn a_call_whose_price_only_the_collector_knows_counts_as_what_it_cost() {
    let budgets = ["fine-tuned", "deployed"].map(|team| {
        format!("[[budgets]]\nname = '{team}'\nscope = {{ team = '{team}' }}\nlimit_usd = '1'\nwindow = 'prepaid'\n")
    });
    let stack = stack("recharged", &budgets.concat());
    // The name that answers has no row, so the model asked for is what it costs, of which the worst case was
    // held. The name asked for has none, so nothing was held.
    for (team, model, answers) in
        [("fine-tuned", "gpt-5-mini", "my-finetune"), ("deployed", "team-chat", "gpt-5-mini-2025-08-07")]
    {
        let body = json!({"model": model, "max_completion_tokens": 9_000, "messages": []});
        let call = Call::post("/openai/v1/chat/completions", &body)
            .header("x-sim-call", team)
            .header("x-sim", format!("{ORDERS};answers={answers}"))
            .header("x-tollgate-team", team);
        let reply = stack.send(call).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let record = stack.record_of(&reply).unwrap();
        assert_eq!(burst::pico(&record["cost_usd"]).unwrap(), COST, "{record:#}");
        let row = burst::budget(&stack.api(), team, |row| {
            row["in_flight"] == 0 && burst::pico(&row["used"]).is_ok_and(|used| used == COST)
        })
        .unwrap();
        assert_eq!(burst::pico(&row["kept"]).unwrap(), 0, "{row:#}");
    }
}

#[tokio::test]
async fn a_call_counts_in_the_window_of_its_admission() {
    let stack = stack("rollover", "[[budgets]]\nname = 'b'\nlimit_calls = 4\nwindow = 'rolling 2m'\n");
    // A part of this window lasts two seconds; these calls last longer.
    let body = json!({"model": "gpt-5-mini", "max_completion_tokens": 200, "stream": true, "messages": []});
    let slow = |name: String| {
        Call::post("/openai/v1/chat/completions", &body)
            .header("x-sim-call", name)
            .header("x-sim", "input=400;output=150;events=6;delay_ms=600")
    };
    let stack = Arc::new(stack);
    let mut calls = Vec::new();
    for number in 0..6 {
        let (stack, call) = (Arc::clone(&stack), slow(format!("slow-{number}")));
        calls.push(tokio::spawn(async move { stack.send(call).await.unwrap().status }));
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 4, "{statuses:?}");
    let row = burst::budget(&stack.api(), "b", |row| row["in_flight"] == 0 && row["used"] == 4).unwrap();
    assert_eq!(row["remaining"], 0, "{row:#}");
}

#[tokio::test]
async fn invented_names_fill_no_table_and_share_a_counter() {
    let stack = Arc::new(stack(
        "invented",
        "[[budgets]]\nname = 'each'\neach = 'agent'\nlimit_calls = 1000000\nwindow = 'prepaid'\n",
    ));
    let body = json!({"model": "gpt-5-mini", "max_completion_tokens": 5, "messages": []}).to_string();
    let mut tasks = Vec::new();
    for task in 0..8 {
        let (stack, body) = (Arc::clone(&stack), body.clone());
        tasks.push(tokio::spawn(async move {
            for number in 0..150 {
                let call = Call::post_bytes("/openai/v1/chat/completions", body.clone())
                    .header("content-type", "application/json")
                    .header("x-sim", "input=10;output=1")
                    .header("x-tollgate-agent", format!("invented-{task}-{number}"));
                let reply = stack.send(call).await.unwrap();
                assert_eq!(reply.status, 200, "{}", reply.text());
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let start = std::time::Instant::now();
    let rows = loop {
        let rows =
            stack.api().get("/api/v1/budgets?budget=each").unwrap()["rows"].as_array().unwrap().clone();
        if rows.iter().map(|row| row["used"].as_u64().unwrap()).sum::<u64>() == 1_200 {
            break rows;
        }
        assert!(start.elapsed() < Duration::from_secs(15), "{} rows", rows.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(rows.len() <= 2 * 256 + 2, "{} counters", rows.len());
    let other = rows.iter().find(|row| row["value"] == "(other)").expect("the rest shares one");
    assert!(other["used"].as_u64().unwrap() > 500, "{other:#}");
}

#[tokio::test]
async fn a_refusal_on_a_shared_counter_is_counted_there() {
    let budget = "[[budgets]]\nname = 'each'\neach = 'agent'\nlimit_calls = 2\nwindow = 'prepaid'\n";
    let stack = Arc::new(stack("shared", budget));
    let body = json!({"model": "gpt-5-mini", "max_completion_tokens": 5, "messages": []});
    let mut tasks = Vec::new();
    // More names than both workers have counters for.
    for task in 0..8 {
        let (stack, body) = (Arc::clone(&stack), body.clone());
        tasks.push(tokio::spawn(async move {
            // Spent is 402. Where a call under way holds the rest it is 429, which reaches no budget.
            let (mut spent, mut refused) = (0, 0);
            for number in 0..80 {
                let agent = format!("invented-{task}-{number}");
                let reply = chat(&stack, &agent, &[("x-tollgate-agent", &agent)], &body).await;
                spent += u64::from(reply.status == 402);
                refused += u64::from(reply.status != 200);
            }
            (spent, refused)
        }));
    }
    let (mut spent, mut refused) = (0, 0);
    for task in tasks {
        let of_task = task.await.unwrap();
        (spent, refused) = (spent + of_task.0, refused + of_task.1);
    }
    assert!(refused >= 640 - 2 * 256 - 2, "{refused} refused");
    let start = std::time::Instant::now();
    loop {
        let rows =
            stack.api().get("/api/v1/budgets?budget=each").unwrap()["rows"].as_array().unwrap().clone();
        let denied = |row: &Value| row["denied"].as_u64().unwrap();
        let all: u64 = rows.iter().map(denied).sum();
        let other = rows.iter().find(|row| row["value"] == "(other)").map(denied);
        if all == spent {
            assert_eq!(other, Some(spent), "none of the others was refused");
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(15), "{all} of {spent}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn budgets_in_the_plugin_configuration_hold_without_a_collector() {
    let setup = Setup {
        name: "alone",
        plugin: json!({"collector": null, "budgets": [{"name": "b", "limit_calls": 3, "window": "prepaid"}]}),
        ..Setup::default()
    };
    let stack = Stack::set_up(&setup).unwrap();
    let body = json!({"model": "gpt-5-mini", "max_completion_tokens": 5, "messages": []});
    let mut statuses = Vec::new();
    for number in 0..5 {
        statuses.push(chat(&stack, &format!("alone-{number}"), &[], &body).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 402, 402]);

    // A body that is too large to wait is not even asked for.
    let mut connection = tokio::net::TcpStream::connect(stack.gateway()).await.unwrap();
    let head = "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n\
        content-length: 5000000\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let read = tokio::time::timeout(Duration::from_secs(10), connection.read(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer[..read.unwrap().unwrap()]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 402 ") && answer.contains("x-tollgate-budget: b"), "{answer}");
}

#[tokio::test]
async fn what_a_call_lacks_on_many_counters_is_asked_for_at_once() {
    let budget = |number: i32| {
        format!("[[budgets]]\nname = 'b{number}'\neach = 'agent'\nlimit_calls = 9\nwindow = 'prepaid'\n")
    };
    let collector_config = (0..5).map(budget).collect();
    let late = Duration::from_millis(600);
    let stack = Stack::set_up(&Setup { name: "late", collector_config, late, ..Setup::default() }).unwrap();
    let body = json!({"model": "gpt-5-mini", "max_completion_tokens": 5, "messages": []});
    let mut statuses = Vec::new();
    while statuses.last() != Some(&200) && statuses.len() < 10 {
        let name = format!("known-{}", statuses.len());
        statuses.push(chat(&stack, &name, &[("x-tollgate-agent", "known")], &body).await.status);
    }
    // Were its five counters asked for one after the other, it would be refused before it had them all.
    assert_eq!(chat(&stack, "new", &[("x-tollgate-agent", "new")], &body).await.status, 200, "{statuses:?}");
}

#[tokio::test]
async fn a_raised_limit_lets_refused_calls_through_and_loses_no_spend() {
    let stack = stack("raised", "");
    let token = stack.with(|product| product.collector.admin_token()).unwrap();
    let put = async |limit: u64| {
        let budget = json!({"limit_calls": limit, "window": "prepaid"});
        let address = stack.with(|product| product.collector.address());
        let call = Call::put("/api/v1/budgets/b", &budget).header("authorization", format!("Bearer {token}"));
        let reply = call.send(address).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    let body = json!({"model": "gpt-5-mini", "max_completion_tokens": 5, "messages": []});
    let passed = std::cell::Cell::new(0);
    let until = async |status: u16, name: &str| {
        for number in 0..200 {
            let answered = chat(&stack, &format!("{name}-{number}"), &[], &body).await.status;
            passed.set(passed.get() + u64::from(answered == 200));
            if answered == status {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name}: never {status}");
    };
    let used = |calls: u64| {
        burst::budget(&stack.api(), "b", |row| row["in_flight"] == 0 && row["used"] == calls).unwrap()
    };
    put(2).await;
    until(402, "first").await;
    // What passed before the budget arrived counts too.
    assert!(passed.get() > 2, "the budget was there at once");
    used(passed.get());
    let limit = passed.get() + 3;
    put(limit).await;
    until(200, "second").await;
    until(402, "third").await;
    assert_eq!(passed.get(), limit);
    let row = used(limit);
    assert_eq!((&row["limit"], &row["remaining"]), (&json!(limit), &json!(0)));
}

//! What a full outbox has no room for is folded into totals: no money is lost, and nothing is counted twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::books::{dollars, pico};
use tollgate_tests::http::Call;
use tollgate_tests::stack::{Setup, Stack};
use tollgate_tests::{artifacts, burst};

const BUDGET: &str = "[[budgets]]\nname = 'b'\nlimit_usd = '1000'\nwindow = 'prepaid'\non_outage = 'allow'\n";
const TEAMS: usize = 5;

/// Makes these calls by 5 teams with 6 agents each, of two models; every ninth is streamed.
async fn call(stack: &Stack, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let model = ["gpt-5-mini", "gpt-4.1-mini"][number / 7 % 2];
        let body = json!({"model": model, "stream": number.is_multiple_of(9),
            "messages": [{"role": "user", "content": "hi"}]});
        let call = Call::post("/openai/v1/chat/completions", &body)
            .header("x-tollgate-team", format!("team-{}", number % TEAMS))
            .header("x-tollgate-agent", format!("agent-{}", number % 6))
            .header("x-tollgate-run", format!("run-{number}"))
            .header("x-sim-call", format!("call-{number}"));
        assert_eq!(stack.send(call).await.unwrap().status, 200, "call {number}");
    }
}

/// A call in whose end the module dies, and with it its worker's VM.
async fn kill_a_vm(stack: &Stack) {
    let body = json!({"model": "gpt-5-mini", "messages": []});
    let fatal = Call::post("/openai/v1/chat/completions", &body)
        .header("x-tollgate-team", "fatal")
        .header("x-sim-call", "fatal")
        .header("x-tollgate-test-panic", "log");
    let _ = stack.send(fatal).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
}

#[tokio::test]
async fn a_long_outage_folds_records_into_totals_that_count_once_whatever_breaks() {
    let setup = Setup {
        name: "folding",
        module: Some(artifacts::build_panicking_filter().unwrap()),
        plugin: json!({"outbox_records": 64}),
        collector_config: BUDGET.into(),
        lost_percent: 40,
        ..Setup::default()
    };
    let stack = Stack::set_up(&setup).unwrap();
    call(&stack, 0..40).await;
    stack.with(|product| product.collector.stop());
    call(&stack, 40..500).await;
    kill_a_vm(&stack).await;
    call(&stack, 500..900).await;
    // What waits goes up while answers are lost, and while the collector is killed between commit and answer.
    for _ in 0..4 {
        stack.with(|product| product.collector.restart().unwrap());
        tokio::time::sleep(Duration::from_millis(700)).await;
        stack.with(|product| product.collector.kill());
    }
    stack.with(|product| product.collector.restart().unwrap());
    call(&stack, 900..960).await;

    let summary = || stack.api().get("/api/v1/summary?by=team&since=1d").unwrap();
    // A dead VM's lane is taken over after half a minute.
    for _ in 0..900 {
        if summary()["total"]["calls"].as_u64().unwrap() >= 961 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut charged: BTreeMap<String, (u64, i128)> = BTreeMap::new();
    for served in stack.simulator.ledger().lines() {
        let name = served.call.unwrap_or_default();
        let Some(number) = name.strip_prefix("call-") else { continue };
        let team = charged.entry(format!("team-{}", number.parse::<usize>().unwrap() % TEAMS)).or_default();
        *team = (team.0 + 1, team.1 + served.cost_pico.unwrap());
    }
    let summary = summary();
    let rows = summary["rows"].as_array().unwrap().iter();
    let counted: BTreeMap<String, (u64, i128)> = rows
        .filter(|row| row["team"] != "fatal")
        .map(|row| {
            let team = row["team"].as_str().unwrap().to_owned();
            (team, (row["calls"].as_u64().unwrap(), pico(row["cost_usd"].as_str().unwrap()).unwrap()))
        })
        .collect();
    assert_eq!(counted, charged, "every call is counted once, to the last pico-dollar");
    assert_eq!(summary["total"]["calls"], 961, "and the one in which a VM died");

    let accounts = stack.api().get("/api/v1/accounts").unwrap();
    let folded = accounts["folded"].as_u64().unwrap();
    assert_eq!((&accounts["dropped"], &accounts["balanced"]), (&json!({}), &json!(true)), "{accounts}");
    assert!(folded > 500 && summary["folded_calls"] == folded, "{accounts} {}", summary["folded_calls"]);
    assert_eq!(accounts["stored"].as_u64().unwrap() + folded, 961);
    let metrics = stack.api().text("/metrics").unwrap();
    assert!(metrics.contains(&format!("\ntollgate_records_folded_total {folded}\n")), "{metrics}");
    assert!(stack.lossy.as_ref().unwrap().lost() > 0, "answers were lost");
    holds_are_settled(&stack, charged.values().map(|(_, cost)| cost).sum());
    let verified = asked(&stack, &["audit", "verify"]);
    assert!(verified.contains(&format!("folded {folded}")) && !verified.contains("dropped"), "{verified}");
    assert!(
        asked(&stack, &["summary", "--by", "team"])
            .contains(&format!("{folded} of these calls came in totals"))
    );
}

/// What the budget says was used is what was charged, and what was kept of the call in which a VM died.
fn holds_are_settled(stack: &Stack, charged: i128) {
    let settled =
        |row: &Value| row["in_flight"] == 0 && burst::pico(&row["used"]).is_ok_and(|used| used >= charged);
    let row = burst::budget(&stack.api(), "b", settled).unwrap();
    let (used, kept) = (burst::pico(&row["used"]).unwrap(), burst::pico(&row["kept"]).unwrap());
    let fatal = stack.api().get("/api/v1/summary?by=team&since=1d&team=fatal").unwrap();
    let fatal = pico(fatal["total"]["cost_usd"].as_str().unwrap()).unwrap();
    assert_eq!(used - kept, charged + fatal, "used {} kept {}", dollars(used), dollars(kept));
}

fn asked(stack: &Stack, arguments: &[&str]) -> String {
    let url = format!("http://{}", stack.with(|product| product.collector.address()));
    let mut command = Command::new(artifacts::build_collector().unwrap());
    let output = command.args(arguments).args(["--url", &url]).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

//! What providers say that calls cost, end to end: budgets are charged their word, but not one that talks a
//! budget down.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::process::Command;

use serde_json::{Value, json};
use tollgate_tests::artifacts::Workspace;
use tollgate_tests::burst;
use tollgate_tests::http::Call;
use tollgate_tests::stack::{Setup, Stack};

/// What the book charges for a call of `gpt-5-mini` as [`ask`] makes it, at $0.25 and $2 for a million
/// tokens.
const BOOK: i128 = 1_000 * 250_000 + 100 * 2_000_000;

fn stack(name: &str) -> Stack {
    let collector_config = "[prices]\nunpriced = 'allow'\n\
        [[budgets]]\nname = 'b'\nlimit_usd = '5'\nwindow = 'prepaid'\n\
        [[alerts]]\nname = 'prices'\nwhen = 'price_drift'\nthresholds = ['5%']\n"
        .to_owned();
    Stack::set_up(&Setup { name, collector_config, ..Setup::default() }).unwrap()
}

/// The record of a call whose answer says that it cost `says` dollars.
async fn ask(stack: &Stack, name: &str, model: &str, says: &str, stream: bool) -> Value {
    let body = json!({"model": model, "max_tokens": 200, "stream": stream,
        "messages": [{"role": "user", "content": "hi"}]});
    let call = Call::post("/openai/v1/chat/completions", &body)
        .header("x-sim-call", name)
        .header("x-sim", format!("input=1000;output=100;cache_read=0;reasoning=0;says_usd={says}"))
        .header("x-tollgate-team", "routed");
    let reply = stack.send(call).await.unwrap();
    assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    stack.record_of(&reply).unwrap()
}

fn pico(record: &Value, name: &str) -> i128 {
    burst::pico(&record[name]).unwrap()
}

fn charges(record: &Value) -> i128 {
    record["charges"].as_array().into_iter().flatten().map(|line| pico(line, "cost_usd")).sum()
}

/// What is used of the budget, once nothing is under way: always what the records say.
fn used(stack: &Stack, at_least: i128) -> i128 {
    let row = burst::budget(&stack.api(), "b", |row| {
        row["in_flight"] == 0 && burst::pico(&row["used"]).is_ok_and(|used| used >= at_least)
    })
    .unwrap();
    let summary = stack.api().get("/api/v1/summary?by=team&since=1d&team=routed").unwrap();
    let used = pico(&row, "used");
    assert_eq!(used, pico(&summary["total"], "cost_usd"), "{row:#}");
    used
}

fn printed(stack: &Stack, arguments: &[&str]) -> String {
    let url = stack.with(|product| format!("http://{}", product.collector.address()));
    let tollgate = Workspace::find().unwrap().tollgate();
    let output = Command::new(tollgate).args(arguments).args(["--url", &url]).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_budget_is_charged_the_providers_word_where_it_names_one() {
    let stack = stack("provider-costs");
    let mut spent = 0;
    // With a fee that the book does not know, streamed too; at a discount; and for a model without a row.
    for (name, model, says, stream, word) in [
        ("fee", "gpt-5-mini", "0.0105", false, 10_500_000_000),
        ("fee-streamed", "gpt-5-mini", "0.0105", true, 10_500_000_000),
        ("discount", "gpt-5-mini", "0.0003", false, 300_000_000),
        ("no-row", "model-from-the-future", "0.25", false, 250_000_000_000),
    ] {
        let record = ask(&stack, name, model, says, stream).await;
        assert_eq!(pico(&record, "cost_usd"), word, "{name}: {record:#}");
        assert_eq!(
            (&record["cost_source"], &record["cost_status"]),
            (&json!("provider"), &json!("measured"))
        );
        assert_eq!(record["provider_cost_usd"], record["cost_usd"], "{name}");
        let book = if name == "no-row" { 0 } else { BOOK };
        assert_eq!(charges(&record), book, "{name}: the book's charges stay beside it");
        spent += word;
        assert_eq!(used(&stack, spent), spent, "{name}");
    }
    let explained = printed(&stack, &["records", "--explain", fee_id(&stack).as_str()]);
    assert!(explained.contains("cost 0.010500000000, by the provider's own word"), "{explained}");
    assert!(explained.contains("0.000450000000"), "the book's sum: {explained}");
    let recount = stack.api().get("/api/v1/accounts/recount").unwrap();
    assert_eq!(recount["wrong"], 0, "{recount:#}");
}

fn fee_id(stack: &Stack) -> String {
    let records = stack.api().get("/api/v1/records?since=1d&team=routed").unwrap();
    let rows = records["rows"].as_array().unwrap();
    let fee = rows.iter().find(|row| row["cost_usd"] == "0.010500000000").unwrap();
    fee["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn no_upstream_talks_a_budget_down_and_the_price_is_on_the_list_of_drift() {
    let stack = stack("talked-down");
    let mut spent = 0;
    for (name, says, source, cost, note) in [
        ("agreed", "0.00045", "provider", BOOK, None),
        ("a-tenth", "0.000045", "provider", BOOK / 10, None),
        ("under-a-tenth", "0.000044", "book", BOOK, Some("provider_cost_doubted")),
        ("nothing", "0", "book", BOOK, Some("provider_cost_doubted")),
        ("below-nothing", "-5", "book", BOOK, Some("provider_cost_ignored")),
        ("a-trillion", "1e12", "book", BOOK, Some("provider_cost_ignored")),
    ] {
        let record = ask(&stack, name, "gpt-5-mini", says, false).await;
        assert_eq!(pico(&record, "cost_usd"), cost, "{name}: {record:#}");
        assert_eq!(record["cost_source"], source, "{name}");
        assert_eq!(record["usage"]["input_tokens"], 1_000, "{name}: the rest of the record stays");
        // The same question within seconds is noted as repeated, too.
        let notes = record["notes"].as_array().map_or(&[][..], Vec::as_slice);
        let doubt = notes.iter().filter_map(Value::as_str).find(|note| note.starts_with("provider_cost"));
        assert_eq!(doubt, note, "{name}: {record:#}");
        spent += cost;
        assert_eq!(used(&stack, spent), spent, "{name}");
    }
    let drift = stack.api().get("/api/v1/prices/drift?since=1d").unwrap();
    let row = &drift["rows"][0];
    assert_eq!((&row["provider"], &row["model"]), (&json!("openai"), &json!("gpt-5-mini")), "{drift:#}");
    assert_eq!((&row["calls"], &row["off_calls"], &row["doubted_calls"]), (&json!(4), &json!(3), &json!(2)));
    assert_eq!(pico(row, "book_usd"), 4 * BOOK);
    assert_eq!(pico(row, "provider_usd"), BOOK + BOOK / 10 + 44_000_000);
    let text = printed(&stack, &["prices", "drift", "--wide"]);
    assert!(text.contains("gpt-5-mini") && text.contains("doubted"), "{text}");
    let lines = printed(&stack, &["prices", "drift", "--format", "json", "--since", "1h"]);
    assert_eq!(serde_json::from_str::<Value>(&lines).unwrap()["rows"], drift["rows"]);
    let told = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let alerts = stack.api().get("/api/v1/alerts").unwrap();
        alerts["rows"].as_array().unwrap().iter().any(|alert| alert["scope"] == "price=openai/gpt-5-mini")
    });
    assert!(told, "nobody was told: {}", stack.api().get("/api/v1/alerts").unwrap());
}

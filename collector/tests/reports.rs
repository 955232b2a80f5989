//! Reports of a running collector whose numbers somebody can work out by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::process::Process;
use support::{START_MS, message};

const PERIOD: &str = "from=2026-11-01&to=2026-12-01";

/// A call without a price, which the collector prices by its book.
fn call(n: u64, agent: &str, model: &str, (input, cached, output): (u64, u64, u64)) -> Value {
    json!({
        "id": format!("01890a5d-ac96-774b-8000-{n:012x}"), "time_ms": START_MS + n * 1_000, "gateway": "edge",
        "agent": agent, "team": "support", "feature": "inbox", "environment": "production", "provider": "openai",
        "operation": "chat", "request_model": model, "response_model": model, "status": 200, "outcome": "ok",
        "usage": {"input_tokens": input, "cache_read_tokens": cached, "output_tokens": output},
        "cost_usd": "0.000000000000", "cost_status": "unpriced",
    })
}

fn with(mut call: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        call[name] = value.clone();
    }
    call
}

fn collector(calls: Vec<Value>) -> (Process, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    for (sequence, some) in (1..).zip(calls.chunks(500)) {
        let answer = collector.client.sync(&message(sequence, some.to_vec()));
        assert_eq!(answer.json()["stored"], json!(some.len()), "status {}", answer.status);
    }
    (collector, dir)
}

fn ask(collector: &Process, path: &str) -> Value {
    let answer = collector.client.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

#[test]
fn the_small_model_costs_a_sixteenth_and_the_same_model_what_was_recorded() {
    let calls = (0..200).map(|n| call(n, "classifier", "gpt-4o-2024-08-06", (1_000, 0, 10)));
    let other = (200..300).map(|n| call(n, "writer", "gpt-4o-mini", (500, 100, 900)));
    let (collector, _dir) = collector(calls.chain(other).collect());
    let answer = ask(&collector, &format!("/api/v1/what-if?{PERIOD}&agent=classifier&to_model=gpt-4o-mini"));
    // 200,000 tokens at $2.50 and 2,000 at $10 a million; then at $0.15 and $0.60.
    let row = &answer["rows"][0];
    assert_eq!(
        (&row["cost_usd"], &row["would_cost_usd"]),
        (&json!("0.520000000000"), &json!("0.031200000000"))
    );
    assert_eq!((&row["times"], &row["saving_percent"]), (&json!("16.7"), &json!("94.00")));
    assert_eq!(row["reasons"].as_array().unwrap().len(), 3, "{row}");
    for (asked, agent) in
        [("gpt-4o", "classifier"), ("openai/gpt-4o-2024-08-06", "classifier"), ("gpt-4o-mini", "writer")]
    {
        let answer = ask(&collector, &format!("/api/v1/what-if?{PERIOD}&agent={agent}&to_model={asked}"));
        assert_eq!(answer["cost_usd"], answer["would_cost_usd"], "{asked}");
        assert_ne!(answer["cost_usd"], json!("0.000000000000"));
    }
    let all = ask(&collector, &format!("/api/v1/what-if?{PERIOD}"));
    let first = (&all["rows"][0]["agent"], &all["rows"][0]["to_model"]);
    assert_eq!(first, (&json!("classifier"), &json!("gpt-4o-mini")), "{all}");
    let unknown = collector.client.get("/api/v1/what-if?to_model=gpt-4o-minni");
    assert_eq!(unknown.status, 400);
    assert!(unknown.text.contains("did you mean `gpt-4o-mini`?"), "{}", unknown.text);
    let elsewhere = collector.client.get("/api/v1/what-if?to_model=openai/claude-haiku-4-5");
    assert_eq!(elsewhere.status, 400, "{}", elsewhere.text);
}

#[test]
fn long_prompts_are_tried_at_the_rates_for_long_ones_and_stay_where_they_do_not_fit() {
    let calls = vec![
        call(1, "reader", "gpt-5.4", (100_000, 0, 1_000)),
        call(2, "reader", "gpt-5.4", (250_000, 0, 1_000)),
        call(3, "reader", "gpt-5.4", (300_000, 0, 1_000)),
    ];
    let (collector, _dir) = collector(calls);
    let gemini = ask(&collector, &format!("/api/v1/what-if?{PERIOD}&to_model=gemini/gemini-2.5-pro"));
    // Up to 200,000 tokens $1.25 and $10 a million, above that $2.50 and $15.
    let expected = "1.540000000000";
    assert_eq!(gemini["would_cost_usd"], json!(expected), "{gemini}");
    // 128,000 tokens of context: two of the three stay.
    let small = ask(&collector, &format!("/api/v1/what-if?{PERIOD}&to_model=gpt-4o-mini"));
    let row = &small["rows"][0];
    // $0.2550 + $0.765 at $2.50 a million… as recorded; the first at $0.15 and $0.60.
    assert!(row["notes"][0].as_str().unwrap().contains("above its context of 128000 tokens"), "{row}");
    let number = |name: &str| row[name].as_str().unwrap().parse::<f64>().unwrap();
    let moved = number("would_cost_usd") - number("kept_usd");
    assert!((moved - 0.0156).abs() < 1e-9, "{row}");
}

#[test]
fn a_system_prompt_costs_its_tokens_times_its_calls_times_its_price() {
    let prompt = |print: &str| json!({"prompt": {"system_hash": print, "system_bytes": 8_000, "bytes_by_role": {"user": 400, "system": 8_000}}});
    let calls = (0..1_000).map(|n| with(call(n, "support", "gpt-4o", (2_100, 0, 100)), prompt("aaaa")));
    let mut calls: Vec<Value> = calls.collect();
    // A day later the system prompt is longer; nobody looked at the last call's prompt.
    for n in 1_000..1_100 {
        let mut one = with(call(n, "support", "gpt-4o", (3_150, 0, 100)), prompt("bbbb"));
        one["time_ms"] = json!(START_MS + 86_400_000 + n * 1_000);
        calls.push(one);
    }
    calls.push(call(5_000, "support", "gpt-4o", (10, 0, 1)));
    let (collector, _dir) = collector(calls);
    let answer = ask(&collector, &format!("/api/v1/prompts?{PERIOD}"));
    let row = answer["rows"].as_array().unwrap().iter().find(|row| row["system"] == "aaaa").unwrap();
    // 2,000 tokens × 1,000 calls × $2.50 a million.
    assert_eq!(row["system_cost_usd"], json!("5.000000000000"), "{row}");
    assert_eq!(
        (&row["system_month_usd"], &row["system_tokens_per_call"]),
        (&row["system_cost_usd"], &json!("2000.0"))
    );
    // All but the first begin as another one; reading 2,000 tokens from a cache is $1.25 a million cheaper.
    assert_eq!(
        (&row["missed_tokens"], &row["missed_usd"]),
        (&json!(1_998_000), &json!("2.497500000000")),
        "{row}"
    );
    let change = &answer["changes"][0];
    assert_eq!(
        (&change["day"], &change["changed"], &change["change_percent"]),
        (&json!("2026-11-21"), &json!(["system"]), &json!("50.00")),
        "{change}"
    );
    assert_eq!(answer["calls_without_prints"], json!(1));
    let agent = &answer["agents"][0];
    let parts: u64 =
        agent["tokens"].as_object().unwrap().values().map(|tokens| tokens.as_u64().unwrap()).sum();
    assert_eq!(parts, 2_100 * 1_000 + 3_150 * 100);
}

#[test]
fn one_users_action_has_all_calls_of_the_agents_that_it_started() {
    let mut calls = Vec::new();
    for n in 0..10 {
        let (run, parent) = match n {
            0..2 => ("top", None),
            2..7 => ("search", Some("top")),
            _ => ("read", Some("search")),
        };
        let more = json!({"run": run, "parent_run": parent, "duration_ms": 500});
        calls.push(with(call(n, run, "gpt-4o", (1_000, 0, 0)), more));
    }
    let denied = json!({"run": "read", "parent_run": "search", "outcome": "denied", "usage": {}, "cost_status": "free"});
    calls.push(with(call(10, "read", "gpt-4o", (0, 0, 0)), denied));
    let (collector, _dir) = collector(calls);
    let answer = ask(&collector, &format!("/api/v1/runs?{PERIOD}"));
    assert_eq!(answer["actions"], json!(1), "{answer}");
    let row = &answer["rows"][0];
    assert_eq!(
        json!([
            row["run"],
            row["agent"],
            row["calls"],
            row["denied"],
            row["runs"],
            row["depth"],
            row["started"]
        ]),
        json!(["top", "top", 10, 1, 3, 3, 1])
    );
    assert_eq!((&row["cost_usd"], &row["status"]), (&json!("0.025000000000"), &json!("refused")));
    assert_eq!(row["duration_ms"], json!(10_000));
    let tree = ask(&collector, "/api/v1/runs/top");
    let nodes: Vec<Value> = tree["nodes"].as_array().unwrap().clone();
    let shape: Vec<_> =
        nodes.iter().map(|node| json!([node["run"], node["level"], node["tree_cost_usd"]])).collect();
    assert_eq!(
        shape,
        [
            json!(["top", 0, "0.025000000000"]),
            json!(["search", 1, "0.020000000000"]),
            json!(["read", 2, "0.007500000000"])
        ]
    );
    assert_eq!(ask(&collector, "/api/v1/runs/read")["started_by"], json!(["search", "top"]));
    assert_eq!(collector.client.get("/api/v1/runs/nobody").status, 404);
    let wrong = collector.client.get("/api/v1/runs?sort=price");
    assert!(wrong.status == 400 && wrong.text.contains("`cost`"), "{}", wrong.text);
}

/// Rows of a summary as `value calls denied cost`.
fn summed(collector: &Process, key: &str, query: &str) -> Vec<String> {
    let answer = ask(collector, &format!("/api/v1/summary?{PERIOD}&{query}"));
    let rows = answer["rows"].as_array().unwrap().iter();
    let row = |row: &Value| {
        let value = row[key].as_str().unwrap_or("-").to_owned();
        format!("{value} {} {} {}", row["calls"], row["denied"], row["cost_usd"].as_str().unwrap())
    };
    rows.map(row).collect()
}

#[test]
fn summaries_tell_outcomes_runs_and_tags_apart_and_lose_nothing() {
    let ended = |n: u64, outcome: &str, more: Value| {
        let one = with(
            call(n, if n < 5 { "a" } else { "b" }, "gpt-4o", (n * 1_000, 0, 0)),
            json!({"outcome": outcome}),
        );
        with(one, more)
    };
    let calls = vec![
        ended(1, "ok", json!({"run": "r1", "tags": {"customer": "acme"}})),
        ended(2, "error", json!({"run": "r1", "tags": {"customer": "acme", "tier": "gold"}})),
        ended(3, "ok", json!({"run": "r2", "tags": {"customer": "zeta"}})),
        ended(4, "denied", json!({"usage": {}, "cost_status": "free"})),
        // A long prompt stands apart for its length, and ended well.
        ended(40, "ok", json!({})),
    ];
    let (collector, _dir) = collector(calls);
    let rows = |key: &str, query: &str| summed(&collector, key, query);
    assert_eq!(
        rows("outcome", "by=outcome&sort=outcome"),
        ["denied 0 1 0.000000000000", "error 1 0 0.005000000000", "ok 3 0 0.110000000000"]
    );
    assert_eq!(rows("agent", "by=agent&outcome=ok"), ["b 1 0 0.100000000000", "a 2 0 0.010000000000"]);
    assert_eq!(rows("agent", "by=agent&outcome=error"), ["a 1 0 0.005000000000"]);
    assert_eq!(
        rows("run", "by=run&sort=-cost"),
        ["- 1 1 0.100000000000", "r1 2 0 0.007500000000", "r2 1 0 0.007500000000"]
    );
    assert_eq!(rows("agent", "by=agent&run=r1"), ["a 2 0 0.007500000000"]);
    assert_eq!(
        rows("tag", "by=tag&sort=tag"),
        [
            "customer=acme 2 0 0.007500000000",
            "customer=zeta 1 0 0.007500000000",
            "tier=gold 1 0 0.005000000000"
        ]
    );
    assert_eq!(
        rows("tag", "by=tag&tag_key=customer&sort=-cost"),
        ["- 1 1 0.100000000000", "acme 2 0 0.007500000000", "zeta 1 0 0.007500000000"]
    );
    assert_eq!(rows("day", "by=day&tag=customer%3Dacme"), ["2026-11-20 2 0 0.007500000000"]);
    for (query, names) in [
        ("by=run,outcome", "`outcome` and `run`"),
        ("by=agent&outcome=errors", "did you mean `error`?"),
        ("by=agent&tag=acme", "`customer=acme`"),
        ("by=agent&tag_key=customer", "`tag_key`"),
        ("by=agent&tag=customer%3Dacme&tag=tier%3Dgold", "several keys"),
    ] {
        let answer = collector.client.get(&format!("/api/v1/summary?{query}"));
        assert!(answer.status == 400 && answer.text.contains(names), "{query}: {}", answer.text);
    }
}

#[test]
fn a_plan_is_compared_with_what_its_agent_does() {
    let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    let calls = (0..40).map(|n| {
        let mut one = call(n, "support", "gpt-4o", (1_500, 300, 200));
        one["time_ms"] = json!(now_ms - 20 * 3_600_000 + n);
        one
    });
    let (collector, dir) = collector(calls.collect());
    let admin = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let plan = json!({
        "models": ["gpt-4o"], "prompt_tokens": 1_000, "output_tokens": 100, "calls": "1200/month", "cache_share": "0.4",
    });
    let saved = collector.client.send("PUT", "/api/v1/plans/support", admin.trim(), &plan.to_string());
    assert_eq!(saved.status, 200, "{}", saved.text);
    let answer = ask(&collector, "/api/v1/plans/support/check");
    assert!(answer["notes"][0].as_str().unwrap().contains("since the plan was kept"), "{answer}");
    let row = |what: &str| {
        let row = answer["rows"].as_array().unwrap().iter().find(|row| row["what"] == what).unwrap();
        (
            row["planned"].as_str().unwrap().to_owned(),
            row["actual"].as_str().unwrap().to_owned(),
            row["change_percent"].clone(),
        )
    };
    let all = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), json!(c));
    assert_eq!(row("input_tokens_per_call"), all("1000.0", "1500.0", "50.00"));
    assert_eq!(row("output_tokens_per_call"), all("100.0", "200.0", "100.00"));
    assert_eq!(row("cached_percent"), all("40.00", "20.00", "-50.00"));
    // 600 at $2.50, 400 at $1.25 and 100 at $10 a million; 1,200, 300 and 200.
    assert_eq!(row("cost_per_call_usd"), all("0.003000", "0.005375", "79.17"));
    assert_eq!(row("calls_per_day").0, "40.0");
    let wrong = collector.client.send("PUT", "/api/v1/plans/support", admin.trim(), "{}");
    assert!(wrong.status == 400 && wrong.text.contains("models"), "{}", wrong.text);
}

#[test]
fn a_file_of_actions_says_where_its_next_page_begins_and_the_command_writes_them_all() {
    let calls = (0..45).map(|n| {
        let more = json!({"run": format!("r-{n:03}"), "duration_ms": 500});
        with(call(n, "bot", "gpt-4o", (1_000, 0, 0)), more)
    });
    let denied = json!({"run": "r-refused", "outcome": "denied", "usage": {}, "cost_status": "free"});
    let refused = with(call(100, "bot", "gpt-4o", (0, 0, 0)), denied);
    let (collector, _dir) = collector(calls.chain([refused]).collect());
    let mut path = format!("/api/v1/runs?{PERIOD}&format=csv&limit=20&sort=calls");
    let mut rows = Vec::new();
    for page in 0..3 {
        let answer = collector.client.get(&path);
        let mut lines = answer.text.lines();
        assert!(lines.next().unwrap().contains(",duration_ms,"), "{}", answer.text);
        rows.extend(lines.map(str::to_owned));
        match answer.link {
            Some(link) => path = link.strip_prefix('<').unwrap().split('>').next().unwrap().to_owned(),
            None => assert_eq!(page, 2),
        }
    }
    assert_eq!(rows.len(), 46);
    assert!(rows[0].contains(",500,"), "{}", rows[0]);
    assert!(rows[45].contains("r-refused"), "{}", rows[45]);
    let asked = ["runs", "--from", "2026-11-01", "--to", "2026-12-01"];
    for (more, expected) in [
        (&["--format", "csv"][..], 47),
        (&["--format", "jsonl"], 46),
        (&["--format", "csv", "--top", "5"], 6),
    ] {
        let printed = collector.asked(&[&asked[..], more].concat());
        assert_eq!(printed.lines().count(), expected, "{printed}");
    }
    assert!(collector.asked(&asked).contains("500 ms"));
    let tree = collector.client.get("/api/v1/runs/r-001?format=csv");
    assert_eq!(tree.content_type, "text/csv; charset=utf-8");
    assert!(tree.text.lines().nth(1).unwrap().contains("r-001"), "{}", tree.text);
    let none = collector.client.get("/api/v1/accounts?format=csv");
    assert!(none.text.contains("`format` is not a parameter here; there are none"), "{}", none.text);
}

#[test]
fn a_month_that_has_not_begun_is_not_compared_and_one_other_row_stays_itself() {
    let calls = ["a", "b", "c"].iter().zip(0..).map(|(agent, n)| call(n, agent, "gpt-4o", (1_000, 0, 0)));
    let (collector, _dir) = collector(calls.collect());
    let later = collector.client.get("/api/v1/compare?month=2099-12");
    assert_eq!(later.status, 400);
    assert!(later.text.contains("has not begun: it starts at 2099-12-01T00:00:00Z"), "{}", later.text);
    for path in ["summary", "compare"] {
        let all = ask(&collector, &format!("/api/v1/{path}?{PERIOD}&by=agent&top=2"));
        let names: Vec<&Value> = all["rows"].as_array().unwrap().iter().map(|row| &row["agent"]).collect();
        assert_eq!(names.len(), 3, "{all}");
        assert!(names.iter().all(|name| name.is_string()), "{all}");
        let cut = ask(&collector, &format!("/api/v1/{path}?{PERIOD}&by=agent&top=1"));
        assert_eq!(cut["rows"][1]["others"], json!(2), "{cut}");
    }
}

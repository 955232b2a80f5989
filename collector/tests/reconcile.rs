//! Bills of providers beside what a running collector saw: by cause, on the command line and over HTTP, and
//! booked so that every report agrees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::message;
use support::process::Process;
use tempfile::TempDir;
use tollgate_core::money::Picodollars;

const DAY: &str = "from=2026-11-20&to=2026-11-21";

struct Books {
    collector: Process,
    admin: String,
    dir: TempDir,
}

impl Books {
    /// A collector with these calls of 2026-11-20.
    fn with(calls: Vec<Value>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let collector = Process::start(dir.path());
        let answer = collector.client.sync(&message(1, calls.clone()));
        assert_eq!(answer.json()["stored"], json!(calls.len()), "{}", answer.text);
        let admin = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap().trim().to_owned();
        Self { collector, admin, dir }
    }

    fn post(&self, query: &str, bill: &str) -> Value {
        let answer = self.collector.client.post(&format!("/api/v1/reconcile?{query}"), &self.admin, bill);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.collector.client.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// What each report says that the day, or all time, costs.
    fn costs(&self) -> [Picodollars; 4] {
        let summary = self.get(&format!("/api/v1/summary?{DAY}"));
        let by_team = self.get(&format!("/api/v1/summary?{DAY}&by=team,hour"));
        let chargeback = self.get("/api/v1/chargeback?month=2026-11");
        let focus = self.collector.client.get(&format!("/api/v1/exports/focus.csv?{DAY}&grain=day"));
        assert_eq!(focus.status, 200, "{}", focus.text);
        let mut rows = csv::Reader::from_reader(focus.text.as_bytes());
        let at = rows.headers().unwrap().iter().position(|name| name == "BilledCost").unwrap();
        let focus = rows.records().map(|row| money(&json!(row.unwrap()[at]))).sum();
        let teams = by_team["rows"].as_array().unwrap().iter().map(|row| money(&row["cost_usd"])).sum();
        [money(&summary["total"]["cost_usd"]), teams, money(&chargeback["total_usd"]), focus]
    }

    fn recounted(&self) -> Value {
        self.get("/api/v1/accounts/recount")
    }
}

fn money(value: &Value) -> Picodollars {
    value.as_str().unwrap().parse().unwrap()
}

fn usd(text: &str) -> Picodollars {
    text.parse().unwrap()
}

/// A call that was priced by a gateway.
fn call(n: u64, team: &str, model: &str, cost: &str) -> Value {
    json!({
        "id": format!("01890a5d-ac96-774b-8000-{n:012x}"), "time_ms": support::START_MS + n * 60_000, "gateway": "edge",
        "agent": format!("{team}-bot"), "team": team, "feature": "inbox", "environment": "production",
        "provider": "openai", "operation": "chat", "request_model": model, "response_model": model, "status": 200,
        "outcome": "ok", "usage": {"input_tokens": 10, "output_tokens": 1},
        "cost_usd": cost, "cost_status": "measured", "cost_source": "provider", "provider_cost_usd": cost,
    })
}

/// Three calls of two teams, which cost 0.09 dollars.
fn three() -> Vec<Value> {
    vec![
        call(1, "support", "gpt-4o-2024-08-06", "0.010000000000"),
        call(2, "sales", "gpt-4o-2024-08-06", "0.020000000000"),
        call(90, "sales", "gpt-4o-2024-08-06", "0.060000000000"),
    ]
}

const BILL: &str = include_str!("bills/openai.json");

fn bill(rows: &[(&str, &str)]) -> String {
    let rows = rows.iter().map(|(item, cost)| format!("1795132800,{cost},usd,{item}\n"));
    format!("start_time,amount_value,amount_currency,line_item\n{}", rows.collect::<String>())
}

fn show(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_command_and_the_endpoint_say_the_same_of_every_format() {
    let books = Books::with(three());
    for name in [
        "openai.json",
        "openai.csv",
        "anthropic.json",
        "anthropic.csv",
        "cur.csv",
        "focus.csv",
        "google.jsonl",
        "google.csv",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bills").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        for tz in ["UTC", "Europe/Berlin"] {
            let over_http = books.post(&format!("tz={tz}&name={name}&dry_run=true"), &text);
            let asked = ["reconcile", show(&path), "--tz", tz, "--format", "json", "--dry-run"];
            let by_command: Value = serde_json::from_str(&books.collector.asked(&asked)).unwrap();
            assert_eq!(by_command, over_http, "{name} {tz}");
            assert!(!over_http["rows"].as_array().unwrap().is_empty(), "{name}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_body_is_named_with_its_line_and_column() {
    let books = Books::with(three());
    let refused = |query: &str, token: &str, text: &str| {
        let answer = books.collector.client.post(&format!("/api/v1/reconcile?{query}"), token, text);
        (answer.status, answer.json()["error"]["message"].as_str().unwrap().to_owned())
    };
    let wrong = bill(&[("gpt-4o", "0.1"), ("gpt-4o", "much")]);
    for (query, text, expected) in [
        (
            "name=costs.csv",
            wrong.as_str(),
            "costs.csv: line 3: column `amount_value` is `much`, which is no amount",
        ),
        ("", "a,b\n1,2\n", "bill: line 1: no column tells a format"),
        ("", "", "bill: is empty"),
        ("tz=Mars", BILL, "`tz` is `Mars`, which is no time zone"),
        ("max_gap=x", BILL, "`max_gap` is `x`"),
        ("book=true", BILL, "`reason` is missing"),
        ("reason=x", BILL, "`reason` is given without `book`"),
        ("provider=nobody", BILL, "none is about a provider that is known here"),
    ] {
        let (status, message) = refused(query, &books.admin, text);
        assert_eq!(status, 400, "{query}: {message}");
        assert!(message.contains(expected), "{query}: {message}");
    }
    let (status, message) = refused("", &books.admin, &"long".repeat(9 << 20));
    assert_eq!(status, 413, "{message}");
    assert!(message.contains("the bill is longer than 33554432 bytes"), "{message}");
    // Reading is open here; booking is not.
    assert_eq!(refused("book=true&reason=x", "nobody", BILL).0, 401);
    assert_eq!(books.collector.client.post("/api/v1/reconcile", "nobody", BILL).status, 200);
}

#[test]
fn a_booked_bill_is_what_every_report_says_and_counts_once() {
    let books = Books::with(three());
    let file = books.file("invoice.json", BILL);
    let first = books.post("", BILL);
    assert_eq!((&first["totals"][0]["gap_usd"], &first["booking"]), (&json!("0.010000000000"), &json!(null)));
    let shown = books.post("dry_run=true", BILL);
    assert_eq!(shown["booking"]["written"], json!(false));
    assert_eq!(books.costs(), [usd("0.09"); 4], "nothing is booked yet");
    let token = ["--token", books.admin.as_str()];
    let asked = ["reconcile", show(&file), "--format", "json", "--book", "--reason", "invoice 2026-11"];
    let asked = [&asked[..], &token].concat();
    let booked: Value = serde_json::from_str(&books.collector.asked(&asked)).unwrap();
    assert_eq!(booked["booking"]["written"], json!(true), "{booked}");
    assert_eq!(booked["booking"]["rows"], shown["booking"]["rows"]);
    assert_eq!(books.costs(), [usd("0.1"); 4]);
    // Of 0.01, a ninth, two ninths and two thirds.
    let teams = books.get(&format!("/api/v1/summary?{DAY}&by=team&sort=team"));
    let costs: Vec<_> = teams["rows"].as_array().unwrap().iter().map(|row| &row["cost_usd"]).collect();
    assert_eq!(costs, ["0.088888888889", "0.011111111111"]);
    assert_eq!(books.recounted()["wrong"], json!(0), "{}", books.recounted());
    // No gap is left, and nothing is booked a second time.
    let again: Value = serde_json::from_str(&books.collector.asked(&asked)).unwrap();
    assert_eq!(again["totals"][0]["gap_usd"], json!("0.000000000000"));
    assert_eq!(
        (&again["booking"]["written"], &again["booking"]["rows"]),
        (&json!(false), &json!([])),
        "{again}"
    );
    // Of a corrected bill, only the difference.
    let corrected = BILL.replace("4e-2", "3e-2");
    let corrected = books.post("book=true&reason=corrected", &corrected);
    assert_eq!(corrected["booking"]["amount_usd"], json!("-0.010000000000"));
    assert_eq!(books.costs(), [usd("0.09"); 4]);
    let trail = books.collector.asked(&["audit", "list", "--wide"]);
    assert_eq!(trail.matches("bill.book").count(), 2, "{trail}");
    assert!(trail.contains("invoice.json"), "{trail}");
    assert_eq!(books.recounted()["wrong"], json!(0));
    // Records are calls: with what was booked they are the summary.
    let records = books.get(&format!("/api/v1/records?{DAY}"));
    let records: Picodollars =
        records["rows"].as_array().unwrap().iter().map(|row| money(&row["cost_usd"])).sum();
    let booked = money(&booked["booking"]["amount_usd"]) + money(&corrected["booking"]["amount_usd"]);
    assert_eq!(records + booked, books.costs()[0]);
}

#[test]
fn what_went_past_the_gateway_is_nobodys_and_other_days_and_names_are_left() {
    let mut calls = three();
    // A day that the bill is not about.
    calls.push(call(2_000, "sales", "gpt-4o-2024-08-06", "0.500000000000"));
    let books = Books::with(calls);
    let past = bill(&[("gpt-4o-2024-08-06", "0.09"), ("gpt-4.1-mini-2025-04-14", "0.3")]);
    let booked = books.post("book=true&reason=past", &past);
    let rows = booked["booking"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{booked}");
    assert_eq!(
        (&rows[0]["attribution"], &rows[0]["amount_usd"]),
        (&json!("unattributed"), &json!("0.300000000000"))
    );
    let nobody = books.get(&format!("/api/v1/summary?{DAY}&team=unattributed&by=provider,model"));
    let row = &nobody["rows"][0];
    assert_eq!((&row["calls"], &row["cost_usd"]), (&json!(0), &json!("0.300000000000")), "{nobody}");
    let again = books.post("dry_run=true", &past);
    assert_eq!(
        (&again["totals"][0]["gap_usd"], &again["booking"]["rows"]),
        (&json!("0.000000000000"), &json!([]))
    );
    // Records of the same dimensions still come in, and a model that is named differently is left.
    let other = bill(&[("some-model-nobody-knows", "0.2")]);
    let left = books.post("book=true&reason=other", &other);
    assert_eq!(left["booking"]["left"][0]["why"], json!("model_not_matched"), "{left}");
    let mut late = call(95, "unattributed", "gpt-4.1-mini-2025-04-14", "0.100000000000");
    late["agent"] = json!("unattributed");
    assert_eq!(books.collector.client.sync(&message(2, vec![late])).json()["stored"], json!(1));
    assert_eq!(books.recounted()["wrong"], json!(0), "{}", books.recounted());
}

#[test]
fn a_bill_of_a_closed_month_is_booked_in_the_open_one_and_counts_once() {
    let mut calls = three();
    for call in &mut calls {
        // 2026-10-20.
        call["time_ms"] = json!(call["time_ms"].as_u64().unwrap() - 31 * 86_400_000);
    }
    let books = Books::with(calls);
    let closed = books.collector.client.send("put", "/api/v1/months/2026-10", &books.admin, "");
    assert_eq!(closed.status, 200, "{}", closed.text);
    let october = BILL.replace("1795132800", "1792454400").replace("1795219200", "1792540800");
    let booked = books.post("book=true&reason=late", &october);
    assert_eq!(booked["booking"]["rows"][0]["month_was_closed"], json!(true), "{booked}");
    let cost = |period: &str| money(&books.get(&format!("/api/v1/summary?{period}"))["total"]["cost_usd"]);
    assert_eq!(cost("month=2026-10"), usd("0.09"), "it stays as it was");
    assert_eq!(cost("from=2026-10-01&to=2030-01-01"), usd("0.1"));
    let again = books.post("book=true&reason=late", &october);
    assert_eq!(
        (&again["totals"][0]["gap_usd"], &again["booking"]["written"]),
        (&json!("0.000000000000"), &json!(false))
    );
    assert_eq!(books.recounted()["wrong"], json!(0), "{}", books.recounted());
}

#[test]
fn what_is_booked_is_no_saving_and_no_use() {
    let books = Books::with(three());
    let asked = format!("/api/v1/what-if?{DAY}");
    let before = books.get(&format!("{asked}&to_model=gpt-4o-mini"));
    let baseline = books.get("/api/v1/baseline?from=2026-11-01");
    let relatives = books.get(&asked);
    let text = bill(&[("gpt-4o-2024-08-06", "5.09"), ("gpt-4.1-mini-2025-04-14", "7")]);
    let booked = books.post("book=true&reason=more", &text);
    assert_eq!(booked["booking"]["amount_usd"], json!("12.000000000000"), "{booked}");
    let after = books.get(&format!("{asked}&to_model=gpt-4o-mini"));
    assert_eq!(money(&after["cost_usd"]), usd("12.09"));
    assert_eq!(after["saving_usd"], before["saving_usd"], "{after}");
    let rows = after["rows"].as_array().unwrap();
    let kept: Picodollars = rows.iter().map(|row| money(&row["kept_usd"])).sum();
    assert_eq!(kept, usd("12"), "{after}");
    let past = rows.iter().find(|row| row["calls"] == 0).unwrap();
    assert_eq!(
        (&past["would_cost_usd"], &past["kept_usd"], &past["saving_usd"]),
        (&past["cost_usd"], &json!("7.000000000000"), &json!("0.000000000000"))
    );
    assert!(past["notes"][0].as_str().unwrap().contains("what bills"), "{past}");
    // The nearest smaller models: no row is there for what is booked alone, and none saves more.
    let more = books.get(&asked);
    assert_eq!(more["saving_usd"], relatives["saving_usd"], "{more}");
    assert_eq!(more["rows"].as_array().unwrap().len(), relatives["rows"].as_array().unwrap().len());
    // What agents used is what it was.
    assert_eq!(books.get("/api/v1/baseline?from=2026-11-01")["rows"], baseline["rows"]);
    let later = books.get("/api/v1/baseline?from=2030-01-01");
    let hint = later["hint"].as_str().unwrap();
    assert!(hint.contains("`from` is 2030-01-01T00:00:00Z, which is not yet"), "{hint}");
}

#[test]
fn a_bill_of_a_closed_month_is_no_saving_and_no_use_of_the_open_one() {
    let mut calls = three();
    for call in &mut calls {
        call["time_ms"] = json!(call["time_ms"].as_u64().unwrap() - 31 * 86_400_000);
    }
    calls.extend((300..303).map(|n| call(n, "sales", "gpt-4o-2024-08-06", "0.010000000000")));
    let books = Books::with(calls);
    let asked = "/api/v1/what-if?from=2026-11-01&to=2030-01-01&to_model=gpt-4o-mini";
    let (before, baseline) = (books.get(asked), books.get("/api/v1/baseline?from=2026-11-01"));
    books.collector.client.send("put", "/api/v1/months/2026-10", &books.admin, "");
    let october = BILL.replace("1795132800", "1792454400").replace("1795219200", "1792540800");
    let booked = books.post("book=true&reason=late", &october);
    assert_eq!(booked["booking"]["written"], json!(true), "{booked}");
    let after = books.get(asked);
    assert_eq!(money(&after["cost_usd"]), money(&before["cost_usd"]) + usd("0.01"), "{after}");
    assert_eq!(after["saving_usd"], before["saving_usd"], "{after}");
    let rows = books.get("/api/v1/baseline?from=2026-11-01")["rows"].clone();
    assert_eq!(rows, baseline["rows"]);
}

#[test]
fn the_same_file_twice_and_a_page_without_the_next_are_refused() {
    let books = Books::with(three());
    let (one, two) = (books.file("one.json", BILL), books.file("two.json", BILL));
    let refused = |files: &[&str]| {
        let out = books.collector.ask(&[&["reconcile"], files].concat());
        assert!(!out.status.success());
        String::from_utf8(out.stderr).unwrap()
    };
    let said = refused(&[show(&one), show(&two)]);
    assert!(said.contains("one.json") && said.contains("two.json") && said.contains("count twice"), "{said}");
    let said = refused(&[show(&one), show(&one)]);
    assert!(said.contains("count twice"), "{said}");
    let page = BILL.replace("\"has_more\": false", "\"has_more\": true");
    assert_ne!(page, BILL);
    let said = refused(&[show(&books.file("page.json", &page))]);
    assert!(said.contains("page.json: line 1: `has_more` is true, and the next page"), "{said}");
    let answer = books.collector.client.post("/api/v1/reconcile", &books.admin, &page);
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("`next_page`, until `has_more` is false"), "{}", answer.text);
}

//! A database of the first schema, as `testdata/version-1.py` made it, is taken over whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::message;
use support::process::Process;

const DUMP: &str = include_str!("../testdata/version-1.sql");
const HELD: &str = include_str!("../testdata/version-1.json");
const COUNTS: [&str; 7] =
    ["calls", "denied", "errors", "input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens"];
/// The time that it covers.
const PERIOD: &str = "from=2025-10-01&to=2025-12-01";

/// What the database holds, read without the collector.
fn bodies(connection: &Connection) -> Vec<Value> {
    let mut statement = connection.prepare("SELECT body FROM records ORDER BY time_ms, seq").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|body| serde_json::from_str(&body.unwrap()).unwrap()).collect()
}

fn by_agent_is(collector: &Process, held: &Value) {
    let answer = collector.client.get(&format!("/api/v1/summary?by=agent&{PERIOD}")).json();
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), held["agents"].as_object().unwrap().len(), "{answer:#}");
    for row in rows {
        let expected = &held["agents"][row["agent"].as_str().unwrap()];
        for name in COUNTS {
            assert_eq!(row[name], expected[name], "{name} of {row:#}");
        }
        assert_eq!(row["cost_usd"], expected["cost"], "{row:#}");
        assert_eq!(row["estimated_cost_usd"], expected["estimated_cost"], "{row:#}");
    }
}

#[test]
fn a_database_of_the_first_version_keeps_all_it_held_and_works_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let connection = Connection::open(data.join("tollgate.db")).unwrap();
    connection.execute_batch(DUMP).unwrap();
    let before = bodies(&connection);
    let held: Value = serde_json::from_str(HELD).unwrap();
    assert_eq!(before.len() as u64, held["records"].as_u64().unwrap());

    let collector = Process::start(dir.path());
    assert_eq!(bodies(&connection), before, "no record is changed");
    by_agent_is(&collector, &held);
    let listed = collector.client.get(&format!("/api/v1/records?limit=500&{PERIOD}")).json();
    let ids =
        |rows: &[Value]| rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut newest_first = ids(&before);
    newest_first.reverse();
    assert_eq!(ids(listed["rows"].as_array().or(listed["records"].as_array()).unwrap()), newest_first);
    let accounts = collector.client.get("/api/v1/accounts").json();
    let all = before.len() as u64;
    assert_eq!((&accounts["balanced"], &accounts["kept"]), (&json!(true), &json!(all)), "{accounts}");
    assert_eq!(accounts["dropped"]["gateway_outbox_full"], 7, "what gateways had dropped: {accounts}");

    // What comes again is known, and what is new is counted once.
    let mut known = 0;
    for gateway in gateways(&before[..200]) {
        let own = before[..200].iter().filter(|record| record["gateway"] == gateway).cloned().collect();
        let answer = collector.client.sync(&from(&gateway, message(9, own))).json();
        assert_eq!(answer["stored"], 0, "{answer}");
        known += answer["duplicates"].as_u64().unwrap();
    }
    assert_eq!(known, 200);
    by_agent_is(&collector, &held);
    let mut more = before[0].clone();
    more["id"] = json!("01890a5d-ac96-774b-8000-0000000f0000");
    let gateway = more["gateway"].clone();
    assert_eq!(collector.client.sync(&from(&gateway, message(10, vec![more]))).json()["stored"], 1);
    let total = collector.client.get(&format!("/api/v1/summary?{PERIOD}")).json();
    let counted = total["total"]["calls"].as_u64().unwrap() + total["total"]["denied"].as_u64().unwrap();
    assert_eq!(counted, all + 1);

    // Tables of later versions work on it.
    let admin = std::fs::read_to_string(data.join("admin.token")).unwrap();
    let closed = collector.client.change("PUT", "/api/v1/months/2025-10", Some(admin.trim()));
    assert_eq!(closed.status, 200, "{}", closed.text);
    collector.asked(&["audit", "verify"]);
    drop(collector);
    let again = Process::start(dir.path());
    assert_eq!(again.client.get("/api/v1/accounts").json()["balanced"], true);
}

/// The gateways of these records, each once.
fn gateways(records: &[Value]) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for record in records {
        if !all.contains(&record["gateway"]) {
            all.push(record["gateway"].clone());
        }
    }
    all
}

/// The same message of this gateway: one reports of itself only.
fn from(gateway: &Value, mut message: Value) -> Value {
    message["gateway"] = gateway.clone();
    message
}

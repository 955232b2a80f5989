//! Exports as others read them: the FinOps Foundation's validator of FOCUS, DuckDB and Arrow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tollgate_tests::artifacts::{self, Workspace};
use tollgate_tests::collector::Collector;
use tollgate_tests::{ports, sdk};

fn directory() -> PathBuf {
    let directory = Workspace::find().unwrap().target.join("e2e/exports");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn tollgate(binary: &Path, arguments: &[&str]) -> String {
    let done = Command::new(binary).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {said}");
    String::from_utf8(done.stdout).unwrap()
}

/// A call whose provider said what it cost, so that a row has what the book does not.
fn told() -> Value {
    json!({
        "id": "01a0f4c6-98a4-79f1-8b01-9666d9060001", "time_ms": 1_792_000_000_000u64, "gateway": "edge",
        "agent": "bot", "team": "support", "feature": "chat", "environment": "production", "provider": "openrouter",
        "operation": "chat", "request_model": "openai/gpt-4o", "response_model": "openai/gpt-4o", "outcome": "ok",
        "status": 200, "usage": {"input_tokens": 1000, "output_tokens": 100}, "provider_cost_usd": "0.009000000000",
        "cost_usd": "0.009000000000", "cost_status": "measured", "cost_source": "provider",
    })
}

#[test]
fn the_validator_of_focus_duckdb_and_arrow_read_what_the_summary_says() {
    let Some(python) = sdk::exports().unwrap() else { return };
    let binary = artifacts::build_collector().unwrap();
    let directory = directory();
    let data = directory.join("data");
    let sample = ["demo-data", "--end", "2026-11-01", "--days", "31", "--records", "5000", "--to"];
    tollgate(&binary, &[&sample[..], &[data.to_str().unwrap()]].concat());
    let collector = Collector::start(&binary, &directory, ports::free().unwrap(), "").unwrap();
    let url = format!("http://{}", collector.address());
    let token = collector.admin_token().unwrap();
    let at =
        |arguments: &[&str]| tollgate(&binary, &[arguments, &["--url", &url, "--token", &token]].concat());
    let log = directory.join("more.log");
    fs::write(&log, told().to_string()).unwrap();
    at(&["import", "access-log", log.to_str().unwrap()]);

    let into = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    at(&["export", "focus", "--month", "2026-10", "--to-file", &into("focus.csv")]);
    at(&[
        "export",
        "focus",
        "--month",
        "2026-10",
        "--format",
        "parquet",
        "--to-file",
        &into("focus.parquet"),
    ]);
    let export = [
        "export",
        "records",
        "--from",
        "2026-10-01",
        "--to",
        "2026-11-01",
        "--to-dir",
        directory.to_str().unwrap(),
    ];
    assert!(at(&export).starts_with("31 days of records written"));
    assert!(at(&export).contains("0 days of records written"), "what is complete is not written again");
    let parts = |name: &str| fs::read_dir(directory.join(name)).unwrap().count();
    assert_eq!(parts("day=2026-10-05"), 1, "nothing unfinished is left");

    let summary: Value =
        serde_json::from_str(&at(&["summary", "--month", "2026-10", "--by", "", "--format", "json"]))
            .unwrap();
    let (cost, calls) = (&summary["total"]["cost_usd"], &summary["total"]["calls"]);
    let denied = summary["total"]["denied"].as_u64().unwrap();
    let script = Workspace::find().unwrap().file("tests/exports/check.py");
    let read = Command::new(python).arg(script).arg(&directory).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let read: Value = serde_json::from_slice(&read.stdout).unwrap();
    // Two halves of an "or": where there is no invoice, one of them always fails.
    assert_eq!(read["focus"]["failed"], json!(["InvoiceId-C-005-C"]), "{read}");
    assert!(read["focus"]["checked"].as_u64().unwrap() > 200, "{read}");
    assert_eq!(&read["arrow"], cost, "{read}");
    assert_eq!(&read["duckdb"][0], cost, "{read}");
    assert_eq!(&read["records"][0], cost, "{read}");
    let records = (calls.as_u64().unwrap() + denied).to_string();
    assert_eq!(read["records"], json!([cost, records, "31", "TIMESTAMP WITH TIME ZONE"]), "{read}");
}

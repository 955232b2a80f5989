//! The pages in a real browser: every one at three widths, light and dark, and every way in that should be
//! shut.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::fs;
use std::process::Command;

use tollgate_tests::artifacts::{self, Workspace};
use tollgate_tests::collector::Collector;
use tollgate_tests::{ports, sdk};

const BUDGETS: &str = r#"
[[budgets]]
name = "company-month"
limit_usd = "900.00"
window = "month"
"#;

/// Chromium is Debian's; `.ci/run` installs it where it is missing.
#[test]
fn pages_are_whole_in_a_browser_and_shut_for_other_sites() {
    let python = sdk::pages().unwrap();
    artifacts::build_estimator().unwrap();
    let binary = artifacts::build_collector().unwrap();
    let directory = Workspace::find().unwrap().target.join("e2e/pages");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let data = directory.join("data");
    let made = Command::new(&binary)
        .args(["demo-data", "--days", "70", "--records", "20000", "--to"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let collector = Collector::start(&binary, &directory, ports::free().unwrap(), BUDGETS).unwrap();
    let looked = Command::new(python)
        .arg(Workspace::find().unwrap().file("tests/pages/pages.py"))
        .arg(format!("http://{}", collector.address()))
        .arg(collector.admin_token().unwrap())
        .arg(directory.join("pictures"))
        .arg(&binary)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&looked.stdout);
    println!("{said}");
    assert!(looked.status.success(), "{said}{}", String::from_utf8_lossy(&looked.stderr));
}

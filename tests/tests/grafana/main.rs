//! What is shipped for Grafana and Prometheus: dashboards against Grafana's own types, every query of theirs
//! against a collector with data and a real Prometheus that scrapes it with the shipped rules, and the rules
//! with their tests.
//!
//! There is no Grafana here that could be run, so this does what it does before it asks: puts values in place
//! of variables.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

mod board;
mod company;
mod prometheus;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate_tests::artifacts::Workspace;
use tollgate_tests::http::get_blocking;
use tollgate_tests::{render, sdk};

use board::Board;
use company::Company;
use prometheus::Prometheus;

fn shipped(path: &str) -> PathBuf {
    Workspace::find().unwrap().file("packaging").join(path)
}

fn directory(name: &str) -> PathBuf {
    let directory = Workspace::find().unwrap().target.join("e2e").join(format!("grafana-{name}"));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Debian's package `prometheus` has both programs; `.ci/run` installs it.
fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "`{program}` is missing: `apt-get install prometheus`"
    );
    if !found {
        println!("skipped: there is no `{program}` here; it is in Debian's package `prometheus`");
    }
    found
}

/// `@grafana/schema` has the types that Grafana makes from its kinds. The compiler reads the JSON as a
/// literal of them, so a key or a word that Grafana does not know is a mistake.
#[test]
fn dashboards_are_what_grafanas_types_say() {
    let home = sdk::grafana().unwrap();
    for name in BOARDS {
        let text = fs::read_to_string(shipped(&format!("grafana/{name}.json"))).unwrap();
        let check = |text: &str, file: &str| {
            let literal = format!(
                "import type {{ Dashboard }} from './dashboard.js';\nexport const board: Dashboard = {text};\n"
            );
            fs::write(home.join(file), literal).unwrap();
            let compiler = home.join("node_modules/typescript/bin/tsc");
            let mut command = Command::new("node");
            command.current_dir(&home).arg(compiler).args(["--noEmit", "--strict", "--skipLibCheck"]);
            command.args(["--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022", file]);
            let done = command.output().unwrap();
            (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
        };
        let (is_good, said) = check(&text, &format!("{name}.ts"));
        assert!(is_good, "{name}: {said}");
        let wrong = text.replacen("\"cellHeight\": \"sm\"", "\"cellHeight\": \"tiny\"", 1);
        let (is_good, said) = check(&wrong, &format!("{name}-wrong.ts"));
        assert!(!is_good && said.contains("tiny"), "the types let a wrong word pass: {said}");
        Board::read(name).check_itself();
    }
}

#[test]
fn provisioning_names_what_dashboards_ask() {
    let sources = render::read(&shipped("grafana/provisioning/datasources/tollgate.yaml")).unwrap();
    let kinds: BTreeSet<&str> =
        sources["datasources"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    let asked: BTreeSet<String> =
        BOARDS.iter().flat_map(|name| Board::read(name).sources().into_iter()).collect();
    assert_eq!(kinds, asked.iter().map(String::as_str).collect());
    let boards = render::read(&shipped("grafana/provisioning/dashboards/tollgate.yaml")).unwrap();
    assert_eq!(boards["providers"][0]["type"], "file");
}

#[test]
fn rules_fire_when_they_should_and_not_otherwise() {
    let folder = shipped("prometheus");
    let rules = render::read(&folder.join("tollgate-rules.yml")).unwrap();
    let runbook = fs::read_to_string(Workspace::find().unwrap().file("docs/runbook.md")).unwrap();
    let alerts = prometheus::alerts(&rules);
    for (name, alert) in &alerts {
        let anchor = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"], anchor.as_str());
        assert!(runbook.contains(&format!("\n## {name}\n")), "docs/runbook.md does not know {name}");
        for key in ["summary", "description"] {
            assert!(alert["annotations"][key].is_string(), "{name} has no {key}");
        }
        assert!(
            ["critical", "warning", "info"].iter().any(|one| alert["labels"]["severity"] == *one),
            "{name}"
        );
    }
    for line in runbook.lines().filter_map(|line| line.strip_prefix("## Tollgate")) {
        assert!(alerts.contains_key(&format!("Tollgate{line}")), "there is no alert Tollgate{line}");
    }
    let tests = ["tollgate-rules.test.yml", "tollgate-rules.slow.test.yml"];
    let (mut firing, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for file in tests {
        for test in render::read(&folder.join(file)).unwrap()["tests"].as_array().unwrap() {
            for one in test["alert_rule_test"].as_array().unwrap() {
                let set = if one["exp_alerts"].is_array() { &mut firing } else { &mut quiet };
                set.insert(one["alertname"].as_str().unwrap().to_owned());
            }
        }
    }
    let all: BTreeSet<String> = alerts.keys().cloned().collect();
    assert_eq!(firing, all, "each has a test in which it fires");
    assert_eq!(quiet, all, "and one in which it does not");
    if !is_there("promtool") {
        return;
    }
    let promtool = |arguments: &[&str]| {
        let done = Command::new("promtool").current_dir(&folder).args(arguments).output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "promtool {arguments:?}: {said}");
    };
    promtool(&["check", "rules", "tollgate-rules.yml"]);
    promtool(&["check", "config", "scrape.yml"]);
    promtool(&[&["test", "rules"][..], &tests].concat());
}

#[test]
fn every_query_of_every_dashboard_has_an_answer_with_data() {
    if !is_there("prometheus") {
        return;
    }
    let begun = Instant::now();
    let directory = directory("company");
    let mut company = Company::start(&directory);
    let prometheus = Prometheus::start(&directory, company.collector.address());
    for _ in 0..3 {
        company.work();
        prometheus.wait_for_scrapes(2);
    }
    company.wait_for_what_is_odd();
    company.work();
    prometheus.wait_for_scrapes(2);

    let mut wrong = prometheus.wrong_rules();
    let board = Board::read("tollgate-prometheus");
    wrong.extend(board.ask_prometheus(&prometheus));
    let board = Board::read("tollgate-api");
    wrong.extend(board.ask_collector(&company.collector));
    for name in BOARDS {
        for path in Board::read(name).pages() {
            if let Err(error) = get_blocking(company.collector.address(), &path) {
                wrong.push(format!("{name} leads to {path}: {error:#}"));
            }
        }
    }
    println!("asked everything after {:?}", begun.elapsed());
    assert!(wrong.is_empty(), "{} mistakes:\n{}", wrong.len(), wrong.join("\n"));
}

/// Percent-encoded, as a value in a query.
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// Waits for something to be so.
fn wait(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

const BOARDS: [&str; 2] = ["tollgate-prometheus", "tollgate-api"];

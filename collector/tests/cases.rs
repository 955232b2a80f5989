//! Exchanges near faults that metering had, each kind with what is right: this project's own, and the shared
//! ones where they are at hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // a test that cannot go on should say where

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tollgate_collector::work::meter::{Cut, meter};
use tollgate_core::price::{EMBEDDED, PriceBook};

/// Kinds of the shared cases that are known to be wrong. One of them that becomes right is to be taken out.
const KNOWN_WRONG: [&str; 0] = [];

#[test]
fn every_kind_of_fault_has_a_case_of_its_own_that_is_right_at_every_cut() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases.jsonl");
    for cut in [Cut::Whole, Cut::Every(1), Cut::Random(5)] {
        let wrong = wrong(&cases, cut);
        assert!(wrong.is_empty(), "{cut:?}\n{}", told(&wrong));
    }
}

/// The shared cases are not in the repository; where they are at hand, they count.
#[test]
fn every_shared_case_is_right_but_those_of_kinds_that_are_known_to_be_wrong() {
    let cases = shared();
    if !cases.exists() {
        println!("no shared cases at hand");
        return;
    }
    let mut wrong = wrong(&cases, Cut::Whole);
    for kind in KNOWN_WRONG {
        assert!(wrong.remove(kind).is_some(), "`{kind}` is right now: take it out of KNOWN_WRONG");
    }
    assert!(wrong.is_empty(), "{}", told(&wrong));
}

/// Every kind that the shared cases have is one that this project has a case of.
#[test]
fn no_kind_of_the_shared_cases_is_without_a_case_of_this_projects() {
    let cases = shared();
    if !cases.exists() {
        println!("no shared cases at hand");
        return;
    }
    let own = kinds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases.jsonl"));
    let missing: Vec<String> = kinds(&cases)
        .into_iter()
        .filter(|kind| kind != "stays-right" && !KNOWN_WRONG.contains(&kind.as_str()) && !own.contains(kind))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases/dev.jsonl")
}

fn kinds(cases: &Path) -> Vec<String> {
    read(cases).iter().map(|case| text(case, "class")).collect()
}

/// What differs, by kind.
fn wrong(cases: &Path, cut: Cut) -> BTreeMap<String, Vec<String>> {
    let lines = fs::read(cases).unwrap();
    let mut metered: BTreeMap<String, Value> = BTreeMap::new();
    let book = PriceBook::from_files(EMBEDDED).unwrap();
    meter(lines.as_slice(), cut, &book, |exchange, found| {
        metered.insert(exchange.id.clone(), serde_json::to_value(found).unwrap());
        Ok(())
    })
    .unwrap();
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for case in read(cases) {
        let id = text(&case, "id");
        let found = metered.get(&id).unwrap_or_else(|| panic!("{id} was not metered"));
        let differences = differences(found, case.get("expect").unwrap());
        if !differences.is_empty() {
            let line = format!("{id}: {} ({})", differences.join("; "), text(&case, "why"));
            wrong.entry(text(&case, "class")).or_default().push(line);
        }
    }
    wrong
}

fn told(wrong: &BTreeMap<String, Vec<String>>) -> String {
    wrong.iter().map(|(kind, lines)| format!("{kind}\n  {}\n", lines.join("\n  "))).collect()
}

fn read(cases: &Path) -> Vec<Value> {
    let lines = fs::read_to_string(cases).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(case: &Value, name: &str) -> String {
    case.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("no `{name}` in {case}")).to_owned()
}

/// One line for each expectation that does not hold: `path: wanted`, where `any` has a list of which one has
/// to hold.
fn differences(found: &Value, expect: &Value) -> Vec<String> {
    let mut differing = Vec::new();
    for (path, wanted) in expect.as_object().unwrap() {
        let holds = match wanted.as_array().filter(|_| path == "any") {
            Some(several) => several.iter().any(|one| differences(found, one).is_empty()),
            None => holds(path, at(found, path), wanted),
        };
        if !holds {
            differing.push(format!("{path} is {}, right {wanted}", at(found, path)));
        }
    }
    differing
}

fn at<'a>(found: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(found, |value, name| value.get(name).unwrap_or(&Value::Null))
}

fn holds(path: &str, found: &Value, wanted: &Value) -> bool {
    let within = |name: &str| wanted.as_object().and_then(|wanted| wanted.get(name));
    if let Some(other) = within("not") {
        return !equals(path, found, other);
    }
    if let Some(several) = within("in").and_then(Value::as_array) {
        return several.iter().any(|one| equals(path, found, one));
    }
    if let Some((about, share)) = within("about").zip(within("within")) {
        let (about, share) = (number(about).unwrap(), number(share).unwrap());
        return number(found).is_some_and(|found| (found - about).abs() <= about.abs() * share);
    }
    equals(path, found, wanted)
}

/// Money agrees within half a percent, or a billionth of a dollar.
fn equals(path: &str, found: &Value, wanted: &Value) -> bool {
    match (number(found), number(wanted)) {
        (Some(found), Some(wanted)) if path.ends_with("_usd") => {
            (found - wanted).abs() <= (wanted.abs() * 0.005).max(1e-9)
        }
        _ => found == wanted,
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

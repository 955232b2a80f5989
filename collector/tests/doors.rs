//! The doors of a collector that runs: who may come in, how long a request may take to be said, and what it
//! may say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::process::{Process, tollgate};
use support::{TOKEN, message, record};
use tollgate_collector::config::token::Token;

/// Sends this and reads what comes until the other side closes, or nothing more for a while.
fn exchange(collector: &Process, request: &str) -> String {
    let mut stream = TcpStream::connect(collector.client.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn sync_head(length: usize) -> String {
    format!(
        "POST /v1/sync HTTP/1.1\r\nhost: c\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[test]
fn a_crowd_of_half_requests_keeps_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let half = |request: &str| {
        let mut stream = TcpStream::connect(collector.client.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    // More than fit: heads that do not end, and bodies that do not, with the right token.
    let mut crowd: Vec<_> = (0..300).map(|_| half("POST /v1/sync HTTP/1.1\r\nhost: c\r\n")).collect();
    crowd.extend((0..300).map(|_| half(&sync_head(100))));
    let begun = Instant::now();
    for number in 0..20 {
        let answer = collector.client.sync(&message(number + 1, vec![record(number)]));
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    drop(crowd);
    assert_eq!(collector.calls(), 20);
}

#[test]
fn a_body_that_does_not_come_is_given_up_and_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let begun = Instant::now();
    let answer = exchange(&collector, &format!("{}{{", sync_head(100)));
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("late_body"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(25));
    // A head that does not end gets no answer, and its connection is closed.
    let begun = Instant::now();
    assert!(!exchange(&collector, "GET /healthz HTTP/1.1\r\nhost: c\r\n").starts_with("HTTP/1.1 200"));
    assert!(begun.elapsed() < Duration::from_secs(25));
}

#[test]
fn a_page_that_names_another_host_reads_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let collector =
        Process::with(dir.path(), "[api]\nhosts = ['box.lan']\npublic_url = 'https://tollgate.example'\n");
    let status = |host: &str, path: &str| -> String {
        let answer = exchange(&collector, &format!("GET {path} HTTP/1.1\r\n{host}connection: close\r\n\r\n"));
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let port = collector.client.address.port();
    for host in ["localhost", "127.0.0.1", "[::1]", "box.lan", "tollgate.example"] {
        assert_eq!(status(&format!("host: {host}:{port}\r\n"), "/api/v1/summary"), "200", "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.1.2.3"] {
        for path in ["/api/v1/summary", "/api/v1/records", "/metrics", "/", "/openapi.json"] {
            assert_eq!(status(&format!("host: {host}:{port}\r\n"), path), "421", "{host} {path}");
            assert_eq!(status(&format!("host: {host}\r\n"), path), "421", "{host} {path}");
        }
    }
    assert_eq!(status("host: localhost\r\nhost: evil.example\r\n", "/api/v1/summary"), "421");
    assert_eq!(status("host: localhost\r\n", &format!("http://evil.example:{port}/api/v1/summary")), "421");
}

#[test]
fn a_token_is_for_its_gateways_only() {
    let dir = tempfile::tempdir().unwrap();
    let of_edge = "the-token-of-edge-one";
    let more = format!(
        "[[access.tokens]]\nrole = 'ingest'\nname = 'one'\nsha256 = '{}'\ngateways = ['edge-1', 'edge-2']\n",
        Token::new(of_edge).sha256()
    );
    let collector = Process::with(dir.path(), &more);
    let send = |token: &str, gateway: &str, of: &str, n: u64| {
        let mut one = record(n);
        one["gateway"] = json!(of);
        let mut body = message(n, vec![one]);
        body["gateway"] = json!(gateway);
        collector.client.sync_as(Some(&format!("Bearer {token}")), body.to_string().as_bytes())
    };
    assert_eq!(send(of_edge, "edge-1", "edge-1", 1).status, 200);
    assert_eq!(send(of_edge, "edge-2", "edge-2", 2).status, 200);
    let refused = send(of_edge, "edge-3", "edge-3", 3);
    assert_eq!((refused.status, refused.error_code().as_str()), (403, "wrong_gateway"));
    assert!(refused.text.contains("`edge-3`") && refused.text.contains("`edge-1`"), "{}", refused.text);
    // Nor does it speak of another's calls.
    let answer = send(of_edge, "edge-1", "edge-3", 4).json();
    assert_eq!((answer["stored"].as_u64(), answer["rejected"].as_array().unwrap().len()), (Some(0), 1));
    assert_eq!(send(TOKEN, "edge-3", "edge-3", 5).status, 200, "the first token is for all");
    let metrics = collector.client.get("/metrics").text;
    assert!(metrics.contains("tollgate_collector_sync_requests_total{result=\"wrong_gateway\"} 1"));
}

#[test]
fn a_token_for_a_gateway_that_cannot_be_is_refused_by_file_key_and_value() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    let hash = Token::new("x").sha256();
    let check = |access: &str, role: &str, gateways: &str| {
        let text = format!(
            "[access]\n{access}\n[[access.tokens]]\nrole = '{role}'\nname = 'n'\nsha256 = '{hash}'\ngateways = {gateways}\n"
        );
        std::fs::write(&file, text).unwrap();
        let output = tollgate().args(["check", "--config"]).arg(&file).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(check("", "ingest", "['edge-1']").0);
    assert!(check("gateways = ['edge-1']", "ingest", "['edge-1']").0);
    for (access, role, gateways, expected) in [
        (
            "",
            "ingest",
            "['edge 1']",
            "tollgate.toml:7: `access.tokens[0].gateways` has `edge 1`, not a gateway's name",
        ),
        (
            "gateways = ['edge-1']",
            "ingest",
            "['edge-2']",
            "has `edge-2`, which is not among `access.gateways`: `edge-1`",
        ),
        ("", "read", "['edge-1']", "`access.tokens[0].gateways` is for a token of the role `ingest`"),
        ("", "ingest", "'edge-1'", "`access.tokens[0].gateways` is `edge-1`, not a list of gateways' names"),
        ("gateways = ['a b']", "ingest", "['edge-1']", "`access.gateways` has `a b`"),
    ] {
        let (good, said) = check(access, role, gateways);
        assert!(!good && said.contains(expected), "{said}");
    }
    let refused = tollgate()
        .args(["token", "--role", "ingest", "--name", "n", "--gateway", "edge 1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("`--gateway edge 1` is not a gateway's name"),
        "{said}"
    );
}

#[test]
fn a_token_is_made_for_envoy_and_for_gateways() {
    let dir = tempfile::tempdir().unwrap();
    let header = dir.path().join("edge.bearer");
    let output = tollgate()
        .args(["token", "--role", "ingest", "--name", "edge", "--gateway", "edge-1", "edge-2", "--envoy"])
        .arg(&header)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value = std::fs::read_to_string(&header).unwrap();
    assert_eq!(value.trim(), value, "no white space around it");
    assert_eq!(std::fs::metadata(&header).unwrap().permissions().mode() & 0o777, 0o600);
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.contains("gateways = [\"edge-1\", \"edge-2\"]"), "{lines}");
    assert!(!lines.contains(value.strip_prefix("Bearer ").unwrap()), "it stands in the file alone");
    let collector = Process::with(dir.path(), &lines);
    let mut body = message(1, vec![]);
    body["gateway"] = json!("edge-2");
    assert_eq!(collector.client.sync_as(Some(&value), body.to_string().as_bytes()).status, 200);
    // The collector keeps the same for its own token, and takes it however a gateway comes to send it.
    let kept = std::fs::read_to_string(dir.path().join("data/ingest.bearer")).unwrap();
    assert_eq!(kept, format!("Bearer {TOKEN}"));
    let body = message(1, vec![]).to_string();
    for sent in [kept.clone(), format!("Bearer {kept}"), format!("bearer  {TOKEN}")] {
        assert_eq!(collector.client.sync_as(Some(&sent), body.as_bytes()).status, 200, "{sent}");
    }
}

#[test]
fn wrong_tokens_are_counted_and_answered_late() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let body = message(1, vec![]).to_string();
    let begun = Instant::now();
    for token in ["Bearer wrong", "Basic xyz", "wrong"] {
        assert_eq!(collector.client.sync_as(Some(token), body.as_bytes()).status, 401);
    }
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    assert_eq!(collector.client.sync_as(None, body.as_bytes()).status, 401);
    let metrics = collector.client.get("/metrics").text;
    assert!(metrics.contains("tollgate_collector_wrong_tokens_total 3"), "{metrics}");
}

const BUDGETS: &str = "[[budgets]]\nname = 'all'\nlimit_usd = '1000'\nwindow = 'prepaid'\n\
                       [[budgets]]\nname = 'each'\nlimit_usd = '10'\nwindow = 'prepaid'\neach = 'agent'\n";

/// What a gateway of this collector reports of its counter of a budget.
fn report(policy: &Value, budget: &str, value: &str, changes: &[(&str, Value)]) -> Value {
    let budgets = policy["budgets"].as_array().unwrap();
    let one = budgets.iter().find(|one| one.to_string().contains(&format!("\"{budget}\""))).unwrap();
    let mut told = json!({"granted": "0", "returned": "0", "used": "0", "held": "0", "kept": "0", "in_flight": 0,
        "denied": 0, "version": 1, "want": "0"});
    for (field, change) in changes {
        told[*field] = change.clone();
    }
    let mut key = json!({"budget": budget, "generation": one["generation"], "span": {"start_ms": 0, "end_ms": u64::MAX}});
    if !value.is_empty() {
        key["value"] = json!(value);
    }
    json!({"key": key, "report": told})
}

fn with_counters(sequence: u64, instance: &str, counters: &[Value]) -> Value {
    let mut body = message(sequence, vec![]);
    (body["protocol"], body["instance"], body["counters"]) = (json!(2), json!(instance), json!(counters));
    body
}

#[test]
fn no_report_below_nothing_makes_money_and_what_cannot_be_makes_no_counter() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::with(dir.path(), BUDGETS);
    let policy = collector.client.sync(&with_counters(1, "one", &[])).json()["policy"].clone();
    let sync = |sequence: u64, instance: &str, counters: &[Value]| {
        let answer = collector.client.sync(&with_counters(sequence, instance, counters));
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["grants"].as_array().cloned().unwrap_or_default()
    };
    let thousand = 1_000_000_000_000_000_i128;
    let minus = json!("-1000000000000000000");
    for (number, field) in (2..).zip(["used", "returned", "kept", "held", "granted", "want"]) {
        let wrong = report(&policy, "all", "", &[(field, minus.clone()), ("version", json!(number))]);
        assert_eq!(sync(number, "one", &[wrong]), Vec::<Value>::new(), "{field}");
    }
    let wants = |instance: &str, sequence| {
        let all = report(&policy, "all", "", &[("want", json!(thousand.to_string()))]);
        let grants = sync(sequence, instance, &[all]);
        grants[0]["grant"]["granted"].as_str().unwrap().parse::<i128>().unwrap()
    };
    let granted = wants("two", 20) + wants("three", 21);
    assert!(granted <= thousand, "{granted}");
    // Values of a budget that has none, none of one that has some, windows and budgets that are not.
    let mut other_window = report(&policy, "all", "", &[]);
    other_window["key"]["span"] = json!({"start_ms": 1, "end_ms": 2});
    let mut other_budget = report(&policy, "all", "", &[]);
    other_budget["key"]["budget"] = json!("invented");
    for counter in [
        report(&policy, "all", "invented", &[]),
        report(&policy, "each", "", &[]),
        report(&policy, "each", &"x".repeat(300), &[]),
        report(&policy, "each", "a\nb", &[]),
        other_window,
        other_budget,
    ] {
        assert_eq!(sync(30, "one", std::slice::from_ref(&counter)), Vec::<Value>::new(), "{counter}");
    }
    assert_eq!(sync(31, "one", &[report(&policy, "each", "bot", &[])]).len(), 1);
    let metrics = collector.client.get("/metrics").text;
    assert!(metrics.contains("tollgate_collector_reports_refused_total 8"), "{metrics}");
}

#[test]
fn a_record_keeps_its_usage_whatever_its_money_says() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let mut of_provider = record(1);
    of_provider["provider_cost_usd"] = json!("-5.000000000000");
    let mut without_charges = record(2);
    (without_charges["cost_usd"], without_charges["charges"]) = (json!("25000.000000000000"), json!([]));
    let mut below = record(3);
    (below["cost_usd"], below["charges"]) = (json!("-1.000000000000"), json!([]));
    // Charges of another sum are no gateway's: refused, and said so.
    let mut other_sum = record(4);
    other_sum["cost_usd"] = json!("25000.000000000000");
    let sent = collector.client.sync(&message(1, vec![of_provider, without_charges, below, other_sum]));
    assert_eq!((sent.status, &sent.json()["stored"]), (200, &json!(3)), "{}", sent.text);
    assert_eq!(sent.json()["rejected"][0]["index"], 3);
    let rows = collector.client.get("/api/v1/records?from=2026-11-01&to=2026-12-01").json()["rows"].clone();
    for row in rows.as_array().unwrap() {
        let (id, cost) = (row["id"].as_str().unwrap(), row["cost_usd"].as_str().unwrap());
        assert!(row["usage"]["input_tokens"].as_u64().unwrap() > 100, "{row}");
        let noted = row["notes"].to_string();
        if id.ends_with('1') {
            assert!(noted.contains("provider_cost_ignored") && row["cost_status"] == "measured", "{row}");
            assert!(row.get("provider_cost_usd").is_none_or(Value::is_null), "{row}");
        } else {
            assert!(noted.contains("cost_corrected") && row["cost_status"] == "unpriced", "{row}");
            assert_eq!(cost.trim_matches(['0', '.']), "", "{row}");
        }
    }
}

//! The binary as a process: started, killed, stopped, misconfigured, and asked by its own commands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::process::{Process, tollgate};
use support::{Answer, message, record};

#[test]
fn what_was_acknowledged_survives_kill_and_its_repeat_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3u64 {
        let mut collector = Process::start(dir.path());
        assert_eq!(collector.calls(), round * 10);
        let records: Vec<Value> = (round * 10..round * 10 + 10).map(record).collect();
        let answer = collector.client.sync(&message(round, records.clone())).json();
        assert_eq!(answer["stored"], 10);
        assert_eq!(collector.signal("-KILL"), None);

        let collector = Process::start(dir.path());
        assert_eq!(collector.calls(), round * 10 + 10, "round {round}");
        let answer = collector.client.sync(&message(round, records)).json();
        assert_eq!((&answer["stored"], &answer["duplicates"]), (&json!(0), &json!(10)));
        assert_eq!(collector.calls(), round * 10 + 10);
    }
}

#[test]
fn a_signal_stops_it_cleanly_with_the_log_folded_in() {
    for signal in ["-TERM", "-INT"] {
        let dir = tempfile::tempdir().unwrap();
        let mut collector = Process::start(dir.path());
        assert_eq!(collector.client.sync(&message(1, vec![record(0)])).status, 200);
        assert_eq!(collector.signal(signal), Some(0), "{signal}");
        let log = dir.path().join("data/tollgate.db-wal");
        assert!(!log.exists() || log.metadata().unwrap().len() == 0);
    }
}

#[test]
fn a_wrong_configuration_stops_serve_and_check_with_all_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("tollgate.toml");
    std::fs::write(&config, "listen = 'here'\n[log]\nlevel = 'loud'\n").unwrap();
    for command in ["serve", "check"] {
        let output = tollgate().arg(command).arg("--config").arg(&config).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("tollgate.toml:1: `listen` is `here`"), "{said}");
        assert!(said.contains("tollgate.toml:3: `log.level` is `loud`"), "{said}");
    }
    let budget = "[[budgets]]\nname = 'b'\nlimit_usd = '1'\nwindow = 'day'\nscope = { provider = 'opnai' }\n";
    std::fs::write(&config, budget).unwrap();
    for command in ["serve", "check"] {
        let output = tollgate().arg(command).arg("--config").arg(&config).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("tollgate.toml: `budgets[0].scope.provider` is `opnai`"), "{said}");
    }
    std::fs::write(&config, format!("{budget}[registry]\nproviders = ['opnai']\n")).unwrap();
    assert!(tollgate().arg("check").arg("--config").arg(&config).output().unwrap().status.success());
    std::fs::write(&config, "listen = '127.0.0.1:0'\n").unwrap();
    let output = tollgate().arg("check").arg("--config").arg(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_shipped_configuration_is_good() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/tollgate.toml");
    let output = tollgate().args(["check", "--config", file]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_wrong_filter_configuration_is_told_by_check() {
    let dir = tempfile::tempdir().unwrap();
    let filter = dir.path().join("plugin.json");
    let check = |text: &str| {
        std::fs::write(&filter, text).unwrap();
        let output = tollgate().arg("check").arg("--filter").arg(&filter).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(check(r#"{"gateway":"edge-1"}"#).0, Some(0));
    let (code, said) = check(r#"{"gateway":"edge 1","colour":"red"}"#);
    assert_eq!(code, Some(2));
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.lines().all(|line| line.contains("plugin.json: ")), "{said}");
}

#[test]
fn commands_show_what_the_collector_knows() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    collector.client.sync(&message(1, (0..6).map(record).collect()));
    let period = ["--from", "2026-11-20", "--to", "2026-11-22"];
    let with = |head: &[&'static str]| [head, &period[..]].concat();

    let table = collector.asked(&with(&["summary", "--by", "team,agent", "--exact"]));
    assert!(table.contains("bot-2") && table.contains("0.000768750000"), "{table}");
    let csv = collector.asked(&with(&["summary", "--by", "agent", "--format", "csv", "--agent", "bot-0"]));
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 2, "{csv}");
    assert!(lines[1].starts_with("bot-0,2,0,0,0,203,"), "{csv}");
    let json = collector.asked(&with(&["summary", "--by", "agent", "--format", "json"]));
    let path = "/api/v1/summary?by=agent&from=2026-11-20&to=2026-11-22";
    assert_eq!(json.trim_end(), collector.client.get(path).text, "the API's answer, unchanged");

    let rows = collector.asked(&with(&["records", "--format", "csv", "--limit", "4"]));
    assert_eq!(rows.lines().count(), 5);
    assert!(rows.lines().nth(1).unwrap().starts_with("2026-11-20T15:30:00Z,01890a5d-"), "{rows}");
    let asked = with(&["records", "--agent", "bot-1", "--outcome", "ok"]);
    let table = collector.asked(&asked);
    assert!(table.lines().nth(3).unwrap().starts_with("not shown: id, "), "{table}");
    let wide = collector.asked(&[&asked[..], &["--wide"]].concat());
    assert!(wide.lines().count() == 3 && wide.contains("01890a5d-"), "{wide}");

    let refused = collector.ask(&["summary", "--by", "colour"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`colour`, not one of `agent`"));
}

#[test]
fn a_budget_is_what_its_name_says_whatever_its_name_has() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let admin = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let file = dir.path().join("budget.json");
    std::fs::write(&file, r#"{"limit_calls":10,"window":"day"}"#).unwrap();
    let file = file.display().to_string();
    let budgets = |more: &[&str]| collector.ask(&[&["budgets", "--token", admin.trim()], more].concat());
    let names = || {
        let rows = collector.client.get("/api/v1/budgets").json()["rows"].clone();
        let name = |row: &Value| row["budget"].as_str().unwrap().to_owned();
        rows.as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    for name in ["q", "team/support", "top-up"] {
        assert!(budgets(&["put", name, &file]).status.success(), "{name}");
    }
    let csv = String::from_utf8(budgets(&["list", "--budget", "q", "--format", "csv"]).stdout).unwrap();
    assert_eq!(csv.lines().count(), 2, "{csv}");
    let refused = budgets(&["--budget", "q", "suggest"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--budget is for the list"));
    let shown = dir.path().join("shown.json");
    for name in ["q", "team/support"] {
        let printed = budgets(&["show", name]);
        std::fs::write(&shown, printed.stdout).unwrap();
        let again = budgets(&["put", name, &shown.display().to_string()]);
        assert!(String::from_utf8(again.stdout).unwrap().contains(r#""result":"same""#), "{name}");
    }
    let definition = collector.client.get("/api/v1/budgets/team%2Fsupport").json();
    assert_eq!((&definition["limit_calls"], &definition["deferred"]), (&json!(10), &json!("deny")));
    assert_eq!(collector.client.get("/api/v1/budgets/none").status, 404);
    let trail = collector.client.get("/api/v1/audit").json();
    let put = trail["rows"].as_array().unwrap().iter().find(|row| row["subject"] == "team/support");
    assert_eq!(put.unwrap()["after"], definition, "the trail has what can be put");
    for (arguments, expected) in [
        (["remove", "q?x=1", ""], "there is no budget `q?x=1`"),
        (["put", "z#f", &file], "`z#f` is not a name"),
        (["put", "..", &file], "`..` stands for a directory"),
        (["put", "release", &file], "`release` is what releases"),
    ] {
        let arguments: Vec<&str> = arguments.into_iter().filter(|one| !one.is_empty()).collect();
        let refused = budgets(&arguments);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    assert_eq!(names(), ["q", "team/support", "top-up"]);
    for name in ["q", "team/support", "top-up"] {
        let topped = budgets(&["top-up", name, "5"]);
        assert!(String::from_utf8(topped.stdout).unwrap().contains(r#""limit":15"#), "{name}");
        assert!(budgets(&["remove", name]).status.success(), "{name}");
    }
    assert!(names().is_empty());
}

#[test]
fn limits_that_are_proposed_from_less_than_a_week_are_called_so() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let mut records: Vec<Value> = (0..6).map(record).collect();
    for record in &mut records {
        record["time_ms"] = json!(u64::try_from(now).unwrap());
    }
    collector.client.sync(&message(1, records));
    let proposed = collector.ask(&["budgets", "suggest", "--agent", "bot-1"]);
    let text = String::from_utf8(proposed.stdout).unwrap();
    assert!(text.starts_with("of the last seven days "), "{text}");
    assert!(text.contains("bot-1-week") && !text.contains("bot-2"), "{text}");
    assert!(String::from_utf8(proposed.stderr).unwrap().contains("warning: of the last seven days "));
}

#[test]
fn a_collector_that_is_not_there_is_said_in_words() {
    let output = tollgate().args(["summary", "--url", "http://127.0.0.1:9"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no collector answers at http://127.0.0.1:9"), "{said}");
    assert!(said.contains("tollgate serve"), "{said}");
}

#[test]
fn two_collectors_on_the_same_data_know_the_same_and_one_goes_on_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Process::start(dir.path());
    let second = Process::start(dir.path());
    assert_eq!(first.client.sync(&message(1, (0..10).map(record).collect())).json()["stored"], 10);
    let answer = second.client.sync(&message(2, (5..15).map(record).collect())).json();
    assert_eq!((&answer["stored"], &answer["duplicates"]), (&json!(5), &json!(5)));
    assert_eq!((first.calls(), second.calls()), (15, 15));
    assert_eq!(first.signal("-KILL"), None);
    assert_eq!(second.client.sync(&message(3, (10..20).map(record).collect())).json()["stored"], 5);
    assert_eq!(second.calls(), 20);
    let accounts = second.client.get("/api/v1/accounts").json();
    assert_eq!((&accounts["balanced"], &accounts["stored"]), (&json!(true), &json!(20)));
}

/// A collector, and the token with which its budgets are changed.
struct Admin {
    collector: Process,
    token: String,
}

impl Admin {
    fn post(&self, path: &str, body: &str) -> Answer {
        self.collector.client.post(&format!("/api/v1/budgets/{path}"), &self.token, body)
    }

    /// Status and text of a refusal.
    fn refused(&self, path: &str, body: &str) -> (u16, String) {
        let answer = self.post(path, body);
        (answer.status, answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned())
    }
}

#[test]
fn top_ups_and_releases_that_mean_nothing_are_refused_with_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let budgets = "[[budgets]]\nname = 'all'\nlimit_usd = '10'\nwindow = 'day'\n\
                   [[budgets]]\nname = 'per-agent'\nlimit_calls = 10\nwindow = 'day'\neach = 'agent'\n";
    let collector = Process::with(dir.path(), budgets);
    let token = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap().trim().to_owned();
    let admin = Admin { collector, token };
    for (path, body, expected) in [
        ("all/top-up", r#"{"amount":"0"}"#, "changes nothing"),
        ("all/top-up", r#"{"amount":"x"}"#, "dollars such as `5.00`"),
        ("all/top-up", r#"{"amount":"-1"}"#, "topped up in this window, which is $0.00"),
        ("all/top-up", r#"{"amount":"1","value":"nobody"}"#, "has one counter for all calls"),
        ("per-agent/top-up", r#"{"amount":"1"}"#, "`value` is missing"),
        ("per-agent/top-up", r#"{"amount":"1","value":"typo name!"}"#, "`typo name!`, which no `agent` is"),
        ("per-agent/top-up", r#"{"amount":"1.5","value":"bot"}"#, "calls, a whole number"),
    ] {
        let (status, message) = admin.refused(path, body);
        assert!(status == 400 && message.contains(expected), "{path} {body}: {status} {message}");
    }
    let rows = admin.collector.client.get("/api/v1/budgets").json()["rows"].clone();
    let values: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["value"].clone()).collect();
    assert_eq!(values, [json!(""), json!(null)], "no refusal has made a counter");
    for (body, limit) in
        [(r#"{"amount":"5"}"#, "15.000000000000"), (r#"{"amount":"-2.5"}"#, "12.500000000000")]
    {
        assert_eq!(admin.post("all/top-up", body).json()["limit"], limit, "{body}");
    }
    let bot = admin.post("per-agent/top-up", r#"{"amount":"5","value":"bot"}"#);
    assert_eq!(bot.json()["limit"], 15);

    assert!(admin.refused("release/one", "").1.contains("none has reported yet"));
    assert_eq!(admin.collector.client.sync(&message(1, vec![record(0)])).status, 200);
    let (status, unknown) = admin.refused("release/typo", "");
    assert!(status == 404 && unknown.contains("`one`"), "{status} {unknown}");
    let (status, live) = admin.refused("release/one", "");
    assert!(status == 409 && live.contains("force=true"), "{status} {live}");
    assert_eq!(admin.refused("release/one?force=yes", "").0, 400);
    assert_eq!(admin.post("release/one?force=true", "").status, 200);
}

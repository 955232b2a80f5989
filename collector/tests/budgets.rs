//! Budgets over HTTP: what is refused and what it says, and what the list shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use serde_json::json;
use support::process::Process;
use support::{Answer, message, record};

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

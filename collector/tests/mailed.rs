//! Reports by mail against a mail server that refuses for a while, and collectors that are killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use support::process::Process;
use support::smtp::{Smtp, until};
use support::{message, record};
use tollgate_collector::store::{Planned, Store};

const DAY_MS: u64 = 24 * 3_600_000;

fn now_ms() -> u64 {
    u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// The Monday that this week began with, UTC.
fn monday_ms() -> u64 {
    let today = now_ms() / DAY_MS;
    // 1970-01-01 was a Thursday.
    (today - (today + 3) % 7) * DAY_MS
}

/// Calls of the week that is over and of the one before; `bot-2` has a hostile name, and calls of another
/// team do not count.
fn calls() -> Value {
    let records = (0..60).map(|n| {
        let mut record = record(n);
        let week = if n < 20 { 14 } else { 7 };
        record["time_ms"] = json!(monday_ms() - week * DAY_MS + n % 7 * DAY_MS + n);
        if n % 3 == 2 {
            record["agent"] = json!("<b>bot</b>&");
        }
        if n % 10 == 9 {
            record["team"] = json!("sales");
        }
        if n % 10 == 8 {
            record["outcome"] = json!("denied");
            record["charges"] = json!([]);
            record["cost_usd"] = json!("0.000000000000");
            record["usage"] = json!({});
            record["cost_status"] = json!("free");
        }
        record
    });
    message(1, records.collect())
}

fn config(server: &Smtp) -> String {
    format!(
        "[[reports]]\nname = 'support weekly'\nevery = 'week'\nteam = 'support'\nchannel = 'mail'\n\
         to = ['Lea <lead@example.com>', 'second@example.com']\nhour = 0\n\
         [[budgets]]\nname = 'support-week'\nscope = {{ team = 'support' }}\nlimit_usd = '0.01'\nwindow = 'week'\n\
         action = 'warn'\n{}",
        server.channel("mail")
    )
}

/// Makes the report known since ever, as after a week of running.
fn known_since_ever(dir: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store = Store::open(&dir.join("data")).unwrap();
    let (report, every) = ("support weekly".to_owned(), "week".to_owned());
    let planned = Planned { report, every, period: None, due_ms: 0 };
    runtime.block_on(store.plan_mails(None, vec![], 1)).unwrap();
    runtime.block_on(store.plan_mails(None, vec![planned], 1)).unwrap();
    store.close().unwrap();
}

fn mails(collector: &Process) -> Value {
    collector.client.get("/api/v1/reports").json()["rows"][0]["mails"].clone()
}

#[test]
fn a_report_is_sent_once_over_restarts_after_refusals_and_says_what_its_preview_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = Smtp::start(451);
    let mut collector = Process::with(dir.path(), &config(&server));
    assert_eq!(collector.client.sync(&calls()).json()["stored"], 60);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mails(&collector), json!([]), "a new report says nothing of the past");
    assert_eq!(server.tried.load(Ordering::Relaxed), 0);
    let shown = collector.asked(&["reports", "list"]);
    assert!(
        shown.contains("support weekly") && shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    collector.signal("-TERM");

    // It was down at the hour, and the mail server is away when it is back.
    known_since_ever(dir.path());
    let mut collector = Process::with(dir.path(), &config(&server));
    until(|| server.tried.load(Ordering::Relaxed) >= 2, "another attempt");
    let row = mails(&collector)[0].clone();
    assert!(row["last_error"].as_str().unwrap().contains("451"), "{row}");
    server.status.store(250, Ordering::Relaxed);
    let mail = server.wait(1).remove(0);
    assert_eq!(mail.to, ["lead@example.com", "second@example.com"]);
    until(|| mails(&collector)[0]["state"] == "sent", "the note");
    let row = mails(&collector)[0].clone();
    assert!(row["attempts"].as_u64().unwrap() >= 2 && row["uncertain"] == 0, "{row}");

    // The preview is what was sent, by the command line and over HTTP.
    let period = row["period"].as_str().unwrap();
    let preview = |format: &str| {
        collector.asked(&["reports", "preview", "support weekly", "--period", period, "--format", format])
    };
    assert_eq!(mail.part("text/plain"), preview("text"));
    assert_eq!(mail.part("text/html"), preview("html"));
    assert!(preview("html").contains("&lt;b&gt;bot&lt;/b&gt;&amp;") && !preview("html").contains("<b>"));
    assert!(preview("text").lines().all(|line| line.chars().count() <= 80));
    let path = format!("/api/v1/reports/support%20weekly/preview?period={period}&format=html");
    let page = collector.client.get(&path);
    assert_eq!((page.content_type.as_str(), page.text), ("text/html; charset=utf-8", preview("html")));
    let subject = mail.header("Subject");
    assert!(subject.starts_with(&format!("[Tollgate] support weekly, {period}: $0.0")), "{subject}");
    says_what_summaries_say(&collector);

    // Not again: killed, started again, and by two at once.
    collector.signal("-KILL");
    let collector = Process::with(dir.path(), &config(&server));
    let other = Process::with(dir.path(), &config(&server));
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(server.mails().len(), 1);
    drop(other);

    // By hand, which the trail knows.
    let refused = collector.ask(&["reports", "send", "support weekly"]);
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("token") || said.contains("401"), "{said}");
    let token = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let send = |more: &[&str]| {
        let with = [&["reports", "send", "support weekly", "--token", token.trim()], more].concat();
        collector.ask(&with)
    };
    let refused = String::from_utf8(send(&[]).stderr).unwrap();
    assert!(refused.contains("was sent at") && refused.contains("again"), "{refused}");
    let said = String::from_utf8(send(&["--again"]).stdout).unwrap();
    assert!(said.contains("Lea <lead@example.com>, second@example.com"), "{said}");
    let mails = server.wait(2);
    assert_ne!(mails[0].header("Message-ID"), mails[1].header("Message-ID"), "or clients would drop it");
    assert_eq!(mails[1].part("text/plain"), mails[0].part("text/plain"));
    server.status.store(550, Ordering::Relaxed);
    let failed = String::from_utf8(send(&["--again"]).stderr).unwrap();
    assert!(failed.contains("channel `mail` does not take it") && failed.contains("550"), "{failed}");
    let trail = collector.asked(&["audit", "list", "--format", "json"]);
    assert_eq!(trail.matches("report.send").count(), 2, "{trail}");
}

/// The numbers of a report are those of summaries and comparisons.
fn says_what_summaries_say(collector: &Process) {
    let get = |path: &str| collector.client.get(path).json();
    let report = get("/api/v1/reports/support%20weekly/preview");
    let (from, to) = (report["from"].as_str().unwrap(), report["to"].as_str().unwrap());
    let asked = format!("from={from}&to={to}&team=support");
    let total = get(&format!("/api/v1/summary?{asked}"))["total"].clone();
    assert_eq!(report["total"], total);
    assert!(total["calls"].as_u64().unwrap() > 20 && total["denied"].as_u64().unwrap() > 0, "{total}");
    for top in report["tops"].as_array().unwrap() {
        let by = top["by"].as_str().unwrap();
        let summary = get(&format!("/api/v1/summary?{asked}&by={by}&top=5&compare=previous"));
        assert_eq!(top["rows"], summary["rows"], "{by}");
    }
    let compared = get(&format!("/api/v1/compare?{asked}"));
    assert_eq!((&report["change"], &report["drivers"]), (&compared["total"], &compared["rows"]));
    let pico = |usd: &Value| usd.as_str().unwrap().replace('.', "").parse::<u64>().unwrap();
    let costs = report["costs"].as_array().unwrap();
    let sum: u64 = costs.iter().map(|part| pico(&part["cost_usd"])).sum();
    assert_eq!((costs.len(), sum), (7, pico(&total["cost_usd"])));
    let budget = &report["budgets"][0];
    assert_eq!((&budget["budget"], &budget["used"]), (&json!("support-week"), &total["cost_usd"]));
}

#[test]
fn a_mail_whose_end_nobody_knows_is_called_uncertain_and_sent_again_under_the_same_id() {
    let dir = tempfile::tempdir().unwrap();
    // It takes the mail and does not say so: the collector is killed meanwhile.
    let server = Smtp::start(0);
    let mut collector = Process::with(dir.path(), &config(&server));
    assert_eq!(collector.client.sync(&calls()).json()["stored"], 60);
    collector.signal("-TERM");
    known_since_ever(dir.path());
    let mut collector = Process::with(dir.path(), &config(&server));
    server.wait(1);
    assert_eq!(mails(&collector)[0]["state"], "sending");
    collector.signal("-KILL");
    server.status.store(451, Ordering::Relaxed);
    let collector = Process::with(dir.path(), &config(&server));
    until(|| mails(&collector)[0]["last_error"].is_string(), "an attempt");
    let row = mails(&collector)[0].clone();
    assert_eq!((&row["state"], &row["uncertain"]), (&json!("uncertain"), &json!(1)), "{row}");
    server.status.store(250, Ordering::Relaxed);
    let came = server.wait(2);
    until(|| mails(&collector)[0]["state"] == "sent", "the note");
    assert_eq!(came[0].header("Message-ID"), came[1].header("Message-ID"));
    assert_eq!(mails(&collector)[0]["uncertain"], 1);
}

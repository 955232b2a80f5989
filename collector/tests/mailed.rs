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
        "[[reports]]\nname = 'support-weekly'\nevery = 'week'\nteam = 'support'\nchannel = 'mail'\n\
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
    let (report, every) = ("support-weekly".to_owned(), "week".to_owned());
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
        shown.contains("support-weekly") && shown.lines().all(|line| line.chars().count() <= 80),
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
        collector.asked(&["reports", "preview", "support-weekly", "--period", period, "--format", format])
    };
    assert_eq!(mail.part("text/plain"), preview("text"));
    assert_eq!(mail.part("text/html"), preview("html"));
    assert!(preview("html").contains("&lt;b&gt;bot&lt;/b&gt;&amp;") && !preview("html").contains("<b>"));
    assert!(preview("text").lines().all(|line| line.chars().count() <= 80));
    let path = format!("/api/v1/reports/support-weekly/preview?period={period}&format=html");
    let page = collector.client.get(&path);
    assert_eq!((page.content_type.as_str(), page.text), ("text/html; charset=utf-8", preview("html")));
    let subject = mail.header("Subject");
    assert!(subject.starts_with(&format!("[Tollgate] support-weekly, {period}: $0.0")), "{subject}");
    says_what_summaries_say(&collector);

    // Not again: killed, started again, and by two at once.
    collector.signal("-KILL");
    let collector = Process::with(dir.path(), &config(&server));
    let other = Process::with(dir.path(), &config(&server));
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(server.mails().len(), 1);
    drop(other);

    // By hand, which the trail knows.
    let refused = collector.ask(&["reports", "send", "support-weekly"]);
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("token") || said.contains("401"), "{said}");
    let token = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let send = |more: &[&str]| {
        let with = [&["reports", "send", "support-weekly", "--token", token.trim()], more].concat();
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
    let admin = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let body = collector.client.post(
        "/api/v1/reports/support-weekly/send",
        admin.trim(),
        "{\"period\": \"2026-W47\"}",
    );
    assert_eq!(body.status, 400, "{}", body.text);
    assert!(body.text.contains("`?period=2026-W47`"), "{}", body.text);
    let trail = collector.asked(&["audit", "list", "--format", "json"]);
    assert_eq!(trail.matches("report.send").count(), 2, "{trail}");
}

/// The numbers of a report are those of summaries and comparisons.
fn says_what_summaries_say(collector: &Process) {
    let get = |path: &str| collector.client.get(path).json();
    let report = get("/api/v1/reports/support-weekly/preview");
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

#[test]
fn a_mail_server_that_hangs_holds_up_no_other_channel_and_what_was_not_begun_is_not_uncertain() {
    let dir = tempfile::tempdir().unwrap();
    let (hung, well) = (Smtp::start(0), Smtp::start(250));
    let mut text = format!("{}{}", hung.channel("hung"), well.channel("well"));
    for (name, channel) in [("a", "hung"), ("b", "hung"), ("c", "well")] {
        text += &format!("[[reports]]\nname = '{name}'\nevery = 'week'\nchannel = '{channel}'\nhour = 0\n");
    }
    let mut collector = Process::with(dir.path(), &text);
    assert_eq!(collector.client.sync(&calls()).json()["stored"], 60);
    collector.signal("-TERM");
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let store = Store::open(&dir.path().join("data")).unwrap();
        let planned = ["a", "b", "c"].map(|report| Planned {
            report: report.into(),
            every: "week".into(),
            period: None,
            due_ms: 0,
        });
        runtime.block_on(store.plan_mails(None, vec![], 1)).unwrap();
        runtime.block_on(store.plan_mails(None, planned.to_vec(), 1)).unwrap();
        store.close().unwrap();
    }
    let mut collector = Process::with(dir.path(), &text);
    well.wait(1);
    hung.wait(1);
    let states = |collector: &Process| -> Vec<Value> {
        let rows = collector.client.get("/api/v1/reports").json()["rows"].clone();
        rows.as_array().unwrap().iter().map(|row| row["mails"][0]["state"].clone()).collect()
    };
    until(|| states(&collector)[2] == "sent", "the note");
    assert_eq!(states(&collector), ["sending", "due", "sent"]);
    let error = |collector: &Process| {
        let rows = collector.client.get("/api/v1/reports").json()["rows"].clone();
        rows[0]["mails"][0]["last_error"].clone()
    };
    until(|| error(&collector).is_string(), "the timeout");
    let said = format!("the mail server `127.0.0.1:{}` did not answer in 10 seconds", hung.port);
    assert_eq!(error(&collector), said.as_str());
    // The second one is being sent now: only that is not certain after a kill.
    collector.signal("-KILL");
    hung.status.store(451, Ordering::Relaxed);
    let collector = Process::with(dir.path(), &text);
    until(|| states(&collector)[1] == "uncertain", "the second");
    let rows = collector.client.get("/api/v1/reports").json()["rows"].clone();
    let uncertain = |at: usize| rows[at]["mails"][0]["uncertain"].clone();
    assert_eq!([uncertain(0), uncertain(1), uncertain(2)], [json!(0), json!(1), json!(0)], "{rows}");
}

#[test]
fn days_weeks_and_months_are_those_of_summaries_also_where_midnight_is_in_the_middle_of_an_hour() {
    let dir = tempfile::tempdir().unwrap();
    let server = Smtp::start(250);
    let zones = ["Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Marquesas", "Europe/Berlin"];
    let mut text = server.channel("mail");
    for (zone, every) in zones.iter().flat_map(|zone| ["day", "week", "month"].map(|every| (zone, every))) {
        text += &format!(
            "[[reports]]\nname = '{zone}/{every}'\nevery = '{every}'\nchannel = 'mail'\ntime_zone = '{zone}'\n"
        );
    }
    let collector = Process::with(dir.path(), &text);
    // A call in each hour of the last seventy days, each of another cost.
    let now = now_ms();
    let records = (0..70 * 24).map(|n| {
        let mut record = record(n);
        record["time_ms"] = json!((now / 3_600_000 - n) * 3_600_000 - 1_000);
        record
    });
    let records: Vec<Value> = records.collect();
    for (sequence, some) in (1..).zip(records.chunks(400)) {
        assert_eq!(collector.client.sync(&message(sequence, some.to_vec())).json()["stored"], some.len());
    }
    let get = |path: &str| collector.client.get(path).json();
    for (zone, every) in zones.iter().flat_map(|zone| ["day", "week", "month"].map(|every| (zone, every))) {
        let summary = get(&format!("/api/v1/summary?since=10w&by={every}&tz={zone}"));
        let rows: Vec<Value> = summary["rows"].as_array().unwrap().clone();
        let whole: Vec<&Value> = rows.iter().filter(|row| row.get("partial") != Some(&json!(true))).collect();
        let last: Vec<&&Value> = whole.iter().rev().take(3).collect();
        assert!(!last.is_empty(), "{summary}");
        let mut ends: Option<String> = None;
        for row in last {
            let period = row[every].as_str().unwrap();
            let name = format!("{zone}/{every}").replace('/', "%2F");
            let mail = get(&format!("/api/v1/reports/{name}/preview?period={period}"));
            let of = |one: &Value| (one["calls"].clone(), one["cost_usd"].clone());
            assert_eq!(of(&mail["total"]), of(row), "{zone} {period}");
            let costs = mail["costs"].as_array().unwrap();
            let pico = |usd: &Value| usd.as_str().unwrap().replace('.', "").parse::<u64>().unwrap();
            let sum: u64 = costs.iter().map(|part| pico(&part["cost_usd"])).sum();
            assert_eq!(sum, pico(&row["cost_usd"]), "{zone} {period}");
            assert!(every != "day" || (23..=25).contains(&costs.len()), "{zone} {period}: {}", costs.len());
            if every == "day" && row["calls"] == 24 {
                assert_eq!(costs.len(), 24, "{zone} {period}");
            }
            if let Some(ends) = ends {
                assert_eq!(mail["to"], ends.as_str(), "periods follow each other");
            }
            ends = mail["from"].as_str().map(str::to_owned);
        }
    }
}

//! Alerts against receivers that check the documented shapes, go away for a while, and see the collector
//! killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::process::Process;
use support::{message, record};

/// What came: path, headers in lower case, body.
#[derive(Clone, Debug)]
struct Came {
    path: String,
    headers: Vec<(String, String)>,
    body: Value,
}

/// An HTTP receiver. It answers with `status`; 0 means that it reads and never answers.
#[derive(Clone)]
struct Receiver {
    port: u16,
    came: Arc<Mutex<Vec<Came>>>,
    status: Arc<AtomicU16>,
}

impl Receiver {
    fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            came: Arc::default(),
            status: Arc::new(AtomicU16::new(status)),
        };
        let own = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (own, mut stream) = (own.clone(), stream.unwrap());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut lines = Vec::new();
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        if line.trim().is_empty() {
                            break;
                        }
                        lines.push(line.trim().to_owned());
                    }
                    let headers: Vec<(String, String)> = lines[1..]
                        .iter()
                        .map(|line| line.split_once(':').unwrap())
                        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                        .collect();
                    let length =
                        headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse().unwrap();
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let path = lines[0].split(' ').nth(1).unwrap().to_owned();
                    own.came.lock().unwrap().push(Came {
                        path,
                        headers,
                        body: serde_json::from_slice(&body).unwrap(),
                    });
                    match own.status.load(Ordering::Relaxed) {
                        0 => std::thread::sleep(Duration::from_secs(60)),
                        status => {
                            let answer = format!(
                                "HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
                            );
                            stream.write_all(answer.as_bytes()).unwrap();
                        }
                    }
                });
            }
        });
        receiver
    }

    fn came(&self, path: &str) -> Vec<Came> {
        self.came.lock().unwrap().iter().filter(|came| came.path == path).cloned().collect()
    }

    fn wait(&self, path: &str, count: usize) -> Vec<Came> {
        let begun = Instant::now();
        while self.came(path).len() < count {
            assert!(begun.elapsed() < Duration::from_secs(30), "{path}: {:?}", self.came(path));
            std::thread::sleep(Duration::from_millis(20));
        }
        self.came(path)
    }
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn channels(port: u16) -> String {
    format!(
        "[channels.chat]\ntype = 'slack'\nurl = 'http://127.0.0.1:{port}/slack'\nallow_private = true\n\
         [channels.pager]\ntype = 'pagerduty'\nurl = 'http://127.0.0.1:{port}/pager'\nallow_private = true\n\
         routing_key = '0123456789abcdef0123456789abcdef'\n\
         [channels.hook]\ntype = 'webhook'\nurl = 'http://127.0.0.1:{port}/hook'\nsecret = '{SECRET}'\nallow_private = true\n"
    )
}

/// Waits until so many deliveries are noted as delivered, which a collector that is killed must know to not
/// send again.
fn wait_delivered(collector: &Process, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let rows = collector.client.get("/api/v1/alerts").json()["rows"].clone();
        let deliveries: Vec<Value> = rows
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row["deliveries"].as_array().unwrap().clone())
            .collect();
        if deliveries.iter().filter(|one| one["state"] == "delivered").count() == count {
            return deliveries;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{rows}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn now_ms() -> u64 {
    u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// Calls of now: each costs about 0.000125 dollars.
fn spend(collector: &Process, from: u64, count: u64) {
    let records = (from..from + count).map(|n| {
        let mut record = record(n);
        record["time_ms"] = json!(now_ms());
        record
    });
    assert_eq!(collector.client.sync(&message(from, records.collect())).json()["stored"], count);
}

const RULES: &str = "[[alerts]]\nname = 'spend'\nwhen = 'spend'\nwindow = 'month'\nthresholds = ['0.0001', '0.001']\n\
                     scope = { team = 'support' }\nseverity = 'critical'\nchannels = ['chat', 'pager', 'hook']\n";

#[test]
fn each_channel_gets_its_documented_shape_once_for_each_decision() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(200);
    let mut collector = Process::with(dir.path(), &format!("{RULES}{}", channels(receiver.port)));
    spend(&collector, 0, 20);
    // People get one message of thresholds that were passed at once.
    let slack = receiver.wait("/slack", 1);
    for came in &slack {
        let text = came.body["text"].as_str().unwrap();
        assert!(text.contains("team=support") && text.contains("$0.001 passed"), "{text}");
        assert!(came.body.to_string().contains("$0.0001, $0.001"), "{}", came.body);
        let kinds: Vec<&str> = came.body["blocks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block["type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["header", "section", "actions", "context"]);
        assert_eq!(came.body["blocks"][0]["text"]["type"], "plain_text");
    }
    let pager = receiver.wait("/pager", 2);
    let keys: BTreeSet<&str> = pager.iter().map(|came| came.body["dedup_key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 2);
    for came in &pager {
        assert_eq!(
            (&came.body["event_action"], &came.body["payload"]["severity"]),
            (&json!("trigger"), &json!("critical"))
        );
        assert_eq!(came.body["routing_key"].as_str().unwrap().len(), 32);
        assert!(came.body["payload"]["summary"].as_str().unwrap().len() <= 1024);
        assert!(came.body["payload"]["source"].is_string());
    }
    let hook = receiver.wait("/hook", 2);
    let ids: BTreeSet<&str> = hook
        .iter()
        .map(|came| came.headers.iter().find(|(name, _)| name == "webhook-id").unwrap().1.as_str())
        .collect();
    assert_eq!(ids, keys, "one id for all channels");

    // Nothing new in the same window, also after a restart; more calls change nothing.
    wait_delivered(&collector, 6);
    collector.signal("-KILL");
    let collector = Process::with(dir.path(), &format!("{RULES}{}", channels(receiver.port)));
    spend(&collector, 100, 20);
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(
        receiver.came("/slack").len() + receiver.came("/pager").len() + receiver.came("/hook").len(),
        5
    );
    let shown = collector.asked(&["alerts", "--wide"]);
    assert!(shown.contains("chat opened delivered") && shown.contains("$0.001 passed"), "{shown}");

    // Without the rule its alerts do not hold any more: machines hear that, people do not.
    drop(collector);
    let collector = Process::with(dir.path(), &channels(receiver.port));
    let pager = receiver.wait("/pager", 4);
    let resolved: BTreeSet<&str> =
        pager[2..].iter().map(|came| came.body["dedup_key"].as_str().unwrap()).collect();
    assert!(pager[2..].iter().all(|came| came.body["event_action"] == "resolve"));
    assert_eq!(resolved.len(), 2);
    assert_eq!(receiver.came("/slack").len(), 1);
    assert!(collector.asked(&["alerts", "list", "--open"]).lines().count() <= 1);
}

#[test]
fn a_receiver_that_was_away_gets_each_alert_under_one_id_though_the_collector_was_killed_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    // It reads and does not answer: the collector is killed between sending and marking.
    let receiver = Receiver::start(0);
    let rules = RULES.replace("'0.0001', ", "");
    let config = format!("{rules}{}", channels(receiver.port));
    let mut collector = Process::with(dir.path(), &config);
    spend(&collector, 0, 20);
    receiver.wait("/hook", 1);
    receiver.wait("/pager", 1);
    collector.signal("-KILL");
    receiver.status.store(503, Ordering::Relaxed);
    let collector = Process::with(dir.path(), &config);
    receiver.wait("/hook", 3);
    receiver.status.store(200, Ordering::Relaxed);
    let delivered = |channel: &str| {
        let rows = collector.client.get("/api/v1/alerts").json()["rows"].clone();
        assert_eq!(rows.as_array().unwrap().len(), 1, "decided once: {rows}");
        let deliveries = rows[0]["deliveries"].as_array().unwrap().clone();
        deliveries.iter().any(|one| one["channel"] == channel && one["state"] == "delivered")
    };
    let begun = Instant::now();
    while !["chat", "pager", "hook"].iter().all(|channel| delivered(channel)) {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(100));
    }
    for path in ["/hook", "/pager"] {
        let ids: BTreeSet<String> = receiver
            .came(path)
            .iter()
            .map(|came| match path {
                "/hook" => came.headers.iter().find(|(name, _)| name == "webhook-id").unwrap().1.clone(),
                _ => came.body["dedup_key"].as_str().unwrap().to_owned(),
            })
            .collect();
        assert_eq!(ids.len(), 1, "{path}: every attempt has the same id");
    }
}

#[test]
fn what_one_receiver_has_is_not_sent_again_because_the_collector_was_killed_while_another_hung() {
    let dir = tempfile::tempdir().unwrap();
    let (answers, hangs) = (Receiver::start(200), Receiver::start(0));
    let away = format!("http://127.0.0.1:{}/slack", answers.port);
    let hanging = channels(answers.port).replace(&away, &format!("http://127.0.0.1:{}/slack", hangs.port));
    let config = format!("{}{hanging}", RULES.replace("'0.0001', ", ""));
    let mut collector = Process::with(dir.path(), &config);
    spend(&collector, 0, 20);
    hangs.wait("/slack", 1);
    let deliveries = wait_delivered(&collector, 2);
    let chat = deliveries.iter().find(|one| one["channel"] == "chat").unwrap();
    assert_eq!((&chat["state"], &chat["attempts"]), (&json!("waiting"), &json!(0)), "it hangs still");
    collector.signal("-KILL");
    let _collector = Process::with(dir.path(), &config);
    hangs.wait("/slack", 2);
    assert_eq!((answers.came("/hook").len(), answers.came("/pager").len()), (1, 1));
}

#[test]
fn a_budget_that_is_passed_opens_a_review_also_where_a_rule_had_told_of_half_of_it() {
    let budget = "[[budgets]]\nname = 'support'\nscope = { team = 'support' }\nlimit_usd = '0.003'\nwindow = 'month'\naction = 'warn'\n";
    let early = "[[alerts]]\nname = 'early'\nwhen = 'budget'\nthresholds = ['50%']\n";
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::with(dir.path(), &format!("{early}{budget}"));
    let rows = |path: &str| collector.client.get(path).json()["rows"].as_array().unwrap().clone();
    let until = |path: &str| {
        let begun = Instant::now();
        while rows(path).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{path}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    // Two thirds of it are used, then all.
    let report = |sequence: u64, used: Option<&str>| {
        let mut report = message(sequence, vec![]);
        report["counters"] = counter_of(&collector);
        if let Some(used) = used {
            for name in ["granted", "used"] {
                report["counters"][0]["report"][name] = json!(used);
            }
            report["counters"][0]["report"]["version"] = json!(9);
        }
        assert_eq!(collector.client.sync(&report).status, 200);
    };
    report(500, None);
    until("/api/v1/alerts");
    assert!(rows("/api/v1/reviews").is_empty());
    report(501, Some("3000000000"));
    until("/api/v1/reviews");
    std::thread::sleep(Duration::from_secs(6));
    let reviews = rows("/api/v1/reviews");
    assert_eq!((reviews.len(), &reviews[0]["budget"]), (1, &json!("support")));
    // Judged again and again, it is decided once.
    let alerts = rows("/api/v1/alerts");
    assert_eq!((alerts.len(), &alerts[0]["rule"]), (1, &json!("early")), "{alerts:?}");
}

#[test]
fn a_budget_that_is_passed_opens_one_review_which_is_closed_with_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let more = "[[alerts]]\nname = 'budgets'\nwhen = 'budget'\nthresholds = ['50%', '100%']\n\
                [[budgets]]\nname = 'support'\nscope = { team = 'support' }\nlimit_usd = '0.001'\nwindow = 'month'\naction = 'warn'\n";
    let collector = Process::with(dir.path(), more);
    spend(&collector, 0, 20);
    // A gateway that uses the budget: its counter is the spend.
    let counter = counter_of(&collector);
    let mut report = message(500, vec![]);
    report["counters"] = counter;
    let answer = collector.client.sync(&report);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let begun = Instant::now();
    let reviews = loop {
        let rows = collector.client.get("/api/v1/reviews").json()["rows"].clone();
        if rows.as_array().is_some_and(|rows| !rows.is_empty()) {
            break rows;
        }
        let budgets = collector.client.get("/api/v1/budgets").text;
        assert!(begun.elapsed() < Duration::from_secs(20), "{budgets}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!((reviews.as_array().unwrap().len(), &reviews[0]["budget"]), (1, &json!("support")));
    let admin = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let id = reviews[0]["id"].to_string();
    let done = collector.asked(&[
        "alerts",
        "review",
        &id,
        "--owner",
        "dana",
        "--note",
        "a load test",
        "--close",
        "--token",
        admin.trim(),
    ]);
    assert!(done.contains("is closed"), "{done}");
    let review = &collector.client.get("/api/v1/reviews").json()["rows"][0];
    assert_eq!((&review["owner"], &review["closed_by"]), (&json!("dana"), &json!("admin")));
    let trail = collector.asked(&["audit", "export"]);
    assert!(trail.contains("review.open") && trail.contains("a load test"), "{trail}");
}

#[test]
fn a_budget_that_no_rule_watches_opens_its_review_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    // The first rule watches another budget, the second does not look at the whole limit.
    let more = "[[alerts]]\nname = 'other'\nwhen = 'budget'\nbudget = 'other'\nthresholds = ['100%']\n\
                [[alerts]]\nname = 'far'\nwhen = 'budget'\nthresholds = ['500%']\n\
                [[budgets]]\nname = 'support'\nscope = { team = 'support' }\nlimit_usd = '0.001'\nwindow = 'month'\naction = 'warn'\n\
                [[budgets]]\nname = 'untouched'\nscope = { team = 'nobody' }\nlimit_usd = '0.001'\nwindow = 'month'\naction = 'warn'\n";
    let collector = Process::with(dir.path(), more);
    let mut report = message(500, vec![]);
    report["counters"] = counter_of(&collector);
    assert_eq!(collector.client.sync(&report).status, 200);
    let begun = Instant::now();
    let rows = |path: &str| collector.client.get(path).json()["rows"].as_array().unwrap().clone();
    while rows("/api/v1/reviews").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(100));
    }
    // Judged again, it is the same one.
    std::thread::sleep(Duration::from_secs(6));
    let reviews = rows("/api/v1/reviews");
    assert_eq!((reviews.len(), &reviews[0]["budget"]), (1, &json!("support")), "{reviews:?}");
    let alerts = rows("/api/v1/alerts");
    assert_eq!((alerts.len(), &alerts[0]["rule"]), (1, &json!("passed-budget")), "{alerts:?}");
    assert_eq!(
        (&alerts[0]["deliveries"], &alerts[0]["resolved"]),
        (&json!([]), &json!(null)),
        "nobody hears it"
    );
}

#[test]
fn alerts_are_listed_in_pages_that_have_each_once() {
    let dir = tempfile::tempdir().unwrap();
    let more = "[[alerts]]\nname = 'each'\nwhen = 'spend'\nwindow = 'month'\neach = 'agent'\n\
                thresholds = ['0.0001', '0.0002', '0.0003']\n";
    let collector = Process::with(dir.path(), more);
    spend(&collector, 0, 60);
    let begun = Instant::now();
    let page = |query: &str| collector.client.get(&format!("/api/v1/alerts?{query}")).json();
    while page("limit=100")["rows"].as_array().unwrap().len() < 9 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(100));
    }
    let whole = page("limit=100");
    assert!(whole.get("next_cursor").is_none(), "{whole:#}");
    for limit in [1, 2, 4, 9] {
        let (mut rows, mut query) = (Vec::new(), format!("limit={limit}"));
        loop {
            let page = page(&query);
            let some = page["rows"].as_array().unwrap();
            assert!(!some.is_empty() && some.len() <= limit);
            rows.extend(some.iter().map(|row| row["id"].clone()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            query = format!("limit={limit}&cursor={next}");
        }
        let all: Vec<Value> = whole["rows"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
        assert_eq!(rows, all, "pages of {limit}");
    }
    for wrong in ["", "x", "-", "12", "12-", "zz-a", "-1-a"] {
        let answer = collector.client.get(&format!("/api/v1/alerts?cursor={wrong}"));
        assert_eq!((answer.status, answer.json()["error"]["code"].is_string()), (400, true), "{wrong}");
    }
}

/// Waits until a collector's metrics have this line.
fn wait_for_metric(collector: &Process, line: &str) {
    let begun = Instant::now();
    while !collector.client.get("/metrics").text.lines().any(|found| found == line) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{line}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_collector_that_hangs_is_replaced_and_does_nothing_when_it_wakes_up() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(200);
    let config = channels(receiver.port)
        + "[[alerts]]\nname = 'each'\nwhen = 'spend'\nwindow = 'month'\nthresholds = ['0.0001', '0.0002', '0.0003', '0.004']\nchannels = ['hook']\n";
    let first = Process::with(dir.path(), &config);
    wait_for_metric(&first, "tollgate_collector_leads 1");
    let second = Process::with(dir.path(), &config);
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &first.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    let hung = Instant::now();
    spend(&second, 0, 10);
    wait_for_metric(&second, "tollgate_collector_leads 1");
    assert!(hung.elapsed() < Duration::from_secs(14), "ten seconds, and one to look: {:?}", hung.elapsed());
    let came = || receiver.came("/hook").len();
    while came() < 3 {
        assert!(hung.elapsed() < Duration::from_secs(40), "{}", came());
        std::thread::sleep(Duration::from_millis(100));
    }
    signal("-CONT");
    wait_for_metric(&first, "tollgate_collector_leads 0");
    // Both judge and deliver more often than that, if they do.
    spend(&first, 10, 40);
    while came() < 4 {
        assert!(hung.elapsed() < Duration::from_secs(60), "{}", came());
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(came(), 4, "each threshold once");
    wait_for_metric(&second, "tollgate_collector_leads 1");
}

/// The report of one counter that used twice the budget, as the policy names it.
fn counter_of(collector: &Process) -> Value {
    let answer = collector.client.sync(&message(400, vec![])).json();
    let budget = &answer["policy"]["budgets"][0];
    assert!(budget.is_object(), "{answer}");
    let key = json!({"budget": "support", "generation": budget["generation"], "span": budget["spans"][0]});
    // Amounts are whole pico-dollars.
    let report = json!({"granted": "0", "returned": "0", "used": "2000000000", "held": "0", "kept": "0", "in_flight": 0,
        "denied": 0, "version": 1, "want": "0"});
    json!([{"key": key, "report": report}])
}

#[test]
fn a_channel_is_tested_by_command_and_a_private_target_is_refused_unless_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(200);
    let config = channels(receiver.port).replacen("allow_private = true\n", "", 1);
    let collector = Process::with(dir.path(), &config);
    let admin = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let test = |channel: &str| collector.ask(&["alerts", "test", channel, "--token", admin.trim()]);
    assert!(test("hook").status.success());
    assert!(
        receiver.came("/hook")[0].body["data"]["alerts"][0]["title"]
            .as_str()
            .unwrap()
            .contains("test of channel hook")
    );
    let refused = test("chat");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("private network"), "{said}");
    assert!(receiver.came("/slack").is_empty());
    assert!(!test("nobody").status.success());
}

#[test]
fn with_a_registry_every_agent_that_is_not_in_it_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    // Agents are bot-0, bot-1 and bot-2, of nine calls three each.
    let more = "[registry]\nagents = ['bot-0', 'bot-1']\n\
                [[alerts]]\nname = 'strangers'\nwhen = 'unknown_agent'\nwindow = 'month'\nthresholds = ['3', '4']\n";
    let collector = Process::with(dir.path(), more);
    spend(&collector, 0, 9);
    let begun = Instant::now();
    let rows = || collector.client.get("/api/v1/alerts").json()["rows"].as_array().unwrap().clone();
    while rows().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(100));
    }
    let rows = rows();
    assert_eq!((rows.len(), &rows[0]["threshold"]), (1, &json!("3 calls")), "{rows:?}");
}

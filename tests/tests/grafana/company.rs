//! A collector to which something happens: every series that a dashboard shows has a reason to be there.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tollgate_tests::artifacts;
use tollgate_tests::collector::Collector;
use tollgate_tests::http::{Call, send_blocking};
use tollgate_tests::ports;

use super::wait;

pub(crate) struct Company {
    pub(crate) collector: Collector,
    calls: u64,
    syncs: u64,
}

impl Company {
    /// Two weeks of sample data, budgets of which one is passed, and channels of which one works.
    pub(crate) fn start(directory: &Path) -> Self {
        let binary = artifacts::build_collector().unwrap();
        let made = Command::new(&binary)
            .args(["demo-data", "--days", "14", "--records", "3000", "--to"])
            .arg(directory.join("data"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let receiver = receiver();
        let channel = |name: &str| {
            format!(
                "[channels.{name}]\ntype = 'webhook'\nurl = 'http://{receiver}/{name}'\nsecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'\nallow_private = true\n"
            )
        };
        let config = format!("{BUDGETS}{}{}{}", channel("good"), channel("busy"), channel("gone"));
        let collector = Collector::start(&binary, directory, ports::free().unwrap(), &config).unwrap();
        Self { collector, calls: 0, syncs: 0 }
    }

    /// A gateway reports some calls of every sort; another shows a wrong token.
    pub(crate) fn work(&mut self) {
        let token = fs::read_to_string(self.collector.token_file()).unwrap();
        let mut records: Vec<Value> = (0..5).flat_map(|_| self.calls()).collect();
        records.push(json!({"id": "no id", "time_ms": 1, "gateway": "edge"}));
        self.syncs += 1;
        self.reload();
        let report = json!({
            "protocol": 1, "gateway": "edge", "instance": "first", "sequence": self.syncs, "sent_at_ms": now_ms(),
            "records": records, "dropped": {"ring_full": self.syncs},
        });
        let sync = |token: &str| {
            let call = Call::post("/v1/sync", &report).header("authorization", format!("Bearer {token}"));
            send_blocking(call, self.collector.address()).unwrap()
        };
        assert_eq!(sync("nobody's").status, 401);
        let answer = sync(token.trim());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json().unwrap();
        assert_eq!(answer["rejected"].as_array().map(Vec::len), Some(1), "{}", answer["rejected"]);
    }

    /// Gives it another configuration.
    fn reload(&self) {
        let file = self.collector.config_file();
        let before = fs::read_to_string(&file).unwrap();
        let kept = before.split("[retention]").next().unwrap_or_default();
        fs::write(&file, format!("{kept}[retention]\nrecords_days = {}\n", 400 + self.syncs)).unwrap();
        self.collector.reload().unwrap();
    }

    fn calls(&mut self) -> Vec<Value> {
        let mut call = |agent: &str, team: &str, more: Value| {
            self.calls += 1;
            let mut record = json!({
                "id": format!("01900000-0000-7000-9000-{:012x}", self.calls), "time_ms": now_ms(), "gateway": "edge",
                "agent": agent, "team": team, "feature": "chat", "environment": "production", "provider": "openai",
                "attribution_source": "self_declared", "operation": "chat", "request_model": "gpt-4.1-mini",
                "response_model": "gpt-4.1-mini", "status": 200, "outcome": "ok",
                "usage": {"input_tokens": 90_000, "cache_read_tokens": 30_000, "output_tokens": 4_000},
                "duration_ms": 900, "run": format!("run-{}", self.calls),
            });
            let members = record.as_object_mut().unwrap();
            for (key, value) in more.as_object().unwrap() {
                members.insert(key.clone(), value.clone());
            }
            record
        };
        vec![
            call("support-agent", "customer-care", json!({})),
            // A model that it never called.
            call(
                "classifier",
                "data",
                json!({"request_model": "gpt-4o", "response_model": "gpt-4o", "environment": "staging"}),
            ),
            call(
                "code-review",
                "platform",
                json!({
                    "usage": {"input_tokens": 100_000, "output_tokens": 10_000}, "usage_estimated": true,
                    "cost_usd": "0.056000000000", "cost_status": "estimated", "price_version": "mine", "charges": [
                        {"model": "gpt-4.1-mini", "kind": "input", "quantity": 100_000, "rate": "0.000000400000",
                         "cost_usd": "0.040000000000"},
                        {"model": "gpt-4.1-mini", "kind": "output", "quantity": 10_000, "rate": "0.000001600000",
                         "cost_usd": "0.016000000000"},
                    ],
                }),
            ),
            // An agent that nobody registered.
            call("newcomer", "data", json!({})),
            call("support-agent", "customer-care", json!({"status": 500, "outcome": "error"})),
            call("unattributed", "unattributed", json!({"attribution_source": "none"})),
            call(
                "classifier",
                "data",
                json!({
                "request_model": "home-made", "response_model": "home-made", "cost_status": "unpriced"}),
            ),
            call(
                "support-agent",
                "customer-care",
                json!({
                "outcome": "denied", "status": 429, "refused_by": "company", "usage": {}, "response_model": null}),
            ),
        ]
    }

    /// Waits until the collector found an anomaly, opened reviews, and told of a budget on every channel.
    pub(crate) fn wait_for_what_is_odd(&self) {
        let api = self.collector.api();
        let rows = |path: &str| api.get(path).unwrap()["rows"].as_array().unwrap().clone();
        let waits = Duration::from_secs(30);
        wait("a review of a budget and one of an agent", waits, || rows("/api/v1/reviews").len() > 1);
        let done = json!({"owner": "ada", "note": "as it was meant", "closed": true});
        let token = format!("Bearer {}", self.collector.admin_token().unwrap());
        let call = Call::put("/api/v1/reviews/1", &done).header("authorization", token);
        assert_eq!(send_blocking(call, self.collector.address()).unwrap().status, 200);
        let has = |line: &str| api.text("/metrics").unwrap().contains(line);
        for line in ["deliveries_total{result=\"delivered\"}", "{result=\"failed\"}", "{result=\"given_up\"}"]
        {
            wait(line, waits, || has(line));
        }
        // Each minute is looked at when it is over.
        wait("an anomaly", Duration::from_secs(80), || !rows("/api/v1/anomalies").is_empty());
    }
}

/// Answers webhooks: by their path with what became of them.
fn receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut start = [0; 64];
            let read = stream.read(&mut start).unwrap_or(0);
            let status = match String::from_utf8_lossy(&start[..read]).as_ref() {
                head if head.starts_with("POST /good ") => "204 No Content",
                head if head.starts_with("POST /busy ") => "503 Service Unavailable",
                _ => "410 Gone",
            };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
            // The rest is read, so that the answer is not lost with it.
            let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

const BUDGETS: &str = r#"
[[budgets]]
name = "company"
limit_usd = "1.00"
window = "rolling 30d"
action = "warn"

[[budgets]]
name = "teams"
limit_usd = "1000"
window = "rolling 30d"
each = "team"

[[unknown_agents]]
environment = "*"
action = "allow"

[[alerts]]
name = "refusals"
when = "denied"
thresholds = ["3", "8", "13"]
channels = ["good"]

[[alerts]]
name = "budgets"
when = "budget"
thresholds = ["50%", "100%"]
channels = ["good", "busy", "gone"]

"#;

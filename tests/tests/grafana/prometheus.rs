//! A running Prometheus with the shipped configuration, faster.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tollgate_tests::http::{get_blocking, local};
use tollgate_tests::ports;
use tollgate_tests::process::Process;
use tollgate_tests::render;

use super::{encoded, shipped, text, wait};

pub(crate) struct Prometheus {
    _process: Process,
    address: SocketAddr,
}

impl Prometheus {
    /// Scrapes this collector each second, with the shipped rules.
    pub(crate) fn start(directory: &Path, collector: SocketAddr) -> Self {
        let port = ports::free().unwrap();
        let mut config = fs::read_to_string(shipped("prometheus/scrape.yml")).unwrap();
        let rules = shipped("prometheus/tollgate-rules.yml");
        for (from, to) in [
            ("127.0.0.1:8088", collector.to_string()),
            ("127.0.0.1:9901", local(ports::free().unwrap()).to_string()),
            ("_interval: 15s", "_interval: 1s".to_owned()),
            ("  - tollgate-rules.yml", format!("  - {}", rules.display())),
        ] {
            assert!(config.contains(from), "scrape.yml has no `{from}`");
            config = config.replace(from, &to);
        }
        fs::write(directory.join("prometheus.yml"), config).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", directory.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", directory.join("prometheus").display()));
        command.arg(format!("--web.listen-address={}", local(port)));
        let mut process =
            Process::start("Prometheus", &mut command, &directory.join("prometheus.log")).unwrap();
        let address = local(port);
        let is_ready = || get_blocking(address, "/-/ready").is_ok();
        process.wait_until("ready", Duration::from_secs(30), is_ready).unwrap();
        Self { _process: process, address }
    }

    /// Waits until it scraped so many times more.
    pub(crate) fn wait_for_scrapes(&self, count: usize) {
        let scrapes = || {
            let found = self.get("/api/v1/query?query=count_over_time(up%7Bjob%3D%22tollgate%22%7D%5B1h%5D)");
            let sample = &found["result"][0]["value"][1];
            sample.as_str().map_or(0, |count| count.parse::<usize>().unwrap())
        };
        let before = scrapes();
        wait("a scrape", Duration::from_secs(30), || scrapes() >= before + count);
    }

    /// The `data` of an answer.
    pub(crate) fn try_get(&self, path: &str) -> Result<Value, String> {
        let body = get_blocking(self.address, path).map_err(|error| format!("{error:#}"))?;
        let answer: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        match text(&answer["status"]) {
            "success" if answer["warnings"].is_null() => Ok(answer["data"].clone()),
            _ => Err(body),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The numbers that a query finds, now or in the last minute.
    pub(crate) fn numbers(&self, query: &str, is_instant: bool) -> Result<Vec<f64>, String> {
        let query = encoded(query);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let path = match is_instant {
            true => format!("/api/v1/query?query={query}"),
            false => format!("/api/v1/query_range?query={query}&start={}&end={now}&step=1", now - 60),
        };
        let data = self.try_get(&path)?;
        let series = data["result"].as_array().ok_or("no result")?;
        let samples = series.iter().flat_map(|one| match &one["value"] {
            Value::Null => one["values"].as_array().cloned().unwrap_or_default(),
            value => vec![value.clone()],
        });
        let numbers = samples.map(|sample| text(&sample[1]).parse::<f64>().unwrap());
        Ok(numbers.filter(|number| number.is_finite()).collect())
    }

    /// The values of a label.
    pub(crate) fn label_values(&self, metric: &str, label: &str) -> BTreeSet<String> {
        let series = self.get(&format!("/api/v1/series?match[]={}", encoded(metric)));
        let values = series.as_array().unwrap().iter().filter_map(|one| one[label].as_str());
        values.map(str::to_owned).collect()
    }

    /// What is wrong with rules: one that fails, a record without data, a metric that there is not.
    pub(crate) fn wrong_rules(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let groups = self.get("/api/v1/rules");
        let rules =
            groups["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        for rule in rules {
            if rule["health"] != "ok" {
                wrong.push(format!("the rule {} is {}: {}", rule["name"], rule["health"], rule["lastError"]));
            }
            if rule["type"] == "recording"
                && self.numbers(text(&rule["name"]), true).is_ok_and(|all| all.is_empty())
            {
                wrong.push(format!("{} records nothing", rule["name"]));
            }
        }
        let shipped = render::read(&shipped("prometheus/tollgate-rules.yml")).unwrap();
        for metric in metrics(&shipped) {
            if self.label_values(&metric, "__name__").is_empty() {
                wrong.push(format!("rules ask for `{metric}`, which there is not"));
            }
        }
        wrong
    }
}

/// Alerts of rules, by their names.
pub(crate) fn alerts(rules: &Value) -> BTreeMap<String, Value> {
    each(rules).filter_map(|rule| Some((rule["alert"].as_str()?.to_owned(), rule.clone()))).collect()
}

/// Names of the collector's metrics in the expressions of rules.
fn metrics(rules: &Value) -> BTreeSet<String> {
    let is_word = |one: char| one.is_ascii_alphanumeric() || one == '_' || one == ':';
    let words = each(rules).flat_map(|rule| text(&rule["expr"]).split(move |one| !is_word(one)));
    words.filter(|word| word.starts_with("tollgate_")).map(str::to_owned).collect()
}

fn each(rules: &Value) -> impl Iterator<Item = &Value> {
    rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap())
}

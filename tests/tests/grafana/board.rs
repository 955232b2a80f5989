//! A dashboard: what Grafana would ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tollgate_tests::collector::Collector;

use super::prometheus::Prometheus;
use super::{shipped, text};

pub(crate) struct Board {
    name: String,
    json: Value,
}

impl Board {
    pub(crate) fn read(name: &str) -> Self {
        let text = fs::read_to_string(shipped(&format!("grafana/{name}.json"))).unwrap();
        Self { name: name.to_owned(), json: serde_json::from_str(&text).unwrap() }
    }

    fn panels(&self) -> impl Iterator<Item = &Value> {
        self.json["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
    }

    fn targets(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.panels()
            .flat_map(|panel| panel["targets"].as_array().unwrap().iter().map(move |one| (panel, one)))
    }

    fn variables(&self) -> &[Value] {
        self.json["templating"]["list"].as_array().unwrap()
    }

    /// What Grafana's types do not say: panels have ids and places of their own, and what a table renames,
    /// sorts and formats is there.
    pub(crate) fn check_itself(&self) {
        let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
        for panel in self.json["panels"].as_array().unwrap() {
            assert!(
                ids.insert(panel["id"].as_u64()),
                "{}: two panels have the id {}",
                self.name,
                panel["id"]
            );
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{} is too wide", panel["title"]);
            for (x, y) in
                (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
            {
                assert!(places.insert((x, y)), "{} lies on another panel", panel["title"]);
            }
        }
        for panel in self.panels() {
            assert!(!text(&panel["description"]).is_empty(), "{} is not described", panel["title"]);
            let organized =
                panel["transformations"].as_array().into_iter().flatten().find(|one| one["id"] == "organize");
            let Some(organized) = organized else { continue };
            let names = organized["options"]["renameByName"].as_object().unwrap();
            let shown: BTreeSet<&str> = names.values().map(text).collect();
            let columns: BTreeSet<&str> = panel["targets"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|one| one["columns"].as_array().into_iter().flatten())
                .map(|column| text(&column["selector"]))
                .collect();
            assert!(columns.is_empty() || names.keys().map(String::as_str).eq(columns), "{}", panel["title"]);
            let formatted = panel["fieldConfig"]["overrides"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| &one["matcher"]["options"]);
            let sorted =
                panel["options"]["sortBy"].as_array().into_iter().flatten().map(|one| &one["displayName"]);
            for name in formatted.chain(sorted).map(text) {
                assert!(shown.contains(name), "{} has no column `{name}`", panel["title"]);
            }
        }
        let known: BTreeSet<&str> = self.variables().iter().map(|one| text(&one["name"])).collect();
        for used in used_variables(&self.json.to_string()) {
            assert!(
                known.contains(used.as_str()) || used.starts_with("__"),
                "{}: no variable `{used}`",
                self.name
            );
        }
    }

    /// Types of the data sources that it asks.
    pub(crate) fn sources(&self) -> BTreeSet<String> {
        let variables = self.variables().iter().filter(|one| one["type"] == "datasource");
        variables.map(|one| text(&one["query"]).to_owned()).collect()
    }

    /// Pages of the collector that it leads to, as far as they do not hang on what was clicked.
    pub(crate) fn pages(&self) -> BTreeSet<String> {
        let all = self.json.to_string();
        let links = all.split("\"${collector}").skip(1).filter_map(|rest| rest.split('"').next());
        links.map(|link| link.split("/${").next().unwrap_or_default().to_owned()).collect()
    }

    /// Runs every query against Prometheus: what is wrong with the answers.
    pub(crate) fn ask_prometheus(&self, prometheus: &Prometheus) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for variable in self.variables().iter().filter(|one| one["type"] == "query") {
            let query = text(&variable["query"]["query"]);
            let (metric, label) = query
                .strip_prefix("label_values(")
                .unwrap()
                .strip_suffix(')')
                .unwrap()
                .rsplit_once(", ")
                .unwrap();
            let found = prometheus.label_values(&filled(metric, |_| ".*".to_owned()), label);
            if found.is_empty() {
                wrong.push(format!("the variable {} has no values: {query}", variable["name"]));
            }
            values.insert(text(&variable["name"]), found);
        }
        let (mut asked, mut zero) = (0, BTreeSet::new());
        for (panel, target) in self.targets() {
            let (panel, legend) = (text(&panel["title"]), text(&target["legendFormat"]));
            let is_instant = target["instant"].as_bool().unwrap();
            let expr = text(&target["expr"]);
            asked += 1;
            match prometheus.numbers(&filled(expr, |_| ".*".to_owned()), is_instant) {
                Err(error) => wrong.push(format!("{panel}, {legend}: {expr}: {error}")),
                Ok(numbers) if numbers.is_empty() => {
                    wrong.push(format!("{panel}, {legend}: no data: {expr}"));
                }
                Ok(numbers) if numbers.iter().all(|number| *number == 0.0) => {
                    zero.insert(format!("{panel}, {legend}"));
                }
                Ok(_) => {}
            }
            // Several values at once, as Grafana puts them into a regular expression.
            let some = |name: &str| {
                let values = values.get(name).into_iter().flatten().take(2).cloned().collect::<Vec<_>>();
                format!("({})", values.join("|"))
            };
            if let Err(error) = prometheus.numbers(&filled(expr, some), is_instant) {
                wrong.push(format!("{panel}, {legend}, filtered: {error}"));
            }
        }
        println!("{}: {asked} queries", self.name);
        let may_be: BTreeSet<String> = ZERO.iter().map(|(name, _)| (*name).to_owned()).collect();
        wrong.extend(zero.difference(&may_be).map(|name| format!("{name}: nothing but 0")));
        wrong.extend(
            may_be.difference(&zero).map(|name| format!("{name}: not 0, so it need not be in `ZERO`")),
        );
        wrong
    }

    /// Asks the collector what Infinity would, and looks for the columns: what is wrong.
    pub(crate) fn ask_collector(&self, collector: &Collector) -> Vec<String> {
        let mut wrong = Vec::new();
        let now = SystemTime::now();
        let mut never: BTreeSet<String> = BTreeSet::new();
        for (panel, target) in self.targets() {
            let panel = text(&panel["title"]);
            for filter in ["", "&team=customer-care&environment=production"] {
                let url = text(&target["url"])
                    .replace("${__from:date:iso}", &iso(now - Duration::from_secs(7 * 86_400)))
                    .replace("${__to:date:iso}", &iso(now + Duration::from_secs(60)))
                    .replace("${filter}", filter);
                let answer = match collector.api().get(&url) {
                    Ok(answer) => answer,
                    Err(error) => {
                        wrong.push(format!("{panel}: {url}: {error:#}"));
                        continue;
                    }
                };
                let root = match text(&target["root_selector"]) {
                    "" => &answer,
                    root => &answer[root],
                };
                let rows = match root {
                    Value::Array(rows) => rows.clone(),
                    Value::Object(_) => vec![root.clone()],
                    _ => Vec::new(),
                };
                if rows.is_empty() {
                    wrong.push(format!("{panel}: no rows: {url}: {answer}"));
                    continue;
                }
                for column in target["columns"].as_array().unwrap() {
                    let selector = text(&column["selector"]);
                    let cells: Vec<&Value> = rows.iter().filter_map(|row| row.get(selector)).collect();
                    if cells.is_empty() {
                        wrong.push(format!("{panel}: no column `{selector}`: {url}: {}", rows[0]));
                    }
                    let bad =
                        cells.iter().find(|cell| !cell.is_null() && !is_of(text(&column["type"]), cell));
                    if let Some(bad) = bad {
                        wrong.push(format!("{panel}: `{selector}` is {bad}, not a {}", column["type"]));
                    }
                    if filter.is_empty() && cells.iter().all(|cell| cell.is_null()) {
                        never.insert(format!("{panel}, {selector}"));
                    }
                }
            }
        }
        let may_be: BTreeSet<String> = NULL.iter().map(|(name, _)| (*name).to_owned()).collect();
        wrong.extend(
            never.symmetric_difference(&may_be).map(|name| format!("{name}: null, or not as `NULL` says")),
        );
        wrong
    }
}

/// Whether Infinity makes a value of this type of the cell.
fn is_of(kind: &str, cell: &Value) -> bool {
    match (kind, cell) {
        ("number", Value::Number(_)) => true,
        ("number", Value::String(text)) => text.parse::<f64>().is_ok(),
        ("timestamp", Value::String(text)) => {
            let numbers: Vec<&str> = text.get(..10).unwrap_or_default().split('-').collect();
            numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
        }
        ("string", cell) => !cell.is_array() && !cell.is_object(),
        _ => false,
    }
}

/// A query with values in place of variables.
fn filled(query: &str, value: impl Fn(&str) -> String) -> String {
    let mut query = query.replace("$__rate_interval", "60s").replace("$__range", "60s");
    for name in used_variables(&query) {
        query = query.replace(&format!("${name}"), &value(&name));
    }
    query
}

/// Names behind `$`.
fn used_variables(text: &str) -> BTreeSet<String> {
    let name = |rest: &str| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.chars().take_while(|one| one.is_ascii_alphanumeric() || *one == '_').collect::<String>()
    };
    text.split('$').skip(1).map(name).filter(|name| !name.is_empty()).collect()
}

/// A time as Grafana's `${__from:date:iso}` writes it.
fn iso(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (days, second) = (i64::try_from(seconds / 86_400).unwrap(), seconds % 86_400);
    // The calendar from a count of days, with years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.000Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// Queries that find only zeros here, and why.
const ZERO: [(&str, &str); 3] = [
    ("Records, folded", "no gateway's outbox is full"),
    ("What goes wrong, failed transactions", "the disk works"),
    ("What goes wrong, reports refused", "the gateway reports no counters"),
];

/// Columns that are null in all rows here, and why.
const NULL: [(&str, &str); 2] = [
    ("Agents, planned_per_month_usd", "nobody kept a plan"),
    ("Budgets, limit_reached", "one is passed, and the others are not reached at this rate"),
];

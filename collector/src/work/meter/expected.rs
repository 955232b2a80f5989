//! What was metered against what a recording says should be found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;
use tollgate_core::price::{CostStatus, Step};
use tollgate_core::record::{Note, Outcome};
use tollgate_core::usage::Usage;

use super::costs::Costs;
use super::{Exchange, Metered};

/// Counts by provider and API, and each difference.
#[derive(Debug, Default)]
pub struct Report {
    rows: BTreeMap<(String, String), Row>,
    differences: Vec<String>,
    beyond: Vec<String>,
    costs: Costs,
}

/// Exchanges of one provider and API.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Row {
    /// As expected.
    right: u64,
    /// Other counts than expected.
    wrong: u64,
    /// Said to be measured where the provider reported nothing.
    unexpected: u64,
    /// Right in all that the recording names, with counts besides that it does not.
    beyond: u64,
    /// Right, but without a price.
    unpriced: u64,
}

impl Report {
    /// Adds one exchange. Without an expectation it does not count.
    pub fn add(&mut self, exchange: &Exchange, metered: &Metered) {
        let Some(expected) = &exchange.expected else { return };
        self.costs.add(exchange, metered);
        let row = self.rows.entry((exchange.provider.clone(), exchange.api.clone())).or_default();
        let problems = match expected.get("status").and_then(Value::as_str) {
            Some("usage") => differences(expected, metered),
            _ if metered.cost_status == CostStatus::Measured && !is_by_time(&metered.usage) => {
                row.unexpected += 1;
                vec!["measured where nothing was reported".to_owned()]
            }
            Some("error") if metered.outcome == Outcome::Ok => vec!["outcome ok for an error".to_owned()],
            _ => Vec::new(),
        };
        let name = format!("{} {}/{}", exchange.id, exchange.provider, exchange.api);
        if !problems.is_empty() {
            row.wrong += 1;
            self.differences.push(format!("{name}: {}", problems.join(", ")));
            return;
        }
        row.right += 1;
        row.unpriced += u64::from(metered.cost_status == CostStatus::Unpriced);
        let beyond = beyond(expected, metered);
        if !beyond.is_empty() {
            row.beyond += 1;
            self.beyond.push(format!("{name}: {}, which the recording does not name", beyond.join(", ")));
        }
    }

    /// Whether every exchange is as expected; a `strict` reader also wants every count named in its
    /// recording.
    pub fn is_right(&self, strict: bool) -> bool {
        self.differences.is_empty() && (!strict || self.beyond.is_empty())
    }

    /// Whether our prices are near enough to what providers say that calls cost: within 1 % in 95 of 100.
    pub fn prices_are_near(&self) -> bool {
        self.costs.is_good()
    }

    /// The table, and each difference on a line; then our prices beside the providers' own.
    pub fn print(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{:<18} {:<24} {:>6} {:>6} {:>10} {:>7} {:>8}",
            "provider", "api", "right", "wrong", "unexpected", "beyond", "unpriced"
        );
        let mut total = Row::default();
        for ((provider, api), row) in &self.rows {
            line(&mut text, provider, api, *row);
            total.right += row.right;
            total.wrong += row.wrong;
            total.unexpected += row.unexpected;
            total.beyond += row.beyond;
            total.unpriced += row.unpriced;
        }
        line(&mut text, "total", "", total);
        for difference in self.differences.iter().chain(&self.beyond) {
            let _ = writeln!(text, "{difference}");
        }
        self.costs.print(&mut text);
        text
    }
}

fn line(text: &mut String, provider: &str, api: &str, row: Row) {
    let Row { right, wrong, unexpected, beyond, unpriced } = row;
    let _ = writeln!(
        text,
        "{provider:<18} {api:<24} {right:>6} {wrong:>6} {unexpected:>10} {beyond:>7} {unpriced:>8}"
    );
}

fn differences(expected: &Value, metered: &Metered) -> Vec<String> {
    let usage = &metered.usage;
    let mut found = Vec::new();
    // A router's call at its vendor's rates is measured, though its price is an estimate.
    let price_is_likely = metered.price_basis.iter().any(|basis| basis.step.is_some_and(Step::is_estimate));
    let rate_is_guessed = metered.notes.contains(&Note::RateGuessed);
    let usage_is_theirs = metered.cost_status != CostStatus::Estimated || price_is_likely || rate_is_guessed;
    if !usage_is_theirs {
        found.push(format!("cost_status {}", metered.cost_status.name()));
    }
    let (wanted, got) = (wanted(expected), counted(usage));
    let own = got.keys().map(String::as_str).filter(|name| ALWAYS_NAMED.contains(name));
    let names: BTreeSet<&str> = wanted.keys().map(String::as_str).chain(own).collect();
    for name in names {
        let (wanted, got) = (wanted.get(name), got.get(name));
        // Not reported and reported as zero mean the same quantity.
        if wanted.unwrap_or(&0) != got.unwrap_or(&0) {
            found.push(format!("{name} {got:?} for {wanted:?}"));
        }
    }
    found
}

/// Whether the provider counted seconds, of which expectations know nothing: they are of tokens.
fn is_by_time(usage: &Usage) -> bool {
    usage.audio_ms.is_some_and(|ms| ms > 0)
}

/// Counts that were metered, of kinds that a recording names only where its maker's tools know of them.
fn beyond(expected: &Value, metered: &Metered) -> Vec<String> {
    if expected.get("status").and_then(Value::as_str) != Some("usage") {
        // Of what reports nothing the counts are estimates.
        return Vec::new();
    }
    let wanted = wanted(expected);
    let named = |name: &str| ALWAYS_NAMED.contains(&name) || wanted.contains_key(name);
    let counted = counted(&metered.usage).into_iter();
    counted
        .filter(|(name, count)| *count > 0 && !named(name))
        .map(|(name, count)| format!("{name} {count}"))
        .collect()
}

/// Every count that a recording expects, by its name there.
fn wanted(expected: &Value) -> BTreeMap<String, u64> {
    let own = ALWAYS_NAMED.iter().map(|name| (*name, expected.get(name)));
    let rest = ["more", "billed"].into_iter().filter_map(|part| expected.get(part)?.as_object());
    let rest = rest.flatten().map(|(name, value)| (name.as_str(), Some(value)));
    let seconds = expected.get("seconds").and_then(tollgate_core::decode::json::value_count);
    let by_time = seconds.map(|seconds| ("audio_ms".to_owned(), seconds.saturating_mul(1_000)));
    own.chain(rest)
        .filter_map(|(name, value)| {
            Some((name.to_owned(), tollgate_core::decode::json::value_count(value?)?))
        })
        .chain(by_time)
        .collect()
}

/// Every count that was metered, by the recordings' names.
fn counted(usage: &Usage) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let all = serde_json::to_value(usage).unwrap_or_default();
    for (name, value) in all.as_object().into_iter().flatten() {
        let name = match name.as_str() {
            "cache_read_tokens" => "cached_read",
            name => name.strip_suffix("_tokens").unwrap_or(name),
        };
        if let Some(count) = value.as_u64() {
            counts.insert(name.to_owned(), count);
        }
    }
    for (ttl, count) in &usage.cache_write_by_ttl {
        counts.insert(format!("cache_write_{}", ttl.name()), *count);
    }
    counts
}

/// Counts of which every recording says what they are, if only that they were not reported.
const ALWAYS_NAMED: [&str; 5] = ["input", "cached_read", "cache_write", "output", "reasoning"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::meter::Cut;
    use serde_json::json;
    use tollgate_core::price::{EMBEDDED, PriceBook};

    /// An answer with every kind of count that a recording may name, metered.
    fn report(expected: Value) -> Report {
        let answer = json!({"model": "gpt-audio", "choices": [], "usage": {
            "prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140,
            "prompt_tokens_details": {"cached_tokens": 20, "audio_tokens": 30},
            "completion_tokens_details": {"reasoning_tokens": 10, "audio_tokens": 5}}});
        let exchange = json!({"id": "x", "provider": "openai", "api": "chat", "method": "POST",
            "url": "https://api.openai.com/v1/chat/completions", "path": "/v1/chat/completions",
            "transport": "http", "request_headers": {}, "request_body": "{}", "response_status": 200,
            "response_headers": {"content-type": ["application/json"]}, "framing": "json", "streaming": false,
            "response_body_base64": base64::Engine::encode(&base64::prelude::BASE64_STANDARD, answer.to_string()),
            "expected": expected});
        let exchange: Exchange = serde_json::from_value(exchange).unwrap();
        let metered = exchange.meter(Cut::default(), &PriceBook::from_files(EMBEDDED).unwrap()).unwrap();
        let mut report = Report::default();
        report.add(&exchange, &metered);
        report
    }

    fn right() -> Value {
        json!({"status": "usage", "input": 100, "cached_read": 20, "cache_write": null, "output": 40,
            "reasoning": 10, "seconds": null, "more": {"input_audio": 30, "output_audio": 5}})
    }

    #[test]
    fn a_difference_in_any_count_or_in_the_status_is_found() {
        assert!(report(right()).is_right(true), "{}", report(right()).print());
        for (path, wrong) in [
            ("/input", json!(99)),
            ("/input", json!(null)),
            ("/cached_read", json!(0)),
            ("/cache_write", json!(7)),
            ("/output", json!(41)),
            ("/reasoning", json!(null)),
            ("/more/input_audio", json!(31)),
            ("/more/output_audio", json!(0)),
            ("/more", json!({"input_audio": 30, "output_audio": 5, "input_image": 3})),
            ("/more", json!({"input_audio": 30, "output_audio": 5, "nobody_knows": 3})),
            ("/status", json!("none")),
            ("/status", json!("error")),
            ("/seconds", json!(37)),
        ] {
            let mut expected = right();
            *expected.pointer_mut(path).unwrap() = wrong.clone();
            let report = report(expected);
            assert!(!report.is_right(false), "{path} {wrong}");
            assert!(report.print().contains("\nx openai/chat: "), "{path} {wrong}");
        }
    }

    #[test]
    fn a_count_that_the_recording_does_not_name_is_shown_and_wrong_to_a_strict_reader() {
        let mut expected = right();
        expected["more"] = json!({"input_audio": 30});
        let report = report(expected);
        assert_eq!((report.is_right(false), report.is_right(true)), (true, false));
        assert!(report.print().contains("output_audio 5, which the recording does not name"));
    }
}

//! What was metered against what a recording says should be found.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use tollgate_core::price::Step;
use tollgate_core::record::CostStatus;
use tollgate_core::usage::{CacheTtl, Usage};

use super::costs::Costs;
use super::{Exchange, Metered};

/// Counts by provider and API, and each difference.
#[derive(Debug, Default)]
pub struct Report {
    rows: BTreeMap<(String, String), Row>,
    differences: Vec<String>,
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
            _ => Vec::new(),
        };
        if problems.is_empty() {
            row.right += 1;
            row.unpriced += u64::from(metered.cost_status == CostStatus::Unpriced);
            return;
        }
        row.wrong += 1;
        let name = format!("{} {}/{}", exchange.id, exchange.provider, exchange.api);
        self.differences.push(format!("{name}: {}", problems.join(", ")));
    }

    /// Whether every exchange is as expected.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.differences.is_empty()
    }

    /// Whether our prices are near enough to what providers say that calls cost: within 1 % in 95 of 100.
    #[must_use]
    pub fn prices_are_near(&self) -> bool {
        self.costs.is_good()
    }

    /// The table, and each difference on a line; then our prices beside the providers' own.
    #[must_use]
    pub fn print(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{:<18} {:<24} {:>6} {:>6} {:>10} {:>8}",
            "provider", "api", "right", "wrong", "unexpected", "unpriced"
        );
        let mut total = Row::default();
        for ((provider, api), row) in &self.rows {
            line(&mut text, provider, api, *row);
            total.right += row.right;
            total.wrong += row.wrong;
            total.unexpected += row.unexpected;
            total.unpriced += row.unpriced;
        }
        line(&mut text, "total", "", total);
        for difference in &self.differences {
            let _ = writeln!(text, "{difference}");
        }
        self.costs.print(&mut text);
        text
    }
}

fn line(text: &mut String, provider: &str, api: &str, row: Row) {
    let Row { right, wrong, unexpected, unpriced } = row;
    let _ = writeln!(text, "{provider:<18} {api:<24} {right:>6} {wrong:>6} {unexpected:>10} {unpriced:>8}");
}

fn differences(expected: &Value, metered: &Metered) -> Vec<String> {
    let usage = &metered.usage;
    let mut found = Vec::new();
    // A router's call at its vendor's rates is measured, though its price is an estimate.
    let price_is_likely = metered.price_basis.iter().any(|basis| basis.step.is_some_and(Step::is_estimate));
    let usage_is_theirs = metered.cost_status != CostStatus::Estimated || price_is_likely;
    if !usage_is_theirs {
        found.push(format!("cost_status {}", metered.cost_status.name()));
    }
    let mut compare = |name: &str, wanted: Option<u64>, got: Option<u64>| {
        // Not reported and reported as zero mean the same quantity.
        if wanted.unwrap_or(0) != got.unwrap_or(0) {
            found.push(format!("{name} {got:?} for {wanted:?}"));
        }
    };
    let count = |value: Option<&Value>| value.and_then(tollgate_core::json::value_count);
    for (name, got) in [
        ("input", usage.input_tokens),
        ("cached_read", usage.cache_read_tokens),
        ("cache_write", usage.cache_write_tokens),
        ("output", usage.output_tokens),
        ("reasoning", usage.reasoning_tokens),
    ] {
        compare(name, count(expected.get(name)), got);
    }
    for (name, wanted) in expected.get("more").and_then(Value::as_object).into_iter().flatten() {
        compare(name, count(Some(wanted)), more(usage, name));
    }
    found
}

/// Whether the provider counted seconds, of which expectations know nothing: they are of tokens.
fn is_by_time(usage: &Usage) -> bool {
    usage.audio_ms.is_some_and(|ms| ms > 0)
}

fn more(usage: &Usage, name: &str) -> Option<u64> {
    match name {
        "cache_write_5m" => usage.cache_write_by_ttl.get(&CacheTtl::FiveMinutes).copied(),
        "cache_write_1h" => usage.cache_write_by_ttl.get(&CacheTtl::OneHour).copied(),
        "cache_write_30m" => usage.cache_write_by_ttl.get(&CacheTtl::HalfHour).copied(),
        "cache_write_12h" => usage.cache_write_by_ttl.get(&CacheTtl::TwelveHours).copied(),
        "input_audio" => usage.input_audio_tokens,
        "output_audio" => usage.output_audio_tokens,
        "input_image" => usage.input_image_tokens,
        "output_image" => usage.output_image_tokens,
        "input_tool" => usage.input_tool_tokens,
        "web_searches" => usage.web_searches,
        _ => None,
    }
}

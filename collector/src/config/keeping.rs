//! `[retention]`, `[rollups]`, `[metrics]` and `[anomalies]`: what is kept for how long, how finely, how it
//! is shown, and what is told of it unasked.

use jiff::civil::Date;

use super::document::{Document, Section};

/// `[retention]`: how long records are kept. Summaries are kept for ever.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RetentionConfig {
    /// Days; not set, records are kept for ever.
    pub records_days: Option<u64>,
}

/// `[rollups]`: bounds of what summaries are made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RollupsConfig {
    /// Rows of one hour; what would make more is counted under `other`.
    pub rows_per_hour: u64,
}

/// `[metrics]`: what `/metrics` shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MetricsConfig {
    /// Also usage under OpenTelemetry's names for generative AI.
    pub gen_ai: bool,
    /// Pairs of team and agent that have series of their own.
    pub spend_series: u64,
    /// Counters of budgets that have series of their own.
    pub budget_series: u64,
}

/// `[anomalies]`: what agents cost now against their baselines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AnomaliesConfig {
    /// By how many percent more a day than its baseline an agent has drifted; none tells of no drift.
    pub drift_percent: Option<u64>,
    /// The day of UTC from which baselines are taken; not set, each agent's first week is its own.
    pub baseline_from: Option<Date>,
}

impl Default for AnomaliesConfig {
    fn default() -> Self {
        Self { drift_percent: Some(DRIFT_PERCENT), baseline_from: None }
    }
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { gen_ai: false, spend_series: SPEND_SERIES, budget_series: BUDGET_SERIES }
    }
}

impl Default for RollupsConfig {
    fn default() -> Self {
        Self { rows_per_hour: ROWS_PER_HOUR }
    }
}

/// Reads `[retention]`.
pub(super) fn read_retention<'t>(document: &mut Document<'t>, root: &mut Section<'t>) -> RetentionConfig {
    let mut section = document.section(root, "retention");
    let mut records_days = document.count(&mut section, "records_days");
    if let Some(days) = records_days
        && !(DAYS_MIN..=DAYS_MAX).contains(&days)
    {
        let message = format!(
            "`retention.records_days` is `{days}`, not a number of days from {DAYS_MIN} to {DAYS_MAX}; leave it out to keep records for ever"
        );
        document.at(&section, &message);
        records_days = None;
    }
    document.finish(section);
    RetentionConfig { records_days }
}

/// Reads `[rollups]`.
pub(super) fn read_rollups<'t>(document: &mut Document<'t>, root: &mut Section<'t>) -> RollupsConfig {
    let mut section = document.section(root, "rollups");
    let rows_per_hour = document.count(&mut section, "rows_per_hour").unwrap_or(ROWS_PER_HOUR);
    document.finish(section);
    RollupsConfig { rows_per_hour }
}

/// Reads `[metrics]`.
pub(super) fn read_metrics<'t>(document: &mut Document<'t>, root: &mut Section<'t>) -> MetricsConfig {
    let mut section = document.section(root, "metrics");
    let gen_ai = document.flag(&mut section, "gen_ai").unwrap_or_default();
    let mut bounded = |name: &'static str, default: u64| {
        let count = document.count(&mut section, name).unwrap_or(default);
        if count > SERIES_MAX {
            let message = format!("`metrics.{name}` is `{count}`, not a number from 0 to {SERIES_MAX}");
            document.at(&section, &message);
        }
        count.min(SERIES_MAX)
    };
    let spend_series = bounded("spend_series", SPEND_SERIES);
    let budget_series = bounded("budget_series", BUDGET_SERIES);
    document.finish(section);
    MetricsConfig { gen_ai, spend_series, budget_series }
}

/// Reads `[anomalies]`.
pub(super) fn read_anomalies<'t>(document: &mut Document<'t>, root: &mut Section<'t>) -> AnomaliesConfig {
    let mut section = document.section(root, "anomalies");
    let is_told = document.flag(&mut section, "drift").unwrap_or(true);
    let percent = document.count(&mut section, "drift_percent").unwrap_or(DRIFT_PERCENT);
    let baseline_from = document.parsed(
        &mut section,
        "baseline_from",
        "a day such as `2026-11-01`, from which baselines are taken",
    );
    if percent > DRIFT_PERCENT_MAX {
        let message = format!(
            "`anomalies.drift_percent` is `{percent}`, not a number from 1 to {DRIFT_PERCENT_MAX}; `drift = false` tells of none"
        );
        document.at(&section, &message);
    }
    document.finish(section);
    AnomaliesConfig { drift_percent: is_told.then_some(percent), baseline_from }
}

/// By how many percent an agent has drifted, unless told: twice its baseline.
const DRIFT_PERCENT: u64 = 100;
/// A hundred times its baseline.
const DRIFT_PERCENT_MAX: u64 = 9_900;
/// Pairs of team and agent with series of their own, unless told.
const SPEND_SERIES: u64 = 200;
/// Counters of budgets with series of their own, unless told.
const BUDGET_SERIES: u64 = 500;
/// Most series of a kind: Prometheus keeps each of them in memory.
const SERIES_MAX: u64 = 10_000;
/// Rows of one hour by default: eight times the 12,000 of a large company's cube.
const ROWS_PER_HOUR: u64 = 100_000;
/// Fewest days that records are kept: gateways may be away for some, and anomalies look back a day.
const DAYS_MIN: u64 = 2;
/// Most days, a century.
const DAYS_MAX: u64 = 36_500;

//! `[retention]`, `[rollups]` and `[metrics]`: what is kept for how long, how finely, and how it is shown.

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
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MetricsConfig {
    /// Also usage under OpenTelemetry's names for generative AI.
    pub gen_ai: bool,
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
    document.finish(section);
    MetricsConfig { gen_ai }
}

/// Rows of one hour by default: eight times the 12,000 of a large company's cube.
const ROWS_PER_HOUR: u64 = 100_000;
/// Fewest days that records are kept: gateways may be away for some, and anomalies look back a day.
const DAYS_MIN: u64 = 2;
/// Most days, a century.
const DAYS_MAX: u64 = 36_500;

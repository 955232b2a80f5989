//! The clock, and its units.

use jiff::Timestamp;

/// The collector's clock, Unix milliseconds UTC.
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// Milliseconds in an hour.
pub const MS_PER_HOUR: i64 = 3_600_000;
/// Hours in a UTC day.
pub const HOURS_PER_DAY: i64 = 24;

//! The clock, and its units.

use jiff::Timestamp;

/// The collector's clock, Unix milliseconds UTC.
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// An instant as answers have it, RFC 3339 in UTC; none for one that is beyond the calendar.
pub fn rfc3339(ms: u64) -> Option<String> {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map(|time| time.to_string())
}

/// Milliseconds in an hour.
pub const MS_PER_HOUR: i64 = 3_600_000;
/// Hours in a UTC day.
pub const HOURS_PER_DAY: i64 = 24;

//! The clock, its units, and numbers as SQLite has them.

use jiff::Timestamp;

/// The clock. All of this package reads it here.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The same, Unix milliseconds UTC.
pub fn now_ms() -> u64 {
    millis(now())
}

/// An instant as Unix milliseconds UTC; 0 for one before 1970.
pub fn millis(instant: Timestamp) -> u64 {
    u64::try_from(instant.as_millisecond()).unwrap_or(0)
}

/// An instant of Unix milliseconds UTC; none for one that is beyond the calendar.
pub fn instant(ms: u64) -> Option<Timestamp> {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

/// An instant as answers have it, RFC 3339 in UTC; none for one that is beyond the calendar.
pub fn rfc3339(ms: u64) -> Option<String> {
    instant(ms).map(|time| time.to_string())
}

/// Into SQLite's integers; what is beyond their end stays at it.
pub fn signed(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// Milliseconds in a minute.
pub const MINUTE_MS: u64 = 60_000;
/// Milliseconds in an hour.
pub const HOUR_MS: u64 = 60 * MINUTE_MS;
/// Milliseconds in a day that is 24 hours long.
pub const DAY_MS: u64 = 24 * HOUR_MS;
/// Milliseconds in a minute, for times out of the database.
pub const MS_PER_MINUTE: i64 = 60_000;
/// Milliseconds in an hour, for times out of the database.
pub const MS_PER_HOUR: i64 = 60 * MS_PER_MINUTE;
/// Hours in a UTC day.
pub const HOURS_PER_DAY: i64 = 24;

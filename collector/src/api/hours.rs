//! Hours of questions: sums are kept by the hour of UTC.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::clock::MS_PER_HOUR;
use crate::model::unit::start_of;

/// The instant at which an hour begins.
pub(super) fn instant(hour: i64) -> Timestamp {
    Timestamp::from_millisecond(hour.saturating_mul(MS_PER_HOUR)).unwrap_or_default()
}

/// The hour that an instant is in, or the one after where it is within one and `is_up`.
pub(super) fn hour_of(time: Timestamp, is_up: bool) -> i64 {
    let more = if is_up { MS_PER_HOUR - 1 } else { 0 };
    time.as_millisecond().saturating_add(more).div_euclid(MS_PER_HOUR)
}

/// The hour that a period begins with. At a midnight in the middle of an hour it is the next one: an hour
/// belongs to the day that it begins in.
pub(super) fn first_hour(from: Timestamp, zone: &TimeZone) -> i64 {
    hour_of(from, is_midnight(from, zone))
}

/// Whether a time is the start of a day.
pub(super) fn is_midnight(time: Timestamp, zone: &TimeZone) -> bool {
    let day = time.to_zoned_datetime(zone.clone()).date();
    start_of(day, zone) == Some(time)
}

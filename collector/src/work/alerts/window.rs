//! Windows of rules: an hour, or a day, week or month on the calendar of a time zone.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};

use crate::config::WindowKind;
use crate::model::clock::{MS_PER_HOUR, instant};

/// One window.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Window {
    /// What tells it from others of its rule, such as `day 2026-11-25`.
    pub id: String,
    /// Start, Unix milliseconds UTC.
    pub start_ms: u64,
    /// End, exclusive.
    pub end_ms: u64,
    /// Start of the window before.
    pub previous_ms: u64,
}

impl Window {
    /// The window that holds at this time; `None` where the calendar ends.
    pub fn at(kind: WindowKind, zone: &TimeZone, now_ms: u64) -> Option<Self> {
        let now = instant(now_ms)?.to_zoned_datetime(zone.clone());
        let (start, step) = match kind {
            WindowKind::Hour => {
                let hours = now.timestamp().as_millisecond().div_euclid(MS_PER_HOUR);
                let start = Timestamp::from_millisecond(hours.checked_mul(MS_PER_HOUR)?).ok()?;
                (start.to_zoned_datetime(TimeZone::UTC), 1.hour())
            }
            WindowKind::Day => (now.start_of_day().ok()?, 1.day()),
            WindowKind::Week => {
                let back = i32::from(now.weekday().to_monday_zero_offset());
                let monday = now.date().checked_sub(back.days()).ok()?;
                (monday.to_zoned_datetime(zone.clone()).ok()?, 7.days())
            }
            WindowKind::Month => (now.first_of_month().ok()?.start_of_day().ok()?, 1.month()),
        };
        let ms = |time: &ZonedDateTime| u64::try_from(time.timestamp().as_millisecond()).ok();
        let id = match kind {
            WindowKind::Hour => format!("hour {}", start.strftime("%Y-%m-%dT%HZ")),
            WindowKind::Day => format!("day {}", start.date()),
            WindowKind::Week => format!("week of {}", start.date()),
            WindowKind::Month => format!("month {}", start.strftime("%Y-%m")),
        };
        Some(Self {
            id,
            start_ms: ms(&start)?,
            end_ms: ms(&start.checked_add(step).ok()?)?,
            previous_ms: ms(&start.checked_sub(step).ok()?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_the_calendar_of_their_zone() {
        let ms = |text: &str| u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let now = ms("2026-03-29T20:30:00Z");
        for (kind, zone, id, start, end) in [
            (
                WindowKind::Hour,
                &berlin,
                "hour 2026-03-29T20Z",
                "2026-03-29T20:00:00Z",
                "2026-03-29T21:00:00Z",
            ),
            // Clocks went forward: 23 hours.
            (WindowKind::Day, &berlin, "day 2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            (
                WindowKind::Week,
                &TimeZone::UTC,
                "week of 2026-03-23",
                "2026-03-23T00:00:00Z",
                "2026-03-30T00:00:00Z",
            ),
            (
                WindowKind::Month,
                &TimeZone::UTC,
                "month 2026-03",
                "2026-03-01T00:00:00Z",
                "2026-04-01T00:00:00Z",
            ),
        ] {
            let window = Window::at(kind, zone, now).unwrap();
            assert_eq!((window.id.as_str(), window.start_ms, window.end_ms), (id, ms(start), ms(end)));
            assert_eq!(Window::at(kind, zone, window.end_ms - 1).unwrap(), window);
            assert_eq!(Window::at(kind, zone, window.end_ms).unwrap().previous_ms, window.start_ms);
        }
    }
}

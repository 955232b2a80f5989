//! Windows of budgets on the calendar of a time zone.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tollgate_core::budget::Budget;
use tollgate_core::budget::window::{Civil, Offset, Span, Zone};

use crate::model::clock;

/// Since when the newest budget counts that a policy of this version has, Unix milliseconds UTC: budgets that
/// count since later were not there for a call that it admitted. `None` where the version does not say.
pub fn knows_until(version: &str) -> Option<u64> {
    let (newest_ms, _) = version.split_once('-')?;
    u64::from_str_radix(newest_ms, 16).ok()
}

/// The window that holds now and the one after it; of an endless one only that.
pub fn spans(budget: &Budget, now_ms: u64) -> Vec<Span> {
    let now = span(budget, now_ms);
    let next = (now.end_ms < u64::MAX).then(|| span(budget, now.end_ms));
    std::iter::once(now).chain(next).collect()
}

/// The window of a budget that holds at a time.
pub fn span(budget: &Budget, now_ms: u64) -> Span {
    budget
        .window
        .span(now_ms, zone(&budget.time_zone).unwrap_or_else(|| Box::new(Offset::default())).as_ref())
}

/// The calendar with this name: `UTC`, an offset such as `+05:30`, or a time zone such as `Europe/Zurich`.
pub fn zone(name: &str) -> Option<Box<dyn Zone>> {
    if let Some(offset) = Offset::parse(name) {
        return Some(Box::new(offset));
    }
    TimeZone::get(name).ok().map(|zone| Box::new(Place(zone)) as Box<dyn Zone>)
}

/// A place with rules for its clocks.
struct Place(TimeZone);

impl Zone for Place {
    fn civil(&self, now_ms: u64) -> Civil {
        let shown = self.0.to_datetime(instant(now_ms));
        let wide = |number: i8| u64::try_from(number).unwrap_or(0);
        Civil {
            year: i64::from(shown.year()),
            month: wide(shown.month()),
            day: wide(shown.day()),
            hour: wide(shown.hour()),
        }
    }

    fn instant(&self, civil: Civil) -> u64 {
        let narrow = |number: u64| i8::try_from(number).unwrap_or(1);
        let year = i16::try_from(civil.year).unwrap_or(9999);
        let shown = DateTime::new(year, narrow(civil.month), narrow(civil.day), narrow(civil.hour), 0, 0, 0);
        // A time that clocks skip is the first after it; one that they show twice is the earlier.
        let instant = shown.ok().and_then(|shown| self.0.to_ambiguous_timestamp(shown).compatible().ok());
        instant.map_or(u64::MAX, clock::millis)
    }
}

fn instant(ms: u64) -> Timestamp {
    clock::instant(ms).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tollgate_core::budget::define;

    use super::*;

    fn budget(window: &str, zone: &str) -> Budget {
        let json = json!({"name": "b", "limit_usd": "1", "window": window, "time_zone": zone});
        define::read_one(&json, None).unwrap()
    }

    fn ms(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    #[test]
    fn windows_follow_the_calendar_of_their_time_zone_over_changes_of_the_clock() {
        for (window, zone, now, start, end) in [
            // Clocks went forward on 2026-03-29 and back on 2026-10-25.
            ("day", "Europe/Zurich", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("day", "Europe/Zurich", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            (
                "month",
                "America/New_York",
                "2026-11-25T12:00:00Z",
                "2026-11-01T04:00:00Z",
                "2026-12-01T05:00:00Z",
            ),
            ("hour", "Europe/Zurich", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
            ("hour", "Europe/Zurich", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"),
            ("hour", "Asia/Kolkata", "2026-11-25T12:00:00Z", "2026-11-25T11:30:00Z", "2026-11-25T12:30:00Z"),
        ] {
            let span = span(&budget(window, zone), ms(now));
            assert_eq!((span.start_ms, span.end_ms), (ms(start), ms(end)), "{window} {zone} {now}");
        }
    }

    #[test]
    fn a_time_zone_that_is_none_is_known_as_such() {
        assert!(zone("Europe/Zurich").is_some() && zone("+02:00").is_some() && zone("UTC").is_some());
        assert!(zone("Mars/Olympus").is_none());
    }
}

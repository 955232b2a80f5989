//! Hours, days, weeks and months of a calendar.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A unit of time, by which reports tell rows apart.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Unit {
    /// An hour of the clock.
    Hour,
    /// A calendar day.
    Day,
    /// A week by ISO 8601: it starts on Monday.
    Week,
    /// A calendar month.
    Month,
}

impl Unit {
    /// The name in questions and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// Start and end, exclusive, of the one that holds this instant; none beyond the calendar.
    pub fn span(self, at: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        if self == Self::Hour {
            let start = at.as_second().checked_sub(at.as_second().rem_euclid(3_600))?;
            let start = Timestamp::from_second(start).ok()?;
            return Some((start, start.checked_add(1.hour()).ok()?));
        }
        let first = self.first_day(at.to_zoned_datetime(zone.clone()).date())?;
        let next = match self {
            Self::Hour | Self::Day => first.tomorrow(),
            Self::Week => first.checked_add(7.days()),
            Self::Month => first.checked_add(1.month()),
        };
        Some((start_of(first, zone)?, start_of(next.ok()?, zone)?))
    }

    /// How the one that holds this instant is written: `2026-11-20`, `2026-W47`, `2026-11`; an hour by its
    /// start.
    pub fn label(self, at: Timestamp, zone: &TimeZone) -> String {
        let local = at.to_zoned_datetime(zone.clone());
        match self {
            Self::Hour if *zone == TimeZone::UTC => at.to_string(),
            Self::Hour => at.display_with_offset(local.offset()).to_string(),
            Self::Day => local.date().to_string(),
            Self::Week => {
                let week = local.date().iso_week_date();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            Self::Month => format!("{:04}-{:02}", local.year(), local.month()),
        }
    }

    fn first_day(self, day: Date) -> Option<Date> {
        match self {
            Self::Hour | Self::Day => Some(day),
            Self::Week => day.checked_sub(i64::from(day.weekday().to_monday_zero_offset()).days()).ok(),
            Self::Month => Some(day.first_of_month()),
        }
    }
}

/// The first instant of a day.
pub fn start_of(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    day.to_zoned_datetime(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_the_calendar_of_their_zone() {
        for (unit, zone, at, start, end, label) in [
            (Unit::Hour, "UTC", "2026-11-20T11:30:00Z", "2026-11-20T11:00:00Z", "2026-11-20T12:00:00Z", ""),
            (
                Unit::Day,
                "UTC",
                "2026-11-20T11:30:00Z",
                "2026-11-20T00:00:00Z",
                "2026-11-21T00:00:00Z",
                "2026-11-20",
            ),
            // Clocks went forward on 2026-03-29.
            (
                Unit::Week,
                "Europe/Berlin",
                "2026-03-29T12:00:00Z",
                "2026-03-22T23:00:00Z",
                "2026-03-29T22:00:00Z",
                "2026-W13",
            ),
            (
                Unit::Month,
                "Europe/Berlin",
                "2026-03-31T22:30:00Z",
                "2026-03-31T22:00:00Z",
                "2026-04-30T22:00:00Z",
                "2026-04",
            ),
            // A week belongs to the year of its Thursday.
            (
                Unit::Week,
                "UTC",
                "2027-01-01T00:00:00Z",
                "2026-12-28T00:00:00Z",
                "2027-01-04T00:00:00Z",
                "2026-W53",
            ),
            (
                Unit::Month,
                "UTC",
                "2026-12-31T23:00:00Z",
                "2026-12-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
                "2026-12",
            ),
        ] {
            let instant = |text: &str| text.parse::<Timestamp>().unwrap();
            let tz = TimeZone::get(zone).unwrap();
            assert_eq!(
                unit.span(instant(at), &tz),
                Some((instant(start), instant(end))),
                "{unit:?} {zone} {at}"
            );
            if !label.is_empty() {
                assert_eq!(unit.label(instant(at), &tz), label, "{at}");
            }
        }
    }
}

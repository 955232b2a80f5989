//! When a report is due, and the period that it is about. Pure.

use jiff::civil::{Date, ISOWeekDate, Weekday};
use jiff::{RoundMode, Timestamp, TimestampRound, ToSpan, Unit as Of};

use crate::config::{Every, Report};
use crate::model::clock::millis;
use crate::model::unit::start_of;
use crate::store::{Month, Planned};

/// A period of a report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Period {
    /// Its name, such as `2026-11-20`, `2026-W47` or `2026-11`.
    pub name: String,
    /// Start.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// When its last hour is over: its end, or where that is in the middle of an hour, the end of that one,
    /// as an hour belongs to the day that it begins in.
    pub over: Timestamp,
    /// When its report is sent.
    pub due: Timestamp,
}

impl Period {
    /// The newest one whose report is due at this time; none before the calendar.
    pub fn due(report: &Report, now: Timestamp) -> Option<Self> {
        let newest = Self::over(report, now)?;
        if newest.due <= now { Some(newest) } else { newest.before(report) }
    }

    /// The one whose report is due next after this time; none beyond the calendar.
    pub fn next(report: &Report, now: Timestamp) -> Option<Self> {
        let newest = Self::over(report, now)?;
        if newest.due > now { Some(newest) } else { Self::at(report, newest.to) }
    }

    /// The newest one that is over at this time; none before the calendar.
    pub fn over(report: &Report, now: Timestamp) -> Option<Self> {
        let newest = Self::at(report, now)?.before(report)?;
        if newest.over <= now { Some(newest) } else { newest.before(report) }
    }

    /// The one with this name, which is over at this time.
    ///
    /// # Errors
    /// Says what would be right.
    pub fn named(report: &Report, name: &str, now: Timestamp) -> Result<Self, String> {
        let (right, day) = match report.every {
            Every::Day => ("a day such as `2026-11-20`", name.parse::<Date>().ok()),
            Every::Week => ("a week such as `2026-W47`", monday(name)),
            Every::Month => {
                ("a month such as `2026-11`", name.parse::<Month>().ok().map(|month| month.first()))
            }
        };
        let found = day.and_then(|day| Self::at(report, start_of(day, &report.zone)?));
        let found = found.filter(|period| period.name == name);
        let found = found.ok_or_else(|| format!("`period` is `{name}`, not {right}"))?;
        if found.over > now {
            return Err(format!("`period` is `{name}`, which is not over before {}", found.over));
        }
        Ok(found)
    }

    /// As the store plans it.
    pub fn planned(this: Option<&Self>, report: &Report) -> Planned {
        Planned {
            report: report.name.clone(),
            every: report.every.unit().name().to_owned(),
            period: this.map(|period| period.name.clone()),
            due_ms: this.map_or(0, |period| millis(period.due)),
        }
    }

    /// The one that holds this instant.
    fn at(report: &Report, at: Timestamp) -> Option<Self> {
        let (unit, zone) = (report.every.unit(), &report.zone);
        let (from, to) = unit.span(at, zone)?;
        // An hour that clocks skip is the first after it; one that they show twice is the earlier.
        let day = to.to_zoned_datetime(zone.clone()).date();
        let hour = day.at(report.hour, 0, 0, 0).to_zoned_datetime(zone.clone()).ok()?.timestamp();
        let over = to.round(TimestampRound::new().smallest(Of::Hour).mode(RoundMode::Ceil)).ok()?;
        let due = hour.max(over.checked_add(SETTLES_MINUTES.minutes()).ok()?);
        Some(Self { name: unit.label(from, zone), from, to, over, due })
    }

    fn before(&self, report: &Report) -> Option<Self> {
        Self::at(report, self.from.checked_sub(1.millisecond()).ok()?)
    }
}

fn monday(name: &str) -> Option<Date> {
    let (year, week) = name.split_once("-W")?;
    let week = ISOWeekDate::new(year.parse().ok()?, week.parse().ok()?, Weekday::Monday).ok()?;
    Some(week.date())
}

/// Minutes after the end of a period in which gateways report its last calls.
const SETTLES_MINUTES: i64 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn report(every: &str, zone: &str, hour: u8) -> Report {
        let text = format!(
            "[[reports]]\nname = 'r'\nevery = '{every}'\nchannel = 'm'\ntime_zone = '{zone}'\nhour = {hour}\n\
             [channels.m]\ntype = 'email'\nhost = 'h'\nfrom = 'a@b.example'\nto = ['a@b.example']\n"
        );
        Config::parse("t", &text).unwrap().reports.remove(0)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_report_is_due_at_its_hour_after_the_period_also_where_clocks_change() {
        for (every, zone, hour, name, from, to, due) in [
            (
                "week",
                "UTC",
                8,
                "2026-W46",
                "2026-11-09T00:00:00Z",
                "2026-11-16T00:00:00Z",
                "2026-11-16T08:00:00Z",
            ),
            // Gateways still report the last minute.
            (
                "week",
                "UTC",
                0,
                "2026-W46",
                "2026-11-09T00:00:00Z",
                "2026-11-16T00:00:00Z",
                "2026-11-16T00:05:00Z",
            ),
            // A week over new year belongs to the year of its Thursday.
            (
                "week",
                "UTC",
                8,
                "2026-W53",
                "2026-12-28T00:00:00Z",
                "2027-01-04T00:00:00Z",
                "2027-01-04T08:00:00Z",
            ),
            (
                "month",
                "America/New_York",
                9,
                "2026-12",
                "2026-12-01T05:00:00Z",
                "2027-01-01T05:00:00Z",
                "2027-01-01T14:00:00Z",
            ),
            // Clocks went forward on the Sunday: the week has an hour less, and 8 is another hour of UTC.
            (
                "week",
                "Europe/Berlin",
                8,
                "2026-W13",
                "2026-03-22T23:00:00Z",
                "2026-03-29T22:00:00Z",
                "2026-03-30T06:00:00Z",
            ),
            // The hour from 2 to 3 is not there on 2026-03-29: it is 3 then.
            (
                "day",
                "Europe/Berlin",
                2,
                "2026-03-28",
                "2026-03-27T23:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T01:00:00Z",
            ),
            // The hour that midnight is in the middle of belongs to the day before.
            (
                "day",
                "Asia/Kolkata",
                0,
                "2026-11-20",
                "2026-11-19T18:30:00Z",
                "2026-11-20T18:30:00Z",
                "2026-11-20T19:05:00Z",
            ),
            // It is there twice on 2026-10-25: the first counts.
            (
                "day",
                "Europe/Berlin",
                2,
                "2026-10-24",
                "2026-10-23T22:00:00Z",
                "2026-10-24T22:00:00Z",
                "2026-10-25T00:00:00Z",
            ),
        ] {
            let report = report(every, zone, hour);
            let over = at(to).round(TimestampRound::new().smallest(Of::Hour).mode(RoundMode::Ceil)).unwrap();
            let (due, expected) =
                (at(due), Period { name: name.into(), from: at(from), to: at(to), over, due: at(due) });
            let just_before = due.checked_sub(1.millisecond()).unwrap();
            assert_eq!(Period::due(&report, due).unwrap(), expected, "{every} {zone}");
            assert_eq!(Period::next(&report, just_before).unwrap(), expected, "{every} {zone}");
            assert_ne!(Period::due(&report, just_before).unwrap().name, name);
            assert_ne!(Period::next(&report, due).unwrap().name, name);
            assert_eq!(Period::over(&report, over).unwrap(), expected);
            assert_eq!(Period::named(&report, name, over).unwrap(), expected);
            let last = over.checked_sub(1.millisecond()).unwrap();
            assert_ne!(Period::over(&report, last).unwrap().name, name);
            assert!(Period::named(&report, name, last).is_err());
            let early = Period::named(&report, name, at(from)).unwrap_err();
            assert!(early.contains("which is not over before"), "{early}");
        }
    }

    #[test]
    fn each_period_of_years_is_due_once_and_in_order() {
        for every in ["day", "week", "month"] {
            let report = report(every, "Europe/Berlin", 2);
            let mut now = at("2025-12-01T00:00:00Z");
            let mut last = Period::due(&report, now).unwrap();
            while now < at("2027-02-01T00:00:00Z") {
                now = Period::next(&report, now).unwrap().due;
                let this = Period::due(&report, now).unwrap();
                assert_eq!(this.from, last.to, "{every} {}", this.name);
                last = this;
            }
        }
    }

    #[test]
    fn a_period_that_is_none_is_refused_with_what_would_be_right() {
        let now = at("2026-11-30T00:00:00Z");
        for (every, wrong, right) in [
            ("week", "2026-11", "not a week such as"),
            ("week", "2026-W54", "not a week such as"),
            ("week", "2026-W1", "not a week such as"),
            ("month", "2026-W46", "not a month such as"),
            ("month", "2026-13", "not a month such as"),
            ("day", "2026-11", "not a day such as"),
            ("day", "", "not a day such as"),
        ] {
            let said = Period::named(&report(every, "UTC", 8), wrong, now).unwrap_err();
            assert!(said.contains(right) && said.contains(wrong), "{said}");
        }
    }
}

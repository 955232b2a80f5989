//! The day that a line of a bill is about. A line of more than a day is refused: which of its days it is for,
//! nobody knows.

use jiff::Timestamp;
use jiff::civil::{Date, Time, date};
use jiff::tz::TimeZone;

use super::{Asked, Row, Wrong};
use crate::model::unit::start_of;

impl Row<'_> {
    /// The day of a charge. Where it is for a whole day, that one: the zone's where it begins with the zone's
    /// day, otherwise the one of UTC that most of it lies in. A shorter one counts where it begins.
    pub(super) fn day(&self, start: &'static str, end: Option<&'static str>) -> Result<Date, Wrong> {
        let text = self.needed(start)?;
        let begins = moment(start, text)?;
        let day = match end.and_then(|end| Some((end, self.cell(end)?))) {
            Some((end, text)) => self.day_between(begins, (end, text))?,
            None => self.day_of(begins),
        };
        self.asked
            .known_day(day)
            .map_err(|why| Wrong { column: start, message: format!("is `{text}`, {why}") })?;
        Ok(day)
    }

    fn day_between(&self, begins: Moment, (column, text): (&'static str, &str)) -> Result<Date, Wrong> {
        let ends = moment(column, text)?;
        let (first, last) = (begins.at(), ends.at());
        let seconds = last.as_second().saturating_sub(first.as_second());
        let wrong = |message| Wrong { column, message };
        if seconds <= 0 {
            return Err(wrong(format!(
                "is `{text}`, which is not after the line's start `{first}`; the end is exclusive"
            )));
        }
        if seconds > LONGEST_DAY {
            let days = seconds.saturating_add(DAY - 1).div_euclid(DAY);
            return Err(wrong(format!(
                "is `{text}`, and the line begins at `{first}`: it is for {days} days, and which of them it is for \
                 cannot be told; {}",
                self.finer
            )));
        }
        if seconds < SHORTEST_DAY || matches!(begins, Moment::Day(_)) {
            return Ok(self.day_of(begins));
        }
        let local = self.zone.to_datetime(first);
        if local.time() == Time::midnight() {
            return Ok(local.date());
        }
        let middle = Timestamp::from_second(first.as_second().saturating_add(seconds / 2)).unwrap_or(first);
        Ok(TimeZone::UTC.to_datetime(middle).date())
    }

    fn day_of(&self, begins: Moment) -> Date {
        match begins {
            Moment::Day(day) => day,
            Moment::Time(at) => self.zone.to_datetime(at).date(),
        }
    }
}

impl Asked<'_> {
    /// Says why a bill cannot be of this day.
    pub(super) fn known_day(&self, day: Date) -> Result<(), String> {
        let last = self.today.tomorrow().unwrap_or(self.today);
        if day > last {
            return Err(format!(
                "which is not yet: today is {}, and a bill is of days that were",
                self.today
            ));
        }
        if day < FIRST {
            return Err(format!("which is before {FIRST}; no bill that can be compared is so old"));
        }
        Ok(())
    }
}

/// A time, or a day without one.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Time(Timestamp),
    Day(Date),
}

impl Moment {
    fn at(self) -> Timestamp {
        match self {
            Self::Time(at) => at,
            Self::Day(day) => start_of(day, &TimeZone::UTC).unwrap_or_default(),
        }
    }
}

/// A time: RFC 3339, as BigQuery prints it, or seconds since 1970; or a day.
fn moment(column: &'static str, text: &str) -> Result<Moment, Wrong> {
    let known = time(text).map(Moment::Time).or_else(|| day(text).map(Moment::Day));
    known.ok_or_else(|| Wrong {
        column,
        message: format!("is `{text}`, which is no time such as `2026-11-01T08:00:00Z`"),
    })
}

fn time(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_second(seconds).ok();
    }
    let text = text.trim_end_matches(" UTC").replacen(' ', "T", 1);
    text.parse().or_else(|_| format!("{text}Z").parse()).ok()
}

fn day(text: &str) -> Option<Date> {
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

/// The first day that a bill may be of: before it no provider here sold models.
const FIRST: Date = date(2020, 1, 1);
/// Seconds of a day, and of the longest and shortest where clocks change.
const DAY: i64 = 86_400;
const LONGEST_DAY: i64 = 25 * 3600;
const SHORTEST_DAY: i64 = 23 * 3600;

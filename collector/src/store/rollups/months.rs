//! Closed months: what was reported of them does not change any more.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use rusqlite::{Connection, Transaction, params};

use super::packed;
use super::sums::{AsRow, InRow, Sums, Totals};
use crate::model::clock::{MS_PER_HOUR, signed};
use crate::model::unit::Unit;
use crate::store::database::error::StoreError;
use crate::store::rollups;

/// A calendar month, UTC.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Month {
    first: Date,
}

/// Text that is not a month.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a month such as `2026-10`")]
pub struct NotAMonth;

/// A month that is closed.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedMonth {
    /// Which.
    pub month: String,
    /// When it was closed, Unix milliseconds UTC.
    pub closed_ms: u64,
    /// What it came to.
    pub totals: Totals,
}

/// Why a month was not closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closing {
    /// It is closed now.
    Done,
    /// It was before, or a later month is.
    Already,
    /// It is not over.
    NotOver,
}

impl Month {
    /// Its first day.
    pub const fn first(self) -> Date {
        self.first
    }

    /// The month that this day is in.
    pub fn of(day: Date) -> Self {
        Self { first: day.first_of_month() }
    }

    /// First hour, in hours since the Unix epoch.
    pub fn from_hour(self) -> i64 {
        hour_of(self.first)
    }

    /// End, exclusive, in hours since the Unix epoch.
    pub fn end_hour(self) -> i64 {
        let last = self.first.last_of_month();
        last.tomorrow().map_or(i64::MAX, hour_of)
    }
}

fn hour_of(day: Date) -> i64 {
    let start =
        day.at(0, 0, 0, 0).to_zoned_datetime(TimeZone::UTC).map(|zoned| zoned.timestamp().as_millisecond());
    start.map_or(i64::MAX, |ms| ms.div_euclid(MS_PER_HOUR))
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.first.year(), self.first.month())
    }
}

impl FromStr for Month {
    type Err = NotAMonth;

    fn from_str(text: &str) -> Result<Self, NotAMonth> {
        let (year, month) = text.split_once('-').filter(|_| text.len() == 7).ok_or(NotAMonth)?;
        let year: i16 = year.parse().ok().filter(|year| (1970..9999).contains(year)).ok_or(NotAMonth)?;
        let month: i8 = month.parse().ok().filter(|month| (1..=12).contains(month)).ok_or(NotAMonth)?;
        Ok(Self { first: date(year, month, 1) })
    }
}

/// Hours before this one are closed; the smallest number when none is.
pub(in crate::store) fn end_hour(connection: &Connection) -> Result<i64, StoreError> {
    let end: Option<i64> = connection
        .prepare_cached("SELECT max(end_hour) FROM closed_months")?
        .query_row([], |row| row.get(0))?;
    Ok(end.unwrap_or(i64::MIN))
}

/// Closes a month and all before it, keeping what this month came to.
pub(in crate::store) fn close(
    transaction: &Transaction<'_>,
    month: Month,
    now_ms: u64,
) -> Result<Closing, StoreError> {
    let now_hour = signed(now_ms).div_euclid(MS_PER_HOUR);
    if month.end_hour() > now_hour {
        return Ok(Closing::NotOver);
    }
    if month.end_hour() <= end_hour(transaction)? {
        return Ok(Closing::Already);
    }
    rollups::settle(transaction)?;
    let mut sums = Sums::default();
    packed::between(transaction, month.from_hour(), month.end_hour(), |_, more| Ok(sums.add_encoded(more)?))?;
    transaction.execute(
        "INSERT INTO closed_months (month, end_hour, closed_ms, sums) VALUES (?1, ?2, ?3, ?4)",
        params![month.to_string(), month.end_hour(), signed(now_ms), sums.encode()],
    )?;
    Ok(Closing::Done)
}

/// Closed months, the latest first.
pub(in crate::store) fn all(connection: &Connection) -> Result<Vec<ClosedMonth>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT month, closed_ms, sums FROM closed_months ORDER BY end_hour DESC")?;
    let mut rows = statement.query([])?;
    let mut months = Vec::new();
    while let Some(row) = rows.next()? {
        months.push(ClosedMonth {
            month: row.get(0)?,
            closed_ms: row.get::<_, i64>(1)?.unsigned_abs(),
            totals: Totals::decode(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?,
        });
    }
    Ok(months)
}

/// Months of a time zone's calendar that have calls, in order.
pub(in crate::store) fn seen(connection: &Connection, zone: &TimeZone) -> Result<Vec<Month>, StoreError> {
    let month_of = |hour: i64| {
        let time = Timestamp::from_millisecond(hour.saturating_mul(MS_PER_HOUR)).ok()?;
        let next = Unit::Month.span(time, zone)?.1.as_millisecond();
        let month = Month::of(time.to_zoned_datetime(zone.clone()).date());
        Some((month, next.saturating_add(MS_PER_HOUR - 1).div_euclid(MS_PER_HOUR)))
    };
    let mut months = BTreeSet::new();
    rollups::each_recent(connection, |hour, _, _| {
        months.extend(month_of(hour).map(|(month, _)| month));
        Ok(())
    })?;
    // One look for each month: from the end of one to the first hour behind it.
    let mut first = connection.prepare_cached("SELECT min(hour) FROM rollup_hour WHERE hour >= ?1")?;
    let mut from = i64::MIN;
    while let Some(hour) = first.query_row([from], |row| row.get::<_, Option<i64>>(0))? {
        let Some((month, next)) = month_of(hour) else { break };
        months.insert(month);
        from = next.max(hour.saturating_add(1));
    }
    Ok(months.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_its_hours_and_prints_as_it_is_written() {
        let month: Month = "2024-02".parse().unwrap();
        assert_eq!((month.end_hour() - month.from_hour(), month.to_string().as_str()), (29 * 24, "2024-02"));
        let december: Month = "2026-12".parse().unwrap();
        assert_eq!(december.end_hour(), "2027-01".parse::<Month>().unwrap().from_hour());
        for text in ["", "2026", "2026-13", "2026-00", "2026-1", "26-01-", "2026-010", "2026/01"] {
            assert_eq!(text.parse::<Month>(), Err(NotAMonth), "{text}");
        }
    }
}

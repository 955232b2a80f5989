//! Summaries: totals by dimension and time, from the rollups alone.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::Connection;

use super::dims::{DimsTable, Filters};
use super::packed;
use super::spans::Span;
use super::sums::{InRow, Totals};
use crate::model::clock::MS_PER_HOUR;
use crate::model::dimension::Dimension;
use crate::model::unit::Unit;
use crate::store::database::error::StoreError;
use crate::store::records::folded;
use crate::store::rollups;

/// A question about spend.
#[derive(Clone, Debug)]
pub struct SummaryQuery {
    /// Start, in hours since the Unix epoch.
    pub from_hour: i64,
    /// End, exclusive, in hours since the Unix epoch.
    pub to_hour: i64,
    /// What to group by.
    pub by: Vec<Dimension>,
    /// Whether to group by time too.
    pub every: Every,
    /// Where days begin.
    pub zone: TimeZone,
    /// What to count.
    pub filters: Filters,
    /// Where tags are told apart: only those with this key, by their values.
    pub tag_key: Option<String>,
}

/// How finely a summary tells times apart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Every {
    /// Not at all.
    #[default]
    Period,
    /// By calendar month of the time zone.
    Month,
    /// By week of the time zone, from Monday on.
    Week,
    /// By calendar day of the time zone.
    Day,
    /// By hour.
    Hour,
}

/// One group of a summary.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SummaryRow {
    /// Start of its month, week, day or hour, in hours since the Unix epoch; `None` where times are not told
    /// apart.
    pub hour: Option<i64>,
    /// Its values in the dimensions asked for.
    pub values: Vec<Option<String>>,
    /// Its numbers.
    pub totals: Totals,
}

/// A summary.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Groups with at least one record, by time; in no further order.
    pub rows: Vec<SummaryRow>,
    /// Sum of all rows.
    pub total: Totals,
    /// Records that are counted in totals of their gateways only, and cannot be listed.
    pub folded: u64,
}

/// Answers a query inside one snapshot of the database.
pub(in crate::store) fn summarise(
    connection: &Connection,
    dims: &DimsTable,
    query: &SummaryQuery,
) -> Result<Summary, StoreError> {
    let groups = Groups::of(dims, query);
    let mut summary = Summary::default();
    let mut period = Period::new(groups.values.len());
    let mut last = None;
    rollups::each_recent(connection, |hour, dims, sums| {
        let is_asked = (query.from_hour..query.to_hour).contains(&hour);
        let Some(group) = groups.of_dims(dims).filter(|_| is_asked) else { return Ok(()) };
        // Most are of the same hour.
        let (_, start) = *last.insert(
            last.filter(|(known, _)| *known == hour).unwrap_or_else(|| (hour, query.period_of(hour))),
        );
        period.add_recent(start, group, sums)
    })?;
    let mut current = None;
    for span in spans(connection, query)? {
        packed::each(connection, span, |time, dims, sums| {
            if current != Some((span.grain, time)) {
                current = Some((span.grain, time));
                period.turn_to(query.period_of(span.grain.first_hour(time)), &groups, &mut summary)?;
            }
            match groups.of_dims(dims) {
                Some(group) => period.add(group, sums),
                None => Ok(()),
            }
        })?;
    }
    period.turn_to_end(&groups, &mut summary)?;
    summary.folded = folded::records_in(connection, dims, &query.filters, query.from_hour, query.to_hour)?;
    Ok(summary)
}

impl SummaryQuery {
    /// Start of the row that this hour belongs to, in hours.
    pub(in crate::store) fn period_of(&self, hour: i64) -> Option<i64> {
        match self.every {
            Every::Period => None,
            Every::Hour => Some(hour),
            Every::Day => Some(self.start_of(Unit::Day, hour)),
            Every::Week => Some(self.start_of(Unit::Week, hour)),
            Every::Month => Some(self.start_of(Unit::Month, hour)),
        }
    }

    /// The hour that holds the first instant of this hour's local day, week or month.
    ///
    /// Where a zone is not whole hours from UTC, an hour belongs to the day that it begins in.
    fn start_of(&self, unit: Unit, hour: i64) -> i64 {
        let time = Timestamp::from_millisecond(hour.saturating_mul(MS_PER_HOUR)).ok();
        time.and_then(|time| unit.span(time, &self.zone)).map_or(hour, |(start, _)| {
            // Rounded up: an hour that the day begins in the middle of belongs to the day before.
            let ms = start.as_millisecond();
            ms.saturating_add(MS_PER_HOUR - 1).div_euclid(MS_PER_HOUR)
        })
    }

    /// Whether rows can be made of whole UTC days.
    fn days_fit(&self) -> bool {
        match self.every {
            Every::Period => true,
            Every::Day | Every::Week | Every::Month => self.zone == TimeZone::UTC,
            Every::Hour => false,
        }
    }
}

/// The time asked for, in whole days where they fit, and in whole weeks where times are not told apart.
pub(super) fn spans(connection: &Connection, query: &SummaryQuery) -> Result<Vec<Span>, StoreError> {
    let hours = Span::hours(query.from_hour, query.to_hour);
    if !query.days_fit() {
        return Ok(vec![hours]);
    }
    let mut all = Vec::new();
    for span in hours.with_days() {
        match query.every {
            Every::Period => all.extend(packed::with_weeks(connection, span)?),
            _ => all.push(span),
        }
    }
    Ok(all)
}

/// Which group each set of dimensions belongs to.
pub(in crate::store) struct Groups {
    /// By id of the dimensions, from 1; `None` where a filter keeps it out.
    by_dims: Vec<Option<usize>>,
    /// Values of each group.
    pub(super) values: Vec<Vec<Option<String>>>,
}

impl Groups {
    pub(in crate::store) fn of(dims: &DimsTable, query: &SummaryQuery) -> Self {
        let mut index: HashMap<Vec<Option<&str>>, usize> = HashMap::new();
        let mut values = Vec::new();
        let by_dims = dims
            .iter()
            .map(|dims| {
                query.filters.keep(dims).then(|| {
                    let key: Vec<_> = query.by.iter().map(|by| dims.value(*by)).collect();
                    *index.entry(key).or_insert_with_key(|key| {
                        values.push(key.iter().map(|value| value.map(str::to_owned)).collect());
                        values.len().saturating_sub(1)
                    })
                })
            })
            .collect();
        Self { by_dims, values }
    }

    /// How many there are.
    pub(in crate::store) fn count(&self) -> usize {
        self.values.len()
    }

    /// Values of a group.
    pub(in crate::store) fn values_of(&self, group: usize) -> &[Option<String>] {
        self.values.get(group).map_or(&[], Vec::as_slice)
    }

    pub(in crate::store) fn of_dims(&self, id: i64) -> Option<usize> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        self.by_dims.get(index).copied().flatten()
    }
}

/// Totals by group of the day or hour that is being read. Times come in order, so one at a time is enough.
struct Period {
    start: Option<i64>,
    totals: Vec<Option<Totals>>,
    /// Of each day or hour and group, what is in no row yet.
    recent: BTreeMap<(Option<i64>, usize), Totals>,
}

impl Period {
    fn new(groups: usize) -> Self {
        Self { start: None, totals: vec![None; groups], recent: BTreeMap::new() }
    }

    fn turn_to(
        &mut self,
        start: Option<i64>,
        groups: &Groups,
        summary: &mut Summary,
    ) -> Result<(), StoreError> {
        if self.start == start {
            return Ok(());
        }
        self.finish(groups, summary)?;
        while let Some(earlier) = self.first_recent().filter(|first| *first < start) {
            self.start = earlier;
            self.finish(groups, summary)?;
        }
        self.start = start;
        Ok(())
    }

    /// Ends the one that is being read, and those that have nothing but what is recent.
    fn turn_to_end(&mut self, groups: &Groups, summary: &mut Summary) -> Result<(), StoreError> {
        self.finish(groups, summary)?;
        while let Some(later) = self.first_recent() {
            self.start = later;
            self.finish(groups, summary)?;
        }
        Ok(())
    }

    fn first_recent(&self) -> Option<Option<i64>> {
        self.recent.keys().next().map(|(start, _)| *start)
    }

    fn add_recent(&mut self, start: Option<i64>, group: usize, bytes: &[u8]) -> Result<(), StoreError> {
        Ok(self.recent.entry((start, group)).or_default().add_encoded(bytes)?)
    }

    fn add(&mut self, group: usize, bytes: &[u8]) -> Result<(), StoreError> {
        if let Some(sum) = self.totals.get_mut(group) {
            sum.get_or_insert_default().add_encoded(bytes)?;
        }
        Ok(())
    }

    fn finish(&mut self, groups: &Groups, summary: &mut Summary) -> Result<(), StoreError> {
        while let Some(first) = self.recent.first_entry().filter(|first| first.key().0 == self.start) {
            let ((_, group), recent) = first.remove_entry();
            if let Some(sum) = self.totals.get_mut(group) {
                sum.get_or_insert_default().add(&recent)?;
            }
        }
        for (sum, values) in self.totals.iter_mut().zip(&groups.values) {
            let Some(totals) = sum.take() else {
                continue;
            };
            summary.total.add(&totals)?;
            if summary.rows.len() >= ROWS_MAX {
                return Err(StoreError::TooManyRows { most: ROWS_MAX });
            }
            summary.rows.push(SummaryRow { hour: self.start, values: values.clone(), totals });
        }
        Ok(())
    }
}

/// Longest summary.
pub(in crate::store) const ROWS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::super::spans::Grain;
    use super::*;

    fn query(from_hour: i64, to_hour: i64, every: Every, zone: &str) -> SummaryQuery {
        SummaryQuery {
            from_hour,
            to_hour,
            by: vec![],
            every,
            zone: TimeZone::get(zone).unwrap(),
            filters: Filters::default(),
            tag_key: None,
        }
    }

    #[test]
    fn spans_cover_every_hour_once_and_use_days_where_they_fit() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::store::database::migrations::migrate(&mut connection).unwrap();
        let asked = |from, to, every, zone| spans(&connection, &query(from, to, every, zone)).unwrap();
        for every in [Every::Period, Every::Month, Every::Week, Every::Day, Every::Hour] {
            for zone in ["UTC", "Europe/Berlin"] {
                for (from, to) in
                    [(0, 24), (1, 23), (23, 25), (0, 72), (5, 100), (47, 49), (30, 30), (-30, 30)]
                {
                    let mut hours = Vec::new();
                    for span in asked(from, to, every, zone) {
                        hours.extend(span.grain.first_hour(span.from)..span.grain.first_hour(span.to));
                    }
                    assert_eq!(hours, (from..to).collect::<Vec<_>>(), "{from}..{to} {every:?} {zone}");
                }
            }
        }
        let grains = |from, to, every, zone| -> Vec<Grain> {
            asked(from, to, every, zone).iter().map(|span| span.grain).collect()
        };
        assert_eq!(grains(0, 72, Every::Day, "UTC"), [Grain::Day]);
        assert_eq!(grains(0, 72, Every::Day, "Europe/Berlin"), [Grain::Hour]);
    }

    #[test]
    fn local_days_begin_at_local_midnight_also_when_clocks_change() {
        // 2026-03-29 in Berlin has 23 hours: from 2026-03-28T23:00Z to 2026-03-29T22:00Z.
        let hour = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond() / MS_PER_HOUR;
        let berlin = query(0, 0, Every::Day, "Europe/Berlin");
        let start = hour("2026-03-28T23:00:00Z");
        for at in start..start + 23 {
            assert_eq!(berlin.start_of(Unit::Day, at), start);
        }
        assert_eq!(berlin.start_of(Unit::Day, start + 23), start + 23);
    }

    #[test]
    fn where_a_zone_is_off_by_half_an_hour_an_hour_belongs_to_the_day_it_begins_in() {
        // Midnight in Kolkata is 18:30Z.
        let hour = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond() / MS_PER_HOUR;
        let kolkata = query(0, 0, Every::Day, "Asia/Kolkata");
        let first = hour("2026-03-01T19:00:00Z");
        assert_eq!(kolkata.start_of(Unit::Day, first), first);
        assert_eq!(kolkata.start_of(Unit::Day, first + 23), first);
        assert_eq!(kolkata.start_of(Unit::Day, first + 24), first + 24);
    }
}

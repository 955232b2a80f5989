//! The first days of each group: what it used when it began.

use rusqlite::Connection;

use super::detail;
use super::dims::DimsTable;
use super::packed;
use super::spans::{Grain, Span};
use super::summary::{Groups, SummaryQuery};
use super::sums::{InRow, Totals};
use crate::store::database::error::StoreError;
use crate::store::rollups;

/// The first days of what has the same values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FirstDays {
    /// Its values in the dimensions asked for.
    pub values: Vec<Option<String>>,
    /// The first hour that has something, in hours since the Unix epoch.
    pub first_hour: i64,
    /// Days of UTC since the Unix epoch that have something, in order, from the day of that hour on.
    pub days: Vec<(i64, Totals)>,
}

/// Reads the first days of each group from the start of a query on. Looks at all days until its end, as
/// nobody else knows where a group begins. What bills and corrections of closed months added is no use: it
/// begins nothing, and is left out.
pub(super) fn read(
    connection: &Connection,
    dims: &DimsTable,
    query: &SummaryQuery,
    days: i64,
) -> Result<Vec<FirstDays>, StoreError> {
    let groups = Groups::of(dims, query);
    let mut all = Beginnings { days, groups: Vec::new() };
    let hours = query.from_hour..query.to_hour;
    let mut recent = Vec::new();
    rollups::each_recent(connection, |hour, dims, sums| {
        if let Some(group) = groups.of_dims(dims).filter(|_| hours.contains(&hour)) {
            recent.push((hour, group, Totals::decode(sums)?));
        }
        Ok(())
    })?;
    // What is recent may be of any time: where it begins is known before rows are read in their order.
    for (hour, group, _) in recent.iter().filter(|(_, _, totals)| has_calls(totals)) {
        all.begins(*group, Grain::Day.of(*hour));
    }
    let span = Span {
        grain: Grain::Day,
        from: Grain::Day.of(query.from_hour),
        to: Grain::Day.of(query.to_hour.saturating_add(23)),
    };
    // Money without a call, which may stand before the day's calls in what is read.
    let mut money = Vec::new();
    packed::each(connection, span, |day, dims, sums| {
        let Some(group) = groups.of_dims(dims) else { return Ok(()) };
        let totals = Totals::decode(sums)?;
        if has_calls(&totals) {
            return all.add_totals(group, day, &totals);
        }
        money.push((day, group, totals));
        Ok(())
    })?;
    for (hour, group, totals) in &recent {
        match has_calls(totals) {
            true => all.add_totals(*group, Grain::Day.of(*hour), totals)?,
            false => money.push((Grain::Day.of(*hour), *group, totals.clone())),
        }
    }
    let whole_days = (Grain::Day.first_hour(span.from), Grain::Day.first_hour(span.to));
    detail::each_beside(connection, whole_days, |hour, dims, sums| {
        if let Some(group) = groups.of_dims(dims) {
            let less = Totals { cost: -sums.totals.cost, ..Totals::default() };
            money.push((Grain::Day.of(hour), group, less));
        }
    })?;
    for (day, group, totals) in &money {
        all.add_money(*group, *day, totals)?;
    }
    all.forget_nothing();
    all.note_hours(connection, &groups)?;
    for (hour, group, _) in recent.iter().filter(|(_, _, totals)| has_calls(totals)) {
        all.has_in(*group, *hour);
    }
    Ok(all.into_rows(&groups))
}

/// Groups while they are read.
struct Beginnings {
    days: i64,
    groups: Vec<Option<Beginning>>,
}

struct Beginning {
    first_day: i64,
    first_hour: Option<i64>,
    days: Vec<(i64, Totals)>,
}

/// Whether there is a call among them, or one that was refused.
const fn has_calls(totals: &Totals) -> bool {
    totals.calls > 0 || totals.denied > 0
}

impl Beginnings {
    fn begins(&mut self, group: usize, day: i64) -> Option<&mut Beginning> {
        if self.groups.len() <= group {
            self.groups.resize_with(group.saturating_add(1), || None);
        }
        let one = self.groups.get_mut(group)?;
        let one = one.get_or_insert_with(|| Beginning { first_day: day, first_hour: None, days: Vec::new() });
        one.first_day = one.first_day.min(day);
        Some(one)
    }

    /// The sum of a day, where it is one of the first.
    fn day(&mut self, group: usize, day: i64) -> Option<&mut Totals> {
        let days = self.days;
        let one = self.begins(group, day)?;
        if day >= one.first_day.saturating_add(days) {
            return None;
        }
        let at = match one.days.binary_search_by_key(&day, |(day, _)| *day) {
            Ok(at) => at,
            Err(at) => {
                one.days.insert(at, (day, Totals::default()));
                at
            }
        };
        one.days.get_mut(at).map(|(_, totals)| totals)
    }

    fn add_totals(&mut self, group: usize, day: i64, more: &Totals) -> Result<(), StoreError> {
        match self.day(group, day) {
            Some(totals) => Ok(totals.add(more)?),
            None => Ok(()),
        }
    }

    /// Adds money of no call to a day that is one of the first.
    fn add_money(&mut self, group: usize, day: i64, more: &Totals) -> Result<(), StoreError> {
        match self.groups.get(group).and_then(Option::as_ref).is_some_and(|one| day >= one.first_day) {
            true => self.add_totals(group, day, more),
            false => Ok(()),
        }
    }

    /// Leaves out days on which nothing is left.
    fn forget_nothing(&mut self) {
        for one in self.groups.iter_mut().flatten() {
            one.days.retain(|(_, totals)| *totals != Totals::default());
        }
    }

    fn first_days(&self) -> impl Iterator<Item = i64> {
        self.groups.iter().flatten().map(|one| one.first_day)
    }

    /// Notes that a group has something in this hour, where that is one of its first day.
    fn has_in(&mut self, group: usize, hour: i64) {
        if let Some(Some(one)) = self.groups.get_mut(group)
            && one.first_day == Grain::Day.of(hour)
        {
            one.first_hour = Some(one.first_hour.map_or(hour, |known| known.min(hour)));
        }
    }

    /// Looks for the first hour of each group in the hours of its first day.
    fn note_hours(&mut self, connection: &Connection, groups: &Groups) -> Result<(), StoreError> {
        let first_days: std::collections::BTreeSet<i64> = self.first_days().collect();
        for day in first_days {
            let first = Grain::Day.first_hour(day);
            packed::each(
                connection,
                Span::hours(first, first.saturating_add(Grain::Day.hours())),
                |hour, dims, sums| {
                    if let Some(group) = groups.of_dims(dims)
                        && has_calls(&Totals::decode(sums)?)
                    {
                        self.has_in(group, hour);
                    }
                    Ok(())
                },
            )?;
        }
        Ok(())
    }

    fn into_rows(self, groups: &Groups) -> Vec<FirstDays> {
        let row = |(group, one): (usize, Option<Beginning>)| {
            let Beginning { first_day, first_hour, days } = one?;
            let first_hour = first_hour.unwrap_or(Grain::Day.first_hour(first_day));
            Some(FirstDays { values: groups.values_of(group).to_vec(), first_hour, days })
        };
        self.groups.into_iter().enumerate().filter_map(row).collect()
    }
}

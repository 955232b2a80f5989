//! How a budget was used up over its window, from what its calls cost.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use maud::{Markup, html};
use tollgate_core::money::Picodollars;

use crate::model::answers::budgets::{BudgetRow, Quantity};
use crate::model::answers::summary::{By, SummaryAnswer};
use crate::model::clock::now;
use crate::pages::charts::{Reached, running};
use crate::pages::query::Query;

/// The question behind it, for one counter in dollars, in a window that has an end.
pub(super) fn question(row: &BudgetRow, filters: &[(String, String)]) -> Option<Query> {
    let (from, _, tz) = window(row)?;
    // Reports know whole hours.
    let is_whole = from.as_second().rem_euclid(3_600) == 0;
    if !is_whole || row.each.is_some() || !matches!(row.limit, Quantity::Dollars(_)) {
        return None;
    }
    let unit = if now().duration_since(from).as_hours() < 72 { "hour" } else { "day" };
    let query = Query::new("/api/v1/summary").with("by", unit).with("from", from.to_string());
    let query =
        if row.time_zone == "UTC" { query } else { query.with("tz", tz.iana_name().unwrap_or("UTC")) };
    Some(query.and(filters))
}

/// The window: its beginning, its end and its time zone.
fn window(row: &BudgetRow) -> Option<(Timestamp, Timestamp, TimeZone)> {
    let time = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
    let (from, to) = (time(&row.from)?, time(&row.to)?);
    Some((from, to, TimeZone::get(&row.time_zone).ok()?))
}

/// The answer as a line.
pub(super) fn chart(row: &BudgetRow, answer: &SummaryAnswer) -> Markup {
    let Quantity::Dollars(limit) = row.limit else { return Markup::default() };
    let Some((from, to, tz)) = window(row) else { return Markup::default() };
    let reached = reached(answer, from, to, &tz);
    let day = |time: Timestamp| time.to_zoned_datetime(tz.clone()).strftime("%m-%d %H:%M").to_string();
    html! {
        @if reached.is_empty() { p.empty { "Nothing was spent in this window yet." } }
        @else { (running("Spent in this window", [&day(from), &day(to)], &reached, limit)) }
    }
}

fn reached(answer: &SummaryAnswer, from: Timestamp, to: Timestamp, tz: &TimeZone) -> Vec<Reached> {
    let length = to.duration_since(from).as_secs().max(1);
    let mut sum = Picodollars::ZERO;
    let rows = answer.rows.iter().filter_map(|row| {
        let unit = answer.by.iter().find(|by| by.unit().is_some())?;
        let end = end_of(row.keys.value(*unit)?, *unit, tz)?.min(now()).min(to);
        sum += row.numbers.cost_usd;
        let at = i128::from(end.duration_since(from).as_secs()) * 1000 / i128::from(length);
        let label = end.to_zoned_datetime(tz.clone()).strftime("%m-%d %H:%M").to_string();
        Some(Reached { label, at, sum })
    });
    rows.collect()
}

/// When an hour or a day ends.
fn end_of(label: &str, unit: By, tz: &TimeZone) -> Option<Timestamp> {
    if unit == By::Hour {
        return label.parse::<Timestamp>().ok()?.checked_add(1.hour()).ok();
    }
    let day: Date = label.parse().ok()?;
    Some(day.tomorrow().ok()?.to_zoned_datetime(tz.clone()).ok()?.timestamp())
}

//! What bills of providers corrected: amounts that are counted beside the records.
//!
//! A bill knows days, providers and models, not calls. So what it corrects is an amount of an hour and its
//! dimensions, without a call: it changes that hour's rollup, or that of the first open hour where the month
//! is closed, as other corrections do.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, Transaction, params};
use serde_json::{Value, json};
use tollgate_core::money::Picodollars;
use tollgate_core::record::Head;

use super::adjust;
use crate::model::audit::Entry;
use crate::model::clock::{MS_PER_HOUR, signed};
use crate::model::dimension::Dimension;
use crate::store::audit::append;
use crate::store::database::error::StoreError;
use crate::store::rollups::dims::{Dims, DimsTable};
use crate::store::rollups::spans::Span;
use crate::store::rollups::sums::{InRow, Sums, Totals};
use crate::store::rollups::{self, months, packed};

/// Which days and providers to read.
#[derive(Clone, Debug)]
pub struct SeenQuery {
    /// First day.
    pub first: Date,
    /// Last day.
    pub last: Date,
    /// Where days begin.
    pub zone: TimeZone,
    /// Ids of providers.
    pub providers: BTreeSet<String>,
    /// Whether places are wanted too, to book in.
    pub with_places: bool,
}

/// What was seen, with what bills corrected counted in the days that it is about.
#[derive(Clone, Debug, Default)]
pub struct SeenDays {
    /// By day, provider and model.
    pub days: BTreeMap<(Date, String, String), Totals>,
    /// Hours and dimensions of the same.
    pub places: Vec<Place>,
    /// Number of the last bill that was booked; 0 for none.
    pub last_bill: i64,
    /// Hours before this one are closed, in hours since the Unix epoch.
    pub end_hour: i64,
}

/// An hour of calls that have all dimensions in common.
#[derive(Clone, Debug)]
pub struct Place {
    /// The hour, since the Unix epoch.
    pub hour: i64,
    /// Id of the dimensions.
    pub dims: i64,
    /// The day.
    pub day: Date,
    /// Id of the provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Calls that reached the provider.
    pub calls: u64,
    /// What they cost.
    pub cost: Picodollars,
}

/// An amount to be booked.
#[derive(Clone, Debug)]
pub struct BillLine {
    /// The hour that it is about, since the Unix epoch.
    pub hour: i64,
    /// Whose it is.
    pub of: BilledTo,
    /// What it adds.
    pub amount: Picodollars,
}

/// Whose an amount is.
#[derive(Clone, Debug)]
pub enum BilledTo {
    /// Who made the calls with these dimensions.
    Calls(i64),
    /// Nobody that is known.
    Nobody {
        /// Id of the provider.
        provider: String,
        /// The model; empty where the bill names none.
        model: String,
    },
}

/// What a bill corrects.
#[derive(Clone, Debug)]
pub struct NewBill {
    /// The last bill that its amounts know of.
    pub after: i64,
    /// Its amounts.
    pub lines: Vec<BillLine>,
    /// What is kept of it, as JSON.
    pub body: Value,
}

/// An amount that is booked.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Line {
    /// The hour that it is about.
    pub(in crate::store) hour: i64,
    /// The hour whose rollup has it.
    pub(in crate::store) booked_hour: i64,
    pub(in crate::store) dims: i64,
    pub(in crate::store) amount: Picodollars,
}

/// What was seen of some days and providers.
pub(super) fn seen(
    connection: &Connection,
    dims: &DimsTable,
    query: &SeenQuery,
) -> Result<SeenDays, StoreError> {
    let (from, to) = hours(query)?;
    let names: Vec<Option<(&str, &str)>> = dims.iter().map(|dims| names(dims, query)).collect();
    let name_of = |id: i64| {
        let place = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        place.and_then(|place| names.get(place)).copied().flatten()
    };
    let mut found: BTreeMap<(i64, i64), Totals> = BTreeMap::new();
    let mut take = |hour: i64, dims: i64, sums: &[u8]| -> Result<(), StoreError> {
        if !(from..to).contains(&hour) || name_of(dims).is_none() {
            return Ok(());
        }
        found.entry((hour, dims)).or_default().add_encoded(sums)?;
        match found.len() > PLACES_MAX {
            true => Err(StoreError::TooManyRows { most: PLACES_MAX }),
            false => Ok(()),
        }
    };
    rollups::each_recent(connection, &mut take)?;
    packed::each(connection, Span::hours(from, to), &mut take)?;
    move_elsewhere(connection, (from, to), |dims| name_of(dims).is_some(), &mut found)?;
    let mut seen = SeenDays {
        last_bill: last(connection)?,
        end_hour: months::end_hour(connection)?,
        ..SeenDays::default()
    };
    let mut day_of: Option<(i64, Date)> = None;
    for ((hour, dims), totals) in found {
        let Some((provider, model)) = name_of(dims) else { continue };
        let known = day_of.filter(|(known, _)| *known == hour);
        let (_, day) = *day_of.insert(known.unwrap_or((hour, day(hour, &query.zone))));
        if day < query.first || day > query.last {
            continue;
        }
        if query.with_places && (totals.calls > 0 || totals.cost != Picodollars::ZERO) {
            seen.places.push(Place {
                hour,
                dims,
                day,
                provider: provider.to_owned(),
                model: model.to_owned(),
                calls: totals.calls,
                cost: totals.cost,
            });
        }
        let key = (day, provider.to_owned(), model.to_owned());
        seen.days.entry(key).or_default().add(&totals)?;
    }
    Ok(seen)
}

/// Counts what was booked elsewhere in the hours that it is about.
fn move_elsewhere(
    connection: &Connection,
    (from, to): (i64, i64),
    is_wanted: impl Fn(i64) -> bool,
    found: &mut BTreeMap<(i64, i64), Totals>,
) -> Result<(), StoreError> {
    each_elsewhere(connection, (from, to), |line| {
        if !is_wanted(line.dims) {
            return;
        }
        for (hour, amount) in [(line.booked_hour, -line.amount), (line.hour, line.amount)] {
            if (from..to).contains(&hour) {
                found.entry((hour, line.dims)).or_default().cost += amount;
            }
        }
    })
}

/// The hours that begin on the days of a query.
fn hours(query: &SeenQuery) -> Result<(i64, i64), StoreError> {
    let start = |day: Date| {
        let start = day.to_zoned_datetime(query.zone.clone()).map(|start| start.timestamp().as_millisecond());
        start.map_err(|_| StoreError::Damaged("day"))
    };
    let end = query.last.tomorrow().map_err(|_| StoreError::Damaged("day"))?;
    let hour = |ms: i64| ms.saturating_add(MS_PER_HOUR - 1).div_euclid(MS_PER_HOUR);
    Ok((hour(start(query.first)?), hour(start(end)?)))
}

fn day(hour: i64, zone: &TimeZone) -> Date {
    let time = Timestamp::from_millisecond(hour.saturating_mul(MS_PER_HOUR)).unwrap_or_default();
    zone.to_datetime(time).date()
}

fn names<'d>(dims: &'d Dims, query: &SeenQuery) -> Option<(&'d str, &'d str)> {
    let provider = dims.value(Dimension::Provider).unwrap_or_default();
    let model = dims.value(Dimension::Model).unwrap_or_default();
    query.providers.contains(provider).then_some((provider, model))
}

/// Books what a bill corrects; gives its number, none where another one was booked since.
pub(super) fn book(
    transaction: &Transaction<'_>,
    bill: &NewBill,
    mut entry: Entry,
) -> Result<Option<i64>, StoreError> {
    if last(transaction)? != bill.after {
        return Ok(None);
    }
    // What is taken from a row must be in it.
    rollups::settle(transaction)?;
    let end_hour = months::end_hour(transaction)?;
    let open_hour = adjust::open_hour(end_hour, entry.time_ms);
    let mut lines: BTreeMap<(i64, i64), Picodollars> = BTreeMap::new();
    for line in &bill.lines {
        let dims = match &line.of {
            BilledTo::Calls(dims) => *dims,
            BilledTo::Nobody { provider, model } => nobody(transaction, provider, model)?,
        };
        *lines.entry((line.hour, dims)).or_default() += line.amount;
    }
    let total: Picodollars = lines.values().copied().sum();
    transaction
        .prepare_cached("INSERT INTO bills (made_ms, amount_usd, body) VALUES (?1, ?2, ?3)")?
        .execute(params![signed(entry.time_ms), total.to_string(), bill.body.to_string()])?;
    let seq = transaction.last_insert_rowid();
    let mut changes: BTreeMap<(i64, i64), Picodollars> = BTreeMap::new();
    let mut insert = transaction.prepare_cached(
        "INSERT INTO bill_lines (bill, hour, dims, booked_hour, amount_usd) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for ((hour, dims), amount) in &lines {
        let booked_hour = if *hour < end_hour { open_hour } else { *hour };
        insert.execute(params![seq, hour, dims, booked_hour, amount.to_string()])?;
        *changes.entry((booked_hour, *dims)).or_default() += *amount;
    }
    for ((hour, dims), amount) in changes {
        adjust::change(transaction, hour, dims, &Sums::default(), &of_money(amount))?;
    }
    if let Some(Value::Object(after)) = &mut entry.after {
        after.insert("bill".into(), seq.into());
        after.insert("booked_usd".into(), json!(total));
    }
    append(transaction, &entry)?;
    Ok(Some(seq))
}

/// An amount as sums of no call.
pub(in crate::store) fn of_money(cost: Picodollars) -> Sums {
    Sums { totals: Totals { cost, ..Totals::default() }, kinds: Vec::new() }
}

/// The dimensions of what nobody is known to have spent.
fn nobody(transaction: &Transaction<'_>, provider: &str, model: &str) -> Result<i64, StoreError> {
    let head = Head {
        provider: provider.to_owned(),
        response_model: (!model.is_empty()).then(|| model.to_owned()),
        ..Head::default()
    };
    let dims = Dims::of(&head);
    match dims.find(transaction)? {
        Some(id) => Ok(id),
        None => dims.insert(transaction),
    }
}

/// Number of the last bill; 0 for none.
fn last(connection: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT ifnull(max(seq), 0) FROM bills";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Hands over what is booked in these hours, the last exclusive.
pub(in crate::store) fn each_booked(
    connection: &Connection,
    (from, to): (i64, i64),
    take: impl FnMut(Line),
) -> Result<(), StoreError> {
    each(
        connection,
        "SELECT hour, booked_hour, dims, amount_usd FROM bill_lines WHERE booked_hour >= ?1 AND booked_hour < ?2",
        (from, to),
        take,
    )
}

/// Whether anything is booked in these hours, the last inclusive.
pub(in crate::store) fn are_booked(
    connection: &Connection,
    [from, to]: [i64; 2],
) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM bill_lines WHERE booked_hour >= ?1 AND booked_hour <= ?2)";
    Ok(connection.prepare_cached(sql)?.query_row([from, to], |row| row.get(0))?)
}

fn each_elsewhere(
    connection: &Connection,
    (from, to): (i64, i64),
    take: impl FnMut(Line),
) -> Result<(), StoreError> {
    each(
        connection,
        "SELECT hour, booked_hour, dims, amount_usd FROM bill_lines WHERE booked_hour <> hour
         AND (hour >= ?1 AND hour < ?2 OR booked_hour >= ?1 AND booked_hour < ?2)",
        (from, to),
        take,
    )
}

fn each(
    connection: &Connection,
    sql: &str,
    (from, to): (i64, i64),
    mut take: impl FnMut(Line),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([from, to])?;
    while let Some(row) = rows.next()? {
        let text = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
        let amount = text.parse().map_err(|_| StoreError::Damaged("bill_lines"))?;
        take(Line { hour: row.get(0)?, booked_hour: row.get(1)?, dims: row.get(2)?, amount });
    }
    Ok(())
}

/// Bills that are not what the audit trail says that was booked, in words.
pub(in crate::store) fn unlike_trail(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut booked: BTreeMap<i64, Picodollars> = BTreeMap::new();
    let mut statement = connection.prepare("SELECT seq FROM bills")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        booked.insert(row.get(0)?, Picodollars::ZERO);
    }
    let mut statement = connection.prepare("SELECT bill, amount_usd FROM bill_lines")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        let amount: Picodollars = text.parse().map_err(|_| StoreError::Damaged("bill_lines"))?;
        *booked.entry(row.get(0)?).or_default() += amount;
    }
    let mut told: BTreeMap<i64, Picodollars> = BTreeMap::new();
    let mut statement = connection.prepare("SELECT after FROM audit WHERE action = ?1")?;
    let mut rows = statement.query([BOOKED])?;
    while let Some(row) = rows.next()? {
        let text: Option<String> = row.get(0)?;
        let after: Value = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let amount = after.get("booked_usd").and_then(Value::as_str).and_then(|text| text.parse().ok());
        if let (Some(seq), Some(amount)) = (after.get("bill").and_then(Value::as_i64), amount) {
            told.insert(seq, amount);
        }
    }
    let seqs: BTreeSet<&i64> = booked.keys().chain(told.keys()).collect();
    let unlike = seqs.into_iter().filter(|seq| booked.get(seq) != told.get(seq));
    Ok(unlike.map(|seq| format!("bill {seq} is not what the audit trail says that was booked")).collect())
}

/// The name of an entry of the audit trail about a bill that was booked.
pub const BOOKED: &str = "bill.book";
/// Most hours of dimensions that are read of bills' days.
const PLACES_MAX: usize = 2_000_000;

//! Adjustments: what changes a record's cost after it was stored, without editing it.
//!
//! A summary is records plus adjustments. A correction whose hour is open changes that hour's rollup; one
//! whose month is closed, and a record that comes after its month was closed, is booked in the first open
//! hour instead.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Charge, CostStatus, PriceBasis};
use tollgate_core::record::{CostSource, UsageRecord};

use super::id::RecordId;
use crate::model::answers::explain::Reason;
use crate::model::clock::{HOURS_PER_DAY, MS_PER_HOUR, signed};
use crate::store::database::error::StoreError;
use crate::store::facets::follow;
use crate::store::records::{self, Cursor, RecordsQuery};
use crate::store::rollups;
use crate::store::rollups::detail::is_elsewhere;
use crate::store::rollups::sums::{AsRow, InRow, Sums};
use crate::store::rollups::{months, packed};

/// A correction of one record's price, to be written.
#[derive(Clone, Debug)]
pub struct Correction {
    /// The record, as it is counted now.
    pub before: UsageRecord,
    /// The same with its new price.
    pub after: UsageRecord,
    /// The last correction that `before` contains; 0 for none.
    pub base: i64,
}

/// An adjustment that is stored.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Adjustment {
    /// Why: `reprice` or `late`.
    pub reason: Reason,
    /// When it was made, Unix milliseconds UTC.
    pub made_ms: u64,
    /// Hour of the summaries that count it, in hours since the Unix epoch.
    pub booked_hour: i64,
    /// What it adds to the cost.
    pub amount_usd: Picodollars,
    /// The cost after it.
    pub cost_usd: Picodollars,
    /// How far that can be trusted.
    pub cost_status: CostStatus,
    /// Whose word it is.
    #[serde(default)]
    pub cost_source: CostSource,
    /// The price book that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_version: Option<String>,
    /// The price after it, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Charge>,
    /// Which rows it was made with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub price_basis: Vec<PriceBasis>,
}

/// A record as it is counted, with the last correction that this contains.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// The record with its corrected price.
    pub record: UsageRecord,
    /// The correction; 0 for none.
    pub base: i64,
}

/// A page of records as they are counted, newest first.
pub(in crate::store) fn page(
    connection: &Connection,
    dims: &crate::store::rollups::dims::DimsTable,
    query: &RecordsQuery,
) -> Result<(Vec<Counted>, Option<Cursor>), StoreError> {
    let page = records::page(connection, dims, query)?;
    let counted = page.records.into_iter().map(|record| counted(connection, record));
    Ok((counted.collect::<Result<_, _>>()?, page.next))
}

/// A record with its corrected price.
pub(in crate::store) fn counted(
    connection: &Connection,
    mut record: UsageRecord,
) -> Result<Counted, StoreError> {
    let id: RecordId = record.head.id.parse().map_err(|_| StoreError::Damaged("id"))?;
    let mut statement = connection.prepare_cached(
        "SELECT seq, body FROM adjustments WHERE record = ?1 AND reason = ?2 ORDER BY seq DESC LIMIT 1",
    )?;
    let last: Option<(i64, String)> = statement
        .query_row(params![id.0.as_slice(), Reason::Reprice.code()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((base, body)) = last else { return Ok(Counted { record, base: 0 }) };
    let adjustment = parse(&body)?;
    adjustment.put(&mut record);
    Ok(Counted { record, base })
}

/// Every adjustment, by its record and oldest first.
pub(in crate::store) fn all(
    connection: &Connection,
) -> Result<HashMap<RecordId, Vec<Adjustment>>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT record, body FROM adjustments ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut all: HashMap<RecordId, Vec<Adjustment>> = HashMap::new();
    while let Some(row) = rows.next()? {
        all.entry(RecordId(row.get(0)?)).or_default().push(parse(&row.get::<_, String>(1)?)?);
    }
    Ok(all)
}

/// What was booked in another hour than that of its record, as its month was closed.
#[derive(Clone, Debug)]
pub(in crate::store) struct Booked {
    /// Hour of the summaries that count it.
    pub(in crate::store) hour: i64,
    /// Dimensions of its record.
    pub(in crate::store) dims: i64,
    /// Why.
    pub(in crate::store) reason: Reason,
    /// What it adds.
    pub(in crate::store) amount: Picodollars,
    /// The price before, line by line. Where nobody knows it any more, it is that after: no line changes.
    pub(in crate::store) before: Vec<Charge>,
    /// The price after, line by line.
    pub(in crate::store) after: Vec<Charge>,
}

/// Hands over what was booked in these hours for records of closed months, the last exclusive.
pub(in crate::store) fn each_booked(
    connection: &Connection,
    (from_hour, to_hour): (i64, i64),
    mut take: impl FnMut(Booked),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT a.seq, a.record, a.reason, a.booked_hour, a.dims, a.made_ms, r.time_ms, a.body
         FROM adjustments a LEFT JOIN records r ON r.id = a.record
         WHERE a.booked_hour >= ?1 AND a.booked_hour < ?2 ORDER BY a.seq",
    )?;
    let mut rows = statement.query([from_hour, to_hour])?;
    while let Some(row) = rows.next()? {
        let (hour, made_ms, record_ms) = (row.get(3)?, row.get(5)?, row.get(6)?);
        let is_late = row.get::<_, u8>(2)? == Reason::Late.code();
        if !is_late && !is_elsewhere(hour, made_ms, record_ms) {
            continue;
        }
        let adjustment = parse(&row.get::<_, String>(7)?)?;
        let before = match is_late {
            true => None,
            false => before(connection, RecordId(row.get(1)?), row.get(0)?)?,
        };
        let after = adjustment.charges;
        take(Booked {
            hour,
            dims: row.get(4)?,
            reason: adjustment.reason,
            amount: adjustment.amount_usd,
            before: before.unwrap_or_else(|| after.clone()),
            after,
        });
    }
    Ok(())
}

/// A record's price before a correction of it, line by line; `None` where it is not kept.
fn before(connection: &Connection, id: RecordId, seq: i64) -> Result<Option<Vec<Charge>>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT body FROM adjustments WHERE record = ?1 AND reason = ?2 AND seq < ?3 ORDER BY seq DESC LIMIT 1",
    )?;
    let earlier: Option<String> = statement
        .query_row(params![id.0.as_slice(), Reason::Reprice.code(), seq], |row| row.get(0))
        .optional()?;
    if let Some(body) = earlier {
        return Ok(Some(parse(&body)?.charges));
    }
    Ok(records::by_id(connection, id)?.map(|record| record.charges))
}

impl Adjustment {
    /// Gives a record the price that it has after this correction.
    pub(in crate::store) fn put(self, record: &mut UsageRecord) {
        record.cost_usd = self.cost_usd;
        record.cost_status = self.cost_status;
        record.cost_source = self.cost_source;
        record.price_version = self.price_version;
        record.charges = self.charges;
        record.price_basis = self.price_basis;
    }
}

/// Every adjustment of a record, oldest first.
pub(in crate::store) fn of_record(
    connection: &Connection,
    id: RecordId,
) -> Result<Vec<Adjustment>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT body FROM adjustments WHERE record = ?1 ORDER BY seq")?;
    let bodies = statement.query_map([id.0.as_slice()], |row| row.get::<_, String>(0))?;
    bodies.map(|body| parse(&body?)).collect()
}

/// Writes corrections; gives how many were written. One whose record was corrected by another meanwhile is
/// left out.
pub(in crate::store) fn correct(
    transaction: &Transaction<'_>,
    corrections: &[Correction],
    now_ms: u64,
) -> Result<u64, StoreError> {
    // What is taken from a row must be in it.
    rollups::settle(transaction)?;
    let end_hour = months::end_hour(transaction)?;
    let mut written = 0u64;
    for correction in corrections {
        let after = &correction.after;
        let id: RecordId = after.head.id.parse().map_err(|_| StoreError::Damaged("id"))?;
        let Some(place) = place(transaction, id)? else { continue };
        if place.corrected != correction.base {
            continue;
        }
        let (minus, plus) = (Sums::of(&correction.before), Sums::of(after));
        let (booked_hour, minus, plus) = if place.hour < end_hour {
            (open_hour(end_hour, now_ms), Sums::default(), plus.money_since(&minus)?)
        } else {
            (place.hour, minus, plus)
        };
        change(transaction, booked_hour, place.dims, &minus, &plus)?;
        follow::corrected(transaction, after, (booked_hour, place.dims), &minus, &plus)?;
        let adjustment = Adjustment {
            reason: Reason::Reprice,
            made_ms: now_ms,
            booked_hour,
            amount_usd: after.cost_usd - correction.before.cost_usd,
            cost_usd: after.cost_usd,
            cost_status: after.cost_status,
            cost_source: after.cost_source,
            price_version: after.price_version.clone(),
            charges: after.charges.clone(),
            price_basis: after.price_basis.clone(),
        };
        insert(transaction, id, place.dims, &adjustment)?;
        written = written.saturating_add(1);
    }
    Ok(written)
}

/// Notes that a record came after its month was closed, and is counted in `booked_hour`.
pub(in crate::store) fn note_late(
    transaction: &Transaction<'_>,
    id: RecordId,
    dims: i64,
    cost: Picodollars,
    booked_hour: i64,
    now_ms: u64,
) -> Result<(), StoreError> {
    let adjustment = Adjustment {
        reason: Reason::Late,
        made_ms: now_ms,
        booked_hour,
        amount_usd: cost,
        cost_usd: cost,
        cost_status: CostStatus::Measured,
        cost_source: CostSource::Book,
        price_version: None,
        charges: Vec::new(),
        price_basis: Vec::new(),
    };
    insert(transaction, id, dims, &adjustment)
}

/// Where a record and its corrections are counted, and what counts there: the record's own hour first. `hour`
/// is that of its time.
pub(in crate::store) fn bookings(
    record: &UsageRecord,
    hour: i64,
    adjustments: Vec<Adjustment>,
) -> Result<Vec<(i64, Sums)>, StoreError> {
    let late = adjustments.iter().find(|one| one.reason == Reason::Late);
    let home = late.map_or(hour, |one| one.booked_hour);
    let (mut at_home, mut now) = (Sums::of(record), record.clone());
    let mut elsewhere = Vec::new();
    for one in adjustments.into_iter().filter(|one| one.reason == Reason::Reprice) {
        let (before, booked) = (Sums::of(&now), one.booked_hour);
        one.put(&mut now);
        let after = Sums::of(&now);
        if booked == home {
            at_home.add(&after)?;
            at_home.subtract(&before)?;
        } else {
            elsewhere.push((booked, after.money_since(&before)?));
        }
    }
    Ok(std::iter::once((home, at_home)).chain(elsewhere).collect())
}

/// The hour in which what belongs to a closed month is booked.
pub(in crate::store) fn open_hour(end_hour: i64, now_ms: u64) -> i64 {
    let now = signed(now_ms).div_euclid(MS_PER_HOUR);
    now.max(end_hour)
}

/// Where a record is counted.
pub(in crate::store) struct Place {
    /// Id of its dimensions.
    pub(in crate::store) dims: i64,
    /// Since the Unix epoch.
    pub(in crate::store) hour: i64,
    /// Its last correction; 0 for none.
    corrected: i64,
}

/// Where a record is counted; `None` where it is not there.
pub(in crate::store) fn place(
    transaction: &Transaction<'_>,
    id: RecordId,
) -> Result<Option<Place>, StoreError> {
    let mut statement = transaction.prepare_cached("SELECT time_ms, dims FROM records WHERE id = ?1")?;
    let record: Option<(i64, i64)> =
        statement.query_row([id.0.as_slice()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((time_ms, dims)) = record else { return Ok(None) };
    let mut statement = transaction
        .prepare_cached("SELECT seq, reason, booked_hour FROM adjustments WHERE record = ?1 ORDER BY seq")?;
    let mut place = Place { dims, hour: time_ms.div_euclid(MS_PER_HOUR), corrected: 0 };
    let mut rows = statement.query([id.0.as_slice()])?;
    while let Some(row) = rows.next()? {
        match row.get::<_, u8>(1)? {
            code if code == Reason::Late.code() => place.hour = row.get(2)?,
            _ => place.corrected = row.get(0)?,
        }
    }
    Ok(Some(place))
}

/// Takes from and adds to the rollups of an hour and its day.
pub(in crate::store) fn change(
    transaction: &Transaction<'_>,
    hour: i64,
    dims: i64,
    minus: &Sums,
    plus: &Sums,
) -> Result<(), StoreError> {
    packed::change(transaction, std::iter::once(hour))?;
    for (read, write, time) in [
        (
            "SELECT sums FROM rollup_hour WHERE hour = ?1 AND dims = ?2",
            "INSERT INTO rollup_hour (hour, dims, sums) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET sums = excluded.sums",
            hour,
        ),
        (
            "SELECT sums FROM rollup_day WHERE day = ?1 AND dims = ?2",
            "INSERT INTO rollup_day (day, dims, sums) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET sums = excluded.sums",
            hour.div_euclid(HOURS_PER_DAY),
        ),
    ] {
        let found: Option<Vec<u8>> =
            transaction.prepare_cached(read)?.query_row([time, dims], |row| row.get(0)).optional()?;
        let mut sums = found.map_or_else(|| Ok(Sums::default()), |bytes| Sums::decode(&bytes))?;
        sums.add(plus)?;
        sums.subtract(minus)?;
        transaction.prepare_cached(write)?.execute(params![time, dims, sums.encode()])?;
    }
    Ok(())
}

fn insert(
    transaction: &Transaction<'_>,
    id: RecordId,
    dims: i64,
    adjustment: &Adjustment,
) -> Result<(), StoreError> {
    let body = serde_json::to_string(adjustment).map_err(|_| StoreError::Damaged("adjustment"))?;
    transaction
        .prepare_cached(
            "INSERT INTO adjustments (record, reason, made_ms, booked_hour, dims, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            id.0.as_slice(),
            adjustment.reason.code(),
            signed(adjustment.made_ms),
            adjustment.booked_hour,
            dims,
            body,
        ])?;
    Ok(())
}

fn parse(body: &str) -> Result<Adjustment, StoreError> {
    serde_json::from_str(body).map_err(|_| StoreError::Damaged("adjustment"))
}

impl Reason {
    /// The number that stands for it in the database; never changed.
    const fn code(self) -> u8 {
        match self {
            Self::Reprice => 0,
            Self::Late => 1,
        }
    }
}

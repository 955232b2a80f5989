//! Work that is started by one call and fetched by another, maybe through other gateways: its record is for who started it,
//! whichever of the two is heard of first.
//!
//! A record of fetched work has an id made of provider and work id, so that it is stored once. One that arrives before
//! that of the start is stored as it came, and changed when the start arrives: its row, the sums that it is in, and the
//! counters of budgets. Months that are closed stay as they are.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use tollgate_core::attribution::{Attribution, AttributionSource};
use tollgate_core::record::{Note, UsageRecord};

use crate::store::database::error::StoreError;
use crate::store::records::adjust;
use crate::store::records::batch::{Batch, RecordRow, Told, cost_status_code, digest_of, outcome_code};
use crate::store::records::id::RecordId;
use crate::store::rollups::dims::Dims;
use crate::store::rollups::reports;
use crate::store::rollups::sums::Sums;
use crate::store::writer::work::Work;
use crate::store::{budgets, rollups};

/// Who started some work.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::store) struct Starter {
    attribution: Attribution,
    source: AttributionSource,
}

/// A stored record that is to be another one.
#[derive(Clone, Debug)]
pub(in crate::store) enum Change {
    /// It is known now who started the work.
    Starter(RecordId, Starter),
    /// It is known now that its counts are a provider's: this record says so.
    Known(RecordId, Box<UsageRecord>),
}

impl Starter {
    fn of(record: &UsageRecord) -> Self {
        Self { attribution: record.attribution.clone(), source: record.attribution_source }
    }

    fn put(self, record: &mut UsageRecord) {
        record.attribution = self.attribution;
        record.attribution_source = self.source;
    }
}

/// Takes note of work in records that have arrived, and gives those of them that fetched some to who started it. Gives the
/// stored ones whose starter is known only now.
pub(in crate::store) fn arrive(
    transaction: &Transaction<'_>,
    batches: &mut [Batch],
) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for (row, told) in batches.iter().flat_map(|batch| &batch.rows).filter_map(telling) {
        for key in &told.started {
            start(transaction, *key, row, &mut changes)?;
        }
    }
    for row in batches.iter_mut().flat_map(|batch| &mut batch.rows) {
        let Some(told) = row.told.as_ref().filter(|told| told.is_fetched()) else { continue };
        let keys = told.fetched.clone();
        match starter(transaction, &keys)? {
            Some(starter) => {
                let mut record = parse(&row.body)?;
                starter.put(&mut record);
                row.set(&record)?;
            }
            None => wait(transaction, &keys, row)?,
        }
    }
    Ok(changes)
}

fn telling(row: &RecordRow) -> Option<(&RecordRow, &Told)> {
    Some((row, row.told.as_deref()?))
}

/// Remembers who started work, where that is not known, and what was fetched of it before.
fn start(
    transaction: &Transaction<'_>,
    key: RecordId,
    row: &RecordRow,
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    let starter = Starter::of(&parse(&row.body)?);
    let body = serde_json::to_string(&starter).map_err(|_| StoreError::Damaged("work_started"))?;
    let new = transaction
        .prepare_cached("INSERT INTO work_started VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![key.0.as_slice(), row.time_ms, body])?;
    if new == 0 {
        return Ok(());
    }
    let mut statement =
        transaction.prepare_cached("DELETE FROM work_fetched WHERE key = ?1 RETURNING record")?;
    let records = statement.query_map([key.0.as_slice()], |row| Ok(RecordId(row.get(0)?)))?;
    for record in records {
        changes.push(Change::Starter(record?, starter.clone()));
    }
    Ok(())
}

/// Who started one of these.
fn starter(connection: &Connection, keys: &[RecordId]) -> Result<Option<Starter>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT starter FROM work_started WHERE key = ?1")?;
    for key in keys {
        let found: Option<String> = statement.query_row([key.0.as_slice()], |row| row.get(0)).optional()?;
        if let Some(body) = found {
            return Ok(Some(serde_json::from_str(&body).map_err(|_| StoreError::Damaged("work_started"))?));
        }
    }
    Ok(None)
}

/// Notes that a record's starter is not known.
fn wait(transaction: &Transaction<'_>, keys: &[RecordId], row: &RecordRow) -> Result<(), StoreError> {
    let mut statement =
        transaction.prepare_cached("INSERT INTO work_fetched VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?;
    for key in keys {
        statement.execute(params![key.0.as_slice(), row.id.0.as_slice(), row.time_ms])?;
    }
    Ok(())
}

impl Change {
    /// A record came that was there already: if what is stored was nobody's known work, and this is, it takes its place.
    pub(in crate::store) fn of_known(row: &RecordRow) -> Result<Option<Self>, StoreError> {
        match row.told.as_ref().filter(|told| told.is_fetched()) {
            Some(_) => Ok(Some(Self::Known(row.id, Box::new(parse(&row.body)?)))),
            None => Ok(None),
        }
    }

    /// Changes the stored record, the sums that it is in, and what budgets were charged for it.
    pub(in crate::store) fn make(self, work: &mut Work<'_>, now_ms: u64) -> Result<(), StoreError> {
        let transaction = work.transaction;
        let (Self::Starter(id, _) | Self::Known(id, _)) = self;
        let Some(place) = adjust::place(transaction, id)? else { return Ok(()) };
        let Some(stored) = crate::store::records::by_id(transaction, id)? else { return Ok(()) };
        if place.hour < work.end_hour {
            return Ok(());
        }
        let mut after = stored.clone();
        match self {
            Self::Starter(_, starter) => starter.put(&mut after),
            Self::Known(_, known) if stored.notes.contains(&Note::UnknownWork) => {
                after = UsageRecord { time_ms: stored.time_ms, ..*known };
            }
            Self::Known(..) => {}
        }
        if after == stored {
            return Ok(());
        }
        let time_ms = i64::try_from(after.time_ms).map_err(|_| StoreError::Damaged("time_ms"))?;
        let (dims, _) = work.dims_in(place.hour, &Dims::of(&after), time_ms)?;
        write(transaction, id, &after, dims)?;
        let minus = Sums::of(&adjust::counted(transaction, stored.clone())?.record);
        let plus = Sums::of(&adjust::counted(transaction, after.clone())?.record);
        // What is taken from a row must be in it.
        rollups::settle(transaction)?;
        adjust::change(transaction, place.hour, place.dims, &minus, &Sums::default())?;
        adjust::change(transaction, place.hour, dims, &Sums::default(), &plus)?;
        rollups::forget_nothing(transaction, place.hour, place.dims)?;
        reports::moved(transaction, (place.dims, &stored), (dims, &after))?;
        budgets::count_moved(transaction, &stored, &after, now_ms)
    }
}

fn write(
    transaction: &Transaction<'_>,
    id: RecordId,
    record: &UsageRecord,
    dims: i64,
) -> Result<(), StoreError> {
    let body = serde_json::to_string(record).map_err(|_| StoreError::Damaged("record"))?;
    transaction
        .prepare_cached(
            "UPDATE records SET dims = ?2, outcome = ?3, cost_status = ?4, body = ?5, digest = iif(digest IS NULL, NULL, ?6)
             WHERE id = ?1",
        )?
        .execute(params![
            id.0.as_slice(),
            dims,
            outcome_code(record.outcome),
            cost_status_code(record.cost_status),
            body,
            digest_of(&body)
        ])?;
    transaction
        .prepare_cached("UPDATE adjustments SET dims = ?2 WHERE record = ?1")?
        .execute(params![id.0.as_slice(), dims])?;
    Ok(())
}

fn parse(body: &str) -> Result<UsageRecord, StoreError> {
    serde_json::from_str(body).map_err(|_| StoreError::Damaged("record"))
}

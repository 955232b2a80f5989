//! Work that is started by one call and fetched by another, maybe through other gateways: its record is for
//! who started it, whichever of the two is heard of first.
//!
//! A record of fetched work has an id made of provider and work id, so that it is stored once. One that
//! arrives before that of the start is stored as it came, and changed when the start arrives: its row, the
//! sums that it is in, and the counters of budgets. So is one of a file whose provider names it only later as
//! the result of a batch, and one of an answer that was paid as it was started. Months that are closed stay
//! as they are.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use tollgate_core::attribution::{Attribution, AttributionSource};
use tollgate_core::record::{Note, UsageRecord};

use crate::store::database::error::StoreError;
use crate::store::facets::follow;
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
    /// It was paid as it was started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    paid: bool,
}

/// A stored record that is to be another one.
#[derive(Clone, Debug)]
pub(in crate::store) enum Change {
    /// It is known now who started the work.
    Starter(RecordId, Starter),
    /// It is known now that its counts are a provider's: this record says so. `true` where its provider, or
    /// who started the work, shows that it is to be paid, and not only another gateway's word.
    Known(RecordId, Box<UsageRecord>, bool),
    /// It is known now that the work was paid as it was started.
    Paid(RecordId),
}

impl Starter {
    fn of(record: &UsageRecord, paid: bool) -> Self {
        Self { attribution: record.head.attribution.clone(), source: record.head.attribution_source, paid }
    }

    fn put(self, record: &mut UsageRecord) {
        record.head.attribution = self.attribution;
        record.head.attribution_source = self.source;
    }
}

/// Takes note of work in records that have arrived, and gives those of them that fetched some to who started
/// it. Gives the stored ones of which it is known only now who that is, or whether they are paid.
pub(in crate::store) fn arrive(
    transaction: &Transaction<'_>,
    batches: &mut [Batch],
) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for (row, told) in batches.iter().flat_map(|batch| &batch.rows).filter_map(telling) {
        for output in &told.outputs {
            named(transaction, *output, row, &mut changes)?;
        }
        for key in &told.started {
            start(transaction, *key, (row, told.paid), &mut changes)?;
        }
    }
    for row in batches.iter_mut().flat_map(|batch| &mut batch.rows) {
        if let Some(told) = row.told.take_if(|told| !told.fetched.is_empty()) {
            fetch(transaction, row, told)?;
        }
    }
    Ok(changes)
}

fn telling(row: &RecordRow) -> Option<(&RecordRow, &Told)> {
    Some((row, row.told.as_deref()?))
}

/// Says of a record that fetched something what is known of it.
fn fetch(transaction: &Transaction<'_>, row: &mut RecordRow, told: Box<Told>) -> Result<(), StoreError> {
    let mut keys = told.fetched.clone();
    let named = keys.first().map_or(Ok(None), |file| batch_of(transaction, *file))?;
    keys.extend(named.as_ref().map(|(batch, _)| *batch));
    let starter = starter(transaction, &keys)?;
    let is_unpaid = starter.as_ref().is_some_and(|starter| !starter.paid);
    let mut record = match &told.if_known {
        Some(known) if !told.is_charged && (is_unpaid || named.is_some()) => (**known).clone(),
        _ => parse(&row.body)?,
    };
    if record.fetched().is_none() {
        if let Some(known) = told.if_known.as_ref().filter(|_| starter.is_none()) {
            keep(transaction, row, known)?;
        }
        if record.notes.contains(&Note::PaidAtStart) {
            record.read_again();
            row.set(&record)?;
        }
        row.told = Some(told);
        return Ok(());
    }
    let is_sure = is_unpaid || named.is_some();
    match starter {
        Some(starter) if starter.paid => record.read_again(),
        Some(starter) => starter.put(&mut record),
        None => {
            wait(transaction, &keys, row.id, row.time_ms)?;
            if let Some((_, asker)) = named {
                asker.put(&mut record);
            }
        }
    }
    row.set(&record)?;
    row.told = Some(Box::new(Told { is_charged: record.fetched().is_some(), is_sure, ..*told }));
    Ok(())
}

/// Remembers who started work, where that is not known, or not that it was paid, and what was fetched of it
/// before.
fn start(
    transaction: &Transaction<'_>,
    key: RecordId,
    (row, paid): (&RecordRow, bool),
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    let known = starter(transaction, &[key])?;
    if known.as_ref().is_some_and(|known| known.paid || !paid) {
        return Ok(());
    }
    let starter = Starter { paid, ..known.unwrap_or(Starter::of(&parse(&row.body)?, paid)) };
    let body = serde_json::to_string(&starter).map_err(|_| StoreError::Damaged("work_started"))?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO work_started VALUES (?1, ?2, ?3)")?
        .execute(params![key.0.as_slice(), row.time_ms, body])?;
    let waiting = waiting(transaction, key)?;
    let uncharged = take_uncharged(transaction, key)?;
    if paid {
        changes.push(Change::Paid(key));
        return Ok(());
    }
    changes.extend(waiting.into_iter().map(|record| Change::Starter(record, starter.clone())));
    if let Some(mut known) = uncharged {
        starter.put(&mut known);
        changes.push(Change::Known(key, Box::new(known), true));
    }
    Ok(())
}

/// A provider has named a file as the result of a batch: what was fetched of it before is charged, to who
/// started the batch, or as long as nobody knows that, to who asked after it.
fn named(
    transaction: &Transaction<'_>,
    (file, batch): (RecordId, RecordId),
    row: &RecordRow,
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    let asker = Starter::of(&parse(&row.body)?, false);
    let body = serde_json::to_string(&asker).map_err(|_| StoreError::Damaged("work_outputs"))?;
    let new = transaction
        .prepare_cached("INSERT INTO work_outputs VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
        .execute(params![file.0.as_slice(), batch.0.as_slice(), row.time_ms, body])?;
    if new == 0 {
        return Ok(());
    }
    let mut records = waiting(transaction, file)?;
    if let Some(known) = take_uncharged(transaction, file)? {
        changes.push(Change::Known(file, Box::new(known), true));
        records.push(file);
    }
    let starter = starter(transaction, &[batch, file])?;
    for record in records {
        if starter.is_none() {
            wait(transaction, &[file, batch], record, row.time_ms)?;
        }
        changes.push(Change::Starter(record, starter.as_ref().unwrap_or(&asker).clone()));
    }
    Ok(())
}

/// The batch that a provider has named a file as the result of, and who asked.
fn batch_of(
    transaction: &Transaction<'_>,
    file: RecordId,
) -> Result<Option<(RecordId, Starter)>, StoreError> {
    let mut statement = transaction.prepare_cached("SELECT batch, asker FROM work_outputs WHERE key = ?1")?;
    let found: Option<(RecordId, String)> = statement
        .query_row([file.0.as_slice()], |row| Ok((RecordId(row.get(0)?), row.get(1)?)))
        .optional()?;
    let Some((batch, asker)) = found else { return Ok(None) };
    let asker = serde_json::from_str(&asker).map_err(|_| StoreError::Damaged("work_outputs"))?;
    Ok(Some((batch, asker)))
}

/// Takes the records that wait for who started this.
fn waiting(transaction: &Transaction<'_>, key: RecordId) -> Result<Vec<RecordId>, StoreError> {
    let mut statement =
        transaction.prepare_cached("DELETE FROM work_fetched WHERE key = ?1 RETURNING record")?;
    let records = statement.query_map([key.0.as_slice()], |row| Ok(RecordId(row.get(0)?)))?;
    Ok(records.collect::<Result<_, _>>()?)
}

/// Keeps what a record that is not charged would be.
fn keep(transaction: &Transaction<'_>, row: &RecordRow, known: &UsageRecord) -> Result<(), StoreError> {
    let body = serde_json::to_string(known).map_err(|_| StoreError::Damaged("work_uncharged"))?;
    transaction
        .prepare_cached("INSERT INTO work_uncharged VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![row.id.0.as_slice(), row.time_ms, body])?;
    Ok(())
}

fn take_uncharged(transaction: &Transaction<'_>, key: RecordId) -> Result<Option<UsageRecord>, StoreError> {
    let mut statement =
        transaction.prepare_cached("DELETE FROM work_uncharged WHERE record = ?1 RETURNING body")?;
    let body: Option<String> = statement.query_row([key.0.as_slice()], |row| row.get(0)).optional()?;
    body.map(|body| parse(&body)).transpose()
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
fn wait(
    transaction: &Transaction<'_>,
    keys: &[RecordId],
    record: RecordId,
    time_ms: i64,
) -> Result<(), StoreError> {
    let mut statement =
        transaction.prepare_cached("INSERT INTO work_fetched VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?;
    for key in keys {
        statement.execute(params![key.0.as_slice(), record.0.as_slice(), time_ms])?;
    }
    Ok(())
}

impl Change {
    /// A record came that was there already: if what is stored was nobody's known work, and this is, it takes
    /// its place.
    pub(in crate::store) fn of_known(row: &RecordRow) -> Result<Option<Self>, StoreError> {
        match row.told.as_ref().filter(|told| told.is_fetched()) {
            Some(told) => Ok(Some(Self::Known(row.id, Box::new(parse(&row.body)?), told.is_sure))),
            None => Ok(None),
        }
    }

    /// Changes the stored record, the sums that it is in, and what budgets were charged for it.
    pub(in crate::store) fn make(self, work: &mut Work<'_>, now_ms: u64) -> Result<(), StoreError> {
        let transaction = work.transaction;
        let (Self::Starter(id, _) | Self::Known(id, ..) | Self::Paid(id)) = self;
        let Some(place) = adjust::place(transaction, id)? else { return Ok(()) };
        let Some(stored) = crate::store::records::by_id(transaction, id)? else { return Ok(()) };
        if place.hour < work.end_hour {
            return Ok(());
        }
        let mut after = stored.clone();
        match self {
            Self::Starter(_, starter) => starter.put(&mut after),
            Self::Known(_, known, is_sure)
                if stored.notes.contains(&Note::UnknownWork)
                    || is_sure && stored.notes.contains(&Note::PaidAtStart) =>
            {
                after = *known;
                after.head.time_ms = stored.head.time_ms;
            }
            Self::Paid(_) if stored.fetched().is_some() => after.read_again(),
            Self::Paid(_) => {}
            Self::Known(..) => {}
        }
        if after == stored {
            return Ok(());
        }
        let time_ms = i64::try_from(after.head.time_ms).map_err(|_| StoreError::Damaged("time_ms"))?;
        let (dims, _) = work.dims_in(place.hour, &Dims::of(&after.head), time_ms)?;
        write(transaction, id, &after, dims)?;
        let minus = Sums::of(&adjust::counted(transaction, stored.clone())?.record);
        let plus = Sums::of(&adjust::counted(transaction, after.clone())?.record);
        // What is taken from a row must be in it.
        rollups::settle(transaction)?;
        adjust::change(transaction, place.hour, place.dims, &minus, &Sums::default())?;
        adjust::change(transaction, place.hour, dims, &Sums::default(), &plus)?;
        rollups::forget_nothing(transaction, place.hour, place.dims)?;
        reports::moved(transaction, (place.dims, &stored), (dims, &after))?;
        follow::moved(transaction, (place.dims, &stored), (dims, &after), place.hour)?;
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

//! The writer: one thread with the only connection that writes.
//!
//! It takes as many waiting batches as fit into one transaction, so that one flush to disk serves many
//! gateways, and answers each after the commit.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::StoreError;
use super::adjust;
use super::batch::{Batch, RecordRow, Sender};
use super::dims::Dims;
use super::months;
use super::sums::Sums;

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stored {
    /// Records that are new.
    pub stored: u64,
    /// Records that were there before, or twice in the batch.
    pub duplicates: u64,
    /// How long the transaction took that carried the batch.
    pub took: Duration,
}

/// What the writer is asked to do.
pub(super) enum Job {
    /// Store a batch.
    Ingest(Batch, oneshot::Sender<Result<Stored, StoreError>>),
    /// Say whether writing works.
    Probe(oneshot::Sender<Result<(), StoreError>>),
    /// Do something else with the connection, in a transaction of its own; it answers by itself.
    Alone(Box<dyn FnOnce(&mut Writer) + Send>),
}

/// The writer's state: its connection and the ids of all dimensions.
pub(super) struct Writer {
    connection: Connection,
    dims: HashMap<Dims, i64>,
    last_write_failed: bool,
}

impl Writer {
    /// A writer on a migrated connection.
    pub(super) fn new(connection: Connection) -> Result<Self, StoreError> {
        connection.create_scalar_function(
            "sums_add",
            2,
            FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
            |context| {
                let mut sums = Sums::decode(context.get_raw(0).as_blob()?).map_err(user_error)?;
                let more = Sums::decode(context.get_raw(1).as_blob()?).map_err(user_error)?;
                sums.add(&more).map_err(user_error)?;
                Ok(sums.encode())
            },
        )?;
        let mut writer = Self { connection, dims: HashMap::new(), last_write_failed: false };
        writer.load_dims()?;
        Ok(writer)
    }

    /// Works until every sender of jobs is gone, then folds the log into the database.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batches = Vec::new();
            let mut records = self.take(first, &mut batches);
            while records < RECORDS_PER_COMMIT
                && let Ok(next) = jobs.try_recv()
            {
                records = records.saturating_add(self.take(next, &mut batches));
            }
            self.ingest(batches);
        }
        if let Err(error) = self.checkpoint() {
            warn!(%error, "The write-ahead log could not be folded in; it will be at the next start");
        }
    }

    /// Stores batches in one transaction.
    pub(super) fn store(&mut self, batches: &[Batch]) -> Result<Vec<Stored>, StoreError> {
        let started = Instant::now();
        let stored = self.transact(batches);
        self.last_write_failed = stored.is_err();
        if stored.is_err() {
            // Dimensions that the lost transaction had written have no id any more.
            self.load_dims()?;
        }
        let took = started.elapsed();
        let mut stored = stored?;
        for one in &mut stored {
            one.took = took;
        }
        Ok(stored)
    }

    fn take(&mut self, job: Job, batches: &mut Vec<Waiting>) -> usize {
        match job {
            Job::Ingest(batch, answer) => {
                let records = batch.len();
                batches.push((batch, answer));
                records
            }
            Job::Probe(answer) => {
                // A prober that has gone away needs no answer.
                let _ = answer.send(self.probe());
                0
            }
            Job::Alone(work) => {
                work(self);
                // What stands alone ends the gathering of batches, so that it does not wait for them.
                RECORDS_PER_COMMIT
            }
        }
    }

    fn ingest(&mut self, waiting: Vec<Waiting>) {
        if waiting.is_empty() {
            return;
        }
        let (batches, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        match self.store(&batches) {
            Ok(stored) => {
                for (answer, stored) in answers.into_iter().zip(stored) {
                    // The request was given up: its records are stored, the repeat will find them.
                    let _ = answer.send(Ok(stored));
                }
            }
            Err(error) => {
                error!(%error, batches = batches.len(), "Records could not be stored; gateways keep and repeat them");
                let reason = error.to_string();
                for answer in answers {
                    let _ = answer.send(Err(StoreError::Failed(reason.clone())));
                }
            }
        }
    }

    /// Does something in a transaction of its own.
    pub(super) fn alone<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    fn transact(&mut self, batches: &[Batch]) -> Result<Vec<Stored>, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let end_hour = months::end_hour(&transaction)?;
        let mut rollups = Rollups::default();
        let mut all = Vec::with_capacity(batches.len());
        for batch in batches {
            let mut stored = Stored::default();
            for row in &batch.rows {
                let dims = intern(&transaction, &mut self.dims, &row.dims)?;
                if insert(&transaction, row, dims)? {
                    let mut hour = row.time_ms.div_euclid(MS_PER_HOUR);
                    if hour < end_hour {
                        let now_ms = batch.sender.received_ms;
                        hour = adjust::open_hour(end_hour, now_ms);
                        adjust::note_late(&transaction, row.id, dims, &row.sums, hour, now_ms)?;
                    }
                    rollups.add(hour, row, dims)?;
                    stored.stored = stored.stored.saturating_add(1);
                } else {
                    stored.duplicates = stored.duplicates.saturating_add(1);
                }
            }
            note_sender(&transaction, &batch.sender)?;
            all.push(stored);
        }
        rollups.write(&transaction)?;
        transaction.commit()?;
        Ok(all)
    }

    /// Takes the write lock; after a failed write, writes and flushes too, as only that shows that it works again.
    fn probe(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.last_write_failed {
            transaction.execute_batch(
                "CREATE TABLE probe (a); INSERT INTO probe VALUES (zeroblob(65536)); DROP TABLE probe;",
            )?;
            transaction.commit()?;
            self.last_write_failed = false;
        }
        Ok(())
    }

    fn load_dims(&mut self) -> Result<(), StoreError> {
        let rows = Dims::load(&self.connection, 0)?;
        self.dims = rows.into_iter().map(|(id, dims)| (dims, id)).collect();
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), StoreError> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

type Waiting = (Batch, oneshot::Sender<Result<Stored, StoreError>>);

/// What a transaction adds to the rollups, one row for each key, in the order of the tables.
#[derive(Default)]
struct Rollups {
    hours: BTreeMap<(i64, i64), Sums>,
}

impl Rollups {
    fn add(&mut self, hour: i64, row: &RecordRow, dims: i64) -> Result<(), StoreError> {
        self.hours.entry((hour, dims)).or_default().add(&row.sums)?;
        Ok(())
    }

    fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let mut days: BTreeMap<(i64, i64), Sums> = BTreeMap::new();
        for ((hour, dims), sums) in &self.hours {
            let day = hour.div_euclid(HOURS_PER_DAY);
            days.entry((day, *dims)).or_default().add(sums)?;
        }
        upsert(
            transaction,
            "INSERT INTO rollup_hour (hour, dims, sums) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET sums = sums_add(sums, excluded.sums)",
            &self.hours,
        )?;
        upsert(
            transaction,
            "INSERT INTO rollup_day (day, dims, sums) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET sums = sums_add(sums, excluded.sums)",
            &days,
        )
    }
}

fn upsert(
    transaction: &Transaction<'_>,
    sql: &str,
    rows: &BTreeMap<(i64, i64), Sums>,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(sql)?;
    for ((time, dims), sums) in rows {
        statement.execute(params![time, dims, sums.encode()])?;
    }
    Ok(())
}

fn intern(
    transaction: &Transaction<'_>,
    known: &mut HashMap<Dims, i64>,
    dims: &Dims,
) -> Result<i64, StoreError> {
    if let Some(id) = known.get(dims) {
        return Ok(*id);
    }
    let id = dims.insert(transaction)?;
    known.insert(dims.clone(), id);
    Ok(id)
}

/// Whether the record is new.
fn insert(transaction: &Transaction<'_>, row: &RecordRow, dims: i64) -> Result<bool, StoreError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO records (id, time_ms, dims, outcome, cost_status, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING",
    )?;
    let changed = statement.execute(params![
        row.id.0.as_slice(),
        row.time_ms,
        dims,
        row.outcome,
        row.cost_status,
        row.body,
    ])?;
    Ok(changed == 1)
}

/// Keeps when this instance was last seen, and its newest drop totals: an older request changes nothing.
fn note_sender(transaction: &Transaction<'_>, sender: &Sender) -> Result<(), StoreError> {
    let newest = transaction
        .prepare_cached(
            "INSERT INTO gateway_instances (gateway, instance, sequence, price_version, first_seen_ms, last_seen_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT DO UPDATE SET sequence = excluded.sequence, price_version = excluded.price_version,
                 last_seen_ms = max(last_seen_ms, excluded.last_seen_ms)
             WHERE excluded.sequence >= sequence",
        )?
        .execute(params![
            sender.gateway,
            sender.instance,
            clamped(sender.sequence),
            sender.price_version.as_deref().unwrap_or_default(),
            clamped(sender.received_ms),
        ])?;
    if newest == 0 {
        return Ok(());
    }
    let mut statement = transaction.prepare_cached(
        "INSERT INTO gateway_drops (gateway, instance, reason, dropped) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET dropped = excluded.dropped",
    )?;
    for (reason, dropped) in &sender.dropped {
        statement.execute(params![sender.gateway, sender.instance, reason, clamped(*dropped)])?;
    }
    Ok(())
}

/// Into SQLite's integers; these counters do not reach the end of them.
fn clamped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn user_error(error: super::sums::SumsError) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(Box::new(error))
}

/// Milliseconds in an hour.
pub(super) const MS_PER_HOUR: i64 = 3_600_000;
/// Hours in a UTC day.
pub(super) const HOURS_PER_DAY: i64 = 24;
/// A transaction takes no further batch once it has this many records.
const RECORDS_PER_COMMIT: usize = 5_000;

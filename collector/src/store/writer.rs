//! The writer: one thread with this process's only connection that writes.
//!
//! It takes as many waiting batches as fit into one transaction, so that one flush to disk serves many
//! gateways, and answers each after the commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};
use tollgate_core::sync::CounterGrant;
use tracing::{error, warn};

use super::StoreError;
use super::accounts::{self, Booking};
use super::adjust;
use super::batch::{Batch, RecordRow, Sender};
use super::bound::HourRows;
use super::budgets;
use super::dims::{Dimension, Dims, OTHER};
use super::folded;
use super::minutes::{self, Minutes};
use super::months;
use super::retention;
use super::rollups::Additions;
use super::sums::{InRow, Sums, Totals};

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Records that are new.
    pub stored: u64,
    /// Records in totals that are new.
    pub folded: u64,
    /// Answers to what was reported of counters.
    pub grants: Vec<CounterGrant>,
    /// Records that were there before, or twice in the batch, also in totals.
    pub duplicates: u64,
    /// Records that are too old to be taken, by their place in the batch.
    pub too_late: Vec<usize>,
    /// Whether the same instance had sent a later request before: its totals are old, and not taken.
    pub out_of_order: bool,
    /// Records that were there before, likewise.
    pub known: Vec<usize>,
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

/// The writer's state: its connection, and what it knows of the database.
pub(super) struct Writer {
    connection: Connection,
    /// Ids of all dimensions.
    dims: HashMap<Dims, i64>,
    /// The largest of them.
    newest_dims: i64,
    /// Changes when another connection has written.
    data_version: i64,
    rows_per_hour: Arc<AtomicU64>,
    hour_rows: HourRows,
    last_write_failed: bool,
}

impl Writer {
    /// A writer on a migrated connection.
    pub(super) fn new(connection: Connection, rows_per_hour: Arc<AtomicU64>) -> Result<Self, StoreError> {
        connection.create_scalar_function(
            "sums_add",
            2,
            FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
            |context| {
                let mut sums = Sums::decode(context.get_raw(0).as_blob()?).map_err(user_error)?;
                sums.add_encoded(context.get_raw(1).as_blob()?).map_err(user_error)?;
                Ok(sums.encode())
            },
        )?;
        let mut writer = Self {
            connection,
            dims: HashMap::new(),
            newest_dims: 0,
            data_version: 0,
            rows_per_hour,
            hour_rows: HourRows::default(),
            last_write_failed: false,
        };
        writer.forget()?;
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
            self.forget()?;
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
        let most = self.rows_per_hour.load(Ordering::Relaxed);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // From here to the commit nobody else writes.
        let data_version = data_version(&transaction)?;
        if data_version != self.data_version {
            learn(&transaction, &mut self.dims, &mut self.newest_dims)?;
            self.hour_rows.doubt();
            self.data_version = data_version;
        }
        let mut work = Work {
            transaction: &transaction,
            end_hour: months::end_hour(&transaction)?,
            horizon_ms: retention::horizon(&transaction)?,
            most,
            dims: &mut self.dims,
            newest_dims: &mut self.newest_dims,
            hour_rows: &mut self.hour_rows,
            additions: Additions::default(),
            booking: Booking::default(),
            minutes: Minutes::default(),
        };
        let stored = batches.iter().map(|batch| work.take(batch)).collect::<Result<_, _>>()?;
        work.additions.write(&transaction)?;
        work.booking.write(&transaction)?;
        work.minutes.write(&transaction)?;
        transaction.commit()?;
        Ok(stored)
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

    /// Knows nothing any more but what the database says.
    fn forget(&mut self) -> Result<(), StoreError> {
        self.hour_rows.clear();
        self.dims.clear();
        self.newest_dims = 0;
        learn(&self.connection, &mut self.dims, &mut self.newest_dims)
    }

    fn checkpoint(&self) -> Result<(), StoreError> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

type Waiting = (Batch, oneshot::Sender<Result<Stored, StoreError>>);

/// A transaction of batches under way.
struct Work<'w> {
    transaction: &'w Transaction<'w>,
    end_hour: i64,
    horizon_ms: i64,
    most: u64,
    dims: &'w mut HashMap<Dims, i64>,
    newest_dims: &'w mut i64,
    hour_rows: &'w mut HourRows,
    additions: Additions,
    booking: Booking,
    minutes: Minutes,
}

impl Work<'_> {
    fn take(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
        let mut stored = Stored::default();
        let is_import = batch.sender.gateway.is_empty();
        let (mut received, mut too_late) = (0u64, 0u64);
        for (at, row) in batch.rows.iter().enumerate() {
            received = received.saturating_add(row.records());
            if row.time_ms < self.horizon_ms && !self.is_kept(row)? {
                stored.too_late.push(at);
                too_late = too_late.saturating_add(row.records());
            } else if is_import && self.is_folded(row)? || !self.keep(row, batch.sender.received_ms)? {
                stored.duplicates = stored.duplicates.saturating_add(row.records());
                stored.known.push(at);
            } else {
                let new = if row.folded.is_some() { &mut stored.folded } else { &mut stored.stored };
                *new = new.saturating_add(row.records());
            }
        }
        stored.out_of_order = !note_sender(self.transaction, &batch.sender)?;
        if !batch.counters.is_empty() {
            let Sender { gateway, instance, received_ms, .. } = &batch.sender;
            stored.grants =
                budgets::sync(self.transaction, gateway, instance, &batch.counters, *received_ms)?;
        }
        for (reason, records) in &batch.rejected {
            self.booking.add(reason, *records);
            received = received.saturating_add(*records);
        }
        for (account, records) in [
            (accounts::RECEIVED, received),
            (accounts::STORED, stored.stored),
            (accounts::FOLDED, stored.folded),
            (accounts::DUPLICATE, stored.duplicates),
            (accounts::TOO_LATE, too_late),
        ] {
            self.booking.add(account, records);
        }
        Ok(stored)
    }

    fn is_kept(&self, row: &RecordRow) -> Result<bool, StoreError> {
        match row.folded {
            Some(_) => folded::is_kept(self.transaction, row.id),
            None => retention::is_kept(self.transaction, row.id),
        }
    }

    /// Whether a record that no gateway sent is one that is not there, as its gateway may have folded it.
    fn is_folded(&self, row: &RecordRow) -> Result<bool, StoreError> {
        let dims: Vec<i64> = [self.dims.get(&row.dims), self.dims.get(&row.dims.other())]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        Ok(folded::may_have(self.transaction, row.time_ms, &dims)? && !self.is_kept(row)?)
    }

    /// Stores a record or a total and adds it to the rollups, unless it was there.
    fn keep(&mut self, row: &RecordRow, now_ms: u64) -> Result<bool, StoreError> {
        let hour = row.time_ms.div_euclid(MS_PER_HOUR);
        let is_late = hour < self.end_hour;
        let hour = if is_late { adjust::open_hour(self.end_hour, now_ms) } else { hour };
        let (dims, is_other) = self.dims_in(hour, &row.dims, row.time_ms)?;
        let is_new = match row.folded {
            Some(span) => {
                folded::insert(self.transaction, row.id, (row.time_ms, hour), span, dims, &row.sums)?
            }
            None => insert(self.transaction, row, dims)?,
        };
        if !is_new {
            return Ok(false);
        }
        if is_late && row.folded.is_none() {
            let cost = Totals::decode(&row.sums)?.cost;
            adjust::note_late(self.transaction, row.id, dims, cost, hour, now_ms)?;
        }
        if is_other {
            self.booking.add(accounts::UNDER_OTHER, row.records());
        }
        self.additions.add(hour, dims, &row.sums)?;
        let agent = if is_other { OTHER } else { row.dims.value(Dimension::Agent).unwrap_or_default() };
        // Of an hour's total nobody knows the minutes.
        if row.folded.is_none_or(|span| span.span_ms <= MS_PER_MINUTE) {
            self.minutes.add(row.time_ms, now_ms, agent, &row.minute);
        }
        Ok(true)
    }

    /// The id under which this hour counts these dimensions: their own while there is room for rows, else that of
    /// `other`, which is said.
    fn dims_in(&mut self, hour: i64, dims: &Dims, first_ms: i64) -> Result<(i64, bool), StoreError> {
        let known = self.dims.get(dims).copied();
        if let Some(id) = known
            && self.hour_rows.has(hour, id)
        {
            return Ok((id, false));
        }
        // Names that nobody had before are not even interned beyond the bound.
        if self.hour_rows.admit(self.transaction, hour, known, self.most)? {
            let id = match known {
                Some(id) => id,
                None => {
                    let first_ms = hour.saturating_mul(MS_PER_HOUR).max(first_ms);
                    minutes::note_first_call(self.transaction, dims, first_ms)?;
                    self.intern(dims)?
                }
            };
            self.hour_rows.note(hour, id);
            return Ok((id, false));
        }
        let id = self.intern(&dims.other())?;
        self.hour_rows.note(hour, id);
        Ok((id, true))
    }

    fn intern(&mut self, dims: &Dims) -> Result<i64, StoreError> {
        if let Some(id) = self.dims.get(dims) {
            return Ok(*id);
        }
        let id = dims.insert(self.transaction)?;
        *self.newest_dims = id;
        self.dims.insert(dims.clone(), id);
        Ok(id)
    }
}

/// Changes when another connection has committed since this one looked last.
fn data_version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}

/// Takes in dimensions that are newer than those known.
fn learn(
    connection: &Connection,
    known: &mut HashMap<Dims, i64>,
    newest: &mut i64,
) -> Result<(), StoreError> {
    for (id, dims) in Dims::load(connection, *newest)? {
        *newest = id;
        known.insert(dims, id);
    }
    Ok(())
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

/// Keeps when this instance was last seen, and its newest drop totals: an older request changes nothing, which is said.
fn note_sender(transaction: &Transaction<'_>, sender: &Sender) -> Result<bool, StoreError> {
    if sender.gateway.is_empty() {
        return Ok(true); // an import
    }
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
        return Ok(false);
    }
    let mut statement = transaction.prepare_cached(
        "INSERT INTO gateway_drops (gateway, instance, reason, dropped) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET dropped = excluded.dropped",
    )?;
    for (reason, dropped) in &sender.dropped {
        statement.execute(params![sender.gateway, sender.instance, reason, clamped(*dropped)])?;
    }
    Ok(true)
}

/// Into SQLite's integers; these counters do not reach the end of them.
fn clamped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn user_error(error: super::sums::SumsError) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(Box::new(error))
}

const MS_PER_MINUTE: i64 = 60_000;
/// Milliseconds in an hour.
pub(super) const MS_PER_HOUR: i64 = 3_600_000;
/// Hours in a UTC day.
pub(super) const HOURS_PER_DAY: i64 = 24;
/// A transaction takes no further batch once it has this many records.
const RECORDS_PER_COMMIT: usize = 5_000;

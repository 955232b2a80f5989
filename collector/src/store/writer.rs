//! The writer: one thread with this process's only connection that writes.
//!
//! It takes as many waiting batches as fit into one transaction, so that one flush to disk serves many
//! gateways, and answers each after the commit.

pub(super) mod started;
pub(super) mod work;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tollgate_core::protocol::sync::CounterGrant;
use tracing::{error, warn};

use super::budgets;
use super::rollups::Additions;
use crate::store::agents::minutes::Minutes;
use crate::store::database::damage::Damage;
use crate::store::database::error::StoreError;
use crate::store::facets::counts;
use crate::store::records::accounts::Booking;
use crate::store::records::batch::{Batch, Sender};
use crate::store::records::retention;
use crate::store::rollups::bound::HourRows;
use crate::store::rollups::dims::Dims;
use crate::store::rollups::months;
use crate::store::rollups::reports::Reports;
use crate::store::rollups::sums::{AsRow, InRow, Sums, SumsError};
use work::Work;

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
    /// Records that are too old to be taken: their place in the batch, and their time.
    pub too_late: Vec<(usize, i64)>,
    /// Since when records are kept, Unix milliseconds UTC.
    pub kept_since_ms: i64,
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
    damage: Damage,
    hour_rows: HourRows,
    additions: Additions,
    last_write_failed: bool,
}

impl Writer {
    /// A writer on a migrated connection.
    pub(super) fn new(
        connection: Connection,
        rows_per_hour: Arc<AtomicU64>,
        damage: Damage,
    ) -> Result<Self, StoreError> {
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
        connection.create_scalar_function(
            "prompt_counts_add",
            2,
            FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
            |context| {
                let read = |at: usize| {
                    let bytes = context.get_raw(at).as_blob()?;
                    counts::decode(bytes).ok_or_else(|| user_error(SumsError::Damaged))
                };
                let mut sum = read(0)?;
                sum.add(&read(1)?);
                Ok(counts::encode(&sum))
            },
        )?;
        let mut writer = Self {
            connection,
            dims: HashMap::new(),
            newest_dims: 0,
            data_version: 0,
            rows_per_hour,
            damage,
            hour_rows: HourRows::default(),
            additions: Additions::default(),
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
    pub(super) fn store(&mut self, batches: &mut [Batch]) -> Result<Vec<Stored>, StoreError> {
        let started = Instant::now();
        let stored = self.transact(batches);
        let stored = self.damage.note(stored);
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
        let (mut batches, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        match self.store(&mut batches) {
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
        let done = self.damage.note(work(&transaction))?;
        transaction.commit()?;
        Ok(done)
    }

    fn transact(&mut self, batches: &mut [Batch]) -> Result<Vec<Stored>, StoreError> {
        let most = self.rows_per_hour.load(Ordering::Relaxed);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // From here to the commit nobody else writes.
        let data_version = data_version(&transaction)?;
        if data_version != self.data_version {
            learn(&transaction, &mut self.dims, &mut self.newest_dims)?;
            self.hour_rows.doubt();
            self.data_version = data_version;
        }
        self.additions.clear();
        self.hour_rows.begin();
        work::tell_apart(&transaction, batches)?;
        let mut changes = started::arrive(&transaction, batches)?;
        let batches = &*batches;
        let mut work = Work {
            transaction: &transaction,
            insert: work::insert(&transaction)?,
            end_hour: months::end_hour(&transaction)?,
            horizon_ms: retention::horizon(&transaction)?,
            most,
            dims: &mut self.dims,
            newest_dims: &mut self.newest_dims,
            hour_rows: &mut self.hour_rows,
            additions: &mut self.additions,
            booking: Booking::default(),
            minutes: Minutes::default(),
            reports: Reports::default(),
            newest_budget_ms: budgets::newest_ms(&transaction)?,
            missed: Vec::new(),
            changes: Vec::new(),
        };
        let mut stored = batches.iter().map(|batch| work.take(batch)).collect::<Result<Vec<_>, _>>()?;
        let missed = std::mem::take(&mut work.missed);
        work.write()?;
        budgets::count_missed(&transaction, &missed)?;
        changes.append(&mut work.changes);
        let now_ms = batches.iter().map(|batch| batch.sender.received_ms.max(batch.imported_ms)).max();
        for change in changes {
            change.make(&mut work, now_ms.unwrap_or(0))?;
        }
        drop(work);
        // What a counter begins with is what records say, those of this transaction too.
        for (batch, stored) in batches.iter().zip(&mut stored) {
            let (Sender { gateway, instance, received_ms, .. }, counters) = (&batch.sender, &batch.counters);
            if !counters.is_empty() {
                stored.grants = budgets::sync(&transaction, gateway, instance, counters, *received_ms)?;
            }
        }
        transaction.commit()?;
        Ok(stored)
    }

    /// Takes the write lock; after a failed write, writes and flushes too, as only that shows that it works
    /// again.
    fn probe(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.last_write_failed {
            transaction.execute_batch(
                "CREATE TABLE IF NOT EXISTS probe (a); INSERT INTO probe VALUES (zeroblob(65536));",
            )?;
            transaction.commit()?;
            // Not before: pages that are free again when their transaction ends are not written.
            self.connection.execute_batch("DROP TABLE IF EXISTS probe")?;
            self.last_write_failed = false;
        }
        Ok(())
    }

    /// Knows nothing any more but what the database says.
    pub(super) fn forget(&mut self) -> Result<(), StoreError> {
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

fn user_error(error: SumsError) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(Box::new(error))
}

/// A transaction takes no further batch once it has this many records.
const RECORDS_PER_COMMIT: usize = 5_000;

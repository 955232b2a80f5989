//! The store: everything that outlives a restart, in one SQLite file. The only place with SQL.
//!
//! One thread writes ([`writer`]); readers have read-only connections of their own on
//! blocking threads and see a snapshot, so neither waits for the other. A record counts as stored when its
//! transaction is on disk (`synchronous=FULL`), and rollups change in that same transaction.
//!
//! Several collectors of one host may work on one file. Every transaction that writes begins with the lock
//! (`BEGIN IMMEDIATE`), so what it reads nobody changes under it; what the writer remembers from before is
//! checked against `PRAGMA data_version` inside it. What only one of them should do is done by the one that
//! has the [lead].

mod agents;
mod alerts;
pub mod audit;
mod budgets;
mod database;
mod facets;
mod mailed;
mod records;
mod rollups;
#[cfg(test)]
mod several;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, Transaction};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tollgate_core::record::UsageRecord;

pub use agents::minutes::{EpisodesQuery, FirstCall};
pub use agents::registered::{Proposal, Seen};
pub use agents::registry::StoredAgent;
pub use alerts::reviews::{Review, ReviewChange};
pub use alerts::{AlertCursor, Attempt, Due, Judged, Outbox, StoredAlert};
pub use budgets::{Configured, CounterState, Defined, KeptReleased, Put, Released, StoredBudget, ToppedUp};
pub use database::backup::{backup, restore};
pub use database::error::StoreError;
pub use database::lead::Lead;
pub use database::newest::Newest;
pub use database::space::Space;
pub use facets::aside::{Aside, Asides};
pub use facets::prompts::{PromptSum, PromptsQuery};
pub use facets::refused::Refused;
pub use facets::runs::{RunFound, RunNode, RunPart, RunsFound, RunsQuery};
pub use facets::spend::{Spend, SpendQuery};
pub use mailed::{ByHand, DueMail, Planned};
pub use records::adjust::{Adjustment, Correction, Counted};
pub use records::batch::{Batch, Recharge, Sender};
pub use records::bills::{BOOKED, BillLine, BilledTo, NewBill, Place, SeenDays, SeenQuery};
pub use records::export::{Exported, Kept, Priced};
pub use records::id::{NotAnId, RecordId};
pub use records::stored::Newer;
pub use records::{Cursor, NotACursor, Page, RecordsQuery};
pub use rollups::attributed::Attributed;
pub use rollups::baseline::FirstDays;
pub use rollups::compare::Compared;
pub use rollups::detail::DetailRow;
pub use rollups::dims::{Dims, Filters};
pub use rollups::months::{ClosedMonth, Closing, Month, NotAMonth};
pub use rollups::summary::{Every, Summary, SummaryQuery, SummaryRow};
pub use rollups::sums::{Sums, SumsError, Totals};
pub use writer::Stored;

use crate::model::answers::audit::{Accounts, Recount};
use crate::model::audit::{Entry, Head, Recorded};
use crate::model::clock::signed;
use crate::model::dimension::Dimension;
use crate::store::database::{damage, lead, open};
use crate::store::records::{accounts, adjust, retention};
use crate::store::rollups::{months, recount, summary};
use database::damage::Damage;
use database::lead::Leading;
use database::open::{DATABASE, Held};
use database::readers::Readers;
use facets::follow::Memory;
use rollups::dims::DimsTable;
use writer::{Job, Writer};

/// A handle on the database of one data directory.
#[derive(Debug)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    readers: Arc<Readers>,
    damage: Damage,
    rows_per_hour: Arc<AtomicU64>,
    writer: JoinHandle<()>,
    leading: Leading,
    /// Held while records are added to the sums by facet, which happens once at a time.
    following: tokio::sync::Mutex<()>,
    followed: Arc<std::sync::Mutex<Memory>>,
    _held: Held,
}

impl Store {
    /// Opens the database in this directory, making both where they are missing. Others may have it open.
    ///
    /// # Errors
    /// When the directory is unusable, its database is not one that this version can read, or it is to be
    /// brought to a newer schema while others have it open.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        Self::enter(data_dir).map_err(damage::named)
    }

    fn enter(data_dir: &Path) -> Result<Self, StoreError> {
        let (connection, held) = open::enter(data_dir)?;
        let path = data_dir.join(DATABASE);
        let rows_per_hour = Arc::new(AtomicU64::new(u64::MAX));
        let damage = Damage::default();
        let writer = Writer::new(connection, Arc::clone(&rows_per_hour), damage.clone())?;
        let readers = Arc::new(Readers::new(path));
        let (jobs, waiting) = mpsc::channel(BATCHES_WAITING);
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(waiting))
            .map_err(|cause| StoreError::File { path: data_dir.to_owned(), cause })?;
        let leading = Leading::new(data_dir.to_owned());
        let (following, followed) = Default::default();
        Ok(Self { jobs, readers, damage, rows_per_hour, writer, leading, following, followed, _held: held })
    }

    /// Sets how many rows the rollup of an hour may have; what would make more is counted under `other`.
    pub fn set_rows_per_hour(&self, rows: u64) {
        self.rows_per_hour.store(rows, Ordering::Relaxed);
    }

    /// Stores a batch and what its sender reports of its counters, in one transaction; answers when it is on
    /// disk. Waits while the writer is behind, which slows the senders.
    ///
    /// # Errors
    /// Nothing of the batch is stored then.
    pub async fn ingest(&self, batch: Batch) -> Result<Stored, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Ingest(batch, answer);
        self.jobs.send(job).await.map_err(|_| StoreError::Stopped)?;
        answered.await.map_err(|_| StoreError::Stopped)?
    }

    /// Totals by dimension and time.
    ///
    /// # Errors
    /// When the database fails, or the answer would be too long.
    pub async fn summary(&self, query: SummaryQuery) -> Result<Summary, StoreError> {
        self.read(move |connection, dims| match facets::summary::facet_of(&query) {
            Some(facet) => facets::summary::summarise(connection, dims, &query, facet),
            None => summary::summarise(connection, dims, &query),
        })
        .await
    }

    /// A page of records.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn records(&self, query: RecordsQuery) -> Result<Page, StoreError> {
        self.read(move |connection, dims| records::page(connection, dims, &query)).await
    }

    /// The record with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record(&self, id: RecordId) -> Result<Option<UsageRecord>, StoreError> {
        self.read(move |connection, _| records::by_id(connection, id)).await
    }

    /// Records that gateways could not keep, by reason, over all of their runs.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dropped(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read(|connection, _| dropped(connection)).await
    }

    /// Gateway instances that reported at or after this time, Unix milliseconds UTC.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn instances_seen_since(&self, since_ms: i64) -> Result<u64, StoreError> {
        self.read(move |connection, _| {
            let sql = "SELECT count(*) FROM gateway_instances WHERE last_seen_ms >= ?1";
            let count: i64 = connection.prepare_cached(sql)?.query_row([since_ms], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    /// A page of records with the prices that summaries count: corrected ones where there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn counted(&self, query: RecordsQuery) -> Result<(Vec<Counted>, Option<Cursor>), StoreError> {
        self.read(move |connection, dims| adjust::page(connection, dims, &query)).await
    }

    /// Every adjustment of a record, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn adjustments(&self, id: RecordId) -> Result<Vec<Adjustment>, StoreError> {
        self.read(move |connection, _| adjust::of_record(connection, id)).await
    }

    /// Writes corrections as adjustments, all or none; gives how many were written. One whose record was
    /// corrected by another meanwhile is left out. The audit trail gets `entry` with the number written.
    ///
    /// # Errors
    /// Nothing is written then.
    pub async fn correct(&self, corrections: Vec<Correction>, mut entry: Entry) -> Result<u64, StoreError> {
        self.write(move |transaction| {
            let written = adjust::correct(transaction, &corrections, entry.time_ms)?;
            if let Some(Value::Object(after)) = &mut entry.after {
                after.insert("written".into(), written.into());
            }
            audit::append(transaction, &entry)?;
            Ok(written)
        })
        .await
    }

    /// Closes a month and all before it: later corrections and late records are booked in the open one. The
    /// audit trail gets `entry` when it was closed by this.
    ///
    /// # Errors
    /// Nothing is closed then.
    pub async fn close_month(&self, month: Month, mut entry: Entry) -> Result<Closing, StoreError> {
        self.write(move |transaction| {
            let closing = months::close(transaction, month, entry.time_ms)?;
            if closing == Closing::Done {
                let totals = months::all(transaction)?.into_iter().next().map(|closed| closed.totals);
                entry.after = totals.map(|totals| json!({"calls": totals.calls, "cost_usd": totals.cost}));
                audit::append(transaction, &entry)?;
            }
            Ok(closing)
        })
        .await
    }

    /// Appends an entry to the audit trail; gives its new head.
    ///
    /// # Errors
    /// Nothing is appended then.
    pub async fn audit(&self, entry: Entry) -> Result<Head, StoreError> {
        self.write(move |transaction| audit::append(transaction, &entry)).await
    }

    /// At most `limit` entries of the audit trail after the one with this number, in their order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audited_after(&self, seq: u64, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        self.read(move |connection, _| audit::after(connection, seq, limit)).await
    }

    /// The end of the audit trail.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_head(&self) -> Result<Head, StoreError> {
        self.read(|connection, _| audit::head(connection)).await
    }

    /// Closed months, the latest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn closed_months(&self) -> Result<Vec<ClosedMonth>, StoreError> {
        self.read(|connection, _| months::all(connection)).await
    }

    /// Provider and model of every record, as requests and answers named it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn models_seen(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.read(|_, dims| {
            let names = |dims: &Dims| {
                let value = |dimension| dims.value(dimension).map(str::to_owned);
                let provider = value(Dimension::Provider).unwrap_or_default();
                [Dimension::ResponseModel, Dimension::RequestModel]
                    .into_iter()
                    .filter_map(|dimension| Some((provider.clone(), value(dimension)?)))
                    .collect::<Vec<_>>()
            };
            let seen: std::collections::BTreeSet<_> = dims.iter().flat_map(names).collect();
            Ok(seen.into_iter().collect())
        })
        .await
    }

    /// Whether the database can be written and read right now.
    ///
    /// # Errors
    /// Says what does not work.
    pub async fn ready(&self) -> Result<(), StoreError> {
        let probe = async {
            let (answer, answered) = oneshot::channel();
            let job = Job::Probe(answer);
            self.jobs.send(job).await.map_err(|_| StoreError::Stopped)?;
            answered.await.map_err(|_| StoreError::Stopped)??;
            self.read(|connection, _| {
                connection.query_row("SELECT count(*) FROM (SELECT 1 FROM dims LIMIT 1)", [], |_| Ok(()))?;
                Ok(())
            })
            .await
        };
        self.damage.check()?;
        tokio::time::timeout(PROBE_WAITS, probe).await.map_err(|_| StoreError::Stopped)?
    }

    /// Reads the whole database for damage; what is found, [`Self::ready`] says from then on.
    ///
    /// # Errors
    /// When something is found, or the database cannot be read.
    pub async fn look_over(&self) -> Result<(), StoreError> {
        self.read(|connection, _| damage::look(connection)).await
    }

    /// What summaries should say by the records that are kept, beside what they say. Reads all of them, which
    /// takes minutes in a large database. `now_ms` is the collector's clock, Unix milliseconds UTC.
    ///
    /// # Errors
    /// When the database fails, or sums in it cannot be read.
    pub async fn recount(&self, now_ms: u64) -> Result<Recount, StoreError> {
        self.read(move |connection, _| recount::recount(connection, now_ms)).await
    }

    /// What became of every record. Counts all of them, which takes a while in a large database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accounts(&self) -> Result<Accounts, StoreError> {
        self.read(|connection, _| accounts::read(connection, dropped(connection)?)).await
    }

    /// The same as it is booked, without counting.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn booked_accounts(&self) -> Result<Accounts, StoreError> {
        self.read(|connection, _| accounts::booked(connection, dropped(connection)?)).await
    }

    /// Removes some of the records that are older than `keep_ms`, the oldest first; gives how many.
    ///
    /// # Errors
    /// Nothing is removed then.
    pub async fn expire(&self, lead: Option<Lead>, now_ms: u64, keep_ms: u64) -> Result<usize, StoreError> {
        let ms = |value: u64| signed(value);
        self.write_led(lead, move |transaction| retention::expire(transaction, ms(now_ms), ms(keep_ms))).await
    }

    /// Runs work in the writer, in a transaction of its own, which is kept when it succeeds.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let work = move |writer: &mut Writer| {
            // Whoever asked may have gone away; what was done is done.
            let _ = answer.send(writer.alone(work));
        };
        self.jobs.send(Job::Alone(Box::new(work))).await.map_err(|_| StoreError::Stopped)?;
        answered.await.map_err(|_| StoreError::Stopped)?
    }

    /// The same, and then something in the writer.
    async fn write_and<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
        then: impl FnOnce(&mut Writer) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let work = move |writer: &mut Writer| {
            let done = writer.alone(work);
            // Whoever asked may have gone away; what was done is done.
            let _ = answer.send(then(writer).and(done));
        };
        self.jobs.send(Job::Alone(Box::new(work))).await.map_err(|_| StoreError::Stopped)?;
        answered.await.map_err(|_| StoreError::Stopped)?
    }

    /// The same under a lead, which must still be this process's then.
    async fn write_led<T: Send + 'static>(
        &self,
        lead: Option<Lead>,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write(move |transaction| {
            lead::check(transaction, lead)?;
            work(transaction)
        })
        .await
    }

    /// Lets the writer finish what it was given, and waits for it.
    ///
    /// # Errors
    /// When the writer died.
    pub fn close(self) -> Result<(), StoreError> {
        drop(self.jobs);
        self.writer.join().map_err(|_| StoreError::Stopped)
    }

    async fn read<T, F>(&self, question: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &DimsTable) -> Result<T, StoreError> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let permit = Arc::clone(&readers.permits).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Stopped)?;
        let damage = self.damage.clone();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            damage.note(readers.read(question))
        })
        .await
        .map_err(|_| StoreError::Stopped)?
    }
}

fn dropped(connection: &Connection) -> Result<Vec<(String, u64)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT reason, dropped FROM gateway_drops ORDER BY reason")?;
    let mut rows = statement.query([])?;
    let mut totals: Vec<(String, u64)> = Vec::new();
    while let Some(row) = rows.next()? {
        let reason: String = row.get(0)?;
        let dropped = row.get::<_, i64>(1)?.unsigned_abs();
        match totals.last_mut() {
            Some((last, total)) if *last == reason => *total = total.saturating_add(dropped),
            _ => totals.push((reason, dropped)),
        }
    }
    Ok(totals)
}

/// Batches that wait for the writer before senders wait; each is at most a request's body.
const BATCHES_WAITING: usize = 16;
/// How long readiness may take.
const PROBE_WAITS: Duration = Duration::from_secs(2);

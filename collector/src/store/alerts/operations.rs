//! The store's methods for alerts and reviews.

use std::collections::BTreeSet;

use super::reviews::{self, Review, ReviewChange};
use crate::model::alert::GatewaySeen;
use crate::model::audit::Entry;
use crate::store::Store;
use crate::store::alerts::{self, AlertCursor, Attempt, Due, Judged, Outbox, StoredAlert};
use crate::store::database::error::StoreError;
use crate::store::database::lead::Lead;
use crate::store::records::Cursor;

impl Store {
    /// Writes what rules say now; gives how many decisions are new. `resolving` are the channels that hear of
    /// an end.
    ///
    /// # Errors
    /// Nothing is decided then.
    pub async fn decide(
        &self,
        lead: Option<Lead>,
        judged: Vec<Judged>,
        resolving: BTreeSet<String>,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        self.write_led(lead, move |transaction| alerts::decide(transaction, &judged, &resolving, now_ms))
            .await
    }

    /// Rules with decisions that hold.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_rules(&self) -> Result<Vec<String>, StoreError> {
        self.read(|connection, _| alerts::open_rules(connection)).await
    }

    /// Takes deliveries that are due, the oldest first. Nobody else is given them until
    /// [`note_attempts`](Self::note_attempts), or for some minutes.
    ///
    /// # Errors
    /// None is taken then.
    pub async fn claim_due(
        &self,
        lead: Option<Lead>,
        now_ms: u64,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        if !self.read(move |connection, _| alerts::is_any_due(connection, now_ms)).await? {
            return Ok(Vec::new());
        }
        self.write_led(lead, move |transaction| alerts::claim(transaction, now_ms, limit)).await
    }

    /// Lets go of deliveries that were taken and not noted: for a collector that begins to lead, as nobody
    /// else delivers then.
    ///
    /// # Errors
    /// They come again when their time is over.
    pub async fn unclaim(&self, lead: Option<Lead>) -> Result<(), StoreError> {
        self.write_led(lead, alerts::unclaim).await
    }

    /// Notes what became of attempts to deliver.
    ///
    /// # Errors
    /// They are made again then, with the same ids.
    pub async fn note_attempts(
        &self,
        lead: Option<Lead>,
        attempts: Vec<(i64, Attempt)>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.write_led(lead, move |transaction| alerts::note(transaction, &attempts, now_ms)).await
    }

    /// Decisions, the newest first: at most `limit`, and where the next page begins, unless this was the
    /// last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn alerts(
        &self,
        only_open: bool,
        limit: usize,
        after: Option<AlertCursor>,
    ) -> Result<(Vec<StoredAlert>, Option<AlertCursor>), StoreError> {
        self.read(move |connection, _| {
            // One more tells whether there is another page.
            let mut found = alerts::list(connection, only_open, limit.saturating_add(1), after.as_ref())?;
            let is_last = found.len() <= limit;
            found.truncate(limit);
            let next = found.last().filter(|_| !is_last).map(AlertCursor::after);
            Ok((found, next))
        })
        .await
    }

    /// How many deliveries wait and were given up.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn outbox(&self) -> Result<Outbox, StoreError> {
        self.read(|connection, _| alerts::outbox(connection)).await
    }

    /// A page of reviews, open ones first, and where the next one starts, unless this was the last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reviews(
        &self,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<(Vec<Review>, Option<Cursor>), StoreError> {
        self.read(move |connection, _| reviews::list(connection, limit, after)).await
    }

    /// Changes a review; gives it as it is then, unless there is none with this number.
    ///
    /// # Errors
    /// Nothing is changed then.
    pub async fn change_review(
        &self,
        id: i64,
        change: ReviewChange,
        entry: Entry,
    ) -> Result<Option<Review>, StoreError> {
        self.write(move |transaction| reviews::change(transaction, id, &change, entry)).await
    }

    /// Every gateway, and when it last reported.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn gateways_seen(&self) -> Result<Vec<GatewaySeen>, StoreError> {
        self.read(|connection, _| {
            // Rows that were written without a bound may hold any number.
            let sql =
                "SELECT gateway, max(last_seen_ms), sum(min(values_shared, 1 << 40)), max(values_shared_ms)
                 FROM gateway_instances GROUP BY gateway";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
                Ok(GatewaySeen {
                    gateway: row.get(0)?,
                    last_seen_ms: number(1)?,
                    values_shared: number(2)?,
                    values_shared_ms: number(3)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

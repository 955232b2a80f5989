//! The store's methods for rollups: packing, and how far the book and the providers are apart.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::detail::{DetailRow, each_detail};
use jiff::tz::TimeZone;

use super::attributed::{self, Attributed};
use super::baseline::{self, FirstDays};
use super::compare::{self, Compared};
use super::dims::Filters;
use super::months::{self, Month};
use super::packed::pack_some;
use super::reports::drifting;
use super::summary::SummaryQuery;
use crate::model::drift::Drift;
use crate::store::Store;
use crate::store::database::error::StoreError;
use crate::store::database::lead::Lead;
use crate::store::facets::packed as runs_packed;

impl Store {
    /// Packs hours, days and weeks that are over, and runs, the newest first, for some tens of milliseconds;
    /// true where more is left.
    ///
    /// # Errors
    /// Nothing changes then.
    pub async fn pack(&self, lead: Option<Lead>, now_ms: u64) -> Result<bool, StoreError> {
        self.write_led(lead, move |transaction| {
            Ok(pack_some(transaction, now_ms)? || runs_packed::pack_some(transaction, now_ms)?)
        })
        .await
    }

    /// What was used and spent in the time of a query and in other hours, the last exclusive, by the
    /// dimensions of the query.
    ///
    /// # Errors
    /// When the database fails, or the answer would be too long.
    pub async fn compare(
        &self,
        query: SummaryQuery,
        before: (i64, i64),
    ) -> Result<Vec<Compared>, StoreError> {
        self.read(move |connection, dims| compare::read(connection, dims, &query, before)).await
    }

    /// The first days of what is told apart by a query, from its start on; so many days each. Looks at every
    /// day until the end of the query.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn first_days(&self, query: SummaryQuery, days: i64) -> Result<Vec<FirstDays>, StoreError> {
        self.read(move |connection, dims| baseline::read(connection, dims, &query, days)).await
    }

    /// What was used in the time of a query, by its dimensions: all values that there ever were, in the order
    /// in which the database first saw them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn attributed(&self, query: SummaryQuery) -> Result<Vec<Attributed>, StoreError> {
        self.read(move |connection, dims| attributed::read(connection, dims, &query)).await
    }

    /// Months of this zone's calendar that have calls, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn months_seen(&self, zone: TimeZone) -> Result<Vec<Month>, StoreError> {
        self.read(move |connection, _| months::seen(connection, &zone)).await
    }

    /// Rows of the book, with what calls of these hours cost by it and by their providers: each row that
    /// drifts, the one with the largest difference in dollars first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drift(
        &self,
        from_hour: i64,
        to_hour: i64,
        filters: Filters,
    ) -> Result<Vec<Drift>, StoreError> {
        self.read(move |connection, dims| drifting(connection, dims, (from_hour, to_hour), &filters)).await
    }

    /// Hands over totals with their kinds, by time and then by values, out of one snapshot, until `take` has
    /// enough; gives back what it worked on. Unlike [`Store::summary`] it holds the rows of one period at a
    /// time, so there may be any number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn details<S: Send + 'static>(
        &self,
        query: SummaryQuery,
        mut state: S,
        mut take: impl FnMut(&mut S, DetailRow) -> ControlFlow<()> + Send + 'static,
    ) -> Result<S, StoreError> {
        self.read_long(move |connection, dims| {
            each_detail(connection, dims, &query, |row| take(&mut state, row))?;
            Ok(state)
        })
        .await
    }

    /// A question that may take minutes.
    pub(in crate::store) async fn read_long<T, F>(&self, question: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Connection, &super::dims::DimsTable) -> Result<T, StoreError> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let permit = Arc::clone(&readers.long_permits).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Stopped)?;
        let damage = self.damage.clone();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            damage.note(readers.read_long(question))
        })
        .await
        .map_err(|_| StoreError::Stopped)?
    }
}

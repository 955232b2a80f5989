//! The store's methods for work that one call starts and another fetches, and for bills.

use crate::model::audit::Entry;
use crate::model::clock::signed;
use crate::store::Store;
use crate::store::Writer;
use crate::store::database::error::StoreError;
use crate::store::database::lead::Lead;
use crate::store::records::bills::{self, NewBill, SeenDays, SeenQuery};

impl Store {
    /// Forgets who started work before this time, Unix milliseconds UTC: no provider keeps a result as long.
    ///
    /// # Errors
    /// Nothing changes then.
    pub async fn forget_work(&self, lead: Option<Lead>, before_ms: u64) -> Result<usize, StoreError> {
        let before = signed(before_ms);
        self.write_led(lead, move |transaction| {
            let started = transaction.execute("DELETE FROM work_started WHERE started_ms < ?1", [before])?;
            let fetched = transaction.execute("DELETE FROM work_fetched WHERE fetched_ms < ?1", [before])?;
            let named = transaction.execute("DELETE FROM work_outputs WHERE told_ms < ?1", [before])?;
            let uncharged =
                transaction.execute("DELETE FROM work_uncharged WHERE fetched_ms < ?1", [before])?;
            Ok([started, fetched, named, uncharged].into_iter().fold(0, usize::saturating_add))
        })
        .await
    }
}

impl Store {
    /// What was seen of some days and providers.
    ///
    /// # Errors
    /// When the database fails, and [`StoreError::TooManyRows`] where there are too many places.
    pub async fn seen_days(&self, query: SeenQuery) -> Result<SeenDays, StoreError> {
        self.read(move |connection, dims| bills::seen(connection, dims, &query)).await
    }

    /// Books what a bill corrects, all or nothing; gives its number, none where another one was booked since.
    /// The audit trail gets `entry` with the number.
    ///
    /// # Errors
    /// Nothing is booked then.
    pub async fn book_bill(&self, bill: NewBill, entry: Entry) -> Result<Option<i64>, StoreError> {
        // Dimensions that are made here the writer has to learn.
        self.write_and(move |transaction| bills::book(transaction, &bill, entry), Writer::forget).await
    }
}

//! The store's methods for work that one call starts and another fetches.

use crate::model::clock::signed;
use crate::store::Store;
use crate::store::database::error::StoreError;
use crate::store::database::lead::Lead;

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

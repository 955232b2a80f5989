//! The store's methods for the lead, and for the room that it takes.

use super::lead::{LEASE_MS, Lead, RENEWED_MS, read, take};
use super::space::Space;
use crate::model::clock::signed;
use crate::store::Store;
use crate::store::database::error::StoreError;

impl Store {
    /// The lead, while this process has it at this time, Unix milliseconds UTC.
    pub fn lead(&self, now_ms: u64) -> Option<Lead> {
        self.leading.mine().lead.filter(|(_, until_ms)| signed(now_ms) < *until_ms).map(|(lead, _)| lead)
    }

    /// Takes the lead where nobody has it, and keeps it; to be called every second.
    ///
    /// # Errors
    /// When the database fails: then it is not known who leads.
    pub async fn keep_lead(&self, now_ms: u64) -> Result<Option<Lead>, StoreError> {
        let now = signed(now_ms);
        let mine = self.leading.mine().lead;
        if mine
            .is_some_and(|(_, until_ms)| until_ms - now > LEASE_MS - RENEWED_MS && until_ms - now <= LEASE_MS)
        {
            return Ok(mine.map(|(lead, _)| lead));
        }
        let row = self.read(|connection, _| read(connection)).await?;
        let is_mine = mine.is_some_and(|(lead, _)| lead.term == row.term);
        let has_lock = self.leading.has_lock();
        if !is_mine && !row.is_free(now, has_lock) {
            self.leading.set(None);
            return Ok(None);
        }
        let until_ms = now.saturating_add(LEASE_MS);
        let taken =
            self.write(move |transaction| take(transaction, row, is_mine, has_lock, until_ms)).await?;
        self.leading.set(taken.map(|lead| (lead, until_ms)));
        Ok(taken)
    }

    /// How much room the database takes, and how much is left for it.
    ///
    /// # Errors
    /// When the system does not tell.
    pub async fn space(&self) -> Result<Space, StoreError> {
        let readers = std::sync::Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || Space::of(readers.path()))
            .await
            .map_err(|_| StoreError::Stopped)?
    }
}

//! The store's methods for budgets and counters.

#[cfg(test)]
use std::collections::BTreeSet;

use rusqlite::Connection;
use tollgate_core::budget::{Amount, Budget};
#[cfg(test)]
use tollgate_core::protocol::sync::{CounterGrant, CounterReport};

use super::{Configured, CounterState, Defined, KeptReleased, Put, Released, StoredBudget, ToppedUp};
use crate::store::Store;
use crate::store::agents::registry;
use crate::store::database::error::StoreError;

impl Store {
    /// Budgets that hold.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budgets(&self) -> Result<Vec<StoredBudget>, StoreError> {
        self.read(|connection, _| super::all(connection)).await
    }

    /// Budgets and agents that are defined, and the number of their state, unless that is `seen` still:
    /// another collector may have changed them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn defined_since(&self, seen: u64) -> Result<Option<(u64, Defined)>, StoreError> {
        self.read(move |connection, _| {
            let state = super::state(connection)?;
            if state == seen { Ok(None) } else { Ok(Some((state, defined(connection)?))) }
        })
        .await
    }

    /// Makes hold what the configuration file says; gives what is defined then.
    ///
    /// # Errors
    /// Nothing changes then.
    pub async fn configure(&self, configured: Configured, now_ms: u64) -> Result<Defined, StoreError> {
        self.write(move |transaction| {
            super::configure(transaction, &configured, now_ms)?;
            defined(transaction)
        })
        .await
    }

    /// Makes the budgets of the configuration file hold, and the names that it registers; gives all budgets
    /// that hold then.
    ///
    /// # Errors
    /// Nothing changes then.
    #[cfg(test)]
    pub async fn configure_budgets(
        &self,
        budgets: Vec<Budget>,
        registered: BTreeSet<String>,
        now_ms: u64,
    ) -> Result<Vec<StoredBudget>, StoreError> {
        let configured = Configured { budgets, registered, ..Configured::default() };
        Ok(self.configure(configured, now_ms).await?.budgets)
    }

    /// Puts one budget in place; gives what that did, and all that hold then.
    ///
    /// # Errors
    /// Nothing changes then.
    pub async fn put_budget(
        &self,
        budget: Budget,
        actor: String,
        now_ms: u64,
    ) -> Result<(Put, Vec<StoredBudget>), StoreError> {
        self.write(move |transaction| {
            let done = super::put(transaction, &budget, "api", &actor, now_ms)?;
            Ok((done, super::all(transaction)?))
        })
        .await
    }

    /// Removes a budget; gives whether it was there, and all that hold then. What was spent stays in the
    /// database.
    ///
    /// # Errors
    /// Nothing changes then.
    pub async fn remove_budget(
        &self,
        name: String,
        actor: String,
        now_ms: u64,
    ) -> Result<(bool, Vec<StoredBudget>), StoreError> {
        self.write(move |transaction| {
            let removed = super::remove(transaction, &name, &actor, now_ms)?;
            Ok((removed, super::all(transaction)?))
        })
        .await
    }

    /// Adds to the limit of a counter (`value` of its budget's `each`, or empty) in the window that holds
    /// now, or takes back what was added there.
    ///
    /// # Errors
    /// Nothing changes then.
    pub async fn top_up(
        &self,
        name: String,
        value: String,
        more: Amount,
        actor: String,
        now_ms: u64,
    ) -> Result<ToppedUp, StoreError> {
        self.write(move |transaction| {
            super::top_ups::top_up(transaction, (&name, &value), more, &actor, now_ms)
        })
        .await
    }

    /// Takes back what a run of a gateway that is gone was granted and has not used; of one that still
    /// reports only with `force`.
    ///
    /// # Errors
    /// Nothing changes then.
    pub async fn release(
        &self,
        instance: String,
        force: bool,
        actor: String,
        now_ms: u64,
    ) -> Result<Released, StoreError> {
        self.write(move |transaction| super::release::release(transaction, &instance, force, &actor, now_ms))
            .await
    }

    /// Gives back what is kept above the records' costs on a budget's counters in the window that holds now,
    /// or on that of one `value` of its `each`.
    ///
    /// # Errors
    /// Nothing changes then.
    pub async fn release_kept(
        &self,
        name: String,
        value: Option<String>,
        actor: String,
        now_ms: u64,
    ) -> Result<KeptReleased, StoreError> {
        self.write(move |transaction| {
            super::release::release_kept(transaction, (&name, value.as_deref()), &actor, now_ms)
        })
        .await
    }

    /// Takes in what a gateway reports of its counters, and answers each, without anything else that a sync
    /// has.
    ///
    /// # Errors
    /// Nothing changes then.
    #[cfg(test)]
    pub(in crate::store) async fn sync_counters(
        &self,
        gateway: String,
        instance: String,
        reports: Vec<CounterReport>,
        now_ms: u64,
    ) -> Result<Vec<CounterGrant>, StoreError> {
        self.write(move |transaction| super::sync(transaction, &gateway, &instance, &reports, now_ms)).await
    }

    /// The counters of all budgets in the windows that hold now, and those that nobody has used yet, as they
    /// would begin.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budget_outlook(
        &self,
        now_ms: u64,
    ) -> Result<Vec<(StoredBudget, Vec<CounterState>)>, StoreError> {
        self.read(move |connection, _| super::outlook(connection, now_ms)).await
    }

    /// The counters of all budgets in the windows that hold now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budget_states(
        &self,
        now_ms: u64,
    ) -> Result<Vec<(StoredBudget, Vec<CounterState>)>, StoreError> {
        self.read(move |connection, _| super::states(connection, now_ms)).await
    }
}

fn defined(connection: &Connection) -> Result<Defined, StoreError> {
    Ok(Defined { budgets: super::all(connection)?, agents: registry::all(connection)? })
}

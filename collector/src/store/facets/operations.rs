//! The store's methods for facets.

use std::sync::{Arc, PoisonError};

use super::aside::{self, Asides};
use super::follow;
use super::prompts::{self, PromptSum, PromptsQuery};
use super::refused::{self, Refused};
use super::runs::{self, RunFound, RunsFound, RunsQuery};
use super::spend::{self, Spend, SpendQuery};
use crate::model::run::Run;
use crate::store::Store;
use crate::store::database::error::StoreError;
use crate::store::database::lead::Lead;
use crate::store::rollups::summary::SummaryQuery;

impl Store {
    /// Adds some of the records that are new to the sums by facet; true where more are left.
    ///
    /// # Errors
    /// Nothing is added then.
    pub async fn follow(&self, lead: Option<Lead>) -> Result<bool, StoreError> {
        let _one = self.following.lock().await;
        let memory = Arc::clone(&self.followed);
        let step = self
            .read(move |connection, _| {
                follow::read(connection, &mut memory.lock().unwrap_or_else(PoisonError::into_inner))
            })
            .await?;
        if step.is_empty() {
            return Ok(false);
        }
        let memory = Arc::clone(&self.followed);
        self.write_led(lead, move |transaction| {
            follow::write(transaction, &mut memory.lock().unwrap_or_else(PoisonError::into_inner), &step)
        })
        .await?;
        Ok(true)
    }

    /// How many records are in no sum by facet yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unfollowed(&self) -> Result<u64, StoreError> {
        self.read(|connection, _| follow::behind(connection)).await
    }

    /// What retries cost and cheaper models saved, for the rows of a summary that is about no facet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn asides(&self, query: SummaryQuery) -> Result<Asides, StoreError> {
        self.read(move |connection, dims| aside::read(connection, dims, &query)).await
    }

    /// What runs that started in a time come to: `start` is nothing, and `add` adds each of them, in the
    /// order of their starts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs<T: Send + 'static>(
        &self,
        query: RunsQuery,
        start: T,
        add: impl Fn(&mut T, &Run) + Send + 'static,
    ) -> Result<RunsFound<T>, StoreError> {
        self.read(move |connection, dims| {
            let mut found = start;
            let agents = runs::each_started(connection, dims, &query, |run| add(&mut found, run))?;
            Ok(RunsFound { found, agents })
        })
        .await
    }

    /// Ids of runs, as callers name them, for their numbers in the store.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_names(&self, ids: Vec<i64>) -> Result<Vec<String>, StoreError> {
        self.read(move |connection, _| runs::names(connection, &ids)).await
    }

    /// A run with all that it started, itself first, and those that it was started by, the nearest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_tree(&self, name: String) -> Result<Option<RunFound>, StoreError> {
        self.read(move |connection, dims| runs::tree(connection, dims, &name)).await
    }

    /// What calls used and cost, by dimensions and length of their prompts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn spend(&self, query: SpendQuery) -> Result<Vec<Spend>, StoreError> {
        self.read(move |connection, dims| spend::read(connection, dims, &query)).await
    }

    /// Which rules refused how many calls in these hours, the last exclusive.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refused(&self, hours: (i64, i64)) -> Result<Vec<Refused>, StoreError> {
        self.read(move |connection, _| refused::read(connection, hours)).await
    }

    /// What prompts are made of, by agent, model, system prompt and day.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prompts(&self, query: PromptsQuery) -> Result<Vec<PromptSum>, StoreError> {
        self.read(move |connection, dims| prompts::read(connection, dims, &query)).await
    }
}

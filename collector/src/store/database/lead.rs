//! The lead: which of the collectors on one database judges, watches, delivers and keeps house.
//!
//! It is a row with a term and an end. Who leads puts the end off every few seconds; one that hangs does not,
//! and another takes the lead with the next term. What a leader writes is written under its term, which is
//! checked in the same transaction: one that was away and wakes up changes nothing. A leader also holds a
//! lock file, which ends with its process, so that nobody waits for the end of one that is dead.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, Transaction, params};

use super::open;
use crate::store::database::error::StoreError;

/// The right to do what one collector should do, as long as its term is the database's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lead {
    pub(super) term: i64,
}

/// What a process knows of its own lead.
#[derive(Debug)]
pub(in crate::store) struct Leading {
    data_dir: PathBuf,
    mine: Mutex<Mine>,
}

#[derive(Debug, Default)]
pub(super) struct Mine {
    pub(super) lead: Option<(Lead, i64)>,
    /// The lock, where this process has it.
    lock: Option<File>,
}

/// The lead as the database has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) term: i64,
    locked: bool,
    until_ms: i64,
}

impl Leading {
    /// Nobody leads yet.
    pub(in crate::store) fn new(data_dir: PathBuf) -> Self {
        Self { data_dir, mine: Mutex::default() }
    }

    pub(super) fn mine(&self) -> std::sync::MutexGuard<'_, Mine> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process has the lock file, now if not before.
    pub(super) fn has_lock(&self) -> bool {
        let mut mine = self.mine();
        if mine.lock.is_none() {
            mine.lock = open::try_lead_lock(&self.data_dir);
        }
        mine.lock.is_some()
    }

    pub(super) fn set(&self, lead: Option<(Lead, i64)>) {
        let mut mine = self.mine();
        mine.lead = lead;
        if lead.is_none() {
            // Who leads is to have it.
            mine.lock = None;
        }
    }
}

impl Row {
    /// Whether one that found the lock file free, or not, may take the lead.
    pub(super) const fn is_free(&self, now_ms: i64, found_lock: bool) -> bool {
        // An end that is far away was written before the clock was set back.
        now_ms >= self.until_ms || self.until_ms - now_ms > 2 * LEASE_MS || (self.locked && found_lock)
    }
}

pub(super) fn read(connection: &Connection) -> Result<Row, StoreError> {
    let mut statement = connection.prepare_cached("SELECT term, locked, until_ms FROM lead")?;
    let row =
        |row: &rusqlite::Row<'_>| Ok(Row { term: row.get(0)?, locked: row.get(1)?, until_ms: row.get(2)? });
    Ok(statement.query_row([], row)?)
}

/// Takes or keeps the lead, unless somebody did since `seen`.
pub(super) fn take(
    transaction: &Transaction<'_>,
    seen: Row,
    is_mine: bool,
    locked: bool,
    until_ms: i64,
) -> Result<Option<Lead>, StoreError> {
    if read(transaction)?.term != seen.term {
        return Ok(None);
    }
    let term = if is_mine { seen.term } else { seen.term.saturating_add(1) };
    transaction
        .prepare_cached("UPDATE lead SET term = ?1, locked = ?2, until_ms = ?3")?
        .execute(params![term, locked, until_ms])?;
    Ok(Some(Lead { term }))
}

/// Refuses what is done under a lead that somebody else has taken since. `None` is not checked: for a tool
/// that has the database for itself.
pub(in crate::store) fn check(transaction: &Transaction<'_>, lead: Option<Lead>) -> Result<(), StoreError> {
    match lead {
        Some(lead) if read(transaction)?.term != lead.term => Err(StoreError::LeadLost),
        _ => Ok(()),
    }
}

/// A lead that is not kept for so long is free.
pub(crate) const LEASE_MS: i64 = 10_000;
/// It is kept when so much of that is gone.
pub(super) const RENEWED_MS: i64 = 3_000;

//! What a transaction of the writer does with batches: each record and each total stored once, and added to
//! what is summed of them.

use std::collections::HashMap;

use rusqlite::{CachedStatement, OptionalExtension as _, Transaction, params};

use super::super::rollups::Additions;
use super::{StoreError, Stored};
use crate::model::clock::{MS_PER_HOUR, MS_PER_MINUTE, signed};
use crate::model::dimension::Dimension;
use crate::store::agents::minutes::{self, Minutes};
use crate::store::budgets::Missed;
use crate::store::records::accounts::{self, Booking};
use crate::store::records::batch::{Batch, Recharge, RecordRow, Sender};
use crate::store::records::{adjust, folded, retention};
use crate::store::rollups::bound::HourRows;
use crate::store::rollups::dims::{Dims, OTHER};
use crate::store::rollups::reports::Reports;
use crate::store::rollups::sums::{InRow, Totals};
use crate::store::writer::started::Change;

/// Batches that one transaction takes.
pub(in crate::store) struct Work<'w> {
    pub(in crate::store) transaction: &'w Transaction<'w>,
    pub(in crate::store) end_hour: i64,
    pub(super) horizon_ms: i64,
    pub(super) most: u64,
    pub(super) dims: &'w mut HashMap<Dims, i64>,
    pub(super) newest_dims: &'w mut i64,
    pub(super) hour_rows: &'w mut HourRows,
    pub(super) additions: &'w mut Additions,
    pub(super) insert: CachedStatement<'w>,
    pub(super) booking: Booking,
    pub(super) minutes: Minutes,
    pub(super) reports: Reports,
    /// Since when the newest budget counts.
    pub(super) newest_budget_ms: u64,
    /// New records of calls that were admitted without it, or charged something else, and when they came.
    pub(super) missed: Vec<Missed<'w>>,
    /// Stored records that others show to be of known work.
    pub(super) changes: Vec<Change>,
}

impl<'w> Work<'w> {
    /// Stores what is new of a batch.
    pub(super) fn take(&mut self, batch: &'w Batch) -> Result<Stored, StoreError> {
        let mut stored = Stored { kept_since_ms: self.horizon_ms, ..Stored::default() };
        let is_import = batch.sender.gateway.is_empty();
        let (mut received, mut too_late) = (0u64, 0u64);
        for (at, row) in batch.rows.iter().enumerate() {
            received = received.saturating_add(row.records());
            if row.time_ms < self.horizon_ms && !self.is_kept(row)? {
                stored.too_late.push((at, row.time_ms));
                too_late = too_late.saturating_add(row.records());
            } else if is_import && self.is_folded(row)? || !self.keep(row, batch.sender.received_ms)? {
                stored.duplicates = stored.duplicates.saturating_add(row.records());
                stored.known.push(at);
                self.changes.extend(Change::of_known(row)?);
            } else {
                let is_missed = row.knew_until_ms < self.newest_budget_ms;
                if is_missed || (row.recharge != Recharge::default() && !is_import) {
                    let received_ms = batch.sender.received_ms.max(batch.imported_ms);
                    self.missed.push(Missed { row, received_ms, is_import });
                }
                let new = if row.folded.is_some() { &mut stored.folded } else { &mut stored.stored };
                *new = new.saturating_add(row.records());
            }
        }
        stored.out_of_order = !note_sender(self.transaction, &batch.sender)?;
        for (reason, records) in &batch.rejected {
            self.booking.add(reason, *records);
            received = received.saturating_add(*records);
        }
        for (account, records) in [
            (accounts::RECEIVED, received),
            (accounts::STORED, stored.stored),
            (accounts::FOLDED, stored.folded),
            (accounts::DUPLICATE, stored.duplicates),
            (accounts::TOO_LATE, too_late),
        ] {
            self.booking.add(account, records);
        }
        Ok(stored)
    }

    /// Writes what all of them add up to.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        self.additions.write(self.transaction)?;
        self.booking.write(self.transaction)?;
        self.reports.write(self.transaction)?;
        self.minutes.write(self.transaction)
    }

    fn is_kept(&self, row: &RecordRow) -> Result<bool, StoreError> {
        match row.folded {
            Some(_) => folded::is_kept(self.transaction, row.id),
            None => retention::is_kept(self.transaction, row.id),
        }
    }

    /// Whether a record that no gateway sent is one that is not there, as its gateway may have folded it.
    fn is_folded(&self, row: &RecordRow) -> Result<bool, StoreError> {
        let dims: Vec<i64> = [self.dims.get(&row.dims), self.dims.get(&row.dims.other())]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        Ok(folded::may_have(self.transaction, row.time_ms, &dims)? && !self.is_kept(row)?)
    }

    /// Stores a record or a total and adds it to the rollups, unless it was there.
    fn keep(&mut self, row: &RecordRow, now_ms: u64) -> Result<bool, StoreError> {
        let hour = row.time_ms.div_euclid(MS_PER_HOUR);
        let is_late = hour < self.end_hour;
        let hour = if is_late { adjust::open_hour(self.end_hour, now_ms) } else { hour };
        let (dims, is_other) = self.dims_in(hour, &row.dims, row.time_ms)?;
        let is_new = match row.folded {
            Some(span) => {
                folded::insert(self.transaction, row.id, (row.time_ms, hour), span, dims, &row.sums)?
            }
            None => self.insert(row, dims)?,
        };
        if !is_new {
            return Ok(false);
        }
        if is_late && row.folded.is_none() {
            let cost = Totals::decode(&row.sums)?.cost;
            adjust::note_late(self.transaction, row.id, dims, cost, hour, now_ms)?;
        }
        if is_other {
            self.booking.add(accounts::UNDER_OTHER, row.records());
        }
        self.additions.add(hour, dims, &row.sums)?;
        if let Some(report) = &row.report {
            self.reports.add(row.time_ms, dims, report);
        }
        let agent = if is_other { OTHER } else { row.dims.value(Dimension::Agent).unwrap_or_default() };
        // Of an hour's total nobody knows the minutes.
        if row.folded.is_none_or(|span| span.span_ms <= MS_PER_MINUTE) {
            self.minutes.add(row.time_ms, now_ms, agent, &row.minute);
        }
        Ok(true)
    }

    /// Whether the record is new.
    fn insert(&mut self, row: &RecordRow, dims: i64) -> Result<bool, StoreError> {
        let id = row.id.0.as_slice();
        let changed = self.insert.execute(params![
            id,
            row.time_ms,
            dims,
            row.outcome,
            row.cost_status,
            row.body,
            row.digest
        ])?;
        Ok(changed == 1)
    }

    /// The id under which this hour counts these dimensions: their own while there is room for rows, else
    /// that of `other`, which is said.
    pub(in crate::store) fn dims_in(
        &mut self,
        hour: i64,
        dims: &Dims,
        first_ms: i64,
    ) -> Result<(i64, bool), StoreError> {
        let known = self.dims.get(dims).copied();
        if let Some(id) = known
            && self.hour_rows.has(hour, id)
        {
            return Ok((id, false));
        }
        // Names that nobody had before are not even interned beyond the bound.
        if self.hour_rows.admit(self.transaction, hour, known, self.most)? {
            let first_ms = hour.saturating_mul(MS_PER_HOUR).max(first_ms);
            minutes::note_first_call(self.transaction, dims, first_ms)?;
            let id = match known {
                Some(id) => id,
                None => self.intern(dims)?,
            };
            self.hour_rows.note(hour, id);
            return Ok((id, false));
        }
        let id = self.intern(&dims.other())?;
        self.hour_rows.note(hour, id);
        Ok((id, true))
    }

    fn intern(&mut self, dims: &Dims) -> Result<i64, StoreError> {
        if let Some(id) = self.dims.get(dims) {
            return Ok(*id);
        }
        let id = dims.insert(self.transaction)?;
        *self.newest_dims = id;
        self.dims.insert(dims.clone(), id);
        Ok(id)
    }
}

/// Stores a record that is not there.
pub(super) fn insert<'t>(transaction: &'t Transaction<'_>) -> Result<CachedStatement<'t>, StoreError> {
    Ok(transaction.prepare_cached(
        "INSERT INTO records (id, time_ms, dims, outcome, cost_status, body, digest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
    )?)
}

/// A run of an Envoy is of the gateway that named it first. What another one says of it is of a run of its
/// own: nobody reports on the accounts of others.
pub(super) fn tell_apart(transaction: &Transaction<'_>, batches: &mut [Batch]) -> Result<(), StoreError> {
    let mut first = transaction.prepare_cached(
        "SELECT gateway FROM gateway_instances WHERE instance = ?1 ORDER BY first_seen_ms, gateway LIMIT 1",
    )?;
    for Sender { gateway, instance, .. } in batches.iter_mut().map(|batch| &mut batch.sender) {
        let owner: Option<String> = first.query_row([&*instance], |row| row.get(0)).optional()?;
        if owner.is_some_and(|owner| owner != *gateway) && !gateway.is_empty() {
            *instance = format!("{instance}@{gateway}");
        }
    }
    Ok(())
}

/// Keeps when this instance was last seen, and its newest drop totals: an older request changes nothing,
/// which is said.
fn note_sender(transaction: &Transaction<'_>, sender: &Sender) -> Result<bool, StoreError> {
    if sender.gateway.is_empty() {
        return Ok(true); // an import
    }
    let newest = transaction
        .prepare_cached(
            "INSERT INTO gateway_instances (gateway, instance, sequence, price_version, first_seen_ms, last_seen_ms,
                 values_shared, values_shared_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, iif(?6 > 0, ?5, 0))
             ON CONFLICT DO UPDATE SET sequence = excluded.sequence, price_version = excluded.price_version,
                 last_seen_ms = max(last_seen_ms, excluded.last_seen_ms),
                 values_shared_ms = iif(excluded.values_shared > values_shared, excluded.last_seen_ms, values_shared_ms),
                 values_shared = max(values_shared, excluded.values_shared)
             WHERE excluded.sequence >= sequence",
        )?
        .execute(params![
            sender.gateway,
            sender.instance,
            signed(sender.sequence),
            sender.price_version.as_deref().unwrap_or_default(),
            signed(sender.received_ms),
            signed(sender.values_shared),
        ])?;
    if newest == 0 {
        return Ok(false);
    }
    let mut statement = transaction.prepare_cached(
        "INSERT INTO gateway_drops (gateway, instance, reason, dropped) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET dropped = excluded.dropped",
    )?;
    for (reason, dropped) in &sender.dropped {
        statement.execute(params![sender.gateway, sender.instance, reason, signed(*dropped)])?;
    }
    Ok(true)
}

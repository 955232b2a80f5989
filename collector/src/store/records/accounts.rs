//! Accounts: what became of every record, so that none is lost without a trace.
//!
//! `received = stored + duplicate + folded + dropped(reason)`. What arrives here is counted in the
//! transaction that decides it, a total that a gateway has folded as the records that it stands for; what
//! gateways could not keep is counted as they report it.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};

use crate::model::answers::audit::Accounts;
use crate::model::clock::signed;
use crate::store::database::error::StoreError;
use crate::store::rollups;
use crate::store::rollups::packed;
use crate::store::rollups::sums::{InRow, Totals};

/// Reads all accounts, and counts anew what can be counted.
pub(in crate::store) fn read(
    connection: &Connection,
    gateways: Vec<(String, u64)>,
) -> Result<Accounts, StoreError> {
    let mut accounts = booked(connection, gateways)?;
    let kept: i64 = connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0))?;
    accounts.kept = kept.unsigned_abs();
    let mut totals = Totals::default();
    packed::between(connection, i64::MIN, i64::MAX, |_, sums| Ok(totals.add_encoded(sums)?))?;
    rollups::each_recent(connection, |_, _, sums| Ok(totals.add(&Totals::decode(sums)?)?))?;
    accounts.summarised = totals.calls.saturating_add(totals.denied);
    accounts.balanced = accounts.agree();
    Ok(accounts)
}

/// The accounts as they are booked, without counting the records.
pub(in crate::store) fn booked(
    connection: &Connection,
    gateways: Vec<(String, u64)>,
) -> Result<Accounts, StoreError> {
    let mut accounts = Accounts::default();
    let mut statement =
        connection.prepare_cached("SELECT name, records FROM record_accounts ORDER BY name")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, records) = (row.get::<_, String>(0)?, row.get::<_, i64>(1)?.unsigned_abs());
        match name.as_str() {
            RECEIVED => accounts.received = records,
            STORED => accounts.stored = records,
            FOLDED => accounts.folded = records,
            DUPLICATE => accounts.duplicate = records,
            EXPIRED => accounts.expired = records,
            UNDER_OTHER => accounts.under_other = records,
            _ => *accounts.dropped.entry(name).or_default() = records,
        }
    }
    for (reason, records) in gateways {
        accounts.received = accounts.received.saturating_add(records);
        let sum = accounts.dropped.entry(format!("gateway_{reason}")).or_default();
        *sum = sum.saturating_add(records);
    }
    Ok(accounts)
}

impl Accounts {
    fn agree(&self) -> bool {
        let ended = [self.stored, self.duplicate, self.folded];
        let ended =
            ended.iter().chain(self.dropped.values()).fold(0, |sum: u64, one| sum.saturating_add(*one));
        self.received == ended
            && self.stored == self.kept.saturating_add(self.expired)
            && self.stored.saturating_add(self.folded) == self.summarised
    }
}

/// What one transaction adds to the accounts.
#[derive(Debug, Default)]
pub(in crate::store) struct Booking(BTreeMap<String, u64>);

impl Booking {
    /// Adds to an account.
    pub(in crate::store) fn add(&mut self, name: &str, records: u64) {
        if records > 0 {
            let sum = self.0.entry(name.to_owned()).or_default();
            *sum = sum.saturating_add(records);
        }
    }

    /// Writes what was added.
    pub(in crate::store) fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let mut statement = transaction.prepare_cached(
            "INSERT INTO record_accounts (name, records) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET records = records + excluded.records",
        )?;
        for (name, records) in &self.0 {
            statement.execute(params![name, signed(*records)])?;
        }
        Ok(())
    }
}

/// Records that arrived.
pub(in crate::store) const RECEIVED: &str = "received";
/// Records that are new.
pub(in crate::store) const STORED: &str = "stored";
/// Records that were stored before.
pub(in crate::store) const DUPLICATE: &str = "duplicate";
/// Records older than what is kept, of which nobody knows any more whether they were stored.
pub(in crate::store) const TOO_LATE: &str = "too_late";
/// Records removed by age.
pub(in crate::store) const EXPIRED: &str = "expired";
/// Records that summaries count under `other`.
pub(in crate::store) const UNDER_OTHER: &str = "under_other";
/// Records in totals that are new.
pub(in crate::store) const FOLDED: &str = "folded";

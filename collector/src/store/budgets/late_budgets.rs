//! Calls that a gateway admitted without a budget, as its policy had not arrived there: nobody has charged
//! them on it. And calls that it charged without their price, which was found here; and those that an access
//! log tells of.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Transaction, params};
use tollgate_core::budget::policy::OTHER;
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::window::Window;
use tollgate_core::budget::{Amount, OnUnknown, Unit};
use tollgate_core::record::UsageRecord;

use super::imported::{self, Imported};
use super::seed::{Seeds, spent, subject_of, value_in};
use super::{StoreError, StoredBudget, all, bytes, counter, known};
use crate::model::calendar::span;
use crate::store::records::batch::{Recharge, RecordRow};
use crate::store::rollups::sums::Sums;

/// Since when the newest budget counts, Unix milliseconds UTC.
pub(in crate::store) fn newest_ms(connection: &Connection) -> Result<u64, StoreError> {
    let newest: Option<i64> = connection
        .prepare_cached("SELECT max(since_ms) FROM budgets WHERE removed_ms IS NULL")?
        .query_row([], |row| row.get(0))?;
    Ok(newest.unwrap_or(0).unsigned_abs())
}

/// Counts records of calls that were admitted before a budget had arrived at their gateway, so that nobody
/// has charged them on it. What began before the budget counted is among what its counters begin with, where
/// they are still to be made. On the budgets that their gateway knew, corrects what it charged.
// Long: one statement and what is counted of its rows.
pub(in crate::store) fn count_missed(
    transaction: &Transaction<'_>,
    records: &[Missed<'_>],
) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let budgets = told(transaction)?;
    let mut seeds = Seeds::default();
    let now_ms = records.iter().map(|missed| missed.received_ms).max().unwrap_or(0);
    let registered = seeds.registered(transaction)?;
    let mut parsed = Vec::with_capacity(records.len());
    for missed in records {
        let record: UsageRecord =
            serde_json::from_str(&missed.row.body).map_err(|_| StoreError::Damaged("record"))?;
        parsed.push((record, missed));
    }
    let mut imports: BTreeMap<CounterKey, (&StoredBudget, i64, Imported)> = BTreeMap::new();
    // Those of before come first: a counter that is made then begins with them.
    for is_before in [true, false] {
        let mut missed: BTreeMap<CounterKey, (&StoredBudget, Added)> = BTreeMap::new();
        for (record, Missed { row, is_import, .. }) in &parsed {
            for stored in &budgets {
                let is_known = stored.since_ms <= row.knew_until_ms;
                if (!is_known && record.head.time_ms < stored.since_ms) != is_before {
                    continue;
                }
                let found = if is_known {
                    recharged(transaction, (stored, &registered), record, row.recharge)?
                } else {
                    let spent = |(key, used)| (key, Added { used, kept: Amount::ZERO });
                    spent_by(stored, record, &registered).map(spent)
                };
                let Some((key, more)) = found else { continue };
                if *is_import {
                    let may_make = !is_before && counts(stored, &key, now_ms);
                    if let Some(id) =
                        found_or_made(transaction, &mut seeds, (stored, &key), may_make, now_ms)?
                    {
                        let of_counter =
                            imports.entry(key).or_insert_with(|| (stored, id, Imported::default()));
                        of_counter.2.push(&record.head.gateway, more.used);
                    }
                } else {
                    let (_, sum) = missed.entry(key).or_insert((stored, Added::default()));
                    *sum = Added { used: sum.used.plus(more.used), kept: sum.kept.plus(more.kept) };
                }
            }
        }
        for (key, (stored, more)) in missed {
            let may_make = !is_before && counts(stored, &key, now_ms);
            if let Some(id) = found_or_made(transaction, &mut seeds, (stored, &key), may_make, now_ms)? {
                let more = imported::at_most(transaction, &mut seeds, (stored, &key, id), more, now_ms)?;
                add(transaction, id, more)?;
            }
        }
    }
    for (key, (stored, id, of_counter)) in &imports {
        imported::count(transaction, &mut seeds, (stored, key, *id), of_counter, now_ms)?;
    }
    Ok(())
}

/// Budgets of which records tell what counts on them.
fn told(connection: &Connection) -> Result<Vec<StoredBudget>, StoreError> {
    Ok(all(connection)?.into_iter().filter(|stored| !stored.is_quarantine).collect())
}

/// A new record that its gateway has not charged as it is to be.
pub(in crate::store) struct Missed<'r> {
    /// The record.
    pub(in crate::store) row: &'r RecordRow,
    /// When it came, Unix milliseconds UTC.
    pub(in crate::store) received_ms: u64,
    /// Not from its gateway, but from an access log.
    pub(in crate::store) is_import: bool,
}

fn found_or_made(
    transaction: &Transaction<'_>,
    seeds: &mut Seeds,
    (stored, key): (&StoredBudget, &CounterKey),
    may_make: bool,
    now_ms: u64,
) -> Result<Option<i64>, StoreError> {
    match known(transaction, key)? {
        None if may_make => made(transaction, seeds, stored, key, now_ms),
        found => Ok(found),
    }
}

/// Takes what a record was counted as from the counters that it was counted on, and counts it as what it is
/// now: who spent was not known when it came, or whether it cost anything.
pub(in crate::store) fn count_moved(
    transaction: &Transaction<'_>,
    before: &UsageRecord,
    after: &UsageRecord,
    now_ms: u64,
) -> Result<(), StoreError> {
    let mut seeds = Seeds::default();
    let registered = seeds.registered(transaction)?;
    let spent = |stored: &StoredBudget, record: &UsageRecord| {
        record.fetched().and_then(|_| spent_by(stored, record, &registered))
    };
    for stored in &told(transaction)? {
        let (old, new) = (spent(stored, before), spent(stored, after));
        if old == new {
            continue;
        }
        if let Some((key, used)) = old
            && let Some(id) = counted_on(transaction, stored, &key)?
        {
            let used = Amount::ZERO.minus(used);
            add(transaction, id, Added { used, kept: Amount::ZERO })?;
        }
        let Some((key, used)) = new else { continue };
        let id = match known(transaction, &key)? {
            None if after.head.time_ms >= stored.since_ms && counts(stored, &key, now_ms) => {
                made(transaction, &mut seeds, stored, &key, now_ms)?
            }
            found => found,
        };
        if let Some(id) = id {
            add(transaction, id, Added { used, kept: Amount::ZERO })?;
        }
    }
    Ok(())
}

/// A counter that is not there yet; where its budget has no room for one more, that which the rest shares.
fn made(
    transaction: &Transaction<'_>,
    seeds: &mut Seeds,
    stored: &StoredBudget,
    key: &CounterKey,
    now_ms: u64,
) -> Result<Option<i64>, StoreError> {
    let found = counter(transaction, (seeds, None), Some(stored), key, now_ms)?;
    if found.is_some() || stored.budget.each.is_none() {
        return Ok(found);
    }
    counter(transaction, (seeds, None), Some(stored), &shared(key), now_ms)
}

/// The counter that a value was counted on.
fn counted_on(
    transaction: &Transaction<'_>,
    stored: &StoredBudget,
    key: &CounterKey,
) -> Result<Option<i64>, StoreError> {
    match known(transaction, key)? {
        None if stored.budget.each.is_some() => known(transaction, &shared(key)),
        found => Ok(found),
    }
}

/// That of all values which have none of their own.
fn shared(key: &CounterKey) -> CounterKey {
    CounterKey { value: OTHER.to_owned(), ..key.clone() }
}

/// What is added to a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Added {
    pub(super) used: Amount,
    /// The part of it that is above the records' costs.
    pub(super) kept: Amount,
}

pub(super) fn add(transaction: &Transaction<'_>, counter: i64, more: Added) -> Result<(), StoreError> {
    let (seed, kept) = transaction
        .prepare_cached("SELECT seed, kept FROM counters WHERE id = ?1")?
        .query_row([counter], |row| Ok((super::amount(row, 0)?, super::amount(row, 1)?)))?;
    transaction
        .prepare_cached("UPDATE counters SET seed = ?2, kept = ?3 WHERE id = ?1")?
        .execute(params![counter, bytes(seed.plus(more.used)), bytes(kept.plus(more.kept))])?;
    Ok(())
}

/// What a gateway charged for a record and is to be corrected, and on which counter: where its table was
/// full, the one that the rest shares.
fn recharged(
    transaction: &Transaction<'_>,
    (stored, registered): (&StoredBudget, &BTreeSet<String>),
    record: &UsageRecord,
    recharge: Recharge,
) -> Result<Option<(CounterKey, Added)>, StoreError> {
    let Recharge { used, worst_used, worst_kept } = recharge;
    let added = match stored.budget.on_unknown {
        OnUnknown::Record => Added { used, kept: Amount::ZERO },
        OnUnknown::Worst => Added { used: worst_used, kept: worst_kept },
    };
    if added == Added::default() || stored.budget.unit != Unit::Dollars {
        return Ok(None);
    }
    let Some((key, _)) = spent_by(stored, record, registered) else { return Ok(None) };
    if stored.budget.each.is_some() && known(transaction, &key)?.is_none() {
        let other = shared(&key);
        if known(transaction, &other)?.is_some() {
            return Ok(Some((other, added)));
        }
    }
    Ok(Some((key, added)))
}

/// Whether a counter's window counts now, by itself or as a part of one.
fn counts(stored: &StoredBudget, key: &CounterKey, now_ms: u64) -> bool {
    now_ms < key.span.end_ms.saturating_add(stored.budget.window.reach_ms())
}

/// What a record spent on a budget, and the counter that it is for; `None` where it is for none.
pub(super) fn spent_by(
    stored: &StoredBudget,
    record: &UsageRecord,
    registered: &BTreeSet<String>,
) -> Option<(CounterKey, Amount)> {
    if stored.budget.window == Window::Prepaid && record.head.time_ms < stored.created_ms {
        return None;
    }
    if stored.budget.unit == Unit::Calls && record.fetched().is_some() {
        // The call that began it was counted.
        return None;
    }
    let value = value_in(&stored.budget, &subject_of(record), registered)?;
    let key = CounterKey {
        budget: stored.budget.name.clone(),
        generation: stored.generation,
        value,
        span: span(&stored.budget, record.head.time_ms),
    };
    Some((key, spent(stored.budget.unit, &Sums::of(record))))
}

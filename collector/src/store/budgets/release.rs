//! Grants of gateways that are gone, and what is kept of calls of which nobody knows what they cost.

use rusqlite::{Connection, Row, Transaction, params};
use serde_json::json;
use tollgate_core::budget::Amount;
use tollgate_core::budget::ledger::{LIVE_MS, Ledger};
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::window::Span;

use super::super::audit::append;
use super::seed::Seeds;
use super::{StoreError, StoredBudget, accounts, bytes, imported};
use crate::model::audit::Entry;
use crate::model::calendar::span;
use crate::model::clock::signed;

/// What became of a release.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Released {
    /// On so many counters something was taken back.
    Counters(u64),
    /// There is no such run of a gateway; these reported last.
    Unknown(Vec<String>),
    /// It reports still; nothing changed.
    Live {
        /// When it did last, Unix milliseconds UTC.
        seen_ms: u64,
    },
}

/// Takes back what a run of a gateway was granted and has not used, on every counter; of one that reports
/// only with `force`, as it may go on spending until it hears of it.
pub(super) fn release(
    transaction: &Transaction<'_>,
    instance: &str,
    force: bool,
    actor: &str,
    now_ms: u64,
) -> Result<Released, StoreError> {
    let Some(seen_ms) = last_seen(transaction, instance)? else {
        return Ok(Released::Unknown(newest_instances(transaction)?));
    };
    let is_live = now_ms <= seen_ms.saturating_add(LIVE_MS);
    if is_live && !force {
        return Ok(Released::Live { seen_ms });
    }
    let mut statement = transaction.prepare_cached("SELECT counter FROM accounts WHERE instance = ?1")?;
    let counters: Vec<i64> = statement.query_map([instance], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let (mut released, budgets, mut seeds) = (0, super::all(transaction)?, Seeds::default());
    for counter in counters {
        let key = key_of(transaction, counter)?;
        let is_of =
            |stored: &&StoredBudget| stored.budget.name == key.budget && stored.generation == key.generation;
        if let Some(stored) = budgets.iter().find(is_of) {
            let of = (stored, &key, counter);
            imported::count_of_the_gone(transaction, &mut seeds, of, instance, now_ms)?;
        }
        let mut ledger = Ledger { accounts: accounts(transaction, counter)?, ..Ledger::default() };
        if ledger.release(instance) > Amount::ZERO {
            let returned = ledger.accounts.get(instance).map_or(Amount::ZERO, |account| account.returned);
            transaction.execute(
                "UPDATE accounts SET returned = ?3 WHERE counter = ?1 AND instance = ?2",
                params![counter, instance, bytes(returned)],
            )?;
            released += 1;
        }
    }
    if released > 0 {
        let entry = Entry {
            time_ms: now_ms,
            actor: actor.to_owned(),
            action: "budget.release".into(),
            subject: instance.to_owned(),
            after: Some(json!({ "counters": released, "live": is_live })),
            ..Entry::default()
        };
        append(transaction, &entry)?;
    }
    Ok(Released::Counters(released))
}

/// What became of a release of what is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeptReleased {
    /// So much was given back.
    Amount(Amount),
    /// There is no such budget.
    NoBudget,
}

/// Gives back what is kept above the records' costs on all counters of a budget that count now, or on that of
/// one value.
pub(super) fn release_kept(
    transaction: &Transaction<'_>,
    (name, value): (&str, Option<&str>),
    actor: &str,
    now_ms: u64,
) -> Result<KeptReleased, StoreError> {
    let Some(stored) = super::all(transaction)?.into_iter().find(|stored| stored.budget.name == name) else {
        return Ok(KeptReleased::NoBudget);
    };
    let span = span(&stored.budget, now_ms);
    let from = span.start_ms.saturating_sub(stored.budget.window.reach_ms());
    let mut statement = transaction.prepare_cached(
        "SELECT id, seed, kept FROM counters
         WHERE budget = ?1 AND generation = ?2 AND start_ms >= ?3 AND start_ms <= ?4 AND (?5 IS NULL OR value = ?5)",
    )?;
    let bounds = params![name, signed(stored.generation), signed(from), signed(span.start_ms), value];
    let counters: Vec<(i64, Amount, Amount)> = statement
        .query_map(bounds, |row| Ok((row.get(0)?, super::amount(row, 1)?, super::amount(row, 2)?)))?
        .collect::<Result<_, _>>()?;
    let mut released = Amount::ZERO;
    for (id, seed, kept) in counters {
        let ledger = Ledger { seed, kept, accounts: accounts(transaction, id)?, ..Ledger::default() };
        let back = ledger.kept_in_all().or_nothing();
        if back > Amount::ZERO {
            transaction.execute(
                "UPDATE counters SET seed = ?2, kept = ?3 WHERE id = ?1",
                params![id, bytes(seed.minus(back)), bytes(kept.minus(back))],
            )?;
            released = released.plus(back);
        }
    }
    if released > Amount::ZERO {
        let entry = Entry {
            time_ms: now_ms,
            actor: actor.to_owned(),
            action: "budget.release_kept".into(),
            subject: name.to_owned(),
            after: Some(json!({ "released": stored.budget.unit.show(released), "value": value })),
            ..Entry::default()
        };
        append(transaction, &entry)?;
    }
    Ok(KeptReleased::Amount(released))
}

fn key_of(connection: &Connection, counter: i64) -> Result<CounterKey, StoreError> {
    let read = |row: &Row<'_>| {
        let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let span = Span { start_ms: number(3)?, end_ms: number(4)? };
        Ok(CounterKey { budget: row.get(0)?, generation: number(1)?, value: row.get(2)?, span })
    };
    let sql = "SELECT budget, generation, value, start_ms, end_ms FROM counters WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([counter], read)?)
}

/// When a run of a gateway reported last, Unix milliseconds UTC; `None` for one that never did.
fn last_seen(connection: &Connection, instance: &str) -> Result<Option<u64>, StoreError> {
    let seen: Option<i64> = connection
        .prepare_cached(
            "SELECT max(seen_ms) FROM (
                 SELECT seen_ms FROM accounts WHERE instance = ?1
                 UNION ALL SELECT last_seen_ms FROM gateway_instances WHERE instance = ?1
             )",
        )?
        .query_row([instance], |row| row.get(0))?;
    Ok(seen.map(i64::unsigned_abs))
}

/// Runs of gateways that reported last, the newest first.
fn newest_instances(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT instance FROM gateway_instances ORDER BY last_seen_ms DESC, instance LIMIT ?1",
    )?;
    Ok(statement.query_map([INSTANCES_NAMED], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Instances that are named where one is not known.
const INSTANCES_NAMED: u32 = 10;

//! Grants of gateways that are gone.

use rusqlite::{Connection, Transaction, params};
use serde_json::json;
use tollgate_core::budget::Amount;
use tollgate_core::budget::ledger::{LIVE_MS, Ledger};

use super::super::audit::append;
use super::{StoreError, accounts, bytes};
use crate::audit::Entry;

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

/// Takes back what a run of a gateway was granted and has not used, on every counter; of one that reports only with
/// `force`, as it may go on spending until it hears of it.
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
    let mut released = 0;
    for counter in counters {
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

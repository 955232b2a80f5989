//! Budgets, counters and accounts: the ledgers of `tollgate_core::budget::ledger`, read, changed and written
//! in one transaction, so that their invariant holds whoever else does the same.
//!
//! Long: the statements on definitions and counters of budgets, which change together.

mod audited;
mod bounds;
mod counted;
mod definitions;
mod imported;
mod late_budgets;
mod operations;
mod release;
mod seed;
#[cfg(test)]
mod tests;
mod top_ups;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tollgate_core::budget::ledger::{Account, LIVE_MS, Ledger};
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::window::Window;
use tollgate_core::budget::{Amount, Budget, DEFAULT_LEASE_MS};
use tollgate_core::protocol::sync::{CounterGrant, CounterReport};

pub(super) use audited::unlike_trail;
pub(super) use counted::compare as compare_counters;
pub(super) use definitions::{all, configure, put, registered, remove, state};
pub(super) use late_budgets::{Missed, count_missed, count_moved, newest_ms};
pub use release::{KeptReleased, Released};
pub use top_ups::ToppedUp;

use crate::model::calendar::span;
use crate::model::clock::signed;
use crate::store::agents::registry::StoredAgent;
use crate::store::database::error::StoreError;
use bounds::Reporter;
use seed::Seeds;
use top_ups::{carried_over, limit_before, settle_carried_from};

/// A budget, and what the store knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredBudget {
    /// The budget.
    pub budget: Budget,
    /// Grows when it begins to count otherwise.
    pub generation: u64,
    /// Where it is defined: `file` or `api`.
    pub source: String,
    /// When it was made, Unix milliseconds UTC.
    pub created_ms: u64,
    /// Since when it counts as it does: what was spent before is taken from records.
    pub since_ms: u64,
    /// It is for calls of unknown agents alone. Records do not tell these, so that only what gateways charge
    /// counts.
    pub is_quarantine: bool,
}

/// What the configuration file says that the store keeps.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// Its budgets.
    pub budgets: Vec<Budget>,
    /// Names that have counters of their own where a budget has one for each; empty where any name has.
    pub registered: BTreeSet<String>,
    /// Names of its budgets that are for calls of unknown agents alone.
    pub quarantine: BTreeSet<String>,
    /// Its agents that have a team, and that.
    pub teams: BTreeMap<String, String>,
}

/// What is defined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defined {
    /// Budgets that hold.
    pub budgets: Vec<StoredBudget>,
    /// Agents of the registry.
    pub agents: Vec<StoredAgent>,
}

/// A counter of a budget, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct CounterState {
    /// Which.
    pub key: CounterKey,
    /// Its ledger.
    pub ledger: Ledger,
    /// Names of the gateways of its accounts, by instance.
    pub gateways: BTreeMap<String, String>,
    /// When the first part of it begins that counts now, Unix milliseconds UTC: of a rolling window there are
    /// several.
    pub first_ms: u64,
}

/// What was done to a budget.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Put {
    /// It is new.
    Created,
    /// It is another now; what was spent stays.
    Changed,
    /// It counts otherwise now: its counters begin with what records say.
    CountsOtherwise,
    /// It was so before.
    Same,
}

/// Takes in what a gateway reports of its counters, and answers each.
pub(super) fn sync(
    transaction: &Transaction<'_>,
    gateway: &str,
    instance: &str,
    reports: &[CounterReport],
    now_ms: u64,
) -> Result<Vec<CounterGrant>, StoreError> {
    let budgets: BTreeMap<String, StoredBudget> =
        all(transaction)?.into_iter().map(|stored| (stored.budget.name.clone(), stored)).collect();
    let live = live(transaction, now_ms)?;
    let heard = heard(transaction)?;
    let mut seeds = Seeds::default();
    let mut reporter = Reporter::new(gateway, instance);
    let mut grants = Vec::with_capacity(reports.len());
    for CounterReport { key, report } in reports {
        let stored = budgets.get(&key.budget);
        let current = stored.filter(|stored| stored.generation == key.generation);
        let made = counter(transaction, (&mut seeds, Some(&mut reporter)), current, key, now_ms)?;
        let Some(id) = made else { continue };
        let mut ledger = load(transaction, id, current.map(|stored| &stored.budget), key)?;
        let was_busy = ledger.accounts.get(instance).is_some_and(|account| account.held > Amount::ZERO);
        // Whoever speaks is heard before anything is taken back.
        ledger.report(instance, report, now_ms);
        // What others hold may be what a gateway that is gone had settled: at rest it can be told apart.
        let mut gone =
            if was_busy && ledger.held() == Amount::ZERO { imported::adrift(&ledger) } else { Vec::new() };
        for ended in ledger.end_leases(&|one| heard.get(one).copied().unwrap_or(0), now_ms) {
            end_lease(transaction, id, &ended, &ledger)?;
            gone.push(ended);
        }
        let grant = match current.is_some() && now_ms < key.span.end_ms {
            true => ledger.grant(instance, report, live, now_ms),
            false => ledger.last_word(instance, now_ms),
        };
        save(transaction, id, gateway, instance, &ledger)?;
        for ended in gone {
            let Some(stored) = current else { break };
            imported::count_of_the_gone(transaction, &mut seeds, (stored, key, id), &ended, now_ms)?;
        }
        grants.push(CounterGrant { key: key.clone(), grant });
    }
    Ok(grants)
}

/// When each run of a gateway was heard of last, of whichever counter, Unix milliseconds UTC.
fn heard(connection: &Connection) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT instance, max(last_seen_ms) FROM gateway_instances GROUP BY instance")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes what is left of an account whose lease has ended.
fn end_lease(
    transaction: &Transaction<'_>,
    counter: i64,
    instance: &str,
    ledger: &Ledger,
) -> Result<(), StoreError> {
    let Some(account) = ledger.accounts.get(instance) else { return Ok(()) };
    transaction
        .prepare_cached(
            "UPDATE accounts SET returned = ?3, used = ?4, held = ?5, in_flight = ?6, granted = ?7, adrift = ?8
             WHERE counter = ?1 AND instance = ?2",
        )?
        .execute(params![
            counter,
            instance,
            bytes(account.returned),
            bytes(account.used),
            bytes(account.held),
            account.in_flight,
            bytes(account.granted),
            bytes(account.adrift),
        ])?;
    Ok(())
}

/// Gateways that report.
fn live(connection: &Connection, now_ms: u64) -> Result<usize, StoreError> {
    let since = signed(now_ms.saturating_sub(LIVE_MS));
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM gateway_instances WHERE last_seen_ms >= ?1")?
        .query_row([since], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(1).max(1))
}

/// The id of a counter, made where it is missing. `None` for a window that its budget does not have: nothing
/// is granted for what a gateway makes up.
fn counter(
    transaction: &Transaction<'_>,
    (seeds, reporter): (&mut Seeds, Option<&mut Reporter<'_>>),
    current: Option<&StoredBudget>,
    key: &CounterKey,
    now_ms: u64,
) -> Result<Option<i64>, StoreError> {
    let found = known(transaction, key)?;
    let Some(stored) = current else { return Ok(found) };
    let budget = &stored.budget;
    let carries_over = budget.carry_over > Amount::ZERO;
    if let Some(id) = found {
        if carries_over {
            settle_carried_from(transaction, stored, key, id, now_ms)?;
        }
        return Ok(found);
    }
    let now = span(budget, now_ms);
    if span(budget, key.span.start_ms) != key.span || key.span.start_ms > now.end_ms {
        return Ok(None);
    }
    if !bounds::admits(transaction, stored, key, reporter)? {
        return Ok(None);
    }
    let seed = seeds.spent_before(transaction, stored, key)?;
    if let Window::Rolling(_) = budget.window {
        seed::earlier_parts_unseen(transaction, seeds, stored, key)?;
    }
    let id = make(transaction, key, (Amount::ZERO, seed), carries_over)?;
    if carries_over {
        settle_carried_from(transaction, stored, key, id, now_ms)?;
    }
    Ok(Some(id))
}

/// Makes a counter. Where it `may_carry`, what is carried over to it is settled later; else nothing is.
fn make(
    transaction: &Transaction<'_>,
    key: &CounterKey,
    (extra, seed): (Amount, Amount),
    may_carry: bool,
) -> Result<i64, StoreError> {
    Ok(transaction
        .prepare_cached(
            "INSERT INTO counters (budget, generation, value, start_ms, end_ms, extra, seed, carried_from, recall_for,
                 recall_until_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '', 0)",
        )?
        .insert(params![
            key.budget,
            signed(key.generation),
            key.value,
            signed(key.span.start_ms),
            signed(key.span.end_ms),
            bytes(extra),
            bytes(seed),
            (!may_carry).then_some(bytes(Amount::ZERO)),
        ])?)
}

/// What counts on a counter against its limit.
fn committed(connection: &Connection, id: i64) -> Result<Amount, StoreError> {
    let seed = connection
        .prepare_cached("SELECT seed FROM counters WHERE id = ?1")?
        .query_row([id], |row| amount(row, 0))?;
    let ledger = Ledger { seed, accounts: accounts(connection, id)?, ..Ledger::default() };
    Ok(ledger.committed())
}

fn known(connection: &Connection, key: &CounterKey) -> Result<Option<i64>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT id FROM counters WHERE budget = ?1 AND generation = ?2 AND value = ?3 AND start_ms = ?4",
        )?
        .query_row(params![key.budget, signed(key.generation), key.value, signed(key.span.start_ms)], |row| {
            row.get(0)
        })
        .optional()?)
}

/// The ledger of a counter. Of a budget that is gone the limit is nothing.
fn load(
    connection: &Connection,
    id: i64,
    budget: Option<&Budget>,
    key: &CounterKey,
) -> Result<Ledger, StoreError> {
    let (extra, seed, kept, from, recall_for, recall_until_ms) = connection
        .prepare_cached(
            "SELECT extra, seed, kept, carried_from, recall_for, recall_until_ms FROM counters WHERE id = ?1",
        )?
        .query_row([id], |row| {
            let from = amount_or_none(row, 3)?.unwrap_or_default();
            let (recall_for, until) = (row.get(4)?, row.get::<_, i64>(5)?);
            Ok((amount(row, 0)?, amount(row, 1)?, amount(row, 2)?, from, recall_for, until))
        })?;
    let limit = match budget {
        Some(budget) => budget.limit.plus(extra).plus(carried_over(connection, budget, key, from)?),
        None => Amount::ZERO,
    };
    let mut ledger = Ledger {
        limit,
        seed,
        kept,
        lease_ms: budget.map_or(DEFAULT_LEASE_MS, |budget| budget.lease_ms),
        accounts: accounts(connection, id)?,
        recall_for,
        recall_until_ms: recall_until_ms.unsigned_abs(),
    };
    if let Some(Budget { window: window @ Window::Rolling(_), .. }) = budget {
        add_earlier_parts(connection, &mut ledger, key, *window)?;
    }
    Ok(ledger)
}

/// Adds what counts of the earlier parts of a rolling window: what was spent in them, and topped up.
fn add_earlier_parts(
    connection: &Connection,
    ledger: &mut Ledger,
    key: &CounterKey,
    window: Window,
) -> Result<(), StoreError> {
    let from = key.span.start_ms.saturating_sub(window.reach_ms());
    let mut statement = connection.prepare_cached(
        "SELECT id, extra FROM counters
         WHERE budget = ?1 AND generation = ?2 AND value = ?3 AND start_ms >= ?4 AND start_ms < ?5",
    )?;
    let bounds =
        params![key.budget, signed(key.generation), key.value, signed(from), signed(key.span.start_ms)];
    let parts: Vec<(i64, Amount)> =
        statement.query_map(bounds, |row| Ok((row.get(0)?, amount(row, 1)?)))?.collect::<Result<_, _>>()?;
    for (id, extra) in parts {
        ledger.seed = ledger.seed.plus(committed(connection, id)?);
        ledger.limit = ledger.limit.plus(extra);
    }
    Ok(())
}

fn accounts(connection: &Connection, counter: i64) -> Result<BTreeMap<String, Account>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT instance, granted, returned, used, held, kept, burn, in_flight, denied, version, seen_ms, rate, adrift,
             made_up
         FROM accounts WHERE counter = ?1",
    )?;
    let rows = statement.query_map([counter], |row| {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let account = Account {
            granted: amount(row, 1)?,
            returned: amount(row, 2)?,
            used: amount(row, 3)?,
            held: amount(row, 4)?,
            kept: amount(row, 5)?,
            burn: amount(row, 6)?,
            in_flight: u32::try_from(number(7)?).unwrap_or(u32::MAX),
            denied: number(8)?,
            version: number(9)?,
            seen_ms: number(10)?,
            rate: amount(row, 11)?,
            adrift: amount(row, 12)?,
            made_up: amount(row, 13)?,
        };
        Ok((row.get(0)?, account))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn save(
    transaction: &Transaction<'_>,
    counter: i64,
    gateway: &str,
    instance: &str,
    ledger: &Ledger,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "UPDATE counters SET recall_until_ms = ?2, recall_for = ?3
             WHERE id = ?1 AND (recall_until_ms <> ?2 OR recall_for <> ?3)",
        )?
        .execute(params![counter, signed(ledger.recall_until_ms), ledger.recall_for])?;
    let Some(account) = ledger.accounts.get(instance) else { return Ok(()) };
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO accounts (counter, instance, gateway, granted, returned, used, held, kept, burn,
                 in_flight, denied, version, seen_ms, rate, adrift, made_up)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            counter,
            instance,
            gateway,
            bytes(account.granted),
            bytes(account.returned),
            bytes(account.used),
            bytes(account.held),
            bytes(account.kept),
            bytes(account.burn),
            account.in_flight,
            signed(account.denied),
            signed(account.version),
            signed(account.seen_ms),
            bytes(account.rate),
            bytes(account.adrift),
            bytes(account.made_up),
        ])?;
    Ok(())
}

/// Every counter of the windows that hold now, of each budget.
pub(super) fn states(
    connection: &Connection,
    now_ms: u64,
) -> Result<Vec<(StoredBudget, Vec<CounterState>)>, StoreError> {
    let mut all_states = Vec::new();
    let heard = heard(connection)?;
    for stored in all(connection)? {
        let span = span(&stored.budget, now_ms);
        // Of a rolling window the parts before this one count too.
        let from = span.start_ms.saturating_sub(stored.budget.window.reach_ms());
        let mut statement = connection.prepare_cached(
            "SELECT value, min(start_ms) FROM counters
             WHERE budget = ?1 AND generation = ?2 AND start_ms >= ?3 AND start_ms <= ?4
             GROUP BY value ORDER BY value",
        )?;
        let bounds =
            params![stored.budget.name, signed(stored.generation), signed(from), signed(span.start_ms)];
        let values: Vec<(String, i64)> =
            statement.query_map(bounds, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let mut states = Vec::with_capacity(values.len());
        for (value, first_ms) in values {
            let key =
                CounterKey { budget: stored.budget.name.clone(), generation: stored.generation, value, span };
            let (mut ledger, gateways) = match known(connection, &key)? {
                Some(id) => (load(connection, id, Some(&stored.budget), &key)?, gateways(connection, id)?),
                None => {
                    let mut ledger = Ledger { limit: stored.budget.limit, ..Ledger::default() };
                    add_earlier_parts(connection, &mut ledger, &key, stored.budget.window)?;
                    (ledger, BTreeMap::new())
                }
            };
            // As the next report would leave it.
            ledger.end_leases(&|one| heard.get(one).copied().unwrap_or(0), now_ms);
            states.push(CounterState { ledger, gateways, key, first_ms: first_ms.unsigned_abs() });
        }
        all_states.push((stored, states));
    }
    Ok(all_states)
}

/// The same, and for each budget the counters that nobody has used yet in the window that holds, as they
/// would begin: the only one, or those of values that have spent something.
pub(super) fn outlook(
    connection: &Connection,
    now_ms: u64,
) -> Result<Vec<(StoredBudget, Vec<CounterState>)>, StoreError> {
    let mut seeds = Seeds::default();
    let mut all_states = states(connection, now_ms)?;
    for (stored, states) in &mut all_states {
        let budget = &stored.budget;
        if budget.each.is_none() && !states.is_empty() {
            continue;
        }
        let span = span(budget, now_ms);
        let mut unseen = seeds.unseen(connection, stored, span)?;
        if budget.each.is_none() {
            unseen.entry(String::new()).or_default();
        }
        for state in states.iter() {
            unseen.remove(&state.key.value);
        }
        for (value, seed) in unseen {
            let key = CounterKey { budget: budget.name.clone(), generation: stored.generation, value, span };
            let from = limit_before(connection, stored, &key)?;
            let limit = budget.limit.plus(carried_over(connection, budget, &key, from)?);
            let ledger = Ledger { limit, seed, ..Ledger::default() };
            let first_ms = span.start_ms.saturating_sub(budget.window.reach_ms());
            states.push(CounterState { key, ledger, gateways: BTreeMap::new(), first_ms });
        }
        states.sort_by(|one, other| one.key.value.cmp(&other.key.value));
    }
    Ok(all_states)
}

fn gateways(connection: &Connection, counter: i64) -> Result<BTreeMap<String, String>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT instance, gateway FROM accounts WHERE counter = ?1")?;
    let rows = statement.query_map([counter], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn amount(row: &Row<'_>, at: usize) -> rusqlite::Result<Amount> {
    row.get::<_, [u8; 16]>(at).map(|bytes| Amount(i128::from_be_bytes(bytes)))
}

fn amount_or_none(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Amount>> {
    row.get::<_, Option<[u8; 16]>>(at).map(|bytes| bytes.map(|bytes| Amount(i128::from_be_bytes(bytes))))
}

fn bytes(amount: Amount) -> [u8; 16] {
    amount.0.to_be_bytes()
}

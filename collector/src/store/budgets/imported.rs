//! What a counter has charged, beside what its records say: for corrections of it, and for records that come
//! from an access log, as their gateway could not report them. Some of those it had charged already, and for
//! others it held something when it was last heard of.
//!
//! What counts is that a counter's settled charges are the sum of its records. What it has charged beyond the
//! records that were there is credit: so much of the imported ones is charged already. The rest is added; and
//! as nobody had charged it, the call was under way, or unseen, when its gateway fell silent, so that what is
//! presumed for it there goes.

use std::collections::BTreeSet;

use rusqlite::{Connection, Transaction};
use tollgate_core::budget::Amount;
use tollgate_core::budget::ledger::LIVE_MS;
use tollgate_core::budget::scope::CounterKey;

use super::late_budgets::{Added, add};
use super::seed::Seeds;
use super::{Ledger, StoreError, StoredBudget, accounts, amount, end_lease, gateways, heard};

/// What imported records spent on one counter, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Imported(Vec<(String, Amount)>);

impl Imported {
    /// Another record, of this gateway.
    pub(super) fn push(&mut self, gateway: &str, spent: Amount) {
        self.0.push((gateway.to_owned(), spent));
    }
}

/// Counts imported records on their counter, which has this id.
pub(super) fn count(
    transaction: &Transaction<'_>,
    seeds: &mut Seeds,
    (stored, key, id): (&StoredBudget, &CounterKey, i64),
    imported: &Imported,
    now_ms: u64,
) -> Result<(), StoreError> {
    let all = imported.0.iter().fold(Amount::ZERO, |sum, (_, spent)| sum.plus(*spent));
    let mut credit = match seeds.recorded(transaction, stored, key, now_ms)? {
        Some(recorded) => settled(transaction, id)?.minus(recorded.minus(all)).or_nothing(),
        None => Amount::ZERO,
    };
    let heard = heard(transaction)?;
    let names = gateways(transaction, id)?;
    let mut ledger = Ledger { accounts: accounts(transaction, id)?, ..Ledger::default() };
    let (mut more, mut changed) = (Amount::ZERO, BTreeSet::new());
    for (gateway, spent) in &imported.0 {
        let charged = credit.min(*spent);
        credit = credit.minus(charged);
        let rest = spent.minus(charged);
        if charged > Amount::ZERO && rest == Amount::ZERO {
            continue;
        }
        more = more.plus(rest);
        let is_gone = |seen_ms: u64, instance: &str| {
            now_ms > seen_ms.max(heard.get(instance).copied().unwrap_or(0)).saturating_add(LIVE_MS)
        };
        let gone = ledger.accounts.iter_mut().filter(|(instance, account)| {
            names.get(*instance) == Some(gateway) && is_gone(account.seen_ms, instance)
        });
        // Of several runs, one with a call under way; else one that has anything left.
        let best = gone.max_by_key(|(_, account)| (account.in_flight > 0, account.unused()));
        if let Some((instance, account)) = best
            && account.found(rest) > Amount::ZERO
        {
            changed.insert(instance.clone());
        }
    }
    for instance in &changed {
        end_lease(transaction, id, instance, &ledger)?;
    }
    add(transaction, id, Added { used: more, kept: Amount::ZERO })?;
    for instance in adrift(&ledger) {
        count_of_the_gone(transaction, seeds, (stored, key, id), &instance, now_ms)?;
    }
    Ok(())
}

/// A correction, of which no more is taken off a counter than it has charged, or holds, beyond its records: a
/// record that its gateway never charged gives nobody anything back.
pub(super) fn at_most(
    transaction: &Transaction<'_>,
    seeds: &mut Seeds,
    (stored, key, id): (&StoredBudget, &CounterKey, i64),
    more: Added,
    now_ms: u64,
) -> Result<Added, StoreError> {
    if more.used >= Amount::ZERO && more.kept >= Amount::ZERO {
        return Ok(more);
    }
    let Some(recorded) = seeds.recorded(transaction, stored, key, now_ms)? else { return Ok(more) };
    let ledger = standing(transaction, id)?;
    let beyond = ledger.used().minus(recorded).or_nothing();
    let kept = ledger.kept_in_all().or_nothing();
    Ok(Added {
        used: more.used.max(Amount::ZERO.minus(beyond)),
        kept: more.kept.max(Amount::ZERO.minus(kept)),
    })
}

/// Runs of gateways whose lease has ended while calls of theirs were under way, or thought to be.
pub(super) fn adrift(ledger: &Ledger) -> Vec<String> {
    let adrift = ledger.accounts.iter().filter(|(_, account)| account.adrift > Amount::ZERO);
    adrift.map(|(instance, _)| instance.clone()).collect()
}

/// Counts what a gateway that is gone had shipped the records of, and not yet said that it had settled: as
/// far as nothing else on the counter explains what records say.
pub(super) fn count_of_the_gone(
    transaction: &Transaction<'_>,
    seeds: &mut Seeds,
    (stored, key, id): (&StoredBudget, &CounterKey, i64),
    instance: &str,
    now_ms: u64,
) -> Result<(), StoreError> {
    let mut ledger = standing(transaction, id)?;
    if ledger.accounts.get(instance).is_none_or(|account| account.adrift <= Amount::ZERO) {
        return Ok(());
    }
    let Some(recorded) = seeds.recorded(transaction, stored, key, now_ms)? else { return Ok(()) };
    if ledger.was_spent(instance, recorded) > Amount::ZERO {
        end_lease(transaction, id, instance, &ledger)?;
    }
    Ok(())
}

/// What a counter has charged for calls that have ended, as far as their records say so.
fn settled(connection: &Connection, id: i64) -> Result<Amount, StoreError> {
    let ledger = standing(connection, id)?;
    Ok(ledger.used().minus(ledger.held()).minus(ledger.kept_in_all()))
}

fn standing(connection: &Connection, id: i64) -> Result<Ledger, StoreError> {
    let (seed, kept) = connection
        .prepare_cached("SELECT seed, kept FROM counters WHERE id = ?1")?
        .query_row([id], |row| Ok((amount(row, 0)?, amount(row, 1)?)))?;
    Ok(Ledger { seed, kept, accounts: accounts(connection, id)?, ..Ledger::default() })
}

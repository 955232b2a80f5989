//! What a counter's limit has above its budget's: top-ups, and what the window before left.

use rusqlite::{Connection, Transaction, params};
use serde_json::json;
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::window::Window;
use tollgate_core::budget::{Amount, Budget};

use super::super::audit::append;
use super::seed::Seeds;
use super::{
    StoreError, StoredBudget, all, amount, amount_or_none, bytes, committed, counter, known, load, make,
};
use crate::model::audit::Entry;
use crate::model::calendar::span;
use crate::model::clock::signed;

/// What became of a top-up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ToppedUp {
    /// This is the limit now.
    Limit(Amount),
    /// There is no such budget.
    NoBudget,
    /// It takes away more than this, which was topped up in the window that holds: nothing changed.
    TooMuch(Amount),
}

/// Adds to the limit of a counter's window that holds now, or takes back what was added there.
pub(super) fn top_up(
    transaction: &Transaction<'_>,
    (name, value): (&str, &str),
    more: Amount,
    actor: &str,
    now_ms: u64,
) -> Result<ToppedUp, StoreError> {
    let Some(stored) = all(transaction)?.into_iter().find(|stored| stored.budget.name == name) else {
        return Ok(ToppedUp::NoBudget);
    };
    let key = CounterKey {
        budget: name.to_owned(),
        generation: stored.generation,
        value: value.to_owned(),
        span: span(&stored.budget, now_ms),
    };
    let seeds = &mut Seeds::default();
    let Some(id) = counter(transaction, (seeds, None), Some(&stored), &key, now_ms)? else {
        return Ok(ToppedUp::NoBudget);
    };
    if more < Amount::ZERO {
        let topped_up = topped_up(transaction, stored.budget.window, &key)?;
        let sum = topped_up.iter().fold(Amount::ZERO, |sum, (_, extra)| sum.plus(*extra));
        if sum.plus(more) < Amount::ZERO {
            return Ok(ToppedUp::TooMuch(sum.or_nothing()));
        }
        // Of a rolling window's parts the newest gives first; what was added there would have stayed longest.
        let mut less = Amount::ZERO.minus(more);
        for (id, extra) in topped_up {
            let taken = less.min(extra);
            less = less.minus(taken);
            set_extra(transaction, id, extra.minus(taken))?;
        }
    } else {
        let before: Amount =
            transaction.query_row("SELECT extra FROM counters WHERE id = ?1", [id], |row| amount(row, 0))?;
        set_extra(transaction, id, before.plus(more))?;
    }
    let after = load(transaction, id, Some(&stored.budget), &key)?.limit;
    let limit = |limit: Amount| json!({"value": value, "limit": stored.budget.unit.show(limit)});
    let entry = Entry {
        time_ms: now_ms,
        actor: actor.to_owned(),
        action: "budget.top_up".into(),
        subject: name.to_owned(),
        before: Some(limit(after.minus(more))),
        after: Some(limit(after)),
    };
    append(transaction, &entry)?;
    Ok(ToppedUp::Limit(after))
}

fn set_extra(transaction: &Transaction<'_>, id: i64, extra: Amount) -> Result<(), StoreError> {
    transaction
        .prepare_cached("UPDATE counters SET extra = ?2 WHERE id = ?1")?
        .execute(params![id, bytes(extra)])?;
    Ok(())
}

/// The counters of a window that were topped up, the newest first, and by what.
fn topped_up(
    connection: &Connection,
    window: Window,
    key: &CounterKey,
) -> Result<Vec<(i64, Amount)>, StoreError> {
    let from = key.span.start_ms.saturating_sub(window.reach_ms());
    let mut statement = connection.prepare_cached(
        "SELECT id, extra FROM counters
         WHERE budget = ?1 AND generation = ?2 AND value = ?3 AND start_ms BETWEEN ?4 AND ?5 ORDER BY start_ms DESC",
    )?;
    let bounds =
        params![key.budget, signed(key.generation), key.value, signed(from), signed(key.span.start_ms)];
    Ok(statement.query_map(bounds, |row| Ok((row.get(0)?, amount(row, 1)?)))?.collect::<Result<_, _>>()?)
}

/// Tops up the counters of a budget that begins to count otherwise by what those of before were that had the
/// same value and window, and by what had been carried over to them. With another unit, or another `each`,
/// there are no such counters.
pub(super) fn keep_top_ups(
    transaction: &Transaction<'_>,
    before: &StoredBudget,
    after: &StoredBudget,
    now_ms: u64,
) -> Result<(), StoreError> {
    if before.budget.unit != after.budget.unit || before.budget.each != after.budget.each {
        return Ok(());
    }
    let since = now_ms.saturating_sub(after.budget.window.reach_ms());
    let mut statement = transaction.prepare_cached(
        "SELECT value, start_ms, end_ms, extra, carried_from FROM counters
         WHERE budget = ?1 AND generation = ?2 AND end_ms > ?3 AND (extra <> ?4 OR carried_from <> ?4)",
    )?;
    let old = params![before.budget.name, signed(before.generation), signed(since), bytes(Amount::ZERO)];
    let topped_up: Vec<(String, i64, i64, Amount, Option<Amount>)> = statement
        .query_map(old, |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, amount(row, 3)?, amount_or_none(row, 4)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut seeds = Seeds::default();
    for (value, start_ms, end_ms, extra, from) in topped_up {
        let span = span(&after.budget, start_ms.unsigned_abs());
        if (signed(span.start_ms), signed(span.end_ms)) != (start_ms, end_ms) {
            continue;
        }
        let old =
            CounterKey { budget: before.budget.name.clone(), generation: before.generation, value, span };
        let carried = carried_over(transaction, &before.budget, &old, from.unwrap_or_default())?;
        let extra = extra.plus(carried.min(after.budget.carry_over));
        let key = CounterKey { generation: after.generation, ..old };
        let id = match known(transaction, &key)? {
            None if span.end_ms <= now_ms => {
                let seed = seeds.spent_before(transaction, after, &key)?;
                Some(make(transaction, &key, (extra, seed), false)?)
            }
            None => counter(transaction, (&mut seeds, None), Some(after), &key, now_ms)?,
            found => found,
        };
        if let Some(id) = id {
            transaction
                .prepare_cached("UPDATE counters SET extra = ?2, carried_from = ?3 WHERE id = ?1")?
                .execute(params![id, bytes(extra), bytes(Amount::ZERO)])?;
        }
    }
    Ok(())
}

/// Notes once what the limit of the window before was, when that is over: while it holds, all of it may still
/// be spent there.
pub(super) fn settle_carried_from(
    transaction: &Transaction<'_>,
    stored: &StoredBudget,
    key: &CounterKey,
    id: i64,
    now_ms: u64,
) -> Result<(), StoreError> {
    if now_ms < key.span.start_ms {
        return Ok(());
    }
    let is_open: bool = transaction
        .prepare_cached("SELECT carried_from IS NULL FROM counters WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    if is_open {
        let from = limit_before(transaction, stored, key)?;
        transaction
            .prepare_cached("UPDATE counters SET carried_from = ?2 WHERE id = ?1")?
            .execute(params![id, bytes(from)])?;
    }
    Ok(())
}

/// The limit of the window before, as far as this one may carry over what that left; nothing where it may
/// not.
pub(super) fn limit_before(
    connection: &Connection,
    stored: &StoredBudget,
    key: &CounterKey,
) -> Result<Amount, StoreError> {
    let budget = &stored.budget;
    let Some(before) = window_before(budget, key) else { return Ok(Amount::ZERO) };
    match known(connection, &before)? {
        Some(id) => Ok(load(connection, id, Some(budget), &before)?.limit),
        // Nobody used it then. A budget that was not there then left nothing.
        None if stored.since_ms <= before.span.start_ms => Ok(budget.limit),
        None => Ok(Amount::ZERO),
    }
}

/// The counter of the window before, whose rest is carried over; `None` where none is.
fn window_before(budget: &Budget, key: &CounterKey) -> Option<CounterKey> {
    let end_ms = key.span.start_ms.checked_sub(1).filter(|_| budget.carry_over > Amount::ZERO)?;
    Some(CounterKey { span: span(budget, end_ms), ..key.clone() })
}

/// What is carried over of the limit that the window before had: never what is granted there and may still be
/// spent. It grows when that is given back.
pub(super) fn carried_over(
    connection: &Connection,
    budget: &Budget,
    key: &CounterKey,
    from: Amount,
) -> Result<Amount, StoreError> {
    let Some(before) = window_before(budget, key).filter(|_| from > Amount::ZERO) else {
        return Ok(Amount::ZERO);
    };
    let committed = match known(connection, &before)? {
        Some(id) => committed(connection, id)?,
        None => Amount::ZERO,
    };
    Ok(from.minus(committed).or_nothing().min(budget.carry_over))
}

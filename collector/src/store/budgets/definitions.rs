//! Budgets as they are defined: by the configuration file and by the API, each change in the audit trail.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tollgate_core::budget::{Budget, define};

use super::super::audit::append;
use super::audited::CONFIGURATION;
use super::top_ups::keep_top_ups;
use super::{Configured, Put, StoreError, StoredBudget};
use crate::model::audit::Entry;
use crate::model::clock::signed;
use crate::store::agents::registry;

/// The number of the budgets' state: every change makes it larger.
pub(in crate::store) fn state(connection: &Connection) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT version FROM budgets_state")?;
    Ok(statement.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// All budgets that hold.
pub(in crate::store) fn all(connection: &Connection) -> Result<Vec<StoredBudget>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT definition, generation, source, created_ms, since_ms, quarantine FROM budgets
         WHERE removed_ms IS NULL ORDER BY name",
    )?;
    let mut rows = statement.query([])?;
    let mut budgets = Vec::new();
    while let Some(row) = rows.next()? {
        budgets.push(stored(row)?);
    }
    Ok(budgets)
}

fn stored(row: &Row<'_>) -> Result<StoredBudget, StoreError> {
    let text: String = row.get(0)?;
    Ok(StoredBudget {
        budget: serde_json::from_str(&text).map_err(|_| StoreError::Damaged("budget"))?,
        generation: row.get::<_, i64>(1)?.unsigned_abs(),
        source: row.get(2)?,
        created_ms: row.get::<_, i64>(3)?.unsigned_abs(),
        since_ms: row.get::<_, i64>(4)?.unsigned_abs(),
        is_quarantine: row.get(5)?,
    })
}

/// Puts a budget in place, and the change into the audit trail.
// Long: one transaction: what was there, what it becomes, and both in the audit trail.
pub(in crate::store) fn put(
    transaction: &Transaction<'_>,
    budget: &Budget,
    source: &str,
    actor: &str,
    now_ms: u64,
) -> Result<Put, StoreError> {
    let found = transaction
        .prepare_cached(
            "SELECT definition, generation, source, created_ms, since_ms, quarantine, removed_ms IS NOT NULL
             FROM budgets WHERE name = ?1",
        )?
        .query_row([&budget.name], |row| Ok((stored(row), row.get::<_, bool>(6)?)))
        .optional()?;
    let (before, removed) = match found {
        Some((before, removed)) => (Some(before?), removed),
        None => (None, false),
    };
    let (done, generation, since_ms) = match &before {
        None => (Put::Created, 1, now_ms),
        Some(before) if removed => (Put::Created, before.generation + 1, now_ms),
        Some(before) if before.budget == *budget && before.source == source => {
            (Put::Same, before.generation, before.since_ms)
        }
        Some(before) if before.budget.counts_as(budget) => (Put::Changed, before.generation, before.since_ms),
        Some(before) => (Put::CountsOtherwise, before.generation + 1, now_ms),
    };
    if done == Put::Same {
        return Ok(done);
    }
    let made = before.as_ref().filter(|_| !removed).map_or(now_ms, |before| before.created_ms);
    let definition = serde_json::to_string(budget).map_err(|_| StoreError::Damaged("budget"))?;
    transaction.execute(
        "INSERT INTO budgets (name, generation, definition, source, created_ms, since_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET generation = excluded.generation, definition = excluded.definition,
             source = excluded.source, created_ms = excluded.created_ms, since_ms = excluded.since_ms,
             removed_ms = NULL",
        params![budget.name, signed(generation), definition, source, signed(made), signed(since_ms)],
    )?;
    if let (Put::CountsOtherwise, Some(before)) = (done, &before) {
        let after = StoredBudget {
            budget: budget.clone(),
            generation,
            source: source.to_owned(),
            created_ms: made,
            since_ms,
            is_quarantine: before.is_quarantine,
        };
        keep_top_ups(transaction, before, &after, now_ms)?;
    }
    append(
        transaction,
        &Entry {
            time_ms: now_ms,
            actor: actor.to_owned(),
            action: "budget.put".into(),
            subject: budget.name.clone(),
            before: before.filter(|_| !removed).map(|before| define::write(&before.budget)),
            after: Some(define::write(budget)),
        },
    )?;
    Ok(done)
}

/// Removes a budget; its counters stay. False where there is none.
pub(in crate::store) fn remove(
    transaction: &Transaction<'_>,
    name: &str,
    actor: &str,
    now_ms: u64,
) -> Result<bool, StoreError> {
    let Some(stored) = all(transaction)?.into_iter().find(|stored| stored.budget.name == name) else {
        return Ok(false);
    };
    transaction
        .execute("UPDATE budgets SET removed_ms = ?2 WHERE name = ?1", params![name, signed(now_ms)])?;
    let entry = Entry {
        time_ms: now_ms,
        actor: actor.to_owned(),
        action: "budget.remove".into(),
        subject: name.to_owned(),
        before: Some(define::write(&stored.budget)),
        after: None,
    };
    append(transaction, &entry)?;
    Ok(true)
}

/// Names that have counters of their own where a budget has one for each; empty where any name has.
/// Where there are any, agents that the registry has approved are among them.
pub(in crate::store) fn registered(connection: &Connection) -> Result<BTreeSet<String>, StoreError> {
    let mut names = configured_names(connection)?;
    if !names.is_empty() {
        names.extend(registry::approved(connection)?);
    }
    Ok(names)
}

fn configured_names(connection: &Connection) -> Result<BTreeSet<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name FROM registered")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Makes the budgets and the registered names of the configuration file hold: budgets that it had and has no
/// more are removed.
///
/// # Errors
/// [`StoreError::NameTaken`] where the API has a budget of a name that stands in the file, and
/// [`StoreError::TwoTeams`] where an agent of the file is approved for another team in the registry.
pub(in crate::store) fn configure(
    transaction: &Transaction<'_>,
    configured: &Configured,
    now_ms: u64,
) -> Result<(), StoreError> {
    let Configured { budgets, registered: names, quarantine, teams } = configured;
    registry::check_teams(transaction, teams)?;
    if configured_names(transaction)? != *names {
        transaction.execute("DELETE FROM registered", [])?;
        let mut statement = transaction.prepare_cached("INSERT INTO registered (name) VALUES (?1)")?;
        for name in names {
            statement.execute([name])?;
        }
    }
    let before = all(transaction)?;
    let is_taken = |budget: &&Budget| {
        before.iter().any(|stored| stored.source == "api" && stored.budget.name == budget.name)
    };
    if let Some(taken) = budgets.iter().find(is_taken) {
        return Err(StoreError::NameTaken { name: taken.name.clone() });
    }
    for budget in budgets {
        put(transaction, budget, "file", CONFIGURATION, now_ms)?;
    }
    for stored in before {
        let gone = !budgets.iter().any(|budget| budget.name == stored.budget.name);
        if stored.source == "file" && gone {
            remove(transaction, &stored.budget.name, CONFIGURATION, now_ms)?;
        }
    }
    for stored in all(transaction)? {
        let name = &stored.budget.name;
        let is_quarantine = stored.source == "file" && quarantine.contains(name);
        if is_quarantine != stored.is_quarantine {
            transaction.execute(
                "UPDATE budgets SET quarantine = ?2 WHERE name = ?1",
                params![name, is_quarantine],
            )?;
        }
    }
    Ok(())
}

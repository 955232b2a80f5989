//! Whether budgets are what the audit trail says that they became: each change of one is an entry of it.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::Value;
use tollgate_core::budget::{Amount, Budget, define};

use super::{StoreError, bytes};

/// A budget as its entries leave it.
#[derive(Debug, Default)]
struct Replayed {
    budget: Option<Budget>,
    is_removed: bool,
    generation: u64,
    created_ms: u64,
    since_ms: u64,
    source: &'static str,
    /// An entry of it could not be read: only its last text can be compared.
    is_unread: bool,
    /// Its limits were topped up once.
    is_topped_up: bool,
    /// What it was defined as in the last entry.
    last: Value,
}

/// What budgets in the database are and should not be by the audit trail, in words.
pub(in crate::store) fn unlike_trail(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let trail = replay(connection)?;
    let mut wrong = Vec::new();
    let mut statement = connection.prepare(
        "SELECT name, definition, generation, source, created_ms, since_ms, removed_ms IS NOT NULL FROM budgets ORDER BY name",
    )?;
    let mut rows = statement.query([])?;
    let mut seen = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, definition): (String, String) = (row.get(0)?, row.get(1)?);
        let number = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let numbers = (number(2)?, number(4)?, number(5)?);
        let (source, is_removed): (String, bool) = (row.get(3)?, row.get(6)?);
        seen.push(name.clone());
        let Some(should) = trail.get(&name) else {
            wrong.push(format!("budget `{name}` is in no entry of the audit trail"));
            continue;
        };
        if is_removed != should.is_removed {
            let (is, was) = if is_removed { ("gone", "not removed") } else { ("there", "removed") };
            wrong.push(format!("budget `{name}` is {is}, but by the audit trail it was {was}"));
        }
        match serde_json::from_str::<Budget>(&definition) {
            Err(_) => wrong.push(format!("budget `{name}` has a definition that cannot be read any more")),
            Ok(budget) if !should.is(&budget) => wrong.push(format!(
                "budget `{name}` is defined as {}, but by the audit trail as {}",
                define::write(&budget),
                should.last
            )),
            Ok(_) => {}
        }
        let was = (should.generation, should.created_ms, should.since_ms);
        if !should.is_unread && (numbers != was || source != should.source) {
            wrong.push(format!(
                "budget `{name}` has generation, making, begin and source {numbers:?} {source}, but by the audit trail {was:?} {}",
                should.source
            ));
        }
    }
    for (name, _) in trail.iter().filter(|(name, should)| !should.is_removed && !seen.contains(name)) {
        wrong.push(format!("budget `{name}` is not there, but by the audit trail it was not removed"));
    }
    topped_up(connection, &trail, &mut wrong)?;
    Ok(wrong)
}

/// Limits that are higher than their budgets' without an entry.
fn topped_up(
    connection: &Connection,
    trail: &BTreeMap<String, Replayed>,
    wrong: &mut Vec<String>,
) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare("SELECT DISTINCT budget, value FROM counters WHERE extra <> ?1 ORDER BY 1, 2")?;
    let mut rows = statement.query([bytes(Amount::ZERO)])?;
    while let Some(row) = rows.next()? {
        let (name, value): (String, String) = (row.get(0)?, row.get(1)?);
        // What was carried over becomes an extra where a budget begins to count otherwise.
        let may_have = |should: &Replayed| should.is_topped_up || should.generation > 1 || should.is_unread;
        if !trail.get(&name).is_some_and(may_have) {
            wrong.push(format!(
                "budget `{name}` has a higher limit for `{value}`, without an entry of the audit trail"
            ));
        }
    }
    Ok(())
}

fn replay(connection: &Connection) -> Result<BTreeMap<String, Replayed>, StoreError> {
    let mut trail: BTreeMap<String, Replayed> = BTreeMap::new();
    let mut statement = connection.prepare(
        "SELECT subject, action, time_ms, after, actor FROM audit
         WHERE action IN ('budget.put', 'budget.remove', 'budget.top_up') ORDER BY seq",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, action): (String, String) = (row.get(0)?, row.get(1)?);
        let (now_ms, after) = (row.get::<_, i64>(2)?.unsigned_abs(), row.get::<_, Option<String>>(3)?);
        let actor: String = row.get(4)?;
        let one = trail.entry(name.clone()).or_default();
        match action.as_str() {
            "budget.remove" => one.is_removed = true,
            "budget.top_up" => one.is_topped_up = true,
            _ => one.put(&name, after.as_deref().unwrap_or_default(), &actor, now_ms),
        }
    }
    // Nobody tops up what never was.
    trail.retain(|_, one| one.last != Value::Null);
    Ok(trail)
}

impl Replayed {
    /// As `put` in `definitions` has it.
    fn put(&mut self, name: &str, after: &str, actor: &str, now_ms: u64) {
        self.last = serde_json::from_str(after).unwrap_or(Value::String(after.to_owned()));
        let Ok(budget) = define::read_one(&self.last, Some(name)) else {
            self.is_unread = true;
            return;
        };
        match &self.budget {
            Some(before) if !self.is_removed && before.counts_as(&budget) => {}
            before => {
                if before.is_none() || self.is_removed {
                    self.created_ms = now_ms;
                }
                self.generation = self.generation.saturating_add(1);
                self.since_ms = now_ms;
            }
        }
        self.source = if actor == CONFIGURATION { "file" } else { "api" };
        self.is_removed = false;
        self.budget = Some(budget);
    }

    fn is(&self, budget: &Budget) -> bool {
        self.last == define::write(budget) || !self.is_unread && self.budget.as_ref() == Some(budget)
    }
}

/// Who puts and removes what stands in the configuration file.
pub(super) const CONFIGURATION: &str = "configuration";

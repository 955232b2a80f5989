//! Which counters a gateway's report may make: of a window that its budget has lived in, under a value that it can have, and
//! not without end.

use rusqlite::{Connection, params};

use super::{CounterKey, StoreError, StoredBudget, wide};

/// Whether a counter that is not there yet may be made. Its window is one of its budget's.
pub(super) fn admits(
    connection: &Connection,
    stored: &StoredBudget,
    key: &CounterKey,
) -> Result<bool, StoreError> {
    let has_value = stored.budget.each.is_some() != key.value.is_empty();
    if !has_value || key.span.end_ms <= stored.created_ms {
        return Ok(false);
    }
    if key.value.is_empty() {
        return Ok(true);
    }
    let values: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM counters WHERE budget = ?1 AND generation = ?2 AND start_ms = ?3",
        )?
        .query_row(params![key.budget, wide(key.generation), wide(key.span.start_ms)], |row| row.get(0))?;
    Ok(values < VALUES_MAX)
}

/// Values of a budget with `each` in one window. Gateways put what is invented under `(other)` long before.
const VALUES_MAX: i64 = 65_536;

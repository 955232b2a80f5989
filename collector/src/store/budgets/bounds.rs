//! Which counters a gateway's report may make: of a window that its budget has lived in, under a value that
//! it can have, and not without end.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use tollgate_core::budget::Amount;
use tollgate_core::budget::policy::{OTHER, UNKNOWN};

use super::{CounterKey, StoreError, StoredBudget, bytes};

use crate::model::clock::signed;

/// A run of a gateway that reports, and how many values it has of budgets and windows, as far as this was
/// asked.
#[derive(Debug)]
pub(super) struct Reporter<'r> {
    /// Name of the gateway.
    pub(super) gateway: &'r str,
    /// The run.
    pub(super) instance: &'r str,
    /// By budget, generation and start of the window: values of this run, and of all runs of gateways of this
    /// name.
    values: HashMap<(String, u64, u64), (i64, i64)>,
}

impl<'r> Reporter<'r> {
    /// A run that has just begun to report.
    pub(super) fn new(gateway: &'r str, instance: &'r str) -> Self {
        Self { gateway, instance, values: HashMap::new() }
    }

    /// Whether it may have one more value, which is counted then. Values that never spent and have given back
    /// what they had do not count, as gateways take their counters out for others.
    fn may_have_more(&mut self, connection: &Connection, key: &CounterKey) -> Result<bool, StoreError> {
        if [OTHER, UNKNOWN].contains(&key.value.as_str()) {
            return Ok(true);
        }
        let id = (key.budget.clone(), key.generation, key.span.start_ms);
        if !self.values.contains_key(&id) {
            let found = connection
                .prepare_cached(
                    "SELECT count(DISTINCT iif(instance = ?5, counters.id, NULL)), count(DISTINCT counters.id)
                     FROM counters JOIN accounts ON counter = counters.id
                     WHERE budget = ?1 AND generation = ?2 AND start_ms = ?3 AND gateway = ?4
                         AND (used <> ?6 OR granted <> returned) AND value NOT IN (?7, ?8)",
                )?
                .query_row(
                    params![
                        key.budget,
                        signed(key.generation),
                        signed(key.span.start_ms),
                        self.gateway,
                        self.instance,
                        bytes(Amount::ZERO),
                        OTHER,
                        UNKNOWN
                    ],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?;
            self.values.insert(id.clone(), found);
        }
        let Some((of_run, of_name)) = self.values.get_mut(&id) else { return Ok(false) };
        let may = *of_run < RUN_VALUES_MAX && *of_name < RUN_VALUES_MAX * RUNS;
        if may {
            (*of_run, *of_name) = (of_run.saturating_add(1), of_name.saturating_add(1));
        }
        Ok(may)
    }
}

/// Whether a counter that is not there yet may be made, by who reports it, or by the collector itself. Its
/// window is one of its budget's.
pub(super) fn admits(
    connection: &Connection,
    stored: &StoredBudget,
    key: &CounterKey,
    reporter: Option<&mut Reporter<'_>>,
) -> Result<bool, StoreError> {
    let has_value = stored.budget.each.is_some() != key.value.is_empty();
    if !has_value || key.span.end_ms <= stored.created_ms {
        return Ok(false);
    }
    if key.value.is_empty() {
        return Ok(true);
    }
    if let Some(reporter) = reporter
        && !reporter.may_have_more(connection, key)?
    {
        return Ok(false);
    }
    let values: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM counters WHERE budget = ?1 AND generation = ?2 AND start_ms = ?3",
        )?
        .query_row(params![key.budget, signed(key.generation), signed(key.span.start_ms)], |row| {
            row.get(0)
        })?;
    Ok(values < VALUES_MAX)
}

/// Values of a budget with `each` in one window that one run of a gateway may have: four times as many as its
/// Envoy has counters for. It takes out those that never spent for others, and what those were granted is not
/// heard of again.
const RUN_VALUES_MAX: i64 = 4 * 256;
/// Runs of gateways of one name that may have as many.
const RUNS: i64 = 16;
/// Values of a budget with `each` in one window. Gateways put what is invented under `(other)` long before.
const VALUES_MAX: i64 = 65_536;

//! What was spent before a budget began to count, from records: so that no edit loses spend.

use std::collections::BTreeSet;

use rusqlite::{Connection, Transaction, params};
use tollgate_core::attribution::Attribution;
use tollgate_core::budget::scope::{CounterKey, Dimension as BudgetDimension, Subject};
use tollgate_core::budget::window::Window;
use tollgate_core::budget::{Amount, Budget, Unit};
use tollgate_core::record::UsageRecord;

use super::super::dims::{Dimension, Dims};
use super::super::folded;
use super::super::records;
use super::super::sums::Sums;
use super::super::writer::MS_PER_HOUR;
use super::{StoreError, StoredBudget, known, make, wide};
use crate::budgets::span;

/// What records say was spent in a counter's window before its budget began to count: whole hours from the rollups, the
/// rest, and whatever a tag decides, from the records themselves.
pub(super) fn spent_before(
    connection: &Connection,
    stored: &StoredBudget,
    key: &CounterKey,
) -> Result<Amount, StoreError> {
    // A prepaid budget pays for what comes after it.
    let start_ms = match stored.budget.window {
        Window::Prepaid => stored.created_ms,
        _ => key.span.start_ms,
    };
    let from = wide(start_ms);
    let to = wide(stored.since_ms.min(key.span.end_ms));
    if from >= to {
        return Ok(Amount::ZERO);
    }
    let budget = &stored.budget;
    let tagged = budget.scope.0.keys().chain(&budget.each).any(|one| matches!(one, BudgetDimension::Tag(_)));
    let (first_hour, last_hour) =
        ((from + MS_PER_HOUR - 1).div_euclid(MS_PER_HOUR), to.div_euclid(MS_PER_HOUR));
    if tagged || first_hour >= last_hour {
        return records_between(connection, budget, key, from, to);
    }
    let (first_ms, last_ms) = (first_hour * MS_PER_HOUR, last_hour * MS_PER_HOUR);
    let edges = records_between(connection, budget, key, from, first_ms)?
        .plus(records_between(connection, budget, key, last_ms, to)?);
    Ok(edges.plus(rollups_between(connection, budget, key, first_hour, last_hour)?))
}

fn records_between(
    connection: &Connection,
    budget: &Budget,
    key: &CounterKey,
    from: i64,
    to: i64,
) -> Result<Amount, StoreError> {
    let mut sum = Amount::ZERO;
    records::each_between(connection, from, to, |record: &UsageRecord| {
        let subject = Subject {
            attribution: &record.attribution,
            provider: &record.provider,
            model: record.request_model.as_deref(),
            key_id: record.key_id.as_deref(),
        };
        let counts = budget.scope.holds(&subject)
            && budget.each.as_ref().is_none_or(|each| subject.value(each) == Some(key.value.as_str()));
        if counts {
            sum = sum.plus(spent(budget.unit, &Sums::of(record)));
        }
    })?;
    // Totals tell no tags: what has one there is not known.
    let counted = counted(connection, budget, key)?;
    folded::each_between(connection, from, to, |dims, sums| {
        if counted.contains(&dims) {
            sum = sum.plus(spent(budget.unit, sums));
        }
    })?;
    Ok(sum)
}

/// Dimensions that count.
fn counted(connection: &Connection, budget: &Budget, key: &CounterKey) -> Result<BTreeSet<i64>, StoreError> {
    let all = Dims::load(connection, 0)?.into_iter();
    Ok(all.filter(|(_, dims)| counts(budget, key, dims)).map(|(id, _)| id).collect())
}

fn rollups_between(
    connection: &Connection,
    budget: &Budget,
    key: &CounterKey,
    first_hour: i64,
    last_hour: i64,
) -> Result<Amount, StoreError> {
    let counted = counted(connection, budget, key)?;
    let mut statement =
        connection.prepare_cached("SELECT dims, sums FROM rollup_hour WHERE hour >= ?1 AND hour < ?2")?;
    let mut rows = statement.query(params![first_hour, last_hour])?;
    let mut sum = Amount::ZERO;
    while let Some(row) = rows.next()? {
        if counted.contains(&row.get(0)?) {
            sum = sum.plus(spent(budget.unit, &Sums::decode(row.get_ref(1)?.as_blob().unwrap_or_default())?));
        }
    }
    Ok(sum)
}

/// Whether rollup rows of these dimensions count; tags are not among them.
fn counts(budget: &Budget, key: &CounterKey, dims: &Dims) -> bool {
    let text = |dimension| dims.value(dimension).unwrap_or_default().to_owned();
    let attribution = Attribution {
        agent: text(Dimension::Agent),
        team: text(Dimension::Team),
        feature: text(Dimension::Feature),
        environment: text(Dimension::Environment),
        ..Attribution::default()
    };
    let provider = text(Dimension::Provider);
    let subject = Subject {
        attribution: &attribution,
        provider: &provider,
        model: dims.value(Dimension::RequestModel),
        key_id: dims.value(Dimension::KeyId),
    };
    budget.scope.holds(&subject)
        && budget.each.as_ref().is_none_or(|each| subject.value(each) == Some(key.value.as_str()))
}

fn spent(unit: Unit, sums: &Sums) -> Amount {
    let totals = &sums.totals;
    match unit {
        Unit::Dollars => Amount(totals.cost.as_pico()),
        Unit::Tokens => Amount(i128::from(totals.input_tokens) + i128::from(totals.output_tokens)),
        Unit::Calls => Amount(i128::from(totals.calls)),
    }
}

/// Counters of the earlier parts of a rolling window that its budget did not see: what records say was spent in them.
pub(super) fn earlier_parts_unseen(
    transaction: &Transaction<'_>,
    stored: &StoredBudget,
    key: &CounterKey,
) -> Result<(), StoreError> {
    let from = key.span.start_ms.saturating_sub(stored.budget.window.reach_ms());
    let mut part = span(&stored.budget, from);
    while part.start_ms < key.span.start_ms.min(stored.since_ms) {
        let earlier = CounterKey { span: part, ..key.clone() };
        if known(transaction, &earlier)?.is_none() {
            let seed = spent_before(transaction, stored, &earlier)?;
            if seed > Amount::ZERO {
                make(transaction, &earlier, Amount::ZERO, seed)?;
            }
        }
        part = span(&stored.budget, part.end_ms);
    }
    Ok(())
}

//! What calls used and cost by dimensions and length of their prompts: what other prices are tried on.

use std::collections::BTreeMap;

use rusqlite::Connection;
use tollgate_core::money::Picodollars;
use tollgate_core::record::{Outcome, Sums, Totals};

use super::{Apart, Facet};
use crate::store::database::error::StoreError;
use crate::store::rollups;
use crate::store::rollups::dims::{Dims, DimsTable, Filters};
use crate::store::rollups::sums::InRow;
use crate::store::rollups::{detail, packed};

/// Which calls are asked for.
#[derive(Clone, Debug, Default)]
pub struct SpendQuery {
    /// Start, in hours since the Unix epoch.
    pub from_hour: i64,
    /// End, exclusive, in hours since the Unix epoch.
    pub to_hour: i64,
    /// By dimension.
    pub filters: Filters,
}

/// Calls of the same dimensions.
#[derive(Clone, Debug)]
pub struct Spend {
    /// Their dimensions.
    pub dims: Dims,
    /// All of them.
    pub all: Sums,
    /// The part of their cost that is of no call of this time: what bills corrected, and what corrections of
    /// closed months added.
    pub beside: Picodollars,
    /// Those of each class by length of the prompt, the shortest first; together they are all, without
    /// `beside`.
    pub by_size: Vec<(u8, Sums)>,
    /// Those that failed or were broken off.
    pub failed: Totals,
    /// Those that repeat another call, or that Envoy tried more than once.
    pub retried: Totals,
}

/// What calls used and cost, in the order of their dimensions' ids.
pub(in crate::store) fn read(
    connection: &Connection,
    dims: &DimsTable,
    query: &SpendQuery,
) -> Result<Vec<Spend>, StoreError> {
    let hours = (query.from_hour, query.to_hour);
    let kept: Vec<bool> = dims.iter().map(|one| query.filters.keep(one)).collect();
    let is_kept = |id: i64| {
        usize::try_from(id).ok().and_then(|id| kept.get(id.checked_sub(1)?)).copied().unwrap_or(false)
    };
    let mut all: BTreeMap<i64, Sums> = BTreeMap::new();
    rollups::each_recent(connection, |hour, dims, sums| {
        if (hours.0..hours.1).contains(&hour) && is_kept(dims) {
            all.entry(dims).or_default().add_encoded(sums)?;
        }
        Ok(())
    })?;
    packed::between(connection, hours.0, hours.1, |dims, sums| {
        if is_kept(dims) {
            all.entry(dims).or_default().add_encoded(sums)?;
        }
        Ok(())
    })?;
    let mut beside = beside(connection, hours, is_kept)?;
    let mut apart: BTreeMap<(i64, u8), Sums> = BTreeMap::new();
    let mut failed: BTreeMap<i64, Totals> = BTreeMap::new();
    super::each(connection, Facet::Apart, hours, |row| {
        let Some(Apart { outcome, size }) = Apart::from_value(row.value).filter(|_| is_kept(row.dims)) else {
            return Ok(());
        };
        if size > 0 {
            apart.entry((row.dims, size)).or_default().add_encoded(row.sums)?;
        }
        if !matches!(outcome, Outcome::Ok | Outcome::Denied) {
            failed.entry(row.dims).or_default().add_encoded(row.sums)?;
        }
        Ok(())
    })?;
    let mut retried: BTreeMap<i64, Totals> = BTreeMap::new();
    super::each(connection, Facet::Retry, hours, |row| {
        if is_kept(row.dims) {
            retried.entry(row.dims).or_default().add_encoded(row.sums)?;
        }
        Ok(())
    })?;
    let spend = |(id, all): (i64, Sums)| {
        let sizes = apart.range((id, 0)..=(id, u8::MAX)).map(|((_, size), sums)| (*size, sums.clone()));
        let beside = beside.remove(&id).unwrap_or_default();
        Ok(Spend {
            dims: dims.get(id).cloned().ok_or(StoreError::Damaged("dims"))?,
            by_size: by_size(&without(&all, &beside)?, sizes.collect()),
            beside: beside.totals.cost,
            all,
            failed: failed.remove(&id).unwrap_or_default(),
            retried: retried.remove(&id).unwrap_or_default(),
        })
    };
    all.into_iter().map(spend).collect()
}

/// The money that is of no call of these hours, by dimensions.
fn beside(
    connection: &Connection,
    hours: (i64, i64),
    is_kept: impl Fn(i64) -> bool,
) -> Result<BTreeMap<i64, Sums>, StoreError> {
    let mut beside: BTreeMap<i64, Sums> = BTreeMap::new();
    let mut added = Ok(());
    detail::each_beside(connection, hours, |_, dims, sums| {
        if is_kept(dims) && added.is_ok() {
            added = beside.entry(dims).or_default().add(&sums);
        }
    })?;
    added?;
    Ok(beside)
}

fn without(all: &Sums, beside: &Sums) -> Result<Sums, StoreError> {
    let mut of_calls = all.clone();
    of_calls.subtract(beside)?;
    Ok(of_calls)
}

/// With the rest in the first class. Where sums do not fit together, as one of them was changed behind the
/// collector's back, all are in it: nothing is counted twice.
fn by_size(all: &Sums, sizes: Vec<(u8, Sums)>) -> Vec<(u8, Sums)> {
    let mut rest = all.clone();
    if sizes.iter().try_for_each(|(_, sums)| rest.subtract(sums)).is_err() {
        return vec![(0, all.clone())];
    }
    std::iter::once((0, rest)).chain(sizes).filter(|(_, sums)| *sums != Sums::default()).collect()
}

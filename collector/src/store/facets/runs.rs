//! Runs, as the sums by facet have them.

use std::collections::{HashMap, HashSet, VecDeque};

use rusqlite::{Connection, OptionalExtension, Row, params};
use tollgate_core::money::Picodollars;
use tollgate_core::record::Totals;

use super::{Facet, packed};
use crate::model::clock::{MS_PER_HOUR, signed};
use crate::model::dimension::Dimension;
use crate::model::run::{Run, RunTotals};
use crate::store::database::error::StoreError;
use crate::store::rollups::dims::{DimsTable, Filters};
use crate::store::rollups::sums::InRow as _;

/// Which runs are asked for.
#[derive(Clone, Debug, Default)]
pub struct RunsQuery {
    /// Those that started at this time or later, Unix milliseconds UTC.
    pub from_ms: i64,
    /// And before this one.
    pub to_ms: i64,
    /// Of calls with these dimensions: only they are counted, and runs without any are left out.
    pub filters: Filters,
}

/// What a run did at one agent, feature, provider and model.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPart {
    /// Its values: agent, team, feature, environment, provider, model.
    pub values: [Option<String>; 6],
    /// What its calls come to.
    pub totals: Totals,
}

/// A run of a tree, with what it did.
#[derive(Clone, Debug, PartialEq)]
pub struct RunNode {
    /// Its id, as callers name it.
    pub name: String,
    /// The run.
    pub run: Run,
    /// What it did, the largest cost first.
    pub parts: Vec<RunPart>,
}

/// A run that somebody asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFound {
    /// The run, and then all that it started, each behind the one that started it.
    pub nodes: Vec<RunNode>,
    /// Those that it was started by, the nearest first.
    pub started_by: Vec<String>,
}

/// What runs of a time come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunsFound<T> {
    /// Of all of them.
    pub found: T,
    /// Names of agents; runs say which of these is theirs.
    pub agents: Vec<String>,
}

/// Hands over the runs that started in this time, in the order of their starts, and answers the names of
/// their agents.
pub(in crate::store) fn each_started(
    connection: &Connection,
    dims: &DimsTable,
    query: &RunsQuery,
    mut take: impl FnMut(&Run),
) -> Result<Vec<String>, StoreError> {
    let mut agents: Vec<&str> = Vec::new();
    let mut known: HashMap<&str, u32> = HashMap::new();
    let kept: Vec<Option<u32>> = dims
        .iter()
        .map(|one| {
            let agent = one.value(Dimension::Agent).unwrap_or_default();
            query.filters.keep(one).then(|| {
                *known.entry(agent).or_insert_with(|| {
                    agents.push(agent);
                    u32::try_from(agents.len()).unwrap_or(u32::MAX).saturating_sub(1)
                })
            })
        })
        .collect();
    let agent_of = |dims: i64| kept.get(usize::try_from(dims).ok()?.checked_sub(1)?).copied().flatten();
    let name = |agent: u32| agents.get(usize::try_from(agent).unwrap_or(usize::MAX));
    let takes_all = query.filters == Filters::default();
    let mut costs: Vec<(u32, Picodollars)> = Vec::new();
    packed::each(connection, (query.from_ms, query.to_ms), |run, parts| {
        // Most runs did one thing.
        if let [(dims, totals)] = parts {
            run.agent = agent_of(*dims);
            if run.agent.is_some() {
                run.own.clone_from(totals);
            }
            if takes_all || run.agent.is_some() {
                take(run);
            }
            return Ok(());
        }
        costs.clear();
        for (dims, totals) in parts {
            let Some(agent) = agent_of(*dims) else { continue };
            run.own.add(totals)?;
            match costs.iter_mut().find(|(known, _)| *known == agent) {
                Some((_, cost)) => *cost += totals.cost,
                None => costs.push((agent, totals.cost)),
            }
        }
        // Of several with the same cost it is the first by name.
        let largest = costs
            .iter()
            .max_by(|(a, mine), (b, theirs)| mine.cmp(theirs).then_with(|| name(*b).cmp(&name(*a))));
        run.agent = largest.map(|(agent, _)| *agent);
        if takes_all || run.agent.is_some() {
            take(run);
        }
        Ok(())
    })?;
    Ok(agents.into_iter().map(str::to_owned).collect())
}

/// Hands over what a run did in these hours, the last inclusive: the dimensions' id and encoded sums.
pub(super) fn each_of(
    connection: &Connection,
    run: i64,
    (first, last): (i64, i64),
    mut take: impl FnMut(i64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT dims, sums FROM facet_hour WHERE facet = ?1 AND hour = ?2 AND value = ?3")?;
    for hour in first..=last.min(first.saturating_add(HOURS_MAX)) {
        let mut rows = statement.query([Facet::Run as i64, hour, run])?;
        while let Some(row) = rows.next()? {
            take(row.get(0)?, row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
        }
    }
    Ok(())
}

/// Names of runs, in this order.
pub(in crate::store) fn names(connection: &Connection, ids: &[i64]) -> Result<Vec<String>, StoreError> {
    ids.iter().map(|id| super::name(connection, *id)).collect()
}

/// Where the calls of a run are: among all of these dimensions between two times, Unix milliseconds UTC, both
/// inclusive.
pub(in crate::store) struct WithCalls {
    pub(in crate::store) first_ms: i64,
    pub(in crate::store) last_ms: i64,
    pub(in crate::store) dims: HashSet<i64>,
}

/// Where the calls of a run are; nothing where no call had this id.
pub(in crate::store) fn calls_of(
    connection: &Connection,
    name: &str,
) -> Result<Option<WithCalls>, StoreError> {
    let Some(id) = super::id(connection, Facet::Run, name)? else { return Ok(None) };
    let mut statement =
        connection.prepare_cached("SELECT first_ms, last_ms FROM facet_values WHERE id = ?1")?;
    let (first_ms, last_ms) = statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut found = WithCalls { first_ms, last_ms, dims: HashSet::new() };
    let hours = (first_ms.div_euclid(MS_PER_HOUR), last_ms.div_euclid(MS_PER_HOUR));
    each_of(connection, id, hours, |dims, _| {
        found.dims.insert(dims);
        Ok(())
    })?;
    Ok(Some(found))
}

/// A run with this id, and all that it started; nothing where no call had this id.
pub(in crate::store) fn tree(
    connection: &Connection,
    dims: &DimsTable,
    name: &str,
) -> Result<Option<RunFound>, StoreError> {
    let Some(id) = super::id(connection, Facet::Run, name)? else { return Ok(None) };
    let mut nodes = Vec::new();
    let mut known = HashSet::from([id]);
    let mut waiting = VecDeque::from([id]);
    while let Some(id) = waiting.pop_front() {
        if let Some(node) = node(connection, dims, id)? {
            nodes.push(node);
        }
        let mut children = connection
            .prepare_cached("SELECT id FROM facet_values WHERE parent = ?1 ORDER BY first_ms, id LIMIT ?2")?;
        for child in children.query_map(params![id, signed(NODES_MAX)], |row| row.get(0))? {
            let child: i64 = child?;
            if known.len() < NODES_MAX && known.insert(child) {
                waiting.push_back(child);
            }
        }
    }
    Ok(Some(RunFound { nodes, started_by: starters(connection, id)? }))
}

/// Those that a run was started by, the nearest first.
fn starters(connection: &Connection, id: i64) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    let mut known = HashSet::from([id]);
    let mut at = id;
    let mut statement = connection.prepare_cached("SELECT parent FROM facet_values WHERE id = ?1")?;
    while let Some(parent) =
        statement.query_row([at], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten()
    {
        if !known.insert(parent) {
            break;
        }
        names.push(super::name(connection, parent)?);
        at = parent;
    }
    Ok(names)
}

fn node(connection: &Connection, dims: &DimsTable, id: i64) -> Result<Option<RunNode>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, parent, first_ms, last_ms, first_tokens, last_tokens, name FROM facet_values WHERE id = ?1",
    )?;
    let found = statement.query_row([id], |row| Ok((read(row)?, row.get::<_, String>(6)?))).optional()?;
    let Some((mut run, name)) = found else { return Ok(None) };
    let mut parts: HashMap<[Option<String>; 6], Totals> = HashMap::new();
    let hours = (run.first_ms.div_euclid(MS_PER_HOUR), run.last_ms.div_euclid(MS_PER_HOUR));
    each_of(connection, id, hours, |row, sums| {
        let totals = Totals::decode(sums)?;
        run.own.add(&RunTotals::from(&totals))?;
        let of = dims.get(row).ok_or(StoreError::Damaged("dims"))?;
        let values = PARTS.map(|dimension| of.value(dimension).map(str::to_owned));
        Ok(parts.entry(values).or_default().add(&totals)?)
    })?;
    let mut parts: Vec<RunPart> =
        parts.into_iter().map(|(values, totals)| RunPart { values, totals }).collect();
    parts.sort_by(|a, b| b.totals.cost.cmp(&a.totals.cost).then_with(|| a.values.cmp(&b.values)));
    Ok(Some(RunNode { name, run, parts }))
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: row.get(0)?,
        parent: row.get(1)?,
        first_ms: row.get(2)?,
        last_ms: row.get(3)?,
        // A run that made no call itself has -1.
        first_tokens: row.get::<_, i64>(4)?.max(0).unsigned_abs(),
        last_tokens: row.get::<_, i64>(5)?.max(0).unsigned_abs(),
        ..Run::default()
    })
}

/// What the parts of a run tell apart.
const PARTS: [Dimension; 6] = [
    Dimension::Agent,
    Dimension::Team,
    Dimension::Feature,
    Dimension::Environment,
    Dimension::Provider,
    Dimension::Model,
];
/// Most runs of a tree that is shown.
const NODES_MAX: usize = 10_000;
/// Longest run that is looked through: a corrected price may be booked later.
const HOURS_MAX: i64 = 24 * 366;

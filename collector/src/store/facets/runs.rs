//! Runs, as the sums by facet have them.

use std::collections::{HashMap, HashSet, VecDeque};

use rusqlite::{Connection, OptionalExtension, Row, params};
use tollgate_core::record::Totals;

use super::Facet;
use crate::model::clock::{MS_PER_HOUR, signed};
use crate::model::dimension::Dimension;
use crate::model::run::Run;
use crate::store::database::error::StoreError;
use crate::store::rollups::dims::{DimsTable, Filters};
use crate::store::rollups::sums::InRow;

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

/// Runs that started in this time, in the order of their starts, without names.
pub(in crate::store) fn started(
    connection: &Connection,
    dims: &DimsTable,
    query: &RunsQuery,
) -> Result<Vec<Run>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, parent, first_ms, last_ms, first_tokens, last_tokens FROM facet_values
         WHERE facet = ?1 AND first_ms >= ?2 AND first_ms < ?3 ORDER BY first_ms, id",
    )?;
    let found = statement.query_map([Facet::Run as i64, query.from_ms, query.to_ms], read)?;
    let mut runs = found.collect::<Result<Vec<Run>, _>>()?;
    let places: HashMap<i64, usize> = runs.iter().enumerate().map(|(at, run)| (run.id, at)).collect();
    let last = runs.iter().map(|run| run.last_ms).max().unwrap_or(query.from_ms);
    let hours = (query.from_ms.div_euclid(MS_PER_HOUR), last.div_euclid(MS_PER_HOUR).saturating_add(1));
    let kept: Vec<Option<&str>> = dims
        .iter()
        .map(|one| query.filters.keep(one).then(|| one.value(Dimension::Agent).unwrap_or_default()))
        .collect();
    let mut largest: HashMap<usize, (Totals, &str)> = HashMap::new();
    super::each(connection, Facet::Run, hours, |row| {
        let Some(place) = places.get(&row.value).copied() else { return Ok(()) };
        let agent =
            usize::try_from(row.dims).ok().and_then(|id| kept.get(id.checked_sub(1)?)).copied().flatten();
        let (Some(agent), Some(run)) = (agent, runs.get_mut(place)) else { return Ok(()) };
        let totals = Totals::decode(row.sums)?;
        run.own.add(&totals)?;
        let (most, of) = largest.entry(place).or_insert_with(|| (Totals::default(), agent));
        if totals.cost > most.cost {
            (*most, *of) = (totals, agent);
        }
        Ok(())
    })?;
    for (place, (_, agent)) in largest {
        if let Some(run) = runs.get_mut(place) {
            run.agent = Some(agent.to_owned());
        }
    }
    if query.filters != Filters::default() {
        runs.retain(|run| run.agent.is_some());
    }
    Ok(runs)
}

/// Names of runs, in this order.
pub(in crate::store) fn names(connection: &Connection, ids: &[i64]) -> Result<Vec<String>, StoreError> {
    ids.iter().map(|id| super::name(connection, *id)).collect()
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
    let mut rows = connection
        .prepare_cached("SELECT dims, sums FROM facet_hour WHERE facet = ?1 AND hour = ?2 AND value = ?3")?;
    let (first, last) = (run.first_ms.div_euclid(MS_PER_HOUR), run.last_ms.div_euclid(MS_PER_HOUR));
    for hour in first..=last.min(first.saturating_add(HOURS_MAX)) {
        let mut found = rows.query([Facet::Run as i64, hour, id])?;
        while let Some(row) = found.next()? {
            let totals = Totals::decode(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
            run.own.add(&totals)?;
            let of = dims.get(row.get(0)?).ok_or(StoreError::Damaged("dims"))?;
            let values = PARTS.map(|dimension| of.value(dimension).map(str::to_owned));
            parts.entry(values).or_default().add(&totals)?;
        }
    }
    let mut parts: Vec<RunPart> =
        parts.into_iter().map(|(values, totals)| RunPart { values, totals }).collect();
    parts.sort_by(|a, b| b.totals.cost.cmp(&a.totals.cost).then_with(|| a.values.cmp(&b.values)));
    run.agent = parts.first().and_then(|part| part.values.first().cloned().flatten());
    Ok(Some(RunNode { name, run, parts }))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
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

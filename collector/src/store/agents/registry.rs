//! The registry: agents that were registered by the API, or proposed as they were seen. Those of the
//! configuration file stand there alone.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::model::agent::{Agent, Status, status_name};
use crate::store::database::error::StoreError;

/// An agent of the registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredAgent {
    /// What is written of it.
    pub agent: Agent,
    /// Where it comes from: `api`, or `seen` where its calls made the proposal.
    pub source: String,
    /// When it came, Unix milliseconds UTC.
    pub created_ms: u64,
}

/// All agents of the registry, by name.
pub(in crate::store) fn all(connection: &Connection) -> Result<Vec<StoredAgent>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT body, source, created_ms FROM agents ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut agents = Vec::new();
    while let Some(row) = rows.next()? {
        agents.push(stored(row)?);
    }
    Ok(agents)
}

/// Names of those that are approved.
pub(in crate::store) fn approved(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name FROM agents WHERE status = ?1")?;
    let names = statement.query_map([status_name(Status::Approved)], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Whether agents of the file have the same team in the registry, where that has approved them for one.
///
/// # Errors
/// [`StoreError::TwoTeams`] for the first that has another one there.
pub(in crate::store) fn check_teams(
    connection: &Connection,
    teams: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    for StoredAgent { agent, .. } in all(connection)? {
        let is_of_one = agent.team.is_empty() || agent.status != Status::Approved;
        let file = teams.get(&agent.name).filter(|file| !is_of_one && **file != agent.team);
        if let Some(file) = file {
            return Err(StoreError::TwoTeams { file: file.clone(), name: agent.name, registry: agent.team });
        }
    }
    Ok(())
}

pub(super) fn find(connection: &Connection, name: &str) -> Result<Option<StoredAgent>, StoreError> {
    connection
        .prepare_cached("SELECT body, source, created_ms FROM agents WHERE name = ?1")?
        .query_row([name], |row| Ok(stored(row)))
        .optional()?
        .transpose()
}

fn stored(row: &Row<'_>) -> Result<StoredAgent, StoreError> {
    let body: String = row.get(0)?;
    Ok(StoredAgent {
        agent: serde_json::from_str(&body).map_err(|_| StoreError::Damaged("agent"))?,
        source: row.get(1)?,
        created_ms: row.get::<_, i64>(2)?.unsigned_abs(),
    })
}

/// What agents of the registry are and should not be by the audit trail, in words: each change of one is an
/// entry of it.
pub(in crate::store) fn unlike_trail(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut last: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut statement = connection.prepare(
        "SELECT subject, after FROM audit WHERE action IN ('agent.put', 'agent.seen') ORDER BY seq",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        last.insert(row.get(0)?, row.get(1)?);
    }
    let mut wrong = Vec::new();
    let mut statement = connection.prepare("SELECT name, status, body FROM agents ORDER BY name")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, status, body): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let is = serde_json::from_str::<Agent>(&body).ok();
        let was = last.remove(&name).flatten().and_then(|after| serde_json::from_str::<Agent>(&after).ok());
        if is.is_none() || is != was || is.is_some_and(|is| status_name(is.status) != status) {
            wrong.push(format!("agent `{name}` is not what the audit trail says it became"));
        }
    }
    let gone = last.into_keys();
    wrong.extend(
        gone.map(|name| format!("agent `{name}` is not there, but by the audit trail it was registered")),
    );
    Ok(wrong)
}

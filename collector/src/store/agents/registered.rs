//! The store's methods for the registry: what is put into it, and which agents were seen.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, Transaction, params};

use super::registry::{StoredAgent, all, find};
use crate::model::agent::{Agent, Status, status_name};
use crate::model::alert::Alert;
use crate::model::audit::Entry;
use crate::model::clock::{MINUTE_MS, signed};
use crate::store::alerts::{self, reviews};
use crate::store::database::error::StoreError;
use crate::store::database::lead::Lead;
use crate::store::{Put, Store, audit};

/// An agent that was seen: since when it is known, and the models that it called.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Its first call, Unix milliseconds UTC; 0 where that is not known.
    pub first_ms: u64,
    /// The minute of its last call, Unix milliseconds UTC; none where that is a day ago.
    pub last_ms: Option<u64>,
    /// What it called.
    pub models: BTreeSet<String>,
}

/// An agent that is proposed as it was seen, and what opens its review.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Proposal {
    /// Its name.
    pub agent: String,
    /// What the review says.
    pub alert: Alert,
}

/// Who changes the registry, how and when.
struct Change<'c> {
    actor: &'c str,
    source: &'c str,
    action: &'c str,
    now_ms: u64,
}

fn put(transaction: &Transaction<'_>, agent: &Agent, change: &Change<'_>) -> Result<Put, StoreError> {
    let before = find(transaction, &agent.name)?;
    let now_ms = change.now_ms;
    let done = match &before {
        None => Put::Created,
        Some(before) if before.agent == *agent => return Ok(Put::Same),
        Some(_) => Put::Changed,
    };
    let created_ms = before.as_ref().map_or(now_ms, |before| before.created_ms);
    let json = serde_json::to_value(agent).map_err(|_| StoreError::Damaged("agent"))?;
    transaction
        .prepare_cached(
            "INSERT INTO agents (name, status, body, source, created_ms, changed_ms, changed_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET status = excluded.status, body = excluded.body, source = excluded.source,
                 changed_ms = excluded.changed_ms, changed_by = excluded.changed_by",
        )?
        .execute(params![
            agent.name,
            status_name(agent.status),
            json.to_string(),
            change.source,
            signed(created_ms),
            signed(now_ms),
            change.actor,
        ])?;
    let entry = Entry {
        time_ms: now_ms,
        actor: change.actor.to_owned(),
        action: change.action.to_owned(),
        subject: agent.name.clone(),
        before: before.and_then(|before| serde_json::to_value(before.agent).ok()),
        after: Some(json),
    };
    audit::append(transaction, &entry)?;
    Ok(done)
}

/// Whom calls stand for that nobody may register: who has no name, and what is counted together.
fn is_somebody(name: &str) -> bool {
    !tollgate_core::budget::scope::is_nobody(name)
        && name != crate::store::rollups::dims::OTHER
        && tollgate_core::attribution::is_name(name)
}

impl Store {
    /// Puts agents in place, all or none, each change in the audit trail; gives what that did to each, and
    /// all agents of the registry then. Where one is not proposed any more, its review is closed.
    ///
    /// # Errors
    /// Nothing changes then.
    pub async fn put_agents(
        &self,
        agents: Vec<Agent>,
        actor: String,
        now_ms: u64,
    ) -> Result<(Vec<Put>, Vec<StoredAgent>), StoreError> {
        self.write(move |transaction| {
            let change = Change { actor: &actor, source: "api", action: "agent.put", now_ms };
            let mut done = Vec::with_capacity(agents.len());
            for agent in &agents {
                done.push(put(transaction, agent, &change)?);
                if agent.status != Status::Proposed {
                    let what = status_name(agent.status);
                    reviews::close_of_agent(transaction, &agent.name, what, (&actor, now_ms))?;
                }
            }
            Ok((done, all(transaction)?))
        })
        .await
    }

    /// Agents of which a call is known: each with its first and last call, and its models.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn agents_seen(&self) -> Result<BTreeMap<String, Seen>, StoreError> {
        self.read(|connection, _| {
            let mut agents: BTreeMap<String, Seen> = BTreeMap::new();
            let mut statement =
                connection.prepare_cached("SELECT agent, model, first_ms FROM first_calls")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (agent, model, first_ms): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let first_ms = first_ms.unsigned_abs();
                let seen = agents.entry(agent).or_insert_with(|| Seen { first_ms, ..Seen::default() });
                seen.first_ms = seen.first_ms.min(first_ms);
                if !model.is_empty() {
                    seen.models.insert(model);
                }
            }
            let sql = "SELECT agent, max(minute) FROM agent_minutes GROUP BY agent";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (agent, minute): (String, i64) = (row.get(0)?, row.get(1)?);
                agents.entry(agent).or_default().last_ms =
                    Some(minute.unsigned_abs().saturating_mul(MINUTE_MS));
            }
            Ok(agents)
        })
        .await
    }

    /// Agents that were seen first while the registry is in use, and that it does not have, each with its
    /// first call in Unix milliseconds UTC. None where nobody watches yet: see [`Store::watch_agents`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn new_agents(&self) -> Result<Option<Vec<(String, u64)>>, StoreError> {
        self.read(|connection, _| {
            let since: Option<i64> = connection
                .prepare_cached("SELECT since_ms FROM agents_watched")?
                .query_row([], |row| row.get(0))
                .optional()?;
            let Some(since) = since else { return Ok(None) };
            let mut statement = connection.prepare_cached(
                "SELECT agent, min(first_ms) AS first FROM first_calls
                 WHERE agent NOT IN (SELECT name FROM agents) GROUP BY agent HAVING first >= ?1 ORDER BY first",
            )?;
            let mut rows = statement.query([since])?;
            let mut agents = Vec::new();
            while let Some(row) = rows.next()? {
                let agent: String = row.get(0)?;
                if is_somebody(&agent) {
                    agents.push((agent, row.get::<_, i64>(1)?.unsigned_abs()));
                }
            }
            Ok(Some(agents))
        })
        .await
    }

    /// Begins to watch for new agents: those first seen at or after this time, Unix milliseconds UTC.
    ///
    /// # Errors
    /// Nothing is written then.
    pub async fn watch_agents(&self, lead: Option<Lead>, since_ms: u64) -> Result<(), StoreError> {
        self.write_led(lead, move |transaction| {
            transaction.execute("INSERT OR IGNORE INTO agents_watched VALUES (1, ?1)", [signed(since_ms)])?;
            Ok(())
        })
        .await
    }

    /// Proposes agents that were seen, and opens their reviews; gives all agents of the registry then. As
    /// callers can make up names, no more than a thousand of them wait at a time.
    ///
    /// # Errors
    /// Nothing is written then.
    pub async fn propose_agents(
        &self,
        lead: Option<Lead>,
        proposals: Vec<Proposal>,
        now_ms: u64,
    ) -> Result<Vec<StoredAgent>, StoreError> {
        self.write_led(lead, move |transaction| {
            let waiting: i64 = transaction.query_row(
                "SELECT count(*) FROM agents WHERE source = 'seen' AND status = 'proposed'",
                [],
                |row| row.get(0),
            )?;
            let room = PROPOSED_MAX.saturating_sub(usize::try_from(waiting).unwrap_or(usize::MAX));
            let change = Change { actor: "collector", source: "seen", action: "agent.seen", now_ms };
            for Proposal { agent, alert } in proposals.iter().take(room) {
                if find(transaction, agent)?.is_some() {
                    continue;
                }
                let status = Status::Proposed;
                put(transaction, &Agent { name: agent.clone(), status, ..Agent::default() }, &change)?;
                alerts::open(transaction, alert, &[], now_ms)?;
                reviews::open(transaction, alert, "", now_ms)?;
            }
            all(transaction)
        })
        .await
    }
}

/// Agents that were seen and wait for somebody to look at them.
pub(in crate::store) const PROPOSED_MAX: usize = 1_000;

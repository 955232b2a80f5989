//! What agents did by minute, when they first called a model, and what was found unusual.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::dims::{Dimension, Dims};
use super::{Store, StoreError};
use crate::anomalies::series::Minute;
use crate::anomalies::{Driver, Episode, Finding};

/// Minutes that a transaction adds to.
#[derive(Debug, Default)]
pub(super) struct Minutes(BTreeMap<i64, HashMap<String, Minute>>);

impl Minutes {
    /// Adds a call that was admitted at `time_ms`, unless that was long ago: what comes late is not watched any more.
    pub(super) fn add(&mut self, time_ms: i64, now_ms: u64, agent: &str, call: &Minute) {
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        if time_ms > now_ms.saturating_add(AHEAD_MS) || time_ms < now_ms.saturating_sub(LATE_MS) {
            return;
        }
        let agents = self.0.entry(time_ms.div_euclid(MS_PER_MINUTE)).or_default();
        match agents.get_mut(agent) {
            Some(minute) => minute.add(call),
            None => {
                agents.insert(agent.to_owned(), call.clone());
            }
        }
    }

    /// Adds all to the table.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        for (minute, agents) in &self.0 {
            for (agent, more) in agents {
                let mut sum = find(transaction, *minute, agent)?.unwrap_or_default();
                sum.add(more);
                let body = serde_json::to_string(&sum).map_err(|_| StoreError::Damaged("minute"))?;
                transaction
                    .prepare_cached(
                        "INSERT INTO agent_minutes (minute, agent, body) VALUES (?1, ?2, ?3)
                         ON CONFLICT DO UPDATE SET body = excluded.body",
                    )?
                    .execute(params![minute, agent, body])?;
            }
        }
        Ok(())
    }
}

fn find(connection: &Connection, minute: i64, agent: &str) -> Result<Option<Minute>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT body FROM agent_minutes WHERE minute = ?1 AND agent = ?2")?;
    let body: Option<String> = statement.query_row(params![minute, agent], |row| row.get(0)).optional()?;
    body.as_deref().map(parse).transpose()
}

/// Notes when an agent first called a model, where it had not before.
pub(super) fn note_first_call(
    transaction: &Transaction<'_>,
    dims: &Dims,
    time_ms: i64,
) -> Result<(), StoreError> {
    let value = |dimension| dims.value(dimension).unwrap_or_default();
    transaction
        .prepare_cached(
            "INSERT INTO first_calls (agent, model, first_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute(params![value(Dimension::Agent), value(Dimension::Model), time_ms])?;
    Ok(())
}

/// An agent that called a model for the first time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FirstCall {
    /// Who.
    pub agent: String,
    /// What.
    pub model: String,
    /// When, Unix milliseconds UTC.
    pub first_ms: u64,
    /// Since when the agent is known at all.
    pub agent_since_ms: u64,
}

impl Store {
    /// What every agent did in these minutes, `to` exclusive, counted from the Unix epoch.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn agent_minutes(&self, from: i64, to: i64) -> Result<Vec<(i64, String, Minute)>, StoreError> {
        self.read(move |connection, _| {
            let sql = "SELECT minute, agent, body FROM agent_minutes WHERE minute >= ?1 AND minute < ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([from, to])?;
            let mut minutes = Vec::new();
            while let Some(row) = rows.next()? {
                minutes.push((row.get(0)?, row.get(1)?, parse(&row.get::<_, String>(2)?)?));
            }
            Ok(minutes)
        })
        .await
    }

    /// First calls of a model at or after this time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn first_calls_since(&self, since_ms: u64) -> Result<Vec<FirstCall>, StoreError> {
        self.read(move |connection, _| {
            let sql = "SELECT agent, model, first_ms,
                           (SELECT min(first_ms) FROM first_calls every WHERE every.agent = first_calls.agent)
                       FROM first_calls WHERE first_ms >= ?1 LIMIT 1000";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([wide(since_ms)], |row| {
                Ok(FirstCall {
                    agent: row.get(0)?,
                    model: row.get(1)?,
                    first_ms: row.get::<_, i64>(2)?.unsigned_abs(),
                    agent_since_ms: row.get::<_, i64>(3)?.unsigned_abs(),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Since when anybody is known, Unix milliseconds UTC.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn known_since(&self) -> Result<Option<u64>, StoreError> {
        self.read(|connection, _| {
            let sql = "SELECT min(first_ms) FROM first_calls";
            let first: Option<i64> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(first.map(i64::unsigned_abs))
        })
        .await
    }

    /// Whether this kind of finding lasts for this agent: its episode that was found last at or after `since_ms`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lasting(
        &self,
        agent: String,
        kind: &'static str,
        since_ms: u64,
    ) -> Result<Option<Episode>, StoreError> {
        self.read(move |connection, _| {
            let sql = format!(
                "{EPISODES} WHERE agent = ?1 AND kind = ?2 AND last_ms >= ?3 ORDER BY last_ms DESC LIMIT 1"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![agent, kind, wide(since_ms)])?;
            rows.next()?.map(episode).transpose()
        })
        .await
    }

    /// Begins an episode, or goes on with the one that has this number; gives its number.
    ///
    /// # Errors
    /// Nothing is written then.
    pub async fn put_episode(&self, episode: Episode) -> Result<i64, StoreError> {
        self.write(move |transaction| {
            let body = Body { finding: episode.finding.clone(), drivers: episode.drivers.clone() };
            let body = serde_json::to_string(&body).map_err(|_| StoreError::Damaged("anomaly"))?;
            if episode.seq > 0 {
                transaction
                    .prepare_cached("UPDATE anomalies SET last_ms = max(last_ms, ?2), body = ?3 WHERE seq = ?1")?
                    .execute(params![episode.seq, wide(episode.last_ms), body])?;
                return Ok(episode.seq);
            }
            Ok(transaction
                .prepare_cached("INSERT INTO anomalies (agent, kind, start_ms, last_ms, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .insert(params![
                    episode.agent,
                    episode.finding.kind.name(),
                    wide(episode.start_ms),
                    wide(episode.last_ms),
                    body
                ])?)
        })
        .await
    }

    /// Episodes that were found at or after this time, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn episodes_since(&self, since_ms: u64, limit: usize) -> Result<Vec<Episode>, StoreError> {
        self.read(move |connection, _| {
            let sql = format!("{EPISODES} WHERE last_ms >= ?1 ORDER BY start_ms DESC, seq DESC LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([wide(since_ms), i64::try_from(limit).unwrap_or(i64::MAX)])?;
            let mut episodes = Vec::new();
            while let Some(row) = rows.next()? {
                episodes.push(episode(row)?);
            }
            Ok(episodes)
        })
        .await
    }

    /// Removes minutes from before this time.
    ///
    /// # Errors
    /// Nothing is removed then.
    pub async fn forget_minutes(&self, before_ms: u64) -> Result<usize, StoreError> {
        let before = wide(before_ms).div_euclid(MS_PER_MINUTE);
        self.write(move |transaction| {
            Ok(transaction.execute("DELETE FROM agent_minutes WHERE minute < ?1", [before])?)
        })
        .await
    }
}

#[derive(Deserialize, Serialize)]
struct Body {
    finding: Finding,
    drivers: Vec<Driver>,
}

fn episode(row: &Row<'_>) -> Result<Episode, StoreError> {
    let body: String = row.get(4)?;
    let body: Body = serde_json::from_str(&body).map_err(|_| StoreError::Damaged("anomaly"))?;
    Ok(Episode {
        seq: row.get(0)?,
        agent: row.get(1)?,
        start_ms: row.get::<_, i64>(2)?.unsigned_abs(),
        last_ms: row.get::<_, i64>(3)?.unsigned_abs(),
        finding: body.finding,
        drivers: body.drivers,
    })
}

fn parse(body: &str) -> Result<Minute, StoreError> {
    serde_json::from_str(body).map_err(|_| StoreError::Damaged("minute"))
}

fn wide(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

const EPISODES: &str = "SELECT seq, agent, start_ms, last_ms, body FROM anomalies";
const MS_PER_MINUTE: i64 = 60_000;
/// A gateway's clock may be ahead by this much.
const AHEAD_MS: i64 = 5 * MS_PER_MINUTE;
/// Calls that come later than this are not watched.
const LATE_MS: i64 = 120 * MS_PER_MINUTE;

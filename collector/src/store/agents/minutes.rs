//! What agents did by minute, when they first called a model, and what was found unusual.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::model::anomaly::{Driver, Episode, Finding};
use crate::model::dimension::Dimension;
use crate::model::minute::Minute;
use crate::store::Store;
use crate::store::database::error::StoreError;
use crate::store::database::lead::Lead;
use crate::store::records::Cursor;
use crate::store::rollups::dims::Dims;

/// Minutes that a transaction adds to.
#[derive(Debug, Default)]
pub(in crate::store) struct Minutes(BTreeMap<i64, HashMap<String, Minute>>);

impl Minutes {
    /// Adds a call that was admitted at `time_ms`, unless that was long ago: what comes late is not watched any more.
    pub(in crate::store) fn add(&mut self, time_ms: i64, now_ms: u64, agent: &str, call: &Minute) {
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
    pub(in crate::store) fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
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
pub(in crate::store) fn note_first_call(
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

/// Which episodes to list.
#[derive(Clone, Debug)]
pub struct EpisodesQuery {
    /// Found at or after this time, Unix milliseconds UTC.
    pub since_ms: u64,
    /// Begun before this time.
    pub until_ms: u64,
    /// Of these agents; empty for all.
    pub agents: Vec<String>,
    /// Most of a page.
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

impl Default for EpisodesQuery {
    fn default() -> Self {
        Self { since_ms: 0, until_ms: u64::MAX, agents: Vec::new(), limit: usize::MAX, after: None }
    }
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
    pub async fn put_episode(&self, lead: Option<Lead>, episode: Episode) -> Result<i64, StoreError> {
        self.write_led(lead, move |transaction| {
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

    /// A page of episodes, the newest first, and where the next one starts, unless this was the last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn episodes(&self, query: EpisodesQuery) -> Result<(Vec<Episode>, Option<Cursor>), StoreError> {
        self.read(move |connection, _| {
            let sql = format!(
                "{EPISODES} WHERE last_ms >= ?1 AND start_ms < ?2 AND (start_ms, seq) < (?3, ?4)
                 ORDER BY start_ms DESC, seq DESC"
            );
            let after = query.after.map_or((i64::MAX, i64::MAX), |after| (after.time_ms, after.seq));
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows =
                statement.query(params![wide(query.since_ms), wide(query.until_ms), after.0, after.1])?;
            let mut episodes: Vec<Episode> = Vec::new();
            while let Some(row) = rows.next()? {
                let found = episode(row)?;
                if !query.agents.is_empty() && !query.agents.contains(&found.agent) {
                    continue;
                }
                if episodes.len() == query.limit {
                    let next =
                        episodes.last().map(|last| Cursor { time_ms: wide(last.start_ms), seq: last.seq });
                    return Ok((episodes, next));
                }
                episodes.push(found);
            }
            Ok((episodes, None))
        })
        .await
    }

    /// At most `limit` of the episodes that were found at or after this time, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn episodes_since(&self, since_ms: u64, limit: usize) -> Result<Vec<Episode>, StoreError> {
        let (episodes, _) =
            self.episodes(EpisodesQuery { since_ms, limit, ..EpisodesQuery::default() }).await?;
        Ok(episodes)
    }

    /// Removes minutes from before this time.
    ///
    /// # Errors
    /// Nothing is removed then.
    pub async fn forget_minutes(&self, lead: Option<Lead>, before_ms: u64) -> Result<usize, StoreError> {
        let before = wide(before_ms).div_euclid(MS_PER_MINUTE);
        self.write_led(lead, move |transaction| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::anomaly::Kind;
    use crate::store::several::runtime;

    #[test]
    fn episodes_are_listed_in_pages_that_have_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let finding = Finding {
            kind: Kind::Cost,
            window_minutes: 1,
            value: 1.0,
            expected: 0.0,
            score: 0.0,
            detail: String::new(),
        };
        for n in 0..9u64 {
            let (start_ms, last_ms) = (1_000 + n / 2, 2_000 + n);
            let (agent, finding) = (format!("agent-{}", n % 3), finding.clone());
            let episode = Episode { seq: 0, agent, start_ms, last_ms, finding, drivers: Vec::new() };
            runtime().block_on(store.put_episode(None, episode)).unwrap();
        }
        let pages = |query: EpisodesQuery| {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let query = EpisodesQuery { after, ..query.clone() };
                let (some, next) = runtime().block_on(store.episodes(query)).unwrap();
                seen.extend(some.into_iter().map(|one| one.last_ms - 2_000));
                match next {
                    Some(_) => after = next,
                    None => return seen,
                }
            }
        };
        for limit in [1, 2, 3, 9, 100] {
            let query = EpisodesQuery { limit, ..EpisodesQuery::default() };
            assert_eq!(pages(query.clone()), [8, 7, 6, 5, 4, 3, 2, 1, 0], "{limit}");
            let of_one = EpisodesQuery { agents: vec!["agent-1".into()], ..query.clone() };
            assert_eq!(pages(of_one), [7, 4, 1], "{limit}");
            assert_eq!(
                pages(EpisodesQuery { since_ms: 2_003, until_ms: 1_003, ..query }),
                [5, 4, 3],
                "{limit}"
            );
        }
    }
}

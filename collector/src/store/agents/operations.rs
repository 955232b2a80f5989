//! The store's methods for what agents did, and for what was unusual.

use rusqlite::params;

use super::minutes::{Body, EPISODES, EpisodesQuery, FirstCall, episode, parse};
use crate::model::anomaly::Episode;
use crate::model::clock::{MS_PER_MINUTE, signed};
use crate::model::minute::Minute;
use crate::store::Store;
use crate::store::database::error::StoreError;
use crate::store::database::lead::Lead;
use crate::store::records::Cursor;

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
            let rows = statement.query_map([signed(since_ms)], |row| {
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

    /// Whether this kind of finding lasts for this agent: its episode that was found last at or after
    /// `since_ms`.
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
            let mut rows = statement.query(params![agent, kind, signed(since_ms)])?;
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
                    .execute(params![episode.seq, signed(episode.last_ms), body])?;
                return Ok(episode.seq);
            }
            Ok(transaction
                .prepare_cached("INSERT INTO anomalies (agent, kind, start_ms, last_ms, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .insert(params![
                    episode.agent,
                    episode.finding.kind.name(),
                    signed(episode.start_ms),
                    signed(episode.last_ms),
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
                statement.query(params![signed(query.since_ms), signed(query.until_ms), after.0, after.1])?;
            let mut episodes: Vec<Episode> = Vec::new();
            while let Some(row) = rows.next()? {
                let found = episode(row)?;
                if !query.agents.is_empty() && !query.agents.contains(&found.agent) {
                    continue;
                }
                if episodes.len() == query.limit {
                    let next =
                        episodes.last().map(|last| Cursor { time_ms: signed(last.start_ms), seq: last.seq });
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
        let before = signed(before_ms).div_euclid(MS_PER_MINUTE);
        self.write_led(lead, move |transaction| {
            Ok(transaction.execute("DELETE FROM agent_minutes WHERE minute < ?1", [before])?)
        })
        .await
    }
}

//! What agents did by minute, when they first called a model, and what was found unusual.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::model::anomaly::{Driver, Episode, Finding};
use crate::model::clock::{MS_PER_MINUTE, signed};
use crate::model::dimension::Dimension;
use crate::model::minute::Minute;
use crate::store::database::error::StoreError;
use crate::store::records::Cursor;
use crate::store::rollups::dims::Dims;

/// Minutes that a transaction adds to.
#[derive(Debug, Default)]
pub(in crate::store) struct Minutes(BTreeMap<i64, HashMap<String, Minute>>);

impl Minutes {
    /// Adds a call that was admitted at `time_ms`, unless that was long ago: what comes late is not watched
    /// any more.
    pub(in crate::store) fn add(&mut self, time_ms: i64, now_ms: u64, agent: &str, call: &Minute) {
        let now_ms = signed(now_ms);
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

/// Notes when an agent first called a model, where no earlier call is known: what is imported may be older
/// than what came.
pub(in crate::store) fn note_first_call(
    transaction: &Transaction<'_>,
    dims: &Dims,
    time_ms: i64,
) -> Result<(), StoreError> {
    let value = |dimension| dims.value(dimension).unwrap_or_default();
    transaction
        .prepare_cached(
            "INSERT INTO first_calls (agent, model, first_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET first_ms = excluded.first_ms WHERE excluded.first_ms < first_calls.first_ms",
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

#[derive(Deserialize, Serialize)]
pub(super) struct Body {
    pub(super) finding: Finding,
    pub(super) drivers: Vec<Driver>,
}

pub(super) fn episode(row: &Row<'_>) -> Result<Episode, StoreError> {
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

pub(super) fn parse(body: &str) -> Result<Minute, StoreError> {
    serde_json::from_str(body).map_err(|_| StoreError::Damaged("minute"))
}

pub(super) const EPISODES: &str = "SELECT seq, agent, start_ms, last_ms, body FROM anomalies";
/// A gateway's clock may be ahead by this much.
const AHEAD_MS: i64 = 5 * MS_PER_MINUTE;
/// Calls that come later than this are not watched.
const LATE_MS: i64 = 120 * MS_PER_MINUTE;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::anomaly::Kind;
    use crate::store::Store;
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

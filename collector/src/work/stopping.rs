//! Stops runs that pass a limit on all gateways together.
//!
//! Each gateway counts its own calls of a run, and refuses what passes. Here the calls of all are counted, by
//! the records that gateways send: a run that passes is told to each gateway with its next sync. Only memory:
//! a collector that starts reads the last hour anew.

use std::collections::{HashMap, HashSet};

use tollgate_core::budget::Amount;
use tollgate_core::budget::rules::RunLimit;
use tollgate_core::budget::rules::runs::RunSoFar;
use tollgate_core::budget::scope::{Subject, is_nobody};
use tollgate_core::protocol::sync::StoppedRun;
use tollgate_core::record::{Outcome, UsageRecord};
use tracing::warn;

use crate::model::clock::{DAY_MS, HOUR_MS};
use crate::store::{Store, StoreError};

/// Runs of late, and those that were stopped.
#[derive(Debug, Default)]
pub struct Stopping {
    runs: tokio::sync::Mutex<Runs>,
}

impl Stopping {
    /// Counts what was stored since it was asked last, and gives the runs that were stopped after `heard`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn since(
        &self,
        store: &Store,
        limits: &[RunLimit],
        heard: u64,
        now_ms: u64,
    ) -> Result<Vec<StoppedRun>, StoreError> {
        if limits.is_empty() {
            return Ok(Vec::new());
        }
        let mut runs = self.runs.lock().await;
        let mut after = match runs.after {
            Some(after) => after,
            None => store.place_before(now_ms.saturating_sub(HOUR_MS)).await?,
        };
        loop {
            let stored = store.stored_after(after).await?;
            for record in &stored.records {
                runs.count(record, limits, now_ms);
            }
            after = stored.upto;
            runs.after = Some(after);
            if !stored.is_full {
                break;
            }
        }
        runs.forget(now_ms);
        let new = runs.stopped.iter().filter(|(stop, _)| stop.seq > heard).take(STOPS_MAX);
        Ok(new.map(|(stop, _)| stop.clone()).collect())
    }
}

#[derive(Debug, Default)]
struct Runs {
    /// The place of the last record that was counted.
    after: Option<i64>,
    /// Runs by their ids.
    known: HashMap<String, Run>,
    /// Runs that were stopped and when, Unix milliseconds UTC; in order.
    stopped: Vec<(StoppedRun, u64)>,
    last_seq: u64,
}

/// A run.
#[derive(Clone, Debug, Default)]
struct Run {
    /// The run that none started, above this one; its own id where it is that.
    root: String,
    depth: u64,
    /// With all that it started; of a root only.
    calls: u64,
    cost: i128,
    /// Limits that it passed; of a root only.
    passed: Vec<u64>,
    /// All runs of a root.
    members: HashSet<String>,
    used_ms: u64,
}

impl Runs {
    fn count(&mut self, record: &UsageRecord, limits: &[RunLimit], now_ms: u64) {
        let attribution = &record.head.attribution;
        let named = |name: &Option<String>| name.clone().filter(|name| !is_nobody(name));
        let Some(name) = named(&attribution.run) else { return };
        if record.outcome == Outcome::Denied || record.head.request_model.is_none() {
            return;
        }
        let parent = named(&attribution.parent_run).filter(|parent| *parent != name);
        let (root, depth) = self.place(&name, parent.as_deref(), now_ms);
        let Some(run) = self.known.get_mut(&root) else { return };
        run.calls = run.calls.saturating_add(1);
        run.cost = run.cost.saturating_add(record.cost_usd.as_pico());
        run.used_ms = now_ms;
        let so_far = RunSoFar { depth, calls: run.calls, cost: Amount(run.cost), ..RunSoFar::default() };
        let subject = Subject {
            attribution,
            provider: &record.head.provider,
            model: record.head.request_model.as_deref(),
            row: None,
            others: &[],
            any_model: false,
            key_id: record.head.key_id.as_deref(),
            trusted: attribution.trusted,
        };
        for limit in limits.iter().filter(|limit| limit.scope.holds(&subject)) {
            let id = limit.id();
            let is_deep = limit.max_depth.is_some_and(|most| depth > most);
            let Some((_, why)) = limit.passed(&name, &so_far, Amount::ZERO) else { continue };
            // What is too deep is stopped with what it starts; of all else the whole tree.
            let whole = if is_deep { &name } else { &root };
            let Some(top) = self.known.get_mut(whole) else { continue };
            if top.passed.contains(&id) {
                continue;
            }
            top.passed.push(id);
            let members: Vec<String> = match is_deep {
                true => vec![name.clone()],
                false => top.members.iter().cloned().chain([root.clone()]).collect(),
            };
            warn!(run = root, limit = limit.name, calls = so_far.calls, "A run is stopped: {why}");
            members.into_iter().for_each(|run| self.stop(run, id, now_ms));
        }
    }

    /// The root of a run, and how deep it is. A run that is new is one deeper than the run that started it.
    fn place(&mut self, name: &str, parent: Option<&str>, now_ms: u64) -> (String, u64) {
        if let Some(run) = self.known.get_mut(name) {
            run.used_ms = now_ms;
            return (run.root.clone(), run.depth);
        }
        let (root, depth) = match parent {
            Some(parent) => {
                let (root, depth) = self.place(parent, None, now_ms);
                (root, depth.saturating_add(1))
            }
            None => (name.to_owned(), 1),
        };
        let passed = self.known.get(&root).map(|top| top.passed.clone()).unwrap_or_default();
        if let Some(top) = self.known.get_mut(&root).filter(|_| root != name) {
            top.members.insert(name.to_owned());
        }
        let run = Run { root: root.clone(), depth, used_ms: now_ms, ..Run::default() };
        self.known.insert(name.to_owned(), run);
        // A gateway may know neither its root nor its starter.
        passed.into_iter().for_each(|limit| self.stop(name.to_owned(), limit, now_ms));
        (root, depth)
    }

    fn stop(&mut self, run: String, limit: u64, now_ms: u64) {
        // By the clock, so that it grows over restarts too.
        self.last_seq = self.last_seq.saturating_add(1).max(now_ms.saturating_mul(1_000));
        self.stopped.push((StoppedRun { seq: self.last_seq, run, limit }, now_ms));
    }

    /// Forgets runs that were idle for a day, and idle ones sooner where there are very many.
    fn forget(&mut self, now_ms: u64) {
        let mut idle_ms = DAY_MS;
        while self.known.len() > RUNS_MAX && idle_ms > 1_000 {
            self.known.retain(|_, run| now_ms.saturating_sub(run.used_ms) < idle_ms);
            idle_ms /= 4;
        }
        self.known.retain(|_, run| now_ms.saturating_sub(run.used_ms) < DAY_MS);
        self.stopped.retain(|(_, at_ms)| now_ms.saturating_sub(*at_ms) < DAY_MS);
    }
}

/// Runs that are told to a gateway at a time; the others follow with its next sync.
const STOPS_MAX: usize = 1_000;
/// Runs that are counted.
const RUNS_MAX: usize = 100_000;

#[cfg(test)]
mod tests;

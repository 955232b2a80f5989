//! Runs: what one user's action cost, with all that it started.
//!
//! A run is started by a user's action or by another run. Those that it started, and those that these did,
//! are its tree; the run at the top is the action.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::record::Totals;

/// A run, by itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Run {
    /// Its number in the store.
    pub id: i64,
    /// The one that started it.
    pub parent: Option<i64>,
    /// When its first call was admitted, Unix milliseconds UTC.
    pub first_ms: i64,
    /// When its last call ended, likewise.
    pub last_ms: i64,
    /// Tokens of the prompt of its first call.
    pub first_tokens: u64,
    /// Tokens of the prompt of its last call.
    pub last_tokens: u64,
    /// What its own calls come to.
    pub own: Totals,
    /// The agent of most of its own calls, by their cost.
    pub agent: Option<String>,
}

/// A run with its tree.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Action {
    /// The run at the top. Its times are those of the tree, and its agent that of the tree's largest cost
    /// where it made no call itself.
    pub run: Run,
    /// What the tree comes to.
    pub all: Totals,
    /// Runs in the tree, with the one at the top.
    pub runs: u64,
    /// Levels of the tree: 1 for a run that started none.
    pub depth: u64,
    /// Runs that the one at the top started itself.
    pub started: u64,
}

/// How a run went.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RunStatus")]
pub enum Status {
    /// All of its calls ended well.
    Ok,
    /// A call failed or was broken off.
    Errors,
    /// A call was refused.
    Refused,
}

impl Status {
    /// Of what its calls come to.
    pub const fn of(totals: &Totals) -> Self {
        if totals.denied > 0 {
            Self::Refused
        } else if totals.errors + totals.client_aborts + totals.upstream_aborts > 0 {
            Self::Errors
        } else {
            Self::Ok
        }
    }

    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Errors => "errors",
            Self::Refused => "refused",
        }
    }
}

/// The runs at the top, each with its tree. A run whose starter is not among these is at the top. Runs that
/// say that they started each other are at the top each.
pub fn actions(runs: Vec<Run>) -> Vec<Action> {
    let places: HashMap<i64, usize> = runs.iter().enumerate().map(|(at, run)| (run.id, at)).collect();
    let parents: Vec<Option<usize>> = runs
        .iter()
        .map(|run| {
            run.parent.and_then(|parent| places.get(&parent).copied()).filter(|at| runs.get(*at).is_some())
        })
        .collect();
    let tops: Vec<Option<(usize, u64)>> = (0..runs.len()).map(|at| top_of(at, &parents)).collect();
    let mut largest: HashMap<usize, Totals> = HashMap::new();
    let mut actions: HashMap<usize, Action> = HashMap::new();
    for (at, run) in runs.iter().enumerate() {
        let (top, level) = tops.get(at).copied().flatten().unwrap_or((at, 1));
        let action = actions.entry(top).or_insert_with(|| Action {
            run: runs.get(top).cloned().unwrap_or_default(),
            ..Action::default()
        });
        // Sums of a run's parts stay far below the range.
        let _ = action.all.add(&run.own);
        action.runs = action.runs.saturating_add(1);
        action.depth = action.depth.max(level);
        let is_started = parents.get(at).copied().flatten() == Some(top) && at != top && level == 2;
        action.started = action.started.saturating_add(u64::from(is_started));
        action.run.first_ms = action.run.first_ms.min(run.first_ms);
        action.run.last_ms = action.run.last_ms.max(run.last_ms);
        let top_is_silent = runs.get(top).is_some_and(|top| top.agent.is_none());
        if top_is_silent && run.agent.is_some() {
            let so_far = largest.entry(top).or_default();
            if action.run.agent.is_none() || run.own.cost > so_far.cost {
                so_far.clone_from(&run.own);
                action.run.agent.clone_from(&run.agent);
            }
        }
    }
    let mut actions: Vec<(usize, Action)> = actions.into_iter().collect();
    actions.sort_unstable_by_key(|(at, _)| *at);
    actions.into_iter().map(|(_, action)| action).collect()
}

/// The run at the top of this one's tree, and the level of this one under it, from 1; none where going up
/// does not end.
fn top_of(start: usize, parents: &[Option<usize>]) -> Option<(usize, u64)> {
    let (mut at, mut level) = (start, 1u64);
    while let Some(parent) = parents.get(at).copied().flatten() {
        (at, level) = (parent, level.saturating_add(1));
        if level > LEVELS_MAX || at == start {
            return None;
        }
    }
    Some((at, level))
}

/// Deepest tree; a run below that is at the top of one of its own.
const LEVELS_MAX: u64 = 100;

#[cfg(test)]
mod tests {
    use tollgate_core::money::Picodollars;

    use super::*;

    fn run(id: i64, parent: Option<i64>, cost: i128, agent: Option<&str>) -> Run {
        let own = Totals {
            calls: u64::from(agent.is_some()),
            cost: Picodollars::from_pico(cost),
            ..Totals::default()
        };
        Run {
            id,
            parent,
            first_ms: 100 + id,
            last_ms: 200 + id,
            own,
            agent: agent.map(str::to_owned),
            ..Run::default()
        }
    }

    #[test]
    fn an_action_has_all_that_it_started() {
        let found = actions(vec![
            run(3, Some(2), 5, Some("search")),
            run(1, None, 0, None),
            run(2, Some(1), 7, Some("write")),
            run(4, Some(1), 1, Some("check")),
            run(9, Some(77), 3, Some("alone")),
        ]);
        let action = found.iter().find(|one| one.run.id == 1).unwrap();
        assert_eq!((action.all.calls, action.all.cost.as_pico()), (3, 13));
        assert_eq!((action.runs, action.depth, action.started), (4, 3, 2));
        assert_eq!((action.run.first_ms, action.run.last_ms), (101, 204));
        assert_eq!(action.run.agent.as_deref(), Some("write"));
        let alone = found.iter().find(|one| one.run.id == 9).unwrap();
        assert_eq!((alone.runs, alone.depth, alone.started), (1, 1, 0));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn runs_that_started_each_other_are_each_counted_once() {
        let found = actions(vec![
            run(1, Some(2), 1, Some("a")),
            run(2, Some(1), 2, Some("a")),
            run(3, Some(3), 4, Some("a")),
            run(4, Some(2), 8, Some("a")),
        ]);
        let sum: i128 = found.iter().map(|action| action.all.cost.as_pico()).sum();
        assert_eq!((sum, found.iter().map(|action| action.runs).sum::<u64>()), (15, 4));
    }
}

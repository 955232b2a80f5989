//! Runs: what one user's action cost, with all that it started.
//!
//! A run is started by a user's action or by another run. Those that it started, and those that these did,
//! are its tree; the run at the top is the action.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;
use tollgate_core::record::{OutOfRange, Totals};

/// What calls of runs come to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RunTotals {
    /// Calls that reached a provider.
    pub calls: u64,
    /// Calls that were refused.
    pub denied: u64,
    /// Calls whose outcome is `error`.
    pub errors: u64,
    /// Calls that the caller, the provider or the network broke off.
    pub aborts: u64,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What they cost.
    pub cost: Picodollars,
}

impl RunTotals {
    /// Every count.
    pub const fn counts(&self) -> [u64; 6] {
        let Self { calls, denied, errors, aborts, input_tokens, output_tokens, cost: _ } = *self;
        [calls, denied, errors, aborts, input_tokens, output_tokens]
    }

    /// Every count, in the order of [`Self::counts`].
    pub const fn counts_mut(&mut self) -> [&mut u64; 6] {
        let Self { calls, denied, errors, aborts, input_tokens, output_tokens, cost: _ } = self;
        [calls, denied, errors, aborts, input_tokens, output_tokens]
    }

    /// Adds others to these.
    ///
    /// # Errors
    /// [`OutOfRange`]; these are then half added and to be thrown away.
    pub fn add(&mut self, other: &Self) -> Result<(), OutOfRange> {
        for (mine, theirs) in self.counts_mut().into_iter().zip(other.counts()) {
            *mine = mine.checked_add(theirs).ok_or(OutOfRange)?;
        }
        let cost = self.cost.as_pico().checked_add(other.cost.as_pico()).ok_or(OutOfRange)?;
        self.cost = Picodollars::from_pico(cost);
        Ok(())
    }
}

impl From<&Totals> for RunTotals {
    fn from(totals: &Totals) -> Self {
        Self {
            calls: totals.calls,
            denied: totals.denied,
            errors: totals.errors,
            aborts: totals.client_aborts.saturating_add(totals.upstream_aborts),
            input_tokens: totals.input_tokens,
            output_tokens: totals.output_tokens,
            cost: totals.cost,
        }
    }
}

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
    pub own: RunTotals,
    /// The agent of most of its own calls, by their cost: its place among the agents that were found.
    pub agent: Option<u32>,
}

/// A run with its tree.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Action {
    /// Place of the run at the top.
    pub top: usize,
    /// When the tree's first call was admitted, Unix milliseconds UTC.
    pub first_ms: i64,
    /// When its last call ended, likewise.
    pub last_ms: i64,
    /// Agent of the run at the top; that of the tree's largest cost where it made no call itself.
    pub agent: Option<u32>,
    /// What the tree comes to.
    pub all: RunTotals,
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
    pub const fn of(totals: &RunTotals) -> Self {
        if totals.denied > 0 {
            Self::Refused
        } else if totals.errors > 0 || totals.aborts > 0 {
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

/// The runs at the top, each with its tree, in the order of these. A run whose starter is not among these is at
/// the top. Runs that say that they started each other are at the top each.
pub fn actions(runs: &[Run]) -> Vec<Action> {
    let parents = parents(runs);
    let mut actions: Vec<Action> = Vec::new();
    // Where the action of a run at the top is, plus 1.
    let mut places = vec![0u32; runs.len()];
    // The largest cost in a tree whose top made no call.
    let mut largest: HashMap<usize, Picodollars> = HashMap::new();
    for (at, run) in runs.iter().enumerate() {
        let (top, level) = top_of(at, &parents).unwrap_or((at, 1));
        let (Some(place), Some(first)) = (places.get_mut(top), runs.get(top)) else { continue };
        if *place == 0 {
            let Run { first_ms, last_ms, agent, .. } = *first;
            actions.push(Action { top, first_ms, last_ms, agent, ..Action::default() });
            *place = u32::try_from(actions.len()).unwrap_or(u32::MAX);
        }
        let number = usize::try_from(*place).unwrap_or(usize::MAX).saturating_sub(1);
        let Some(action) = actions.get_mut(number) else { continue };
        // Sums of a run's parts stay far below the range.
        let _ = action.all.add(&run.own);
        action.runs = action.runs.saturating_add(1);
        action.depth = action.depth.max(level);
        action.started = action.started.saturating_add(u64::from(level == 2));
        action.first_ms = action.first_ms.min(run.first_ms);
        action.last_ms = action.last_ms.max(run.last_ms);
        if first.agent.is_none() && run.agent.is_some() {
            let so_far = largest.get(&top);
            if so_far.is_none_or(|cost| run.own.cost > *cost) {
                largest.insert(top, run.own.cost);
                action.agent = run.agent;
            }
        }
    }
    actions.sort_unstable_by_key(|action| action.top);
    actions
}

/// Places of the runs that started these, of those that are among them.
fn parents(runs: &[Run]) -> Vec<Option<usize>> {
    let Some(first) = runs.iter().map(|run| run.id).min() else { return Vec::new() };
    let last = runs.iter().map(|run| run.id).max().unwrap_or(first);
    let slot = |id: i64| usize::try_from(id.checked_sub(first)?).ok();
    // Numbers of runs of a time are close together, so nearly each slot of a table is used.
    let slots = slot(last).map_or(usize::MAX, |last| last.saturating_add(1));
    if slots > runs.len().saturating_mul(TABLE_SLOTS_MAX) {
        let places: HashMap<i64, usize> = runs.iter().enumerate().map(|(at, run)| (run.id, at)).collect();
        return runs.iter().map(|run| run.parent.and_then(|parent| places.get(&parent).copied())).collect();
    }
    let mut table = vec![u32::MAX; slots];
    for (at, run) in runs.iter().enumerate() {
        if let Some(place) = slot(run.id).and_then(|slot| table.get_mut(slot)) {
            *place = u32::try_from(at).unwrap_or(u32::MAX);
        }
    }
    let place = |id: i64| {
        let place = table.get(slot(id)?).copied().filter(|place| *place != u32::MAX);
        place.and_then(|place| usize::try_from(place).ok())
    };
    runs.iter().map(|run| run.parent.and_then(place)).collect()
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
/// Slots of a table of runs for each run in it.
const TABLE_SLOTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: i64, parent: Option<i64>, cost: i128, agent: Option<u32>) -> Run {
        let own = RunTotals {
            calls: u64::from(agent.is_some()),
            cost: Picodollars::from_pico(cost),
            ..RunTotals::default()
        };
        Run { id, parent, first_ms: 100 + id, last_ms: 200 + id, own, agent, ..Run::default() }
    }

    #[test]
    fn an_action_has_all_that_it_started() {
        let found = actions(&[
            run(3, Some(2), 5, Some(0)),
            run(1, None, 0, None),
            run(2, Some(1), 7, Some(1)),
            run(4, Some(1), 1, Some(2)),
            run(9, Some(77), 3, Some(3)),
        ]);
        let action = found.iter().find(|one| one.top == 1).unwrap();
        assert_eq!((action.all.calls, action.all.cost.as_pico()), (3, 13));
        assert_eq!((action.runs, action.depth, action.started), (4, 3, 2));
        assert_eq!((action.first_ms, action.last_ms), (101, 204));
        assert_eq!(action.agent, Some(1));
        let alone = found.iter().find(|one| one.top == 4).unwrap();
        assert_eq!((alone.runs, alone.depth, alone.started), (1, 1, 0));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn runs_that_started_each_other_are_each_counted_once() {
        let found = actions(&[
            run(1, Some(2), 1, Some(4)),
            run(2, Some(1), 2, Some(4)),
            run(3, Some(3), 4, Some(4)),
            run(4, Some(2), 8, Some(4)),
        ]);
        let sum: i128 = found.iter().map(|action| action.all.cost.as_pico()).sum();
        assert_eq!((sum, found.iter().map(|action| action.runs).sum::<u64>()), (15, 4));
    }
}

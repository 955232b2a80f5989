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
    /// Calls that reached a provider. Counts of calls stay at the most that their type has.
    pub calls: u32,
    /// Calls that were refused.
    pub denied: u32,
    /// Calls whose outcome is `error`.
    pub errors: u32,
    /// Calls that the caller, the provider or the network broke off.
    pub aborts: u32,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What they cost.
    pub cost: Picodollars,
}

impl RunTotals {
    /// Every count of calls.
    pub const fn calls(&self) -> [u32; 4] {
        let Self { calls, denied, errors, aborts, input_tokens: _, output_tokens: _, cost: _ } = *self;
        [calls, denied, errors, aborts]
    }

    /// Every count of calls, in the order of [`Self::calls`].
    pub const fn calls_mut(&mut self) -> [&mut u32; 4] {
        let Self { calls, denied, errors, aborts, input_tokens: _, output_tokens: _, cost: _ } = self;
        [calls, denied, errors, aborts]
    }

    /// Adds others to these.
    ///
    /// # Errors
    /// [`OutOfRange`]; these are then half added and to be thrown away.
    pub fn add(&mut self, other: &Self) -> Result<(), OutOfRange> {
        for (mine, theirs) in self.calls_mut().into_iter().zip(other.calls()) {
            *mine = mine.saturating_add(theirs);
        }
        self.input_tokens = self.input_tokens.checked_add(other.input_tokens).ok_or(OutOfRange)?;
        self.output_tokens = self.output_tokens.checked_add(other.output_tokens).ok_or(OutOfRange)?;
        let cost = self.cost.as_pico().checked_add(other.cost.as_pico()).ok_or(OutOfRange)?;
        self.cost = Picodollars::from_pico(cost);
        Ok(())
    }
}

impl From<&Totals> for RunTotals {
    fn from(totals: &Totals) -> Self {
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            calls: count(totals.calls),
            denied: count(totals.denied),
            errors: count(totals.errors),
            aborts: count(totals.client_aborts.saturating_add(totals.upstream_aborts)),
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
    /// Number in the store of the run at the top.
    pub top: i64,
    /// When the tree's first call was admitted, Unix milliseconds UTC.
    pub first_ms: i64,
    /// When its last call ended, likewise.
    pub last_ms: i64,
    /// Tokens of the prompts of the first and the last call of the run at the top; at the most that their
    /// type has, where there were more.
    pub top_tokens: (u32, u32),
    /// Agent of the run at the top; that of the tree's largest cost where it made no call itself.
    pub agent: Option<u32>,
    /// What the tree comes to.
    pub all: RunTotals,
    /// Runs in the tree, with the one at the top.
    pub runs: u32,
    /// Levels of the tree: 1 for a run that started none.
    pub depth: u32,
    /// Runs that the one at the top started itself.
    pub started: u32,
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

/// Puts runs together to actions as they come, so that not all of them are kept: there may be a million.
///
/// A run whose starter does not come is at the top. Of runs that say that they started each other, the one
/// that comes first is.
#[derive(Debug, Default)]
pub struct Actions {
    actions: Vec<Action>,
    places: Places,
    /// Actions whose top has a starter that has not come yet, and that.
    waiting: Vec<(u32, i64)>,
    /// The largest cost in trees whose top made no call, by action.
    silent: HashMap<u32, Picodollars>,
}

impl Actions {
    /// Adds a run. The one that started it should come before it; where it comes later, that takes longer.
    pub fn add(&mut self, run: &Run) {
        let starter = run.parent.filter(|parent| *parent != run.id);
        let above = starter.and_then(|starter| self.places.get(starter));
        let place = match above.filter(|place| place.level < LEVELS_MAX) {
            Some(above) => Place { action: above.action, level: above.level.saturating_add(1) },
            None => {
                let action = u32::try_from(self.actions.len()).unwrap_or(u32::MAX);
                self.actions.push(Action {
                    top: run.id,
                    first_ms: run.first_ms,
                    last_ms: run.last_ms,
                    top_tokens: (narrow(run.first_tokens), narrow(run.last_tokens)),
                    agent: run.agent,
                    ..Action::default()
                });
                if run.agent.is_none() {
                    self.silent.insert(action, Picodollars::ZERO);
                }
                self.waiting.extend(starter.map(|starter| (action, starter)));
                Place { action, level: 1 }
            }
        };
        self.places.set(run.id, place);
        let Some(action) = action_at(&mut self.actions, place.action) else { return };
        // Sums of a run's parts stay far below the range.
        let _ = action.all.add(&run.own);
        action.runs = action.runs.saturating_add(1);
        action.depth = action.depth.max(place.level);
        action.started = action.started.saturating_add(u32::from(place.level == 2));
        action.first_ms = action.first_ms.min(run.first_ms);
        action.last_ms = action.last_ms.max(run.last_ms);
        if run.agent.is_some()
            && let Some(largest) = self.silent.get_mut(&place.action)
            && (action.agent.is_none() || run.own.cost > *largest)
        {
            (*largest, action.agent) = (run.own.cost, run.agent);
        }
    }

    /// The actions, in the order in which their tops came.
    pub fn finish(mut self) -> Vec<Action> {
        // Where the tree of an action went, of those that went.
        let mut went: HashMap<u32, Place> = HashMap::new();
        for (number, starter) in std::mem::take(&mut self.waiting) {
            let Some(above) = self.places.get(starter) else { continue };
            let above = up(&went, above);
            if above.action == number || above.level >= LEVELS_MAX {
                continue; // they started each other
            }
            let Some(tree) = action_at(&mut self.actions, number).map(std::mem::take) else { continue };
            went.insert(number, above);
            self.join(above, number, tree);
        }
        self.actions.retain(|action| action.runs > 0);
        self.actions
    }

    /// Puts a tree under the run at this place.
    fn join(&mut self, above: Place, number: u32, tree: Action) {
        let Some(action) = action_at(&mut self.actions, above.action) else { return };
        let _ = action.all.add(&tree.all);
        action.runs = action.runs.saturating_add(tree.runs);
        action.depth = action.depth.max(above.level.saturating_add(tree.depth));
        action.started = action.started.saturating_add(u32::from(above.level == 1));
        action.first_ms = action.first_ms.min(tree.first_ms);
        action.last_ms = action.last_ms.max(tree.last_ms);
        let cost = self.silent.get(&number).copied().unwrap_or(tree.all.cost);
        if tree.agent.is_some()
            && let Some(largest) = self.silent.get_mut(&above.action)
            && (action.agent.is_none() || cost > *largest)
        {
            (*largest, action.agent) = (cost, tree.agent);
        }
    }
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn action_at(actions: &mut [Action], number: u32) -> Option<&mut Action> {
    actions.get_mut(usize::try_from(number).ok()?)
}

/// Where a run is after trees were put under others.
fn up(went: &HashMap<u32, Place>, mut place: Place) -> Place {
    while let Some(above) = went.get(&place.action) {
        place = Place { action: above.action, level: place.level.saturating_add(above.level) };
    }
    place
}

/// In which action a run is, and how far down: 1 at the top.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    action: u32,
    level: u32,
}

/// Places of runs by their numbers, which grow with time: a table from the smallest on, and a map for those
/// that are far from it.
#[derive(Debug, Default)]
struct Places {
    first: i64,
    /// Level 0 where no run is.
    table: Vec<Place>,
    far: HashMap<i64, Place>,
}

impl Places {
    fn get(&self, id: i64) -> Option<Place> {
        let slot = self.slot(id).and_then(|slot| self.table.get(slot)).copied();
        slot.filter(|place| place.level > 0).or_else(|| self.far.get(&id).copied())
    }

    fn set(&mut self, id: i64, place: Place) {
        if self.table.is_empty() {
            self.first = id;
        }
        match self.slot(id).filter(|slot| *slot < self.table.len().saturating_add(GAP_MAX)) {
            Some(slot) => {
                if slot >= self.table.len() {
                    self.table.resize(slot.saturating_add(1), Place::default());
                }
                if let Some(found) = self.table.get_mut(slot) {
                    *found = place;
                }
            }
            None => drop(self.far.insert(id, place)),
        }
    }

    fn slot(&self, id: i64) -> Option<usize> {
        usize::try_from(id.checked_sub(self.first)?).ok()
    }
}

/// Deepest tree; a run below that is at the top of one of its own.
const LEVELS_MAX: u32 = 100;
/// Slots of the table that one run may leave unused.
const GAP_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(id: i64, parent: Option<i64>, cost: i128, agent: Option<u32>) -> Run {
        let own = RunTotals {
            calls: u32::from(agent.is_some()),
            cost: Picodollars::from_pico(cost),
            ..RunTotals::default()
        };
        Run { id, parent, first_ms: 100 + id, last_ms: 200 + id, own, agent, ..Run::default() }
    }

    fn actions(runs: &[Run]) -> Vec<Action> {
        let mut actions = Actions::default();
        runs.iter().for_each(|run| actions.add(run));
        actions.finish()
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
        let alone = found.iter().find(|one| one.top == 9).unwrap();
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
        assert_eq!((sum, found.iter().map(|action| action.runs).sum::<u32>()), (15, 4));
    }

    proptest! {
        /// Starters may come before or after what they started, with numbers near and far.
        #[test]
        fn the_order_in_which_runs_come_does_not_matter(
            parents in proptest::collection::vec(proptest::option::of(0usize..20), 1..20),
            order in any::<u64>(),
        ) {
            // A run is started by one with a smaller place, so that nothing goes round.
            let id = |at: usize| i64::try_from(at).unwrap() * if at.is_multiple_of(3) { 1 } else { 1_000_000 };
            let runs: Vec<Run> = parents.iter().enumerate().map(|(at, parent)| {
                let parent = parent.filter(|parent| *parent < at).map(id);
                let cost = 1i128 << at;
                run(id(at), parent, cost, (at % 4 > 0).then_some(u32::try_from(at).unwrap()))
            }).collect();
            let sorted = |runs: &[Run]| {
                let mut found = actions(runs);
                found.sort_by_key(|action| action.top);
                found
            };
            let mut mixed = runs.clone();
            mixed.sort_by_key(|run| (run.id.unsigned_abs() ^ order).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let (straight, mixed) = (sorted(&runs), sorted(&mixed));
            prop_assert_eq!(straight.iter().map(|one| one.all.cost.as_pico()).sum::<i128>(), (1i128 << runs.len()) - 1);
            for (one, other) in straight.iter().zip(&mixed) {
                prop_assert_eq!((one.top, &one.all, one.runs), (other.top, &other.all, other.runs));
                prop_assert_eq!((one.depth, one.started), (other.depth, other.started));
                prop_assert_eq!((one.first_ms, one.last_ms), (other.first_ms, other.last_ms));
                prop_assert_eq!(one.agent.is_some(), other.agent.is_some());
            }
            prop_assert_eq!(straight.len(), mixed.len());
        }
    }
}

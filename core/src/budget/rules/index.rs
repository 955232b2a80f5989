//! Rules by the agent or team that they are for: a call looks at few of many.

use std::cell::OnceCell;

use super::{Agent, ForCall, Key, Rules};
use crate::attribution::Attribution;
use crate::budget::scope::{Dimension, Scope, Subject};
use crate::lean::fnv::fnv;
use crate::lean::small_map::put;

/// Made of rules when it is first asked for. It says nothing of its own, so all are equal, and a copy makes
/// its own.
#[derive(Debug, Default)]
pub struct Index {
    made: OnceCell<Made>,
}

#[derive(Debug, Default)]
struct Made {
    agents: ByName,
    keys: ByName,
    allow: Places,
    limits: Places,
    runs: Places,
    scopes_models: bool,
    clamps: bool,
}

/// Places in a list by a hash of a name, in that order: comparing numbers costs a tenth of comparing names.
/// Who finds a place looks whether it is the right one.
#[derive(Debug, Default)]
struct ByName(Vec<(u64, u32)>);

impl ByName {
    fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        (0u32..).zip(names).for_each(|(at, name)| all.put(name, at));
        all
    }

    fn put(&mut self, name: &str, at: u32) {
        put(&mut self.0, (fnv(name.as_bytes()), at), Ord::cmp);
    }

    fn each(&self, name: &str, mut take: impl FnMut(u32)) {
        if self.0.is_empty() {
            return;
        }
        let hash = fnv(name.as_bytes());
        let start = self.0.partition_point(|(known, _)| *known < hash);
        let found = self.0.get(start..).unwrap_or_default().iter();
        found.take_while(|(known, _)| *known == hash).for_each(|(_, at)| take(*at));
    }
}

/// Places of rules in their list.
#[derive(Debug, Default)]
struct Places {
    /// Those for one of these agents.
    of_agents: ByName,
    /// Those for one of these teams.
    of_teams: ByName,
    /// All others.
    others: Vec<u32>,
}

impl Clone for Index {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Index {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Rules {
    /// The rules that are for a call.
    pub fn for_call(&self, subject: &Subject<'_>, now_ms: u64) -> ForCall<'_> {
        let made = self.made();
        let mut found = ForCall::default();
        made.allow.each(subject.attribution, |at| {
            let list =
                self.allow.get(at).filter(|list| list.until_ms.is_none_or(|until_ms| now_ms < until_ms));
            found.allow.extend(list.filter(|list| list.scope.holds(subject)));
        });
        made.limits.each(subject.attribution, |at| {
            found.limits.extend(self.limits.get(at).filter(|limit| limit.scope.holds(subject)));
        });
        made.runs.each(subject.attribution, |at| {
            found.runs.extend(self.runs.get(at).filter(|limit| limit.scope.holds(subject)));
        });
        found
    }

    /// The registered agent of this name.
    pub fn agent(&self, name: &str) -> Option<&Agent> {
        let mut found = None;
        self.made().agents.each(name, |at| {
            let agent = usize::try_from(at).ok().and_then(|at| self.agents.get(at));
            found = found.or(agent.filter(|agent| agent.name == name));
        });
        found
    }

    /// Whose key this is.
    pub fn key(&self, id: &str) -> Option<&Key> {
        let mut found = None;
        self.made().keys.each(id, |at| {
            let key = usize::try_from(at).ok().and_then(|at| self.keys.get(at));
            found = found.or(key.filter(|key| key.id == id));
        });
        found
    }

    /// Whether a rule is for some models only, so that names of the price book matter.
    pub fn scopes_models(&self) -> bool {
        self.made().scopes_models
    }

    /// Whether a limit on one call lowers output limits.
    pub fn clamps(&self) -> bool {
        self.made().clamps
    }

    fn made(&self) -> &Made {
        let scopes = || {
            let allow = self.allow.iter().map(|rule| &rule.scope);
            let limits = self.limits.iter().map(|rule| &rule.scope);
            let steps = self.step_down.iter().map(|rule| &rule.scope);
            allow.chain(limits).chain(self.runs.iter().map(|rule| &rule.scope)).chain(steps)
        };
        self.index.made.get_or_init(|| Made {
            agents: ByName::of(self.agents.iter().map(|agent| agent.name.as_str())),
            keys: ByName::of(self.keys.iter().map(|key| key.id.as_str())),
            allow: Places::of_scopes(self.allow.iter().map(|rule| &rule.scope)),
            limits: Places::of_scopes(self.limits.iter().map(|rule| &rule.scope)),
            runs: Places::of_scopes(self.runs.iter().map(|rule| &rule.scope)),
            scopes_models: scopes().any(|scope| !scope.values(&Dimension::Model).is_empty()),
            clamps: self.limits.iter().any(|limit| limit.clamp),
        })
    }
}

impl Places {
    fn of_scopes<'a>(scopes: impl Iterator<Item = &'a Scope>) -> Self {
        let mut places = Self::default();
        for (at, scope) in (0u32..).zip(scopes) {
            let is_plain =
                |values: &&[String]| !values.is_empty() && !values.iter().any(|name| name.ends_with('*'));
            let of = |dimension| Some(scope.values(&dimension)).filter(is_plain);
            let (list, values) = match (of(Dimension::Agent), of(Dimension::Team)) {
                (Some(agents), _) => (&mut places.of_agents, agents),
                (None, Some(teams)) => (&mut places.of_teams, teams),
                (None, None) => {
                    places.others.push(at);
                    continue;
                }
            };
            values.iter().for_each(|name| list.put(name, at));
        }
        places
    }

    fn each(&self, who: &Attribution, mut take: impl FnMut(usize)) {
        let mut take = |at: u32| take(usize::try_from(at).unwrap_or(usize::MAX));
        self.of_agents.each(&who.agent, &mut take);
        self.of_teams.each(&who.team, &mut take);
        self.others.iter().copied().for_each(take);
    }
}

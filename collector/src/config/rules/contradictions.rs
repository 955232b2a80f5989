//! Rules that have one name, and rules that can never match.

use std::collections::BTreeMap;

use tollgate_core::budget::rules::{CallLimit, Require, RunLimit, Status, StepDown};
use tollgate_core::budget::scope::{Dimension, Scope};

use super::{AllowList, Told, UnknownAgents};
use crate::config::document::Document;
use crate::config::mistake::ConfigError;
use crate::model::agent::{Agent, covers, matches, meet};

/// Reports all of them.
pub(super) fn report(
    document: &mut Document<'_>,
    agents: &[Told<Agent>],
    (unknown, require): (&[Told<UnknownAgents>], &[Told<Require>]),
    (allow, limits): (&[Told<AllowList>], &[Told<CallLimit>]),
    (runs, steps): (&[Told<RunLimit>], &[Told<StepDown>]),
) {
    let mut found = Found(Vec::new());
    found.twins(agents, |agent| (&agent.name, Some(&agent.team)));
    found.twins(allow, |list| (&list.rule.name, None));
    found.twins(limits, |limit| (&limit.name, None));
    found.twins(runs, |limit| (&limit.name, None));
    found.twins(steps, |rule| (&rule.name, None));
    found.shared(allow, limits, runs, steps);
    found.behind_others(unknown, |one| &one.rule.environment);
    found.behind_others(require, |one| &one.environment);
    let known: BTreeMap<&str, &Agent> =
        agents.iter().map(|told| (told.rule.name.as_str(), &told.rule)).collect();
    for told in allow {
        found.never(told, never(&told.rule.rule.scope, &known));
    }
    for told in limits {
        found.never(told, never(&told.rule.scope, &known));
    }
    for told in runs {
        found.never(told, never(&told.rule.scope, &known));
    }
    for told in steps {
        found.never(told, never(&told.rule.scope, &known));
    }
    for error in found.0 {
        document.report(error);
    }
}

struct Found(Vec<ConfigError>);

impl Found {
    fn add<T>(&mut self, told: &Told<T>, message: String) {
        self.0.push(ConfigError { line: Some(told.line), message });
    }

    /// Rules that have the name of an earlier one; `of` gives name and team.
    fn twins<T>(&mut self, all: &[Told<T>], of: impl Fn(&T) -> (&str, Option<&String>)) {
        let mut seen: BTreeMap<&str, &Told<T>> = BTreeMap::new();
        for told in all {
            let (name, team) = of(&told.rule);
            let Some(first) = seen.get(name) else {
                seen.insert(name, told);
                continue;
            };
            let teams = match (of(&first.rule).1, team) {
                (Some(one), Some(other)) if one != other => {
                    format!("; it has one team, and here stand `{one}` and `{other}`")
                }
                _ => String::new(),
            };
            let (place, other) = (&told.place, &first.place);
            self.add(
                told,
                format!("`{place}.name` is `{name}`, which `{other}` has; names are unique{teams}"),
            );
        }
    }

    /// Rules of one kind that have the name of one of another kind: records and summaries name the rule
    /// alone.
    fn shared(
        &mut self,
        allow: &[Told<AllowList>],
        limits: &[Told<CallLimit>],
        runs: &[Told<RunLimit>],
        steps: &[Told<StepDown>],
    ) {
        let named = |place: &str, name: &str, line: usize| (place.to_owned(), name.to_owned(), line);
        let allow = allow.iter().map(|told| named(&told.place, &told.rule.rule.name, told.line));
        let limits = limits.iter().map(|told| named(&told.place, &told.rule.name, told.line));
        let runs = runs.iter().map(|told| named(&told.place, &told.rule.name, told.line));
        let steps = steps.iter().map(|told| named(&told.place, &told.rule.name, told.line));
        let kind = |place: &str| place.split('[').next().unwrap_or_default().to_owned();
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for (place, name, line) in allow.chain(limits).chain(runs).chain(steps) {
            match seen.get(&name) {
                Some(first) if kind(first) != kind(&place) => {
                    let message = format!(
                        "`{place}.name` is `{name}`, which `{first}` has; names are unique over all rules, as records \
                         name the rule alone"
                    );
                    self.0.push(ConfigError { line: Some(line), message });
                }
                Some(_) => {}
                None => {
                    seen.insert(name, place);
                }
            }
        }
    }

    /// Rules of environments that an earlier one is already for.
    fn behind_others<T>(&mut self, all: &[Told<T>], of: impl Fn(&T) -> &String) {
        for (at, told) in all.iter().enumerate() {
            let own = of(&told.rule);
            let first = all.iter().take(at).find(|earlier| covers(of(&earlier.rule), own));
            if let Some(first) = first {
                let (place, other, wide) = (&told.place, &first.place, of(&first.rule));
                self.add(
                    told,
                    format!(
                        "`{place}.environment` is `{own}`, and never matches: `{other}` is for `{wide}`, and the first one for \
                         an environment holds; put the narrower one first"
                    ),
                );
            }
        }
    }

    fn never<T>(&mut self, told: &Told<T>, why: Option<String>) {
        if let Some(why) = why {
            self.add(told, format!("`{}.scope` never matches: {why}", told.place));
        }
    }
}

/// Why no call of the agents that a scope names can be in it; none where one can.
fn never(scope: &Scope, known: &BTreeMap<&str, &Agent>) -> Option<String> {
    let mut last = None;
    for name in scope.values(&Dimension::Agent) {
        // What is not registered, or a pattern, may be anything.
        last = Some(never_of(scope, known.get(name.as_str())?)?);
    }
    last
}

fn never_of(scope: &Scope, agent: &Agent) -> Option<String> {
    let name = &agent.name;
    if agent.status == Status::Retired {
        return Some(format!("the agent `{name}` is retired"));
    }
    let (teams, asked) = (scope.values(&Dimension::Team), scope.values(&Dimension::Environment));
    if !teams.is_empty() && !agent.team.is_empty() && !teams.iter().any(|team| matches(team, &agent.team)) {
        return Some(format!("the agent `{name}` is of the team `{}`", agent.team));
    }
    let meets = |one: &String| asked.iter().any(|other| meet(one, other));
    if !asked.is_empty() && !agent.environments.is_empty() && !agent.environments.iter().any(meets) {
        return Some(format!("the agent `{name}` calls from {} only", agent.environments.join(", ")));
    }
    None
}

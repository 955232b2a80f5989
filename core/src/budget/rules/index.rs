//! Rules by the agent or team that they are for: a call looks at few of many.

use std::cell::OnceCell;

use super::Rules;
use crate::attribution::Attribution;
use crate::budget::scope::{Dimension, Scope};
use crate::lean::small_map::put;

/// Made of rules when it is first asked for. It says nothing of its own, so all are equal, and a copy makes
/// its own.
#[derive(Debug, Default)]
pub struct Index {
    made: OnceCell<Made>,
}

#[derive(Debug, Default)]
struct Made {
    allow: Places,
    limits: Places,
}

/// Places of rules in their list.
#[derive(Debug, Default)]
struct Places {
    /// Those for one of these agents or teams: sorted by name, and then by place.
    named: Vec<(String, u32)>,
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
    /// Places of lists of models that may be for a call.
    pub(super) fn allow_for<'a>(&'a self, who: &'a Attribution) -> impl Iterator<Item = usize> + 'a {
        self.made().allow.of(who)
    }

    /// Places of limits that may be for a call.
    pub(super) fn limits_for<'a>(&'a self, who: &'a Attribution) -> impl Iterator<Item = usize> + 'a {
        self.made().limits.of(who)
    }

    fn made(&self) -> &Made {
        self.index.made.get_or_init(|| Made {
            allow: Places::of_scopes(self.allow.iter().map(|rule| &rule.scope)),
            limits: Places::of_scopes(self.limits.iter().map(|rule| &rule.scope)),
        })
    }
}

impl Places {
    fn of_scopes<'a>(scopes: impl Iterator<Item = &'a Scope>) -> Self {
        let mut places = Self::default();
        for (at, scope) in (0u32..).zip(scopes) {
            let names =
                [Dimension::Agent, Dimension::Team].map(|dimension| (scope.values(&dimension), dimension));
            let is_plain =
                |values: &[String]| !values.is_empty() && !values.iter().any(|name| name.ends_with('*'));
            match names.into_iter().find(|(values, _)| is_plain(values)) {
                Some((values, dimension)) => {
                    for name in values {
                        put(&mut places.named, (key(&dimension, name), at), Ord::cmp);
                    }
                }
                None => places.others.push(at),
            }
        }
        places
    }

    fn of<'a>(&'a self, who: &'a Attribution) -> impl Iterator<Item = usize> + 'a {
        let named = |dimension: Dimension, name: &'a str| {
            let key = if self.named.is_empty() { String::new() } else { key(&dimension, name) };
            let start = self.named.partition_point(|(known, _)| *known < key);
            let found = self.named.get(start..).unwrap_or_default().iter();
            found.take_while(move |(known, _)| *known == key).map(|(_, at)| *at)
        };
        let found = named(Dimension::Agent, &who.agent).chain(named(Dimension::Team, &who.team));
        found.chain(self.others.iter().copied()).filter_map(|at| usize::try_from(at).ok())
    }
}

fn key(dimension: &Dimension, name: &str) -> String {
    let mut key = String::with_capacity(name.len().saturating_add(1));
    key.push(if *dimension == Dimension::Agent { 'a' } else { 't' });
    key.push_str(name);
    key
}

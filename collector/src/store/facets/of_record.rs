//! The facets that a record has.

use std::collections::BTreeSet;

use tollgate_core::money::Picodollars;
use tollgate_core::record::{Sums, Totals, UsageRecord};

use super::{Apart, Facet};
use crate::model::clock::signed;
use crate::model::dimension::NOTED;
use crate::model::prompt::PromptCounts;

/// A value of a facet: a number, or a name that is interned.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::store) enum Value {
    /// The value itself.
    Number(i64),
    /// A name.
    Name(String),
}

/// Every facet of a record but that it repeats another one, which it does not know itself.
pub(in crate::store) fn facets_of(record: &UsageRecord) -> Vec<(Facet, Value)> {
    let attribution = &record.head.attribution;
    let apart = Apart::of(record.outcome, record.usage.input_tokens.unwrap_or(0));
    let apart = apart.map(|apart| (Facet::Apart, Value::Number(apart.value())));
    let run = attribution.run.as_ref().map(|run| (Facet::Run, Value::Name(run.clone())));
    let tags =
        attribution.tags.iter().map(|(key, value)| (Facet::Tag, Value::Name(format!("{key}={value}"))));
    let refused = record.refused_by.iter().cloned();
    // Each rule once.
    let noted = record.noted_by.iter().filter(|rule| record.refused_by.as_ref() != Some(rule));
    let noted = noted.map(|rule| format!("{rule}{NOTED}"));
    let rules: BTreeSet<String> = refused.chain(noted).collect();
    let rules = rules.into_iter().map(|rule| (Facet::Rule, Value::Name(rule)));
    let prompt = prompt_of(record).map(|prompt| (Facet::Prompt, Value::Name(prompt)));
    let retry = record.attempts.is_some_and(|attempts| attempts > 1);
    let retry = retry.then_some((Facet::Retry, Value::Number(0)));
    let saved = record.saved_usd.map(|_| (Facet::Saved, Value::Number(0)));
    apart.into_iter().chain(run).chain(tags).chain(rules).chain(prompt).chain(retry).chain(saved).collect()
}

/// Every facet of a record, where it is known whether it is a retry.
pub(in crate::store) fn with_retry(record: &UsageRecord, retry: Option<i64>) -> Vec<(Facet, Value)> {
    let mut facets = facets_of(record);
    if retry.is_some() && !facets.iter().any(|(facet, _)| *facet == Facet::Retry) {
        facets.push((Facet::Retry, Value::Number(0)));
    }
    facets
}

/// The part of a record's sums that a row of this facet has: all but of [`Facet::Saved`]. The sums may have
/// corrections of its price: as much as it costs more, it saved less.
pub(in crate::store) fn sums_of(facet: Facet, record: &UsageRecord, sums: &Sums) -> Sums {
    match facet {
        Facet::Saved => {
            let corrected = sums.totals.cost - record.cost_usd;
            saved(1, record.saved_usd.unwrap_or_default() - corrected)
        }
        _ => sums.clone(),
    }
}

/// What a correction of its price adds to a row of this facet: as much as it costs more, it saved less.
pub(in crate::store) fn corrected_sums_of(facet: Facet, sums: &Sums) -> Sums {
    match facet {
        Facet::Saved => saved(0, Picodollars::ZERO - sums.totals.cost),
        _ => sums.clone(),
    }
}

fn saved(calls: u64, cost: Picodollars) -> Sums {
    Sums { totals: Totals { calls, cost, ..Totals::default() }, kinds: Vec::new() }
}

/// The prints of system prompt and tools, as one name; `-` where there is none.
pub(in crate::store) fn prompt_of(record: &UsageRecord) -> Option<String> {
    let shape = record.prompt.as_ref()?;
    let print = |print: &Option<String>| print.clone().unwrap_or_else(|| "-".to_owned());
    Some(format!("{} {}", print(&shape.system_hash), print(&shape.tools_hash)))
}

/// What a row of this facet counts besides sums.
pub(in crate::store) fn counts_of(facet: Facet, record: &UsageRecord) -> PromptCounts {
    match facet {
        Facet::Prompt => PromptCounts::of(record).unwrap_or_default(),
        Facet::Apart | Facet::Tag | Facet::Run | Facet::Retry | Facet::Rule | Facet::Saved => {
            PromptCounts::default()
        }
    }
}

/// What a record says of its run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::store) struct Seen {
    pub(in crate::store) parent: Option<String>,
    pub(in crate::store) first_ms: i64,
    pub(in crate::store) last_ms: i64,
    pub(in crate::store) first_tokens: i64,
    pub(in crate::store) last_tokens: i64,
}

impl Seen {
    /// Of one call.
    pub(in crate::store) fn of(record: &UsageRecord) -> Self {
        let tokens = signed(record.usage.input_tokens.unwrap_or(0));
        let first_ms = signed(record.head.time_ms);
        Self {
            parent: record.head.attribution.parent_run.clone(),
            first_ms,
            last_ms: first_ms.saturating_add(signed(record.duration_ms.unwrap_or(0))),
            first_tokens: tokens,
            last_tokens: tokens,
        }
    }

    /// Adds another call.
    pub(in crate::store) fn add(&mut self, other: Self) {
        if other.first_ms < self.first_ms {
            (self.first_ms, self.first_tokens) = (other.first_ms, other.first_tokens);
        }
        if other.last_ms >= self.last_ms {
            (self.last_ms, self.last_tokens) = (other.last_ms, other.last_tokens);
        }
        self.parent = self.parent.take().or(other.parent);
    }
}

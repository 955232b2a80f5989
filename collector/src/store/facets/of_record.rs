//! The facets that a record has.

use tollgate_core::record::UsageRecord;

use super::{Apart, Facet};
use crate::model::clock::signed;
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
    let prompt = prompt_of(record).map(|prompt| (Facet::Prompt, Value::Name(prompt)));
    let retry = record.attempts.is_some_and(|attempts| attempts > 1);
    let retry = retry.then_some((Facet::Retry, Value::Number(0)));
    apart.into_iter().chain(run).chain(tags).chain(prompt).chain(retry).collect()
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
        Facet::Apart | Facet::Tag | Facet::Run | Facet::Retry => PromptCounts::default(),
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

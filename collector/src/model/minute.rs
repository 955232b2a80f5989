//! What an agent did in a minute, and in an hour: the detector's input.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;
use tollgate_core::record::{Outcome, Totals, UsageRecord};

/// One agent's minute. Bounded, whatever callers send.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Minute {
    /// Calls that reached a provider.
    pub calls: u64,
    /// Of these, those that failed.
    pub errors: u64,
    /// Calls that were refused.
    pub denied: u64,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What they cost.
    pub cost: Picodollars,
    /// Runs with the most calls.
    pub runs: Heavy,
    /// Requests that came most often.
    pub requests: Heavy,
}

/// One agent's hour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hour {
    /// Calls that reached a provider.
    pub calls: u64,
    /// Of these, those that failed.
    pub errors: u64,
    /// Calls that were refused.
    pub denied: u64,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What they cost, in dollars: for statistics, never for books.
    pub dollars: f64,
    /// Calls of one run in its busiest minute, where that is known.
    pub busiest_run: Option<u64>,
    /// How often one request came in its busiest minute, where that is known.
    pub busiest_request: Option<u64>,
}

impl Minute {
    /// The minute of one call.
    pub fn of(record: &UsageRecord) -> Self {
        let is = |yes: bool| u64::from(yes);
        let mut minute = Self {
            calls: is(record.outcome != Outcome::Denied),
            errors: is(matches!(record.outcome, Outcome::Error | Outcome::UpstreamAbort)),
            denied: is(record.outcome == Outcome::Denied),
            input_tokens: record.usage.input_tokens.unwrap_or(0),
            output_tokens: record.usage.output_tokens.unwrap_or(0),
            cost: record.cost_usd,
            ..Self::default()
        };
        if let Some(run) = &record.head.attribution.run {
            minute.runs.add(hashed(run), 1);
        }
        if let Some(request) = &record.request_hash {
            minute.requests.add(hashed(request), 1);
        }
        minute
    }

    /// The minute of calls of which only totals are known: not by run, nor by request.
    pub fn of_totals(totals: &Totals) -> Self {
        Self {
            calls: totals.calls,
            errors: totals.errors.saturating_add(totals.upstream_aborts),
            denied: totals.denied,
            input_tokens: totals.input_tokens,
            output_tokens: totals.output_tokens,
            cost: totals.cost,
            ..Self::default()
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.denied = self.denied.saturating_add(other.denied);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cost += other.cost;
        self.runs.merge(&other.runs);
        self.requests.merge(&other.requests);
    }
}

/// The most frequent of many values, in bounded room (Misra and Gries, 1982): a count is never too high, and
/// too low by at most a ninth of all.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Heavy(Vec<(u32, u64)>);

impl Heavy {
    /// Counts a value.
    pub fn add(&mut self, value: u32, count: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == value) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => self.0.push((value, count)),
        }
        self.shrink();
    }

    /// Counts what another counted.
    pub fn merge(&mut self, other: &Self) {
        for (value, count) in &other.0 {
            match self.0.iter_mut().find(|(known, _)| known == value) {
                Some((_, sum)) => *sum = sum.saturating_add(*count),
                None => self.0.push((*value, *count)),
            }
        }
        self.shrink();
    }

    /// The highest count.
    pub fn most(&self) -> u64 {
        self.0.iter().map(|(_, count)| *count).max().unwrap_or(0)
    }

    /// Takes from every count what the first that has no room has.
    fn shrink(&mut self) {
        if self.0.len() <= KEPT {
            return;
        }
        self.0.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let less = self.0.get(KEPT).map_or(0, |(_, count)| *count);
        self.0.retain_mut(|(_, count)| {
            *count = count.saturating_sub(less);
            *count > 0
        });
    }
}

fn hashed(text: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    // The upper half is as good as the whole.
    u32::try_from(hasher.finish() >> 32).unwrap_or(0)
}

/// Values of which a count is kept.
const KEPT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_heavy_count_is_never_too_high_and_hardly_too_low(values in proptest::collection::vec(0u32..30, 0..400), cut in 0usize..400) {
            let (first, second) = values.split_at(cut.min(values.len()));
            let count = |values: &[u32]| {
                let mut heavy = Heavy::default();
                values.iter().for_each(|value| heavy.add(*value, 1));
                heavy
            };
            let mut heavy = count(first);
            heavy.merge(&count(second));
            let truth = (0..30).map(|value| values.iter().filter(|one| **one == value).count() as u64).max().unwrap();
            prop_assert!(heavy.most() <= truth);
            prop_assert!(heavy.most() + values.len() as u64 / 9 + 1 >= truth);
            prop_assert!(heavy.0.len() <= KEPT);
        }
    }
}

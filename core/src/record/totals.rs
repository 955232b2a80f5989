//! Totals of records: what a summary shows of many calls.

use serde::{Deserialize, Serialize};

use super::{Outcome, UsageRecord};
use crate::money::Picodollars;
use crate::price::charge::CostStatus;
use crate::usage::Kind;

/// Counts, tokens and money of a set of records.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Totals {
    /// Calls that reached a provider.
    pub calls: u64,
    /// Calls that were refused.
    pub denied: u64,
    /// Calls whose outcome is `error`.
    pub errors: u64,
    /// Calls whose caller hung up.
    pub client_aborts: u64,
    /// Calls that the provider or the network broke off.
    pub upstream_aborts: u64,
    /// Calls whose cost is estimated.
    pub estimated_calls: u64,
    /// Calls that have no price for all they used.
    pub unpriced_calls: u64,
    /// Sum of `usage.input_tokens`.
    pub input_tokens: u64,
    /// Sum of `usage.cache_read_tokens`.
    pub cache_read_tokens: u64,
    /// Sum of `usage.cache_write_tokens`.
    pub cache_write_tokens: u64,
    /// Sum of `usage.output_tokens`.
    pub output_tokens: u64,
    /// Sum of `usage.reasoning_tokens`.
    pub reasoning_tokens: u64,
    /// Sum of `cost_usd`.
    #[serde(rename = "cost_usd")]
    pub cost: Picodollars,
    /// The part of `cost` whose status is `estimated`.
    #[serde(rename = "estimated_cost_usd")]
    pub estimated_cost: Picodollars,
    /// Sum of `provider_cost_usd`.
    #[serde(rename = "provider_cost_usd")]
    pub provider_cost: Picodollars,
}

/// Quantity and cost of one kind.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KindTotal {
    /// What was consumed.
    pub kind: Kind,
    /// Tokens, or things counted.
    pub quantity: u64,
    /// What they cost.
    pub cost_usd: Picodollars,
}

/// A total would pass 2⁶⁴, or an amount 2¹²⁷ pico-dollars.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a total is out of range")]
pub struct OutOfRange;

impl Totals {
    /// The totals of one record.
    pub fn of(record: &UsageRecord) -> Self {
        let is = |yes: bool| u64::from(yes);
        let count = |value: Option<u64>| value.unwrap_or(0);
        let estimated = record.cost_status == CostStatus::Estimated;
        Self {
            calls: is(record.outcome != Outcome::Denied),
            denied: is(record.outcome == Outcome::Denied),
            errors: is(record.outcome == Outcome::Error),
            client_aborts: is(record.outcome == Outcome::ClientAbort),
            upstream_aborts: is(record.outcome == Outcome::UpstreamAbort),
            estimated_calls: is(estimated),
            unpriced_calls: is(record.cost_status == CostStatus::Unpriced),
            input_tokens: count(record.usage.input_tokens),
            cache_read_tokens: count(record.usage.cache_read_tokens),
            cache_write_tokens: count(record.usage.cache_write_tokens),
            output_tokens: count(record.usage.output_tokens),
            reasoning_tokens: count(record.usage.reasoning_tokens),
            cost: record.cost_usd,
            estimated_cost: if estimated { record.cost_usd } else { Picodollars::ZERO },
            provider_cost: record.provider_cost_usd.unwrap_or(Picodollars::ZERO),
        }
    }

    /// Adds others to these.
    ///
    /// # Errors
    /// [`OutOfRange`]; these totals are then half added and to be thrown away.
    pub fn add(&mut self, other: &Self) -> Result<(), OutOfRange> {
        for (mine, theirs) in self.counts_mut().into_iter().zip(other.counts()) {
            *mine = mine.checked_add(theirs).ok_or(OutOfRange)?;
        }
        for (mine, theirs) in self.money_mut().into_iter().zip(other.money()) {
            let sum = mine.as_pico().checked_add(theirs.as_pico());
            *mine = sum.map(Picodollars::from_pico).ok_or(OutOfRange)?;
        }
        Ok(())
    }

    /// Every count, in the order of [`Self::COUNTS`].
    pub const fn counts_mut(&mut self) -> [&mut u64; 12] {
        [
            &mut self.calls,
            &mut self.denied,
            &mut self.errors,
            &mut self.client_aborts,
            &mut self.upstream_aborts,
            &mut self.estimated_calls,
            &mut self.unpriced_calls,
            &mut self.input_tokens,
            &mut self.cache_read_tokens,
            &mut self.cache_write_tokens,
            &mut self.output_tokens,
            &mut self.reasoning_tokens,
        ]
    }

    /// Every amount, in the order of [`Self::MONEY`].
    pub const fn money_mut(&mut self) -> [&mut Picodollars; 3] {
        [&mut self.cost, &mut self.estimated_cost, &mut self.provider_cost]
    }

    /// Every count, in the order of [`Self::COUNTS`].
    pub const fn counts(&self) -> [u64; 12] {
        [
            self.calls,
            self.denied,
            self.errors,
            self.client_aborts,
            self.upstream_aborts,
            self.estimated_calls,
            self.unpriced_calls,
            self.input_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.output_tokens,
            self.reasoning_tokens,
        ]
    }

    /// Every amount, in the order of [`Self::MONEY`].
    pub const fn money(&self) -> [Picodollars; 3] {
        [self.cost, self.estimated_cost, self.provider_cost]
    }

    /// Names of the counts in JSON. The order never changes: rollups are stored in it.
    pub const COUNTS: [&str; 12] = [
        "calls",
        "denied",
        "errors",
        "client_aborts",
        "upstream_aborts",
        "estimated_calls",
        "unpriced_calls",
        "input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
    ];
    /// Names of the amounts in JSON; in an order that never changes either.
    pub const MONEY: [&str; 3] = ["cost_usd", "estimated_cost_usd", "provider_cost_usd"];
}

/// What a record used and what that cost, each kind once.
pub fn kinds_of(record: &UsageRecord) -> Vec<KindTotal> {
    let used = record.usage.parts().quantities.into_iter();
    let mut kinds: Vec<KindTotal> =
        used.map(|(kind, quantity)| KindTotal { kind, quantity, cost_usd: Picodollars::ZERO }).collect();
    let in_usage = kinds.len();
    for charge in &record.charges {
        match kinds.iter_mut().enumerate().find(|(_, one)| one.kind == charge.kind) {
            Some((at, one)) => {
                one.cost_usd += charge.cost_usd;
                // A charge for the call itself has no count in the usage.
                if at >= in_usage {
                    one.quantity = one.quantity.saturating_add(charge.quantity);
                }
            }
            None => kinds.push(KindTotal {
                kind: charge.kind,
                quantity: charge.quantity,
                cost_usd: charge.cost_usd,
            }),
        }
    }
    kinds
}

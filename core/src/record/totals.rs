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

/// What a set of records comes to, as a whole and by kind.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Sums {
    /// The numbers of a summary.
    pub totals: Totals,
    /// Quantity and cost of every kind that occurred, each once, in any order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<KindTotal>,
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
            *mine = plus(*mine, theirs)?;
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

/// The order of kinds tells nothing.
impl PartialEq for Sums {
    fn eq(&self, other: &Self) -> bool {
        self.totals == other.totals
            && self.kinds.len() == other.kinds.len()
            && self.kinds.iter().all(|mine| other.kinds.contains(mine))
    }
}

impl Eq for Sums {}

impl Sums {
    /// The sums of one record.
    pub fn of(record: &UsageRecord) -> Self {
        Self { totals: Totals::of(record), kinds: kinds_of(record) }
    }

    /// Adds others to these.
    ///
    /// # Errors
    /// [`OutOfRange`]; these sums are then half added and to be thrown away.
    pub fn add(&mut self, other: &Self) -> Result<(), OutOfRange> {
        self.totals.add(&other.totals)?;
        other.kinds.iter().try_for_each(|theirs| self.add_kind(*theirs))
    }

    /// Adds what one kind came to.
    ///
    /// # Errors
    /// [`OutOfRange`], and nothing is added.
    pub fn add_kind(&mut self, theirs: KindTotal) -> Result<(), OutOfRange> {
        match self.kinds.iter_mut().find(|mine| mine.kind == theirs.kind) {
            Some(mine) => {
                let quantity = mine.quantity.checked_add(theirs.quantity).ok_or(OutOfRange)?;
                mine.cost_usd = plus(mine.cost_usd, theirs.cost_usd)?;
                mine.quantity = quantity;
            }
            None => self.kinds.push(theirs),
        }
        Ok(())
    }

    /// Subtracts others from these, which contain them.
    ///
    /// # Errors
    /// [`OutOfRange`] where they do not; these sums are then half subtracted and to be thrown away.
    pub fn subtract(&mut self, other: &Self) -> Result<(), OutOfRange> {
        for (mine, theirs) in self.totals.counts_mut().into_iter().zip(other.totals.counts()) {
            *mine = mine.checked_sub(theirs).ok_or(OutOfRange)?;
        }
        for (mine, theirs) in self.totals.money_mut().into_iter().zip(other.totals.money()) {
            *mine = plus(*mine, -theirs)?;
        }
        for theirs in &other.kinds {
            let mut left = self.kind(theirs.kind);
            left.quantity = left.quantity.checked_sub(theirs.quantity).ok_or(OutOfRange)?;
            left.cost_usd = plus(left.cost_usd, -theirs.cost_usd)?;
            self.kinds.retain(|mine| mine.kind != theirs.kind);
            self.kinds.push(left);
        }
        self.forget_nothing();
        Ok(())
    }

    /// Leaves out the kinds that came to nothing.
    pub fn forget_nothing(&mut self) {
        self.kinds.retain(|one| one.quantity != 0 || one.cost_usd != Picodollars::ZERO);
    }

    /// The money that these have more than others, without counts: what a closed month leaves to the open
    /// one.
    ///
    /// # Errors
    /// [`OutOfRange`].
    pub fn money_since(&self, before: &Self) -> Result<Self, OutOfRange> {
        let mut more = Self::default();
        let money = self.totals.money().into_iter().zip(before.totals.money());
        for (more, (after, old)) in more.totals.money_mut().into_iter().zip(money) {
            *more = plus(after, -old)?;
        }
        for one in self.kinds.iter().chain(&before.kinds) {
            let cost_usd = plus(self.kind(one.kind).cost_usd, -before.kind(one.kind).cost_usd)?;
            let is_known = more.kinds.iter().any(|known| known.kind == one.kind);
            if cost_usd != Picodollars::ZERO && !is_known {
                more.kinds.push(KindTotal { kind: one.kind, quantity: 0, cost_usd });
            }
        }
        Ok(more)
    }

    /// What one kind came to; nothing where it did not occur.
    pub fn kind(&self, kind: Kind) -> KindTotal {
        let nothing = KindTotal { kind, quantity: 0, cost_usd: Picodollars::ZERO };
        self.kinds.iter().find(|one| one.kind == kind).copied().unwrap_or(nothing)
    }
}

fn plus(left: Picodollars, right: Picodollars) -> Result<Picodollars, OutOfRange> {
    left.as_pico().checked_add(right.as_pico()).map(Picodollars::from_pico).ok_or(OutOfRange)
}

/// What a record used and what that cost, each kind once.
fn kinds_of(record: &UsageRecord) -> Vec<KindTotal> {
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

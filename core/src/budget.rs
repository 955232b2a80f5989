//! Budgets: who may spend how much in which time, and what happens at the end of it.
//!
//! | module | knows |
//! | --- | --- |
//! | [`define`] | a budget as its operator writes it, and everything that can be wrong with it |
//! | [`scope`] | which calls a budget is for, and which of its counters a call touches |
//! | [`window`] | hours, days, weeks, months, quarters, rolling and endless windows |
//! | [`counter`] | the gateway's side: one counter in one window, and what may be admitted on it |
//! | [`ledger`] | the collector's side: what is granted to whom, and the invariant over all of it |
//! | [`hold`] | the worst case of a call, which is charged before it goes on |
//! | [`policy`] | what a gateway is told of budgets |
//! | [`reservation`] | what a VM takes on a counter for calls to come |
//!
//! The bound: while all calls are *bounded* ([`is_bounded`](crate::price::Bound::is_bounded)), what is spent
//! never passes the limit. Each gateway admits a call only where its worst case fits into what it was granted
//! and has not returned, and the sum of `max(granted − returned, used)` over all gateways is never above the
//! limit.

pub mod counter;
pub mod define;
#[cfg(test)]
mod fleet;
pub(crate) mod hold;
pub mod ledger;
pub mod policy;
pub mod reservation;
pub mod rules;
pub mod scope;
pub mod window;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::money::Picodollars;
use scope::{Dimension, Scope};
use window::{Window, is_same_zone};

/// A budget, checked.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Budget {
    /// `name`: unique among budgets.
    pub name: String,
    /// `scope`: which calls count.
    #[serde(default)]
    pub scope: Scope,
    /// `each`: one counter for each value of this, all with the same limit; without it one counter for all
    /// calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Dimension>,
    /// What is counted.
    pub unit: Unit,
    /// How much of it may be spent in a window.
    pub limit: Amount,
    /// `window`: the time after which spending starts anew.
    pub window: Window,
    /// `time_zone`: whose calendar that is, by its IANA name.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// `thresholds`: percents of the limit from which on answers carry a warning, ascending.
    #[serde(default)]
    pub thresholds: Vec<u16>,
    /// `action`: what becomes of a call that does not fit.
    #[serde(default)]
    pub action: Action,
    /// `hold`: what is charged before a call goes on.
    #[serde(default)]
    pub hold: HoldRule,
    /// `on_outage`: what a gateway does while it cannot reach a collector.
    #[serde(default)]
    pub on_outage: OnOutage,
    /// `on_unknown`: what a call is charged of which nobody knows what the provider charged.
    #[serde(default)]
    pub on_unknown: OnUnknown,
    /// `lease`: for how long a gateway may spend what it was granted without being acknowledged, in
    /// milliseconds.
    #[serde(default = "default_lease_ms")]
    pub lease_ms: u64,
    /// `ceiling_usd`: what a call is held for whose price is not known where it is decided on; without it the
    /// dearest price of its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Amount>,
    /// `default_output_tokens`: the output limit that is written into requests without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_output_tokens: Option<u64>,
    /// `deferred`: whether work that is charged later (batches, background answers) may be started.
    #[serde(default)]
    pub deferred: bool,
    /// `unmetered`: whether what cannot be metered (upgrades, tunnels and paths that nobody knows) may be
    /// called.
    #[serde(default)]
    pub unmetered: bool,
    /// `end_streams`: whether a running stream is ended where its output passes what was held for it.
    #[serde(default)]
    pub end_streams: bool,
    /// `carry_over_usd` and the like: how much of an unspent limit is added to the next window's, at most.
    #[serde(default)]
    pub carry_over: Amount,
    /// `status`: HTTP status of a refusal instead of 402.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `message`: text of a refusal; `{budget}`, `{limit}`, `{spent}` and `{reset}` are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Budget {
    /// Whether a change from `self` to `other` counts other calls or counts them otherwise, so that the
    /// counters of the one are not those of the other.
    pub fn counts_as(&self, other: &Self) -> bool {
        self.scope == other.scope
            && self.each == other.each
            && self.unit == other.unit
            && self.window == other.window
            && (!self.window.has_calendar() || is_same_zone(&self.time_zone, &other.time_zone))
    }

    /// Whether a call that does not fit is refused.
    pub fn is_enforced(&self) -> bool {
        self.action == Action::Deny
    }

    /// The output limit that it writes into requests without one; a shadow budget changes nothing.
    pub fn written_output_tokens(&self) -> Option<u64> {
        self.default_output_tokens.filter(|_| self.action != Action::Shadow)
    }
}

/// Ten minutes: longer than a collector's restart, shorter than anyone waits for what a lost gateway was
/// granted.
pub const DEFAULT_LEASE_MS: u64 = 600_000;

const fn default_lease_ms() -> u64 {
    DEFAULT_LEASE_MS
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", schemars(rename = "BudgetUnit"))]
pub enum Unit {
    /// Pico-dollars.
    Dollars,
    /// Tokens, input and output.
    Tokens,
    /// Calls.
    Calls,
}

impl Unit {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dollars => "dollars",
            Self::Tokens => "tokens",
            Self::Calls => "calls",
        }
    }

    /// An amount for people: `$12.50`, `1200 tokens`, `7 calls`.
    pub fn show(self, amount: Amount) -> String {
        match self {
            Self::Dollars => {
                let text = Picodollars::from_pico(amount.0).to_string();
                let cut = text.trim_end_matches('0');
                let decimals = cut.len().saturating_sub(cut.find('.').map_or(0, |at| at + 1));
                let shown = text.get(..cut.len() + 2_usize.saturating_sub(decimals)).unwrap_or(&text);
                format!("${shown}")
            }
            Self::Tokens => format!("{} tokens", amount.0),
            Self::Calls => format!("{} calls", amount.0),
        }
    }
}

/// What becomes of a call that does not fit.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", schemars(rename = "BudgetAction"))]
pub enum Action {
    /// It is refused.
    #[default]
    Deny,
    /// It goes on, and its answer carries a warning.
    Warn,
    /// It goes on; what would have been refused is counted.
    Shadow,
}

/// What is charged to a budget before a call goes on.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldRule {
    /// The most that it can cost.
    #[default]
    Worst,
    /// What this agent's calls of the model cost in the mean; looser: concurrent calls may pass the limit by
    /// the difference.
    Expected,
}

/// What a gateway does with an enforced budget while it cannot reach a collector.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOutage {
    /// Spends what it was granted, then refuses.
    #[default]
    Lease,
    /// Lets calls go on; what they spend is counted.
    Allow,
    /// Refuses.
    Deny,
}

/// What a call is charged of which the provider did not say what it charged: an answer that was cut off, or a
/// price that nobody knows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// What its record says.
    #[default]
    Record,
    /// The most that it can cost; what that is above the record is `kept`.
    Worst,
}

/// A quantity of a budget's unit: pico-dollars, tokens or calls. In JSON a string of digits, so that no
/// reader rounds it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Amount(pub i128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The sum, at the end of the numbers where it would pass it.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        match self.0.checked_add(other.0) {
            Some(sum) => Self(sum),
            None => Self::end(other.0 < 0),
        }
    }

    /// The difference; may be below zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        match self.0.checked_sub(other.0) {
            Some(difference) => Self(difference),
            None => Self::end(other.0 > 0),
        }
    }

    /// Where sums and differences stay that would pass it: numbers so large are rare, so this is not computed
    /// beside each.
    #[cold]
    const fn end(is_low: bool) -> Self {
        Self(if is_low { i128::MIN } else { i128::MAX })
    }

    /// This or nothing, if it is below zero.
    #[must_use]
    pub fn or_nothing(self) -> Self {
        self.max(Self::ZERO)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Amount {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A quantity of a budget's unit: pico-dollars, tokens or calls, as a string of digits.",
            "type": "string",
            "pattern": "^-?[0-9]+$",
        })
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn edits_that_mean_the_same_count_the_same() {
        let read = |more: serde_json::Value| {
            let mut all = json!({"name": "b", "limit_usd": "1", "window": "day"});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            define::read_one(&all, None).unwrap()
        };
        for (before, after, expected) in [
            (json!({"scope": {"agent": ["a", "b"]}}), json!({"scope": {"agent": ["b", "a", "b"]}}), true),
            (json!({"scope": {"agent": ["a", "b"]}}), json!({"scope": {"agent": ["a"]}}), false),
            (json!({}), json!({"time_zone": "Etc/UTC"}), true),
            (json!({"time_zone": "Z"}), json!({"time_zone": "+00:00"}), true),
            (json!({"time_zone": "Europe/Zurich"}), json!({"time_zone": "europe/zurich"}), true),
            (json!({"time_zone": "Europe/Zurich"}), json!({"time_zone": "Europe/London"}), false),
            (json!({}), json!({"time_zone": "+01:00"}), false),
            (json!({"window": "prepaid"}), json!({"window": "prepaid", "time_zone": "+01:00"}), true),
            (
                json!({"window": "rolling 1h"}),
                json!({"window": "rolling 1h", "time_zone": "Asia/Tokyo"}),
                true,
            ),
            (json!({"window": "rolling 1h"}), json!({"window": "rolling 2h"}), false),
        ] {
            assert_eq!(read(before.clone()).counts_as(&read(after.clone())), expected, "{before} {after}");
        }
    }

    #[test]
    fn amounts_are_shown_for_people() {
        for (unit, amount, expected) in [
            (Unit::Dollars, 12_500_000_000_000, "$12.50"),
            (Unit::Dollars, 0, "$0.00"),
            (Unit::Dollars, 1_234_500_000, "$0.0012345"),
            (Unit::Dollars, -2_000_000_000_000, "$-2.00"),
            (Unit::Tokens, 1_200, "1200 tokens"),
            (Unit::Calls, 7, "7 calls"),
        ] {
            assert_eq!(unit.show(Amount(amount)), expected);
        }
    }
}

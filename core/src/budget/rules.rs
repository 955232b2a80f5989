//! Rules: who may call what, beside budgets. Gateways get them with the budgets, in one policy.
//!
//! A rule that has a `scope` is for the calls in it. A call goes on where every rule that is for it lets it.
//! A rule in `shadow` refuses nothing: it is noted that it would have.

mod index;
mod judge;
mod read;
pub mod runs;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attribution::Field;
pub use index::Index;
pub(crate) use judge::ruling_of_contradiction;
pub use judge::{Breach, ForCall, Models, Ruling, Rulings};
pub use runs::RunLimit;

use super::Amount;
use super::scope::{Scope, matches};

/// What gateways enforce beside budgets.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "Value")]
pub struct Rules {
    /// Agents that are registered, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<Agent>,
    /// Keys of providers, and whose they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    /// Calls are refused whose headers say otherwise than a trusted source; else the source holds.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rejects_contradictions: bool,
    /// What headers say holds, whatever trusted sources say; who calls is then known by their word alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accepts_contradictions: bool,
    /// What becomes of calls of other agents; the first one for a call's environment holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Unknown>,
    /// Names that a call must have; the first one for a call's environment holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<Require>,
    /// Models that may be called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allow>,
    /// What one call may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<CallLimit>,
    /// What one run may do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunLimit>,
    /// Cheaper models for budgets that are nearly spent; the first one for a call holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub step_down: Vec<StepDown>,
    /// Rules by whom they are for.
    #[serde(skip)]
    pub index: Index,
}

/// A registered agent, as gateways know it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Its team, which its calls are for, whatever they say; empty where it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub team: String,
    /// Environments that it may call from; any where this is empty. One may end in `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// Whether it may call.
    #[serde(skip_serializing_if = "is_approved")]
    pub status: Status,
    /// When its approval ends, Unix milliseconds UTC; from then on it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// Whose calls have a provider's key: what it says wins over headers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Key {
    /// The key, as records name it: the keyed hash of it.
    pub id: String,
    /// Values that calls with it have; one that is empty is not said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// The team.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub team: String,
    /// The feature.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub feature: String,
    /// The environment.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub environment: String,
}

/// How far an agent has come.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "AgentStatus"))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Somebody asked for it, or it was seen: unknown to gateways.
    Proposed,
    /// It may call.
    #[default]
    Approved,
    /// It may not call any more.
    Retired,
}

/// What becomes of calls of agents that are not registered.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Unknown {
    /// The environment; may end in `*`.
    pub environment: String,
    /// What becomes of them.
    pub action: UnknownAction,
    /// The budget that they count on in quarantine; empty in policies of older collectors: each that is for
    /// unknown agents.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub budget: String,
}

/// What becomes of a call of an agent that is not registered, the mildest first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnknownAction {
    /// It goes on.
    #[default]
    Allow,
    /// It goes on, and it is noted.
    Flag,
    /// It goes on, and counts on the budgets that are for unknown agents alone.
    Quarantine,
    /// It is refused.
    Deny,
}

/// Names that calls of an environment must have.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Require {
    /// The environment; may end in `*`.
    pub environment: String,
    /// `agent`, `team`, `feature`, `environment` or `run`.
    pub fields: Vec<FieldName>,
    /// Only notes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// A field by its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FieldName(pub Field);

/// A list of models.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Allow {
    /// Its name.
    pub name: String,
    /// The calls that it is for.
    pub scope: Scope,
    /// Models that may be called, as in scopes. One that begins with `!` may not be, whatever the others say;
    /// where all begin so, every other model may.
    pub models: Vec<String>,
    /// Whether work may be started that is charged later.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deferred: bool,
    /// Whether calls may be made whose models nobody can tell: unknown paths, and names that the provider
    /// gives a meaning.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub untold: bool,
    /// When it ends, Unix milliseconds UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Only notes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// What one call may be.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CallLimit {
    /// Its name.
    pub name: String,
    /// The calls that it is for.
    pub scope: Scope,
    /// What a call may cost at most, in pico-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Amount>,
    /// Whether calls may be made whose price nobody knows, so that they cannot be held against `max_cost`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unpriced: bool,
    /// Tokens that its prompt may have at most, as they are estimated from its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// A call that may cost more goes on with a lower output limit, where its request can be given one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub clamp: bool,
    /// Only notes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// Cheaper models for calls whose budgets are nearly spent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepDown {
    /// Its name.
    pub name: String,
    /// The calls that it is for.
    pub scope: Scope,
    /// The budget that it looks at; empty: every one that a call is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub budget: String,
    /// From how many percent of it on.
    pub percent: u64,
    /// Models as calls name them, and what is put in their place; in order, each once.
    pub models: BTreeMap<String, String>,
    /// Only notes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

impl Rules {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        let Self { agents, keys, rejects_contradictions, accepts_contradictions, .. } = self;
        let Self { unknown, require, allow, limits, runs, step_down, .. } = self;
        !rejects_contradictions
            && !accepts_contradictions
            && keys.is_empty()
            && agents.is_empty()
            && unknown.is_empty()
            && require.is_empty()
            && allow.is_empty()
            && limits.is_empty()
            && runs.is_empty()
            && step_down.is_empty()
    }

    /// What becomes of calls of unknown agents in this environment.
    pub fn unknown_in(&self, environment: &str) -> UnknownAction {
        self.unknown_of(environment).map_or(UnknownAction::Allow, |one| one.action)
    }

    /// The first that is for an environment.
    fn unknown_of(&self, environment: &str) -> Option<&Unknown> {
        self.unknown.iter().find(|one| matches(&one.environment, environment))
    }
}

impl Agent {
    /// Whether it may call at this time: approved, and not ended.
    pub fn may_call(&self, now_ms: u64) -> bool {
        self.status == Status::Approved && self.until_ms.is_none_or(|until_ms| now_ms < until_ms)
    }
}

impl From<FieldName> for &'static str {
    fn from(FieldName(field): FieldName) -> Self {
        Field::ALL.into_iter().find(|(known, ..)| *known == field).map_or("", |(_, name, _)| name)
    }
}

impl Serialize for FieldName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str((*self).into())
    }
}

/// To the cent, or to what there is of it.
fn dollars(amount: Amount) -> String {
    crate::money::Picodollars::from_pico(amount.0).to_string()
}

// By reference, as serde wants it.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_approved(status: &Status) -> bool {
    matches!(status, Status::Approved)
}

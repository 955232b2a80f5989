//! What a price is told in: its lines, its row, and how far it can be trusted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::money::Picodollars;
use crate::usage::Kind;

/// By which step a name led to its row.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", schemars(rename = "PriceStep"))]
pub enum Step {
    /// The row's id, or one of its names.
    Exact,
    /// A name that moves from model to model.
    Moving,
    /// A snapshot of the row's family.
    Snapshot,
    /// Bedrock's spelling: region, revision and context left out.
    Bedrock,
    /// The fine-tune row of its base.
    FineTune,
    /// Another spelling of the provider's own.
    Respelled,
    /// A router's spelling: parts swapped, or the route left out.
    Router,
    /// The operator's map.
    Mapped,
    /// The vendor's row for a call to a router: an estimate.
    Vendor,
    /// The row of the provider whose models this one sells: an estimate.
    Relative,
    /// The row of the model that was asked for, where the one that answered has none: an estimate.
    Asked,
}

impl Step {
    /// Whether the row is another seller's, so that the price is a likely one.
    pub const fn is_estimate(self) -> bool {
        matches!(self, Self::Vendor | Self::Relative | Self::Asked)
    }

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Moving => "moving",
            Self::Snapshot => "snapshot",
            Self::Bedrock => "bedrock",
            Self::FineTune => "fine_tune",
            Self::Respelled => "respelled",
            Self::Router => "router",
            Self::Mapped => "mapped",
            Self::Vendor => "vendor",
            Self::Relative => "relative",
            Self::Asked => "asked",
        }
    }
}

/// One line of a price: a quantity of one kind at its rate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Charge {
    /// Canonical id of the price row's model.
    pub model: String,
    /// What was consumed.
    pub kind: Kind,
    /// How much of it: tokens, or things counted.
    pub quantity: u64,
    /// Price of one.
    pub rate: Picodollars,
    /// `quantity` × `rate`, exactly.
    pub cost_usd: Picodollars,
}

/// Which row of the price book was used for a model, and which facts chose the rates in it: enough to explain
/// a price, and to price the call again after a correction of the book.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PriceBasis {
    /// The row: canonical id of its model; where there is none, the name that was looked for.
    pub model: String,
    /// Start of the dated price, Unix milliseconds UTC; 0 where it is not known.
    #[serde(skip_serializing_if = "is_zero")]
    pub from_ms: u64,
    /// By which step the model's name led to the row; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// What was known of the call and is not standard, such as `service_tier`, whether or not a price was
    /// found.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// The variant that these facts chose, unless the standard rates held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The context tier: the prompt was above this many tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_above: Option<u64>,
    /// The operator's discount in the rates, such as `0.85 (contract 7)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<String>,
}

/// How far a cost can be trusted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CostStatus {
    /// From counts that the provider reported, or a cost that it named.
    Measured,
    /// From counts that the gateway estimated.
    Estimated,
    /// There is no price for all of it; the tokens are kept and `cost_usd` is the priced part.
    #[default]
    Unpriced,
    /// Nothing is charged: refused, failed before anything was sent, or an operation without a price.
    Free,
}

impl CostStatus {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Estimated => "estimated",
            Self::Unpriced => "unpriced",
            Self::Free => "free",
        }
    }
}

/// What becomes of a call whose model has no price.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// It goes ahead and is recorded as unpriced.
    #[default]
    Allow,
    /// Budgets hold it at the dearest rates that the gateway has for the provider.
    Ceiling,
    /// It is refused.
    Deny,
}

impl Unpriced {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub(crate) fn is_allow(&self) -> bool {
        *self == Self::Allow
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

//! Gateways, and what they hold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every gateway that ever reported, by name.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Gateways")]
pub struct GatewaysAnswer {
    /// The version of budgets and rules that gateways are to hold now.
    pub policy_version: String,
    /// The version of the price book that gateways are to hold now.
    pub price_version: String,
    /// The gateways.
    pub rows: Vec<GatewayRow>,
}

/// A gateway: one name, under which several Envoys may report.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct GatewayRow {
    /// Its name.
    pub gateway: String,
    /// When one of its Envoys last synced.
    pub last_sync: String,
    /// Whether that was within two minutes.
    pub reports: bool,
    /// Envoys that synced with this collector within two minutes.
    pub envoys: u64,
    /// Those that said in their last sync that they hold the policy of now.
    pub with_policy: u64,
    /// Those that said in their last sync that they hold the price book of now.
    pub with_prices: u64,
    /// Calls that were counted under `(other)`, as their budget has as many values as there may be in one
    /// Envoy.
    pub shared_values: u64,
}

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
    /// Versions of their modules, each once. Modules before 0.2 do not say theirs.
    pub versions: Vec<String>,
    /// How long the record had waited that waited for longest, of those that came with the last sync of each
    /// of them, milliseconds from the end of its call. A few hundred are usual; it grows while a gateway
    /// sends what it kept during an outage.
    pub late_ms: u64,
    /// Records that these Envoys could not keep since they started, as nobody took them for too long.
    pub dropped: u64,
    /// Those that said in their last sync that they hold the policy of now.
    pub with_policy: u64,
    /// Those that said in their last sync that they hold the price book of now.
    pub with_prices: u64,
    /// Calls that were counted under `(other)`, as their budget has as many values as there may be in one
    /// Envoy.
    pub shared_values: u64,
}

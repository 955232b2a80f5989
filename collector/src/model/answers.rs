//! What the API answers: one type for each answer. Handlers make it, `/openapi.json` describes it, and the
//! command line reads it.
//!
//! The docs of the fields are the descriptions of the schema. A reader passes over members that it does not
//! know. Times are RFC 3339 in UTC; money is a decimal string of dollars.

pub mod agents;
pub mod alerts;
pub mod allow;
pub mod anomalies;
pub mod audit;
pub mod baseline;
pub mod budgets;
pub mod chargeback;
pub mod collector;
pub mod compare;
pub mod corrections;
pub mod estimate;
pub mod explain;
pub mod explained;
pub mod exports;
pub mod gateways;
pub mod plan;
pub mod prices;
pub mod prompts;
pub mod reconcile;
pub mod records;
pub mod reports;
pub mod runs;
pub mod summary;
pub mod what_if;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// Its rows.
    pub rows: Vec<T>,
    /// Where the next page starts; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A list that is answered whole.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "ListOf{T}")]
pub struct List<T> {
    /// Its rows.
    pub rows: Vec<T>,
}

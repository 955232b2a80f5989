//! What agents did that they usually do not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::anomaly::{Driver, Kind};

/// Something unusual, while it lasts.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Anomaly")]
pub struct AnomalyRow {
    /// Whom it is about.
    pub agent: String,
    /// What is unusual.
    pub kind: Kind,
    /// When it was first found; null where that is no time of the calendar.
    pub start: Option<String>,
    /// When it was found last; null where that is no time of the calendar.
    pub last: Option<String>,
    /// Whether it still lasts.
    pub ongoing: bool,
    /// Minutes that it was found in.
    pub window_minutes: u32,
    /// What is, in the kind's unit: dollars, a share, tokens of a call, calls.
    pub value: f64,
    /// What would be usual, in the same unit.
    pub expected: f64,
    /// By how many usual deviations it is off; 0 where that has no meaning.
    pub score: f64,
    /// Further words, such as the new model; empty where there are none.
    pub detail: String,
    /// What explains it, the most first.
    pub drivers: Vec<Driver>,
}

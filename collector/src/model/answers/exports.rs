//! What there is to export.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Days of which something is kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ExportableDays {
    /// Of records; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<DaySpan>,
    /// Of rollups, which are kept longer than records; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollups: Option<DaySpan>,
    /// What the collector's clock says, RFC 3339 in UTC.
    pub now: String,
}

/// Two days, UTC, and all between.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct DaySpan {
    /// The first, such as `2026-10-01`.
    pub first: String,
    /// The last.
    pub last: String,
}

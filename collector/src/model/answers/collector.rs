//! Whether the collector lives and works; what it took in; what went wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::protocol::sync::RejectedRecord;

/// That the process runs.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Alive {
    /// Always `ok`.
    pub status: String,
}

/// Whether records can be stored and questions answered.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Readiness {
    /// `ready` or `not_ready`.
    pub status: ReadinessStatus,
    /// Why it is not ready; absent where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is wrong with the configuration on disk, so that the one from before is used; absent where it is
    /// used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_not_used: Option<String>,
}

/// Whether it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadinessStatus {
    /// It is.
    Ready,
    /// It is not.
    NotReady,
}

/// What became of the records of an import.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Imported {
    /// Records of the request.
    pub received: u64,
    /// Of these, new ones.
    pub stored: u64,
    /// Of these, known before.
    pub duplicates: u64,
    /// Of these, refused.
    pub rejected: Vec<RejectedRecord>,
}

/// What went wrong.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Error")]
pub struct Failure {
    /// What went wrong.
    pub error: FailureText,
}

/// What went wrong, for programs and for people.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "ErrorText")]
pub struct FailureText {
    /// A word that stays the same, such as `not_found`.
    pub code: String,
    /// A sentence: what is wrong and what would be right.
    pub message: String,
}

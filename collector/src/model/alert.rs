//! What is decided of what is kept, and whom it is told to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::audit::hex;

/// A decision, with all that its message says.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Alert {
    /// What receivers know it by: made of rule, scope, window and threshold.
    pub id: String,
    /// The rule.
    pub rule: String,
    /// Whom it is about, such as `team=support`; `all` for everyone.
    pub scope: String,
    /// The window, such as `day 2026-11-25`.
    pub window: String,
    /// What was passed, such as `80%`.
    pub threshold: String,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: String,
    /// One sentence: who, and how much.
    pub title: String,
    /// Further facts: name and value.
    pub facts: Vec<(String, String)>,
    /// Since when it holds, Unix milliseconds UTC.
    pub since_ms: u64,
    /// Path and query of the API that shows it.
    pub link: String,
    /// The budget that was passed; opens a review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_budget: Option<String>,
}

impl Alert {
    /// Gives it the id of its rule, scope, window and threshold.
    #[must_use]
    pub fn with_id(mut self) -> Self {
        let key =
            serde_json::to_vec(&(&self.rule, &self.scope, &self.window, &self.threshold)).unwrap_or_default();
        let mut hash = hex(ring::digest::digest(&ring::digest::SHA256, &key).as_ref());
        hash.truncate(32);
        self.id = format!("tollgate-{hash}");
        self
    }
}

/// What is told of a decision.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AlertEvent")]
pub enum Event {
    /// It was made.
    Opened,
    /// It does not hold any more.
    Resolved,
}

impl Event {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Resolved => "resolved",
        }
    }
}

/// A gateway, and when it last reported.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GatewaySeen {
    /// Its name.
    pub gateway: String,
    /// When any of its runs reported last, Unix milliseconds UTC.
    pub last_seen_ms: u64,
    /// Calls that it counted under `(other)`, as a budget had as many values as there may be.
    pub values_shared: u64,
    /// When they last became more, Unix milliseconds UTC; 0: never.
    pub values_shared_ms: u64,
}

//! What an agent did that it usually does not, and for how long.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is unusual.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AnomalyKind")]
pub enum Kind {
    /// It costs far more than at this hour of the week.
    Cost,
    /// The last seven days cost far more a day than its baseline.
    Drift,
    /// More of its calls fail.
    Errors,
    /// More of its calls are refused.
    Denied,
    /// Its prompts are longer.
    InputTokens,
    /// Its answers are longer.
    OutputTokens,
    /// One run makes very many calls: fan-out or recursion.
    CallsPerRun,
    /// The same request is sent again and again.
    RetryLoop,
    /// It calls a model that it never called.
    NewModel,
    /// Nobody knew it.
    NewAgent,
}

impl Kind {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Drift => "drift",
            Self::Errors => "errors",
            Self::Denied => "denied",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::CallsPerRun => "calls_per_run",
            Self::RetryLoop => "retry_loop",
            Self::NewModel => "new_model",
            Self::NewAgent => "new_agent",
        }
    }
}

/// Something unusual, as it was found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Minutes that it was found in, counted back from now.
    pub window_minutes: u32,
    /// What is, in the kind's unit: dollars, dollars a day, a share, tokens of a call, calls.
    pub value: f64,
    /// What would be usual.
    pub expected: f64,
    /// By how many usual deviations it is off; 0 where that has no meaning.
    pub score: f64,
    /// Further words, such as the new model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What explains a finding.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "AnomalyDriver")]
pub struct Driver {
    /// `feature`, `model` or `system_prompt`.
    pub dimension: String,
    /// Its value.
    pub value: String,
    /// The part of the excess that it explains, in percent.
    pub percent: u32,
}

/// A finding while it lasts.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Its number.
    pub seq: i64,
    /// Whom it is about.
    pub agent: String,
    /// When it was first found, Unix milliseconds UTC.
    pub start_ms: u64,
    /// When it was found last.
    pub last_ms: u64,
    /// What was found, when it was farthest off.
    pub finding: Finding,
    /// What explains it, the most first.
    pub drivers: Vec<Driver>,
}

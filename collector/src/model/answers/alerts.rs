//! What was decided, whom it was told to, and who looks into it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::alert::Event;

/// A decision, and what was and is to be sent of it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Alert")]
pub struct AlertRow {
    /// What receivers know it by: made of rule, scope, window and threshold.
    pub id: String,
    /// The rule.
    pub rule: String,
    /// Whom it is about, such as `team=support`; `all` for everyone.
    pub scope: String,
    /// The window, such as `day 2026-11-25`.
    pub window: String,
    /// What was passed, such as `80%`; empty where the rule has no threshold.
    pub threshold: String,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: String,
    /// One sentence: who, and how much.
    pub title: String,
    /// Further facts: name and value.
    pub facts: BTreeMap<String, String>,
    /// Since when it holds; null where that is no time of the calendar.
    pub since: Option<String>,
    /// Path and query of the API that shows it.
    pub link: String,
    /// When it was made; null where that is no time of the calendar.
    pub decided: Option<String>,
    /// When it ceased to hold; null while it holds.
    pub resolved: Option<String>,
    /// What was and is to be sent of it, the first message first.
    pub deliveries: Vec<Delivery>,
}

/// What was or is to be sent to one channel.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Delivery {
    /// Name of the channel.
    pub channel: String,
    /// What is told.
    pub event: Event,
    /// How far it is.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
    /// Why the last one failed; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is to be sent, or sent again.
    Waiting,
    /// The receiver has it.
    Delivered,
    /// It is not sent again.
    GivenUp,
}

impl DeliveryState {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
        }
    }
}

/// A test message that its channel took.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct TestMessage {
    /// Name of the channel.
    pub channel: String,
    /// That it took the message: always true, as all else is an error.
    pub delivered: bool,
    /// Id of the message.
    pub id: String,
}

/// A budget that was passed, or an agent that is new, and who looks into it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Review")]
pub struct ReviewRow {
    /// Its number.
    pub id: i64,
    /// The budget; empty where it is about an agent.
    pub budget: String,
    /// The agent, where it is about one; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The window that was passed.
    pub window: String,
    /// What the alert said.
    pub title: String,
    /// When it was opened; null where that is no time of the calendar.
    pub opened: Option<String>,
    /// Who looks into it; empty where nobody does.
    pub owner: String,
    /// What was found; empty where nothing was said.
    pub note: String,
    /// When it was closed; null while it is open.
    pub closed: Option<String>,
    /// By whom; null while it is open.
    pub closed_by: Option<String>,
}

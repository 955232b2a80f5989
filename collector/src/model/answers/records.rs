//! Calls one by one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::attribution::{Attribution, AttributionSource};
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Charge, CostStatus, PriceBasis};
use tollgate_core::record::{CostSource, Note, Outcome, PromptShape, Work};
use tollgate_core::usage::{Share, Usage};

/// A page of records, the newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RecordsPage {
    /// The records.
    pub rows: Vec<RecordRow>,
    /// Where the next page starts; null on the last one.
    pub next_cursor: Option<String>,
}

/// A record as the API shows it: with `time` instead of milliseconds. What is not known of a call is absent.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Record")]
pub struct RecordRow {
    /// The call id, a UUIDv7; also in the answer header `x-tollgate-call`. Of fetched work it is made of
    /// provider and work instead: whoever fetches it, it is one record.
    pub id: String,
    /// When the call was admitted.
    pub time: String,
    /// Name of the gateway, from its plugin configuration.
    pub gateway: String,
    /// Who spent: agent, team, feature, environment, run, parent run, tags.
    #[serde(flatten)]
    pub attribution: Attribution,
    /// How far the attribution can be trusted.
    pub attribution_source: AttributionSource,
    /// Keyed hash of the provider key that the caller used, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Provider id, such as `openai`.
    pub provider: String,
    /// What was asked of it, such as `chat`.
    pub operation: String,
    /// The model that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_model: Option<String>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_model: Option<String>,
    /// Service tier that decided the price, such as `flex`, in the provider's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Whether the answer was streamed.
    pub stream: bool,
    /// HTTP status of the answer; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How the call ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// What each model used, where several worked on the call, with a run of a model on its own line;
    /// searches and the like are counted for the whole call only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    /// Some of these counts were worked out by the gateway: the provider did not say them, or not to their
    /// end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub usage_estimated: bool,
    /// What that costs by the price book, line by line; where `cost_source` is `book` the sum is `cost_usd`.
    pub charges: Vec<Charge>,
    /// What the call costs, by the word of `cost_source`.
    pub cost_usd: Picodollars,
    /// How far `cost_usd` can be trusted.
    pub cost_status: CostStatus,
    /// Whose word `cost_usd` is. Records from before it was told are by the book.
    pub cost_source: CostSource,
    /// What the provider itself said that the call cost: on the caller's own key its fee and what it says
    /// that the provider behind it takes. It is `cost_usd` unless it is not believed
    /// (`provider_cost_doubted`) or was not the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_cost_usd: Option<Picodollars>,
    /// What budgets in dollars were charged for it, where it is unpriced or priced at the row of the model
    /// that was asked for alone: once its price is found, that counts instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_usd: Option<Picodollars>,
    /// Version of the price book that priced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_version: Option<String>,
    /// Which rows of the book were used and why, one for each model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub price_basis: Vec<PriceBasis>,
    /// Version of the policy that admitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// Attempts that Envoy made upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// From admission to the end of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// From admission to the first byte of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// Bytes of the request body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    /// Bytes of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// Shape of the prompt: never its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptShape>,
    /// Keyed hash of the request body, hexadecimal; equal for a repeated request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    /// Which work it started or fetched, where that goes on without its caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Box<Work>>,
    /// What was odd about this call, each at most once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

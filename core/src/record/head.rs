//! The head of a record: which call it was, who made it, and what was asked of whom.

use serde::{Deserialize, Serialize};

use crate::attribution::{Attribution, AttributionSource};

/// What a [`UsageRecord`](super::UsageRecord) and a total of records ([`Folded`](super::Folded)) have in
/// common. Calls are grouped and filtered by it. A field that is not known is absent.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Head {
    /// The call id, a UUIDv7; also in the answer header `x-tollgate-call`. Of fetched work it is
    /// [`work_id`](super::work_id) instead: whoever fetches it, it is one record. A total has that of its
    /// first call.
    #[cfg_attr(feature = "schema", schemars(description = ID_DESCRIPTION))]
    pub id: String,
    /// When the call was admitted, Unix milliseconds UTC; RFC 3339 in the API. Of a total it is the start of
    /// its minute or hour.
    pub time_ms: u64,
    /// Name of the gateway, from its plugin configuration.
    pub gateway: String,
    /// Who spent: agent, team, feature, environment, run, parent run, tags. A total has no run and no tags.
    #[serde(flatten)]
    pub attribution: Attribution,
    /// How far the attribution can be trusted.
    pub attribution_source: AttributionSource,
    /// Keyed hash of the provider key that the caller used, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Provider id, such as `openai`.
    pub provider: String,
    /// What was asked of it, such as `chat`.
    pub operation: String,
    /// The model that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_model: Option<String>,
    /// The model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_model: Option<String>,
    /// Service tier that decided the price, such as `flex`, in the provider's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
}

impl Head {
    /// The model whose price holds: the one that answered, else the one asked for.
    pub fn model(&self) -> Option<&str> {
        self.response_model.as_deref().or(self.request_model.as_deref())
    }
}

/// The id of a record to a reader of the API.
#[cfg(feature = "schema")]
const ID_DESCRIPTION: &str = "The call id, a UUIDv7; also in the answer header `x-tollgate-call`. Of fetched work \
    it is made of provider and work instead: whoever fetches it, it is one record.";

//! Work that is started by one call and fetched by another: batches and background answers.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{CostSource, Note, UsageRecord};
use crate::money::Picodollars;
use crate::price::charge::CostStatus;
use crate::usage::Usage;

/// Which work a call started, or fetched the result of, by the ids that its provider gave it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Work {
    /// The work whose result this call fetched: a response, a batch or the file of its results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched: Option<String>,
    /// The batch that has what was fetched as its output, where that has an id of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The work that this call started; at most [`STARTED_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(description = "The work that this call started, a bounded number of them.")
    )]
    pub started: Vec<String>,
    /// What was started is paid with this call: who reads its answer again pays nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paid: bool,
    /// Files that the provider named as results of batches; at most [`OUTPUTS_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(
            description = "Files that the provider named as results of batches, a bounded number of them."
        )
    )]
    pub outputs: Vec<Output>,
}

/// A file with the results of a batch.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
#[cfg_attr(feature = "schema", schemars(rename = "WorkOutput"))]
pub struct Output {
    /// The file.
    pub file: String,
    /// The batch that it is of.
    pub of: String,
}

impl Work {
    /// Whether an id is one that a record tells of.
    pub const fn tells(id: &str) -> bool {
        !id.is_empty() && id.len() <= WORK_BYTES_MAX
    }
}

impl UsageRecord {
    /// The work whose result was fetched, where it is charged.
    pub fn fetched(&self) -> Option<&str> {
        let fetched = self.work.as_ref()?.fetched.as_deref();
        fetched.filter(|_| !self.is_uncharged_fetch())
    }

    /// Whether it says that what was fetched is not charged by it.
    #[must_use]
    pub fn is_uncharged_fetch(&self) -> bool {
        self.notes.iter().any(|note| matches!(note, Note::UnknownWork | Note::PaidAtStart))
    }

    /// What was fetched is not known to be work that is to be paid, for the reason in the note: its counts
    /// stay, and no budget is charged for it.
    pub fn leave_unpaid(&mut self, why: Note) {
        self.leave_uncharged(why);
        self.charged_usd = None;
        self.notes.retain(|note| *note != Note::PriceAwaited);
    }

    /// Makes of it a read of what was paid as it was started: it costs nothing. Its counts were those of the
    /// start.
    pub fn read_again(&mut self) {
        self.cost_nothing();
        if !self.notes.contains(&Note::PaidAtStart) {
            self.notes.push(Note::PaidAtStart);
        }
    }

    /// Takes counts and cost out of it: what it told of is another call's.
    pub fn cost_nothing(&mut self) {
        self.usage = Usage::default();
        self.shares.clear();
        self.usage_estimated = false;
        self.charges.clear();
        self.price_basis.clear();
        (self.cost_usd, self.charged_usd, self.provider_cost_usd) = (Picodollars::ZERO, None, None);
        (self.cost_status, self.cost_source) = (CostStatus::Free, CostSource::Book);
        let of_counts = [
            Note::UnknownWork,
            Note::NoUsage,
            Note::ContradictoryUsage,
            Note::CostCorrected,
            Note::ProviderCostIgnored,
            Note::ProviderCostDoubted,
        ];
        self.notes.retain(|note| !of_counts.contains(note));
    }
}

/// The id of the record of fetched work: a UUID of version 8 (RFC 9562) made of provider and work id, so that
/// the same work is the same record, through whichever gateway and however often it is fetched.
pub fn work_id(provider: &str, id: &str) -> String {
    let mut hash = Sha256::new();
    // Ids have no zero byte, nor has a provider's.
    hash.update(b"tollgate work\0");
    hash.update(provider.as_bytes());
    hash.update(b"\0");
    hash.update(id.as_bytes());
    let mut text = String::with_capacity(36);
    for (at, byte) in hash.finalize().into_iter().take(16).enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let byte = match at {
            6 => 0x80 | byte & 0x0F,
            8 => 0x80 | byte & 0x3F,
            _ => byte,
        };
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Longest id of work that is told, in bytes.
pub const WORK_BYTES_MAX: usize = 256;
/// Most ids that one call starts.
pub const STARTED_MAX: usize = 4;
/// Most files of results that one call tells of.
pub const OUTPUTS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_work_of_a_provider_is_the_same_record_everywhere_and_for_ever() {
        // What is stored is found by it: never changed.
        assert_eq!(work_id("openai", "resp_1"), "79cb2f10-c264-888e-ba54-e709f3a87099");
        let others = [("azure", "resp_1"), ("openai", "resp_2"), ("openair", "esp_1"), ("openai", "")];
        for (provider, id) in others {
            let other = work_id(provider, id);
            assert_ne!(other, work_id("openai", "resp_1"));
            assert_eq!((other.len(), other.as_bytes()[14]), (36, b'8'), "{other}");
            assert!(matches!(other.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{other}");
        }
    }
}

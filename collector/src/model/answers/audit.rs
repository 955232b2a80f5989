//! The audit trail, and what became of every record.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A page of the audit trail.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
pub struct Trail {
    /// Entries, oldest first.
    pub rows: Vec<TrailEntry>,
    /// Where the next page starts; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// The trail's end when it was asked for: `seq:hash` of the last entry, `0:` of an empty trail.
    pub head: String,
}

/// An entry of the trail.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
pub struct TrailEntry {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// When; null where that is no time of the calendar.
    pub time: Option<String>,
    /// When, Unix milliseconds UTC: the number that the hash covers.
    pub time_ms: u64,
    /// Who: the name of a token, or `collector` for what it does itself.
    pub actor: String,
    /// What was done, such as `month.close`.
    pub action: String,
    /// To what, such as `2026-10`.
    pub subject: String,
    /// What held before, byte for byte as the hash covers it; absent where there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    pub before: Option<Box<RawValue>>,
    /// What holds after, byte for byte as the hash covers it; absent where there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    pub after: Option<Box<RawValue>>,
    /// Its hash, hexadecimal: over its content and the hash before.
    pub hash: String,
}

/// What became of every record.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Accounts {
    /// Records that arrived, one by one or in totals, and those that gateways say they could not keep.
    pub received: u64,
    /// Records stored since the database was made.
    pub stored: u64,
    /// Records that were stored before.
    pub duplicate: u64,
    /// Records that came in totals, without a record of their own.
    pub folded: u64,
    /// Records that are in no sum, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Of the stored records, those removed by age.
    pub expired: u64,
    /// Of the stored and folded records, those that summaries count under `other`.
    pub under_other: u64,
    /// Records in the database now.
    pub kept: u64,
    /// Records that summaries count.
    pub summarised: u64,
    /// Whether all of these agree.
    pub balanced: bool,
}

/// What a recount found.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Recount {
    /// Records that were read.
    pub records: u64,
    /// Sums that were compared.
    pub sums: u64,
    /// Of these, stored before there were digests: of their bodies only what is summed is compared.
    pub without_digest: u64,
    /// Counters of budgets whose charges were compared with their records.
    pub counters: u64,
    /// Differences.
    pub wrong: u64,
    /// The first of them, in words.
    pub examples: Vec<String>,
}

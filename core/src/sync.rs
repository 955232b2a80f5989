//! The messages of `POST /v1/sync`: totals and records up; acknowledgement, prices and policy down.
//!
//! One leader per Envoy sends them, one at a time. A request may be repeated (lost answer, restart): records
//! are known by their id, so a repeat changes nothing. The collector answers after its commit, and only an
//! answer that names the request's `sequence` acknowledges anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::price::PriceBook;

/// Version of these messages. A collector accepts its own and the one before.
pub const PROTOCOL: u32 = 1;

/// Path of the endpoint.
pub const PATH: &str = "/v1/sync";

/// What a gateway sends.
///
/// `records` stay raw here so that one bad record is refused by its index, and the rest kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SyncRequest {
    /// [`PROTOCOL`] of the sender.
    pub protocol: u32,
    /// Name of the gateway, from its configuration.
    pub gateway: String,
    /// Random id of this Envoy process's shared data: a restarted gateway is a new instance.
    pub instance: String,
    /// Grows with each request of this instance; the answer names it.
    pub sequence: u64,
    /// The gateway's clock, Unix milliseconds UTC.
    pub sent_at_ms: u64,
    /// Version of the price book that the gateway holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_version: Option<String>,
    /// Settled calls, each a [`crate::record::UsageRecord`].
    #[serde(default)]
    pub records: Vec<Box<RawValue>>,
    /// Records that this instance could not keep, by reason: totals since it started, never deltas.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
}

/// What the collector answers, after its commit.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct SyncAnswer {
    /// [`PROTOCOL`] of the collector.
    pub protocol: u32,
    /// The collector's clock, Unix milliseconds UTC.
    pub now_ms: u64,
    /// `sequence` of the request that this acknowledges.
    pub ack: u64,
    /// Records stored by this request.
    pub stored: u64,
    /// Records that were stored before.
    pub duplicates: u64,
    /// Records refused, with their index in the request and the reason. They are not to be sent again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedRecord>,
    /// The price book, when the gateway's is not the collector's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<PriceBook>,
}

/// A record that the collector refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RejectedRecord {
    /// Position in the request's `records`.
    pub index: usize,
    /// Why, for the log.
    pub reason: String,
}

//! The messages of `POST /v1/sync`: totals and records up; acknowledgement, prices and policy down.
//!
//! One leader per Envoy sends them, one at a time. A request may be repeated (lost answer, restart): records
//! are known by their id, so a repeat changes nothing. The collector answers after its commit, and only an
//! answer that names the request's `sequence` acknowledges anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::budget::ledger::{Grant, Report};
use crate::budget::scope::CounterKey;
use crate::price::Wanted;
use crate::price::charge::Unpriced;

/// Version of these messages. A collector accepts its own and the one before.
pub const PROTOCOL: u32 = 2;

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
    /// Version of the gateway's module, such as `0.2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Grows with each request of this instance; the answer names it.
    pub sequence: u64,
    /// The gateway's clock, Unix milliseconds UTC.
    pub sent_at_ms: u64,
    /// Version of the price book that the gateway holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_version: Option<String>,
    /// Models that this gateway met and its book has no row for. The answer then has a book with their rows,
    /// as far as the collector has them. Left out when there are none: the collector knows what a gateway's
    /// records name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Wanted>,
    /// The gateway adds the rows of an answer to those that it has of the same version, so that only what it
    /// asks for is to be sent. One that does not say so has its rows replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adds_rows: bool,
    /// Settled calls, each a [`crate::record::UsageRecord`].
    #[serde(default)]
    pub records: Vec<Box<RawValue>>,
    /// Version of the policy that the gateway holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// Counters that changed since the collector last acknowledged them, or on which calls wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<CounterReport>,
    /// Calls that were counted under `(other)`, as their budget has as many values as there may be in one
    /// Envoy: a total since it started.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub values_shared: u64,
    /// The highest [`StoppedRun::seq`] that the gateway has heard of.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stops_heard: u64,
    /// Records that this instance could not keep, by reason: totals since it started, never deltas.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What the collector answers, after its commit.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SyncAnswer {
    /// Version of the protocol that the collector speaks: [`PROTOCOL`].
    #[cfg_attr(
        feature = "schema",
        schemars(description = "Version of the protocol that the collector speaks.")
    )]
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
    /// Rows of the price book, when the gateway's version is not the collector's or it wants further models:
    /// at most [`BOOK_BYTES_MAX`], and to be added to what the gateway has of the same version. It also names
    /// the models that were asked for and have no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "BTreeMap<String, serde_json::Value>",
            description = "Rows of the price book, as gateways read them, when the gateway's version is not the \
            collector's or it wants further models."
        )
    )]
    pub prices: Option<Box<RawValue>>,
    /// What is to become of calls whose model has no price.
    #[serde(default, skip_serializing_if = "Unpriced::is_allow")]
    pub unpriced: Unpriced,
    /// A [`Policy`](crate::budget::policy::Policy), when the gateway's version is not the collector's: to
    /// be used instead of what it held. Gateways keep it as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "BTreeMap<String, serde_json::Value>",
            description = "Budgets, as gateways read them, when the gateway's version is not the collector's: to be \
            used instead of what it held."
        )
    )]
    pub policy: Option<Box<RawValue>>,
    /// One for each counter of the request that the collector knows a budget for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<CounterGrant>,
    /// Runs that passed a limit on all gateways together, and that the gateway has not heard of: in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<StoppedRun>,
}

/// A run that passed a limit on all gateways together.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoppedRun {
    /// Grows with each.
    pub seq: u64,
    /// The run.
    pub run: String,
    /// Which limit: a hash of its name.
    pub limit: u64,
}

/// What a gateway reports of one counter.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CounterReport {
    /// Which.
    pub key: CounterKey,
    /// Its totals.
    pub report: Report,
}

/// What a gateway is told of one counter.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CounterGrant {
    /// Which.
    pub key: CounterKey,
    /// Its grant.
    pub grant: Grant,
}

/// Most bytes of a book in an answer, as JSON: what a gateway holds stays below 256 KiB.
pub const BOOK_BYTES_MAX: usize = 240 * 1024;

/// A record that the collector refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RejectedRecord {
    /// Position in the request's records, from 0.
    pub index: usize,
    /// Why, for the log.
    pub reason: String,
}

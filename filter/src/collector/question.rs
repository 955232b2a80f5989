//! The question that one VM puts to the collector at a time, for all of its calls that wait, and what it does
//! with the answer.

use log::warn;
use serde::Serialize;
use tollgate_core::call::Call;
use tollgate_core::price::Wanted;
use tollgate_core::protocol::sync::{CounterReport, PATH, PROTOCOL, SyncAnswer};

use crate::collector::advice;
use crate::gateway::waiting::{Flight, WAIT_MS};
use crate::gateway::{Gateway, adopt};
use crate::host::{self, Post};

/// A question to the collector: a sync request without records.
#[derive(Serialize)]
struct Question<'a> {
    protocol: u32,
    gateway: &'a str,
    instance: &'a str,
    sequence: u64,
    sent_at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_version: Option<&'a str>,
    models: &'a [Wanted],
    adds_rows: bool,
    counters: &'a [CounterReport],
}

/// Asks the collector for what waiting calls and sessions want, unless it is being asked, or nobody waits.
pub(crate) fn ask(gateway: &Gateway, owner: u32, now_ms: u64) {
    let Some(collector) = &gateway.config.collector else { return };
    let waits = !gateway.waiting.is_empty() || gateway.budgets.wants();
    if !waits || gateway.waiting.is_asking(now_ms) {
        return;
    }
    let (counters, models) = gateway.budgets.take_wanted();
    let (book, policy) = (gateway.book(), gateway.budgets.policy());
    let question = Question {
        protocol: PROTOCOL,
        gateway: &gateway.config.gateway,
        instance: gateway.instance(),
        sequence: now_ms,
        sent_at_ms: now_ms,
        price_version: book.as_ref().map(|book| book.version()),
        policy_version: policy.as_ref().map(|policy| policy.version.as_str()),
        models: &models,
        adds_rows: true,
        counters: &counters,
    };
    let Ok(body) = serde_json::to_vec(&question) else { return };
    let timeout_ms = collector.timeout_ms.min(WAIT_MS);
    let post = Post {
        cluster: &collector.cluster,
        authority: &collector.authority,
        path: PATH,
        body: &body,
        timeout_ms,
    };
    match host::post(&post) {
        Ok(call) => {
            let flight = Flight { call, owner, sent_ms: now_ms, until_ms: now_ms + timeout_ms + GRACE_MS };
            gateway.waiting.asks(flight, (counters, models));
        }
        Err(status) => {
            let reason = advice::of_refusal(&collector.cluster, status);
            warn!("a question to the collector was not sent: {reason}");
            gateway.budgets.lose_link(now_ms);
        }
    }
}

/// Has the collector asked for what a call will want that cannot wait at its end, where there is nothing here
/// yet.
pub(crate) fn ask_ahead(gateway: &Gateway, call: &Call, context: u32, now_ms: u64) {
    if gateway.budgets.want_ahead(call, now_ms) {
        ask(gateway, context, now_ms);
    }
}

/// The collector answered, or did not: takes in what it says, lets calls go on, and asks for what they lack
/// besides. `owner` is the context that this callback belongs to.
pub(crate) fn answered(gateway: &Gateway, (status, body): (&[u8], &[u8]), owner: u32, now_ms: u64) {
    let (sent_ms, (wants, models)) = gateway.waiting.take_asked();
    let answer = (status == b"200").then(|| serde_json::from_slice::<SyncAnswer>(body).ok()).flatten();
    match answer {
        Some(answer) => {
            adopt(gateway, answer.prices.as_deref(), answer.policy.as_deref(), now_ms);
            gateway.budgets.granted(&answer.grants, &wants);
            gateway.budgets.acknowledged(sent_ms);
            gateway.waiting.heard();
        }
        None => gateway.budgets.lose_link(now_ms),
    }
    gateway.waiting.wake(gateway, owner, now_ms);
    // What it did not give is asked for again with the next tick.
    if gateway.budgets.wants_besides(&wants, &models) {
        ask(gateway, owner, now_ms);
    }
}

/// A call-out is given up so long after its timeout, should its answer never come.
const GRACE_MS: u64 = 500;

#[cfg(test)]
mod tests;

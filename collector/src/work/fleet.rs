//! What the Envoys that sync with this collector hold: as each said in its last sync.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::work::ingest::Accepted;

/// The Envoys that synced lately.
#[derive(Debug, Default)]
pub struct Fleet {
    envoys: Mutex<BTreeMap<(String, String), Envoy>>,
}

/// What an Envoy said in its last sync.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envoy {
    /// When that came, Unix milliseconds UTC.
    pub seen_ms: u64,
    /// Version of its module; older modules do not say.
    pub version: Option<String>,
    /// Version of the policy that it holds.
    pub policy: Option<String>,
    /// Version of the price book that it holds.
    pub prices: Option<String>,
    /// How long ago the call had ended that waited for longest in its outbox, of those that came with the
    /// last sync, milliseconds; zero where none came.
    pub late_ms: u64,
    /// Records that it could not keep since it started.
    pub dropped: u64,
}

impl Envoy {
    /// As it says in a sync that came at this time.
    pub fn of(accepted: &Accepted, now_ms: u64) -> Self {
        let sender = &accepted.batch.sender;
        Self {
            seen_ms: now_ms,
            version: accepted.version.clone(),
            policy: accepted.policy_version.clone(),
            prices: sender.price_version.clone(),
            late_ms: accepted.oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms)),
            dropped: sender.dropped.values().fold(0, |sum, dropped| sum.saturating_add(*dropped)),
        }
    }
}

impl Fleet {
    /// An Envoy, an instance of a gateway, has synced.
    pub fn note(&self, gateway: &str, instance: &str, envoy: Envoy) {
        let mut envoys = self.envoys();
        let now_ms = envoy.seen_ms;
        envoys.insert((gateway.to_owned(), instance.to_owned()), envoy);
        if envoys.len() > ENVOYS_MAX {
            envoys.retain(|_, envoy| is_live(envoy.seen_ms, now_ms));
        }
        while envoys.len() > ENVOYS_MAX {
            envoys.pop_first();
        }
    }

    /// The Envoys of a gateway that synced lately.
    pub fn live(&self, gateway: &str, now_ms: u64) -> Vec<Envoy> {
        let first = (gateway.to_owned(), String::new());
        let envoys = self.envoys();
        let own = envoys.range(first..).take_while(|((name, _), _)| name == gateway);
        own.map(|(_, envoy)| envoy.clone()).filter(|envoy| is_live(envoy.seen_ms, now_ms)).collect()
    }

    fn envoys(&self) -> MutexGuard<'_, BTreeMap<(String, String), Envoy>> {
        self.envoys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether who was last seen then may still be there: Envoys sync every few seconds.
pub const fn is_live(seen_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(seen_ms) < LIVE_MS
}

const LIVE_MS: u64 = 120_000;
/// Envoys that are remembered, at most.
const ENVOYS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_has_the_envoys_that_synced_within_two_minutes_and_no_others() {
        let fleet = Fleet::default();
        let envoy = |seen_ms, policy: &str| Envoy {
            seen_ms,
            version: None,
            policy: Some(policy.into()),
            prices: None,
            late_ms: 0,
            dropped: 0,
        };
        fleet.note("edge", "a", envoy(1_000, "1"));
        fleet.note("edge", "b", envoy(2_000, "1"));
        fleet.note("edge", "b", envoy(120_900, "2"));
        fleet.note("edge-2", "c", envoy(120_900, "1"));
        fleet.note("ed", "d", envoy(120_900, "1"));
        let policies = |now_ms| {
            let live = fleet.live("edge", now_ms);
            live.into_iter().filter_map(|one| one.policy).collect::<Vec<_>>()
        };
        assert_eq!(policies(120_999), ["1", "2"]);
        assert_eq!(policies(121_000), ["2"], "two minutes have passed");
        assert_eq!(policies(500_000), [""; 0]);
        for n in 0..2 * ENVOYS_MAX {
            fleet.note("many", &n.to_string(), envoy(600_000, "3"));
        }
        assert!(fleet.envoys().len() <= ENVOYS_MAX);
    }
}

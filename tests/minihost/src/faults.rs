//! Which host call fails, and how.

use std::collections::BTreeMap;

use crate::random::Random;

/// Statuses of the ABI (proxy-wasm 0.2.1), 9, 11 and what is none included. 0 says Ok and gives nothing.
pub const STATUSES: [u32; 14] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 77];
/// The same without 0: nobody can tell that a change was not made where the host says that it was.
const REFUSALS: &[u32] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 77];

/// Host calls that the filter makes, with what may be injected into them.
///
/// The SDK ends the VM on statuses of `proxy_http_call` that no Envoy gives: only those that it gives are
/// injected.
pub const CALLS: [(&str, &[u32]); 21] = [
    ("proxy_get_current_time_nanoseconds", &STATUSES),
    ("proxy_set_tick_period_milliseconds", &STATUSES),
    ("proxy_get_buffer_bytes", &STATUSES),
    ("proxy_set_buffer_bytes", REFUSALS),
    ("proxy_get_header_map_pairs", &STATUSES),
    ("proxy_get_header_map_value", &STATUSES),
    ("proxy_replace_header_map_value", REFUSALS),
    ("proxy_remove_header_map_value", REFUSALS),
    ("proxy_get_property", &STATUSES),
    ("proxy_set_property", REFUSALS),
    ("proxy_get_shared_data", &STATUSES),
    ("proxy_set_shared_data", REFUSALS),
    ("proxy_set_effective_context", REFUSALS),
    ("proxy_continue_stream", REFUSALS),
    ("proxy_send_local_response", REFUSALS),
    ("proxy_define_metric", &STATUSES),
    ("proxy_increment_metric", &STATUSES),
    ("proxy_record_metric", &STATUSES),
    ("proxy_log", &STATUSES),
    ("proxy_http_call", &[2, 10]),
    ("proxy_close_stream", &STATUSES),
];

/// What fails.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Nothing.
    None,
    /// This host call, always: a capability that was not given.
    Always(&'static str, u32),
    /// This host call, the time after so many.
    Once(&'static str, u32, u32),
    /// Any host call, so many times in a thousand.
    Random(Random, u64),
}

/// The plan at work.
#[derive(Debug)]
pub struct Faults {
    plan: Plan,
    /// How often each host call was made.
    pub calls: BTreeMap<&'static str, u32>,
    /// What failed: the host call, the time, the status.
    pub injected: Vec<(&'static str, u32, u32)>,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new(Plan::None)
    }
}

impl Faults {
    /// This plan, from now on.
    pub const fn new(plan: Plan) -> Self {
        Self { plan, calls: BTreeMap::new(), injected: Vec::new() }
    }

    /// A host call is made: the status with which it fails, if it does.
    pub fn meet(&mut self, name: &'static str) -> Option<u32> {
        let count = self.calls.entry(name).or_default();
        let time = *count;
        *count += 1;
        let status = match &mut self.plan {
            Plan::None => None,
            Plan::Always(call, status) => (*call == name).then_some(*status),
            Plan::Once(call, at, status) => (*call == name && *at == time).then_some(*status),
            Plan::Random(random, per_thousand) => {
                let (_, statuses) = CALLS.iter().find(|(call, _)| *call == name)?;
                random.chance(*per_thousand).then(|| random.pick(statuses).copied()).flatten()
            }
        };
        self.injected.extend(status.map(|status| (name, time, status)));
        status
    }

    /// Whether one of these host calls failed.
    pub fn hit(&self, names: &[&str]) -> bool {
        self.injected.iter().any(|(name, _, _)| names.contains(name))
    }
}

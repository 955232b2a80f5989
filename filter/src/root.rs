//! One plugin in one VM: its configuration and its ticks.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::rc::Rc;

use log::{error, warn};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use tollgate_core::protocol::config::GatewayConfig;

use crate::call::HttpCall;
use crate::collector::sync::{Sender, Sync};
use crate::collector::{advice, question, recovery};
use crate::gateway::{Gateway, adopt};
use crate::host::{self, Buffer, Headers, Post};
use crate::shared::leader;

/// The root context. Without a configuration (the keeper of shared data) it does nothing.
#[derive(Default)]
pub(crate) struct Root {
    context: u32,
    gateway: Option<Rc<Gateway>>,
    sync: Sync,
    leads: bool,
    recovered_ms: u64,
}

impl Context for Root {
    fn on_http_call_response(&mut self, call: u32, _headers: usize, body_size: usize, _trailers: usize) {
        let Some(gateway) = self.gateway.clone() else { return };
        let now_ms = host::now_ms();
        let status = host::header(Headers::CallResponse, ":status").unwrap_or_default();
        let body = host::buffer(Buffer::CallResponseBody, body_size).unwrap_or_default();
        if gateway.waiting.is_flight(call) {
            question::answered(&gateway, (&status, &body), self.context, now_ms);
            return;
        }
        if let Some(answer) = self.sync.answered(call, &status, &body, now_ms) {
            adopt(&gateway, answer.prices.as_deref(), answer.policy.as_deref(), now_ms);
            if gateway.budgets.granted(&answer.grants, self.sync.wants()) {
                self.sync.hurry();
            }
            gateway.waiting.wake(&gateway, self.context, now_ms);
        }
        gateway.budgets.refresh(&gateway.config, now_ms);
        self.talk(now_ms);
    }

    /// The plugin is drained or Envoy stops: ship once more what waits.
    fn on_done(&mut self) -> bool {
        let now_ms = host::now_ms();
        if let Some(gateway) = self.gateway.clone() {
            gateway.flush_metrics();
            gateway.budgets.settle_due(now_ms);
            if leader::lead(gateway.vm, now_ms) {
                if !self.leads {
                    self.sync.reset();
                }
                // What is on its way may not be answered any more; sent again it is known by its ids.
                self.sync.drain();
                self.send(&gateway, 0, now_ms);
                // The next VM that ends sends what it settles until then.
                leader::resign(gateway.vm);
            }
            gateway.lane.release();
        }
        true
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        if host::property(b"plugin_root_id").is_ok_and(|root| root == KEEPER) {
            return true;
        }
        let json = host::buffer(Buffer::PluginConfiguration, size).unwrap_or_default();
        match GatewayConfig::parse(&json) {
            Ok(config) => {
                // Keys of std's hash maps come from the host's `random_get`, once for each VM and mixed for
                // each state.
                let vm = RandomState::new().hash_one(host::now_ms()) | 1;
                let key_secret = std::env::var(KEY_SECRET).unwrap_or_default().into_bytes();
                let gateway = Gateway::new(config, vm, key_secret);
                gateway.refresh_book();
                self.gateway = Some(Rc::new(gateway));
                host::set_tick_period(TICK_MS).is_ok()
            }
            Err(mistakes) => {
                for mistake in mistakes {
                    error!("tollgate configuration: {mistake}");
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(gateway) = self.gateway.clone() else { return };
        let now_ms = host::now_ms();
        crate::panics::panic_if_asked("tick");
        gateway.refresh_book();
        gateway.budgets.refresh(&gateway.config, now_ms);
        gateway.budgets.settle_due(now_ms);
        gateway.waiting.wake(&gateway, self.context, now_ms);
        question::ask(&gateway, self.context, now_ms);
        gateway.flush_metrics();
        gateway.lane.beat(now_ms);
        self.talk(now_ms);
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(HttpCall::new(self.gateway.clone()?, context)))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Root {
    /// The root context with this id.
    pub(crate) fn new(context: u32) -> Self {
        Self { context, ..Self::default() }
    }

    /// What its calls share, once it is configured.
    #[cfg(test)]
    pub(crate) fn gateway(&self) -> Rc<Gateway> {
        Rc::clone(self.gateway.as_ref().unwrap())
    }

    /// Talks to the collector, if this VM leads.
    fn talk(&mut self, now_ms: u64) {
        let Some(gateway) = self.gateway.clone() else { return };
        let Some(collector) = &gateway.config.collector else { return };
        let leads = leader::lead(gateway.vm, now_ms);
        if leads && !self.leads {
            self.sync.reset();
        }
        self.leads = leads;
        if !leads {
            return;
        }
        if now_ms.saturating_sub(self.recovered_ms) >= RECOVERY_MS {
            self.recovered_ms = now_ms;
            let records = recovery::recover(&gateway, now_ms);
            if records > 0 {
                warn!(
                    "recovered {records} calls that a dead VM left unsettled: their records have the note `recovered`"
                );
            }
        }
        self.send(&gateway, collector.interval_ms, now_ms);
    }

    fn send(&mut self, gateway: &Gateway, interval_ms: u64, now_ms: u64) {
        let Some(collector) = &gateway.config.collector else { return };
        let (book, policy) = (gateway.book(), gateway.budgets.policy());
        let sender = Sender {
            gateway: &gateway.config.gateway,
            instance: gateway.instance(),
            price_version: book.as_ref().map(|book| book.version()),
            policy_version: policy.as_ref().map(|policy| policy.version.as_str()),
            counts: policy.as_ref().is_some_and(|policy| !policy.budgets.is_empty()),
            clock_ms: gateway.budgets.now(now_ms),
        };
        let Some(outgoing) = self.sync.next(sender, interval_ms, now_ms) else { return };
        let post = Post {
            cluster: &collector.cluster,
            authority: &collector.authority,
            path: tollgate_core::protocol::sync::PATH,
            body: &outgoing.body,
            timeout_ms: collector.timeout_ms,
        };
        match host::post(&post) {
            Ok(call) => self.sync.sent(call),
            Err(status) => self.sync.failed(&advice::of_refusal(&collector.cluster, status), now_ms),
        }
    }
}

/// Envoy's environment, by `host_env_keys`: the plugin configuration would show it in `/config_dump`.
const KEY_SECRET: &str = "TOLLGATE_KEY_SECRET";
/// Root id of the service that only keeps shared data alive.
const KEEPER: &[u8] = b"keeper";
const TICK_MS: u32 = 250;
const RECOVERY_MS: u64 = 5_000;

#[cfg(test)]
mod tests;

//! The collector's own metrics, all declared here.

pub mod gen_ai;
pub mod spend;

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::model::answers::audit::Accounts;
use crate::model::clock::signed;
use crate::model::refusal::Refusal;
use crate::store::{Attempt, Outbox, Space};
use gen_ai::GenAi;
use spend::Spend;

/// All metrics. `received = stored + folded + duplicate + rejected + failed`, in records.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Usage under OpenTelemetry's names.
    pub gen_ai: GenAi,
    /// What was spent, and what is left of budgets.
    pub spend: Spend,
    /// Records in sync requests that could be read.
    pub records_received: Counter,
    /// Records stored.
    pub records_stored: Counter,
    /// Records in totals that gateways folded.
    pub records_folded: Counter,
    /// Records that were stored before.
    pub records_duplicate: Counter,
    /// Records refused, by reason.
    pub records_rejected: Family<RejectedLabels, Counter>,
    /// Records of requests whose transaction failed; gateways repeat them.
    pub records_failed: Counter,
    /// Records that were priced here, because their gateway had no price book yet.
    pub records_priced: Counter,
    /// Sync requests, by result.
    pub sync_requests: Family<SyncLabels, Counter>,
    /// Requests with a token that nobody has.
    pub wrong_tokens: Counter,
    /// Reports of counters that cannot be, which were not taken.
    pub reports_refused: Counter,
    /// How long a transaction took, with its flush to disk.
    pub commit_seconds: Histogram,
    /// Alerts decided.
    pub alerts_decided: Counter,
    /// Anomalies found.
    pub anomalies_found: Counter,
    deliveries: Family<DeliveryLabels, Counter>,
    outbox_waiting: Gauge,
    outbox_given_up: Gauge,
    store_bytes: Gauge,
    store_free_bytes: Gauge,
    book_received: Counter,
    book_stored: Counter,
    book_folded: Counter,
    book_dropped: Family<DroppedLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    config_good: Gauge,
    dropped: Family<DroppedLabels, Counter>,
    instances: Gauge,
    /// Whether this is the collector that has the lead of those on its database.
    pub leads: Gauge,
}

/// Labels of a refused record.
#[derive(Clone, Copy, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct RejectedLabels {
    /// Why.
    pub reason: Refusal,
}

/// Labels of a sync request.
#[derive(Clone, Copy, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct SyncLabels {
    /// How it ended.
    pub result: SyncResult,
}

/// How a sync request ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SyncResult {
    /// Acknowledged.
    Ok,
    /// Acknowledged, but older than one before: its records were taken, its totals were not.
    OutOfOrder,
    /// Without the right token.
    Unauthorized,
    /// With the token of another gateway.
    WrongGateway,
    /// Longer than is read.
    TooLarge,
    /// Not a message.
    Invalid,
    /// A protocol that is not spoken here.
    Protocol,
    /// More was sent than could be stored.
    Busy,
    /// The store failed.
    Failed,
}

impl EncodeLabelValue for SyncResult {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(match self {
            Self::Ok => "ok",
            Self::OutOfOrder => "out_of_order",
            Self::Unauthorized => "unauthorized",
            Self::WrongGateway => "wrong_gateway",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::Protocol => "protocol",
            Self::Busy => "busy",
            Self::Failed => "failed",
        })
    }
}

impl EncodeLabelValue for Refusal {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.name())
    }
}

#[derive(Clone, Copy, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DeliveryLabels {
    result: DeliveryResult,
}

#[derive(Clone, Copy, Debug, EncodeLabelValue, Eq, Hash, PartialEq)]
#[allow(non_camel_case_types)] // as they are shown
enum DeliveryResult {
    delivered,
    failed,
    given_up,
}

#[derive(Clone, Copy, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReloadLabels {
    result: ReloadResult,
}

#[derive(Clone, Copy, Debug, EncodeLabelValue, Eq, Hash, PartialEq)]
#[allow(non_camel_case_types)] // as they are shown
enum ReloadResult {
    ok,
    failed,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DroppedLabels {
    reason: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("tollgate"),
            gen_ai: GenAi::default(),
            spend: Spend::default(),
            records_received: Counter::default(),
            records_stored: Counter::default(),
            records_folded: Counter::default(),
            records_duplicate: Counter::default(),
            records_rejected: Family::default(),
            records_failed: Counter::default(),
            records_priced: Counter::default(),
            sync_requests: Family::default(),
            wrong_tokens: Counter::default(),
            reports_refused: Counter::default(),
            commit_seconds: Histogram::new(COMMIT_BUCKETS),
            alerts_decided: Counter::default(),
            anomalies_found: Counter::default(),
            deliveries: Family::default(),
            outbox_waiting: Gauge::default(),
            outbox_given_up: Gauge::default(),
            store_bytes: Gauge::default(),
            store_free_bytes: Gauge::default(),
            book_received: Counter::default(),
            book_stored: Counter::default(),
            book_folded: Counter::default(),
            book_dropped: Family::default(),
            reloads: Family::default(),
            config_good: Gauge::default(),
            dropped: Family::default(),
            instances: Gauge::default(),
            leads: Gauge::default(),
        };
        metrics.config_good.set(1);
        metrics.register();
        metrics
    }
}

impl Metrics {
    /// Counts a sync request.
    pub fn count_sync(&self, result: SyncResult) {
        self.sync_requests.get_or_create(&SyncLabels { result }).inc();
    }

    /// Counts a refused record.
    pub fn count_rejected(&self, reason: Refusal) {
        self.records_rejected.get_or_create(&RejectedLabels { reason }).inc();
    }

    /// Counts an attempt to deliver an alert.
    pub fn count_delivery(&self, attempt: &Attempt) {
        let result = match attempt {
            Attempt::Delivered => DeliveryResult::delivered,
            Attempt::Again(..) => DeliveryResult::failed,
            Attempt::GivenUp(_) => DeliveryResult::given_up,
            Attempt::NotYet(_) => return,
        };
        self.deliveries.get_or_create(&DeliveryLabels { result }).inc();
    }

    /// Takes over what waits in the outbox.
    pub fn set_outbox(&self, outbox: Outbox) {
        let gauge = |gauge: &Gauge, count: u64| gauge.set(signed(count));
        gauge(&self.outbox_waiting, outbox.waiting);
        gauge(&self.outbox_given_up, outbox.given_up);
    }

    /// Takes over how much room the store takes.
    pub fn set_space(&self, space: Space) {
        self.store_bytes.set(signed(space.used));
        self.store_free_bytes.set(signed(space.free));
    }

    /// Counts an attempt to take a changed configuration.
    pub fn count_reload(&self, is_good: bool) {
        let result = if is_good { ReloadResult::ok } else { ReloadResult::failed };
        self.reloads.get_or_create(&ReloadLabels { result }).inc();
        self.config_good.set(i64::from(is_good));
    }

    /// Takes over what the store knows about gateways.
    pub fn set_gateways(&self, dropped: Vec<(String, u64)>, instances: u64) {
        for (reason, total) in dropped {
            let counter = self.dropped.get_or_create_owned(&DroppedLabels { reason });
            let counter: &AtomicU64 = counter.inner();
            counter.store(total, Ordering::Relaxed);
        }
        self.instances.set(signed(instances));
    }

    /// Takes over the accounts of the store. Repeats are no records of their own here.
    pub fn set_accounts(&self, accounts: &Accounts) {
        let set = |counter: &Counter, total: u64| counter.inner().store(total, Ordering::Relaxed);
        set(&self.book_received, accounts.received.saturating_sub(accounts.duplicate));
        set(&self.book_stored, accounts.stored);
        set(&self.book_folded, accounts.folded);
        for (reason, total) in &accounts.dropped {
            set(&self.book_dropped.get_or_create_owned(&DroppedLabels { reason: reason.clone() }), *total);
        }
    }

    /// Everything, as OpenMetrics text.
    pub fn open_metrics(&self, with_gen_ai: bool) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode_registry(&mut text, &self.registry);
        if with_gen_ai {
            let _ = encode_registry(&mut text, self.gen_ai.registry());
        }
        let _ = encode_eof(&mut text);
        text
    }

    /// Everything, as Prometheus' own text, where a counter is declared with its `_total`.
    pub fn prometheus(&self, with_gen_ai: bool) -> String {
        let open = self.open_metrics(with_gen_ai);
        let counters: Vec<&str> =
            open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
        let mut text = String::with_capacity(open.len());
        for line in open.lines().filter(|line| *line != "# EOF") {
            let mut words = line.splitn(4, ' ');
            let _ = match (words.next(), words.next(), words.next(), words.next()) {
                (Some("#"), Some("UNIT"), ..) => Ok(()),
                (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(&name) => {
                    writeln!(text, "# {what} {name}_total {rest}")
                }
                _ => writeln!(text, "{line}"),
            };
        }
        text
    }

    // Long: one statement for each metric.
    fn register(&mut self) {
        let registry = &mut self.registry;
        self.spend.register(registry);
        registry.register(
            "collector_records_received",
            "Records in sync requests that could be read",
            self.records_received.clone(),
        );
        registry.register("collector_records_stored", "Records stored", self.records_stored.clone());
        registry.register(
            "collector_records_folded",
            "Records in totals that gateways folded",
            self.records_folded.clone(),
        );
        registry.register(
            "collector_records_duplicate",
            "Records that were stored before",
            self.records_duplicate.clone(),
        );
        registry.register(
            "collector_records_rejected",
            "Records refused, by reason",
            self.records_rejected.clone(),
        );
        registry.register(
            "collector_records_failed",
            "Records whose transaction failed; gateways repeat them",
            self.records_failed.clone(),
        );
        registry.register(
            "collector_records_priced",
            "Records priced on arrival, because their gateway had no price book yet",
            self.records_priced.clone(),
        );
        registry.register("collector_sync_requests", "Sync requests, by result", self.sync_requests.clone());
        registry.register(
            "collector_wrong_tokens",
            "Requests with a token that nobody has",
            self.wrong_tokens.clone(),
        );
        registry.register(
            "collector_reports_refused",
            "Reports of counters that cannot be, which were not taken",
            self.reports_refused.clone(),
        );
        registry.register(
            "collector_commit_seconds",
            "Duration of a transaction with its flush to disk",
            self.commit_seconds.clone(),
        );
        for (name, help, counter) in [
            (
                "records_received",
                "Records by id, since the database was made: stored + folded + dropped",
                &self.book_received,
            ),
            ("records_stored", "Records stored, since the database was made", &self.book_stored),
            ("records_folded", "Records that came in totals, since the database was made", &self.book_folded),
            ("alerts_decided", "Alerts decided", &self.alerts_decided),
            ("anomalies_found", "Anomalies found", &self.anomalies_found),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "records_dropped",
            "Records that are in no sum, by reason",
            self.book_dropped.clone(),
        );
        registry.register(
            "alert_deliveries",
            "Attempts to deliver alerts, by result",
            self.deliveries.clone(),
        );
        registry.register(
            "alert_outbox_waiting",
            "Deliveries of alerts that are still to come",
            self.outbox_waiting.clone(),
        );
        registry.register(
            "alert_outbox_given_up",
            "Deliveries of alerts that were given up",
            self.outbox_given_up.clone(),
        );
        for (name, help, gauge) in [
            ("store_bytes", "Bytes that the database and its log take", &self.store_bytes),
            ("store_free_bytes", "Bytes left on the file system of the database", &self.store_free_bytes),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "collector_config_reloads",
            "Configurations taken or refused",
            self.reloads.clone(),
        );
        registry.register(
            "collector_config_good",
            "Whether the configuration on disk is the one in use",
            self.config_good.clone(),
        );
        registry.register(
            "gateway_records_dropped",
            "Records that gateways could not keep, by reason",
            self.dropped.clone(),
        );
        registry.register(
            "collector_leads",
            "Whether this collector is the one of its database that judges alerts, watches agents and keeps house",
            self.leads.clone(),
        );
        registry.register(
            "gateway_instances",
            "Gateway instances that reported in the last minute",
            self.instances.clone(),
        );
    }
}

/// Upper ends of the buckets of a commit's duration, in seconds.
const COMMIT_BUCKETS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_text_declares_counters_under_the_name_of_their_samples() {
        let metrics = Metrics::default();
        metrics.records_stored.inc_by(3);
        metrics.count_sync(SyncResult::Ok);
        metrics.count_rejected(Refusal::Id);
        metrics.set_gateways(vec![("ring_full".into(), 7)], 2);
        metrics.set_gateways(vec![("ring_full".into(), 8)], 1);
        metrics.set_space(Space { used: 4_096, free: 1_000_000 });
        let text = metrics.prometheus(false);
        for line in [
            "# TYPE tollgate_collector_records_stored_total counter",
            "tollgate_collector_records_stored_total 3",
            "tollgate_collector_sync_requests_total{result=\"ok\"} 1",
            "tollgate_collector_records_rejected_total{reason=\"id\"} 1",
            "tollgate_gateway_records_dropped_total{reason=\"ring_full\"} 8",
            "tollgate_gateway_instances 1",
            "tollgate_store_bytes 4096",
            "tollgate_store_free_bytes 1000000",
            "# TYPE tollgate_collector_commit_seconds histogram",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("# EOF"));
        assert!(metrics.open_metrics(false).ends_with("# EOF\n"));
    }
}

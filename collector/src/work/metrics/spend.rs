//! What was spent, and what is left of budgets, for dashboards and alerts of Prometheus.
//!
//! Spend comes from the store's sums since the database was made, so a restart does not set it back, and
//! every collector of a data directory shows the same. What is older than two days is read again every ten
//! minutes only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::tz::TimeZone;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;
use tollgate_core::budget::{Amount, Unit};
use tollgate_core::money::Picodollars;

use crate::config::MetricsConfig;
use crate::model::clock::{HOUR_MS, HOURS_PER_DAY, MINUTE_MS, signed};
use crate::model::dimension::Dimension;
use crate::store::{
    Attributed, CounterState, Every, Filters, Store, StoreError, StoredBudget, SummaryQuery, Totals,
};

type Real<L> = Family<L, Counter<f64, AtomicU64>>;
type Level<L> = Family<L, Gauge<f64, AtomicU64>>;

/// Counters of spend, and gauges of budgets.
#[derive(Debug, Default)]
pub struct Spend {
    spend_usd: Real<SpendLabels>,
    calls: Family<SpendLabels, Counter>,
    denied: Family<SpendLabels, Counter>,
    used: Level<BudgetLabels>,
    limit: Level<BudgetLabels>,
    /// Held while they are brought up to date, so that no two scrapes mix.
    old: Mutex<Option<Old>>,
}

/// Sums of what is over.
#[derive(Debug)]
struct Old {
    read_ms: u64,
    end_hour: i64,
    sums: Vec<Attributed>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct SpendLabels {
    team: String,
    agent: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct BudgetLabels {
    budget: String,
    value: String,
    unit: &'static str,
}

impl Spend {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "spend_usd",
            "Cost by team and agent, since the database was made",
            self.spend_usd.clone(),
        );
        registry.register(
            "spend_calls",
            "Calls that reached a provider, by team and agent, since the database was made",
            self.calls.clone(),
        );
        registry.register(
            "spend_denied",
            "Calls that were refused, by team and agent, since the database was made",
            self.denied.clone(),
        );
        registry.register(
            "budget_used",
            "What counts as spent of a budget in the window that holds now, in its unit",
            self.used.clone(),
        );
        registry.register(
            "budget_limit",
            "How much may be spent in that window, in the unit of the budget",
            self.limit.clone(),
        );
    }

    /// Brings all up to date.
    ///
    /// # Errors
    /// When the store fails; what it could not say keeps its last value.
    pub async fn refresh(
        &self,
        store: &Store,
        config: &MetricsConfig,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut old = self.old.lock().await;
        let now_hour = signed(now_ms / HOUR_MS);
        let is_fresh = |old: &Old| now_ms.saturating_sub(old.read_ms) < OLD_MS;
        if !old.as_ref().is_some_and(is_fresh) {
            let end_hour = now_hour.div_euclid(HOURS_PER_DAY).saturating_sub(2).saturating_mul(HOURS_PER_DAY);
            let sums = store.attributed(query(0, end_hour)).await?;
            *old = Some(Old { read_ms: now_ms, end_hour, sums });
        }
        if let Some(old) = old.as_ref() {
            // Clocks of gateways may be ahead by up to an hour.
            let recent = store.attributed(query(old.end_hour, now_hour.saturating_add(3))).await?;
            self.count(&old.sums, &recent, config.spend_series)?;
        }
        let budgets = store.budget_states(now_ms).await?;
        self.level(&budgets, config.budget_series);
        Ok(())
    }

    /// Takes over what was spent. The first that the database saw have series of their own, all others one.
    fn count(&self, old: &[Attributed], recent: &[Attributed], most: u64) -> Result<(), StoreError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut others: Option<Totals> = None;
        for (at, one) in recent.iter().enumerate() {
            let mut totals = one.totals.clone();
            // Those that came since are behind those of before.
            if let Some(before) = old.get(at) {
                totals.add(&before.totals)?;
            }
            let mut values = one.values.iter().map(|value| value.clone().unwrap_or_default());
            let labels = SpendLabels {
                team: values.next().unwrap_or_default(),
                agent: values.next().unwrap_or_default(),
            };
            match at < most {
                true => self.show(&labels, &totals),
                false => others.get_or_insert_default().add(&totals)?,
            }
        }
        if let Some(totals) = others {
            self.show(&SpendLabels { team: OTHER.to_owned(), agent: OTHER.to_owned() }, &totals);
        }
        Ok(())
    }

    /// No counter goes back: where a correction lowers a cost, it stands still until as much is spent.
    fn show(&self, labels: &SpendLabels, totals: &Totals) {
        let counter = self.spend_usd.get_or_create_owned(labels);
        let dollars = dollars(totals.cost);
        if dollars > counter.get() {
            counter.inner().store(dollars.to_bits(), Ordering::Relaxed);
        }
        for (family, count) in [(&self.calls, totals.calls), (&self.denied, totals.denied)] {
            family.get_or_create_owned(labels).inner().fetch_max(count, Ordering::Relaxed);
        }
    }

    /// Takes over budgets: those that are used most have series of their own, the others of a budget one.
    fn level(&self, budgets: &[(StoredBudget, Vec<CounterState>)], most: u64) {
        let mut rows: Vec<(BudgetLabels, Amount, Amount)> = Vec::new();
        for (stored, states) in budgets {
            let budget = &stored.budget;
            let labels = |value: &str| BudgetLabels {
                budget: budget.name.clone(),
                value: value.to_owned(),
                unit: unit(budget.unit),
            };
            rows.extend(
                states
                    .iter()
                    .map(|state| (labels(&state.key.value), state.ledger.used(), state.ledger.limit)),
            );
        }
        rows.sort_by_key(|(_, used, limit)| {
            std::cmp::Reverse(used.0.saturating_mul(1_000).checked_div(limit.0).unwrap_or(i128::MAX))
        });
        let rest = rows.split_off(rows.len().min(usize::try_from(most).unwrap_or(usize::MAX)));
        let mut others: HashMap<BudgetLabels, (Amount, Amount)> = HashMap::new();
        for (labels, used, limit) in rest {
            let sum = others.entry(BudgetLabels { value: OTHER.to_owned(), ..labels }).or_default();
            *sum = (sum.0.plus(used), sum.1.plus(limit));
        }
        // What has no counter in the window that holds now is gone.
        self.used.clear();
        self.limit.clear();
        let others = others.into_iter().map(|(labels, (used, limit))| (labels, used, limit));
        for (labels, used, limit) in rows.into_iter().chain(others) {
            self.used.get_or_create_owned(&labels).set(level(&labels, used));
            self.limit.get_or_create_owned(&labels).set(level(&labels, limit));
        }
    }
}

/// By team and agent, over some hours.
fn query(from_hour: i64, to_hour: i64) -> SummaryQuery {
    SummaryQuery {
        from_hour,
        to_hour,
        by: vec![Dimension::Team, Dimension::Agent],
        every: Every::Period,
        zone: TimeZone::UTC,
        filters: Filters::default(),
        tag_key: None,
    }
}

const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Dollars => "dollars",
        Unit::Tokens => "tokens",
        Unit::Calls => "calls",
    }
}

fn level(labels: &BudgetLabels, amount: Amount) -> f64 {
    match labels.unit {
        "dollars" => dollars(Picodollars::from_pico(amount.0)),
        _ => shown(amount.0),
    }
}

fn dollars(amount: Picodollars) -> f64 {
    shown(amount.as_pico()) / 1e12
}

#[allow(clippy::cast_precision_loss)] // shown, not summed
const fn shown(amount: i128) -> f64 {
    amount as f64
}

/// Stands for what has no series of its own.
const OTHER: &str = "other";
/// How long sums of what is over are not read again.
const OLD_MS: u64 = 10 * MINUTE_MS;

#[cfg(test)]
mod tests {
    use super::*;

    fn one(agent: &str, calls: u64, pico: i128) -> Attributed {
        let totals = Totals { calls, cost: Picodollars::from_pico(pico), ..Totals::default() };
        Attributed { values: vec![Some("support".into()), Some(agent.into())], totals }
    }

    fn text(spend: &Spend) -> String {
        let mut registry = Registry::with_prefix("tollgate");
        spend.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode_registry(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn spend_of_before_and_now_adds_up_and_never_goes_back() {
        let spend = Spend::default();
        let old = [one("a", 2, 1_500_000_000_000), one("b", 1, 1_000_000_000_000)];
        let new =
            [one("a", 1, 500_000_000_000), one("b", 0, 0), one("c", 4, 250_000_000_000), one("d", 1, 1)];
        spend.count(&old, &new, 2).unwrap();
        let shown = text(&spend);
        for line in [
            "tollgate_spend_usd_total{team=\"support\",agent=\"a\"} 2.0",
            "tollgate_spend_calls_total{team=\"support\",agent=\"a\"} 3",
            "tollgate_spend_usd_total{team=\"support\",agent=\"b\"} 1.0",
            "tollgate_spend_calls_total{team=\"other\",agent=\"other\"} 5",
        ] {
            assert!(shown.lines().any(|found| found == line), "{line} in\n{shown}");
        }
        assert!(!shown.contains("agent=\"c\""), "{shown}");
        // A correction took half a dollar away.
        spend.count(&old, &[one("a", 1, 0), one("b", 0, 0)], 2).unwrap();
        assert!(text(&spend).contains("tollgate_spend_usd_total{team=\"support\",agent=\"a\"} 2.0"));
    }
}

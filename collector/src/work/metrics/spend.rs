//! What was spent and refused, and what is left of budgets, for dashboards and alerts of Prometheus.
//!
//! Spend comes from the store's sums since the database was made, so a restart does not set it back, and
//! every collector of a data directory shows the same. What is older than two days is read again every ten
//! minutes only.

mod in_order;

use std::collections::{BTreeMap, HashMap};
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
    Attributed, CounterState, Every, Filters, Refused, Store, StoreError, StoredBudget, SummaryQuery, Totals,
};
use in_order::InOrder;

type Real<L> = Family<L, Counter<f64, AtomicU64>>;
type Level<L> = Family<L, Gauge<f64, AtomicU64>>;

/// Counters of spend, and gauges of budgets.
#[derive(Debug, Default)]
pub struct Spend {
    spend_usd: Real<SpendLabels>,
    estimated_usd: Real<SpendLabels>,
    calls: Family<SpendLabels, Counter>,
    denied: Family<SpendLabels, Counter>,
    errors: Family<SpendLabels, Counter>,
    estimated: Family<SpendLabels, Counter>,
    unpriced: Family<SpendLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    model_usd: Real<ModelLabels>,
    model_calls: Family<ModelLabels, Counter>,
    rule_denied: Family<RuleLabels, Counter>,
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
    refused: Vec<Refused>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct SpendLabels {
    team: String,
    agent: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct TokenLabels {
    team: String,
    agent: String,
    kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ModelLabels {
    environment: String,
    provider: String,
    model: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RuleLabels {
    rule: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct BudgetLabels {
    budget: String,
    value: String,
    unit: &'static str,
}

impl Spend {
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, family) in [
            ("spend_usd", "Cost by team and agent, since the database was made", &self.spend_usd),
            (
                "spend_estimated_usd",
                "The part of the cost that comes of estimated counts, by team and agent, since the database was made",
                &self.estimated_usd,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        let since = "by team and agent, since the database was made";
        for (name, what, family) in [
            ("spend_calls", "Calls that reached a provider", &self.calls),
            ("spend_denied", "Calls that were refused", &self.denied),
            ("spend_errors", "Calls that failed", &self.errors),
            ("spend_estimated_calls", "Calls whose cost is estimated", &self.estimated),
            ("spend_unpriced_calls", "Calls that have no price for all they used", &self.unpriced),
        ] {
            registry.register(name, format!("{what}, {since}"), family.clone());
        }
        registry.register(
            "spend_tokens",
            format!("Tokens of kinds that do not overlap, {since}"),
            self.tokens.clone(),
        );
        let since = "by environment, provider and model, since the database was made";
        registry.register("model_spend_usd", format!("Cost {since}"), self.model_usd.clone());
        registry.register(
            "model_calls",
            format!("Calls that reached a provider, {since}"),
            self.model_calls.clone(),
        );
        registry.register(
            "rule_denied",
            "Calls that were refused, by the rule or budget that refused them, since the database was made",
            self.rule_denied.clone(),
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
            let refused = store.refused((0, end_hour)).await?;
            *old = Some(Old { read_ms: now_ms, end_hour, sums, refused });
        }
        if let Some(old) = old.as_ref() {
            // Clocks of gateways may be ahead by up to an hour.
            let end_hour = now_hour.saturating_add(3);
            let recent = store.attributed(query(old.end_hour, end_hour)).await?;
            self.count(&old.sums, &recent, config.spend_series)?;
            let recent = store.refused((old.end_hour, end_hour)).await?;
            self.refuse(&old.refused, &recent, config.spend_series);
        }
        let budgets = store.budget_states(now_ms).await?;
        self.level(&budgets, config.budget_series);
        Ok(())
    }

    /// Takes over what was spent. The first that the database saw have series of their own, all others one.
    fn count(&self, old: &[Attributed], recent: &[Attributed], most: u64) -> Result<(), StoreError> {
        let (mut spenders, mut models) = (InOrder::default(), InOrder::default());
        for (at, one) in recent.iter().enumerate() {
            let mut totals = one.totals.clone();
            // Those that came since are behind those of before.
            if let Some(before) = old.get(at) {
                totals.add(&before.totals)?;
            }
            let mut values = one.values.iter().map(|value| value.clone().unwrap_or_default());
            let mut next = || values.next().unwrap_or_default();
            spenders.add(SpendLabels { team: next(), agent: next() }, &totals)?;
            models.add(ModelLabels { environment: next(), provider: next(), model: next() }, &totals)?;
        }
        let other = || OTHER.to_owned();
        for (labels, totals) in spenders.bounded(most, SpendLabels { team: other(), agent: other() })? {
            self.show(&labels, &totals);
        }
        let rest = ModelLabels { environment: other(), provider: other(), model: other() };
        for (labels, totals) in models.bounded(most, rest)? {
            raise(&self.model_usd, &labels, totals.cost);
            self.model_calls.get_or_create_owned(&labels).inner().fetch_max(totals.calls, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes over what rules refused. The first that the database saw have series of their own.
    fn refuse(&self, old: &[Refused], recent: &[Refused], most: u64) {
        let mut rules: BTreeMap<i64, (&str, u64)> = BTreeMap::new();
        for one in old.iter().chain(recent) {
            let (_, calls) = rules.entry(one.id).or_insert((&one.rule, 0));
            *calls = calls.saturating_add(one.calls);
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut others = None;
        let show = |rule: &str, calls: u64| {
            let labels = RuleLabels { rule: rule.to_owned() };
            self.rule_denied.get_or_create_owned(&labels).inner().fetch_max(calls, Ordering::Relaxed);
        };
        for (at, (rule, calls)) in rules.into_values().enumerate() {
            match at < most {
                true => show(rule, calls),
                false => others = Some(others.unwrap_or(0u64).saturating_add(calls)),
            }
        }
        if let Some(calls) = others {
            show(OTHER, calls);
        }
    }

    /// No counter goes back: where a correction lowers a cost, it stands still until as much is spent.
    fn show(&self, labels: &SpendLabels, totals: &Totals) {
        raise(&self.spend_usd, labels, totals.cost);
        raise(&self.estimated_usd, labels, totals.estimated_cost);
        for (family, count) in [
            (&self.calls, totals.calls),
            (&self.denied, totals.denied),
            (&self.errors, totals.errors),
            (&self.estimated, totals.estimated_calls),
            (&self.unpriced, totals.unpriced_calls),
        ] {
            family.get_or_create_owned(labels).inner().fetch_max(count, Ordering::Relaxed);
        }
        let cached = totals.cache_read_tokens.saturating_add(totals.cache_write_tokens);
        for (kind, count) in [
            ("input", totals.input_tokens.saturating_sub(cached)),
            ("cache_read", totals.cache_read_tokens),
            ("cache_write", totals.cache_write_tokens),
            ("output", totals.output_tokens),
        ] {
            let labels = TokenLabels { team: labels.team.clone(), agent: labels.agent.clone(), kind };
            self.tokens.get_or_create_owned(&labels).inner().fetch_max(count, Ordering::Relaxed);
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

/// Raises a counter of dollars to an amount; one that is above it stays.
fn raise<L>(family: &Real<L>, labels: &L, amount: Picodollars)
where
    L: Clone + Eq + std::hash::Hash,
{
    let counter = family.get_or_create_owned(labels);
    let dollars = dollars(amount);
    if dollars > counter.get() {
        counter.inner().store(dollars.to_bits(), Ordering::Relaxed);
    }
}

/// By who spent on what, over some hours.
fn query(from_hour: i64, to_hour: i64) -> SummaryQuery {
    SummaryQuery {
        from_hour,
        to_hour,
        by: vec![
            Dimension::Team,
            Dimension::Agent,
            Dimension::Environment,
            Dimension::Provider,
            Dimension::Model,
        ],
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
        used(agent, "small", totals)
    }

    fn used(agent: &str, model: &str, totals: Totals) -> Attributed {
        let values = ["support", agent, "production", "openai", model];
        Attributed { values: values.map(|value| Some(value.to_owned())).to_vec(), totals }
    }

    fn has(shown: &str, lines: &[&str]) {
        for line in lines {
            assert!(shown.lines().any(|found| found == *line), "{line} in\n{shown}");
        }
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

    #[test]
    fn a_pair_is_the_sum_of_its_models_and_a_model_that_of_its_pairs() {
        let spend = Spend::default();
        let totals = |calls: u64| Totals {
            calls,
            denied: 2 * calls,
            errors: 3 * calls,
            estimated_calls: 4 * calls,
            unpriced_calls: 5 * calls,
            input_tokens: 1_000 * calls,
            cache_read_tokens: 300 * calls,
            cache_write_tokens: 100 * calls,
            output_tokens: 70 * calls,
            cost: Picodollars::from_pico(2_000_000_000_000),
            estimated_cost: Picodollars::from_pico(500_000_000_000),
            ..Totals::default()
        };
        let now =
            [used("a", "small", totals(1)), used("a", "large", totals(2)), used("b", "small", totals(4))];
        spend.count(&[], &now, 200).unwrap();
        let shown = text(&spend);
        has(
            &shown,
            &[
                "tollgate_spend_usd_total{team=\"support\",agent=\"a\"} 4.0",
                "tollgate_spend_estimated_usd_total{team=\"support\",agent=\"a\"} 1.0",
                "tollgate_spend_calls_total{team=\"support\",agent=\"a\"} 3",
                "tollgate_spend_denied_total{team=\"support\",agent=\"a\"} 6",
                "tollgate_spend_errors_total{team=\"support\",agent=\"a\"} 9",
                "tollgate_spend_estimated_calls_total{team=\"support\",agent=\"a\"} 12",
                "tollgate_spend_unpriced_calls_total{team=\"support\",agent=\"a\"} 15",
                "tollgate_spend_tokens_total{team=\"support\",agent=\"b\",kind=\"input\"} 2400",
                "tollgate_spend_tokens_total{team=\"support\",agent=\"b\",kind=\"cache_read\"} 1200",
                "tollgate_spend_tokens_total{team=\"support\",agent=\"b\",kind=\"cache_write\"} 400",
                "tollgate_spend_tokens_total{team=\"support\",agent=\"b\",kind=\"output\"} 280",
                "tollgate_model_spend_usd_total{environment=\"production\",provider=\"openai\",model=\"small\"} 4.0",
                "tollgate_model_calls_total{environment=\"production\",provider=\"openai\",model=\"small\"} 5",
                "tollgate_model_calls_total{environment=\"production\",provider=\"openai\",model=\"large\"} 2",
            ],
        );
        // Of models, too, the first have series of their own.
        let spend = Spend::default();
        spend.count(&[], &now, 1).unwrap();
        has(
            &text(&spend),
            &["tollgate_model_calls_total{environment=\"other\",provider=\"other\",model=\"other\"} 2"],
        );
    }

    #[test]
    fn what_a_rule_refused_before_and_now_adds_up() {
        let spend = Spend::default();
        let refused = |id: i64, calls: u64| Refused { id, rule: format!("rule-{id}"), calls };
        spend.refuse(&[refused(3, 5), refused(7, 1)], &[refused(1, 2), refused(7, 4)], 2);
        has(
            &text(&spend),
            &[
                "tollgate_rule_denied_total{rule=\"rule-1\"} 2",
                "tollgate_rule_denied_total{rule=\"rule-3\"} 5",
                "tollgate_rule_denied_total{rule=\"other\"} 5",
            ],
        );
    }
}

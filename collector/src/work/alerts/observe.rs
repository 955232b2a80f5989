//! What rules are judged by: budgets, gateways, episodes and sums, as the store has them.

use jiff::tz::TimeZone;
use tollgate_core::budget::Budget;
use tollgate_core::budget::window::{Span, Window as BudgetWindow};

use super::conditions::{self, BudgetStatus, Observed};
use super::window::Window;
use crate::config::{Rule, When};
use crate::model::alert::Alert;
use crate::model::clock::{HOUR_MS, instant, signed};
use crate::model::dimension::Dimension;
use crate::store::{Every, Filters, StoreError, Summary, SummaryQuery, Totals};
use crate::work::anomalies::run::LASTS_MS;
use crate::work::app::App;

/// What a rule decides now, by what the store has.
pub(super) async fn alerts_of(app: &App, rule: &Rule, now_ms: u64) -> Result<Vec<Alert>, StoreError> {
    match rule.when {
        When::Budget => {
            let statuses = statuses(app, now_ms).await?;
            let wanted =
                statuses.iter().filter(|status| rule.budget.as_ref().is_none_or(|name| *name == status.name));
            Ok(wanted.flat_map(|status| conditions::budget(rule, status, now_ms)).collect())
        }
        When::SilentGateway => {
            let gateways = app.store.gateways_seen().await?;
            Ok(gateways
                .iter()
                .filter_map(|gateway| conditions::silent(rule, gateway, app.started_ms, now_ms))
                .collect())
        }
        When::FullValues => {
            let gateways = app.store.gateways_seen().await?;
            Ok(gateways.iter().filter_map(|gateway| conditions::full_values(rule, gateway, now_ms)).collect())
        }
        When::Anomaly => {
            let episodes = app.store.episodes_since(now_ms.saturating_sub(LASTS_MS), SCOPES_MAX).await?;
            Ok(episodes.iter().filter_map(|episode| conditions::anomaly(rule, episode)).collect())
        }
        When::PriceDrift => {
            let Some(window) = Window::at(rule.window, &rule.zone, now_ms) else { return Ok(Vec::new()) };
            let mut filters = Filters::default();
            for (dimension, value) in &rule.scope {
                filters.accept(*dimension, value.clone());
            }
            let hour = |ms: u64| signed(ms / HOUR_MS);
            let to = hour(now_ms.min(window.end_ms).saturating_add(HOUR_MS - 1));
            let rows = app.store.drift(hour(window.start_ms), to, filters).await?;
            let told = rows.iter().take(SCOPES_MAX);
            Ok(told.flat_map(|row| conditions::price_drift(rule, &window, row)).collect())
        }
        When::Spend | When::Denied | When::Unpriced | When::UnknownAgent => {
            let Some(window) = Window::at(rule.window, &rule.zone, now_ms) else { return Ok(Vec::new()) };
            let observed = observe(app, rule, &window, now_ms).await?;
            Ok(observed
                .iter()
                .flat_map(|observed| conditions::counted(rule, &window, observed, now_ms))
                .collect())
        }
    }
}

/// What is spent of every budget.
pub(super) async fn statuses(app: &App, now_ms: u64) -> Result<Vec<BudgetStatus>, StoreError> {
    let mut statuses = Vec::new();
    for (stored, counters) in app.store.budget_states(now_ms).await? {
        for counter in counters {
            statuses.push(BudgetStatus {
                name: stored.budget.name.clone(),
                counter: counter.key.value.clone(),
                window_id: format!("{} {}", stored.generation, window_id(&stored.budget, counter.key.span)),
                window_start_ms: counter.key.span.start_ms.max(stored.created_ms),
                window_end_ms: counter.key.span.end_ms,
                limit_pico: counter.ledger.limit.0,
                used_pico: counter.ledger.spent().0,
                denied: counter
                    .ledger
                    .accounts
                    .values()
                    .fold(0, |sum: u64, account| sum.saturating_add(account.denied)),
                is_money: stored.budget.unit == tollgate_core::budget::Unit::Dollars,
                thresholds: stored.budget.thresholds.clone(),
            });
        }
    }
    Ok(statuses)
}

/// Names a window, so that what passed a threshold in it is said once. A rolling one has no end of its own:
/// there it is said once in each of its lengths.
fn window_id(budget: &Budget, span: Span) -> u64 {
    match budget.window {
        window @ BudgetWindow::Rolling(_) => {
            let length_ms = window.reach_ms() + (span.end_ms - span.start_ms);
            span.start_ms / length_ms.max(1)
        }
        _ => span.start_ms,
    }
}

/// What a rule counts, by scope, in this window and the one before.
async fn observe(app: &App, rule: &Rule, window: &Window, now_ms: u64) -> Result<Vec<Observed>, StoreError> {
    let mut filters = Filters::default();
    let mut link = format!("/api/v1/summary?from={}&to={}", iso(window.start_ms), iso(window.end_ms));
    for (dimension, value) in &rule.scope {
        filters.accept(*dimension, value.clone());
        link.push_str(&format!("&{}={value}", dimension.name()));
    }
    let config = app.config();
    let mut known = config.budgets.agents.clone();
    let registered = app.budgets.agents().into_values().map(|(agent, _)| agent);
    known.extend(registered.filter(|agent| agent.is_approved(now_ms)).map(|agent| agent.name));
    if rule.when == When::UnknownAgent && !known.is_empty() {
        filters.refuse(Dimension::Agent, known);
    } else if rule.when == When::UnknownAgent {
        for name in [tollgate_core::attribution::UNATTRIBUTED, tollgate_core::attribution::INVALID] {
            filters.accept(Dimension::Agent, name.to_owned());
        }
    }
    let totals = |from_ms: u64, to_ms: u64| {
        let hour = |ms: u64| signed(ms / HOUR_MS);
        app.store.summary(SummaryQuery {
            from_hour: hour(from_ms),
            to_hour: hour(to_ms.saturating_add(HOUR_MS - 1)),
            by: rule.each.into_iter().collect(),
            every: Every::Period,
            zone: TimeZone::UTC,
            filters: filters.clone(),
            tag_key: None,
        })
    };
    let now = totals(window.start_ms, now_ms.min(window.end_ms)).await?;
    let is_near = |totals: &Totals| conditions::is_near(rule, totals.cost, calls(rule.when, totals));
    let before = match now.rows.iter().any(|row| is_near(&row.totals)) {
        true => totals(window.previous_ms, window.start_ms).await?,
        // Nothing will be told that is to be compared.
        false => Summary::default(),
    };
    let base: Vec<String> =
        rule.scope.iter().map(|(dimension, value)| format!("{}={value}", dimension.name())).collect();
    let mut observed = Vec::new();
    for row in now.rows.iter().take(SCOPES_MAX) {
        let value = row.values.first().cloned().flatten();
        let mut scope = base.clone();
        let mut link = link.clone();
        if let (Some(each), Some(value)) = (rule.each, &value) {
            scope.push(format!("{}={value}", each.name()));
            link.push_str(&format!("&{}={value}", each.name()));
        }
        let previous = before.rows.iter().find(|other| other.values == row.values).map(|row| &row.totals);
        observed.push(Observed {
            scope: if scope.is_empty() { "all".into() } else { scope.join(" ") },
            cost: row.totals.cost,
            calls: calls(rule.when, &row.totals),
            previous_cost: previous.map(|totals| totals.cost).unwrap_or_default(),
            previous_calls: previous.map_or(0, |totals| calls(rule.when, totals)),
            link,
        });
    }
    Ok(observed)
}

const fn calls(when: When, totals: &Totals) -> u64 {
    match when {
        When::Denied => totals.denied,
        When::Unpriced => totals.unpriced_calls,
        _ => totals.calls,
    }
}

fn iso(ms: u64) -> String {
    let instant = instant(ms);
    instant.map_or_else(String::new, |instant| instant.to_string())
}

/// Scopes that one rule may judge.
const SCOPES_MAX: usize = 1_000;

//! Agents that were seen: what they called, and what they cost. While a registry is in use, those that are
//! new are proposed, each with a review.

pub mod inventory;

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tollgate_core::money::Picodollars;
use tollgate_core::record::Totals as Sum;
use tracing::{error, info};

use crate::config::Rule;
use crate::model::alert::Alert;
use crate::model::answers::plan::SavedPlan;
use crate::model::clock::{HOUR_MS, MINUTE_MS, now_ms, signed};
use crate::model::dimension::Dimension;
use crate::store::{Every, Filters, Lead, Proposal, StoreError, SummaryQuery};
use crate::work::app::App;

/// Proposes new agents while this collector leads, until it ends.
pub async fn run(app: Arc<App>) {
    loop {
        let now = now_ms();
        let lead = app.store.lead(now);
        if lead.is_some() && app.budgets.has_registry() {
            match propose(&app, lead, now).await {
                Ok(0) => {}
                Ok(new) => info!(new, "Proposed {new} agents that were seen for the first time"),
                Err(error) => error!(%error, "New agents could not be proposed; it is tried again"),
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Proposes agents that are new; gives how many.
///
/// # Errors
/// When the store fails.
pub async fn propose(app: &App, lead: Option<Lead>, now_ms: u64) -> Result<usize, StoreError> {
    let Some(seen) = app.store.new_agents().await? else {
        app.store.watch_agents(lead, now_ms.saturating_sub(BEFORE_MS)).await?;
        return Ok(0);
    };
    let known = app.budgets.agents();
    let new: Vec<(String, u64)> = seen.into_iter().filter(|(agent, _)| !known.contains_key(agent)).collect();
    let mut proposals = Vec::new();
    for (agent, first_ms) in new.into_iter().take(AT_ONCE) {
        let (teams, sum) = so_far(app, &agent, first_ms, now_ms).await?;
        let plan = app.store.plan(agent.clone()).await?;
        let title = title(&agent, &teams, &sum, plan.as_ref());
        proposals.push(Proposal { alert: alert(&agent, title, first_ms), agent });
    }
    if proposals.is_empty() {
        return Ok(0);
    }
    let count = proposals.len();
    let agents = app.store.propose_agents(lead, proposals, now_ms).await?;
    app.budgets.replace_agents(agents);
    Ok(count)
}

/// What an agent did since its first call, and for which teams by its own word.
async fn so_far(
    app: &App,
    agent: &str,
    first_ms: u64,
    now_ms: u64,
) -> Result<(Vec<String>, Sum), StoreError> {
    let mut filters = Filters::default();
    filters.accept(Dimension::Agent, agent.to_owned());
    let hour = |ms: u64| signed(ms / HOUR_MS);
    let summary = app
        .store
        .summary(SummaryQuery {
            from_hour: hour(first_ms),
            to_hour: hour(now_ms.saturating_add(HOUR_MS)).saturating_add(1),
            by: vec![Dimension::Team],
            every: Every::Period,
            zone: TimeZone::UTC,
            filters,
            tag_key: None,
        })
        .await?;
    let teams = summary.rows.into_iter().filter_map(|row| row.values.into_iter().next().flatten());
    Ok((teams.collect(), summary.total))
}

fn title(agent: &str, teams: &[String], sum: &Sum, plan: Option<&SavedPlan>) -> String {
    let teams = match teams {
        [] => String::new(),
        teams => format!(", which says that it is of {}", teams.join(", ")),
    };
    let planned = match plan.and_then(planned_per_month) {
        Some(cost) => format!("it was planned at ${cost} a month"),
        None => "no estimate of it is kept".to_owned(),
    };
    let calls = if sum.calls == 1 { "call" } else { "calls" };
    format!("new agent `{agent}`{teams}: {} {calls} for ${} so far; {planned}", sum.calls, sum.cost)
}

/// What a month was planned to cost, at the cheapest of the plan's models.
pub fn planned_per_month(plan: &SavedPlan) -> Option<Picodollars> {
    plan.rows.iter().find_map(|row| row.cost_per_month_usd)
}

fn alert(agent: &str, title: String, first_ms: u64) -> Alert {
    let alert = Alert {
        rule: Rule::NEW_AGENT.to_owned(),
        scope: format!("agent={agent}"),
        window: "first call".to_owned(),
        threshold: "seen".to_owned(),
        severity: "info".to_owned(),
        title,
        since_ms: first_ms,
        link: format!("/api/v1/agents/{agent}"),
        ..Alert::default()
    };
    alert.with_id()
}

/// How often it looks.
const EVERY: Duration = Duration::from_secs(2);
/// Agents that are proposed in one look.
const AT_ONCE: usize = 100;
/// First calls so long before the registry was used are new too.
const BEFORE_MS: u64 = 10 * MINUTE_MS;

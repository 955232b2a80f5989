//! The inventory: every agent that is registered or was seen, in one list.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tollgate_core::budget::scope::{Dimension as ScopeDimension, Scope};
use tollgate_core::money::Picodollars;

use super::planned_per_month;
use crate::config::AllowList;
use crate::model::agent::{Agent, Status, matches};
use crate::model::answers::agents::{AgentRow, AgentState};
use crate::model::clock::{DAY_MS, HOUR_MS, MS_PER_HOUR, millis, rfc3339, signed};
use crate::model::dimension::Dimension;
use crate::store::{Every, Filters, Seen, StoreError, Summary, SummaryQuery, Totals};
use crate::work::app::App;
use crate::work::baseline::{self, Begun};

/// All agents, by name; or the one that is asked for.
///
/// # Errors
/// When the store fails, or there are too many.
pub async fn inventory(app: &App, only: Option<&str>, now: Timestamp) -> Result<Vec<AgentRow>, StoreError> {
    app.budgets.refresh(&app.store).await?;
    let known = app.budgets.agents();
    let lists = app.budgets.lists(&app.prices.book(), millis(now));
    let mut filters = Filters::default();
    if let Some(name) = only {
        filters.accept(Dimension::Agent, name.to_owned());
    }
    let now_ms = millis(now);
    let (seen, recent, first) = tokio::try_join!(
        app.store.agents_seen(),
        app.store.summary(last_days(now_ms, filters.clone())),
        app.store.first_days(all_days(now_ms, filters), baseline::DAYS),
    )?;
    let plans: HashMap<String, Picodollars> = app
        .store
        .plans()
        .await?
        .into_iter()
        .filter_map(|plan| Some((plan.agent.clone(), planned_per_month(&plan)?)))
        .collect();
    let used = used_by(recent)?;
    let mut baselines = HashMap::new();
    for one in first {
        let cost = Begun::of(&one, baseline::DAYS, now_ms)?.cost_per_day();
        baselines.insert(one.values.into_iter().next().flatten().unwrap_or_default(), cost);
    }
    let names: BTreeSet<&String> = known.keys().chain(seen.keys()).collect();
    let wanted = names.into_iter().filter(|name| only.is_none_or(|only| only == *name) && !name.is_empty());
    let facts = Facts { known: &known, lists: &lists, seen: &seen, used: &used, plans: &plans, now_ms };
    let rows = wanted.map(|name| AgentRow {
        baseline_per_day_usd: baselines.get(name).copied().flatten(),
        ..facts.row(name)
    });
    Ok(rows.collect())
}

/// What is known of all agents.
struct Facts<'a> {
    known: &'a BTreeMap<String, (Agent, String)>,
    lists: &'a [AllowList],
    seen: &'a BTreeMap<String, Seen>,
    used: &'a HashMap<String, Used>,
    plans: &'a HashMap<String, Picodollars>,
    now_ms: u64,
}

impl Facts<'_> {
    /// Of one agent, without its baseline.
    fn row(&self, name: &String) -> AgentRow {
        let registered = self.known.get(name);
        let agent = registered.map(|(agent, _)| agent);
        let (seen, used) = (self.seen.get(name), self.used.get(name));
        let team = agent.map_or("", |agent| agent.team.as_str());
        let lists = self.lists.iter().map(|list| &list.rule).filter(|list| is_for(&list.scope, name, team));
        let all = |of: fn(&Used) -> &BTreeSet<String>| {
            used.map(|used| of(used).iter().cloned().collect()).unwrap_or_default()
        };
        AgentRow {
            agent: name.clone(),
            status: state(agent, self.now_ms),
            source: registered.map(|(_, source)| source.clone()),
            registered: agent.cloned(),
            lists: lists.map(|list| list.name.clone()).collect(),
            teams_seen: all(|used| &used.teams),
            environments_seen: all(|used| &used.environments),
            models_seen: seen.map(|seen| seen.models.iter().cloned().collect()).unwrap_or_default(),
            first_seen: seen.map(|seen| seen.first_ms).filter(|ms| *ms > 0).and_then(rfc3339),
            last_seen: last_seen(seen.and_then(|seen| seen.last_ms), used.and_then(|used| used.last_hour)),
            calls: used.map_or(0, |used| used.totals.calls),
            cost_usd: used.map(|used| used.totals.cost).unwrap_or_default(),
            planned_per_month_usd: self.plans.get(name).copied(),
            baseline_per_day_usd: None,
            is_review_due: agent
                .is_some_and(|agent| agent.review.is_some_and(|day| day.is_over(self.now_ms))),
        }
    }
}

/// What each agent used, by a summary of [`last_days`].
fn used_by(recent: Summary) -> Result<HashMap<String, Used>, StoreError> {
    let mut all: HashMap<String, Used> = HashMap::new();
    for row in recent.rows {
        let mut values = row.values.into_iter();
        let [agent, team, environment] = [values.next(), values.next(), values.next()].map(Option::flatten);
        let one = all.entry(agent.unwrap_or_default()).or_default();
        one.totals.add(&row.totals)?;
        one.teams.extend(team);
        one.environments.extend(environment);
        one.last_hour = one.last_hour.max(row.hour);
    }
    Ok(all)
}

/// What an agent used in the last days.
#[derive(Default)]
struct Used {
    totals: Totals,
    teams: BTreeSet<String>,
    environments: BTreeSet<String>,
    last_hour: Option<i64>,
}

fn last_days(now_ms: u64, filters: Filters) -> SummaryQuery {
    let by = vec![Dimension::Agent, Dimension::Team, Dimension::Environment];
    let from_ms = now_ms.saturating_sub(DAYS.saturating_mul(DAY_MS));
    SummaryQuery { from_hour: hour(from_ms), by, every: Every::Day, ..all_days(now_ms, filters) }
}

fn all_days(now_ms: u64, filters: Filters) -> SummaryQuery {
    SummaryQuery {
        from_hour: 0,
        to_hour: hour(now_ms.saturating_add(HOUR_MS - 1)),
        by: vec![Dimension::Agent],
        every: Every::Period,
        zone: TimeZone::UTC,
        filters,
        tag_key: None,
    }
}

fn hour(ms: u64) -> i64 {
    signed(ms / HOUR_MS)
}

fn state(agent: Option<&Agent>, now_ms: u64) -> AgentState {
    match agent {
        None => AgentState::Unregistered,
        Some(agent) => match agent.status {
            Status::Proposed => AgentState::Proposed,
            Status::Retired => AgentState::Retired,
            Status::Approved if agent.has_expired(now_ms) => AgentState::Expired,
            Status::Approved => AgentState::Approved,
        },
    }
}

/// To the minute where that is known, else the begin of the day.
fn last_seen(minute_ms: Option<u64>, hour: Option<i64>) -> Option<String> {
    let day_ms = hour.and_then(|hour| u64::try_from(hour.saturating_mul(MS_PER_HOUR)).ok());
    minute_ms.max(day_ms).and_then(rfc3339)
}

/// Whether calls of an agent may be in a scope.
fn is_for(scope: &Scope, name: &str, team: &str) -> bool {
    let holds = |dimension: &ScopeDimension, value: &str| {
        let values = scope.values(dimension);
        values.is_empty() || value.is_empty() || values.iter().any(|pattern| matches(pattern, value))
    };
    holds(&ScopeDimension::Agent, name) && holds(&ScopeDimension::Team, team)
}

/// Days of which the inventory tells the cost.
const DAYS: u64 = 30;

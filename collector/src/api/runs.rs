//! `GET /api/v1/runs`: what users' actions cost, with all that they started.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use tollgate_core::money::Picodollars;

use super::asked::Asked;
use super::error::ApiError;
use super::params::{Paging, Params, listed};
use super::summary::{exported, exported_page};
use crate::model::answers::runs::{AgentRuns, RunPartRow, RunRow, RunTree, RunTreeNode, RunsAnswer};
use crate::model::clock::{now, rfc3339};
use crate::model::run::{Action, Actions, RunTotals, Status};
use crate::store::{RunFound, RunNode, RunPart, RunsFound, RunsQuery, SpendQuery};
use crate::work::app::App;
use crate::work::following;

/// Answers the actions of the last day, or of the time asked for, in pages of `limit` that go on at `cursor`.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
    mut params: Params,
) -> Result<Response, ApiError> {
    let export = params.export(&headers)?;
    let exports_agents = params.word("table", &["actions", "agents"])? == "agents";
    let asked = Asked::read(&mut params, now(), 1)?;
    let sort = Sort::read(params.one("sort")?)?;
    let Paging { limit, after } = Paging::<usize>::read(&mut params)?;
    let skip = after.unwrap_or(0);
    params.finish()?;
    let unfollowed_records = following::catch_up(&app).await?;
    let (from_ms, to_ms) = asked.ms();
    let query = RunsQuery { from_ms, to_ms, filters: asked.filters.clone() };
    let RunsFound { found, agents } = app.store.runs(query, Actions::default(), Actions::add).await?;
    let mut actions = found.finish();
    let by_agent = by_agent(&actions, &agents);
    let page = sort.page(&mut actions, (skip, limit));
    let names = app.store.run_names(page.iter().map(|action| action.top).collect()).await?;
    let end = skip.saturating_add(page.len());
    let rows = page.iter().zip(names).map(|(action, name)| row(action, agent(action.agent, &agents), name));
    let answer = RunsAnswer {
        from: asked.from.to_string(),
        to: asked.to.to_string(),
        rows: rows.collect(),
        next_cursor: (end < actions.len()).then(|| end.to_string()),
        actions: u64::try_from(actions.len()).unwrap_or(u64::MAX),
        agents: by_agent,
        unfollowed_records,
        hint: if actions.is_empty() { Some(no_runs(&app, &asked).await?) } else { None },
    };
    match export {
        None => Ok(Json(answer).into_response()),
        Some(export) if exports_agents => exported(export, &answer.agents_table()),
        Some(export) => exported_page(export, &answer.table(), answer.next_cursor.as_deref(), &uri),
    }
}

/// Why there are none: no calls, or calls that name no run.
async fn no_runs(app: &App, asked: &Asked) -> Result<String, ApiError> {
    let (from_hour, to_hour) = asked.hours();
    let spend = app.store.spend(SpendQuery { from_hour, to_hour, filters: asked.filters.clone() }).await?;
    if spend.is_empty() {
        return asked.nothing(&app.store).await;
    }
    Ok("no call of that time names a run; send the header `x-tollgate-run` with each call of an action"
        .to_owned())
}

/// The name of an agent; empty for none.
fn agent(place: Option<u32>, agents: &[String]) -> &str {
    place.and_then(|place| agents.get(usize::try_from(place).ok()?)).map_or("", String::as_str)
}

/// Answers one run with all that it started.
///
/// # Errors
/// For a run that no call named, and when the store fails.
pub async fn one(
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let export = params.export(&headers)?;
    params.finish()?;
    let unfollowed_records = following::catch_up(&app).await?;
    let RunFound { nodes, started_by } = app.store.run_tree(run.clone()).await?.ok_or_else(|| {
        ApiError::not_found(format!(
            "no call named the run `{run}`; `tollgate runs` lists those of the last day"
        ))
    })?;
    let nodes = tree(nodes);
    let calls = nodes.iter().fold(0u64, |sum, node| sum.saturating_add(node.calls));
    let cost_usd = nodes.first().map_or(Picodollars::ZERO, |top| top.tree_cost_usd);
    let tree = RunTree { run, started_by, nodes, calls, cost_usd, unfollowed_records };
    match export {
        None => Ok(Json(tree).into_response()),
        Some(export) => exported(export, &tree.table()),
    }
}

/// In which order actions are listed.
#[derive(Clone, Copy, Debug)]
enum Sort {
    Cost,
    Calls,
    Duration,
    Depth,
    Start,
}

impl Sort {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Cost, "cost"),
        (Self::Calls, "calls"),
        (Self::Duration, "duration"),
        (Self::Depth, "depth"),
        (Self::Start, "start"),
    ];

    fn read(name: Option<String>) -> Result<Self, ApiError> {
        let Some(name) = name else { return Ok(Self::Cost) };
        let found = Self::ALL.into_iter().find(|(_, known)| *known == name);
        found.map(|(sort, _)| sort).ok_or_else(|| {
            let names = listed(Self::ALL.map(|(_, name)| name));
            ApiError::parameter(format!("`sort` is `{name}`, not one of {names}"))
        })
    }

    /// A page of the actions, which are left in another order: the largest first, and the latest of those
    /// that are alike. Only the page is sorted: there may be a million actions.
    fn page(self, actions: &mut [Action], (skip, limit): (usize, usize)) -> &[Action] {
        let key = |action: &Action| {
            let key: i128 = match self {
                Self::Cost => action.all.cost.as_pico(),
                Self::Calls => action.all.calls.into(),
                Self::Duration => action.last_ms.saturating_sub(action.first_ms).into(),
                Self::Depth => action.depth.into(),
                Self::Start => 0,
            };
            Reverse((key, action.first_ms, action.top))
        };
        let end = skip.saturating_add(limit).min(actions.len());
        if end < actions.len() {
            actions.select_nth_unstable_by_key(end, key);
        }
        let Some(first) = actions.get_mut(..end) else { return &[] };
        first.sort_unstable_by_key(key);
        first.get(skip..).unwrap_or_default()
    }
}

fn row(action: &Action, agent: &str, run: String) -> RunRow {
    let Action { first_ms, last_ms, top_tokens, all, runs, depth, started, top: _, agent: _ } = action;
    RunRow {
        run,
        agent: agent.to_owned(),
        start: rfc3339(first_ms.max(&0).unsigned_abs()),
        duration_ms: last_ms.saturating_sub(*first_ms).max(0).unsigned_abs(),
        status: Status::of(all),
        calls: all.calls.into(),
        denied: all.denied.into(),
        errors: all.errors.into(),
        runs: (*runs).into(),
        depth: (*depth).into(),
        started: (*started).into(),
        input_tokens: all.input_tokens,
        output_tokens: all.output_tokens,
        first_input_tokens: top_tokens.0.into(),
        last_input_tokens: top_tokens.1.into(),
        cost_usd: all.cost,
    }
}

/// What an action costs at each agent, the largest sum first.
fn by_agent(actions: &[Action], names: &[String]) -> Vec<AgentRuns> {
    // The last is for actions without an agent.
    let mut all: Vec<(Vec<Picodollars>, Vec<u32>)> = vec![Default::default(); names.len().saturating_add(1)];
    for action in actions {
        let place = action.agent.and_then(|agent| usize::try_from(agent).ok()).unwrap_or(names.len());
        let Some((costs, calls)) = all.get_mut(place) else { continue };
        costs.push(action.all.cost);
        calls.push(action.all.calls.saturating_add(action.all.denied));
    }
    let names = names.iter().map(String::as_str).chain([""]);
    let mut by_name: BTreeMap<&str, (Vec<Picodollars>, Vec<u32>)> = BTreeMap::new();
    for (name, (mut costs, mut calls)) in names.zip(all).filter(|(_, (costs, _))| !costs.is_empty()) {
        let of = by_name.entry(name).or_default();
        of.0.append(&mut costs);
        of.1.append(&mut calls);
    }
    let mut agents: Vec<AgentRuns> = by_name
        .into_iter()
        .map(|(agent, (mut costs, mut calls))| AgentRuns {
            agent: agent.to_owned(),
            actions: u64::try_from(costs.len()).unwrap_or(u64::MAX),
            cost_usd: costs.iter().fold(Picodollars::ZERO, |sum, cost| sum + *cost),
            median_cost_usd: quantile(&mut costs, 50).unwrap_or_default(),
            p90_cost_usd: quantile(&mut costs, 90).unwrap_or_default(),
            max_cost_usd: quantile(&mut costs, 100).unwrap_or_default(),
            median_calls: quantile(&mut calls, 50).unwrap_or_default().into(),
            p90_calls: quantile(&mut calls, 90).unwrap_or_default().into(),
            max_calls: quantile(&mut calls, 100).unwrap_or_default().into(),
        })
        .collect();
    agents.sort_by_key(|agent| Reverse(agent.cost_usd));
    agents
}

/// The smallest of these that so many of a hundred are not above. Their order changes.
fn quantile<T: Copy + Ord>(values: &mut [T], percent: usize) -> Option<T> {
    let rank = values.len().saturating_mul(percent).div_ceil(100).max(1);
    let at = rank.saturating_sub(1);
    (at < values.len()).then(|| *values.select_nth_unstable(at).1)
}

/// Runs in the order of the tree, each with what it and all that it started cost.
fn tree(found: Vec<RunNode>) -> Vec<RunTreeNode> {
    let places: HashMap<i64, usize> = found.iter().enumerate().map(|(at, node)| (node.run.id, at)).collect();
    let top = found.first().map(|node| node.run.id);
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); found.len()];
    for (at, node) in found.iter().enumerate().filter(|(_, node)| Some(node.run.id) != top) {
        let parent = node.run.parent.and_then(|parent| places.get(&parent).copied());
        if let Some(siblings) = parent.and_then(|parent| children.get_mut(parent)) {
            siblings.push(at);
        }
    }
    // Those that started others come before them in what was found, so sums go up from the end.
    let mut costs: Vec<Picodollars> = found.iter().map(|node| node.run.own.cost).collect();
    for (at, siblings) in children.iter().enumerate().rev() {
        let sum = siblings
            .iter()
            .filter_map(|child| costs.get(*child))
            .fold(Picodollars::ZERO, |sum, one| sum + *one);
        if let Some(cost) = costs.get_mut(at) {
            *cost += sum;
        }
    }
    let mut nodes = Vec::with_capacity(found.len());
    let mut waiting = vec![(0usize, 0u64)];
    while let Some((at, level)) = waiting.pop() {
        let (Some(node), Some(cost)) = (found.get(at), costs.get(at)) else { continue };
        nodes.push(tree_node(node, level, *cost));
        let below = children.get(at).into_iter().flatten().rev();
        waiting.extend(below.map(|child| (*child, level.saturating_add(1))));
    }
    nodes
}

fn tree_node(node: &RunNode, level: u64, tree_cost_usd: Picodollars) -> RunTreeNode {
    let RunTotals { calls, denied, cost, .. } = node.run.own;
    RunTreeNode {
        run: node.name.clone(),
        level,
        start: rfc3339(node.run.first_ms.max(0).unsigned_abs()),
        duration_ms: node.run.last_ms.saturating_sub(node.run.first_ms).max(0).unsigned_abs(),
        status: Status::of(&node.run.own),
        calls: calls.into(),
        denied: denied.into(),
        cost_usd: cost,
        tree_cost_usd,
        parts: node.parts.iter().map(part).collect(),
    }
}

fn part(part: &RunPart) -> RunPartRow {
    let [agent, team, feature, environment, provider, model] =
        part.values.clone().map(Option::unwrap_or_default);
    let totals = &part.totals;
    RunPartRow {
        agent,
        team,
        feature,
        environment,
        provider,
        model,
        calls: totals.calls,
        denied: totals.denied,
        errors: totals.errors,
        input_tokens: totals.input_tokens,
        output_tokens: totals.output_tokens,
        cost_usd: totals.cost,
    }
}

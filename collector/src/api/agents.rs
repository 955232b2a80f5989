//! `/api/v1/agents`: the inventory of agents, and the registry.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use tollgate_core::budget::scope::Scope;

use super::error::ApiError;
use super::extract::{Segment, TextBody};
use super::params::Params;
use crate::model::agent::{Agent, Status};
use crate::model::answers::List;
use crate::model::answers::agents::{AgentChange, AgentChanged};
use crate::model::clock::{now, now_ms};
use crate::store::Put;
use crate::work::access::Caller;
use crate::work::app::App;
use crate::work::registry::inventory::inventory;
use crate::work::rules::unknown_models;

/// `GET /api/v1/agents`: all that are registered or were seen, those that cost most first.
///
/// # Errors
/// For parameters that cannot be used, and when the store fails.
pub async fn list(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let status = params.word("status", STATES)?;
    params.finish()?;
    let mut rows = inventory(&app, None, now()).await?;
    rows.retain(|row| status == "all" || row.status.name() == status);
    rows.sort_by(|one, other| other.cost_usd.cmp(&one.cost_usd).then_with(|| one.agent.cmp(&other.agent)));
    Ok(Json(List { rows }).into_response())
}

/// `GET /api/v1/agents/{name}`: one of them.
///
/// # Errors
/// For an agent that nobody knows, and when the store fails.
pub async fn one(
    State(app): State<Arc<App>>,
    Segment(name): Segment,
    params: Params,
) -> Result<Response, ApiError> {
    params.finish()?;
    let row = inventory(&app, Some(&name), now()).await?.into_iter().next();
    let row = row.ok_or_else(|| {
        ApiError::not_found(format!("there is no agent `{name}`: it is not registered, and was never seen"))
    })?;
    Ok(Json(row).into_response())
}

/// `PUT /api/v1/agents/{name}`: registers an agent, or changes it; its keys are those of `[[agents]]` in
/// `tollgate.toml`.
///
/// # Errors
/// Without the right token, for what is no agent, for one of the configuration file, and when the store
/// fails.
pub async fn put(
    State(app): State<Arc<App>>,
    Segment(name): Segment,
    caller: Caller,
    TextBody(body): TextBody,
) -> Result<Response, ApiError> {
    let mut value = json(&body)?;
    if let Some(object) = value.as_object_mut() {
        let own = object.entry("name").or_insert_with(|| name.as_str().into());
        if own.as_str() != Some(&name) {
            let text = "the agent has a `name` other than the one in its address; leave `name` out";
            return Err(ApiError::parameter(text));
        }
    }
    let agent = agent(value).map_err(ApiError::parameter)?;
    not_in_file(&app, &agent.name)?;
    let changed = change(&app, vec![agent], &caller).await?;
    Ok(Json(changed.into_iter().next()).into_response())
}

/// What `PUT /api/v1/agents` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    agents: Vec<Value>,
}

/// `PUT /api/v1/agents`: the same for several, all or none. One of the configuration file may be among them
/// where it is as it stands there.
///
/// # Errors
/// As [`put`], with the place of each agent that is none.
pub async fn put_all(
    State(app): State<Arc<App>>,
    caller: Caller,
    TextBody(body): TextBody,
) -> Result<Response, ApiError> {
    let several: Several = serde_json::from_value(json(&body)?)
        .map_err(|error| ApiError::parameter(format!("the body is not {{\"agents\": […]}}: {error}")))?;
    let mut agents: Vec<Agent> = Vec::with_capacity(several.agents.len());
    for (at, value) in several.agents.into_iter().enumerate() {
        let agent = agent(value).map_err(|wrong| ApiError::parameter(format!("`agents[{at}]`: {wrong}")))?;
        if agents.iter().any(|other| other.name == agent.name) {
            let text = format!("`agents[{at}]`: `{}` stands there twice; names are unique", agent.name);
            return Err(ApiError::parameter(text));
        }
        agents.push(agent);
    }
    let rows = change(&app, agents, &caller).await?;
    Ok(Json(List { rows }).into_response())
}

fn json(body: &str) -> Result<Value, ApiError> {
    serde_json::from_str(body).map_err(|error| ApiError::parameter(format!("the body is not JSON: {error}")))
}

fn agent(value: Value) -> Result<Agent, String> {
    let agent: Agent = serde_json::from_value(value).map_err(|error| format!("it is no agent: {error}"))?;
    let wrong: Vec<String> =
        agent.mistakes().into_iter().map(|(key, problem)| format!("`{key}` {problem}")).collect();
    if wrong.is_empty() { Ok(agent) } else { Err(wrong.join("; ")) }
}

fn not_in_file(app: &App, name: &str) -> Result<(), ApiError> {
    if app.config().rules.agent(name).is_some() {
        let text = format!("agent `{name}` stands in the configuration file; change it there");
        return Err(ApiError::conflict(text));
    }
    Ok(())
}

async fn change(app: &App, agents: Vec<Agent>, caller: &Caller) -> Result<Vec<AgentChanged>, ApiError> {
    let now_ms = now_ms();
    let config = app.config();
    let mut changed = Vec::with_capacity(agents.len());
    let mut wanted = Vec::new();
    for mut agent in agents {
        let name = agent.name.clone();
        match config.rules.agent(&name) {
            Some(filed) if *filed == agent => {}
            Some(_) => not_in_file(app, &name)?,
            None => {
                check(app, &agent, now_ms)?;
                if agent.status == Status::Approved && agent.approved_by.is_empty() {
                    agent.approved_by.clone_from(&caller.name);
                }
                wanted.push(agent);
            }
        }
        changed.push(AgentChanged { agent: name, result: AgentChange::Same });
    }
    if wanted.is_empty() {
        return Ok(changed);
    }
    let names: Vec<String> = wanted.iter().map(|agent| agent.name.clone()).collect();
    let (done, all) = app.store.put_agents(wanted, caller.name.clone(), now_ms).await?;
    app.budgets.replace_agents(all);
    for (name, done) in names.into_iter().zip(done) {
        let result = match done {
            Put::Created => AgentChange::Created,
            Put::Changed | Put::CountsOtherwise => AgentChange::Changed,
            Put::Same => AgentChange::Same,
        };
        if let Some(row) = changed.iter_mut().find(|row| row.agent == name) {
            row.result = result;
        }
    }
    Ok(changed)
}

/// Whether its models are known, and its approval has not ended when it begins.
fn check(app: &App, agent: &Agent, now_ms: u64) -> Result<(), ApiError> {
    let unknown = unknown_models(&agent.models, &Scope::default(), &app.prices.book());
    if !unknown.is_empty() {
        return Err(ApiError::parameter(format!("`{}`: `models` {}", agent.name, unknown.join("; "))));
    }
    match agent.expires.filter(|_| agent.status == Status::Approved && agent.has_expired(now_ms)) {
        Some(day) => Err(ApiError::parameter(format!(
            "`{}`: `expires` is `{day}`, which is over; give a later day, or none",
            agent.name
        ))),
        None => Ok(()),
    }
}

const STATES: &[&str] = &["all", "proposed", "approved", "expired", "retired", "unregistered"];

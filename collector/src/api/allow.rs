//! `/api/v1/allow`: lists of models, and what one would have refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use tollgate_core::budget::rules::{Allow, Status};
use tollgate_core::budget::scope::{Dimension as ScopeDimension, Scope};

use super::error::ApiError;
use super::hours::instant;
use super::params::Params;
use super::period::Period;
use super::summary::question::Question;
use crate::config::{AllowList, ModelWords};
use crate::model::agent::not_model;
use crate::model::answers::List;
use crate::model::answers::allow::{AllowRow, AllowTried};
use crate::model::clock::{now, now_ms};
use crate::model::nearest::or_rather;
use crate::store::Filters;
use crate::work::app::App;
use crate::work::rules::tried::{BY, tried as try_list};
use crate::work::rules::{lists_of, unknown_models};

/// `GET /api/v1/allow`: the lists of the configuration file, and those that agents' models make.
///
/// # Errors
/// For parameters, and when the store fails.
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    params.finish()?;
    app.budgets.refresh(&app.store).await?;
    let lists = app.budgets.lists(&app.prices.book(), now_ms());
    let rows: Vec<AllowRow> = lists.into_iter().map(|list| row(list, now_ms())).collect();
    Ok(Json(List { rows }).into_response())
}

/// `GET /api/v1/allow/try`: what a list would have refused of the calls of a time.
///
/// # Errors
/// For a list that there is not, for parameters that cannot be used, and when the store fails.
pub async fn tried(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let now = now();
    let name = params.one("name")?;
    let models = params.all("models");
    let scopes = params.all("scope");
    let untold = params.one("untold")?;
    let period = Period::read(&mut params, now)?;
    params.finish()?;
    app.budgets.refresh(&app.store).await?;
    let list = match (name, models.is_empty()) {
        (Some(name), true) if scopes.is_empty() && untold.is_none() => known(&app, &name)?,
        (None, false) => made(&app, &models, &scopes, untold.as_deref())?,
        _ => {
            let text = "give the `name` of a list that there is, or `models` and their `scope` and `untold`";
            return Err(ApiError::parameter(text));
        }
    };
    if list.rule.scope.dimensions().any(|one| matches!(one, ScopeDimension::Tag(_))) {
        let text = "the list's scope has tags, and sums do not tell tags of calls; try it without them";
        return Err(ApiError::parameter(text));
    }
    let mut question = Question::about(Vec::new(), period, Filters::default(), now)?.query();
    question.by = BY.to_vec();
    let (from, to) = (instant(question.from_hour).to_string(), instant(question.to_hour).to_string());
    let summary = app.store.summary(question).await?;
    let told = try_list(&list.rule, &app.prices.book(), &summary).map_err(crate::store::StoreError::from)?;
    let answer = AllowTried {
        list: row(list, now_ms()),
        from,
        to,
        rows: told.rows,
        refused_calls: told.refused.calls,
        refused_usd: told.refused.cost,
        calls: told.all.calls,
        cost_usd: told.all.cost,
        notes: NOTES.iter().map(|note| (*note).to_owned()).collect(),
    };
    Ok(Json(answer).into_response())
}

fn known(app: &App, name: &str) -> Result<AllowList, ApiError> {
    let mut lists = app.budgets.lists(&app.prices.book(), now_ms());
    // The models of a proposal can be tried before it is approved.
    let proposed = app.budgets.agents().into_values().map(|(agent, _)| agent);
    let proposed = proposed.filter(|agent| agent.status == Status::Proposed);
    lists.extend(lists_of(
        proposed.map(|agent| crate::model::agent::Agent { status: Status::Approved, ..agent }),
    ));
    let names: Vec<String> = lists.iter().map(|list| list.rule.name.clone()).collect();
    lists.into_iter().find(|list| list.rule.name == name).ok_or_else(|| {
        let names = names.iter().map(String::as_str);
        ApiError::not_found(format!("there is no list `{name}`; there are {}", or_rather(name, names)))
    })
}

fn made(
    app: &App,
    models: &[String],
    scopes: &[String],
    untold: Option<&str>,
) -> Result<AllowList, ApiError> {
    let models: Vec<String> =
        models.iter().flat_map(|list| list.split(',')).map(|one| one.trim().to_owned()).collect();
    if let Some(problem) = models.iter().find_map(|model| not_model(model)) {
        return Err(ApiError::parameter(format!("`models` {problem}")));
    }
    let mut scope: BTreeMap<ScopeDimension, Vec<String>> = BTreeMap::new();
    for text in scopes {
        let parts = text.split_once('=').filter(|(_, value)| !value.is_empty());
        let parsed = parts.and_then(|(name, value)| Some((ScopeDimension::parse(name)?, value.to_owned())));
        let (dimension, value) = parsed.ok_or_else(|| {
            ApiError::parameter(format!(
                "`scope` is `{text}`, not one such as `team=support`; there are {}",
                ScopeDimension::NAMES
            ))
        })?;
        scope.entry(dimension).or_default().push(value);
    }
    let scope = Scope::from(scope);
    let unknown = unknown_models(&models, &scope, &app.prices.book());
    if !unknown.is_empty() {
        return Err(ApiError::parameter(format!("`models` {}", unknown.join("; "))));
    }
    let untold = match untold {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            return Err(ApiError::parameter(format!("`untold` is `{other}`, not `true` or `false`")));
        }
    };
    let rule = Allow { name: "tried".to_owned(), scope, models, untold, ..Allow::default() };
    let words = ModelWords::default();
    Ok(AllowList { rule, words, approved_by: String::new(), reason: String::new(), expires: None })
}

fn row(list: AllowList, now_ms: u64) -> AllowRow {
    let AllowList { rule, words, approved_by, reason, expires } = list;
    let words = words.said();
    let Allow { name, scope, models, deferred, untold, until_ms: _, shadow } = rule;
    let has_ended = expires.is_some_and(|day| day.is_over(now_ms));
    AllowRow { name, scope, models, words, deferred, untold, shadow, approved_by, reason, expires, has_ended }
}

/// What sums cannot tell of a call that was admitted.
const NOTES: &[&str] = &[
    "calls are judged by the model that was asked for and by the price book of now; other models that a request named \
     to fall back on are not in sums",
    "work that is charged later is not told apart: `deferred` was not tried",
];

//! Rules out of JSON, read member by member: derived readers of these types would take a twentieth of the
//! filter's module.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Agent, Allow, CallLimit, FieldName, Index, Key, Require, Rules, RunLimit, Status, StepDown, Unknown,
    UnknownAction,
};
use crate::attribution::Field;
use crate::budget::Amount;
use crate::budget::scope::{Dimension, Scope};

/// Rules that cannot be read: by a gateway that is older than its collector, for one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("rules of an unknown form: `{0}`")]
pub struct Unreadable(&'static str);

impl TryFrom<Value> for Rules {
    type Error = Unreadable;

    /// # Errors
    /// Names the member that is not as it should be. One that is not known is passed over.
    fn try_from(value: Value) -> Result<Self, Unreadable> {
        let of = Members(value.as_object().ok_or(Unreadable("rules"))?);
        Ok(Self {
            agents: of.list("agents", agent)?,
            keys: of.list("keys", |of| {
                Ok(Key {
                    id: of.text("id"),
                    agent: of.text("agent"),
                    team: of.text("team"),
                    feature: of.text("feature"),
                    environment: of.text("environment"),
                })
            })?,
            rejects_contradictions: of.flag("rejects_contradictions"),
            accepts_contradictions: of.flag("accepts_contradictions"),
            unknown: of.list("unknown", unknown)?,
            require: of.list("require", |of| {
                let field = |name: &String| Field::from_name(name).map(FieldName).ok_or(Unreadable("fields"));
                let fields = of.texts("fields")?.iter().map(field).collect::<Result<_, _>>()?;
                Ok(Require { environment: of.text("environment"), fields, shadow: of.flag("shadow") })
            })?,
            allow: of.list("allow", allow)?,
            limits: of.list("limits", limit)?,
            runs: of.list("runs", run_limit)?,
            step_down: of.list("step_down", step_down)?,
            index: Index::default(),
        })
    }
}

fn agent(of: Members<'_>) -> Result<Agent, Unreadable> {
    Ok(Agent {
        name: of.text("name"),
        team: of.text("team"),
        environments: of.texts("environments")?,
        status: match of.word("status") {
            "" | "approved" => Status::Approved,
            "proposed" => Status::Proposed,
            "retired" => Status::Retired,
            _ => return Err(Unreadable("status")),
        },
        until_ms: of.number("until_ms")?,
    })
}

fn unknown(of: Members<'_>) -> Result<Unknown, Unreadable> {
    Ok(Unknown {
        environment: of.text("environment"),
        action: match of.word("action") {
            "allow" => UnknownAction::Allow,
            "flag" => UnknownAction::Flag,
            "quarantine" => UnknownAction::Quarantine,
            "deny" => UnknownAction::Deny,
            _ => return Err(Unreadable("action")),
        },
        budget: of.text("budget"),
    })
}

fn allow(of: Members<'_>) -> Result<Allow, Unreadable> {
    Ok(Allow {
        name: of.text("name"),
        scope: of.scope()?,
        models: of.texts("models")?,
        deferred: of.flag("deferred"),
        untold: of.flag("untold"),
        until_ms: of.number("until_ms")?,
        shadow: of.flag("shadow"),
    })
}

fn limit(of: Members<'_>) -> Result<CallLimit, Unreadable> {
    Ok(CallLimit {
        name: of.text("name"),
        scope: of.scope()?,
        max_cost: of.amount("max_cost")?,
        unpriced: of.flag("unpriced"),
        max_input_tokens: of.number("max_input_tokens")?,
        clamp: of.flag("clamp"),
        shadow: of.flag("shadow"),
    })
}

fn run_limit(of: Members<'_>) -> Result<RunLimit, Unreadable> {
    Ok(RunLimit {
        name: of.text("name"),
        scope: of.scope()?,
        max_cost: of.amount("max_cost")?,
        max_calls: of.number("max_calls")?,
        max_depth: of.number("max_depth")?,
        max_repeats: of.number("max_repeats")?,
        shadow: of.flag("shadow"),
    })
}

fn step_down(of: Members<'_>) -> Result<StepDown, Unreadable> {
    let mut models = BTreeMap::new();
    for (name, model) in of.0.get("models").and_then(Value::as_object).ok_or(Unreadable("models"))? {
        models.insert(name.clone(), model.as_str().ok_or(Unreadable("models"))?.to_owned());
    }
    Ok(StepDown {
        name: of.text("name"),
        scope: of.scope()?,
        budget: of.text("budget"),
        percent: of.number("percent")?.ok_or(Unreadable("percent"))?,
        models,
        shadow: of.flag("shadow"),
    })
}

/// Members of an object.
#[derive(Clone, Copy)]
struct Members<'a>(&'a Map<String, Value>);

impl Members<'_> {
    fn list<T>(
        self,
        name: &'static str,
        read: impl Fn(Members<'_>) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, Unreadable> {
        let Some(value) = self.0.get(name) else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for one in value.as_array().ok_or(Unreadable(name))? {
            all.push(read(Members(one.as_object().ok_or(Unreadable(name))?))?);
        }
        Ok(all)
    }

    fn word(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn text(&self, name: &str) -> String {
        self.word(name).to_owned()
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    fn amount(&self, name: &'static str) -> Result<Option<Amount>, Unreadable> {
        let amount = |text: &str| text.parse().map(Amount).map_err(|_| Unreadable(name));
        Some(self.word(name)).filter(|text| !text.is_empty()).map(amount).transpose()
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, Unreadable> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(Unreadable(name)),
        }
    }

    fn texts(&self, name: &'static str) -> Result<Vec<String>, Unreadable> {
        match self.0.get(name) {
            None => Ok(Vec::new()),
            Some(value) => texts(value).ok_or(Unreadable(name)),
        }
    }

    fn scope(&self) -> Result<Scope, Unreadable> {
        let mut scope = BTreeMap::new();
        if let Some(given) = self.0.get("scope") {
            for (name, values) in given.as_object().ok_or(Unreadable("scope"))? {
                let dimension = Dimension::parse(name).ok_or(Unreadable("scope"))?;
                scope.insert(dimension, texts(values).ok_or(Unreadable("scope"))?);
            }
        }
        Ok(scope.into())
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for one in value.as_array()? {
        all.push(one.as_str()?.to_owned());
    }
    Some(all)
}

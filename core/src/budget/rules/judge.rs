//! What rules say of a call.

use super::{Allow, CallLimit, FieldName, Require, Rules, RunLimit, Unknown, UnknownAction, dollars};
use crate::attribution::{Attribution, Field};
use crate::budget::Amount;
use crate::budget::scope::{self, is_nobody};

/// What a call does that a rule does not allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Breach {
    /// Its agent may not call.
    AgentNotAllowed,
    /// It does not say who makes it.
    AttributionMissing,
    /// It says otherwise than a trusted source.
    IdentityContradicted,
    /// Its model may not be called.
    ModelNotAllowed,
    /// It starts work that is charged later.
    DeferredNotAllowed,
    /// It cannot be told what it does.
    NotMetered,
    /// Its body cannot be read, or says something twice.
    Undecidable,
    /// It is larger than one call may be.
    CallTooLarge,
    /// Its run has done as much as one run may.
    RunTooLarge,
    /// The same request comes too often.
    Repeated,
    /// It cannot be told what it may cost.
    CostNotKnown,
}

/// What one rule says of a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ruling {
    /// The rule: its name, or `unknown_agents` or `require`.
    pub rule: String,
    /// Why.
    pub breach: Breach,
    /// In words, for the caller.
    pub message: String,
}

/// What all rules say of a call.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rulings {
    /// The first rule that refuses it.
    pub refused: Option<Ruling>,
    /// Rules that would refuse it if they were enforced, or that flag it.
    pub noted: Vec<Ruling>,
}

/// Models that may answer a call.
#[derive(Clone, Copy)]
pub struct Models<'a> {
    /// Each by the name that the call has for it.
    pub named: &'a [&'a str],
    /// The id of the row in the price book that a name means.
    pub row: &'a dyn Fn(&str) -> Option<String>,
    /// Others may answer that nobody names, or a name is the customer's own and says nothing.
    pub any: bool,
    /// It starts work that is charged later.
    pub is_deferred: bool,
    /// It cannot be told what it does.
    pub is_unmetered: bool,
}

impl Rulings {
    pub(super) fn add(&mut self, is_shadow: bool, ruling: Ruling) {
        match is_shadow {
            true => self.noted.push(ruling),
            false if self.refused.is_none() => self.refused = Some(ruling),
            false => {}
        }
    }
}

impl Rules {
    /// What the rules about who calls say.
    pub fn of_caller(&self, who: &Attribution, now_ms: u64, rulings: &mut Rulings) {
        let environment = who.environment.as_str();
        if let Some(ruling) = self.of_agent(who, now_ms) {
            let actions = || self.unknown.iter().map(|one| one.action);
            let action = match is_nobody(environment) {
                // Who hides where it comes from gains nothing by it.
                true => actions().max_by_key(|action| *action as u8).unwrap_or_default(),
                false => self.unknown_in(environment),
            };
            match action {
                UnknownAction::Allow | UnknownAction::Quarantine => {}
                UnknownAction::Flag => rulings.add(true, ruling),
                UnknownAction::Deny => rulings.add(false, ruling),
            }
        }
        let found = self.required_of(who).filter(|one| one.lacks(who));
        if let Some(found) = found {
            rulings.add(found.shadow, ruling_of_missing(found, who));
        }
    }

    /// What a call must say: the first that it does not, where it hides its environment.
    pub(crate) fn required_of(&self, who: &Attribution) -> Option<&Require> {
        let environment = who.environment.as_str();
        let is_hidden = is_nobody(environment);
        let is_one = |one: &&Require| is_hidden || scope::matches(&one.environment, environment);
        let mut required = self.require.iter().filter(is_one);
        let first = required.next()?;
        match is_hidden && !first.lacks(who) {
            true => required.find(|one| one.lacks(who)).or(Some(first)),
            false => Some(first),
        }
    }

    /// Whether the agent of a call is unknown, and this budget is the one for unknown agents where it calls
    /// from; of a call that hides where it comes from, each of them.
    pub fn is_quarantined(&self, who: &Attribution, now_ms: u64, budget: &str) -> bool {
        let environment = who.environment.as_str();
        let is_its = |one: &Unknown| {
            one.action == UnknownAction::Quarantine && (one.budget.is_empty() || one.budget == budget)
        };
        let quarantines = match is_nobody(environment) {
            true => self.unknown.iter().any(is_its),
            false => self.unknown_of(environment).is_some_and(is_its),
        };
        quarantines && self.of_agent(who, now_ms).is_some()
    }

    /// Why the agent of a call may not call, as far as it alone goes; none where it may.
    fn of_agent(&self, who: &Attribution, now_ms: u64) -> Option<Ruling> {
        if self.unknown.is_empty() {
            return None;
        }
        let name = &who.agent;
        let message = match self.agent(name) {
            None if is_nobody(name) => {
                "the call names no agent; send the header `x-tollgate-agent`".to_owned()
            }
            None => format!(
                "the agent `{name}` is not registered for calls of the environment `{}`: have it approved",
                who.environment
            ),
            Some(agent) if !agent.may_call(now_ms) => format!("the agent `{name}` is not approved"),
            Some(agent) => {
                let is_one = |one: &String| scope::matches(one, &who.environment);
                if agent.environments.is_empty() || agent.environments.iter().any(is_one) {
                    return None;
                }
                let (here, list) = (&who.environment, agent.environments.join(", "));
                format!("the agent `{name}` may not call from the environment `{here}`, but from {list}")
            }
        };
        Some(Ruling { rule: "unknown_agents".to_owned(), breach: Breach::AgentNotAllowed, message })
    }
}

/// The rules that are for a call, each in its order.
#[derive(Clone, Debug, Default)]
pub struct ForCall<'r> {
    /// Lists of models that have not ended.
    pub allow: Vec<&'r Allow>,
    /// Limits of one call.
    pub limits: Vec<&'r CallLimit>,
    /// Limits of one run.
    pub runs: Vec<&'r RunLimit>,
}

impl ForCall<'_> {
    /// Whether a limit is enforced, so that the call's body must be readable.
    pub fn enforces_limits(&self) -> bool {
        self.limits.iter().any(|limit| !limit.shadow)
            || self.runs.iter().any(|limit| !limit.shadow && limit.max_cost.is_some())
    }

    /// What the lists of models say.
    pub fn of_models(&self, provider: &str, models: &Models<'_>, rulings: &mut Rulings) {
        for list in &self.allow {
            if let Some((breach, message)) = list.refuses(provider, models) {
                rulings.add(list.shadow, Ruling { rule: list.name.clone(), breach, message });
            }
        }
    }

    /// What the limits of one call say: `cost` is what it may come to, none where that is not known.
    pub fn of_size(&self, cost: Option<Amount>, input_tokens: u64, rulings: &mut Rulings) {
        for limit in &self.limits {
            let tokens = limit.max_input_tokens.filter(|most| input_tokens > *most).map(|most| {
                let name = &limit.name;
                let text = format!(
                    "the prompt has about {input_tokens} tokens, and `{name}` allows {most}; send a shorter prompt"
                );
                (Breach::CallTooLarge, text)
            });
            for (breach, message) in limit.against_cost(cost).into_iter().chain(tokens) {
                rulings.add(limit.shadow, Ruling { rule: limit.name.clone(), breach, message });
            }
        }
    }
}

impl CallLimit {
    /// Why it does not let a call cost so much; none where that is not known.
    fn against_cost(&self, cost: Option<Amount>) -> Option<(Breach, String)> {
        let most = self.max_cost?;
        let (breach, what, advice) = match cost {
            Some(cost) if cost > most => (
                Breach::CallTooLarge,
                format!("the call may cost ${}", dollars(cost)),
                "; ask for fewer output tokens, or send a shorter prompt",
            ),
            None if !self.unpriced => {
                (Breach::CostNotKnown, "nobody knows here what the call may cost".to_owned(), "")
            }
            _ => return None,
        };
        let text = format!("{what}, and `{}` allows ${} for one call{advice}", self.name, dollars(most));
        Some((breach, text))
    }
}

impl Allow {
    /// Why it does not let these models be called.
    fn refuses(&self, provider: &str, models: &Models<'_>) -> Option<(Breach, String)> {
        let name = &self.name;
        if models.is_deferred && !self.deferred {
            let text = format!("work that is charged later may not be started under `{name}`");
            return Some((Breach::DeferredNotAllowed, text));
        }
        if models.is_unmetered && !self.untold {
            let text = format!(
                "it cannot be told which model this path calls, and `{name}` lists those that may be"
            );
            return Some((Breach::NotMetered, text));
        }
        let may = || self.models.iter().filter(|model| !model.starts_with('!')).map(String::as_str);
        let may_not = || self.models.iter().filter_map(|model| model.strip_prefix('!'));
        let (may_all, may_not_some) = (may().next().is_none(), may_not().next().is_some());
        if (models.any || models.named.is_empty()) && !models.is_unmetered && !self.untold {
            let is_open = !may_not_some && (may_all || may().any(|model| model == "*"));
            if !is_open {
                let text = format!(
                    "it cannot be told which model answers this call, and `{name}` lists those that may: {}",
                    listed(&self.models)
                );
                return Some((Breach::ModelNotAllowed, text));
            }
        }
        let is_refused = |model: &&&str| {
            // Rows are looked for only where the name alone does not do.
            let is = |pattern: &str| scope::is_named(provider, pattern, model, None);
            let is_allowed = may_all || may().any(is);
            if is_allowed && !may_not_some {
                return false;
            }
            let row = (models.row)(model);
            let is = |pattern: &str| scope::is_named(provider, pattern, model, row.as_deref());
            may_not().any(is) || !is_allowed && !may().any(is)
        };
        let model = models.named.iter().find(is_refused)?;
        let text =
            format!("the model `{model}` is not among those that `{name}` allows: {}", listed(&self.models));
        Some((Breach::ModelNotAllowed, text))
    }
}

/// Models of a list, as they are said to a caller.
fn listed(models: &[String]) -> String {
    let mut shown: Vec<String> = models
        .iter()
        .take(MODELS_SHOWN)
        .map(|model| match model.strip_prefix('!') {
            Some(model) => format!("not {model}"),
            None => model.clone(),
        })
        .collect();
    if models.len() > MODELS_SHOWN {
        shown.push("and others".to_owned());
    }
    shown.join(", ")
}

impl Require {
    /// Whether a call lacks one of its names.
    fn lacks(&self, who: &Attribution) -> bool {
        self.fields.iter().any(|field| is_missing(who, *field))
    }
}

fn is_missing(who: &Attribution, FieldName(field): FieldName) -> bool {
    match field {
        Field::Agent => is_nobody(&who.agent),
        Field::Team => is_nobody(&who.team),
        Field::Feature => is_nobody(&who.feature),
        Field::Environment => is_nobody(&who.environment),
        Field::Run => who.run.as_deref().is_none_or(is_nobody),
        Field::ParentRun => who.parent_run.as_deref().is_none_or(is_nobody),
        Field::Tags => who.tags.is_empty(),
    }
}

/// The ruling on a call whose headers say otherwise than a trusted source in these fields.
pub(crate) fn ruling_of_contradiction(fields: &[Field]) -> Ruling {
    let is_one = |field: &Field| fields.contains(field);
    let headers: Vec<String> = Field::ALL
        .into_iter()
        .filter(|(field, ..)| is_one(field))
        .map(|(.., header)| format!("`{header}`"))
        .collect();
    Ruling {
        rule: "identity".to_owned(),
        breach: Breach::IdentityContradicted,
        message: format!(
            "who calls is known here, and {}, or another header for the same, says otherwise: leave it out",
            headers.join(" and ")
        ),
    }
}

fn ruling_of_missing(required: &Require, who: &Attribution) -> Ruling {
    let missing = required.fields.iter().filter(|field| is_missing(who, **field));
    let headers: Vec<String> = missing
        .filter_map(|FieldName(field)| Field::ALL.iter().find(|(known, ..)| known == field))
        .map(|(.., header)| format!("`{header}`"))
        .collect();
    Ruling {
        rule: "require".to_owned(),
        breach: Breach::AttributionMissing,
        message: format!(
            "calls of the environment `{}` must say who makes them; missing, malformed or given twice: {}",
            who.environment,
            headers.join(", ")
        ),
    }
}

/// Models of a list that a caller is told.
const MODELS_SHOWN: usize = 12;

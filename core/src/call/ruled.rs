//! What rules say of a call: asked for when it is decided on, and kept for its record.

use super::Call;
use super::admission::{Admission, AdmissionInput};
use super::refusal::Reason;
use crate::attribution::{Attribution, AttributionSource, Field, INVALID, UNATTRIBUTED, set_trusted};
use crate::budget::Amount;
use crate::budget::policy::Policy;
use crate::budget::rules::runs::{RunSoFar, judge};
use crate::budget::rules::{
    Breach, ForCall, Models, Rules, Ruling, Rulings, RunLimit, ruling_of_contradiction,
};
use crate::budget::scope::is_nobody;
use crate::provider::Api;

impl Call {
    /// Why it is refused whatever stands in its body: by the rules about who calls.
    pub fn refused_caller(&self, policy: &Policy, now_ms: u64) -> Option<(Reason, String)> {
        if policy.rules.is_empty() {
            return None;
        }
        let rulings = self.of_caller(&policy.rules, now_ms);
        self.keep(&rulings);
        rulings.refused.map(|ruling| (reason(ruling.breach), ruling.message))
    }

    /// What the rules about who calls say.
    fn of_caller(&self, rules: &Rules, now_ms: u64) -> Rulings {
        let mut rulings = Rulings::default();
        let ruled = self.ruled.borrow();
        if rules.rejects_contradictions && !ruled.identity.contradicted.is_empty() {
            rulings.refused = Some(ruling_of_contradiction(&ruled.identity.contradicted));
        }
        rules.of_caller(&self.attribution, now_ms, &mut rulings);
        rulings
    }

    /// What the rules say that need no price.
    pub(super) fn rulings(&self, given: &AdmissionInput<'_>, rules: &ForCall<'_>) -> Rulings {
        let mut rulings = self.of_caller(&given.policy.rules, given.now_ms);
        let is_deferred = self.starts_deferred();
        // What was started is read and cancelled by who may call.
        let begins_nothing = self.target.fetches.is_some() || self.reads || self.cancels;
        if rulings.refused.is_some()
            || rules.allow.is_empty()
            || begins_nothing && !self.target.api.is_session()
            || self.is_free() && !is_deferred
        {
            return rulings;
        }
        if let Some(list) = rules.allow.iter().find(|list| !list.shadow)
            && !is_deferred
            && !self.is_unmetered()
            && let Some((_, message)) = self.undecidable()
        {
            let message = format!("{message}, as `{}` lists the models that may be called", list.name);
            rulings.refused = Some(Ruling { rule: list.name.clone(), breach: Breach::Undecidable, message });
            return rulings;
        }
        let row = |name: &str| {
            let found = given.book?.find(&self.target.provider, name, self.time_ms)?;
            Some(found.model.id.clone())
        };
        let (plain, several);
        let tools = self.tool_models();
        let named: &[&str] = match self.plain_model().filter(|_| tools.is_empty()) {
            Some(model) => {
                plain = [model];
                &plain
            }
            None => {
                let tools = tools.iter().map(String::as_str);
                several = self.models_asked_for().chain(tools).collect::<Vec<_>>();
                &several
            }
        };
        let models = Models {
            named,
            row: &row,
            any: self.may_be_any_model() || self.has_own_name(),
            is_deferred,
            is_unmetered: self.is_unmetered(),
        };
        rules.of_models(&self.target.provider, &models, &mut rulings);
        rulings
    }

    /// Whether it starts work that is charged later.
    pub(super) fn starts_deferred(&self) -> bool {
        self.target.api == Api::Deferred && !self.reads && !self.cancels
            || self.request.bounds().is_some_and(|bounds| bounds.is_background())
    }

    /// Adds what the rules about one call's size say.
    pub(super) fn rule_size(&self, rules: &ForCall<'_>, cost: Option<Amount>, rulings: &mut Rulings) {
        self.ruled.borrow_mut().worst = cost;
        if !rules.limits.is_empty() {
            rules.of_size(cost, self.request.input_estimate().unwrap_or(0), rulings);
        }
    }

    /// Keeps what rules said for the call's record; the refusal, where they refuse it.
    pub(super) fn ruled<'p>(&self, rulings: Rulings) -> Option<Admission<'p>> {
        self.keep(&rulings);
        rulings.refused.map(|ruling| {
            let reason = match (ruling.breach, self.undecidable()) {
                (Breach::Undecidable, Some((reason, _))) => reason,
                // Its price came only now: its next try is given a lower limit.
                (Breach::CallTooLarge, _) if self.ruled.borrow().awaits_clamp => Reason::PriceUnknown,
                (Breach::CostNotKnown, _) if self.is_unmetered() => Reason::NotMetered,
                (breach, _) => reason(breach),
            };
            Admission::Refuse(reason, None, ruling.message)
        })
    }

    /// Which limits of one run are for it, and what must be known of that; none where it is none's, or costs
    /// nothing. It is asked once it was admitted.
    pub fn of_run<'c>(&'c self, policy: &'c Policy, now_ms: u64) -> Option<OfRun<'c>> {
        if policy.rules.runs.is_empty() || self.is_free() || self.target.fetches.is_some() {
            return None;
        }
        let limits = policy.rules.for_call(&self.subject(), now_ms).runs;
        let run = self.attribution.run.as_deref().filter(|run| !is_nobody(run));
        let parent = self.attribution.parent_run.as_deref().filter(|parent| !is_nobody(parent));
        let repeats = limits.iter().any(|limit| limit.max_repeats.is_some());
        let request = self.request.hash().filter(|_| repeats);
        let cost = self.ruled.borrow().worst.unwrap_or_default();
        // What a limit is not for belongs to a run all the same: to its calls, and to how deep it is.
        (!limits.is_empty() || run.is_some()).then_some(OfRun { limits, run, parent, request, cost })
    }

    /// What limits of one run say of it, by what its run did so far: why it is refused, if it is.
    pub fn ruled_of_run(&self, of: &OfRun<'_>, so_far: &RunSoFar) -> Option<(Reason, String)> {
        let mut rulings = Rulings::default();
        judge(&of.limits, (of.run.unwrap_or_default(), so_far), of.cost, &mut rulings);
        let mut ruled = self.ruled.borrow_mut();
        for Ruling { rule, .. } in rulings.noted {
            // It may be asked again where another VM was faster.
            if !ruled.noted_by.contains(&rule) {
                ruled.noted_by.push(rule);
            }
        }
        let refused = rulings.refused?;
        ruled.refused_by = Some(refused.rule);
        Some((reason(refused.breach), refused.message))
    }

    /// Says how what it said differs from who makes it.
    pub fn identified(&mut self, identity: Identity) {
        self.ruled.get_mut().identity = identity;
    }

    /// The rule that refused it.
    pub fn refused_by(&self) -> Option<String> {
        self.ruled.borrow().refused_by.clone()
    }

    fn keep(&self, rulings: &Rulings) {
        let mut ruled = self.ruled.borrow_mut();
        ruled.refused_by = rulings.refused.as_ref().map(|ruling| ruling.rule.clone());
        ruled.noted_by = rulings.noted.iter().map(|ruling: &Ruling| ruling.rule.clone()).collect();
    }
}

/// What limits of one run must know of a call.
#[derive(Clone, Debug)]
pub struct OfRun<'c> {
    /// The limits that are for it.
    pub limits: Vec<&'c RunLimit>,
    /// Its run, where it names one.
    pub run: Option<&'c str>,
    /// The run that started that one.
    pub parent: Option<&'c str>,
    /// The print of its request, where repeats are limited and prints are made.
    pub request: Option<String>,
    /// What it may cost at most; nothing where that is not known.
    pub cost: Amount,
}

/// How what a call says of itself differs from who makes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    /// Fields in which it said otherwise than a trusted source.
    contradicted: Vec<Field>,
    /// It named another team than its agent is registered for.
    named_other_team: bool,
}

impl Identity {
    /// What its record notes.
    pub(super) fn notes(&self) -> impl Iterator<Item = &'static str> {
        let contradicted = (!self.contradicted.is_empty()).then_some("identity");
        contradicted.into_iter().chain(self.named_other_team.then_some("team"))
    }
}

/// Puts what a policy knows of a caller over what its headers say: whose key it has, where no other trusted
/// source names the field, and then the team that its agent is registered for. `said` is what headers say;
/// it is needed only where there are trusted sources or keys, and copying it costs.
pub fn identify(
    policy: &Policy,
    key_id: Option<&str>,
    said: Option<&Attribution>,
    (attribution, source): (&mut Attribution, &mut AttributionSource),
) -> Identity {
    let mut identity = Identity::default();
    let accepts = policy.rules.accepts_contradictions;
    if let Some(key) = key_id.and_then(|id| policy.rules.key(id)) {
        for (field, value) in [
            (Field::Agent, &key.agent),
            (Field::Team, &key.team),
            (Field::Feature, &key.feature),
            (Field::Environment, &key.environment),
        ] {
            if !value.is_empty() && !attribution.trusted.contains(field) {
                set_trusted(attribution, field, value.as_bytes());
                if *source != AttributionSource::Verified {
                    *source = AttributionSource::Key;
                }
            }
        }
    }
    if let Some(said) = said {
        for (field, said, is) in [
            (Field::Agent, &said.agent, &mut attribution.agent),
            (Field::Team, &said.team, &mut attribution.team),
            (Field::Feature, &said.feature, &mut attribution.feature),
            (Field::Environment, &said.environment, &mut attribution.environment),
        ] {
            if said == UNATTRIBUTED || said == is {
                continue;
            }
            if accepts {
                is.clone_from(said);
                attribution.trusted.remove(field);
                *source = AttributionSource::SelfDeclared;
            } else {
                identity.contradicted.push(field);
            }
        }
    }
    let agent = policy.rules.agent(&attribution.agent);
    let Some(team) = agent.map(|agent| &agent.team).filter(|team| !team.is_empty()) else { return identity };
    if *team == attribution.team {
        return identity;
    }
    if !attribution.trusted.contains(Field::Team) {
        identity.named_other_team = !is_nobody(&attribution.team);
        attribution.team.clone_from(team);
    } else if !accepts && !attribution.trusted.contains(Field::Agent) {
        // Who is known to be of one team does not pass for an agent of another.
        INVALID.clone_into(&mut attribution.agent);
        identity.contradicted.push(Field::Agent);
    }
    identity
}

pub(super) const fn reason(breach: Breach) -> Reason {
    match breach {
        Breach::AgentNotAllowed => Reason::AgentNotAllowed,
        Breach::AttributionMissing => Reason::AttributionMissing,
        Breach::ModelNotAllowed => Reason::ModelNotAllowed,
        Breach::DeferredNotAllowed => Reason::DeferredNotAllowed,
        Breach::NotMetered => Reason::NotMetered,
        Breach::Undecidable => Reason::UnreadableRequest,
        Breach::IdentityContradicted => Reason::IdentityContradicted,
        Breach::CallTooLarge => Reason::CallTooLarge,
        Breach::RunTooLarge => Reason::RunLimit,
        Breach::Repeated => Reason::Repeated,
        Breach::CostNotKnown => Reason::ModelNotPriced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        serde_json::from_value(serde_json::json!({"version": "p", "budgets": [], "rules": {
            "agents": [{"name": "triage", "team": "support"}, {"name": "free"}],
            "keys": [
                {"id": "key-a", "agent": "triage"},
                {"id": "key-t", "team": "search"},
                {"id": "key-e", "environment": "production"},
            ],
        }}))
        .unwrap()
    }

    /// The registry still tells the team of an agent.
    #[test]
    fn where_contradictions_are_accepted_headers_hold_and_nothing_vouches_for_them() {
        let mut policy = policy();
        policy.rules.accepts_contradictions = true;
        for (key, said, is, trusted, by) in [
            ("key-a", ["-", "-", "-"], ["triage", "support", "-"], "agent", AttributionSource::Key),
            ("key-a", ["triage", "-", "-"], ["triage", "support", "-"], "agent", AttributionSource::Key),
            ("key-a", ["free", "sales", "-"], ["free", "sales", "-"], "", AttributionSource::SelfDeclared),
            ("key-t", ["triage", "-", "-"], ["triage", "search", "-"], "team", AttributionSource::Key),
            (
                "key-t",
                ["triage", "sales", "-"],
                ["triage", "support", "-"],
                "",
                AttributionSource::SelfDeclared,
            ),
            ("key-e", ["-", "-", "staging"], ["-", "-", "staging"], "", AttributionSource::SelfDeclared),
        ] {
            let name = |name: &str| if name == "-" { UNATTRIBUTED.to_owned() } else { name.to_owned() };
            let [agent, team, environment] = said.map(name);
            let said = Attribution { agent, team, environment, ..Attribution::default() };
            let (mut attribution, mut source) = (said.clone(), AttributionSource::SelfDeclared);
            let identity = identify(&policy, Some(key), Some(&said), (&mut attribution, &mut source));
            let found = [&attribution.agent, &attribution.team, &attribution.environment];
            assert_eq!(found.map(String::as_str), is.map(|one| if one == "-" { UNATTRIBUTED } else { one }));
            assert_eq!(attribution.trusted.names().collect::<Vec<_>>().join(","), trusted, "{key} {said:?}");
            assert_eq!((source, identity.contradicted.is_empty()), (by, true), "{key} {said:?}");
        }
    }

    #[test]
    fn a_key_and_the_registry_say_more_than_headers_do() {
        // Key; agent, team and environment as the call says; the same as they are; what is noted.
        for (key, said, is, noted) in [
            ("", ["triage", "-", "-"], ["triage", "support", "-"], ""),
            ("", ["triage", "sales", "-"], ["triage", "support", "-"], "team"),
            ("", ["free", "sales", "-"], ["free", "sales", "-"], ""),
            ("", ["stranger", "sales", "-"], ["stranger", "sales", "-"], ""),
            ("key-a", ["-", "-", "-"], ["triage", "support", "-"], ""),
            ("key-a", ["triage", "support", "-"], ["triage", "support", "-"], ""),
            ("key-a", ["free", "-", "-"], ["triage", "support", "-"], "identity"),
            ("key-t", ["free", "sales", "-"], ["free", "search", "-"], "identity"),
            // A team's key does not make its holder an agent of another team.
            ("key-t", ["triage", "-", "-"], ["invalid", "search", "-"], "identity"),
            ("key-e", ["free", "-", "staging"], ["free", "-", "production"], "identity"),
            ("key-e", ["free", "-", "-"], ["free", "-", "production"], ""),
            ("unknown", ["free", "-", "staging"], ["free", "-", "staging"], ""),
        ] {
            let name = |name: &str| if name == "-" { UNATTRIBUTED.to_owned() } else { name.to_owned() };
            let [agent, team, environment] = said.map(name);
            let said = Attribution { agent, team, environment, ..Attribution::default() };
            let (mut attribution, mut source) = (said.clone(), AttributionSource::SelfDeclared);
            let identity = identify(&policy(), Some(key), Some(&said), (&mut attribution, &mut source));
            let found = [&attribution.agent, &attribution.team, &attribution.environment];
            assert_eq!(found.map(String::as_str), is.map(|one| if one == "-" { UNATTRIBUTED } else { one }));
            assert_eq!(identity.notes().collect::<Vec<_>>().join(","), noted, "{key} {said:?}");
            let is_keys = key.starts_with("key-");
            assert_eq!(source == AttributionSource::Key, is_keys, "{key}");
        }
    }
}

//! What rules say of a call: asked for when it is decided on, and kept for its record.

use super::Call;
use super::admission::{Admission, AdmissionInput};
use super::refusal::Reason;
use crate::attribution::{Attribution, AttributionSource, Field, INVALID, UNATTRIBUTED, set_trusted};
use crate::budget::Amount;
use crate::budget::policy::Policy;
use crate::budget::rules::{Breach, ForCall, Models, Rules, Ruling, Rulings, ruling_of_contradiction};
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
        if rulings.refused.is_some() || rules.allow.is_empty() || self.is_free() && !is_deferred {
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
        let named: Vec<&str> = self.models_asked_for().collect();
        let models = Models {
            named: &named,
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
                (breach, _) => reason(breach),
            };
            Admission::Refuse(reason, None, ruling.message)
        })
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
            (Field::Agent, &said.agent, &attribution.agent),
            (Field::Team, &said.team, &attribution.team),
            (Field::Feature, &said.feature, &attribution.feature),
            (Field::Environment, &said.environment, &attribution.environment),
        ] {
            if said != UNATTRIBUTED && said != is {
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
    } else if !attribution.trusted.contains(Field::Agent) {
        // Who is known to be of one team does not pass for an agent of another.
        INVALID.clone_into(&mut attribution.agent);
        identity.contradicted.push(Field::Agent);
    }
    identity
}

const fn reason(breach: Breach) -> Reason {
    match breach {
        Breach::AgentNotAllowed => Reason::AgentNotAllowed,
        Breach::AttributionMissing => Reason::AttributionMissing,
        Breach::ModelNotAllowed => Reason::ModelNotAllowed,
        Breach::DeferredNotAllowed => Reason::DeferredNotAllowed,
        Breach::NotMetered => Reason::NotMetered,
        Breach::Undecidable => Reason::UnreadableRequest,
        Breach::IdentityContradicted => Reason::IdentityContradicted,
        Breach::CallTooLarge => Reason::CallTooLarge,
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

//! What rules say of a call: asked for when it is decided on, and kept for its record.

use super::Call;
use super::admission::{Admission, AdmissionInput};
use super::refusal::Reason;
use crate::attribution::{Attribution, Field};
use crate::budget::Amount;
use crate::budget::policy::Policy;
use crate::budget::rules::{Breach, ForCall, Models, Ruling, Rulings};
use crate::provider::Api;

impl Call {
    /// Why it is refused whatever stands in its body: by the rules about who calls.
    pub fn refused_caller(&self, policy: &Policy, now_ms: u64) -> Option<(Reason, String)> {
        if policy.rules.is_empty() {
            return None;
        }
        let mut rulings = Rulings::default();
        policy.rules.of_caller(&self.attribution, now_ms, &mut rulings);
        self.keep(&rulings);
        rulings.refused.map(|ruling| (reason(ruling.breach), ruling.message))
    }

    /// What the rules say that need no price.
    pub(super) fn rulings(&self, given: &AdmissionInput<'_>, rules: &ForCall<'_>) -> Rulings {
        let mut rulings = Rulings::default();
        given.policy.rules.of_caller(&self.attribution, given.now_ms, &mut rulings);
        if !rules.allow.is_empty() && !self.is_free() && self.target.fetches.is_none() {
            let row = |name: &str| {
                let found = given.book?.find(&self.target.provider, name, self.time_ms)?;
                Some(found.model.id.clone())
            };
            let named: Vec<&str> = self.models_asked_for().collect();
            let is_background = self.request.bounds().is_some_and(|bounds| bounds.is_background());
            let models = Models {
                named: &named,
                row: &row,
                any: self.may_be_any_model() || self.has_own_name(),
                is_deferred: self.target.api == Api::Deferred && !self.reads && !self.cancels
                    || is_background,
                is_unmetered: self.is_unmetered(),
            };
            rules.of_models(&self.target.provider, &models, &mut rulings);
        }
        rulings
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
        rulings.refused.map(|ruling| Admission::Refuse(reason(ruling.breach), None, ruling.message))
    }

    /// Says that it named another team than that of its agent.
    pub fn corrected_team(&mut self) {
        self.ruled.get_mut().named_other_team = true;
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

/// Gives an attribution the team of its agent, where that is registered and no trusted source names the
/// team: true where the call named another one.
pub fn give_team(policy: &Policy, attribution: &mut Attribution) -> bool {
    let Some(agent) = policy.rules.agent(&attribution.agent) else { return false };
    if agent.team.is_empty() || attribution.trusted.contains(Field::Team) || agent.team == attribution.team {
        return false;
    }
    let is_false = !crate::budget::scope::is_nobody(&attribution.team);
    attribution.team.clone_from(&agent.team);
    is_false
}

const fn reason(breach: Breach) -> Reason {
    match breach {
        Breach::AgentNotAllowed => Reason::AgentNotAllowed,
        Breach::AttributionMissing => Reason::AttributionMissing,
        Breach::ModelNotAllowed => Reason::ModelNotAllowed,
        Breach::DeferredNotAllowed => Reason::DeferredNotAllowed,
        Breach::NotMetered => Reason::NotMetered,
        Breach::CallTooLarge => Reason::CallTooLarge,
    }
}

//! What rules change of a call's request before it goes on: a cheaper model, a lower output limit.

use std::cell::OnceCell;

use super::Call;
use super::admission::AdmissionInput;
use crate::budget::Amount;
use crate::budget::policy::{Policy, Touched};
use crate::budget::rules::{CallLimit, StepDown};

impl Call {
    /// The rule that puts a cheaper model in the place of the one asked for, and that model. `used` says how
    /// many percent of a counter are used. A call that several models may answer, or whose body says its
    /// model twice, stays as it is.
    pub fn step_down<'p>(
        &self,
        policy: &'p Policy,
        now_ms: u64,
        used: &dyn Fn(&Touched<'_>) -> u16,
    ) -> Option<(&'p StepDown, &'p str)> {
        if policy.rules.step_down.is_empty() || !self.can_be_changed() {
            return None;
        }
        let (subject, asked) = (self.subject(), self.plain_model()?);
        let rules = policy.rules.step_down.iter().filter(|rule| rule.scope.holds(&subject));
        let mut named = rules.filter_map(|rule| Some((rule, rule.models.get(asked)?.as_str())));
        named.find(|(rule, _)| {
            let mut touched = policy.touched(&subject, now_ms);
            touched.any(|touched| {
                let is_meant = rule.budget.is_empty() || rule.budget == touched.budget.name;
                is_meant && u64::from(used(&touched)) >= rule.percent
            })
        })
    }

    /// Another model was put into its request by this rule.
    pub fn rename(&mut self, model: &str, rule: &str) {
        let asked = self.request_model().map(str::to_owned);
        match &mut self.target.path_model {
            Some(name) => model.clone_into(name),
            None => self.request.rename(model),
        }
        self.meant = OnceCell::new();
        let ruled = self.ruled.get_mut();
        ruled.stepped_down_from = asked;
        ruled.changed_by.push(rule.to_owned());
    }

    /// The output limit with which it costs no more than the limits with `clamp` allow, and the one that asks
    /// for the lowest; none where it needs none, or none is enough.
    pub fn clamped_output_tokens(&mut self, given: &AdmissionInput<'_>) -> Option<(u64, String)> {
        if !given.policy.rules.clamps() || !self.can_be_changed() {
            return None;
        }
        let (most, name) = {
            let rules = given.policy.rules.for_call(&self.subject(), given.now_ms);
            let clamps = |limit: &&CallLimit| limit.clamp && !limit.shadow;
            let clamping = rules.limits.into_iter().filter(clamps);
            let limit =
                clamping.filter(|limit| limit.max_cost.is_some()).min_by_key(|limit| limit.max_cost)?;
            (limit.max_cost?, limit.name.clone())
        };
        let Some(cost) = self.cost_of_output(given, None) else {
            // Its price may come while it waits; then its next try can be given a limit.
            self.ruled.get_mut().awaits_clamp = true;
            return None;
        };
        if cost <= most {
            return None;
        }
        let fits = |call: &mut Self, tokens: u64| {
            call.cost_of_output(given, Some(tokens)).is_some_and(|cost| cost <= most)
        };
        let mut found = fits(self, TOKENS_MIN).then_some(TOKENS_MIN)?;
        // By halves: cost only grows with the limit.
        let mut step = TOKENS_MAX;
        while step > 0 {
            if found + step < TOKENS_MAX && fits(self, found + step) {
                found += step;
            }
            step /= 2;
        }
        Some((found, name))
    }

    /// A rule would have changed its request, and did not: it only notes, or it could not.
    pub fn note(&mut self, rule: &str) {
        self.ruled.get_mut().changed_by.push(rule.to_owned());
    }

    /// An output limit was written into its request by this rule, or by a budget.
    pub fn limit_output(&mut self, tokens: u64, rule: Option<String>) {
        self.request.limit_output(Some(tokens));
        self.ruled.get_mut().changed_by.extend(rule);
    }

    /// What it may cost at most with this output limit, or its own.
    fn cost_of_output(&mut self, given: &AdmissionInput<'_>, tokens: Option<u64>) -> Option<Amount> {
        self.request.limit_output(tokens);
        let cost = self.worst_cost(given);
        self.request.limit_output(None);
        cost
    }

    /// Whether its request can be read, asks for text, and what is written into it would hold.
    fn can_be_changed(&self) -> bool {
        let bounds = self.request.bounds();
        self.target.api.generates_text()
            && !self.request.is_unreadable()
            && bounds.is_some_and(|bounds| bounds.ambiguous().is_none() && bounds.can_be_limited())
    }
}

/// The lowest limit that is written: OpenAI's Responses API asks for 16 at least (as known; its reference
/// was not read anew).
const TOKENS_MIN: u64 = 16;
/// No answer is as long.
const TOKENS_MAX: u64 = 1 << 21;

//! What would become of a call, and which rule decides: asked of the code that decides on calls.
//!
//! For people who ask; the filter's module has nothing of it.

mod body;
mod described;
#[cfg(test)]
mod tests;

pub use described::Described;

use super::admission::{Admission, AdmissionInput};
use super::refusal::Reason;
use super::ruled::reason;
use super::{Call, Identity, identify, trust};
use crate::attribution::{Attribution, AttributionSource, Field, UNATTRIBUTED};
use crate::budget::policy::{Policy, PolicyBudget, Touched};
use crate::budget::rules::runs::RunSoFar;
use crate::budget::rules::{Allow, CallLimit, Require, Rules};
use crate::budget::scope::Scope;
use crate::budget::window::{Span, Window};
use crate::budget::{Action, Amount, Budget, Unit, define};
use crate::estimate::Learned;
use crate::money::Picodollars;
use crate::price::PriceBook;
use crate::price::charge::Unpriced;
use crate::provider::Addressed;
use crate::request::{model_name, output_limit};

/// A described call, as a gateway would have it when it decides.
#[derive(Debug)]
pub struct Explained {
    /// The call.
    pub call: Call,
    /// It only reads, and is no call: it passes, and nothing of it is metered.
    pub is_no_call: bool,
    /// Who it is for, field by field.
    pub identity: Vec<Known>,
    /// The output limit that a budget or a rule writes into its request.
    pub written_output_tokens: Option<u64>,
    /// What was made up of the description.
    pub notes: Vec<String>,
}

/// What is known of a field of who calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Known {
    /// The field.
    pub field: Field,
    /// What it is.
    pub value: String,
    /// By which source.
    pub source: Source,
    /// What headers say, where that is something else.
    pub said: Option<String>,
}

/// Where a value of who calls comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// An attribution's source.
    Attribution(AttributionSource),
    /// The team that the agent is registered for.
    Registry,
}

/// What one rule says of a call that it is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Said {
    /// Its name, as refusals and records have it.
    pub rule: String,
    /// Where it stands in a configuration: `identity`, `unknown_agents`, `require`, `allow`,
    /// `limits`, `run_limits` or `step_down`.
    pub kind: &'static str,
    /// Whether it holds.
    pub state: RuleState,
    /// Why it does not let the call go on, were it enforced.
    pub against: Option<(Reason, String)>,
}

/// Whether a rule holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RuleState {
    /// It refuses.
    Enforced,
    /// It only notes.
    Shadow,
    /// Its day is over.
    Expired,
}

/// The most that a call may come to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Most {
    /// Dollars; none where no price is known.
    pub cost: Option<Picodollars>,
    /// Tokens of prompt and answer.
    pub tokens: u64,
}

impl Described {
    /// The call as a gateway with this policy has it, when its whole request is known. `used` says how many
    /// percent of a counter are used.
    // Long: the steps of a gateway, in their order.
    pub fn explained(
        &self,
        policy: &Policy,
        book: &PriceBook,
        used: &dyn Fn(&Touched<'_>) -> u16,
        now_ms: u64,
    ) -> Explained {
        let Addressed { target, reads, is_no_call } = self.addressed();
        let (reader, content) = self.read_headers();
        let (mut attribution, mut source) = reader.finish();
        let said = attribution.clone();
        let value = |field: Field| self.vouched.iter().find(|(known, _)| *known == field);
        let vouched = |one: &crate::protocol::config::TrustedValue| {
            value(one.field).map(|(_, value)| value.clone().into_bytes())
        };
        trust(&self.trusted, vouched, (&mut attribution, &mut source));
        let by_envoy = attribution.trusted;
        let mut identity = Identity::default();
        if !policy.rules.is_empty() {
            let is = (&mut attribution, &mut source);
            identity = identify(policy, self.key_id.as_deref(), Some(&said), is);
        }
        let known = Field::ALL.into_iter().filter_map(|(field, ..)| {
            let (value, said) = (shown(&attribution, field)?, shown(&said, field));
            let trusted = self.trusted.iter().find(|one| one.field == field);
            let source = match (trusted, &said) {
                (Some(one), _) if by_envoy.contains(field) && attribution.trusted.contains(field) => {
                    Source::Attribution(one.source)
                }
                _ if attribution.trusted.contains(field) => Source::Attribution(AttributionSource::Key),
                (_, Some(said)) if *said == value => Source::Attribution(AttributionSource::SelfDeclared),
                _ if field == Field::Team => Source::Registry,
                _ => Source::Attribution(AttributionSource::None),
            };
            let said = said.filter(|said| *said != value);
            Some(Known { field, value, source, said })
        });
        let identity_known = known.collect();
        let mut call = Call::begin(String::new(), now_ms, target, &self.path);
        call.attribute(attribution, source);
        call.use_key(self.key_id.clone());
        if reads {
            call.reads();
        }
        if call.target().api.is_session() {
            call.opens_session();
        }
        content.tell(call.request());
        call.identified(identity);
        call.request().watch_bounds();
        for (name, value) in self.headers.iter().filter(|(name, _)| name.starts_with("x-amzn-bedrock-")) {
            call.request().header(name.as_bytes(), value.as_bytes());
        }
        let mut written_output_tokens = None;
        if let Some(body) = &self.body {
            call.request().feed(body);
            self.step_down(&mut call, (policy, used), (body, content.is_json), now_ms);
            let limit = call.default_output_tokens(policy, Some(book));
            let is_put = |tokens: &u64| {
                content.is_json && output_limit::limited(body, call.target(), *tokens).is_some()
            };
            written_output_tokens = limit.filter(is_put);
            let learned = Learned::default();
            let unpriced = policy.unpriced;
            let given = AdmissionInput {
                policy,
                book: Some(book),
                unpriced,
                learned: &learned,
                now_ms,
                may_ask: false,
            };
            if let Some((tokens, rule)) = call.clamped_output_tokens(&given)
                && written_output_tokens.is_none_or(|default| tokens < default)
                && content.is_json
                && output_limit::lowered(body, call.target(), tokens).is_some()
            {
                written_output_tokens = Some(tokens);
                call.limit_output(tokens, Some(rule));
            } else if written_output_tokens.is_some() {
                call.request().limit_output(written_output_tokens);
            }
        }
        call.request_came();
        Explained {
            call,
            is_no_call,
            identity: identity_known,
            written_output_tokens,
            notes: self.notes.clone(),
        }
    }
}

impl Described {
    /// Puts a cheaper model into the request, where a rule says so and a gateway could.
    fn step_down(
        &self,
        call: &mut Call,
        (policy, used): (&Policy, &dyn Fn(&Touched<'_>) -> u16),
        (body, is_json): (&[u8], bool),
        now_ms: u64,
    ) {
        let Some((rule, model)) = call.step_down(policy, now_ms, used) else { return };
        let is_signed = self
            .headers
            .iter()
            .any(|(name, value)| name == "authorization" && value.trim_start().starts_with("AWS4-"));
        let is_put = match &call.target().path_model {
            Some(old) => model_name::in_path(&self.path, old, model).is_some(),
            None => is_json && model_name::in_body(body, model).is_some(),
        };
        match is_put && !is_signed && !rule.shadow {
            true => call.rename(model, &rule.name),
            false => call.note(&rule.name),
        }
    }
}

impl Explained {
    /// What each rule says that is for the call, in the order in which they are asked.
    pub fn rules(&self, policy: &Policy, book: &PriceBook, now_ms: u64) -> Vec<Said> {
        let all = &policy.rules;
        let says = |rules: Rules| self.against(rules, policy.unpriced, book, now_ms);
        let mut said = Vec::new();
        let mut say = |rule: &str, kind, state, against| {
            said.push(Said { rule: rule.to_owned(), kind, state, against });
        };
        if all.rejects_contradictions {
            let against = says(Rules { rejects_contradictions: true, ..Rules::default() });
            say("identity", "identity", RuleState::Enforced, against);
        }
        if !all.unknown.is_empty() {
            let (agents, unknown) = (all.agents.clone(), all.unknown.clone());
            let against = says(Rules { agents, unknown, ..Rules::default() });
            say("unknown_agents", "unknown_agents", RuleState::Enforced, against);
        }
        if let Some(one) = all.required_of(self.call.attribution().0) {
            let enforced = Require { shadow: false, ..one.clone() };
            let against = says(Rules { require: vec![enforced], ..Rules::default() });
            say("require", "require", state(one.shadow, None, now_ms), against);
        }
        for list in &all.allow {
            let enforced = Allow { shadow: false, until_ms: None, ..list.clone() };
            if self.is_for(&list.scope) {
                let against = says(Rules { allow: vec![enforced], ..Rules::default() });
                say(&list.name, "allow", state(list.shadow, list.until_ms, now_ms), against);
            }
        }
        for limit in &all.limits {
            let enforced = CallLimit { shadow: false, ..limit.clone() };
            if self.is_for(&limit.scope) {
                let against = says(Rules { limits: vec![enforced], ..Rules::default() });
                say(&limit.name, "limits", state(limit.shadow, None, now_ms), against);
            }
        }
        let (attribution, _) = self.call.attribution();
        let (run, parent) = (attribution.run.as_deref(), attribution.parent_run.as_deref());
        // Of a run of which nothing is known: what gateways and the collector counted is not looked up.
        let depth = if run.is_none() { 0 } else { 1 + u64::from(parent.is_some()) };
        let so_far = RunSoFar { depth, ..RunSoFar::default() };
        for limit in all.runs.iter().filter(|limit| self.is_for(&limit.scope)) {
            let cost = self.most(book, now_ms).cost.map_or(Amount::ZERO, |cost| Amount(cost.as_pico()));
            let passed = limit.passed(run.unwrap_or_default(), &so_far, cost);
            let against = passed.map(|(breach, text)| (reason(breach), text));
            say(&limit.name, "run_limits", state(limit.shadow, None, now_ms), against);
        }
        let stepped_down_from = self.call.ruled.borrow().stepped_down_from.clone();
        let asked = stepped_down_from.or_else(|| self.call.request_model().map(str::to_owned));
        let asked = asked.unwrap_or_default();
        for rule in all.step_down.iter().filter(|rule| self.is_for(&rule.scope)) {
            if rule.models.contains_key(&asked) {
                say(&rule.name, "step_down", state(rule.shadow, None, now_ms), None);
            }
        }
        said
    }

    /// What becomes of it before counters are asked, with what it holds.
    pub fn admission<'p>(
        &'p self,
        policy: &'p Policy,
        book: &'p PriceBook,
        learned: &'p Learned,
        now_ms: u64,
    ) -> Admission<'p> {
        if self.is_no_call || policy.is_idle() {
            return Admission::default();
        }
        let unpriced = policy.unpriced;
        let given = AdmissionInput { policy, book: Some(book), unpriced, learned, now_ms, may_ask: false };
        self.call.admission(&given)
    }

    /// The most that it may come to, as budgets would hold it.
    pub fn most(&self, book: &PriceBook, now_ms: u64) -> Most {
        let probe = |unit: Unit| {
            let key = define::unit_key("limit", unit);
            let json = serde_json::json!({"name": "most", key: if unit == Unit::Dollars { "1".into() } else { serde_json::json!(1) },
                "window": "prepaid", "action": "shadow"});
            define::read_one(&json, None).ok()
        };
        if self.call.is_unmetered() {
            return Most::default();
        }
        let held = |unit: Unit, unpriced: Unpriced| {
            let policy = of_one(probe(unit)?);
            let learned = Learned::default();
            let given = AdmissionInput {
                policy: &policy,
                book: Some(book),
                unpriced,
                learned: &learned,
                now_ms,
                may_ask: false,
            };
            match self.call.admission(&given) {
                Admission::Hold(holds) => Some(holds.first().map_or(Amount::ZERO, |hold| hold.amount)),
                Admission::Refuse(..) | Admission::WantPrice(_) => None,
            }
        };
        // Where calls without a price are refused, one that passes has one.
        let cost = held(Unit::Dollars, Unpriced::Deny).map(|amount| Picodollars::from_pico(amount.0));
        let tokens = held(Unit::Tokens, Unpriced::Allow).unwrap_or_default();
        Most { cost, tokens: u64::try_from(tokens.0).unwrap_or(0) }
    }

    /// Why these rules alone do not let it go on.
    fn against(
        &self,
        rules: Rules,
        unpriced: Unpriced,
        book: &PriceBook,
        now_ms: u64,
    ) -> Option<(Reason, String)> {
        let policy = Policy { rules, ..Policy::default() };
        let learned = Learned::default();
        // Whether calls without a price are allowed at all is no rule's to say.
        let unpriced = if unpriced == Unpriced::Deny { Unpriced::Ceiling } else { unpriced };
        let given = AdmissionInput {
            policy: &policy,
            book: Some(book),
            unpriced,
            learned: &learned,
            now_ms,
            may_ask: false,
        };
        match self.call.admission(&given) {
            Admission::Refuse(reason, _, message) => Some((reason, message)),
            Admission::Hold(_) | Admission::WantPrice(_) => None,
        }
    }

    /// Whether a scope is for it.
    fn is_for(&self, scope: &Scope) -> bool {
        scope.holds(&self.call.subject())
    }
}

fn state(shadow: bool, until_ms: Option<u64>, now_ms: u64) -> RuleState {
    match (shadow, until_ms.is_some_and(|until_ms| now_ms >= until_ms)) {
        (_, true) => RuleState::Expired,
        (true, false) => RuleState::Shadow,
        (false, false) => RuleState::Enforced,
    }
}

/// A policy of this budget alone.
fn of_one(budget: Budget) -> Policy {
    debug_assert_eq!((budget.action, budget.window), (Action::Shadow, Window::Prepaid));
    let spans = vec![Span { start_ms: 0, end_ms: u64::MAX }];
    let budgets = vec![PolicyBudget { budget, generation: 0, spans, quarantine: false }];
    Policy { budgets, ..Policy::default() }
}

/// What an attribution has in a field, where it has anything.
fn shown(attribution: &Attribution, field: Field) -> Option<String> {
    let name = |name: &String| (name != UNATTRIBUTED).then(|| name.clone());
    match field {
        Field::Agent => name(&attribution.agent),
        Field::Team => name(&attribution.team),
        Field::Feature => name(&attribution.feature),
        Field::Environment => name(&attribution.environment),
        Field::Run => attribution.run.clone(),
        Field::ParentRun => attribution.parent_run.clone(),
        Field::Tags => {
            let pairs = attribution.tags.iter().map(|(key, value)| format!("{key}={value}"));
            Some(pairs.collect::<Vec<_>>().join(",")).filter(|tags| !tags.is_empty())
        }
    }
}

//! May a call go on, and what is charged for it on which counters: before it goes on, and when it is settled.
//!
//! Long: what is held for a call and how that is settled have to agree, and are read together.

use super::{Call, Meant, agent_and_model};
use crate::budget::counter::Settlement;
use crate::budget::policy::{Policy, Touched};
use crate::budget::rules::{ForCall, Rulings};
use crate::budget::scope::{Dimension, Subject};
use crate::budget::{Amount, Budget, HoldRule, OnUnknown, Unit};
use crate::call::refusal::Reason;
use crate::estimate::Learned;
use crate::money::Picodollars;
use crate::price::bound::{Bound, ModelSize};
use crate::price::charge::{CostStatus, Unpriced};
use crate::price::{Ceiling, Facts, PriceBook, Wanted, WorstCase, facts, names as model_names};
use crate::provider::Api;
use crate::record::{Note, Outcome, UsageRecord};
use crate::request::bounds::RequestBounds;

/// What is to be charged on a counter before a call goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold<'p> {
    /// The counter and its budget.
    pub touched: Touched<'p>,
    /// How much.
    pub amount: Amount,
    /// Where the budget ends streams: what of the answer that covers.
    pub cover: Option<Box<Cover>>,
}

/// How much of a running answer a hold covers, and what more of it costs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cover {
    /// Output tokens.
    pub output_tokens: u64,
    /// What one more costs, at most, in the budget's unit.
    pub per_token: Amount,
}

/// What is known before counters are asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Admission<'p> {
    /// What is to be held; empty where no budget is for the call.
    Hold(Vec<Hold<'p>>),
    /// It is refused, whatever counters say: why, by which budget where it is one, and the text for the
    /// caller.
    Refuse(Reason, Option<String>, String),
    /// The price of this model is not here; a collector may have it.
    WantPrice(Wanted),
}

/// What the gateway knows when it decides.
#[derive(Clone, Copy)]
pub struct AdmissionInput<'a> {
    /// Budgets.
    pub policy: &'a Policy,
    /// Prices.
    pub book: Option<&'a PriceBook>,
    /// What becomes of calls without a price.
    pub unpriced: Unpriced,
    /// What measured calls have taught.
    pub learned: &'a Learned,
    /// The collector's clock, Unix milliseconds UTC.
    pub now_ms: u64,
    /// Whether a collector can be asked for a price.
    pub may_ask: bool,
}

impl Default for Admission<'_> {
    /// Nothing is held.
    fn default() -> Self {
        Self::Hold(Vec::new())
    }
}

impl Call {
    /// What budgets see of it.
    pub fn subject(&self) -> Subject<'_> {
        let (meant, others) = (self.meant.get(), self.other_models());
        let row = meant.and_then(|meant| meant.row.as_deref());
        Subject {
            attribution: &self.attribution,
            provider: &self.target.provider,
            model: self.request_model(),
            row,
            others: meant.map_or(others, |meant| &meant.others),
            any_model: self.may_be_any_model()
                || meant.map_or_else(|| self.has_own_name(), |meant| meant.any_model),
            key_id: self.key_id.as_deref(),
            trusted: self.attribution.trusted,
        }
    }

    /// The counters of enforced budgets that it touches whatever stands in its body; none where it costs
    /// nothing.
    pub fn surely_touched<'p>(&'p self, policy: &'p Policy, now_ms: u64) -> Vec<Touched<'p>> {
        if self.target.fetches.is_some() || self.is_free() {
            return Vec::new();
        }
        let subject = self.subject();
        let has_model = subject.model.is_some() && !subject.any_model;
        let by_model = |budget: &Budget| {
            budget.each == Some(Dimension::Model) || !budget.scope.values(&Dimension::Model).is_empty()
        };
        let is_sure =
            |touched: &Touched<'_>| touched.budget.is_enforced() && (has_model || !by_model(touched.budget));
        policy.touched(&subject, now_ms).filter(is_sure).collect()
    }

    /// What is to be held for it, now that its whole request is known. Calls that cost nothing, and those
    /// that fetch what another one began, hold nothing.
    #[must_use]
    pub fn admission<'p>(&'p self, given: &AdmissionInput<'p>) -> Admission<'p> {
        let has_rules = !given.policy.rules.is_empty();
        if self.target.fetches.is_some() && !has_rules {
            return Admission::Hold(Vec::new());
        }
        if given.policy.scopes_models() {
            self.resolve(given.book);
        }
        let subject = self.subject();
        let (mut rules, mut rulings) = (ForCall::default(), Rulings::default());
        if has_rules {
            rules = given.policy.rules.for_call(&subject, given.now_ms);
            rulings = self.rulings(given, &rules);
        }
        if rulings.refused.is_some() || self.target.fetches.is_some() {
            return self.ruled(rulings).unwrap_or_default();
        }
        let touched = given.policy.touched(&subject, given.now_ms);
        let mut holds = Vec::with_capacity(given.policy.budgets.len());
        touched.for_each(|touched| holds.push(Hold { touched, amount: Amount::ZERO, cover: None }));
        let enforced = |test: &dyn Fn(&Budget) -> bool| {
            holds.iter().map(|hold| hold.touched.budget).find(|budget| budget.is_enforced() && test(budget))
        };
        let later = self.starts_deferred();
        if let Some(budget) = enforced(&|budget| later && !budget.deferred) {
            let name = &budget.name;
            let text = format!(
                "work that is charged later may not be started under budget `{name}`, unless it says `deferred = \"allow\"`"
            );
            return Admission::Refuse(Reason::DeferredNotAllowed, Some(name.clone()), text);
        }
        if self.is_free() {
            return self.ruled(rulings).unwrap_or_default();
        }
        if self.is_unmetered() {
            self.rule_size(&rules, None, &mut rulings);
            return self.ruled(rulings).unwrap_or_else(|| self.unmetered(holds));
        }
        let enforcing = enforced(&|_| true);
        if (enforcing.is_some() || given.unpriced == Unpriced::Deny || rules.enforces_limits())
            && let Some((reason, text)) = self.undecidable()
        {
            let name = enforcing.map(|budget| budget.name.clone());
            let under = name.as_ref().map_or_else(String::new, |name| format!(" under budget `{name}`"));
            return Admission::Refuse(reason, name, format!("{text}{under}"));
        }
        let is_sized = !rules.limits.is_empty() || !rules.runs.is_empty();
        if holds.is_empty() && given.unpriced != Unpriced::Deny && !is_sized {
            return self.ruled(rulings).unwrap_or_default();
        }
        self.held(given, holds, (&rules, rulings))
    }

    /// Why it cannot be told from its request what it asks for.
    pub(super) fn undecidable(&self) -> Option<(Reason, String)> {
        let bounds = self.request.bounds();
        if let Some(key) = bounds.and_then(|bounds| bounds.ambiguous()) {
            let text = format!("the request names `{key}` twice, and each may stand in it once");
            return Some((Reason::AmbiguousRequest, text));
        }
        let unreadable = self.request.is_unread() || bounds.is_some() && self.request.is_unreadable();
        let text = "the request's body is not JSON that can be read (its content type says `json`, and it is not encoded), \
                    nor a plain form, as it must be";
        (unreadable && !self.target.api.is_session()).then(|| (Reason::UnreadableRequest, text.to_owned()))
    }

    /// The holds, with how much they hold.
    // Long: one pass over the holds, after what all of them share.
    fn held<'p>(
        &'p self,
        given: &AdmissionInput<'p>,
        mut holds: Vec<Hold<'p>>,
        (rules, mut rulings): (&ForCall<'_>, Rulings),
    ) -> Admission<'p> {
        let tier = self.request.service_tier().map(|tier| (facts::REQUESTED_TIER, tier));
        let place = self.target.place.as_ref().map(|(fact, word)| (*fact, word.as_str()));
        let mut known: Vec<(&str, &str)> = Vec::new();
        known.extend(tier);
        known.extend(place);
        let worst = self.worst(given, &known);
        let &Worst { ref row, ref bound, cost, is_ceiling } = match &worst {
            Ok(worst) => worst,
            Err(admission) => return admission.clone(),
        };
        if !given.policy.rules.is_empty() {
            let cost = cost.map(|cost| Amount(cost.as_pico()));
            if is_ceiling {
                // No price came that a lower limit could be made of.
                self.ruled.borrow_mut().awaits_clamp = false;
            }
            self.rule_size(rules, cost, &mut rulings);
            if let Some(refused) = self.ruled(rulings) {
                return refused;
            }
        }
        let needs = |budget: &&Budget| {
            budget.is_enforced() && budget.unit == Unit::Dollars && budget.ceiling.is_none()
        };
        if is_ceiling
            && cost.is_none()
            && let Some(budget) = holds.iter().map(|hold| hold.touched.budget).find(needs)
        {
            let model = self.request_model().unwrap_or("this call");
            let text = format!(
                "the price of `{model}` is not known here yet, nor any other to hold instead, and budget `{}` covers \
                 no call of unknown price; try again shortly, or give the budget a `ceiling_usd`",
                budget.name
            );
            return Admission::Refuse(Reason::PriceUnknown, Some(budget.name.clone()), text);
        }
        let dollars = Amount(cost.unwrap_or_default().as_pico());
        let tokens = Amount(i128::from(bound.input_tokens) + i128::from(bound.output_tokens));
        let (mut some_expect, mut some_end_streams) = (false, false);
        for Hold { touched, .. } in &holds {
            some_expect |= touched.budget.hold == HoldRule::Expected;
            some_end_streams |= touched.budget.end_streams;
        }
        let expected = match some_expect {
            true => self.expected(given, row.as_ref()),
            false => None,
        };
        let per_token = match some_end_streams {
            true => {
                let more = Bound { output_tokens: bound.output_tokens.saturating_add(1), ..bound.clone() };
                let more = row.as_ref().and_then(|row| row.of(&more)).unwrap_or_default();
                Amount(more.as_pico()).minus(dollars).or_nothing()
            }
            false => Amount::ZERO,
        };
        for Hold { touched, amount, cover } in &mut holds {
            let worst = match touched.budget.unit {
                Unit::Dollars if is_ceiling => touched.budget.ceiling.unwrap_or(dollars),
                Unit::Dollars => dollars,
                Unit::Tokens => tokens,
                Unit::Calls => Amount(1),
            };
            *amount = match (touched.budget.hold, touched.budget.unit, &expected) {
                (HoldRule::Expected, Unit::Dollars, Some((cost, ..))) => worst.min(*cost),
                (HoldRule::Expected, Unit::Tokens, Some((_, tokens, _))) => worst.min(*tokens),
                _ => worst,
            };
            *cover = touched.budget.end_streams.then(|| {
                let output_tokens = match (*amount < worst, &expected) {
                    (true, Some((_, _, output_tokens))) => *output_tokens,
                    _ => bound.output_tokens,
                };
                let per_token = match touched.budget.unit {
                    Unit::Dollars => per_token,
                    Unit::Tokens => Amount(1),
                    Unit::Calls => Amount::ZERO,
                };
                Box::new(Cover { output_tokens, per_token })
            });
        }
        Admission::Hold(holds)
    }

    /// What becomes of a call of which no price is here. A name whose price merely is not here is held at the
    /// dearest; only one that the whole book is known to have no price for follows the policy. Of a name that
    /// the customer gave that says nothing: its answer may name any model.
    fn without_price(&self, given: &AdmissionInput<'_>, facts: &Facts<'_>, has_row: bool) -> WithoutPrice {
        let model = facts.request_model.filter(|model| !model.is_empty());
        let wanted =
            model.map(|model| Wanted { provider: facts.provider.to_owned(), model: model.to_owned() });
        let is_unpriced = match (&wanted, given.book) {
            (Some(wanted), Some(book)) => !has_row && book.has_no_price_for(wanted),
            _ => false,
        };
        match (given.unpriced, wanted) {
            (_, Some(wanted)) if given.may_ask && !is_unpriced && !has_row => WithoutPrice::Ask(wanted),
            (Unpriced::Deny, _) => {
                let model = model.unwrap_or("this call");
                let text = format!("`{model}` has no price here, and calls without a price are not allowed");
                WithoutPrice::Refuse(text)
            }
            (Unpriced::Allow, Some(wanted))
                if is_unpriced && !model_names::is_customers_own(&wanted.provider, &wanted.model) =>
            {
                WithoutPrice::Nothing
            }
            _ => WithoutPrice::Ceiling,
        }
    }

    /// What it may cost at most: at the dearest that may answer, and at each model that its tools ask
    /// besides.
    fn worst<'a>(
        &'a self,
        given: &AdmissionInput<'a>,
        known: &'a [(&'a str, &'a str)],
    ) -> Result<Worst<'a>, Admission<'static>> {
        let mut worst = self.worst_answer(given, known)?;
        for name in self.tool_models() {
            let facts = Facts { request_model: Some(name), ..self.facts(known) };
            let row = given.book.and_then(|book| book.worst_case(facts));
            let cost = row.as_ref().and_then(|row| row.of(&self.bound(row.size())));
            match cost {
                Some(more) => worst.cost = worst.cost.map(|cost| cost + more),
                None => match self.without_price(given, &facts, row.is_some()) {
                    WithoutPrice::Ask(wanted) => return Err(Admission::WantPrice(wanted)),
                    WithoutPrice::Refuse(text) if row.is_none() => {
                        return Err(Admission::Refuse(Reason::ModelNotPriced, None, text));
                    }
                    // What has a price of another kind, as pictures, is bounded with the tools.
                    _ => {}
                },
            }
        }
        Ok(worst)
    }

    /// Models that its tools ask.
    pub(super) fn tool_models(&self) -> &[String] {
        self.bounds().map_or(&[], RequestBounds::tool_models)
    }

    /// The dearest that may answer: of the models that it names, or of all of its provider's, where it names
    /// none.
    fn worst_answer<'a>(
        &'a self,
        given: &AdmissionInput<'a>,
        known: &'a [(&'a str, &'a str)],
    ) -> Result<Worst<'a>, Admission<'static>> {
        let mut dearest: Option<Worst<'a>> = None;
        let only = self.only_model();
        let is_open = self.may_be_any_model() || only.is_none() && self.models_asked_for().next().is_none();
        if let Some(name) = only.filter(|_| !is_open) {
            return self.worst_of(given, Facts { request_model: Some(name), ..self.facts(known) });
        }
        for name in self.models_asked_for() {
            let facts = Facts { request_model: Some(name), ..self.facts(known) };
            dearest = Some(self.worst_of(given, facts)?.or_dearer(dearest));
        }
        if is_open {
            let facts = Facts { request_model: None, ..self.facts(known) };
            dearest = Some(self.ceiling(given, &facts).or_dearer(dearest));
        }
        Ok(dearest.unwrap_or_default())
    }

    /// The worst case of one model; what is to be done first, where its price is not here.
    fn worst_of<'a>(
        &'a self,
        given: &AdmissionInput<'a>,
        facts: Facts<'a>,
    ) -> Result<Worst<'a>, Admission<'static>> {
        let row = given.book.and_then(|book| book.worst_case(facts));
        let bound = self.bound(row.as_ref().map(WorstCase::size).unwrap_or_default());
        let cost = row.as_ref().and_then(|row| row.of(&bound));
        if cost.is_none() {
            match self.without_price(given, &facts, row.is_some()) {
                WithoutPrice::Ask(wanted) => return Err(Admission::WantPrice(wanted)),
                WithoutPrice::Refuse(text) => {
                    return Err(Admission::Refuse(Reason::ModelNotPriced, None, text));
                }
                WithoutPrice::Nothing => {}
                WithoutPrice::Ceiling => return Ok(self.ceiling(given, &facts)),
            }
        }
        Ok(Worst { row, bound, cost, is_ceiling: false })
    }

    /// The worst case of a call whose price is not here: at the dearest row of its provider.
    fn ceiling<'a>(&'a self, given: &AdmissionInput<'a>, facts: &Facts<'_>) -> Worst<'a> {
        let dearest = given.book.and_then(|book| book.ceiling(facts));
        let bound = self.bound(dearest.as_ref().map(Ceiling::size).unwrap_or_default());
        let cost = dearest.and_then(|dearest| dearest.of(&bound));
        Worst { row: None, bound, cost, is_ceiling: true }
    }

    /// The only model that may answer, where one is named.
    fn only_model(&self) -> Option<&str> {
        self.plain_model().or_else(|| {
            let mut names = self.models_asked_for();
            names.next().filter(|_| names.next().is_none())
        })
    }

    /// The same for a call that names its model in the plain way, as nearly all do: found without a list.
    pub(super) fn plain_model(&self) -> Option<&str> {
        let name = match &self.target.path_model {
            Some(in_path) => in_path,
            None => self.request.model().filter(|name| !name.contains(','))?.trim_ascii(),
        };
        (!name.is_empty() && self.other_models().is_empty()).then_some(name)
    }

    /// Whether a model that may answer is called by such a name.
    fn asks_for(&self, is_such: impl Fn(&str) -> bool) -> bool {
        match self.plain_model() {
            Some(name) => is_such(name),
            None => self.models_asked_for().any(is_such),
        }
    }

    /// The models that may answer, as its path or else its body names them: one, several with commas between
    /// them, and those to fall back on.
    pub(super) fn models_asked_for(&self) -> impl Iterator<Item = &str> {
        let path = self.target.path_model.as_deref();
        let named = self.request.model().filter(|_| path.is_none());
        let in_body = named.into_iter().chain(self.other_models().iter().map(String::as_str));
        let in_body = in_body.flat_map(|names| names.split(',')).map(str::trim_ascii);
        path.into_iter().chain(in_body).filter(|name| !name.is_empty())
    }

    /// Models to fall back on; none where the path names one, which wins.
    fn other_models(&self) -> &[String] {
        let bounds = self.bounds().filter(|_| self.target.path_model.is_none());
        bounds.map_or(&[], RequestBounds::other_models)
    }

    /// Whether the provider, or what is stored there, chooses the model that answers.
    pub(super) fn may_be_any_model(&self) -> bool {
        let provider = self.target.provider.as_ref();
        self.target.path_model.is_none() && self.bounds().is_some_and(RequestBounds::may_be_any_model)
            || self.asks_for(|name| model_names::is_choice(provider, name))
    }

    /// Whether it calls a model by a name that the customer gave, and that says nothing of the model.
    pub(super) fn has_own_name(&self) -> bool {
        let provider = self.target.provider.as_ref();
        self.asks_for(|name| model_names::is_customers_own(provider, name))
    }

    /// Whether nothing of it can be held, and nothing but its answer may tell what it cost. That it names a
    /// model changes nothing: what an unknown API does with it nobody knows.
    pub(super) const fn is_unmetered(&self) -> bool {
        matches!(self.target.api, Api::Unmetered | Api::Other)
    }

    /// What becomes of a call that cannot be metered.
    fn unmetered<'p>(&self, mut holds: Vec<Hold<'p>>) -> Admission<'p> {
        let forbids = |hold: &&Hold<'p>| hold.touched.budget.is_enforced() && !hold.touched.budget.unmetered;
        if let Some(hold) = holds.iter().find(forbids) {
            let budget = &hold.touched.budget.name;
            let text = format!(
                "what cannot be metered may not be called under budget `{budget}`, unless it says `unmetered = \"allow\"`"
            );
            return Admission::Refuse(Reason::NotMetered, Some(budget.clone()), text);
        }
        for hold in &mut holds {
            hold.amount = Amount(i128::from(hold.touched.budget.unit == Unit::Calls));
        }
        Admission::Hold(holds)
    }

    /// Finds the price book's rows of its models, for budgets that are for some models.
    fn resolve(&self, book: Option<&PriceBook>) {
        let Some(book) = book.filter(|_| self.meant.get().is_none()) else { return };
        let provider = self.target.provider.as_ref();
        let row = |name: &str| Some(book.find(provider, name, self.time_ms)?.model.id.clone());
        if let Some(name) = self.only_model() {
            if let Some(row) = row(name) {
                let _ = self.meant.set(Meant { row: Some(row), ..Meant::default() });
            }
            return;
        }
        let (mut others, mut any_model) = (Vec::new(), false);
        for name in self.models_asked_for() {
            let wanted = || Wanted { provider: provider.to_owned(), model: name.to_owned() };
            let row = row(name);
            if row.is_none() && !book.has_no_price_for(&wanted()) {
                return;
            }
            any_model |= row.is_none() && model_names::is_customers_own(provider, name);
            others.push(name.to_owned());
            others.extend(row);
        }
        // A session may yet say it.
        if !others.is_empty() {
            let _ = self.meant.set(Meant { row: None, others, any_model });
        }
    }

    fn bounds(&self) -> Option<&RequestBounds> {
        self.request.bounds()
    }

    /// What its price depends on, as far as its request says.
    fn facts<'a>(&'a self, conditions: &'a [(&'a str, &'a str)]) -> Facts<'a> {
        Facts {
            provider: &self.target.provider,
            response_model: None,
            request_model: self.request_model(),
            time_ms: self.time_ms,
            conditions,
        }
    }

    fn bound(&self, size: ModelSize) -> Bound {
        let body_bytes = self.request.body_bytes();
        match self.bounds() {
            Some(bounds) => Bound::of(bounds, &self.target, body_bytes, size),
            None => Bound::of(&RequestBounds::default(), &self.target, body_bytes, size),
        }
    }

    /// What such calls of this agent cost in the mean, in dollars and tokens, and their output alone; `None`
    /// where none has been measured.
    fn expected(
        &self,
        given: &AdmissionInput<'_>,
        row: Option<&WorstCase<'_>>,
    ) -> Option<(Amount, Amount, u64)> {
        let model = self.request_model()?;
        let mean = |name: &str| given.learned.mean_output(name);
        let output_tokens = mean(&agent_and_model(&self.attribution.agent, model)).or_else(|| mean(model))?;
        let input_tokens = self.request.input_estimate().unwrap_or_else(|| self.request.body_bytes());
        let bound = Bound { input_tokens, output_tokens, ..Bound::default() };
        let cost = row?.of(&bound)?;
        let tokens = Amount(i128::from(input_tokens) + i128::from(output_tokens));
        Some((Amount(cost.as_pico()), tokens, output_tokens))
    }

    /// The limit on its output that is to be written into its request, where it generates text and has none:
    /// no more than its model can give, which the provider would refuse.
    pub fn default_output_tokens(&self, policy: &Policy, book: Option<&PriceBook>) -> Option<u64> {
        let lacks_limit = self.target.api.generates_text()
            && !self.request.is_unreadable()
            && self
                .request
                .bounds()
                .is_some_and(|bounds| bounds.output_limit(&self.target).is_none() && bounds.can_be_limited());
        if !lacks_limit {
            return None;
        }
        if policy.scopes_models() {
            self.resolve(book);
        }
        let tokens = policy.default_output_tokens(&self.subject())?;
        let row = book.and_then(|book| book.worst_case(self.facts(&[])));
        Some(tokens.min(row.and_then(|row| row.size().output_tokens).unwrap_or(tokens)))
    }

    /// What it may cost at most; none where its own price is not known here.
    pub(super) fn worst_cost(&self, given: &AdmissionInput<'_>) -> Option<Amount> {
        let tier = self.request.service_tier().map(|tier| (facts::REQUESTED_TIER, tier));
        let place = self.target.place.as_ref().map(|(fact, word)| (*fact, word.as_str()));
        let known: Vec<(&str, &str)> = tier.into_iter().chain(place).collect();
        let worst = self.worst(given, &known).ok()?;
        worst.cost.filter(|_| !worst.is_ceiling).map(|cost| Amount(cost.as_pico()))
    }

    /// Output tokens that have passed so far, as far as they can be seen.
    pub fn output_so_far(&self, learned: &Learned) -> u64 {
        let answers = self.answer.as_deref().and_then(|answer| answer.meter.reading().model());
        self.passed(answers.or_else(|| self.request_model()).unwrap_or_default(), learned).0
    }

    /// The model asked for: where the path names one, what the body says changes nothing.
    pub fn request_model(&self) -> Option<&str> {
        self.target.path_model.as_deref().or_else(|| self.request.model())
    }

    /// The record of a call that was refused: nothing of it reached a provider.
    pub fn denied(&self, gateway: &str, status: u16, now_ms: u64) -> UsageRecord {
        let mut record = self.pending(gateway);
        record.outcome = Outcome::Denied;
        record.cost_status = CostStatus::Free;
        record.status = Some(status);
        record.stream = self.streams();
        record.request_bytes = Some(self.request.body_bytes());
        record.duration_ms = Some(now_ms.saturating_sub(self.time_ms));
        record
    }
}

/// What becomes of a call of which no price is here.
enum WithoutPrice {
    /// A collector is asked.
    Ask(Wanted),
    /// It is refused.
    Refuse(String),
    /// It is held at the dearest price.
    Ceiling,
    /// It has none, and goes on without a hold.
    Nothing,
}

/// The worst case of a call.
#[derive(Debug, Default)]
struct Worst<'b> {
    /// The row that it is computed from, where its model has one.
    row: Option<WorstCase<'b>>,
    bound: Bound,
    /// `None` where no price is known.
    cost: Option<Picodollars>,
    /// Its price is not here, or its model is not said.
    is_ceiling: bool,
}

impl Worst<'_> {
    /// The dearer of two, with the larger bound of each.
    fn or_dearer(mut self, other: Option<Self>) -> Self {
        let Some(mut other) = other else { return self };
        if other.cost > self.cost {
            std::mem::swap(&mut self, &mut other);
        }
        self.is_ceiling |= other.is_ceiling;
        self.bound.input_tokens = self.bound.input_tokens.max(other.bound.input_tokens);
        self.bound.output_tokens = self.bound.output_tokens.max(other.bound.output_tokens);
        self
    }
}

/// What a call is charged in the place of `hold`, now that it has ended: what its record says.
///
/// On a budget whose rule is [`OnUnknown::Worst`] the whole hold stays where the provider did not say what it
/// charged, or where no price is known; on all such budgets as much as the record says was charged. What that
/// is above the record's cost is `kept`. Where a price merely is not here, the hold stays on every budget
/// until the collector has found it.
#[must_use]
#[inline(always)] // its sixty bytes are made where they stay
pub fn settled(record: &UsageRecord, unit: Unit, hold: Amount, rule: OnUnknown) -> Settlement {
    let told = record.charged_usd.filter(|_| unit == Unit::Dollars);
    let most = told.map_or(hold, |charged| Amount(charged.as_pico()));
    settled_at(record, unit, (hold, most), rule)
}

/// The same, with the most that may stay charged.
#[inline(always)]
fn settled_at(
    record: &UsageRecord,
    unit: Unit,
    (hold, most): (Amount, Amount),
    rule: OnUnknown,
) -> Settlement {
    let tokens = |count: Option<u64>| i128::from(count.unwrap_or(0));
    let cost = match unit {
        Unit::Dollars => Amount(record.cost_usd.as_pico()),
        Unit::Tokens => Amount(tokens(record.usage.input_tokens) + tokens(record.usage.output_tokens)),
        Unit::Calls => Amount(i128::from(reached_provider(record))),
    };
    let known = match unit {
        Unit::Calls => true,
        Unit::Tokens => record.cost_status == CostStatus::Free || is_reported(record),
        Unit::Dollars => match record.cost_status {
            CostStatus::Free | CostStatus::Measured => true,
            CostStatus::Estimated => is_reported(record),
            CostStatus::Unpriced => false,
        },
    };
    let is_kept = rule == OnUnknown::Worst || unit == Unit::Dollars && awaits_price(record);
    let charge = if known || !is_kept { cost } else { cost.max(most) };
    let kept = if rule == OnUnknown::Worst { charge.minus(cost) } else { Amount::ZERO };
    Settlement { hold, charge, kept, calls: 1 }
}

/// What budgets in dollars are charged for a call whose price may yet change where the whole book is, given
/// what was held on each budget and its rule: the most of it. Where nothing was held, what a call whose price
/// is not here costs at the dearest row. `None` where its record says what it costs.
#[must_use]
pub fn charged(
    record: &UsageRecord,
    holds: impl Iterator<Item = (Unit, Amount, OnUnknown)>,
) -> Option<Picodollars> {
    if record.cost_status != CostStatus::Unpriced && !record.is_priced_as_asked() {
        return None;
    }
    let at_dearest = record.charged_usd.filter(|_| awaits_price(record)).unwrap_or_default();
    let dollars = holds.filter(|(unit, ..)| *unit == Unit::Dollars);
    let most = dollars.map(|(unit, hold, rule)| settled_at(record, unit, (hold, hold), rule).charge.0).max();
    let most = most.filter(|most| *most > 0).unwrap_or(at_dearest.as_pico());
    Some(record.cost_usd.max(Picodollars::from_pico(most)))
}

fn awaits_price(record: &UsageRecord) -> bool {
    record.notes.contains(&Note::PriceAwaited)
}

fn is_reported(record: &UsageRecord) -> bool {
    !record.usage_estimated && record.usage.input_tokens.is_some()
}

/// Whether a provider got the call: as the collector's reports count.
const fn reached_provider(record: &UsageRecord) -> bool {
    !matches!(record.outcome, Outcome::Denied) && record.status.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::{Attribution, AttributionSource};
    use crate::budget::define;
    use crate::budget::policy::PolicyBudget;
    use crate::budget::window::Span;
    use crate::price::{Price, PricedModel, Rates, Sheet};
    use crate::provider::Target;
    use crate::usage::{Kind, Usage};

    fn book() -> PriceBook {
        let rates = Rates(
            [(Kind::Input, Picodollars::from_pico(10)), (Kind::Output, Picodollars::from_pico(100))].into(),
        );
        let price = Price { standard: Sheet { rates, tiers: vec![] }, ..Price::default() };
        let model = PricedModel {
            provider: "openai".into(),
            id: "m".into(),
            prices: vec![price],
            ..PricedModel::default()
        };
        PriceBook::new("v1".into(), vec![model])
    }

    fn policy(json: serde_json::Value) -> Policy {
        let spans = vec![Span { start_ms: 0, end_ms: u64::MAX }];
        let budget = |budget| PolicyBudget { budget, generation: 1, spans: spans.clone(), quarantine: false };
        let budgets = define::read(&json).unwrap().into_iter().map(budget).collect();
        Policy { version: "p".into(), budgets, ..Policy::default() }
    }

    fn call(path: &str, body: &str) -> Call {
        let target = Target::recognise(Some("openai"), "", path);
        let mut call = Call::begin("id".into(), 1_000, target, path);
        call.attribute(
            Attribution { agent: "triage".into(), team: "support".into(), ..Attribution::default() },
            AttributionSource::SelfDeclared,
        );
        call.request().watch_bounds();
        call.request().feed(body.as_bytes());
        call
    }

    /// Calls without a price are allowed, and nobody can be asked for one.
    fn allowing<'a>(policy: &'a Policy, book: &'a PriceBook, learned: &'a Learned) -> AdmissionInput<'a> {
        let unpriced = Unpriced::Allow;
        AdmissionInput { policy, book: Some(book), unpriced, learned, now_ms: 5, may_ask: false }
    }

    fn admitted(call: &Call, policy: &Policy, unpriced: Unpriced, learned: &Learned) -> String {
        let book = book();
        let given = AdmissionInput { unpriced, ..allowing(policy, &book, learned) };
        match call.admission(&given) {
            Admission::Hold(holds) => {
                let hold = |hold: &Hold<'_>| format!("{}={}", hold.touched.budget.name, hold.amount);
                holds.iter().map(hold).collect::<Vec<_>>().join(" ")
            }
            Admission::Refuse(reason, ..) => reason.name().to_owned(),
            Admission::WantPrice(wanted) => format!("want {}", wanted.model),
        }
    }

    const CHAT: &str = "/v1/chat/completions";

    /// A regional endpoint is dearer, and its address says so before the call.
    #[test]
    fn a_call_is_held_at_the_price_of_the_place_that_its_address_names() {
        let policy = policy(serde_json::json!([{"name": "all", "limit_usd": "1", "window": "day"}]));
        let price = |input: i128| {
            let rates = Rates(
                [(Kind::Input, Picodollars::from_pico(input)), (Kind::Output, Picodollars::from_pico(input))]
                    .into(),
            );
            Sheet { rates, tiers: vec![] }
        };
        let variant = crate::price::Variant {
            when: [("location".to_owned(), "*".to_owned())].into(),
            sheet: price(110),
            ..crate::price::Variant::default()
        };
        let price = Price { standard: price(100), variants: vec![variant], ..Price::default() };
        let model = PricedModel {
            provider: "vertex".into(),
            id: "m".into(),
            prices: vec![price],
            ..PricedModel::default()
        };
        let book = PriceBook::new("v1".into(), vec![model]);
        let held = |location: &str| {
            let path =
                format!("/v1/projects/p/locations/{location}/publishers/anthropic/models/m:rawPredict");
            let mut call =
                Call::begin("id".into(), 1_000, Target::recognise(Some("vertex"), "", &path), &path);
            call.request().watch_bounds();
            call.request().feed(br#"{"max_tokens":10,"messages":[{"role":"user","content":"hi"}]}"#);
            let learned = Learned::default();
            let given = allowing(&policy, &book, &learned);
            match call.admission(&given) {
                Admission::Hold(holds) => holds[0].amount.0,
                _ => panic!("not admitted"),
            }
        };
        assert_eq!(held("us-east5") * 10, held("global") * 11);
    }

    #[test]
    fn every_budget_of_a_call_holds_its_worst_case_in_its_unit() {
        let policy = policy(serde_json::json!([
            {"name": "all", "limit_usd": "1", "window": "day"},
            {"name": "calls", "scope": {"team": "support"}, "limit_calls": 3, "window": "day"},
            {"name": "mean", "limit_tokens": 9, "window": "day", "hold": "expected"},
            {"name": "other", "scope": {"team": "growth"}, "limit_usd": "1", "window": "day"},
            {"name": "tokens", "limit_tokens": 9, "window": "day"}
        ]));
        let body = r#"{"model":"m","max_tokens":7,"messages":[{"content":"one two three"}]}"#;
        let call = call(CHAT, body);
        let input = body.len() as i128 + 1_024;
        let expected = format!("all={} calls=1 mean={} tokens={}", input * 10 + 700, input + 7, input + 7);
        assert_eq!(admitted(&call, &policy, Unpriced::Allow, &Learned::default()), expected);
        let mut learned = Learned::default();
        learned.teach("triage m", 4, 4, crate::estimate::Passed::default());
        let text = admitted(&call, &policy, Unpriced::Allow, &learned);
        assert!(text.contains("mean=7 "), "three words and four tokens: {text}");
    }

    #[test]
    fn what_cannot_be_judged_is_refused_under_an_enforced_budget_only() {
        for (action, path, body, expected) in [
            ("deny", CHAT, r#"{"model":"m","model":"n"}"#, "ambiguous_request"),
            ("deny", CHAT, "not json", "unreadable_request"),
            ("deny", "/v1/batches", "{}", "deferred_not_allowed"),
            (
                "deny",
                "/v1/responses",
                r#"{"model":"m","background":true,"max_output_tokens":1}"#,
                "deferred_not_allowed",
            ),
            ("deny", "/v1/moderations", "{}", ""),
            ("warn", CHAT, "not json", "b=6563920"),
            ("warn", "/v1/batches", "{}", ""),
        ] {
            let policy = policy(
                serde_json::json!([{"name": "b", "limit_usd": "1", "window": "day", "action": action}]),
            );
            let found = admitted(&call(path, body), &policy, Unpriced::Allow, &Learned::default());
            assert_eq!(found, expected, "{action} {path} {body}");
        }
    }

    /// OpenAI's costs nothing; others charge for the tokens.
    #[test]
    fn moderation_that_is_paid_is_held_for_as_any_call() {
        let policy = policy(serde_json::json!([{"name": "b", "limit_tokens": 99_000, "window": "day"}]));
        let (path, body) = ("/v1/moderations", r#"{"model":"m","input":"word"}"#);
        let free = call(path, body);
        assert_eq!(admitted(&free, &policy, Unpriced::Allow, &Learned::default()), "");
        assert_eq!(free.surely_touched(&policy, 5).len(), 0);
        let target = Target::recognise(Some("mistral"), "", path);
        let mut paid = Call::begin("id".into(), 1_000, target, path);
        paid.request().watch_bounds();
        paid.request().feed(body.as_bytes());
        let held = admitted(&paid, &policy, Unpriced::Allow, &Learned::default());
        assert!(held.starts_with("b=") && !held.starts_with("b=0"), "{held}");
        assert_eq!(paid.surely_touched(&policy, 5).len(), 1);
    }

    /// A name whose price merely is not here is no name without a price.
    #[test]
    fn a_call_whose_price_is_not_here_is_held_at_the_dearest() {
        let policy = policy(serde_json::json!([
            {"name": "b", "limit_usd": "1", "window": "day"},
            {"name": "own", "limit_usd": "1", "window": "day", "ceiling_usd": "0.5"},
            {"name": "calls", "limit_calls": 1, "window": "day"}]));
        let (call, learned) = (call(CHAT, r#"{"model":"new","max_tokens":1}"#), Learned::default());
        let ceiling = (i128::from(call.request.body_bytes()) + 1_024) * 10 + 100;
        let asked = Wanted { provider: "openai".into(), model: "new".into() };
        let known = Wanted { model: "m".into(), ..asked.clone() };
        let told = book().subset([&known, &asked], 0, usize::MAX);
        let not_told = book().subset([&known], 0, usize::MAX);
        let held = format!("b={ceiling} own=500000000000 calls=1");
        for (name, book, may_ask, expected) in [
            ("it can be asked for", Some(&not_told), true, "asks"),
            ("the collector is away", Some(&not_told), false, &*held),
            ("the collector has said that it has none", Some(&told), true, "b=0 own=0 calls=1"),
            ("nothing is known at all", None, false, "price_unknown"),
        ] {
            let given = AdmissionInput {
                policy: &policy,
                book,
                unpriced: Unpriced::Allow,
                learned: &learned,
                now_ms: 5,
                may_ask,
            };
            let found = match call.admission(&given) {
                Admission::Hold(holds) => {
                    let hold = |hold: &Hold<'_>| format!("{}={}", hold.touched.budget.name, hold.amount);
                    holds.iter().map(hold).collect::<Vec<_>>().join(" ")
                }
                Admission::Refuse(reason, ..) => reason.name().to_owned(),
                Admission::WantPrice(wanted) => {
                    assert_eq!(wanted, asked);
                    "asks".to_owned()
                }
            };
            assert_eq!(found, expected, "{name}");
        }
    }

    /// A name that the customer gave says nothing of the model that answers: that the collector has no price
    /// for it is no price of zero. Where the operator has mapped it, its row counts.
    #[test]
    fn a_name_that_the_customer_gave_is_held_at_the_dearest_of_its_provider() {
        let policy = policy(serde_json::json!([
            {"name": "all", "limit_usd": "1", "window": "day"},
            {"name": "scoped", "scope": {"model": "gpt-4o"}, "limit_usd": "1", "window": "day"},
            {"name": "other", "scope": {"model": "m"}, "limit_usd": "1", "window": "day"}]));
        let row = |provider: &str, alias: &str| PricedModel {
            provider: provider.into(),
            aliases: vec![alias.to_owned()],
            ..book().models()[0].clone()
        };
        let names = [
            ("azure", "mapped"),
            ("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/mapped"),
            ("vertex", "77"),
            ("databricks", "mapped"),
        ];
        let book = PriceBook::new("v".into(), names.map(|(provider, alias)| row(provider, alias)).to_vec());
        let arn = |kind: &str| format!("/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3A{kind}/converse");
        for (provider, path, holds, everywhere) in [
            ("azure", "/openai/deployments/prod/chat/completions".to_owned(), true, true),
            ("azure", "/openai/deployments/mapped/chat/completions".to_owned(), true, false),
            ("bedrock", arn("application-inference-profile%2Fabc"), true, true),
            ("bedrock", arn("application-inference-profile/abc"), true, true),
            ("bedrock", arn("application-inference-profile%2Fmapped"), true, false),
            ("bedrock", arn("prompt%2FP1%3A2"), true, true),
            ("bedrock", "/model/us.new.model-v1:0/converse".to_owned(), false, false),
            ("vertex", "/v1/projects/p/locations/l/endpoints/123:generateContent".to_owned(), true, true),
            ("vertex", "/v1/projects/p/locations/l/endpoints/77:generateContent".to_owned(), true, false),
            ("vertex", "/v1/publishers/x/models/new:generateContent".to_owned(), false, false),
            ("databricks", "/serving-endpoints/mine/invocations".to_owned(), true, true),
            ("databricks", "/serving-endpoints/mapped/invocations".to_owned(), true, false),
        ] {
            let mut call = call(&path, r#"{"inferenceConfig":{"maxTokens":5},"max_tokens":5}"#);
            call.target = Target::recognise(Some(provider), "", &path);
            let learned = Learned::default();
            let given = AdmissionInput { may_ask: true, ..allowing(&policy, &book, &learned) };
            let Admission::Hold(found) = call.admission(&given) else { panic!("{path}") };
            let named: Vec<&str> = found.iter().map(|hold| hold.touched.budget.name.as_str()).collect();
            assert_eq!(found[0].amount > Amount::ZERO, holds, "{path}");
            assert_eq!(named.contains(&"scoped"), everywhere, "{path}");
            assert_eq!(named.contains(&"other"), holds, "by its row, or as it may be any: {path}");
        }
    }

    #[test]
    fn what_cannot_be_metered_is_refused_unless_the_budget_says_otherwise() {
        for (more, path, body, expected) in [
            // A model in the body opens nothing.
            ("", "/v1/something", r#"{"model":"m"}"#, "not_metered"),
            ("", "/search", r#"{"query":"q","model":"m"}"#, "not_metered"),
            (
                "",
                "/agents/a/agentAliases/b/sessions/c/text",
                r#"{"inputText":"t","model":"m"}"#,
                "not_metered",
            ),
            ("", "/v1beta/models/m:generateVideos", r#"{"model":"m"}"#, "not_metered"),
            (r#","unmetered":"allow""#, "/v1/something", r#"{"model":"m"}"#, "b=0"),
            ("", "/v1/something", "{}", "not_metered"),
            ("", "/v1/something", "not json", "not_metered"),
            (r#","unmetered":"allow""#, "/v1/something", "{}", "b=0"),
            (r#","action":"warn""#, "/v1/something", "{}", "b=0"),
            (r#","scope":{"model":"gpt-5"}"#, "/v1/something", "{}", "not_metered"),
            (r#","scope":{"team":"growth"}"#, "/v1/something", "{}", ""),
            ("", "/v1/images/generations", "text", "unreadable_request"),
            ("", "/v1/audio/speech", "text", "unreadable_request"),
            ("", "/v1/rerank", "text", "unreadable_request"),
            ("", "/v1/videos", "{}", "deferred_not_allowed"),
            ("", "/V1/Batches;x", "{}", "deferred_not_allowed"),
            ("", "/v1/realtime/calls", "v=0", "deferred_not_allowed"),
            (r#","deferred":"allow""#, "/v1/videos", "{}", ""),
            ("", "/v1/files", "--x", ""),
        ] {
            let text = format!(r#"[{{"name":"b","limit_usd":"1","window":"day"{more}}}]"#);
            let policy = policy(serde_json::from_str(&text).unwrap());
            let found = admitted(&call(path, body), &policy, Unpriced::Allow, &Learned::default());
            let holds = expected.is_empty() || !found.is_empty();
            assert!(found.starts_with(expected) && holds, "{more} {path} {body}: {found}");
        }
    }

    /// What only reads, or ends what was started, starts nothing; and what writes is no fetch.
    #[test]
    fn reads_and_cancels_pass_and_what_writes_at_a_fetched_path_is_held() {
        let policy = policy(serde_json::json!([{"name": "b", "limit_usd": "1", "window": "day"}]));
        let found = |provider: &str, method: &str, path: &str, body: &str| {
            let mut target = Target::recognise(Some(provider), "", path);
            let reads = method == "GET" && body.is_empty();
            if !reads {
                target.writes(path);
            }
            let mut call = Call::begin("id".into(), 1_000, target, path);
            if reads {
                call.reads();
            }
            call.request().watch_bounds();
            call.request().feed(body.as_bytes());
            call.request_came();
            admitted(&call, &policy, Unpriced::Allow, &Learned::default())
        };
        for (provider, path) in [
            ("openai", "/v1/batches"),
            ("openai", "/v1/batches/b1"),
            ("openai", "/v1/vector_stores"),
            ("openai", "/v1/fine_tuning/jobs"),
            ("openai", "/v1/videos"),
            ("openai", "/v1/evals"),
            ("openai", "/v1/containers"),
            ("openai", "/v1/responses/r1"),
            ("anthropic", "/v1/messages/batches"),
            ("anthropic", "/v1/messages/batches/b1"),
            ("gemini", "/v1beta/batches"),
            ("gemini", "/v1beta/batches/b1"),
            ("gemini", "/v1beta/cachedContents"),
        ] {
            assert_eq!(found(provider, "GET", path, ""), "", "{provider} {path}");
        }
        // A cancel has an id, and asks for nothing else; what is stored has labels that may be changed.
        for (provider, path) in [
            ("openai", "/v1/batches/b1/cancel"),
            ("openai", "/v1/responses/r1/cancel"),
            ("openai", "/v1/responses/resp_68af/cancel"),
            ("openai", "/v1/fine_tuning/jobs/j/cancel"),
            ("openai", "/v1/threads/thread_1/runs/run_1/cancel"),
            ("openai", "/v1/chat/completions/chatcmpl-1"),
            ("anthropic", "/v1/messages/batches/b1/cancel"),
            ("gemini", "/v1beta/batches/b1:cancel"),
            ("gemini", "/v1beta/interactions/i1/cancel"),
        ] {
            for body in ["", "{}", " \n", r#"{"metadata":{"team":"a"}}"#] {
                assert_eq!(found(provider, "POST", path, body), "", "{provider} {path} {body}");
            }
        }
        for path in ["/v1/responses/r1/cancel", "/v1/batches/b1/cancel", "/v1/chat/completions/chatcmpl-1"] {
            for body in [
                r#"{"model":"m","messages":[]}"#,
                r#"{"messages":[{"role":"user","content":"hi"}]}"#,
                r#"{"input":"hi"}"#,
                r#"{"messages":[{"content":[{"type":"image_url"}]}]}"#,
                "not json",
            ] {
                assert_ne!(found("openai", "POST", path, body), "", "{path} {body}");
            }
        }
        for (provider, path, expected) in [
            ("openai", "/v1/batches/b1/cancel", "deferred_not_allowed"),
            ("openai", "/v1/responses/r1/cancel", "b="),
            ("openai", "/v1/responses/cancel", "b="),
            ("openai", "/v1/responses/%20/cancel", "b="),
            ("openai", "/v1/responses/%09/Cancel", "b="),
            ("openai", "/v1/responses/responses/cancel", "b="),
            ("openai", "/v1/chat/completions/%20", "b="),
            ("openai", "/v1/chat/completions/x", "b="),
            ("openai", "/v1/chat/completions/chatcmpl-1", "b="),
            ("openai", "/v1/chat/completions/cancel", "b="),
            ("openai", "/v1/Chat/Completions/%2e%2e%20", "b="),
            ("openai", "/v1/batches/%20/cancel", "deferred_not_allowed"),
            ("openai", "/v1/uploads", ""),
            ("openai", "/v1/uploads/u/parts", ""),
            ("openai", "/v1/uploads/u/complete", ""),
            ("openai", "/v1/batches", "deferred_not_allowed"),
            ("openai", "/v1/batches/cancel", "deferred_not_allowed"),
            ("openai", "/v1/fine_tuning/jobs/j/resume", "deferred_not_allowed"),
            ("openai", "/v1/responses/%20", "b="),
            ("openai", "/v1/responses/r1", "b="),
            ("gemini", "/v1beta/interactions/x{i}", "b="),
            ("gemini", "/v1beta/batches/b1", "deferred_not_allowed"),
            ("openai", "/v1/files/f/content", "not_metered"),
            ("openai", "/v1/conversations", "not_metered"),
            ("mistral", "/v1/conversations", "b="),
        ] {
            let found = found(provider, "POST", path, r#"{"model":"m","input":"hi"}"#);
            let holds = expected.is_empty() == found.is_empty();
            assert!(found.starts_with(expected) && holds, "{provider} {path}: {found}");
        }
    }

    #[test]
    fn a_refusal_names_its_budget_and_what_would_allow_the_call() {
        let policy = policy(serde_json::json!([
            {"name": "loose", "limit_usd": "1", "window": "day", "action": "warn"},
            {"name": "strict", "limit_usd": "1", "window": "day"}]));
        let book = book();
        for (path, body, reason, text) in [
            ("/v1/something", "{}", Reason::NotMetered, "unless it says `unmetered = \"allow\"`"),
            ("/v1/videos", "{}", Reason::DeferredNotAllowed, "unless it says `deferred = \"allow\"`"),
            ("/v1/responses", r#"{"background":true}"#, Reason::DeferredNotAllowed, "`deferred = \"allow\"`"),
            (CHAT, "text", Reason::UnreadableRequest, "is not JSON that can be read"),
            (CHAT, r#"{"model":"a","model":"b"}"#, Reason::AmbiguousRequest, "names `model` twice"),
        ] {
            let learned = Learned::default();
            let given = allowing(&policy, &book, &learned);
            let call = call(path, body);
            let Admission::Refuse(found, budget, said) = call.admission(&given) else { panic!("{path}") };
            assert_eq!((found, budget.as_deref()), (reason, Some("strict")), "{path}");
            assert!(said.contains(text) && said.contains("budget `strict`"), "{said}");
        }
    }

    #[test]
    fn the_dearest_model_that_may_answer_is_held() {
        let model = |id: &str, output: i128| {
            let rates = [(Kind::Input, Picodollars::ZERO), (Kind::Output, Picodollars::from_pico(output))];
            let price =
                Price { standard: Sheet { rates: Rates(rates.into()), tiers: vec![] }, ..Price::default() };
            PricedModel {
                provider: "openai".into(),
                id: id.into(),
                prices: vec![price],
                ..PricedModel::default()
            }
        };
        let book =
            PriceBook::new("v".into(), vec![model("cheap", 1), model("dear", 50), model("dearest", 900)]);
        let policy = policy(serde_json::json!([{"name": "b", "limit_usd": "1", "window": "day"}]));
        let learned = Learned::default();
        for (path, body, expected) in [
            (CHAT, r#"{"model":"cheap","max_tokens":2}"#, 2),
            (CHAT, r#"{"model":"cheap","models":["cheap","dear"],"max_tokens":2}"#, 100),
            (CHAT, r#"{"model":"cheap","fallbacks":[{"model":"dear"}],"max_tokens":2}"#, 100),
            (CHAT, r#"{"model":"cheap, dear","max_tokens":2}"#, 100),
            (CHAT, r#"{"max_tokens":2}"#, 1_800),
            (CHAT, r#"{"model":"","max_tokens":2}"#, 1_800),
            (CHAT, r#"{"model":"cheap","preset":"p","max_tokens":2}"#, 1_800),
            // A path wins, whatever the body names.
            ("/openai/deployments/dear/chat/completions", r#"{"model":"cheap","max_tokens":2}"#, 100),
            ("/openai/deployments/dear/chat/completions", r#"{"models":["dearest"],"max_tokens":2}"#, 100),
            (
                "/v1beta/models/dear:generateContent",
                r#"{"model":"cheap","generationConfig":{"maxOutputTokens":2}}"#,
                100,
            ),
            ("/model/dear/converse", r#"{"model":"cheap","inferenceConfig":{"maxTokens":2}}"#, 100),
        ] {
            let call = call(path, body);
            let given = allowing(&policy, &book, &learned);
            let Admission::Hold(holds) = call.admission(&given) else { panic!("{path} {body}") };
            assert_eq!(holds[0].amount, Amount(expected), "{path} {body}");
            let model = call.denied("g", 402, 9).head.request_model;
            let from_path = path.contains("dear").then_some("dear");
            assert!(from_path.is_none() || model.as_deref() == from_path, "{path}: {model:?}");
        }
    }

    #[test]
    fn only_a_limit_that_is_enforced_refuses_what_cannot_be_read() {
        let (book, learned, call) = (book(), Learned::default(), call(CHAT, "not JSON"));
        for (shadow, is_refused) in [(false, true), (true, false)] {
            let mut policy = policy(serde_json::json!([]));
            let limit = serde_json::json!({"name": "small", "max_input_tokens": 9, "shadow": shadow});
            policy.rules = serde_json::from_value(serde_json::json!({"limits": [limit]})).unwrap();
            let admission = call.admission(&allowing(&policy, &book, &learned));
            assert_eq!(matches!(admission, Admission::Refuse(..)), is_refused, "{admission:?}");
        }
    }

    /// A call is in the scope of each model that may answer it: with several named, or none.
    #[test]
    fn a_call_is_in_the_scope_of_every_model_that_may_answer() {
        let policy = policy(serde_json::json!([
            {"name": "dear", "scope": {"model": ["dear-row"]}, "limit_usd": "1", "window": "day"}]));
        let model = |id: &str, aliases: &[&str]| PricedModel {
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            id: id.into(),
            ..book().models()[0].clone()
        };
        let mut models = vec![model("cheap", &[]), model("dear-row", &["dear"])];
        let router = |provider: &str| {
            models
                .iter()
                .map(|row| PricedModel { provider: provider.into(), ..row.clone() })
                .collect::<Vec<_>>()
        };
        let more = router("openrouter");
        models.extend(more);
        let book = PriceBook::new("v".into(), models);
        for (provider, path, body, expected) in [
            ("openai", CHAT, r#"{"model":"cheap"}"#, false),
            ("openai", CHAT, r#"{"model":"dear"}"#, true),
            ("openai", CHAT, r#"{"model":"dear-row"}"#, true),
            ("openai", CHAT, r#"{"models":["cheap","dear"]}"#, true),
            ("openai", CHAT, r#"{"model":"cheap","models":["dear"]}"#, true),
            ("openai", CHAT, r#"{"model":"cheap","models":["cheap"]}"#, false),
            ("openai", CHAT, r#"{"model":"cheap","fallbacks":[{"model":"DEAR"}]}"#, true),
            ("openai", CHAT, r#"{"model":"cheap","fallbacks":"dear"}"#, true),
            ("openai", CHAT, r#"{"model":"cheap,dear"}"#, true),
            ("openai", CHAT, r#"{"model":"cheap","preset":"p"}"#, true),
            ("openai", CHAT, r#"{"messages":[]}"#, true),
            ("openrouter", CHAT, r#"{"model":"openrouter/auto"}"#, true),
            ("openrouter", CHAT, r#"{"model":"@preset/x"}"#, true),
            ("openrouter", CHAT, r#"{"model":"cheap"}"#, false),
            ("openai", "/openai/deployments/cheap/chat/completions", r#"{"models":["dear"]}"#, false),
        ] {
            let mut call = call(path, body);
            call.target = Target::recognise(Some(provider), "", path);
            let learned = Learned::default();
            let given = allowing(&policy, &book, &learned);
            let Admission::Hold(holds) = call.admission(&given) else { panic!("{body}") };
            assert_eq!(!holds.is_empty(), expected, "{provider} {path} {body}");
            // What is settled later is settled where it was held.
            let settled = policy.touched(&call.subject(), 5).count();
            assert_eq!(settled > 0, expected, "{provider} {path} {body}");
        }
    }

    #[test]
    fn a_model_without_a_price_follows_the_policy() {
        let policy = policy(serde_json::json!([{"name": "b", "limit_usd": "1", "window": "day"}]));
        let call = call(CHAT, r#"{"model":"new","max_tokens":1}"#);
        let ceiling = (i128::from(call.request.body_bytes()) + 1_024) * 10 + 100;
        for (unpriced, expected) in [
            (Unpriced::Allow, "b=0".to_owned()),
            (Unpriced::Ceiling, format!("b={ceiling}")),
            (Unpriced::Deny, "model_not_priced".to_owned()),
        ] {
            assert_eq!(admitted(&call, &policy, unpriced, &Learned::default()), expected);
        }
    }

    #[test]
    fn a_settled_call_is_charged_what_its_record_says() {
        let record = |cost_status, usage_estimated, status| UsageRecord {
            cost_usd: Picodollars::from_pico(30),
            cost_status,
            usage_estimated,
            status,
            usage: Usage { input_tokens: Some(3), output_tokens: Some(4), ..Usage::default() },
            ..UsageRecord::default()
        };
        let not_sent =
            UsageRecord { cost_status: CostStatus::Free, outcome: Outcome::Error, ..UsageRecord::default() };
        // What is kept above the record, on a budget that keeps the worst where nobody knows.
        for (name, record, dollars, tokens) in [
            ("measured", record(CostStatus::Measured, false, Some(200)), 0, 0),
            ("estimated", record(CostStatus::Estimated, true, Some(200)), 70, 93),
            ("a likely row", record(CostStatus::Estimated, false, Some(200)), 0, 0),
            ("unpriced", record(CostStatus::Unpriced, false, Some(200)), 70, 0),
            ("not sent", not_sent, 0, 0),
        ] {
            let reached = i128::from(record.status.is_some());
            for (unit, cost, kept) in
                [(Unit::Dollars, 30, dollars), (Unit::Tokens, 7, tokens), (Unit::Calls, 1, 0)]
            {
                let cost = Amount(cost * reached);
                let settlement = settled(&record, unit, Amount(100), OnUnknown::Record);
                assert_eq!((settlement.charge, settlement.kept), (cost, Amount::ZERO), "{name} {unit:?}");
                let settlement = settled(&record, unit, Amount(100), OnUnknown::Worst);
                let expected = (cost.plus(Amount(kept)), Amount(kept));
                assert_eq!((settlement.charge, settlement.kept), expected, "{name} {unit:?}");
            }
        }
    }
}

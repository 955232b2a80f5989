//! Budgets in one VM: what is admitted on which counters, the calls that wait for a collector's answer, and
//! what settled calls are charged.
//!
//! A call-out is made only where a counter has no room and a collector may have more: one at a time in a VM,
//! for all calls that wait. It is sent by the call that came first; should that leave, the root's tick sends
//! the next.

mod asking;
mod charging;
mod held;
mod reservations;
mod runs;
mod settling;
mod standing;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) use asking::reports;
pub(crate) use held::HeldOn;
use reservations::Reservations;
pub(crate) use settling::Ended;
use tollgate_core::budget::counter::Counter;
use tollgate_core::budget::policy::{Policy, PolicyBudget};
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::window::{Offset, Window};
use tollgate_core::budget::{Amount, Budget, OnOutage};
use tollgate_core::call::Call;
use tollgate_core::call::admission::{Admission, AdmissionInput, Cover, charged};
use tollgate_core::call::refusal::{Reason, short_of};
use tollgate_core::estimate::Learned;
use tollgate_core::lean::fnv::fnv;
use tollgate_core::price::{PriceBook, Wanted};
use tollgate_core::protocol::config::GatewayConfig;
use tollgate_core::record::{Note, UsageRecord};

use crate::host;
use crate::metrics::Metrics;
use crate::shared::counters::Counters;
use crate::shared::journal;
use crate::shared::lane::OwnLane;
use crate::shared::layout::{self, Link};
use crate::shared::runs::Counted;

/// What one VM knows of budgets.
#[derive(Debug)]
pub(crate) struct Budgets {
    /// The policy that holds; `None` until a collector has said what there is.
    policy: RefCell<Option<Rc<Policy>>>,
    edition: RefCell<Vec<u8>>,
    /// The policy stands in the plugin configuration: this Envoy is alone.
    alone: bool,
    denies_until_policy: bool,
    link: Cell<Link>,
    counters: RefCell<Counters>,
    /// Room for a counter's key, used again and again.
    key: RefCell<Vec<u8>>,
    reservations: RefCell<Reservations>,
    lane: Rc<OwnLane>,
    /// What calls that wait want of which counters, and prices.
    wanted: RefCell<BTreeMap<CounterKey, Amount>>,
    models: RefCell<Vec<Wanted>>,
}

/// A call that was admitted: what is held for it, and where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticket {
    /// What is held.
    pub held: Vec<HeldOn>,
    /// Of which of them how much of the answer is covered, where a budget ends streams.
    pub covers: Vec<(usize, Cover)>,
    /// Where it is counted with its run.
    pub counted: Counted,
    /// Text of `x-tollgate-warning`.
    pub warning: Option<String>,
    /// Version of the policy that admitted it.
    pub policy_version: String,
}

/// What becomes of a call.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It goes on.
    Go(Ticket),
    /// It is refused.
    Refuse(Refused),
    /// A collector must be asked first.
    Wait,
}

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    /// Why.
    pub reason: Reason,
    /// The budget.
    pub budget: Option<String>,
    /// Status that the budget names.
    pub status: Option<u16>,
    /// Text for the caller.
    pub message: String,
}

/// What the gateway knows besides when it decides.
#[derive(Clone, Copy)]
pub(crate) struct DecisionInput<'a> {
    /// Prices.
    pub book: Option<&'a PriceBook>,
    /// What measured calls have taught.
    pub learned: &'a Learned,
    /// Our clock.
    pub now_ms: u64,
    /// What the call has waited for.
    pub waited: Waited,
}

/// What a call that is decided about has waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Waited {
    /// It has only come, and may wait for a collector.
    No,
    /// A collector has answered since it began to wait; it may wait for another answer.
    Answered,
    /// No collector has answered in the time that it may wait.
    InVain,
    /// A collector has answered, or need not; it cannot wait any more.
    Enough,
}

impl Waited {
    /// The same, now that a collector has answered.
    pub(crate) const fn heard(self) -> Self {
        match self {
            Self::No | Self::Answered => Self::Answered,
            Self::InVain | Self::Enough => Self::Enough,
        }
    }

    /// The same, now that its time to wait is over.
    pub(crate) const fn over(self) -> Self {
        match self {
            Self::No | Self::InVain => Self::InVain,
            Self::Answered | Self::Enough => Self::Enough,
        }
    }

    /// Whether it may wait, or wait on.
    pub(crate) const fn may_wait(self) -> bool {
        matches!(self, Self::No | Self::Answered)
    }

    /// Whether no collector has answered.
    pub(crate) const fn is_unheard(self) -> bool {
        matches!(self, Self::No | Self::InVain)
    }
}

impl Ticket {
    /// The journal's entry of its call while that is under way, with what else is noted of it.
    pub(crate) fn entry(&self, call: &[u8]) -> Vec<u8> {
        journal::entry(self.held.iter().map(HeldOn::noted), call)
    }
}

impl Budgets {
    /// What a VM knows that has just started; its reservations are named in its lane.
    pub(crate) fn new(config: &GatewayConfig, lane: Rc<OwnLane>) -> Self {
        let alone = config.collector.is_none();
        let budgets = Self {
            policy: RefCell::new(None),
            edition: RefCell::default(),
            alone,
            denies_until_policy: config.denies_until_policy,
            link: Cell::default(),
            counters: RefCell::new(Counters::new(!alone)),
            key: RefCell::default(),
            reservations: RefCell::default(),
            lane,
            wanted: RefCell::default(),
            models: RefCell::default(),
        };
        if alone {
            budgets.set_own(config, host::now_ms());
        }
        budgets
    }

    /// The policy of the plugin configuration, with the windows that hold now.
    fn set_own(&self, config: &GatewayConfig, now_ms: u64) {
        let with_spans = |budget: &Budget| {
            let zone = Offset::parse(&budget.time_zone).unwrap_or_default();
            let now = budget.window.span(now_ms, &zone);
            let next = (budget.window != Window::Prepaid).then(|| budget.window.span(now.end_ms, &zone));
            PolicyBudget {
                budget: budget.clone(),
                generation: 1,
                spans: std::iter::once(now).chain(next).collect(),
                quarantine: false,
            }
        };
        self.set_policy(Policy {
            version: "configured".into(),
            budgets: config.budgets.iter().map(with_spans).collect(),
            unpriced: config.unpriced,
            ..Policy::default()
        });
    }

    fn set_policy(&self, policy: Policy) {
        *self.policy.borrow_mut() = Some(Rc::new(policy));
        self.reservations.borrow_mut().forget_recent();
    }

    /// Takes over what shared data has: another policy, the state of the way to the collector.
    pub(crate) fn refresh(&self, config: &GatewayConfig, now_ms: u64) {
        if self.alone {
            let policy = self.policy();
            let over = |entry: &PolicyBudget| entry.spans.first().is_some_and(|span| now_ms >= span.end_ms);
            if policy.is_some_and(|policy| policy.budgets.iter().any(over)) {
                self.set_own(config, now_ms);
            }
            return;
        }
        self.link.set(Link::load());
        let Ok((edition, _)) = host::shared(layout::POLICY_EDITION) else { return };
        if edition.is_empty() || *self.edition.borrow() == edition {
            return;
        }
        let Ok((json, _)) = host::shared(layout::POLICY) else { return };
        match serde_json::from_slice::<Policy>(&json) {
            Ok(policy) => {
                self.set_policy(policy);
                *self.edition.borrow_mut() = edition;
            }
            Err(error) => log::warn!("the policy in shared data cannot be read: {error}"),
        }
    }

    /// Loads the policy from shared data if this VM has none yet.
    pub(crate) fn ensure_policy(&self, config: &GatewayConfig, now_ms: u64) {
        if self.policy.borrow().is_none() {
            self.refresh(config, now_ms);
        }
    }

    /// The policy that holds.
    pub(crate) fn policy(&self) -> Option<Rc<Policy>> {
        self.policy.borrow().clone()
    }

    /// Whether no call is ever held or refused.
    pub(crate) fn is_idle(&self) -> bool {
        self.policy.borrow().as_ref().is_some_and(|policy| policy.is_idle())
    }

    /// Whether every sync has failed of late.
    pub(crate) fn is_away(&self) -> bool {
        self.link.get().away_since_ms > 0
    }

    /// A call-out has failed: until shared data says otherwise, the collector is away.
    pub(crate) fn lose_link(&self, now_ms: u64) {
        self.link.set(Link { away_since_ms: now_ms.max(1), ..self.link.get() });
    }

    /// Notes what budgets in dollars, where there are any budgets, are charged for a call whose price is not
    /// known here, or only likely. Alone nobody will ever know more: what has no price here has none.
    pub(crate) fn note_charged(&self, ticket: &Ticket, record: &mut UsageRecord) {
        if self.alone {
            record.notes.retain(|note| *note != Note::PriceAwaited);
            record.charged_usd = None;
        }
        let has_budgets = self.policy.borrow().as_ref().is_some_and(|policy| !policy.budgets.is_empty());
        let holds = ticket.held.iter().map(|held| (held.unit, held.amount, held.rule));
        record.charged_usd = if has_budgets { charged(record, holds) } else { None };
    }

    /// For how long nothing was acknowledged that this Envoy sent, by its own clock and counted from the
    /// sending. Alone it never waits for anything.
    fn silent_ms(&self, now_ms: u64) -> u64 {
        if self.alone { 0 } else { now_ms.saturating_sub(self.link.get().acknowledged_ms) }
    }

    /// What was sent at this time was acknowledged: grants may be used for a lease from then on.
    pub(crate) fn acknowledged(&self, sent_ms: u64) {
        let link = Link::load();
        if sent_ms > link.acknowledged_ms {
            let link = Link { acknowledged_ms: sent_ms, ..link };
            link.store();
            self.link.set(Link { away_since_ms: 0, ..link });
        }
    }

    /// The collector's clock.
    pub(crate) fn now(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.link.get().ahead_ms)
    }

    /// Decides about a call whose whole request is known, and charges what it holds.
    pub(crate) fn decide(&self, call: &Call, given: DecisionInput<'_>, metrics: &mut Metrics) -> Decision {
        let Some(policy) = self.policy() else {
            return self.without_policy(given);
        };
        if policy.is_idle() {
            return Decision::Go(Ticket::default());
        }
        let input = AdmissionInput {
            policy: &policy,
            book: given.book,
            unpriced: policy.unpriced,
            learned: given.learned,
            now_ms: self.now(given.now_ms),
            may_ask: !self.alone && given.waited.may_wait() && !self.is_away(),
        };
        match call.admission(&input) {
            Admission::Hold(holds) => self.charge_run(call, &policy, holds, given, metrics),
            Admission::Refuse(reason, budget, message) => {
                Decision::Refuse(Refused { reason, budget, status: None, message })
            }
            Admission::WantPrice(wanted) => {
                // No more of them than calls can wait.
                let mut models = self.models.borrow_mut();
                if !models.contains(&wanted) {
                    models.push(wanted);
                }
                Decision::Wait
            }
        }
    }

    /// The refusal of a call whose body has not come: by a rule about who calls, or by a budget that has
    /// nothing left, whatever the call may ask for.
    pub(crate) fn spent_already(&self, call: &Call, now_ms: u64) -> Option<Refused> {
        let policy = self.policy()?;
        if let Some((reason, message)) = call.refused_caller(&policy, self.now(now_ms)) {
            return Some(Refused { reason, budget: None, status: None, message });
        }
        call.surely_touched(&policy, self.now(now_ms)).into_iter().find_map(|touched| {
            let counter = self.counters.borrow_mut().get(&touched.key().to_bytes())?;
            let is_spent = counter.free() <= Amount::ZERO && !counter.may_clear(Amount(1));
            is_spent.then(|| refused(touched.budget, Some(&counter), Amount::ZERO, Reason::BudgetSpent))
        })
    }

    /// Whose call it is, for a fair part of the room where calls wait: the counters of enforced budgets that
    /// it touches. Values that never spent are one, as anybody may invent them.
    pub(crate) fn share(&self, call: &Call, now_ms: u64) -> u64 {
        let Some(policy) = self.policy() else { return 0 };
        let (mut key, mut all) = (Vec::new(), Vec::new());
        for touched in policy.touched(&call.subject(), self.now(now_ms)) {
            let budget = touched.budget;
            if !budget.is_enforced() {
                continue;
            }
            touched.write_key(&mut key);
            let has_spent = |counter: Counter| counter.spent() > Amount::ZERO || counter.in_flight > 0;
            let is_known =
                budget.each.is_none() || self.counters.borrow_mut().get(&key).is_some_and(has_spent);
            all.extend_from_slice(if is_known { &key } else { budget.name.as_bytes() });
        }
        fnv(&all)
    }

    /// A budget that may refuse this call, whatever stands in its body.
    pub(crate) fn enforcing(&self, call: &Call, now_ms: u64) -> Option<String> {
        let policy = self.policy()?;
        let touched = call.surely_touched(&policy, self.now(now_ms));
        touched.first().map(|touched| touched.budget.name.clone())
    }

    fn without_policy(&self, given: DecisionInput<'_>) -> Decision {
        if given.waited == Waited::No && !self.is_away() {
            return Decision::Wait;
        }
        if self.denies_until_policy {
            return Decision::Refuse(Refused {
                reason: Reason::CollectorAway,
                budget: None,
                status: None,
                message: "no budgets are known yet, and the collector cannot be reached".into(),
            });
        }
        Decision::Go(Ticket::default())
    }
}

/// The refusal of a call that is to hold so much.
fn refused(budget: &Budget, counter: Option<&Counter>, hold: Amount, reason: Reason) -> Refused {
    let (status, message) = short_of(budget, counter, hold, reason);
    Refused { reason, budget: Some(budget.name.clone()), status, message }
}

/// The refusal of a budget whose collector cannot be reached: since when, where what it granted may not be
/// used any more.
fn away(budget: &Budget, silent_ms: Option<u64>) -> Refused {
    let name = &budget.name;
    let message = match (silent_ms, budget.on_outage) {
        (Some(silent_ms), _) => format!(
            "Budget `{name}` has a lease of {} s on what its collector granted, and the collector was last heard {} s ago.",
            budget.lease_ms / 1_000,
            silent_ms / 1_000
        ),
        (None, OnOutage::Deny) => {
            format!("Budget `{name}` lets nothing through while its collector cannot be reached.")
        }
        (None, OnOutage::Lease | OnOutage::Allow) => {
            format!("Budget `{name}` has nothing left that was granted, and its collector cannot be reached.")
        }
    };
    Refused { reason: Reason::CollectorAway, budget: Some(budget.name.clone()), status: None, message }
}

#[cfg(test)]
mod tests;

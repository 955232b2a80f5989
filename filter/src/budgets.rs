//! Budgets in one VM: what is admitted on which counters, the calls that wait for a collector's answer, and what
//! settled calls are charged.
//!
//! A call-out is made only where a counter has no room and a collector may have more: one at a time in a VM, for all calls
//! that wait. It is sent by the call that came first; should that leave, the root's tick sends the next.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tollgate_core::budget::counter::{Counter, Enforce, Settlement};
use tollgate_core::budget::ledger::Want;
use tollgate_core::budget::policy::{OTHER, Policy, PolicyBudget, Short, Touched, VALUES_MAX, percent};
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::window::{Offset, Window};
use tollgate_core::budget::{Action, Amount, Budget, OnOutage, Unit};
use tollgate_core::call::Call;
use tollgate_core::call::admission::{Admission, Admitting, Cover, Hold, settled};
use tollgate_core::estimate::Learned;
use tollgate_core::gateway::GatewayConfig;
use tollgate_core::price::{PriceBook, Wanted};
use tollgate_core::record::UsageRecord;
use tollgate_core::refusal::Reason;
use tollgate_core::sync::{CounterGrant, CounterReport};

use crate::counters::{Counters, Failed, Missed};
use crate::host;
use crate::journal::{self, HeldOn};
use crate::lane::JournalSlot;
use crate::metrics::Metrics;
use crate::settling::{Due, Settling};
use crate::shared::{self, Link};

/// What one VM knows of budgets.
#[derive(Debug)]
pub struct Budgets {
    /// The policy that holds; `None` until a collector has said what there is.
    policy: RefCell<Option<Rc<Policy>>>,
    edition: RefCell<Vec<u8>>,
    /// The policy stands in the plugin configuration: this Envoy is alone.
    alone: bool,
    denies_until_policy: bool,
    link: Cell<Link>,
    counters: RefCell<Counters>,
    settling: RefCell<Settling>,
    /// What calls that wait want of which counters, and prices.
    wanted: RefCell<BTreeMap<CounterKey, Amount>>,
    models: RefCell<Vec<Wanted>>,
    /// Models that the collector has been asked for, and since when: one that has no price still has none.
    asked: RefCell<BTreeSet<Wanted>>,
    asked_since_ms: Cell<u64>,
}

/// A call that was admitted: what is held for it, and where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ticket {
    /// What is held.
    pub held: Vec<HeldOn>,
    /// Of which of them how much of the answer is covered, where a budget ends streams.
    pub covers: Vec<(usize, Cover)>,
    /// Text of `x-tollgate-warning`.
    pub warning: Option<String>,
    /// Version of the policy that admitted it.
    pub policy_version: String,
    /// A counter has little room left: what this call gives back is not to wait.
    pub tight: bool,
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Decision {
    /// It goes on.
    Go(Ticket),
    /// It is refused.
    Refuse(Refused),
    /// A collector must be asked first.
    Wait,
}

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
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
pub struct Knows<'a> {
    /// Prices.
    pub book: Option<&'a PriceBook>,
    /// What measured calls have taught.
    pub learned: &'a Learned,
    /// Our clock.
    pub now_ms: u64,
    /// A collector has answered since the call began to wait.
    pub answered: bool,
    /// It has waited long enough.
    pub expired: bool,
}

impl Budgets {
    /// What a VM knows that has just started.
    pub fn new(config: &GatewayConfig) -> Self {
        let alone = config.collector.is_none();
        let budgets = Self {
            policy: RefCell::new(None),
            edition: RefCell::default(),
            alone,
            denies_until_policy: config.denies_until_policy,
            link: Cell::default(),
            counters: RefCell::new(Counters::new(!alone)),
            settling: RefCell::default(),
            wanted: RefCell::default(),
            models: RefCell::default(),
            asked: RefCell::default(),
            asked_since_ms: Cell::default(),
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
            }
        };
        *self.policy.borrow_mut() = Some(Rc::new(Policy {
            version: "configured".into(),
            budgets: config.budgets.iter().map(with_spans).collect(),
            unpriced: config.unpriced,
            ..Policy::default()
        }));
    }

    /// Takes over what shared data has: another policy, the state of the way to the collector.
    pub fn refresh(&self, config: &GatewayConfig, now_ms: u64) {
        if self.alone {
            let policy = self.policy();
            let over = |entry: &PolicyBudget| entry.spans.first().is_some_and(|span| now_ms >= span.end_ms);
            if policy.is_some_and(|policy| policy.budgets.iter().any(over)) {
                self.set_own(config, now_ms);
            }
            return;
        }
        self.link.set(Link::load());
        let Ok((edition, _)) = host::shared(shared::POLICY_EDITION) else { return };
        if edition.is_empty() || *self.edition.borrow() == edition {
            return;
        }
        let Ok((json, _)) = host::shared(shared::POLICY) else { return };
        match serde_json::from_slice::<Policy>(&json) {
            Ok(policy) => {
                *self.policy.borrow_mut() = Some(Rc::new(policy));
                *self.edition.borrow_mut() = edition;
            }
            Err(error) => log::warn!("the policy in shared data cannot be read: {error}"),
        }
    }

    /// A call has come: where no policy is known here yet, shared data may have one.
    pub fn meet(&self, config: &GatewayConfig, now_ms: u64) {
        if self.policy.borrow().is_none() {
            self.refresh(config, now_ms);
        }
    }

    /// The policy that holds.
    pub fn policy(&self) -> Option<Rc<Policy>> {
        self.policy.borrow().clone()
    }

    /// Whether no call is ever held or refused.
    pub fn is_idle(&self) -> bool {
        self.policy.borrow().as_ref().is_some_and(|policy| policy.is_idle())
    }

    /// Whether every sync has failed of late.
    pub fn is_away(&self) -> bool {
        self.link.get().away_since_ms > 0
    }

    /// A call-out has failed: until shared data says otherwise, the collector is away.
    pub fn lose_link(&self, now_ms: u64) {
        self.link.set(Link { away_since_ms: now_ms.max(1), ..self.link.get() });
    }

    /// The collector's clock.
    pub fn now(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.link.get().ahead_ms)
    }

    /// Decides about a call whose whole request is known, and charges what it holds.
    pub fn decide(&self, call: &Call, knows: Knows<'_>, metrics: &mut Metrics) -> Decision {
        let Some(policy) = self.policy() else {
            return self.without_policy(knows);
        };
        if policy.is_idle() {
            return Decision::Go(Ticket::default());
        }
        let mut admitting = Admitting {
            policy: &policy,
            book: knows.book,
            unpriced: policy.unpriced,
            learned: knows.learned,
            now_ms: self.now(knows.now_ms),
            may_ask: !self.alone && !knows.expired && !self.is_away(),
        };
        let mut admission = call.admission(&admitting);
        if let Admission::WantPrice(wanted) = &admission
            && self.has_asked(wanted, knows.now_ms)
        {
            admitting.may_ask = false;
            admission = call.admission(&admitting);
        }
        match admission {
            Admission::Hold(holds) => self.charge_all(&policy, holds, knows, metrics),
            Admission::Refuse(reason, message) => {
                Decision::Refuse(Refused { reason, budget: None, status: None, message })
            }
            Admission::WantPrice(wanted) => {
                let mut models = self.models.borrow_mut();
                if models.len() < MODELS_MAX && !models.contains(&wanted) {
                    models.push(wanted);
                }
                Decision::Wait
            }
        }
    }

    /// Whether the collector was asked for this model lately.
    fn has_asked(&self, wanted: &Wanted, now_ms: u64) -> bool {
        let mut asked = self.asked.borrow_mut();
        if now_ms.saturating_sub(self.asked_since_ms.get()) >= ASKED_MS {
            asked.clear();
            self.asked_since_ms.set(now_ms);
        }
        asked.contains(wanted)
    }

    /// The collector has answered a question for these models: what it has of them is in the book.
    pub fn told(&self, models: Vec<Wanted>) {
        let mut asked = self.asked.borrow_mut();
        if asked.len() + models.len() > ASKED_MAX {
            asked.clear();
        }
        asked.extend(models);
    }

    /// The refusal of a call whose body has not come, by a budget that has nothing left, whatever the call may ask for.
    pub fn spent_already(&self, call: &Call, now_ms: u64) -> Option<Refused> {
        let policy = self.policy()?;
        call.surely_touched(&policy, self.now(now_ms)).into_iter().find_map(|touched| {
            let counter = self.counters.borrow_mut().get(&touched.key_bytes())?;
            let is_spent = counter.free() <= Amount::ZERO && !counter.may_clear(Amount(1));
            is_spent.then(|| refused(touched.budget, Some(&counter), Reason::BudgetSpent))
        })
    }

    fn without_policy(&self, knows: Knows<'_>) -> Decision {
        if !knows.answered && !knows.expired && !self.is_away() {
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

    /// Charges every counter, or none: what was charged before one that has no room is taken back, and all is tried
    /// once more.
    fn charge_all(
        &self,
        policy: &Policy,
        holds: Vec<Hold<'_>>,
        knows: Knows<'_>,
        metrics: &mut Metrics,
    ) -> Decision {
        let mut ticket = Ticket { policy_version: policy.version.clone(), ..Ticket::default() };
        for hold in &holds {
            let budget = hold.touched.budget;
            if budget.is_enforced() && self.is_away() && budget.on_outage == OnOutage::Deny {
                return Decision::Refuse(away(budget));
            }
        }
        let mut short = Vec::new();
        for _ in 0..2 {
            short = self.try_all(&holds, knows.now_ms, &mut ticket, metrics);
            if short.is_empty() {
                return Decision::Go(ticket);
            }
        }
        // All that it lacks is asked for at once.
        let mut decision = Decision::Wait;
        for (hold, counter) in short {
            if let refused @ Decision::Refuse(_) = self.short_of(hold, counter.as_deref(), knows) {
                decision = refused;
            }
        }
        decision
    }

    /// The holds that have no room, with their counters where those could be read. What was charged on others is then
    /// taken back.
    fn try_all<'h, 'p>(
        &self,
        holds: &'h [Hold<'p>],
        now_ms: u64,
        ticket: &mut Ticket,
        metrics: &mut Metrics,
    ) -> Vec<(&'h Hold<'p>, Option<Box<Counter>>)> {
        ticket.held.clear();
        ticket.covers.clear();
        ticket.warning = None;
        let mut short = Vec::new();
        for hold in holds {
            match self.charge_one(hold, now_ms, metrics) {
                Ok((held, counter)) => {
                    ticket.tight |= counter.free().0 / AMPLE < hold.amount.0;
                    self.warn(hold, &counter, ticket, metrics);
                    ticket.covers.extend(hold.cover.map(|cover| (ticket.held.len(), cover)));
                    ticket.held.push(held);
                }
                Err(counter) => short.push((hold, counter)),
            }
        }
        if !short.is_empty() {
            for HeldOn { key, slot, amount, .. } in ticket.held.drain(..) {
                self.settle_on(&key, slot, Settlement::rolled_back(amount));
            }
        }
        short
    }

    fn charge_one(
        &self,
        hold: &Hold<'_>,
        now_ms: u64,
        metrics: &mut Metrics,
    ) -> Result<(HeldOn, Counter), Option<Box<Counter>>> {
        let budget = hold.touched.budget;
        let enforced = budget.is_enforced() && !(self.is_away() && budget.on_outage == OnOutage::Allow);
        let enforce = if enforced { Enforce::Grant } else { Enforce::Nothing };
        let mut counters = self.counters.borrow_mut();
        let mut key = hold.touched.key_bytes();
        // Taken once, though the swap may be tried again.
        let mut due = None;
        let mut act = |counter: &mut Counter, slot: u64| {
            let due = due.get_or_insert_with(|| (slot, self.settling.borrow_mut().take(slot, &key)));
            if let (_, Some(settlement)) = due {
                counter.settle(*settlement);
            }
            self.admit(hold, enforce, counter)
        };
        let now = self.now(now_ms);
        let span = hold.touched.span;
        let new = (span, budget.limit);
        let has_room = |counters: &Counters| {
            budget.each.is_none() || counters.values_of(&budget.name, span) < VALUES_MAX
        };
        let mut done = counters.update(&key, new, now, has_room, &mut act);
        if let (Err(_), Some((slot, Some(settlement)))) = (&done, due) {
            self.settling.borrow_mut().keep(&key, slot, settlement);
        }
        if done.as_ref().is_err_and(|failed| *failed == Failed::Full) && budget.each.is_some() {
            key = CounterKey { value: OTHER.to_owned(), ..hold.touched.key() }.to_bytes();
            done = counters.update(&key, new, now, |_| true, |counter, _| self.admit(hold, enforce, counter));
        }
        match done {
            Ok(((Ok(()), counter), slot)) => {
                Ok((HeldOn { key, span, slot, unit: budget.unit, amount: hold.amount }, counter))
            }
            Ok(((Err(_), counter), _)) => Err(Some(Box::new(Counter { key, ..counter }))),
            Err(failed) => {
                let name = match failed {
                    Failed::Full => "tollgate_counters_full_total",
                    Failed::Busy => "tollgate_counters_busy_total",
                };
                metrics.count(name, 1);
                if enforced {
                    return Err(None);
                }
                // It goes on uncounted, which the metric says.
                let held = HeldOn { key, span, slot: 0, unit: budget.unit, amount: Amount::ZERO };
                Ok((held, Counter::default()))
            }
        }
    }

    /// Admits a call on one of its counters.
    fn admit(
        &self,
        hold: &Hold<'_>,
        enforce: Enforce,
        counter: &mut Counter,
    ) -> (Result<(), Amount>, Counter) {
        if self.alone {
            // What a collector would grant is all that there is.
            let limit = hold.touched.budget.limit;
            counter.granted = limit.plus(counter.returned);
            counter.limit = limit;
        }
        (counter.admit(hold.amount, enforce), counter.clone())
    }

    fn warn(&self, hold: &Hold<'_>, counter: &Counter, ticket: &mut Ticket, metrics: &mut Metrics) {
        let budget = hold.touched.budget;
        let spent = counter.used.plus(counter.elsewhere);
        let percent = percent(spent, budget.limit);
        let over = spent > budget.limit;
        if over && budget.action == Action::Shadow {
            metrics.count("tollgate_shadow_denied_total", 1);
            return;
        }
        let passed = budget.thresholds.iter().any(|threshold| percent >= *threshold);
        if budget.action != Action::Shadow && ticket.warning.is_none() && (passed || over) {
            ticket.warning = Some(format!("budget={}; percent={percent}", budget.name));
        }
    }

    /// What becomes of a call that has no room on a counter.
    fn short_of(&self, hold: &Hold<'_>, counter: Option<&Counter>, knows: Knows<'_>) -> Decision {
        let budget = hold.touched.budget;
        let Some(counter) = counter else {
            return Decision::Refuse(refused(budget, None, Reason::BudgetBusy));
        };
        let fits_once = hold.amount <= counter.limit.max(budget.limit);
        let may_ask = !self.alone && !self.is_away() && fits_once;
        if may_ask && !knows.expired && !counter.is_exhausted_for(hold.amount) {
            let key = hold.touched.key();
            let key = CounterKey { value: counter_value(counter, &key), ..key };
            let mut wanted = self.wanted.borrow_mut();
            let sum = wanted.entry(key).or_default();
            *sum = sum.plus(hold.amount);
            return Decision::Wait;
        }
        if !self.alone && self.is_away() && counter.may_clear(hold.amount) {
            return Decision::Refuse(away(budget));
        }
        let reason = if counter.may_clear(hold.amount) { Reason::BudgetBusy } else { Reason::BudgetSpent };
        Decision::Refuse(refused(budget, Some(counter), reason))
    }

    /// Counts a refusal on the counter that refused.
    pub fn note_refusal(&self, call: &Call, refused: &Refused, now_ms: u64) {
        let (Some(policy), Some(name)) = (self.policy(), &refused.budget) else { return };
        let now = self.now(now_ms);
        let touched =
            policy.touched(&call.subject(), call.is_trusted(), now).find(|one| &one.budget.name == name);
        let Some(key) = touched.as_ref().map(Touched::key) else { return };
        let other = CounterKey { value: OTHER.to_owned(), ..key.clone() };
        let mut counters = self.counters.borrow_mut();
        let mut deny = |key: &CounterKey| {
            counters.update_known(&key.to_bytes(), None, |counter| counter.denied += 1) != Err(Missed::Gone)
        };
        // A value without a counter of its own was refused on the one that the rest shares.
        if !deny(&key) {
            deny(&other);
        }
    }

    /// Holds more for an answer that is longer than what is held for it; the refusal of the first budget that has nothing
    /// left for it.
    pub fn cover(&self, ticket: &mut Ticket, output_tokens: u64) -> Option<Refused> {
        let policy = self.policy()?;
        for (index, cover) in &mut ticket.covers {
            if output_tokens <= cover.output_tokens {
                continue;
            }
            let Some(held) = ticket.held.get_mut(*index) else { continue };
            let key = CounterKey::from_bytes(&held.key, held.span);
            let Some(budget) = key.and_then(|key| policy.budget(&key.budget)) else { continue };
            let tokens = (output_tokens - cover.output_tokens).max(COVER_TOKENS);
            let more = Amount(cover.per_token.0.saturating_mul(i128::from(tokens)));
            let enforce = if budget.is_enforced() { Enforce::Grant } else { Enforce::Nothing };
            let extended = self.counters.borrow_mut().update_known(&held.key, Some(held.slot), |counter| {
                (counter.extend(more, enforce), counter.clone())
            });
            match extended {
                Ok((true, _)) => {
                    held.amount = held.amount.plus(more);
                    cover.output_tokens = cover.output_tokens.saturating_add(tokens);
                }
                Ok((false, counter)) => {
                    return Some(refused(budget, Some(&counter), Reason::BudgetSpent));
                }
                Err(_) => {}
            }
        }
        None
    }

    /// A call has ended: what it cost takes the place of what was held for it, soon. One that has no record of its own
    /// cost nothing that others have not. Gives what its journal entry is to say until then.
    pub fn settle(&self, ticket: &Ticket, record: Option<&UsageRecord>) -> Vec<u8> {
        let mut settling = self.settling.borrow_mut();
        let settlement = |held: &HeldOn| match record {
            Some(record) => settled(record, held.unit, held.amount),
            None => Settlement { hold: held.amount, calls: 1, ..Settlement::default() },
        };
        for held in &ticket.held {
            settling.keep(&held.key, held.slot, settlement(held));
        }
        journal::ended(&ticket.held, settlement)
    }

    /// The entry of a call whose settlements wait stands here.
    pub fn keep_entry(&self, slot: JournalSlot) {
        self.settling.borrow_mut().keep_entry(slot);
    }

    /// Entries that are to be taken out of the journal now, before anything is settled.
    pub fn take_entries(&self) -> Vec<JournalSlot> {
        self.settling.borrow_mut().take_entries()
    }

    /// Settles what waits.
    pub fn settle_due(&self) {
        let all = self.settling.borrow_mut().take_all();
        for (slot, Due { key, settlement }) in all {
            self.settle_on(&key, slot, settlement);
        }
    }

    /// Settles on one counter; where others change it again and again, with the next tick.
    fn settle_on(&self, key: &[u8], slot: u64, settlement: Settlement) {
        let settled =
            self.counters.borrow_mut().update_known(key, Some(slot), |counter| counter.settle(settlement));
        if settled == Err(Missed::Busy) {
            self.settling.borrow_mut().keep(key, slot, settlement);
        }
    }

    /// Charges what was not held: a turn of a session, or the result of work that was begun earlier.
    pub fn charge(&self, call: &Call, record: &UsageRecord, now_ms: u64) {
        let Some(policy) = self.policy().filter(|policy| !policy.budgets.is_empty()) else { return };
        let now = self.now(now_ms);
        for touched in policy.touched(&call.subject(), call.is_trusted(), now) {
            let unit = touched.budget.unit;
            if unit == Unit::Calls && call.target().fetches.is_some() {
                // The call that began it was counted.
                continue;
            }
            let charge = settled(record, unit, Amount::ZERO).charge;
            let charged = |counter: &mut Counter, _| counter.charge(charge);
            let new = (touched.span, touched.budget.limit);
            let own = touched.key();
            let other = CounterKey { value: OTHER.to_owned(), ..own.clone() };
            for key in [own, other] {
                let done = self.counters.borrow_mut().update(&key.to_bytes(), new, now, |_| true, charged);
                if done.err() != Some(Failed::Full) || touched.budget.each.is_none() {
                    break;
                }
            }
        }
    }

    /// Settles what a dead VM has left in its journal.
    pub fn recover(&self, held: &HeldOn, settlement: Settlement) {
        self.settle_on(&held.key, held.slot, settlement);
    }

    /// Every call that waits is about to be decided on once more, and says again what it wants.
    pub fn forget_wanted(&self) {
        self.wanted.borrow_mut().clear();
        self.models.borrow_mut().clear();
    }

    /// Whether something is to be put to the collector.
    pub fn wants(&self) -> bool {
        self.wants_besides(&[])
    }

    /// Whether something is to be put to the collector that is not among these.
    pub fn wants_besides(&self, asked: &[CounterReport]) -> bool {
        let is_asked = |key: &CounterKey| asked.iter().any(|report| report.key == *key);
        !self.models.borrow().is_empty() || !self.wanted.borrow().keys().all(is_asked)
    }

    /// What calls that wait want, to be put to the collector; nothing is left of it here.
    pub fn take_wanted(&self) -> (Vec<CounterReport>, Vec<Wanted>) {
        let wanted = std::mem::take(&mut *self.wanted.borrow_mut());
        let mut counters = self.counters.borrow_mut();
        let reports = wanted
            .into_iter()
            .filter_map(|(key, want)| {
                Some(CounterReport { report: counters.get(&key.to_bytes())?.report(want), key })
            })
            .collect();
        (reports, std::mem::take(&mut *self.models.borrow_mut()))
    }

    /// Takes in what the collector says of counters. True where something was given back, which others wait for.
    pub fn granted(&self, grants: &[CounterGrant], wants: &[CounterReport]) -> bool {
        let mut counters = self.counters.borrow_mut();
        let mut gave_back = false;
        for CounterGrant { key, grant } in grants {
            let wanted = wants.iter().find(|report| report.key == *key).map(|report| report.report.want);
            let gave = counters.update_known(&key.to_bytes(), None, |counter| {
                let before = counter.returned;
                counter.merge(grant);
                if let (Want::Exhausted, Some(want)) =
                    (grant.want, wanted.filter(|want| *want > Amount::ZERO))
                {
                    counter.exhaust(want.min(counter.free().or_nothing().plus(Amount(1))));
                }
                counter.returned > before.max(grant.returned)
            });
            gave_back |= gave == Ok(true);
        }
        gave_back
    }
}

/// The value under which the counter stands, which is another where a table is full.
fn counter_value(counter: &Counter, key: &CounterKey) -> String {
    CounterKey::from_bytes(&counter.key, counter.span).map_or_else(|| key.value.clone(), |found| found.value)
}

/// Every counter that the collector should hear of: those that changed since it last did, and with `all` the others of
/// windows that are not over.
pub fn reports(now_ms: u64, all: bool) -> Vec<CounterReport> {
    let due = |counter: &Counter| {
        let changed = counter.version != counter.acknowledged || counter.exhausted_from > Amount::ZERO;
        // What is free in a window that is over is asked back.
        let is_over = counter.span.end_ms <= now_ms;
        changed || (all && !is_over) || (is_over && counter.free() > Amount::ZERO)
    };
    Counters::all()
        .filter(due)
        .take(REPORTS_MAX)
        .filter_map(|counter| {
            let key = CounterKey::from_bytes(&counter.key, counter.span)?;
            Some(CounterReport { report: counter.report(counter.exhausted_from), key })
        })
        .collect()
}

fn refused(budget: &Budget, counter: Option<&Counter>, reason: Reason) -> Refused {
    let limit = counter.map_or(budget.limit, |counter| counter.limit);
    let short = Short {
        budget: budget.name.clone(),
        limit: budget.unit.show(limit),
        spent: counter.map_or_else(|| "an unknown part".into(), |counter| budget.unit.show(counter.spent())),
        reset_ms: counter.map(|counter| counter.span.end_ms).filter(|end| *end < u64::MAX),
    };
    Refused {
        reason,
        budget: Some(budget.name.clone()),
        status: budget.status.filter(|_| reason == Reason::BudgetSpent),
        message: short.message(budget.message.as_deref(), reason == Reason::BudgetBusy),
    }
}

fn away(budget: &Budget) -> Refused {
    Refused {
        reason: Reason::CollectorAway,
        budget: Some(budget.name.clone()),
        status: None,
        message: format!(
            "Budget `{}` has nothing left that was granted, and its collector cannot be reached.",
            budget.name
        ),
    }
}

const MODELS_MAX: usize = 64;
/// Models that are remembered as asked for, and how long: one that gets its price meanwhile has it then.
const ASKED_MAX: usize = 1_024;
const ASKED_MS: u64 = 60_000;
/// A counter has ample room where it could take so many more calls like the one just admitted.
const AMPLE: i128 = 256;
/// Output tokens that are held for at a time, where an answer goes on beyond what is held.
const COVER_TOKENS: u64 = 256;
const REPORTS_MAX: usize = 2_000;

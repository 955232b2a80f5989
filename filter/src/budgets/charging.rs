//! A call's holds: charged on all of its counters or on none, extended while its answer runs.

use std::rc::Rc;

use tollgate_core::budget::counter::{Counter, Enforce, Settlement};
use tollgate_core::budget::policy::{OTHER, Policy, Touched, has_passed, percent};
use tollgate_core::budget::reservation::Reservation;
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::{Action, Amount, OnOutage};
use tollgate_core::call::Call;
use tollgate_core::call::admission::Hold;
use tollgate_core::call::refusal::Reason;

use super::reservations::Standing;
use super::{Budgets, Decision, DecisionInput, HeldOn, Refused, Ticket, Waited, away, refused};
use crate::metrics::Metrics;
use crate::shared::counters::{Failed, Missed, Slot};
use crate::shared::layout;

impl Budgets {
    /// Charges every counter, or none: in reservations that are open, or else on the counters themselves.
    /// There, what was charged before one that has no room is taken back, and all is tried once more.
    pub(super) fn charge_all(
        &self,
        policy: &Policy,
        holds: Vec<Hold<'_>>,
        given: DecisionInput<'_>,
        metrics: &mut Metrics,
    ) -> Decision {
        let mut ticket = Ticket { policy_version: policy.version.clone(), ..Ticket::default() };
        let silent_ms = self.silent_ms(given.now_ms);
        for hold in &holds {
            let budget = hold.touched.budget;
            if !budget.is_enforced() || budget.on_outage == OnOutage::Allow {
                continue;
            }
            if self.is_away() && budget.on_outage == OnOutage::Deny {
                return Decision::Refuse(away(budget, None));
            }
            if silent_ms > budget.lease_ms {
                return match given.waited.may_wait() && !self.is_away() {
                    // One that was asleep asks first.
                    true => self.ask_for_lease(hold),
                    false => Decision::Refuse(away(budget, Some(silent_ms))),
                };
            }
        }
        if self.admit_in_reservations(&holds, given.now_ms, &mut ticket, metrics) {
            return Decision::Go(ticket);
        }
        let mut short = Vec::new();
        for _ in 0..2 {
            short = self.try_all(&holds, given.now_ms, &mut ticket, metrics);
            if short.is_empty() {
                return Decision::Go(ticket);
            }
        }
        // All that it lacks is asked for at once.
        let mut decision = Decision::Wait;
        for (hold, counter) in short {
            if let refused @ Decision::Refuse(_) = self.short_of(hold, counter.as_deref(), given) {
                decision = refused;
            }
        }
        decision
    }

    /// Admits a call in open reservations, where all of its counters have one in which it fits.
    fn admit_in_reservations(
        &self,
        holds: &[Hold<'_>],
        now_ms: u64,
        ticket: &mut Ticket,
        metrics: &mut Metrics,
    ) -> bool {
        let mut reservations = self.reservations.borrow_mut();
        if !reservations.may_admit(&self.lane, self.alone, now_ms) {
            return false;
        }
        let mut key = self.key.borrow_mut();
        ticket.held.reserve_exact(holds.len());
        for hold in holds {
            let Some(reservation) =
                reservations.on(&hold.touched, &mut key).filter(|reservation| reservation.fits(hold.amount))
            else {
                ticket.held.clear();
                return false;
            };
            let (key, reserved_from) = (Rc::clone(&reservation.key), Some((reservation, hold.amount)));
            let (span, budget) = (hold.touched.span, hold.touched.budget);
            ticket.held.push(HeldOn::under_way(key, span, budget, hold.amount, reserved_from));
        }
        for (index, hold) in holds.iter().enumerate() {
            let Some((reservation, _)) = ticket.held.get(index).and_then(|held| held.reserved_from.as_ref())
            else {
                continue;
            };
            if let Some(standing) = reservation.admit(hold.amount) {
                self.warn(hold, standing, ticket, metrics);
            }
            ticket.covers.extend(hold.cover.as_deref().map(|cover| (index, *cover)));
        }
        true
    }

    /// The holds that have no room, with their counters where those could be read. What was charged on others
    /// is then taken back.
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
                Ok((held, standing)) => {
                    self.warn(hold, standing, ticket, metrics);
                    ticket.covers.extend(hold.cover.as_deref().map(|cover| (ticket.held.len(), *cover)));
                    ticket.held.push(held);
                }
                Err(counter) => short.push((hold, counter)),
            }
        }
        if !short.is_empty() {
            for HeldOn { key, amount, reserved_from, .. } in ticket.held.drain(..) {
                match reserved_from {
                    Some((reservation, amount)) => reservation.readmit(amount),
                    None => self.settle_on(&key, Settlement::rolled_back(amount)),
                }
            }
        }
        short
    }

    fn charge_one(
        &self,
        hold: &Hold<'_>,
        now_ms: u64,
        metrics: &mut Metrics,
    ) -> Result<(HeldOn, Standing), Option<Box<Counter>>> {
        let mut key = self.key.take();
        hold.touched.write_key(&mut key);
        let charged = self.charge_on(&key, hold, now_ms, metrics);
        self.key.replace(key);
        charged
    }

    // Long: one swap of a counter and everything that its outcome decides; it is to be cut in four.
    fn charge_on(
        &self,
        key: &[u8],
        hold: &Hold<'_>,
        now_ms: u64,
        metrics: &mut Metrics,
    ) -> Result<(HeldOn, Standing), Option<Box<Counter>>> {
        let budget = hold.touched.budget;
        let enforced = budget.is_enforced() && !(self.is_away() && budget.on_outage == OnOutage::Allow);
        let enforce = if enforced { Enforce::Grant } else { Enforce::Nothing };
        let (mut counters, mut reservations) = (self.counters.borrow_mut(), self.reservations.borrow_mut());
        // Taken once, though the swap may be tried again.
        let due = reservations.close(key, &self.lane, now_ms);
        let reservation_slot = reservations.claim_slot(&self.lane, self.alone, now_ms);
        let mut act = |counter: &mut Counter, slot: &Rc<Slot>| {
            if let Some((_, settlement)) = &due {
                counter.settle(*settlement);
            }
            let standing = self.admit(hold, enforce, counter, slot)?;
            let may_open = reservation_slot.is_some() && reservations.at(&slot.key).is_none();
            Ok((
                standing,
                if may_open { Reservation::claim(counter, hold.amount) } else { Reservation::default() },
            ))
        };
        let now = self.now(now_ms);
        let span = hold.touched.span;
        let new = (span, budget.limit);
        let mut done = counters.update(key, new, now, &mut act);
        if let (Err(_), Some((key, settlement))) = (&done, &due) {
            reservations.keep_late(key, *settlement);
        }
        if done.as_ref().is_err_and(|failed| *failed == Failed::Full) && budget.each.is_some() {
            let other = CounterKey { value: OTHER.to_owned(), ..hold.touched.key() }.to_bytes();
            let mut admit = |counter: &mut Counter, slot: &Rc<Slot>| {
                Ok((self.admit(hold, enforce, counter, slot)?, Reservation::default()))
            };
            done = counters.update(&other, new, now, &mut admit);
            metrics.count("tollgate_values_shared_total", 1);
            let _ = layout::add(layout::VALUES_SHARED, 1);
        }
        let reserved_from = reservation_slot.and_then(|reservation_slot| match &done {
            Ok((Ok((standing, left)), slot)) if left.calls > 0 => {
                let counter = (&slot.key, budget, *standing);
                reservations.open(counter, reservation_slot, (hold.amount, *left), &self.lane, now_ms)
            }
            _ => {
                reservations.release_slot(reservation_slot, &self.lane, now_ms);
                None
            }
        });
        match done {
            Ok((Ok((standing, _)), slot)) => {
                let key = Rc::clone(&slot.key);
                Ok((HeldOn::under_way(key, span, budget, hold.amount, reserved_from), standing))
            }
            Ok((Err(counter), _)) => Err(Some(counter)),
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
                let held = HeldOn::under_way(key.into(), span, budget, Amount::ZERO, None);
                Ok((held, Standing { used: Amount::ZERO, limit: budget.limit }))
            }
        }
    }

    /// Admits a call on one of its counters: how far that is used then; the counter where it has no room.
    fn admit(
        &self,
        hold: &Hold<'_>,
        enforce: Enforce,
        counter: &mut Counter,
        slot: &Slot,
    ) -> Result<Standing, Box<Counter>> {
        if self.alone {
            // What a collector would grant is all that there is.
            let limit = hold.touched.budget.limit;
            counter.granted = limit.plus(counter.returned);
            counter.limit = limit;
        }
        match counter.admit(hold.amount, enforce) {
            Ok(()) => Ok(Standing { used: counter.used.plus(counter.elsewhere), limit: counter.limit }),
            Err(_) => Err(Box::new(Counter { key: slot.key.to_vec(), ..counter.clone() })),
        }
    }

    fn warn(&self, hold: &Hold<'_>, standing: Standing, ticket: &mut Ticket, metrics: &mut Metrics) {
        let (budget, Standing { used, limit }) = (hold.touched.budget, standing);
        let over = used > limit;
        if budget.action == Action::Shadow {
            if over {
                metrics.count("tollgate_shadow_denied_total", 1);
            }
            return;
        }
        let passed = || budget.thresholds.iter().any(|threshold| has_passed(used, limit, *threshold));
        if ticket.warning.is_none() && (over || passed()) {
            let percent = percent(used, limit);
            ticket.warning = Some(format!("budget={}; percent={percent}", budget.name));
        }
    }

    /// The lease of this call's grants has ended: it waits until the collector has been heard of.
    fn ask_for_lease(&self, hold: &Hold<'_>) -> Decision {
        self.wanted.borrow_mut().entry(hold.touched.key()).or_default();
        Decision::Wait
    }

    /// What becomes of a call that has no room on a counter.
    fn short_of(&self, hold: &Hold<'_>, counter: Option<&Counter>, given: DecisionInput<'_>) -> Decision {
        let budget = hold.touched.budget;
        let Some(counter) = counter else {
            return Decision::Refuse(refused(budget, None, hold.amount, Reason::BudgetBusy));
        };
        let fits_once = hold.amount <= counter.limit.max(budget.limit);
        let may_ask = !self.alone && !self.is_away() && fits_once;
        let is_spent = counter.spent().plus(hold.amount) > counter.limit.max(budget.limit);
        if may_ask && is_spent && given.waited.is_unheard() {
            // Nothing that ends gives it room. The collector is asked with each tick whether its limit is
            // another.
            let exhaust = |counter: &mut Counter| counter.exhaust(hold.amount);
            let _ = self.counters.borrow_mut().update_known(&counter.key, exhaust);
        } else if may_ask && given.waited.may_wait() && !counter.is_exhausted_for(hold.amount) {
            let key = hold.touched.key();
            let key = CounterKey { value: counter_value(counter, &key), ..key };
            let mut wanted = self.wanted.borrow_mut();
            let sum = wanted.entry(key).or_default();
            *sum = sum.plus(hold.amount);
            return Decision::Wait;
        }
        let is_unheard = self.is_away() || given.waited == Waited::InVain;
        if !self.alone && is_unheard && counter.may_clear(hold.amount) {
            return Decision::Refuse(away(budget, None));
        }
        let reason = if counter.may_clear(hold.amount) { Reason::BudgetBusy } else { Reason::BudgetSpent };
        Decision::Refuse(refused(budget, Some(counter), hold.amount, reason))
    }

    /// Counts a refusal on the counter that refused, where what is left of its budget does not suffice: that
    /// reaches the budget. One for another reason, such as a collector that is away, says nothing of it, and
    /// counts by its reason alone.
    pub(crate) fn note_refusal(&self, call: &Call, refused: &Refused, now_ms: u64) {
        if refused.reason != Reason::BudgetSpent {
            return;
        }
        let (Some(policy), Some(name)) = (self.policy(), &refused.budget) else { return };
        let now = self.now(now_ms);
        let touched = policy.touched(&call.subject(), now).find(|one| &one.budget.name == name);
        let Some(key) = touched.as_ref().map(Touched::key) else { return };
        let other = CounterKey { value: OTHER.to_owned(), ..key.clone() };
        let mut counters = self.counters.borrow_mut();
        let mut deny = |key: &CounterKey| {
            counters.update_known(&key.to_bytes(), |counter| counter.denied += 1) != Err(Missed::Gone)
        };
        // A value without a counter of its own was refused on the one that the rest shares.
        if !deny(&key) {
            deny(&other);
        }
    }

    /// Holds more for an answer that is longer than what is held for it; the refusal of the first budget that
    /// has nothing left for it.
    pub(crate) fn cover(&self, ticket: &mut Ticket, output_tokens: u64) -> Option<Refused> {
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
            let extended = self
                .counters
                .borrow_mut()
                .update_known(&held.key, |counter| (counter.extend(more, enforce), counter.clone()));
            match extended {
                Ok((true, _)) => {
                    held.amount = held.amount.plus(more);
                    cover.output_tokens = cover.output_tokens.saturating_add(tokens);
                }
                Ok((false, counter)) => {
                    return Some(refused(budget, Some(&counter), Amount::ZERO, Reason::BudgetSpent));
                }
                Err(_) => {}
            }
        }
        None
    }
}

/// The value under which the counter stands, which is another where a table is full.
fn counter_value(counter: &Counter, key: &CounterKey) -> String {
    CounterKey::from_bytes(&counter.key, counter.span).map_or_else(|| key.value.clone(), |found| found.value)
}

/// Output tokens that are held for at a time, where an answer goes on beyond what is held.
const COVER_TOKENS: u64 = 256;

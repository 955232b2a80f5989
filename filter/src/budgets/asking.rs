//! What is put to a collector: counters that changed, what calls that wait want of them, models without a
//! price; and what it answers.

use std::rc::Rc;

use tollgate_core::budget::Amount;
use tollgate_core::budget::counter::Counter;
use tollgate_core::budget::ledger::{Report, Want};
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::call::Call;
use tollgate_core::price::Wanted;
use tollgate_core::protocol::sync::{CounterGrant, CounterReport};

use super::Budgets;
use crate::shared::counters::{OccupiedSlots, Slot, Standing};

impl Budgets {
    /// Every call that waits is about to be decided on once more, and says again what it wants.
    pub(crate) fn forget_wanted(&self) {
        self.wanted.borrow_mut().clear();
        self.models.borrow_mut().clear();
    }

    /// Whether something is to be put to the collector.
    pub(crate) fn wants(&self) -> bool {
        self.wants_besides(&[], &[])
    }

    /// Whether something is to be put to the collector that is not among these.
    pub(crate) fn wants_besides(&self, counters: &[CounterReport], models: &[Wanted]) -> bool {
        let is_asked = |key: &CounterKey| counters.iter().any(|report| report.key == *key);
        !self.models.borrow().iter().all(|wanted| models.contains(wanted))
            || !self.wanted.borrow().keys().all(is_asked)
    }

    /// What calls that wait want, to be put to the collector; nothing is left of it here.
    pub(crate) fn take_wanted(&self) -> (Vec<CounterReport>, Vec<Wanted>) {
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

    /// Wants a part of each budget of which nothing is here yet for a call whose body is still to come; says
    /// whether there is one.
    pub(crate) fn want_ahead(&self, call: &Call, now_ms: u64) -> bool {
        let Some(policy) = self.policy().filter(|_| !self.alone && !self.is_away()) else { return false };
        let now = self.now(now_ms);
        let mut wants = false;
        for touched in call.surely_touched(&policy, now) {
            let key = touched.key();
            let bytes = key.to_bytes();
            let new = (touched.span, touched.budget.limit);
            let is_empty = |counter: &mut Counter, _: &Rc<Slot>| {
                counter.free() <= Amount::ZERO && !counter.is_exhausted_for(Amount(1))
            };
            let found = self.counters.borrow_mut().update(&bytes, new, now, &mut { is_empty });
            let is_reserved = self.reservations.borrow().at(&bytes).is_some();
            if matches!(found, Ok((true, _))) && !is_reserved {
                let part = Amount((touched.budget.limit.0 / PART_AHEAD).max(1));
                let mut wanted = self.wanted.borrow_mut();
                let sum = wanted.entry(key).or_default();
                *sum = part.max(*sum);
                wants = true;
            }
        }
        wants
    }

    /// Takes in what the collector says of counters. True where something was given back, which others wait
    /// for.
    pub(crate) fn granted(&self, grants: &[CounterGrant], wants: &[CounterReport]) -> bool {
        let mut counters = self.counters.borrow_mut();
        let mut gave_back = false;
        for CounterGrant { key, grant } in grants {
            let wanted = wants.iter().find(|report| report.key == *key).map(|report| report.report.want);
            let gave = counters.update_known(&key.to_bytes(), |counter| {
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

/// What is wanted ahead is this part of a budget's limit: what is not used is given back within seconds.
const PART_AHEAD: i128 = 4;

/// Every counter that the collector should hear of: those that changed since it last did, and with `all` the
/// others of windows that are not over. What an idle one has free above what a few of its calls would hold is
/// given back first.
pub(crate) fn reports(slots: &mut OccupiedSlots, now_ms: u64, all: bool) -> Vec<CounterReport> {
    let due = |counter: &Counter, gave_back: bool| {
        let changed = counter.version != counter.acknowledged || counter.exhausted_from > Amount::ZERO;
        // What is free in a window that is over is asked back.
        let is_over = counter.span.end_ms <= now_ms;
        gave_back || changed || (all && !is_over) || (is_over && counter.free() > Amount::ZERO)
    };
    let mut reports = Vec::new();
    for Standing { counter, is_idle, gave_back } in slots.counters(now_ms) {
        if reports.len() < REPORTS_MAX
            && due(&counter, gave_back)
            && let Some(key) = CounterKey::from_bytes(&counter.key, counter.span)
        {
            let mut report = Report { idle: is_idle, ..counter.report(counter.exhausted_from) };
            if slots.ends {
                // It is to be granted nothing more.
                report = Report { idle: true, ease: Amount::ZERO, want: Amount::ZERO, ..report };
            }
            reports.push(CounterReport { report, key });
        }
    }
    reports
}

const REPORTS_MAX: usize = 2_000;

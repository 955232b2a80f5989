//! What is put to a collector: counters that changed, what calls that wait want of them, models without a price; and what
//! it answers.

use tollgate_core::budget::Amount;
use tollgate_core::budget::counter::Counter;
use tollgate_core::budget::ledger::Want;
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::price::Wanted;
use tollgate_core::sync::{CounterGrant, CounterReport};

use super::Budgets;
use crate::counters::Slots;

impl Budgets {
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

    /// Whether the collector was asked for this model lately.
    pub(super) fn has_asked(&self, wanted: &Wanted, now_ms: u64) -> bool {
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
}

/// Every counter that the collector should hear of: those that changed since it last did, and with `all` the others of
/// windows that are not over.
pub fn reports(slots: &mut Slots, now_ms: u64, all: bool) -> Vec<CounterReport> {
    let due = |counter: &Counter| {
        let changed = counter.version != counter.acknowledged || counter.exhausted_from > Amount::ZERO;
        // What is free in a window that is over is asked back.
        let is_over = counter.span.end_ms <= now_ms;
        changed || (all && !is_over) || (is_over && counter.free() > Amount::ZERO)
    };
    slots
        .counters(now_ms)
        .filter(due)
        .take(REPORTS_MAX)
        .filter_map(|counter| {
            let key = CounterKey::from_bytes(&counter.key, counter.span)?;
            Some(CounterReport { report: counter.report(counter.exhausted_from), key })
        })
        .collect()
}

/// Models that are remembered as asked for, and how long: one that gets its price meanwhile has it then.
const ASKED_MAX: usize = 1_024;
const ASKED_MS: u64 = 60_000;
const REPORTS_MAX: usize = 2_000;

//! The end of turns, and of their session: what is charged for each, and what is held for the next.

use std::rc::Rc;

use tollgate_core::answer::wire::Turn;
use tollgate_core::provider::Api;
use tollgate_core::record::Note;

use super::{NextTurn, OpenTurn, SWITCHING_PROTOCOLS, Session};
use crate::budgets::{Decision, Waited};
use crate::call::phase::{Admitted, Cut, UnderWay};
use crate::gateway::waiting;

impl Session {
    /// The session has ended, and its turns with it: what is left of it is settled like any other call.
    pub(in crate::call) fn end(mut self, status: u16, now_ms: u64) -> UnderWay {
        self.settle_turns(now_ms);
        self.unpark(now_ms);
        if self.waits() {
            self.leave(now_ms);
            self.withhold_turns();
        }
        if status != SWITCHING_PROTOCOLS {
            self.under_way.call.take_back_turns(u32::MAX);
            self.take_back(self.open.len(), now_ms);
        } else if self.under_way.call.target().api != Api::ResponsesSession {
            self.release_turns(now_ms);
        }
        while let Some(open) = self.open.pop_front() {
            self.settle_own(open, None, now_ms);
        }
        self.under_way
    }

    /// The turns that have ended since get records of their own, and the next one is held for.
    pub(super) fn settle_turns(&mut self, now_ms: u64) {
        let call = &mut self.under_way.call;
        if call.target().api == Api::ResponsesSession {
            return self.settle_own_turns(now_ms);
        }
        let gateway = Rc::clone(&self.gateway);
        let book = gateway.book();
        let turns =
            call.take_turns(&gateway.config.gateway, book.as_deref(), now_ms, || gateway.call_id(now_ms));
        let asked = call.asked_turns() as usize;
        for mut record in turns {
            let call = &self.under_way.call;
            let ticket = std::mem::take(&mut self.under_way.admitted.ticket);
            gateway.budgets.note_charged(&ticket, &mut record);
            record.policy_version = Some(ticket.policy_version.clone()).filter(|version| !version.is_empty());
            let ended = gateway.budgets.settle(ticket, Some(&record));
            let slot = if ended.is_some() { self.under_way.admitted.slot.take() } else { None };
            if ended.is_none() {
                record.policy_version =
                    gateway.budgets.charge(call, &record, now_ms).or(record.policy_version);
            }
            gateway.keep(&record, &record.to_json(), slot, ended, now_ms);
            // The next was asked for meanwhile and is held for, or is to be held for.
            let has_next = self.open.len() >= asked.max(1);
            match if has_next { self.open.pop_front() } else { None } {
                Some(OpenTurn { admitted, .. }) => {
                    self.hold_for_next(admitted, now_ms);
                    self.next = NextTurn::Held;
                }
                None => self.next = NextTurn::Due(now_ms),
            }
        }
        self.release_turns(now_ms);
        if let NextTurn::Due(since_ms) = self.next {
            self.hold_turn(since_ms, now_ms);
        }
    }

    /// Gives back what is held for turns that are not asked for any more.
    fn release_turns(&mut self, now_ms: u64) {
        let most = (self.under_way.call.asked_turns() as usize).saturating_sub(1);
        self.take_back(self.open.len().saturating_sub(most), now_ms);
    }

    /// Holds for the next turn, which is due since then. While a collector is asked the session goes on: a
    /// turn that ends meanwhile is charged as it ends.
    pub(super) fn hold_turn(&mut self, since_ms: u64, now_ms: u64) {
        if self.spent.is_some() {
            return;
        }
        let is_over = now_ms.saturating_sub(since_ms) >= waiting::WAIT_MS;
        let waited = if is_over { Waited::Enough } else { Waited::Answered };
        let UnderWay { call, admitted, .. } = &mut self.under_way;
        match self.gateway.decide(call, waited, now_ms) {
            Decision::Go(ticket) => {
                // The entry of a turn that held nothing is still there.
                if admitted.slot.is_none() || !ticket.held.is_empty() {
                    self.gateway.forget(admitted.slot.take(), None, now_ms);
                    admitted.slot = self.gateway.note(call, &ticket, now_ms);
                }
                admitted.ticket = ticket;
            }
            Decision::Refuse(refused) => self.spend(refused),
            Decision::Wait => return,
        }
        self.next = NextTurn::Held;
    }

    /// Settles the turns that have ended since, of those that are calls of their own.
    fn settle_own_turns(&mut self, now_ms: u64) {
        for turn in self.under_way.call.take_ended() {
            match self.open.pop_front() {
                Some(open) => self.settle_own(open, Some(turn), now_ms),
                // The provider began it of its own accord, or tells a mistake of no turn.
                None if turn.normalised.says_nothing() => {}
                None => {
                    let id = self.gateway.call_id(now_ms);
                    let call = self.under_way.call.turn(Api::Responses, id, now_ms);
                    self.settle_own(OpenTurn { call, admitted: Admitted::default() }, Some(turn), now_ms);
                }
            }
        }
    }

    fn settle_own(&self, open: OpenTurn, ended: Option<Turn>, now_ms: u64) {
        let OpenTurn { call, admitted: Admitted { mut ticket, slot } } = open;
        let session = &self.under_way.call;
        let gateway = &self.gateway;
        let is_cut = self.under_way.cut != Cut::No && ended.is_none();
        let mut record = gateway.settle_turn(&call, ended, session, now_ms);
        record.notes.extend(is_cut.then_some(Note::EndedByBudget));
        gateway.budgets.note_charged(&ticket, &mut record);
        let version = std::mem::take(&mut ticket.policy_version);
        record.policy_version = Some(version).filter(|version| !version.is_empty());
        let ended = gateway.budgets.settle(ticket, Some(&record));
        if ended.is_none() {
            record.policy_version = gateway.budgets.charge(&call, &record, now_ms).or(record.policy_version);
        }
        gateway.keep(&record, &record.to_json(), slot, ended, now_ms);
    }
}

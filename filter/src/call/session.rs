//! Sessions over a websocket: each turn is settled when it ends, and the next one is held for like a call of its own.

use std::rc::Rc;

use tollgate_core::{refusal, websocket};

use super::{Cut, HttpCall};
use crate::budgets::Decision;
use crate::host::{self, Buffer};

impl HttpCall {
    /// The turns that have ended since get records of their own, and the next one is held for.
    pub(super) fn settle_turns(&mut self, now_ms: u64) {
        let Some(call) = &mut self.call else { return };
        let gateway = Rc::clone(&self.gateway);
        let book = gateway.book();
        let turns =
            call.take_turns(&gateway.config.gateway, book.as_deref(), now_ms, || gateway.call_id(now_ms));
        for mut record in turns {
            let ticket = std::mem::take(&mut self.ticket);
            gateway.budgets.note_charged(&ticket, &mut record);
            record.policy_version = Some(ticket.policy_version.clone()).filter(|version| !version.is_empty());
            // Only the first has what was held; where there are more, they ended at once.
            let ended = (!ticket.held.is_empty()).then(|| gateway.budgets.settle(ticket, Some(&record)));
            let slot = if ended.is_some() { self.slot.take() } else { None };
            if ended.is_none() {
                record.policy_version =
                    gateway.budgets.charge(call, &record, now_ms).or(record.policy_version);
            }
            gateway.keep(&record, &record.to_json(), slot, ended, now_ms);
            self.turn_since_ms = Some(now_ms);
        }
        self.hold_turn(now_ms);
    }

    /// Holds for the next turn, where that is still to be done. While a collector is asked the session goes on: a turn that
    /// ends meanwhile is charged as it ends.
    pub(super) fn hold_turn(&mut self, now_ms: u64) {
        let (Some(call), Some(since_ms)) = (&self.call, self.turn_since_ms) else { return };
        let expired = now_ms.saturating_sub(since_ms) >= crate::waiting::WAIT_MS;
        match self.gateway.decide(call, true, expired, now_ms) {
            Decision::Go(ticket) => {
                // The entry of a turn that held nothing is still there.
                if self.slot.is_none() || !ticket.held.is_empty() {
                    self.gateway.forget(self.slot.take(), None, now_ms);
                    self.slot = self.gateway.note(call, &ticket, now_ms);
                }
                self.ticket = ticket;
            }
            Decision::Refuse(refused) => self.spent = Some(refused),
            Decision::Wait => return,
        }
        self.turn_since_ms = None;
    }

    /// Of a session that is to end, the provider gets nothing more; but a ping, as only behind what it says can its caller be
    /// told. True where that is what becomes of this piece of the request.
    pub(super) fn silence(&mut self, size: usize) -> bool {
        let Some(call) = self.call.as_mut().filter(|_| self.spent.is_some()) else { return false };
        if self.cut == Cut::No && !call.request().is_between_messages() {
            return false;
        }
        let pings = self.cut == Cut::No && !std::mem::replace(&mut self.pinged, true);
        let _ = host::set_buffer(Buffer::RequestBody, size, if pings { &websocket::PING } else { b"" });
        true
    }

    /// Ends a session that has no budget for another turn: its caller is told behind this piece, and the connection closed.
    /// True where the piece is not to be looked at any more.
    pub(super) fn end_session(&mut self, piece: &[u8]) -> bool {
        let (Some(call), Some(refused)) = (&self.call, &self.spent) else { return false };
        if self.cut != Cut::No || !call.is_between_messages() {
            return false;
        }
        let end = refusal::session_end(call.target(), &refused.message, call.id());
        let _ = host::set_buffer(Buffer::ResponseBody, piece.len(), &[piece, &end].concat());
        self.gateway.count("tollgate_sessions_ended_total");
        self.cut = Cut::Told(host::now_ms());
        true
    }
}

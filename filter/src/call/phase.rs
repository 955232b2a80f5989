//! Where a call is on its way, and what it has only there.

use std::cell::RefCell;
use std::rc::Rc;

use tollgate_core::call::Call;
use tollgate_core::call::refusal;

use super::session::Session;
use crate::budgets::{Refused, Ticket};
use crate::gateway::Gateway;
use crate::gateway::waiting::Parked;
use crate::host::{self, Buffer};
use crate::shared::lane::JournalSlot;

/// Where a call is on its way:
///
/// ```text
/// NoCall → Arriving ┬→ UnderWay, Session            it goes on
///                   ├→ Refused, HungUp
///                   └→ Parked ┬→ UnderWay, Session, Refused    as the collector has answered
///                             └→ Left                          as its stream has ended, or was answered
/// ```
///
/// What answers a call that waits, or that has not come whole, decides about it: so `Left` may lead to
/// `UnderWay` or `Refused`, and a call under way of which more comes than is kept is refused after all. Where
/// the stream ends, the call is settled, and `NoCall` remains.
#[derive(Default)]
pub(super) enum Phase {
    /// There is none: the request is none to a model, or its call is settled.
    #[default]
    NoCall,
    /// Its request comes, and nothing is decided.
    Arriving(Box<Call>),
    /// It waits for the collector.
    Parked(Rc<RefCell<Parked>>),
    /// It waited, and its stream ended or was answered before anything was decided.
    Left(Box<Call>),
    /// It is refused: what comes as an answer is our own.
    Refused(Box<RefusedCall>),
    /// It was refused when its provider had begun to answer, which may charge for it. What comes as an answer
    /// is our own, and the call is settled like one whose answer was cut.
    HungUp(UnderWay),
    /// It goes on: its provider may charge for it.
    UnderWay(UnderWay),
    /// It goes on, and its turns are admitted like calls.
    Session(Box<Session>),
}

/// A call that may be charged.
pub(super) struct UnderWay {
    pub(super) call: Box<Call>,
    pub(super) admitted: Admitted,
    pub(super) cut: Cut,
}

/// A call that was refused.
pub(super) struct RefusedCall {
    pub(super) call: Box<Call>,
    pub(super) refused: Refused,
    /// It may have gone on before, when its provider began to answer.
    pub(super) admitted: Admitted,
}

/// What a call has that was let go: what is held for it, and its entry in the journal. Of one about which
/// nothing was decided, nothing.
#[derive(Default)]
pub(super) struct Admitted {
    pub(super) ticket: Ticket,
    pub(super) slot: Option<JournalSlot>,
}

/// How far an answer is that a budget ends: first its caller is told, then the stream is closed. Closing at
/// once would lose what is still on its way to the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cut {
    No,
    /// Since when, Unix milliseconds UTC.
    Told(u64),
    Closed,
}

impl Phase {
    /// The call, unless it waits or is refused.
    pub(super) fn call(&self) -> Option<&Call> {
        match self {
            Self::Arriving(call) | Self::Left(call) => Some(call),
            Self::UnderWay(under_way) => Some(&under_way.call),
            Self::Session(session) => Some(&session.under_way.call),
            Self::NoCall | Self::Parked(_) | Self::Refused(_) | Self::HungUp(_) => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn call_mut(&mut self) -> Option<&mut Call> {
        match self {
            Self::Arriving(call) | Self::Left(call) => Some(call),
            Self::UnderWay(under_way) => Some(&mut under_way.call),
            Self::Session(session) => Some(&mut session.under_way.call),
            Self::NoCall | Self::Parked(_) | Self::Refused(_) | Self::HungUp(_) => None,
        }
    }

    /// What the caller is warned of.
    pub(super) fn warning(&self) -> Option<&str> {
        self.ticket()?.warning.as_deref()
    }

    /// What its call was admitted with.
    pub(super) fn ticket(&self) -> Option<&Ticket> {
        match self {
            Self::UnderWay(under_way) => Some(&under_way.admitted.ticket),
            Self::Session(session) => Some(&session.under_way.admitted.ticket),
            _ => None,
        }
    }

    /// Takes the call out, where nothing is decided about it.
    pub(super) fn take_undecided(&mut self) -> Option<Box<Call>> {
        match std::mem::take(self) {
            Self::Arriving(call) | Self::Left(call) => Some(call),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Whether nothing of the provider's is passed on any more, as the call is refused.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::HungUp(_))
    }

    /// Whether nothing of the request is passed on.
    pub(super) const fn is_held(&self) -> bool {
        self.is_refused() || matches!(self, Self::Parked(_))
    }
}

impl UnderWay {
    pub(super) const fn new(call: Box<Call>, admitted: Admitted) -> Self {
        Self { call, admitted, cut: Cut::No }
    }

    /// A call for which nothing is held, as nothing was decided about it.
    pub(super) fn undecided(call: Box<Call>) -> Self {
        Self::new(call, Admitted::default())
    }

    /// Ends an answer that no budget covers any more; true where this piece of `size` bytes is not to be
    /// looked at.
    pub(super) fn cut(&mut self, gateway: &Gateway, size: usize) -> bool {
        match self.cut {
            Cut::No if self.admitted.ticket.covers.is_empty() || !self.call.answer_runs() => return false,
            Cut::No => {
                let Some(refused) = gateway.cover(&self.call, &mut self.admitted.ticket) else {
                    return false;
                };
                let event = refusal::stream_error(self.call.target(), &refused.message, self.call.id())
                    .unwrap_or_default();
                let _ = host::set_buffer(Buffer::ResponseBody, size, &event);
                self.cut = Cut::Told(host::now_ms());
            }
            Cut::Told(since_ms) if host::now_ms() >= since_ms + TOLD_MS => {
                let _ = host::set_buffer(Buffer::ResponseBody, size, b"");
                let _ = host::answer(200, "tollgate_budget_spent", &[], b"");
                self.cut = Cut::Closed;
            }
            Cut::Told(_) | Cut::Closed => {
                let _ = host::set_buffer(Buffer::ResponseBody, size, b"");
            }
        }
        true
    }
}

impl Admitted {
    /// Notes in the journal that a call is let go.
    pub(super) fn note(gateway: &Gateway, call: &Call, ticket: Ticket, now_ms: u64) -> Self {
        Self { slot: gateway.note(call, &ticket, now_ms), ticket }
    }
}

/// So long after its caller was told, an answer that a budget ends is closed.
pub(super) const TOLD_MS: u64 = 200;

//! What is held for a call on one counter, and what takes its place.

use std::rc::Rc;

use tollgate_core::budget::counter::Settlement;
use tollgate_core::budget::window::Span;
use tollgate_core::budget::{Amount, Budget, OnUnknown, Unit};

use super::reservations::{OpenReservation, ReservedFrom};
use crate::shared::journal::ReservationId;

/// What is held for a call on one counter.
#[derive(Clone, Debug)]
pub(crate) struct HeldOn {
    /// The counter's key as bytes, as its slot has it.
    pub key: Rc<[u8]>,
    /// Its window.
    pub span: Span,
    /// Its unit.
    pub unit: Unit,
    /// How much.
    pub amount: Amount,
    /// What is charged of it where nobody knows what the provider charged.
    pub rule: OnUnknown,
    /// The reservation in which it was admitted, and how much was taken out of that.
    pub reserved_from: Option<ReservedFrom>,
    /// Once the call has ended: what takes the place of this.
    pub settlement: Option<Settlement>,
    /// Once the call has ended: the reservation with which that is settled.
    pub settled_with: Option<Rc<OpenReservation>>,
}

impl HeldOn {
    /// What a budget holds for a call that is under way.
    pub(crate) fn under_way(
        key: Rc<[u8]>,
        span: Span,
        budget: &Budget,
        amount: Amount,
        reserved_from: Option<ReservedFrom>,
    ) -> Self {
        let (unit, rule) = (budget.unit, budget.on_unknown);
        Self { key, span, unit, amount, rule, reserved_from, settlement: None, settled_with: None }
    }

    /// The reservation with which it is settled, where a lane names that.
    pub(crate) fn settled_with(&self) -> Option<ReservationId> {
        self.settled_with.as_ref()?.id
    }
}

//! What is held for a call on one counter, and what takes its place.

use std::rc::Rc;

use tollgate_core::budget::counter::Settlement;
use tollgate_core::budget::window::Span;
use tollgate_core::budget::{Amount, Budget, OnUnknown, Unit};

use super::reservations::{OpenReservation, ReservedFrom};
use crate::shared::journal::Noted;

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

    /// Whether it waits until a reservation is closed that a lane names.
    pub(crate) fn waits(&self) -> bool {
        self.settled_with.as_ref().is_some_and(|reservation| reservation.id.is_some())
    }

    /// What the journal is to say of it. As long as its call is under way nothing is charged yet.
    pub(crate) fn noted(&self) -> Noted<'_> {
        Noted {
            key: &self.key,
            settlement: self.settlement.unwrap_or_else(|| Settlement::rolled_back(self.amount)),
            reserved_from: self
                .reserved_from
                .as_ref()
                .and_then(|(reservation, amount)| Some((reservation.id?, *amount))),
            with: self.settled_with.as_ref().and_then(|reservation| reservation.id),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;

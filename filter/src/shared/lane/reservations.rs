//! Slots in a lane that name the reservations which its owner holds open on counters.
//!
//! A reservation stands in a slot under a generation that only grows. What a journal entry says of an older
//! generation has been settled: so one small value takes out of the journal what many entries say.

use tollgate_core::budget::Amount;
use tollgate_core::budget::reservation::Reservation;

use crate::host;
use crate::shared::layout;

/// Reservations that a lane names; more are not opened.
pub(crate) const RESERVATION_SLOTS: u32 = 64;

/// The slots of a lane.
#[derive(Debug)]
pub(crate) struct ReservationSlots {
    lane: u32,
    /// By slot: 0 where this owner has had no reservation yet.
    generations: [u64; RESERVATION_SLOTS as usize],
    /// Slots without a reservation.
    free: Vec<u32>,
}

/// A reservation, as its slot names it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Listed {
    /// Grows with every change.
    pub generation: u64,
    /// What was held for it when it was opened.
    pub held: Reservation,
    /// The key of its counter; empty where the slot has no reservation.
    pub key: Vec<u8>,
}

impl ReservationSlots {
    /// Of a lane just taken: its last owner has no reservation any more.
    pub(crate) fn of(lane: u32) -> Self {
        Self {
            lane,
            generations: [0; RESERVATION_SLOTS as usize],
            free: (0..RESERVATION_SLOTS).rev().collect(),
        }
    }

    /// A slot for a reservation, if there is one.
    pub(crate) fn claim(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// Gives a slot back, whose reservation is closed.
    pub(crate) fn release(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Names a reservation. Gives its generation, also where the host refuses: then nobody gives it back,
    /// should this VM die.
    pub(crate) fn list(&mut self, slot: u32, held: Reservation, key: &[u8]) -> u64 {
        let generation = self.next(slot);
        let listed = Listed { generation, held, key: key.to_vec() };
        let _ = host::set_shared(layout::reservation(self.lane, slot), &listed.to_bytes());
        self.set(slot, generation);
        generation
    }

    /// Takes a reservation out, and with it all that entries say of its generation; false where the host
    /// refuses.
    pub(crate) fn unlist(&mut self, slot: u32) -> bool {
        let generation = self.next(slot);
        let unlisted = self.empty(slot, generation);
        if unlisted {
            self.set(slot, generation);
        }
        unlisted
    }

    /// Says that a dead VM's reservation is given back; false where the host refuses. What entries say of its
    /// generation is still to be settled.
    pub(crate) fn empty(&self, slot: u32, generation: u64) -> bool {
        host::set_shared(layout::reservation(self.lane, slot), &generation.to_le_bytes()).is_ok()
    }

    fn next(&self, slot: u32) -> u64 {
        match self.generations.get(slot as usize) {
            Some(last) if *last > 0 => last + 1,
            _ => listed(self.lane, slot).generation + 1,
        }
    }

    fn set(&mut self, slot: u32, generation: u64) {
        if let Some(last) = self.generations.get_mut(slot as usize) {
            *last = generation;
        }
    }
}

impl Listed {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.key.len());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.held.calls.to_le_bytes());
        bytes.extend_from_slice(&self.held.amount.0.to_le_bytes());
        bytes.extend_from_slice(&self.key);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (generation, rest) = bytes.split_first_chunk()?;
        let generation = u64::from_le_bytes(*generation);
        let reservation = || {
            let (calls, rest) = rest.split_first_chunk()?;
            let (amount, key) = rest.split_first_chunk()?;
            let amount = Amount(i128::from_le_bytes(*amount));
            Some((Reservation { amount, calls: u32::from_le_bytes(*calls) }, key.to_vec()))
        };
        let (held, key) = reservation().unwrap_or_default();
        Some(Self { generation, held, key })
    }
}

/// What a slot of a lane names.
pub(crate) fn listed(lane: u32, slot: u32) -> Listed {
    let bytes = host::shared(layout::reservation(lane, slot)).map(|(bytes, _)| bytes).unwrap_or_default();
    Listed::from_bytes(&bytes).unwrap_or_default()
}

/// What stands before the key.
const FIXED_BYTES: usize = 8 + 4 + 16;

//! Journal entries: what is held for a call, before what `tollgate_core` notes of it. Once the call has ended
//! and while its settlement waits, what is to be settled stands there instead.
//!
//! Four bytes, little endian: [`LAYOUT`], then how long the holds are. Each of them is the length of its key,
//! the reservation in which it was admitted, the reservation with which it is settled, the amount held, the
//! amounts charged and kept instead, the amount taken out of the reservation, and the key. As long as a call
//! is under way nothing is to be charged yet: what it costs says the record that is made of the entry where
//! its VM dies.

use std::rc::Rc;

use tollgate_core::budget::Amount;
use tollgate_core::budget::counter::Settlement;

use crate::budgets::HeldOn;

/// A reservation of this VM's lane: its slot, and the generation under which it was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ReservationId {
    /// See [`crate::shared::lane::ReservationSlots`].
    pub slot: u32,
    /// The slot's generation then.
    pub generation: u64,
}

/// What a journal entry says of one hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Noted {
    /// The key of the counter.
    pub key: Rc<[u8]>,
    /// What is to be settled.
    pub settlement: Settlement,
    /// The reservation in which the call was admitted, and how much was taken out of that.
    pub reserved_from: Option<(ReservationId, Amount)>,
    /// The reservation with which it is settled, once the call has ended.
    pub with: Option<ReservationId>,
}

/// The entry of a call under way.
pub(crate) fn entry(held: &[HeldOn], call: &[u8]) -> Vec<u8> {
    write(held.iter(), call)
}

/// The entry of a call that has ended: what waits until a reservation is closed. `None` where nothing does.
pub(crate) fn ended(held: &[HeldOn]) -> Option<Vec<u8>> {
    let waits = held.iter().filter(|one| one.settled_with().is_some());
    waits.clone().next().is_some().then(|| write(waits, b""))
}

fn write<'a>(held: impl Iterator<Item = &'a HeldOn> + Clone, call: &[u8]) -> Vec<u8> {
    let holds: usize = held.clone().map(|one| HOLD_BYTES + one.key.len()).sum();
    let mut entry = Vec::with_capacity(LENGTH_BYTES + holds + call.len());
    entry.extend_from_slice(&(u32::try_from(holds).unwrap_or(u32::MAX) << 8 | LAYOUT).to_le_bytes());
    for one in held {
        let under_way = Settlement::rolled_back(one.amount);
        let &Settlement { hold, charge, kept, .. } = one.settlement.as_ref().unwrap_or(&under_way);
        let reserved_from =
            one.reserved_from.as_ref().and_then(|(reservation, amount)| Some((reservation.id?, *amount)));
        let (reservation, taken) = reserved_from.unwrap_or((NO_RESERVATION, Amount::ZERO));
        let with = one.settled_with().unwrap_or(NO_RESERVATION);
        let length = u64::try_from(one.key.len()).unwrap_or(u64::MAX);
        let words =
            [length, reservation.slot.into(), reservation.generation, with.slot.into(), with.generation];
        let amounts = [hold, charge, kept, taken];
        let mut numbers = [0; HOLD_BYTES];
        let (first, rest) = numbers.split_at_mut(8 * WORDS);
        first.copy_from_slice(words.map(u64::to_le_bytes).as_flattened());
        rest.copy_from_slice(amounts.map(|amount| amount.0.to_le_bytes()).as_flattened());
        entry.extend_from_slice(&numbers);
        entry.extend_from_slice(&one.key);
    }
    entry.extend_from_slice(call);
    entry
}

/// What is to be settled by an entry whose VM is dead, and what is noted of the call. What is malformed has
/// no holds.
pub(crate) fn read(entry: &[u8]) -> (Vec<Noted>, &[u8]) {
    let Some((head, rest)) = entry.split_first_chunk::<LENGTH_BYTES>() else { return (Vec::new(), entry) };
    let head = u32::from_le_bytes(*head);
    let length = usize::try_from(head >> 8).unwrap_or(usize::MAX);
    let holds = rest.split_at_checked(length).filter(|_| head & 0xff == LAYOUT);
    let Some((mut holds, call)) = holds else { return (Vec::new(), rest) };
    let mut noted = Vec::new();
    while let Some(one) = hold(&mut holds) {
        noted.push(one);
    }
    (noted, call)
}

fn hold(rest: &mut &[u8]) -> Option<Noted> {
    let (numbers, after) = rest.split_first_chunk::<HOLD_BYTES>()?;
    let (words, amounts) = numbers.split_at(8 * WORDS);
    let words: [[u8; 8]; WORDS] = words.as_chunks().0.try_into().ok()?;
    let amounts: [[u8; 16]; AMOUNTS] = amounts.as_chunks().0.try_into().ok()?;
    let [length, slot, generation, with_slot, with_generation] = words.map(u64::from_le_bytes);
    let [hold, charge, kept, taken] = amounts.map(|amount| Amount(i128::from_le_bytes(amount)));
    let reservation = |slot, generation| {
        let reservation = ReservationId { slot: u32::try_from(slot).ok()?, generation };
        (reservation != NO_RESERVATION).then_some(reservation)
    };
    let (key, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(Noted {
        key: key.into(),
        settlement: Settlement { hold, charge, kept, calls: 1 },
        reserved_from: reservation(slot, generation).map(|reservation| (reservation, taken)),
        with: reservation(with_slot, with_generation),
    })
}

const LENGTH_BYTES: usize = 4;
/// The numbers before a key: its length and two reservations, each with its generation, in eight bytes each;
/// then amounts.
const WORDS: usize = 5;
const AMOUNTS: usize = 4;
/// What a hold takes besides its key.
const HOLD_BYTES: usize = WORDS * 8 + AMOUNTS * 16;
/// Version of the entries.
const LAYOUT: u32 = 4;
/// What stands where there is no reservation.
const NO_RESERVATION: ReservationId = ReservationId { slot: u32::MAX, generation: 0 };

#[cfg(test)]
mod tests;

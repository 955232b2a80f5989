//! Journal entries: what is held for a call, before what `tollgate_core` notes of it. Once the call has ended
//! and while its settlement waits, what is to be settled stands there instead.
//!
//! Four bytes, little endian: [`LAYOUT`], then how long the holds are. Each of them is the length of its key,
//! the reservation in which it was admitted, the reservation with which it is settled, the amount held, the
//! amounts charged and kept instead, the amount taken out of the reservation, and the key. As long as a call
//! is under way nothing is to be charged yet: what it costs says the record that is made of the entry where
//! its VM dies.

use tollgate_core::budget::Amount;
use tollgate_core::budget::counter::Settlement;

/// A reservation of this VM's lane: its slot, and the generation under which it was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ReservationId {
    /// See [`crate::shared::lane::ReservationSlots`].
    pub slot: u32,
    /// The slot's generation then.
    pub generation: u64,
}

/// What a journal entry says of one hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Noted<'a> {
    /// The key of the counter.
    pub key: &'a [u8],
    /// What is to be settled.
    pub settlement: Settlement,
    /// The reservation in which the call was admitted, and how much was taken out of that.
    pub reserved_from: Option<(ReservationId, Amount)>,
    /// The reservation with which it is settled, once the call has ended.
    pub with: Option<ReservationId>,
}

/// The entry of a call: its holds, and what else is noted of it.
pub(crate) fn entry<'a>(holds: impl Iterator<Item = Noted<'a>> + Clone, call: &[u8]) -> Vec<u8> {
    let length: usize = holds.clone().map(|one| HOLD_BYTES + one.key.len()).sum();
    let mut entry = Vec::with_capacity(LENGTH_BYTES + length + call.len());
    entry.extend_from_slice(&(u32::try_from(length).unwrap_or(u32::MAX) << 8 | LAYOUT).to_le_bytes());
    for Noted { key, settlement: Settlement { hold, charge, kept, .. }, reserved_from, with } in holds {
        let (reservation, taken) = reserved_from.unwrap_or((NO_RESERVATION, Amount::ZERO));
        let with = with.unwrap_or(NO_RESERVATION);
        let length = u64::try_from(key.len()).unwrap_or(u64::MAX);
        let words =
            [length, reservation.slot.into(), reservation.generation, with.slot.into(), with.generation];
        let amounts = [hold, charge, kept, taken];
        let mut numbers = [0; HOLD_BYTES];
        let (first, rest) = numbers.split_at_mut(8 * WORDS);
        first.copy_from_slice(words.map(u64::to_le_bytes).as_flattened());
        rest.copy_from_slice(amounts.map(|amount| amount.0.to_le_bytes()).as_flattened());
        entry.extend_from_slice(&numbers);
        entry.extend_from_slice(key);
    }
    entry.extend_from_slice(call);
    entry
}

/// What is to be settled by an entry whose VM is dead, and what is noted of the call. What is malformed has
/// no holds.
pub(crate) fn read(entry: &[u8]) -> (Vec<Noted<'_>>, &[u8]) {
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

fn hold<'a>(rest: &mut &'a [u8]) -> Option<Noted<'a>> {
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
        key,
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

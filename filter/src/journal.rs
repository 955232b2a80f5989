//! Journal entries: what is held for a call, before what `tollgate_core` notes of it. Once the call has ended and while
//! its settlement waits, what is to be settled stands there instead.
//!
//! Four bytes, little endian: [`LAYOUT`], then how long the holds are. Each of them is the length of its key in two bytes, the
//! amount held, the amounts charged and kept instead, the amount taken out of the room in which it was admitted, that room,
//! the room with which it is settled, and the key. As long as a call is under way all of its hold is to be charged and kept.

use std::rc::Rc;

use tollgate_core::budget::counter::Settlement;
use tollgate_core::budget::window::Span;
use tollgate_core::budget::{Amount, Unit};

use crate::budgets::{Drawn, OpenRoom};

/// What is held for a call on one counter.
#[derive(Clone, Debug)]
pub struct HeldOn {
    /// The counter's key as bytes, as its slot has it.
    pub key: Rc<[u8]>,
    /// Its window.
    pub span: Span,
    /// Its unit.
    pub unit: Unit,
    /// How much.
    pub amount: Amount,
    /// The room in which it was admitted, and how much was taken out of that.
    pub drawn: Option<Drawn>,
    /// Once the call has ended: what takes the place of this, and the room with which that is settled.
    pub ended: Option<(Settlement, Option<Rc<OpenRoom>>)>,
}

impl HeldOn {
    /// The room with which it is settled, where a lane names that.
    fn settled_with(&self) -> Option<RoomId> {
        self.ended.as_ref()?.1.as_ref()?.id
    }
}

/// A room of this VM's lane: its place, and the generation under which it was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RoomId {
    /// See [`crate::lane::Places`].
    pub place: u32,
    /// The place's generation then.
    pub generation: u64,
}

/// What a journal entry says of one hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Noted {
    /// The key of the counter.
    pub key: Rc<[u8]>,
    /// What is to be settled.
    pub settlement: Settlement,
    /// The room in which the call was admitted, and how much was taken out of that.
    pub drawn: Option<(RoomId, Amount)>,
    /// The room with which it is settled, once the call has ended.
    pub with: Option<RoomId>,
}

/// The entry of a call under way.
pub fn entry(held: &[HeldOn], call: &[u8]) -> Vec<u8> {
    write(held.iter(), call)
}

/// The entry of a call that has ended: what waits until a room is closed. `None` where nothing does.
pub fn ended(held: &[HeldOn]) -> Option<Vec<u8>> {
    let waits = held.iter().filter(|one| one.settled_with().is_some());
    waits.clone().next().is_some().then(|| write(waits, b""))
}

fn write<'a>(held: impl Iterator<Item = &'a HeldOn> + Clone, call: &[u8]) -> Vec<u8> {
    let holds: usize = held.clone().map(|one| HOLD_BYTES + one.key.len()).sum();
    let mut entry = Vec::with_capacity(LENGTH_BYTES + holds + call.len());
    entry.extend_from_slice(&(u32::try_from(holds).unwrap_or(u32::MAX) << 8 | LAYOUT).to_le_bytes());
    for one in held {
        let HeldOn { key, amount, drawn, ended, .. } = one;
        let abandoned = Settlement::abandoned(*amount);
        let Settlement { hold, charge, kept, .. } =
            ended.as_ref().map_or(abandoned, |(settlement, _)| *settlement);
        let drawn = drawn.as_ref().and_then(|(room, amount)| Some((room.id?, *amount)));
        let (room, taken) = drawn.unwrap_or((NO_ROOM, Amount::ZERO));
        let mut numbers = [0; HOLD_BYTES];
        let mut rest = numbers.as_mut_slice();
        put(&mut rest, u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
        for amount in [hold, charge, kept, taken] {
            put(&mut rest, amount.0.to_le_bytes());
        }
        for RoomId { place, generation } in [room, one.settled_with().unwrap_or(NO_ROOM)] {
            put(&mut rest, place.to_le_bytes());
            put(&mut rest, generation.to_le_bytes());
        }
        entry.extend_from_slice(&numbers);
        entry.extend_from_slice(key);
    }
    entry.extend_from_slice(call);
    entry
}

/// What is to be settled by an entry whose VM is dead, and what is noted of the call. What is malformed has no holds.
pub fn read(entry: &[u8]) -> (Vec<Noted>, &[u8]) {
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
    let length = usize::from(u16::from_le_bytes(take(rest)?));
    let mut amount = || Some(Amount(i128::from_le_bytes(take(rest)?)));
    let (hold, charge, kept, taken) = (amount()?, amount()?, amount()?, amount()?);
    let mut room = || {
        let place = u32::from_le_bytes(take(rest)?);
        let room = RoomId { place, generation: u64::from_le_bytes(take(rest)?) };
        Some((room != NO_ROOM).then_some(room))
    };
    let (drawn, with) = (room()?, room()?);
    let (key, after) = rest.split_at_checked(length)?;
    *rest = after;
    let settlement = Settlement { hold, charge, kept, calls: 1 };
    Some(Noted { key: key.into(), settlement, drawn: drawn.map(|room| (room, taken)), with })
}

const LENGTH_BYTES: usize = 4;
/// What a hold takes besides its key.
const HOLD_BYTES: usize = 2 + 4 * 16 + 2 * (4 + 8);
/// Version of the entries.
const LAYOUT: u32 = 2;
/// What stands where there is no room.
const NO_ROOM: RoomId = RoomId { place: u32::MAX, generation: 0 };

fn put<const N: usize>(rest: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((place, after)) = std::mem::take(rest).split_first_chunk_mut::<N>() {
        *place = bytes;
        *rest = after;
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

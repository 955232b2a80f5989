//! Journal entries: what is held for a call, before what `tollgate_core` notes of it. Once the call has ended and while
//! its settlement waits, what is to be settled stands there instead.
//!
//! Four bytes, little endian, say how long the holds are. Each of them is the length of its key in two bytes, the unit in
//! one, start and end of the window, the amount held, the amounts charged and kept instead, and the key. As long as a
//! call is under way all of its hold is to be charged and kept.

use std::rc::Rc;

use tollgate_core::budget::counter::Settlement;
use tollgate_core::budget::window::Span;
use tollgate_core::budget::{Amount, Unit};

/// What is held for a call on one counter.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOn {
    /// The counter's key as bytes, as its slot has it.
    pub key: Rc<[u8]>,
    /// Its window.
    pub span: Span,
    /// The slot where it was.
    pub slot: u64,
    /// Its unit.
    pub unit: Unit,
    /// How much.
    pub amount: Amount,
}

/// The entry of a call under way.
pub fn entry(held: &[HeldOn], call: &[u8]) -> Vec<u8> {
    write(held, |held| Settlement::abandoned(held.amount), call)
}

/// The entry of a call that has ended, and whose settlements wait.
pub fn ended(held: &[HeldOn], settlement: impl Fn(&HeldOn) -> Settlement) -> Vec<u8> {
    write(held, settlement, b"")
}

fn write(held: &[HeldOn], settlement: impl Fn(&HeldOn) -> Settlement, call: &[u8]) -> Vec<u8> {
    let holds: usize = held.iter().map(|one| HOLD_BYTES + one.key.len()).sum();
    let mut entry = Vec::with_capacity(LENGTH_BYTES + holds + call.len());
    entry.extend_from_slice(&u32::try_from(holds).unwrap_or(u32::MAX).to_le_bytes());
    for one in held {
        let HeldOn { key, span, unit, .. } = one;
        let Settlement { hold, charge, kept, .. } = settlement(one);
        let mut numbers = [0; HOLD_BYTES];
        let mut rest = numbers.as_mut_slice();
        put(&mut rest, u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
        put(
            &mut rest,
            [match unit {
                Unit::Dollars => 0,
                Unit::Tokens => 1,
                Unit::Calls => 2,
            }],
        );
        put(&mut rest, span.start_ms.to_le_bytes());
        put(&mut rest, span.end_ms.to_le_bytes());
        for amount in [hold, charge, kept] {
            put(&mut rest, amount.0.to_le_bytes());
        }
        entry.extend_from_slice(&numbers);
        entry.extend_from_slice(key);
    }
    entry.extend_from_slice(call);
    entry
}

/// What is to be settled by an entry whose VM is dead, and what is noted of the call. What is malformed has no holds.
pub fn read(entry: &[u8]) -> (Vec<(HeldOn, Settlement)>, &[u8]) {
    let Some((length, rest)) = entry.split_first_chunk::<4>() else { return (Vec::new(), entry) };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let Some((mut holds, call)) = rest.split_at_checked(length) else { return (Vec::new(), rest) };
    let mut held = Vec::new();
    while let Some(one) = hold(&mut holds) {
        held.push(one);
    }
    (held, call)
}

fn hold(rest: &mut &[u8]) -> Option<(HeldOn, Settlement)> {
    let length = usize::from(u16::from_le_bytes(take(rest)?));
    let [unit] = take(rest)?;
    let span = Span { start_ms: u64::from_le_bytes(take(rest)?), end_ms: u64::from_le_bytes(take(rest)?) };
    let mut amount = || Some(Amount(i128::from_le_bytes(take(rest)?)));
    let (hold, charge, kept) = (amount()?, amount()?, amount()?);
    let (key, after) = rest.split_at_checked(length)?;
    *rest = after;
    let unit = match unit {
        0 => Unit::Dollars,
        1 => Unit::Tokens,
        _ => Unit::Calls,
    };
    let held = HeldOn { key: key.into(), span, slot: NOT_KNOWN, unit, amount: hold };
    Some((held, Settlement { hold, charge, kept, calls: 1 }))
}

const LENGTH_BYTES: usize = 4;
/// What a hold takes besides its key.
const HOLD_BYTES: usize = 2 + 1 + 2 * 8 + 3 * 16;
/// No slot: the counter is looked for.
const NOT_KNOWN: u64 = u64::MAX;

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

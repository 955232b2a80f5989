//! Places in a lane that name the rooms which its owner holds open on counters.
//!
//! A room stands in a place under a generation that only grows. What a journal entry says of an older generation has been
//! settled: so one small value takes out of the journal what many entries say.

use tollgate_core::budget::Amount;
use tollgate_core::budget::room::Room;

use crate::host;
use crate::shared::layout;

/// Rooms that a lane names; more are not opened.
pub const PLACES: u32 = 64;

/// The places of a lane.
#[derive(Debug)]
pub struct Places {
    lane: u32,
    /// By place: 0 where this owner has had no room yet.
    generations: [u64; PLACES as usize],
    /// Places without a room.
    free: Vec<u32>,
}

/// A room, as its place names it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listed {
    /// Grows with every change.
    pub generation: u64,
    /// What was held for it when it was opened.
    pub held: Room,
    /// The key of its counter; empty where the place has no room.
    pub key: Vec<u8>,
}

impl Places {
    /// Of a lane just taken: its last owner has no room any more.
    pub fn of(lane: u32) -> Self {
        Self { lane, generations: [0; PLACES as usize], free: (0..PLACES).rev().collect() }
    }

    /// A place for a room, if there is one.
    pub fn take(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// Gives a place back, whose room is closed.
    pub fn give(&mut self, place: u32) {
        self.free.push(place);
    }

    /// Names a room. Gives its generation, also where the host refuses: then nobody gives it back, should this VM die.
    pub fn list(&mut self, place: u32, held: Room, key: &[u8]) -> u64 {
        let generation = self.next(place);
        let listed = Listed { generation, held, key: key.to_vec() };
        let _ = host::set_shared(layout::room(self.lane, place), &listed.to_bytes());
        self.set(place, generation);
        generation
    }

    /// Takes a room out, and with it all that entries say of its generation; false where the host refuses.
    pub fn unlist(&mut self, place: u32) -> bool {
        let generation = self.next(place);
        let unlisted = self.empty(place, generation);
        if unlisted {
            self.set(place, generation);
        }
        unlisted
    }

    /// Says that a dead VM's room is given back; false where the host refuses. What entries say of its generation is still to
    /// be settled.
    pub fn empty(&self, place: u32, generation: u64) -> bool {
        host::set_shared(layout::room(self.lane, place), &generation.to_le_bytes()).is_ok()
    }

    fn next(&self, place: u32) -> u64 {
        match self.generations.get(place as usize) {
            Some(last) if *last > 0 => last + 1,
            _ => listed(self.lane, place).generation + 1,
        }
    }

    fn set(&mut self, place: u32, generation: u64) {
        if let Some(last) = self.generations.get_mut(place as usize) {
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
        let room = || {
            let (calls, rest) = rest.split_first_chunk()?;
            let (amount, key) = rest.split_first_chunk()?;
            let amount = Amount(i128::from_le_bytes(*amount));
            Some((Room { amount, calls: u32::from_le_bytes(*calls) }, key.to_vec()))
        };
        let (held, key) = room().unwrap_or_default();
        Some(Self { generation, held, key })
    }
}

/// What a place of a lane names.
pub fn listed(lane: u32, place: u32) -> Listed {
    let bytes = host::shared(layout::room(lane, place)).map(|(bytes, _)| bytes).unwrap_or_default();
    Listed::from_bytes(&bytes).unwrap_or_default()
}

/// What stands before the key.
const FIXED_BYTES: usize = 8 + 4 + 16;

//! A VM's lane in shared data: its journal of calls under way, the reservations that it holds open on
//! counters, and its outbox of settled records.
//!
//! One VM writes a lane, so the path of a call needs no compare-and-swap. The outbox is a ring in the order
//! of settlement: the owner appends, the leader ships from the tail and moves the tail when the collector has
//! acknowledged. The journal holds what is known of each call until it is settled. All of it survives the VM:
//! the leader ships a dead VM's outbox like any other, and makes records of its journal once the lane is
//! stale.
//!
//! A record that the outbox has no room for is folded into a total (`tollgate_core::record::Folds`), which
//! stands in a slot of its own until the outbox has room for it. A total does not grow any more once it is in
//! the outbox, or once its VM is gone.

mod own;
mod reservations;

pub(crate) use own::OwnLane;
pub(crate) use reservations::{Listed, RESERVATION_SLOTS, ReservationSlots, listed};
use tollgate_core::record::{FOLDS_MAX, Folds, UsageRecord};

use crate::host::{self, Error};
use crate::shared::layout;

/// Calls under way that a lane's journal holds; more are metered without one.
pub(crate) const JOURNAL_SLOTS: u32 = 1_024;
/// An owner shows that it lives this often.
pub(crate) const HEARTBEAT_MS: u64 = 5_000;
/// An owner that has not shown itself for this long is dead.
pub(crate) const STALE_MS: u64 = 30_000;

/// A lane that this VM owns.
#[derive(Debug)]
pub(crate) struct Lane {
    index: u32,
    vm: u64,
    capacity: u64,
    /// Sequence of the next record.
    head: u64,
    /// The tail as last read; it may have moved on.
    tail: u64,
    free: Vec<u32>,
    /// What the keys of its journal begin with: each call writes there twice.
    journal: layout::Key,
    /// Where it names the reservations that it holds open.
    pub reservations: ReservationSlots,
    folds: Folds,
    claimed_ms: u64,
    beaten_ms: u64,
    /// The lane that this VM had before and gave back: nobody recovers that.
    given_back: Option<LaneId>,
}

/// How a record was kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kept {
    /// As it is.
    Whole,
    /// In a total.
    Folded,
}

/// Why a record was not kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dropped {
    /// The outbox is full of records that no collector has acknowledged, and so are the totals.
    OutboxFull,
    /// The host refused.
    Host,
}

/// A slot of the journal that holds a call under way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct JournalSlot {
    slot: u32,
    lane: LaneId,
}

/// A lane, claimed at that time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LaneId {
    /// Its number.
    pub lane: u32,
    claimed_ms: u64,
}

/// Who owns a lane: the VM (0: nobody), when it last showed itself, and the size of the outbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Owner {
    /// Random id of the VM.
    pub vm: u64,
    /// Unix milliseconds UTC.
    pub beaten_ms: u64,
    /// OccupiedSlots of the outbox.
    pub capacity: u64,
}

impl Owner {
    /// The owner of a lane and the version to swap it with; `None` where no lane was ever made.
    pub(crate) fn of(lane: u32) -> Option<(Self, u32)> {
        let (value, version) = host::shared(layout::lane_owner(lane)).ok()?;
        let number = |at: usize| value.get(at..).and_then(layout::read_number).unwrap_or(0);
        Some((Self { vm: number(0), beaten_ms: number(8), capacity: number(16) }, version))
    }

    fn bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        for (slot, number) in bytes.chunks_exact_mut(8).zip([self.vm, self.beaten_ms, self.capacity]) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Writes this owner over the one of `version`.
    pub(crate) fn swap(self, lane: u32, version: u32) -> host::Result<()> {
        host::swap_shared(layout::lane_owner(lane), &self.bytes(), version)
    }

    /// Whether the lane can be taken: nobody has it, or its owner is dead.
    pub(crate) const fn is_gone(&self, now_ms: u64) -> bool {
        self.vm == 0 || now_ms.saturating_sub(self.beaten_ms) > STALE_MS
    }
}

impl Lane {
    /// Takes the first lane that nobody owns, or makes one. A dead VM's lane is left to the leader until it
    /// has made records of its journal.
    pub(crate) fn claim(vm: u64, capacity: u64, now_ms: u64) -> Option<Self> {
        for index in 0..layout::LANES_MAX {
            let mine = Owner { vm, beaten_ms: now_ms, capacity };
            let taken = match Owner::of(index) {
                None => host::create_shared(layout::lane_owner(index), &mine.bytes()).is_ok(),
                Some((owner, version)) if owner.vm == 0 => {
                    let mine = Owner { capacity: owner.capacity, ..mine };
                    mine.swap(index, version).is_ok()
                }
                Some(_) => false,
            };
            if taken {
                return Some(Self::resume(index, vm, now_ms));
            }
        }
        None
    }

    /// A lane just taken, continued where its last owner stopped.
    pub(crate) fn resume(index: u32, vm: u64, now_ms: u64) -> Self {
        let capacity = Owner::of(index).map_or(1, |(owner, _)| owner.capacity.max(1));
        let tail = layout::number(&layout::lane_tail(index));
        let tail = first(index, tail, capacity).unwrap_or(tail);
        let mut head = tail;
        while head - tail < capacity && record(index, head, capacity).is_some() {
            head += 1;
        }
        Self {
            index,
            vm,
            capacity,
            head,
            tail,
            free: (0..JOURNAL_SLOTS).rev().collect(),
            journal: layout::journal_of(index),
            reservations: ReservationSlots::of(index),
            folds: Folds::left(folds_in(index)),
            claimed_ms: now_ms,
            beaten_ms: now_ms,
            given_back: None,
        }
    }

    /// Which lane it is.
    pub(crate) const fn id(&self) -> LaneId {
        LaneId { lane: self.index, claimed_ms: self.claimed_ms }
    }

    /// Shows that this VM lives, and moves totals on. False when the lane has been taken from it: a pause
    /// longer than [`STALE_MS`], after which the VM must claim another.
    pub(crate) fn beat(&mut self, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.beaten_ms) >= HEARTBEAT_MS && !self.show(now_ms) {
            return false;
        }
        self.flush();
        true
    }

    fn show(&mut self, now_ms: u64) -> bool {
        let Some((owner, version)) = Owner::of(self.index).filter(|(owner, _)| owner.vm == self.vm) else {
            return false;
        };
        self.beaten_ms = now_ms;
        Owner { beaten_ms: now_ms, ..owner }.swap(self.index, version).is_ok()
    }

    /// Gives the lane back.
    pub(crate) fn release(&self) {
        if let Some((owner, version)) = Owner::of(self.index).filter(|(owner, _)| owner.vm == self.vm) {
            let _ = Owner { vm: 0, ..owner }.swap(self.index, version);
        }
    }

    /// Leaves the lane as that of a dead VM: its journal is not to be written over yet.
    pub(crate) fn abandon(&self) {
        if let Some((owner, version)) = Owner::of(self.index).filter(|(owner, _)| owner.vm == self.vm) {
            let _ = Owner { vm: NO_VM, beaten_ms: 0, ..owner }.swap(self.index, version);
        }
    }

    /// Notes a call under way; `None` when the journal is full.
    pub(crate) fn note(&mut self, pending: &[u8]) -> Option<JournalSlot> {
        let slot = self.free.pop()?;
        if host::set_shared(self.journal.slot(slot.into()), pending).is_err() {
            self.free.push(slot);
            return None;
        }
        Some(JournalSlot { slot, lane: self.id() })
    }

    /// Whether another call can be noted.
    pub(crate) const fn may_note(&self) -> bool {
        !self.free.is_empty()
    }

    /// Writes another entry over that of a call; false where the host refuses.
    pub(crate) fn rewrite(&self, slot: JournalSlot, entry: &[u8]) -> bool {
        self.has(slot) && host::set_shared(self.journal.slot(slot.slot.into()), entry).is_ok()
    }

    /// Lets a slot be used again; what stands in it stays until then.
    pub(crate) fn reuse(&mut self, slot: JournalSlot) {
        if self.has(slot) {
            self.free.push(slot.slot);
        }
    }

    /// Takes a call's entry out.
    pub(crate) fn clear(&mut self, slot: JournalSlot) {
        self.rewrite(slot, b"");
        self.reuse(slot);
    }

    /// Whether the slot is this lane's: a VM that was away for too long has lost the lane in which it was
    /// taken.
    fn has(&self, slot: JournalSlot) -> bool {
        slot.lane == self.id()
    }

    /// Whether the slot is of a lane that was lost: who recovers that settles what stands there.
    pub(crate) fn has_lost(&self, slot: JournalSlot) -> bool {
        !self.has(slot) && self.given_back != Some(slot.lane)
    }

    /// Keeps a settled record: whole where there is room, else in a total.
    pub(crate) fn keep(&mut self, record: &UsageRecord, json: &[u8]) -> Result<Kept, Dropped> {
        match self.append(json) {
            Err(Dropped::OutboxFull) => self.fold(record).map(|()| Kept::Folded),
            kept => kept.map(|()| Kept::Whole),
        }
    }

    /// Appends a record, or a total.
    pub(crate) fn append(&mut self, record: &[u8]) -> Result<(), Dropped> {
        if !self.has_room() {
            return Err(Dropped::OutboxFull);
        }
        let mut value = Vec::with_capacity(record.len() + SEQUENCE_BYTES);
        value.extend_from_slice(&self.head.to_le_bytes());
        value.extend_from_slice(record);
        host::set_shared(layout::outbox(self.index, self.head % self.capacity), &value)
            .map_err(|_| Dropped::Host)?;
        self.head += 1;
        Ok(())
    }

    /// Whether the outbox has room for one more.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.head - self.tail >= self.capacity {
            self.tail = layout::number(&layout::lane_tail(self.index)).max(self.tail);
        }
        self.head - self.tail < self.capacity
    }

    fn fold(&mut self, record: &UsageRecord) -> Result<(), Dropped> {
        let (slot, folded) = self.folds.fold(record).ok_or(Dropped::OutboxFull)?;
        let json = folded.to_json();
        if host::set_shared(layout::fold(self.index, slot), &json).is_err() {
            // What stands there goes on without this record.
            self.folds.seal(slot);
            return Err(Dropped::Host);
        }
        Ok(())
    }

    /// Moves totals to the outbox as far as it has room. One that cannot be taken out of its slot may be sent
    /// twice: it is known by its id.
    pub(crate) fn flush(&mut self) {
        while let Some(slot) = self.folds.len().checked_sub(1)
            && self.has_room()
        {
            let key = layout::fold(self.index, slot);
            let total = host::shared(key).map(|(total, _)| total).unwrap_or_default();
            if !total.is_empty() && self.append(&total).is_err() {
                return;
            }
            let _ = host::set_shared(key, b"");
            self.folds.pop();
        }
    }
}

/// Totals that stand in a lane.
pub(crate) fn folds_in(lane: u32) -> usize {
    let stands =
        |slot: &usize| host::shared(layout::fold(lane, *slot)).is_ok_and(|(total, _)| !total.is_empty());
    (0..FOLDS_MAX).take_while(stands).count()
}

/// The record with this sequence in a lane's outbox, if it is there.
pub(crate) fn record(lane: u32, sequence: u64, capacity: u64) -> Option<Vec<u8>> {
    let (mut value, _) = host::shared(layout::outbox(lane, sequence % capacity.max(1))).ok()?;
    if layout::read_number(&value) != Some(sequence) {
        return None;
    }
    value.drain(..SEQUENCE_BYTES);
    Some(value)
}

/// Takes acknowledged records out of a lane: everything before `tail`, from `from` on.
pub(crate) fn acknowledge(lane: u32, from: u64, tail: u64, capacity: u64) -> Result<(), Error> {
    for sequence in from..tail {
        host::set_shared(layout::outbox(lane, sequence % capacity.max(1)), b"")?;
    }
    layout::set_number(&layout::lane_tail(lane), tail)
}

/// The first record from `tail` on. Usually that at `tail`; a leader that died while it took acknowledged
/// ones out leaves empty slots before it.
pub(crate) fn first(lane: u32, tail: u64, capacity: u64) -> Option<u64> {
    (tail..tail.saturating_add(capacity)).find(|sequence| record(lane, *sequence, capacity).is_some())
}

/// An id that no VM has: theirs are odd.
const NO_VM: u64 = 2;
/// A record stands behind its sequence.
const SEQUENCE_BYTES: usize = 8;

#[cfg(test)]
mod tests;

use tollgate_core::record::{Head, UsageRecord};

use super::*;
use crate::fixture::{NOW_MS, OUTBOX, config};
use crate::host::simulated::{self, Fault};

fn lane() -> Lane {
    simulated::begin(NOW_MS);
    Lane::claim(1, OUTBOX, NOW_MS).unwrap()
}

fn record_of(id: &str) -> UsageRecord {
    UsageRecord {
        head: Head { id: id.into(), time_ms: NOW_MS, gateway: "edge".into(), ..Head::default() },
        ..UsageRecord::default()
    }
}

/// Fills the outbox.
fn fill(lane: &mut Lane) {
    for number in 0..OUTBOX {
        lane.append(format!("record {number}").as_bytes()).unwrap();
    }
}

const REFUSED: Error = Error(10);

#[test]
fn the_first_vm_makes_the_first_lane() {
    let lane = lane();
    let (owner, _) = Owner::of(0).unwrap();
    assert_eq!(lane.id().lane, 0);
    assert_eq!(owner, Owner { vm: 1, beaten_ms: NOW_MS, capacity: OUTBOX });
}

#[test]
fn each_vm_has_a_lane_of_its_own() {
    let first = lane();
    let second = Lane::claim(3, OUTBOX, NOW_MS).unwrap();
    assert_eq!((first.id().lane, second.id().lane), (0, 1));
}

#[test]
fn a_lane_that_was_given_back_is_taken_first() {
    let first = lane();
    Lane::claim(3, OUTBOX, NOW_MS).unwrap();
    first.release();
    assert_eq!(Lane::claim(5, OUTBOX, NOW_MS).unwrap().id().lane, 0);
    assert_eq!(Owner::of(0).unwrap().0.vm, 5);
}

#[test]
fn a_lane_keeps_the_size_that_it_was_made_with() {
    lane().release();
    assert_eq!(Lane::claim(3, 4 * OUTBOX, NOW_MS).unwrap().capacity, OUTBOX);
}

#[test]
fn a_dead_vms_lane_is_left_to_the_leader() {
    lane();
    let later_ms = NOW_MS + 10 * STALE_MS;
    assert_eq!(Lane::claim(3, OUTBOX, later_ms).unwrap().id().lane, 1);
}

#[test]
fn there_are_so_many_lanes_and_no_more() {
    lane();
    let taken = (1..layout::LANES_MAX).filter_map(|vm| Lane::claim(u64::from(vm), OUTBOX, NOW_MS)).count();
    assert_eq!(taken, layout::LANES_MAX as usize - 1);
    assert!(Lane::claim(1_000, OUTBOX, NOW_MS).is_none());
}

#[test]
fn a_vm_that_comes_too_late_for_a_lane_takes_the_next() {
    simulated::begin(NOW_MS);
    // Reads that there is none, and is too late to make it.
    simulated::plan(1, Fault::Fail(Error::CAS_MISMATCH));
    assert_eq!(Lane::claim(1, OUTBOX, NOW_MS).unwrap().id().lane, 1);
}

#[test]
fn an_owner_is_gone_once_it_has_not_shown_itself_for_long() {
    let owner = Owner { vm: 1, beaten_ms: NOW_MS, capacity: OUTBOX };
    assert!(!owner.is_gone(NOW_MS + STALE_MS));
    assert!(owner.is_gone(NOW_MS + STALE_MS + 1));
    assert!(Owner { vm: 0, ..owner }.is_gone(NOW_MS));
}

#[test]
fn an_owner_shows_itself_once_in_a_heartbeat() {
    let mut lane = lane();
    assert!(lane.beat(NOW_MS + HEARTBEAT_MS - 1));
    assert_eq!(Owner::of(0).unwrap().0.beaten_ms, NOW_MS);
    assert!(lane.beat(NOW_MS + HEARTBEAT_MS));
    assert_eq!(Owner::of(0).unwrap().0.beaten_ms, NOW_MS + HEARTBEAT_MS);
}

#[test]
fn a_vm_whose_lane_was_taken_learns_it_with_its_next_heartbeat() {
    let mut lane = lane();
    let (owner, version) = Owner::of(0).unwrap();
    Owner { vm: 3, ..owner }.swap(0, version).unwrap();
    assert!(!lane.beat(NOW_MS + HEARTBEAT_MS));
    assert_eq!(Owner::of(0).unwrap().0.vm, 3, "it is not taken back");
}

#[test]
fn a_vm_does_not_give_back_what_another_has_taken() {
    let lane = lane();
    let (owner, version) = Owner::of(0).unwrap();
    Owner { vm: 3, ..owner }.swap(0, version).unwrap();
    lane.release();
    lane.abandon();
    assert_eq!(Owner::of(0).unwrap().0.vm, 3);
}

#[test]
fn a_lane_that_is_abandoned_is_gone_and_not_free() {
    lane().abandon();
    let (owner, _) = Owner::of(0).unwrap();
    assert!(owner.is_gone(NOW_MS) && owner.vm != 0);
    assert_eq!(Lane::claim(3, OUTBOX, NOW_MS).unwrap().id().lane, 1);
}

#[test]
fn records_stand_in_the_order_of_their_settlement() {
    let mut lane = lane();
    lane.append(b"one").unwrap();
    lane.append(b"two").unwrap();
    assert_eq!(record(0, 0, OUTBOX).unwrap(), b"one");
    assert_eq!(record(0, 1, OUTBOX).unwrap(), b"two");
    assert_eq!(record(0, 2, OUTBOX), None);
}

#[test]
fn a_full_outbox_takes_nothing_until_something_is_acknowledged() {
    let mut lane = lane();
    fill(&mut lane);
    assert_eq!(lane.append(b"one more"), Err(Dropped::OutboxFull));
    acknowledge(0, 0, 1, OUTBOX).unwrap();
    lane.append(b"one more").unwrap();
    assert_eq!(lane.append(b"two more"), Err(Dropped::OutboxFull));
    assert_eq!(record(0, OUTBOX, OUTBOX).unwrap(), b"one more", "it stands where the first stood");
    assert_eq!(record(0, 0, OUTBOX), None);
}

#[test]
fn a_record_that_the_host_does_not_take_is_dropped_and_its_sequence_used_again() {
    let mut lane = lane();
    simulated::plan(0, Fault::Fail(REFUSED));
    assert_eq!(lane.append(b"lost"), Err(Dropped::Host));
    lane.append(b"kept").unwrap();
    assert_eq!(record(0, 0, OUTBOX).unwrap(), b"kept");
}

#[test]
fn who_takes_a_lane_goes_on_where_its_last_owner_stopped() {
    let mut before = lane();
    before.append(b"one").unwrap();
    before.append(b"two").unwrap();
    acknowledge(0, 0, 1, OUTBOX).unwrap();
    let mut after = Lane::resume(0, 3, NOW_MS);
    assert_eq!((after.tail, after.head), (1, 2));
    after.append(b"three").unwrap();
    assert_eq!(record(0, 2, OUTBOX).unwrap(), b"three");
    assert_eq!(record(0, 1, OUTBOX).unwrap(), b"two");
}

#[test]
fn what_a_leader_took_out_before_it_died_is_passed_over() {
    let mut before = lane();
    for text in ["one", "two", "three"] {
        before.append(text.as_bytes()).unwrap();
    }
    // Two are acknowledged; the leader takes out the records, and dies before it moves the tail.
    simulated::plan(2, Fault::Die);
    assert!(simulated::dies(|| acknowledge(0, 0, 2, OUTBOX).unwrap()));
    assert_eq!(layout::number(&layout::lane_tail(0)), 0);
    assert_eq!(first(0, 0, OUTBOX), Some(2));
    let after = Lane::resume(0, 3, NOW_MS);
    assert_eq!((after.tail, after.head), (2, 3));
}

#[test]
fn a_lane_without_records_begins_at_its_tail() {
    let mut before = lane();
    before.append(b"one").unwrap();
    acknowledge(0, 0, 1, OUTBOX).unwrap();
    let after = Lane::resume(0, 3, NOW_MS);
    assert_eq!((after.tail, after.head), (1, 1));
}

#[test]
fn a_full_outbox_is_resumed_as_full() {
    fill(&mut lane());
    let mut after = Lane::resume(0, 3, NOW_MS);
    assert_eq!(after.append(b"one more"), Err(Dropped::OutboxFull));
}

#[test]
fn what_the_outbox_has_no_room_for_is_folded_into_a_total() {
    let mut lane = lane();
    let one = record_of("a");
    assert_eq!(lane.keep(&one, &one.to_json()), Ok(Kept::Whole));
    for _ in 1..OUTBOX {
        lane.append(b"x").unwrap();
    }
    assert_eq!(lane.keep(&one, &one.to_json()), Ok(Kept::Folded));
    assert_eq!(lane.keep(&one, &one.to_json()), Ok(Kept::Folded));
    assert_eq!(folds_in(0), 1, "calls of one minute and one kind are one total");
    let (total, _) = host::shared(layout::fold(0, 0)).unwrap();
    assert!(String::from_utf8(total).unwrap().contains(r#""folded":2"#));
}

#[test]
fn totals_move_to_the_outbox_as_soon_as_it_has_room() {
    let mut lane = lane();
    fill(&mut lane);
    let record_a = record_of("a");
    lane.keep(&record_a, &record_a.to_json()).unwrap();
    lane.flush();
    assert_eq!(folds_in(0), 1, "there is no room yet");
    acknowledge(0, 0, 2, OUTBOX).unwrap();
    lane.flush();
    assert_eq!(folds_in(0), 0);
    let total = record(0, OUTBOX, OUTBOX).unwrap();
    assert!(String::from_utf8(total).unwrap().contains(r#""folded":1"#));
}

#[test]
fn totals_that_a_vm_left_are_moved_by_who_takes_its_lane() {
    let mut before = lane();
    fill(&mut before);
    let record_a = record_of("a");
    before.keep(&record_a, &record_a.to_json()).unwrap();
    acknowledge(0, 0, 1, OUTBOX).unwrap();
    let mut after = Lane::resume(0, 3, NOW_MS);
    after.flush();
    assert_eq!(folds_in(0), 0);
    assert!(record(0, OUTBOX, OUTBOX).is_some());
}

#[test]
fn a_total_that_cannot_be_written_goes_on_without_the_record() {
    let mut lane = lane();
    fill(&mut lane);
    let record_a = record_of("a");
    lane.keep(&record_a, &record_a.to_json()).unwrap();
    // Behind the look for room.
    simulated::plan(1, Fault::Fail(REFUSED));
    assert_eq!(lane.keep(&record_a, &record_a.to_json()), Err(Dropped::Host));
    assert_eq!(lane.keep(&record_a, &record_a.to_json()), Ok(Kept::Folded));
    assert_eq!(folds_in(0), 2, "the first total does not grow any more");
    let (total, _) = host::shared(layout::fold(0, 0)).unwrap();
    assert!(String::from_utf8(total).unwrap().contains(r#""folded":1"#));
}

#[test]
fn the_journal_has_so_many_slots_and_no_more() {
    let mut lane = lane();
    for _ in 0..JOURNAL_SLOTS {
        assert!(lane.may_note());
        lane.note(b"call").unwrap();
    }
    assert!(!lane.may_note());
    assert_eq!(lane.note(b"call"), None);
}

#[test]
fn a_slot_that_is_cleared_is_empty_and_used_again() {
    let mut lane = lane();
    let slot = lane.note(b"one").unwrap();
    assert_eq!(host::shared(layout::journal(0, slot.slot)).unwrap().0, b"one");
    lane.clear(slot);
    assert_eq!(host::shared(layout::journal(0, slot.slot)).unwrap().0, b"");
    assert_eq!(lane.note(b"two").unwrap().slot, slot.slot);
}

#[test]
fn what_stands_in_a_slot_that_may_be_used_again_stays_until_then() {
    let mut lane = lane();
    let slot = lane.note(b"one").unwrap();
    lane.reuse(slot);
    assert_eq!(host::shared(layout::journal(0, slot.slot)).unwrap().0, b"one");
    assert_eq!(lane.note(b"two").unwrap().slot, slot.slot);
    assert_eq!(host::shared(layout::journal(0, slot.slot)).unwrap().0, b"two");
}

#[test]
fn a_call_that_the_host_does_not_note_takes_no_slot() {
    let mut lane = lane();
    simulated::plan(0, Fault::Fail(REFUSED));
    assert_eq!(lane.note(b"one"), None);
    assert_eq!(lane.free.len(), JOURNAL_SLOTS as usize);
}

#[test]
fn a_slot_of_a_lane_that_was_lost_is_not_written() {
    let mut before = lane();
    let slot = before.note(b"one").unwrap();
    let mut after = Lane::resume(0, 1, NOW_MS + 1);
    assert!(after.has_lost(slot) && !before.has_lost(slot));
    assert!(!after.rewrite(slot, b"two"));
    after.reuse(slot);
    assert_eq!(host::shared(layout::journal(0, slot.slot)).unwrap().0, b"one");
    assert_eq!(after.free.len(), JOURNAL_SLOTS as usize, "its slots are its own");
}

#[test]
fn nobody_recovers_a_slot_of_a_lane_that_was_given_back() {
    let mut before = lane();
    let slot = before.note(b"one").unwrap();
    let after = Lane { given_back: Some(before.id()), ..Lane::resume(0, 1, NOW_MS + 1) };
    assert!(!after.has_lost(slot));
}

mod of_a_vm {
    use super::*;

    fn own() -> OwnLane {
        simulated::begin(NOW_MS);
        OwnLane::new(1, &config())
    }

    #[test]
    fn it_is_claimed_with_the_first_use() {
        let own = own();
        assert_eq!(own.id(), None);
        assert!(Owner::of(0).is_none());
        assert_eq!(own.with(NOW_MS, |lane| lane.id().lane), Some(0));
        assert!(own.id().is_some());
    }

    #[test]
    fn there_is_none_without_a_collector() {
        simulated::begin(NOW_MS);
        let alone = crate::fixture::alone(&serde_json::json!([]));
        assert_eq!(alone.lane.with(NOW_MS, |_| ()), None);
        assert!(Owner::of(0).is_none());
    }

    #[test]
    fn another_is_claimed_where_it_was_lost() {
        let own = own();
        own.with(NOW_MS, |_| ());
        let (owner, version) = Owner::of(0).unwrap();
        Owner { vm: 3, ..owner }.swap(0, version).unwrap();
        assert_eq!(own.with(NOW_MS + HEARTBEAT_MS, |lane| lane.id().lane), Some(1));
    }

    #[test]
    fn a_tick_leaves_a_lane_that_was_lost() {
        let own = own();
        own.with(NOW_MS, |_| ());
        let (owner, version) = Owner::of(0).unwrap();
        Owner { vm: 3, ..owner }.swap(0, version).unwrap();
        own.beat(NOW_MS + HEARTBEAT_MS);
        assert_eq!(own.id(), None);
    }

    #[test]
    fn it_is_known_which_one_was_given_back() {
        let own = own();
        let slot = own.with(NOW_MS, |lane| lane.note(b"one").unwrap()).unwrap();
        own.release();
        assert_eq!(Owner::of(0).unwrap().0.vm, 0);
        assert_eq!(own.with(NOW_MS + 1, |lane| lane.has_lost(slot)), Some(false));
    }
}

mod of_reservations {
    use tollgate_core::budget::Amount;
    use tollgate_core::budget::reservation::Reservation;

    use super::*;

    const ROOM: Reservation = Reservation { amount: Amount(310), calls: 31 };

    #[test]
    fn a_place_names_a_room_by_what_it_holds_and_its_counter() {
        let mut lane = lane();
        let slot = lane.reservations.claim().unwrap();
        let generation = lane.reservations.list(slot, ROOM, b"key");
        assert_eq!(listed(0, slot), Listed { generation, held: ROOM, key: b"key".to_vec() });
    }

    #[test]
    fn its_generation_grows_with_every_change() {
        let mut lane = lane();
        let slot = lane.reservations.claim().unwrap();
        assert_eq!(lane.reservations.list(slot, ROOM, b"key"), 1);
        assert!(lane.reservations.unlist(slot));
        assert_eq!(listed(0, slot).generation, 2);
        assert_eq!(lane.reservations.list(slot, ROOM, b"key"), 3);
    }

    #[test]
    fn it_grows_from_what_the_last_owner_left() {
        let mut before = lane();
        let slot = before.reservations.claim().unwrap();
        before.reservations.list(slot, ROOM, b"key");
        let mut after = Lane::resume(0, 3, NOW_MS);
        assert_eq!(after.reservations.list(slot, ROOM, b"other"), 2);
    }

    #[test]
    fn a_place_without_a_room_has_no_key() {
        let mut lane = lane();
        let slot = lane.reservations.claim().unwrap();
        lane.reservations.list(slot, ROOM, b"key");
        lane.reservations.unlist(slot);
        assert_eq!(listed(0, slot), Listed { generation: 2, ..Listed::default() });
    }

    #[test]
    fn a_dead_vms_room_that_is_given_back_keeps_its_generation() {
        let mut lane = lane();
        let slot = lane.reservations.claim().unwrap();
        let generation = lane.reservations.list(slot, ROOM, b"key");
        assert!(lane.reservations.empty(slot, generation));
        assert_eq!(listed(0, slot), Listed { generation, ..Listed::default() });
    }

    #[test]
    fn a_room_that_the_host_does_not_take_out_keeps_its_generation() {
        let mut lane = lane();
        let slot = lane.reservations.claim().unwrap();
        lane.reservations.list(slot, ROOM, b"key");
        simulated::plan(0, Fault::Fail(REFUSED));
        assert!(!lane.reservations.unlist(slot));
        assert!(lane.reservations.unlist(slot));
        assert_eq!(listed(0, slot).generation, 2);
    }

    #[test]
    fn there_are_so_many_places_and_no_more() {
        let mut lane = lane();
        for _ in 0..RESERVATION_SLOTS {
            lane.reservations.claim().unwrap();
        }
        assert_eq!(lane.reservations.claim(), None);
        lane.reservations.release(7);
        assert_eq!(lane.reservations.claim(), Some(7));
    }

    #[test]
    fn what_is_malformed_names_no_room() {
        simulated::begin(NOW_MS);
        host::set_shared(layout::reservation(0, 0), b"short").unwrap();
        assert_eq!(listed(0, 0), Listed::default());
        assert_eq!(listed(0, 1), Listed::default(), "nothing ever stood there");
    }
}

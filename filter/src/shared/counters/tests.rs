use tollgate_core::budget::counter::{Enforce, Settlement};
use tollgate_core::budget::policy::VALUES_MAX;
use tollgate_core::budget::scope::CounterKey;

use super::*;
use crate::fixture::{NOW_MS, counters as all};
use crate::host::simulated::{self, Fault};

const SPAN: Span = Span { start_ms: NOW_MS, end_ms: NOW_MS + 1_000 };
const LIMIT: Amount = Amount(1_000);

fn key(budget: &str, value: &str) -> Vec<u8> {
    CounterKey { budget: budget.into(), generation: 1, value: value.into(), span: SPAN }.to_bytes()
}

/// A view of an empty table, of a gateway with a collector.
fn begin() -> Counters {
    simulated::begin(NOW_MS);
    Counters::new(true)
}

fn make(counters: &mut Counters, key: &[u8]) -> Result<Amount, Failed> {
    let mut act = |counter: &mut Counter, _: &Rc<Slot>| {
        counter.granted = LIMIT;
        counter.version += 1;
        counter.used
    };
    counters.update(key, (SPAN, LIMIT), NOW_MS, &mut act).map(|(used, _)| used)
}

fn charge(counters: &mut Counters, key: &[u8], amount: i128) -> Result<(), Missed> {
    counters.update_known(key, |counter| counter.charge(Amount(amount)))
}

#[test]
fn a_counter_is_made_where_it_is_missing_and_found_where_it_is() {
    let mut counters = begin();
    make(&mut counters, &key("all", "")).unwrap();
    make(&mut counters, &key("all", "")).unwrap();
    assert_eq!(all().len(), 1);
    assert_eq!(layout::number(layout::COUNTERS_MADE), 1);
}

#[test]
fn a_counter_that_is_missing_is_not_made_to_be_changed() {
    let mut counters = begin();
    assert_eq!(charge(&mut counters, &key("all", ""), 1), Err(Missed::Gone));
    assert!(all().is_empty());
}

#[test]
fn what_one_vm_changes_all_see() {
    let (mut one, mut other) = (begin(), Counters::new(true));
    make(&mut one, &key("all", "")).unwrap();
    charge(&mut one, &key("all", ""), 5).unwrap();
    charge(&mut other, &key("all", ""), 7).unwrap();
    assert_eq!(one.get(&key("all", "")).unwrap().used, Amount(12));
}

#[test]
fn a_change_that_comes_too_late_is_made_on_what_stands_there_then() {
    let mut counters = begin();
    make(&mut counters, &key("all", "")).unwrap();
    simulated::plan(1, Fault::Fail(Error::CAS_MISMATCH));
    let mut tries = 0;
    counters
        .update_known(&key("all", ""), |counter| {
            tries += 1;
            counter.charge(Amount(5));
        })
        .unwrap();
    assert_eq!((tries, all()[0].used), (2, Amount(5)));
}

#[test]
fn who_always_comes_too_late_says_so() {
    let mut counters = begin();
    make(&mut counters, &key("all", "")).unwrap();
    let (bytes, _) = host::shared(layout::counter(slot_of(&key("all", "")))).unwrap();
    simulated::with(|world| world.is_contended = true);
    assert_eq!(charge(&mut counters, &key("all", ""), 5), Err(Missed::Busy));
    simulated::with(|world| world.is_contended = false);
    assert_eq!(host::shared(layout::counter(slot_of(&key("all", "")))).unwrap().0, bytes);
}

fn slot_of(key: &[u8]) -> u64 {
    probes(key, fnv(key)).next().unwrap()
}

#[test]
fn a_host_that_refuses_a_change_is_not_asked_again() {
    let mut counters = begin();
    make(&mut counters, &key("all", "")).unwrap();
    simulated::plan(1, Fault::Fail(Error(10)));
    assert_eq!(charge(&mut counters, &key("all", ""), 5), Err(Missed::Busy));
    assert_eq!(all()[0].used, Amount::ZERO);
}

#[test]
fn what_leaves_a_counter_as_it_was_writes_nothing() {
    let mut counters = begin();
    make(&mut counters, &key("all", "")).unwrap();
    let before = simulated::with(|world| world.changes.len());
    counters.update_known(&key("all", ""), |counter| counter.free()).unwrap();
    assert_eq!(simulated::with(|world| world.changes.len()), before);
}

#[test]
fn a_change_that_is_not_counted_is_written_all_the_same() {
    let mut counters = begin();
    make(&mut counters, &key("all", "")).unwrap();
    counters.update_known(&key("all", ""), |counter| counter.denied += 1).unwrap();
    assert_eq!(all()[0].denied, 1);
}

#[test]
fn where_a_counter_stands_is_remembered() {
    let mut counters = begin();
    make(&mut counters, &key("all", "")).unwrap();
    let before = simulated::with(|world| world.calls);
    counters.get(&key("all", "")).unwrap();
    assert_eq!(simulated::with(|world| world.calls) - before, 1);
}

#[test]
fn a_counter_that_gave_its_slot_away_is_not_taken_for_another() {
    let mut counters = begin();
    make(&mut counters, &key("all", "")).unwrap();
    let other = Counter::new(key("other", ""), SPAN, LIMIT).to_bytes();
    host::set_shared(layout::counter(slot_of(&key("all", ""))), &other).unwrap();
    assert_eq!(counters.get(&key("all", "")), None);
    assert_eq!(charge(&mut counters, &key("all", ""), 1), Err(Missed::Gone));
}

#[test]
fn counters_with_one_hash_stand_behind_each_other() {
    let mut counters = begin();
    let first = key("all", "");
    let second =
        (0..).map(|number| key(&format!("b{number}"), "")).find(|other| slot_of(other) == slot_of(&first));
    let second = second.unwrap();
    make(&mut counters, &first).unwrap();
    make(&mut counters, &second).unwrap();
    charge(&mut counters, &second, 3).unwrap();
    let mut fresh = Counters::new(true);
    assert_eq!(fresh.get(&first).unwrap().used, Amount::ZERO);
    assert_eq!(fresh.get(&second).unwrap().used, Amount(3));
}

#[test]
fn a_slot_is_used_again_once_its_window_is_over_and_the_collector_knows_all_of_it() {
    let mut counters = begin();
    let first = key("all", "");
    let second =
        (0..).map(|number| key(&format!("b{number}"), "")).find(|other| slot_of(other) == slot_of(&first));
    let second = second.unwrap();
    make(&mut counters, &first).unwrap();
    let later = |counters: &mut Counters, key: &[u8]| {
        let new = (SPAN, LIMIT);
        counters.update(key, new, SPAN.end_ms, &mut |counter, _| counter.version += 1).unwrap();
    };
    later(&mut counters, &second);
    assert_eq!(all().len(), 2, "no collector knows the first");
    let third =
        (0..).map(|number| key(&format!("c{number}"), "")).find(|other| slot_of(other) == slot_of(&first));
    counters.update_known(&first, |counter| counter.acknowledged = counter.version).unwrap();
    later(&mut counters, &third.unwrap());
    assert_eq!(all().len(), 2);
    assert!(counters.get(&first).is_none());
}

#[test]
fn the_lock_is_given_back() {
    let mut counters = begin();
    make(&mut counters, &key("all", "")).unwrap();
    assert_eq!(layout::number(layout::COUNTERS_LOCK), 0);
}

#[test]
fn while_another_makes_a_counter_none_is_made() {
    let mut counters = begin();
    layout::set_number(layout::COUNTERS_LOCK, NOW_MS + 1).unwrap();
    assert_eq!(make(&mut counters, &key("all", "")), Err(Failed::Busy));
    assert!(all().is_empty());
}

#[test]
fn a_vm_that_died_with_the_lock_loses_it() {
    let mut counters = begin();
    // It has taken the lock, and dies before it has made the counter.
    simulated::plan(5, Fault::Die);
    assert!(simulated::dies(|| make(&mut counters, &key("all", "")).map(drop).unwrap()));
    let held_until_ms = layout::number(layout::COUNTERS_LOCK);
    assert_eq!(held_until_ms, NOW_MS + LOCK_MS);
    let mut other = Counters::new(true);
    let new = (SPAN, LIMIT);
    other.update(&key("all", ""), new, held_until_ms, &mut |counter, _| counter.version += 1).unwrap();
    assert_eq!(all().len(), 1);
}

#[test]
fn named_values_have_slots_apart_from_all_others() {
    for (value, is_apart) in [("", false), (OTHER, false), (UNKNOWN, false), ("planner", true)] {
        let key = key("agents", value);
        let apart = probes(&key, fnv(&key)).map(|slot| slot >= layout::OWN_COUNTERS);
        assert!(apart.into_iter().all(|apart| apart == is_apart), "`{value}`");
    }
}

#[test]
fn a_counter_is_looked_for_in_so_many_slots() {
    let key = key("agents", "planner");
    let slots: Vec<u64> = probes(&key, u64::MAX).collect();
    assert_eq!(slots.len(), PROBES as usize);
    assert!(slots.iter().all(|slot| (layout::OWN_COUNTERS..layout::COUNTERS_MAX).contains(slot)));
}

#[test]
fn a_budget_with_all_its_values_has_no_room_for_one_more() {
    let mut counters = begin();
    let values = Values::of(&key("agents", "a"), SPAN);
    (0..VALUES_MAX).for_each(|_| values.count(1, NOW_MS));
    assert_eq!(make(&mut counters, &key("agents", "new")), Err(Failed::Full));
    assert!(make(&mut counters, &key("agents", "")).is_ok(), "the counter of the rest is not one of them");
}

#[test]
fn a_value_that_never_spent_makes_room_for_another() {
    let mut counters = begin();
    make(&mut counters, &key("agents", "idle")).unwrap();
    make(&mut counters, &key("agents", "busy")).unwrap();
    charge(&mut counters, &key("agents", "busy"), 5).unwrap();
    let values = Values::of(&key("agents", "a"), SPAN);
    (2..VALUES_MAX).for_each(|_| values.count(1, NOW_MS));
    // What it has is given back first, and told; then it goes.
    assert_eq!(make(&mut counters, &key("agents", "new")), Err(Failed::Full));
    let idle = counters.get(&key("agents", "idle")).unwrap();
    assert_eq!(idle.returned, LIMIT);
    counters.update_known(&key("agents", "idle"), |counter| counter.acknowledged = counter.version).unwrap();
    assert_eq!(make(&mut counters, &key("agents", "new")), Err(Failed::Full), "it looks once a second");
    let later_ms = NOW_MS + EVICT_MS;
    let new = (SPAN, LIMIT);
    let made = counters.update(&key("agents", "new"), new, later_ms, &mut |counter, _| counter.version += 1);
    assert!(made.is_ok());
    assert!(counters.get(&key("agents", "idle")).is_none());
    assert!(counters.get(&key("agents", "busy")).is_some());
}

#[test]
fn siblings_are_of_one_budget_and_window() {
    let later = Span { start_ms: SPAN.end_ms, end_ms: SPAN.end_ms + 1 };
    let other_window =
        CounterKey { budget: "agents".into(), generation: 1, value: "a".into(), span: later }.to_bytes();
    assert!(is_sibling(&key("agents", "a"), &key("agents", "much longer")));
    for other in [key("teams", "a"), other_window, key("agent", "s\0a")] {
        assert!(!is_sibling(&key("agents", "a"), &other), "{other:?}");
    }
}

mod slots {
    use super::*;

    fn keys(slots: &mut OccupiedSlots, now_ms: u64) -> Vec<(Vec<u8>, bool)> {
        slots.counters(now_ms).into_iter().map(|one| (one.counter.key, one.gave_back)).collect()
    }

    #[test]
    fn every_counter_is_seen_and_new_ones_with_the_next_look() {
        let (mut counters, mut slots) = (begin(), OccupiedSlots::default());
        assert!(slots.counters(NOW_MS).is_empty());
        make(&mut counters, &key("all", "")).unwrap();
        assert_eq!(slots.counters(NOW_MS).len(), 1);
        make(&mut counters, &key("agents", "planner")).unwrap();
        assert_eq!(slots.counters(NOW_MS).len(), 2);
    }

    #[test]
    fn the_table_is_not_looked_through_while_no_counter_is_made() {
        let (mut counters, mut slots) = (begin(), OccupiedSlots::default());
        make(&mut counters, &key("all", "")).unwrap();
        slots.counters(NOW_MS);
        let before = simulated::with(|world| world.calls);
        slots.counters(NOW_MS + 1);
        assert_eq!(simulated::with(|world| world.calls) - before, 2, "the number, and the counter");
        slots.counters(NOW_MS + LOOK_MS);
        assert!(simulated::with(|world| world.calls) - before > layout::COUNTERS_MAX as usize);
    }

    #[test]
    fn a_counter_on_which_nothing_was_used_for_long_gives_back_what_it_does_not_need() {
        let (mut counters, mut slots) = (begin(), OccupiedSlots::default());
        make(&mut counters, &key("all", "")).unwrap();
        counters
            .update_known(&key("all", ""), |counter| counter.admit(Amount(10), Enforce::Grant))
            .unwrap()
            .unwrap();
        let settlement = Settlement { charge: Amount(5), ..Settlement::rolled_back(Amount(10)) };
        counters.update_known(&key("all", ""), |counter| counter.settle(settlement)).unwrap();
        assert_eq!(keys(&mut slots, NOW_MS), [(key("all", ""), false)]);
        assert_eq!(keys(&mut slots, NOW_MS + IDLE_MS - 1), [(key("all", ""), false)]);
        assert_eq!(keys(&mut slots, NOW_MS + IDLE_MS), [(key("all", ""), true)]);
        let counter = counters.get(&key("all", "")).unwrap();
        assert_eq!(counter.free(), counter.ease());
    }

    #[test]
    fn a_counter_that_is_used_gives_nothing_back() {
        let (mut counters, mut slots) = (begin(), OccupiedSlots::default());
        make(&mut counters, &key("all", "")).unwrap();
        for step in 0..4 {
            charge(&mut counters, &key("all", ""), 1).unwrap();
            assert!(slots.counters(NOW_MS + step * IDLE_MS).iter().all(|one| !one.gave_back));
        }
        assert_eq!(counters.get(&key("all", "")).unwrap().returned, Amount::ZERO);
    }

    #[test]
    fn who_ends_gives_back_all_that_is_free() {
        let (mut counters, mut slots) = (begin(), OccupiedSlots::default());
        make(&mut counters, &key("all", "")).unwrap();
        make(&mut counters, &key("agents", "planner")).unwrap();
        charge(&mut counters, &key("all", ""), 400).unwrap();
        slots.give_back_all();
        let free = |key: &[u8]| Counters::new(true).get(key).unwrap();
        assert_eq!(free(&key("all", "")).returned, Amount(600));
        assert_eq!(free(&key("agents", "planner")).returned, LIMIT);
    }
}

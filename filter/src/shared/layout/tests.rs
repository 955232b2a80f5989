use std::collections::BTreeSet;

use super::*;
use crate::fixture::NOW_MS;
use crate::host::simulated::{self, Fault};

#[test]
fn no_two_things_have_one_key() {
    let mut keys = BTreeSet::new();
    let mut add = |key: &[u8]| assert!(keys.insert(key.to_vec()), "{}", String::from_utf8_lossy(key));
    for lane in [0, 1, 11] {
        add(lane_owner(lane).as_bytes());
        add(lane_tail(lane).as_bytes());
        for slot in [0, 1, 11] {
            add(journal(lane, slot).as_ref());
            add(reservation(lane, slot).as_ref());
            add(outbox(lane, slot.into()).as_ref());
            add(fold(lane, slot as usize).as_ref());
        }
    }
    for slot in [0, 1, 11] {
        add(counter(slot).as_ref());
        add(deferred(slot).as_bytes());
    }
    for key in [INSTANCE, LEADER, PRICE_EDITION, PRICES, POLICY_EDITION, POLICY, LINK, COUNTERS_LOCK] {
        add(key.as_bytes());
    }
    for key in [COUNTERS_MADE, VALUES, VALUES_SHARED, DROPPED_NO_LANE, DROPPED_OUTBOX_FULL] {
        add(key.as_bytes());
    }
}

#[test]
fn the_longest_key_has_room() {
    let key = slot_key(u32::MAX, b"/o/", u64::MAX);
    assert_eq!(key.as_ref(), format!("tg/1/lane/{}/o/{}", u32::MAX, u64::MAX).as_bytes());
}

#[test]
fn keys_are_what_older_versions_wrote() {
    assert_eq!(journal(3, 17).as_ref(), b"tg/1/lane/3/j/17");
    assert_eq!(reservation(3, 17).as_ref(), b"tg/1/lane/3/r/17");
    assert_eq!(outbox(3, 17).as_ref(), b"tg/1/lane/3/o/17");
    assert_eq!(fold(3, 17).as_ref(), b"tg/1/lane/3/f/17");
    assert_eq!(counter(4_095).as_ref(), b"tg/2/c/4095");
    assert_eq!((lane_owner(3), lane_tail(3)), ("tg/1/lane/3/owner".into(), "tg/1/lane/3/tail".into()));
    assert_eq!(deferred(9), "tg/2/deferred/9");
}

#[test]
fn a_number_that_nobody_wrote_is_nothing() {
    simulated::begin(NOW_MS);
    assert_eq!(number(VALUES_SHARED), 0);
    host::set_shared(VALUES_SHARED, b"short").unwrap();
    assert_eq!(number(VALUES_SHARED), 0);
}

#[test]
fn what_is_added_makes_the_number_and_grows_it() {
    simulated::begin(NOW_MS);
    add(VALUES_SHARED, 2).unwrap();
    add(VALUES_SHARED, 3).unwrap();
    assert_eq!(number(VALUES_SHARED), 5);
}

#[test]
fn a_sum_does_not_begin_anew() {
    simulated::begin(NOW_MS);
    set_number(VALUES_SHARED, u64::MAX).unwrap();
    add(VALUES_SHARED, 1).unwrap();
    assert_eq!(number(VALUES_SHARED), u64::MAX);
}

#[test]
fn who_comes_too_late_to_add_tries_again() {
    simulated::begin(NOW_MS);
    set_number(VALUES_SHARED, 7).unwrap();
    simulated::plan(1, Fault::Fail(Error::CAS_MISMATCH));
    add(VALUES_SHARED, 1).unwrap();
    assert_eq!(number(VALUES_SHARED), 8);
}

#[test]
fn who_always_comes_too_late_gives_up() {
    simulated::begin(NOW_MS);
    simulated::plan(0, Fault::FailOn(Error::CAS_MISMATCH));
    assert_eq!(add(VALUES_SHARED, 1), Err(Error::CAS_MISMATCH));
}

#[test]
fn the_link_to_the_collector_is_read_as_it_was_written() {
    simulated::begin(NOW_MS);
    assert_eq!(Link::load(), Link::default());
    for ahead_ms in [-7, 0, 7] {
        let link = Link { ahead_ms, away_since_ms: 8, acknowledged_ms: NOW_MS };
        link.store();
        assert_eq!(Link::load(), link);
    }
}

#[test]
fn a_link_of_an_older_version_lacks_what_that_did_not_know() {
    simulated::begin(NOW_MS);
    host::set_shared(LINK, &(-7i64).to_le_bytes()).unwrap();
    assert_eq!(Link::load(), Link { ahead_ms: -7, ..Link::default() });
}

use serde_json::json;
use tollgate_core::protocol::sync::SyncRequest;

use super::*;
use crate::fixture::{NOW_MS, OUTBOX};
use crate::host;
use crate::host::simulated::{self, Fault};
use crate::shared::lane::Lane;

const INTERVAL_MS: u64 = 1_000;

fn sender() -> Sender<'static> {
    Sender {
        gateway: "edge",
        instance: "00ab",
        price_version: Some("b1"),
        policy_version: None,
        counts: false,
        clock_ms: NOW_MS,
    }
}

/// A lane with so many records.
fn lane(records: u64) -> Lane {
    simulated::begin(NOW_MS);
    let mut lane = Lane::claim(1, OUTBOX, NOW_MS).unwrap();
    (0..records).for_each(|number| append(&mut lane, number));
    lane
}

fn append(lane: &mut Lane, number: u64) {
    lane.append(json!({"id": format!("r{number}")}).to_string().as_bytes()).unwrap();
}

fn next(sync: &mut Sync, now_ms: u64) -> Option<SyncRequest> {
    let outgoing = sync.next(sender(), INTERVAL_MS, now_ms)?;
    sync.sent(7);
    Some(serde_json::from_slice(&outgoing.body).unwrap())
}

fn ids(request: &SyncRequest) -> Vec<String> {
    let id = |record: &str| {
        serde_json::from_str::<serde_json::Value>(record).unwrap()["id"].as_str().unwrap().to_owned()
    };
    request.records.iter().map(|record| id(record.get())).collect()
}

fn acknowledge(sync: &mut Sync, sequence: u64, now_ms: u64) -> Option<SyncAnswer> {
    let answer =
        json!({"protocol": PROTOCOL, "now_ms": now_ms, "ack": sequence, "stored": 0, "duplicates": 0});
    sync.answered(7, b"200", answer.to_string().as_bytes(), now_ms)
}

#[test]
fn records_are_sent_in_their_order() {
    lane(3);
    let request = next(&mut Sync::default(), NOW_MS).unwrap();
    assert_eq!(ids(&request), ["r0", "r1", "r2"]);
    assert_eq!((request.gateway.as_str(), request.instance.as_str()), ("edge", "00ab"));
    assert_eq!((request.price_version.as_deref(), request.policy_version), (Some("b1"), None));
}

#[test]
fn one_request_is_on_its_way_at_a_time() {
    let mut lane = lane(1);
    let mut sync = Sync::default();
    next(&mut sync, NOW_MS).unwrap();
    append(&mut lane, 1);
    assert!(next(&mut sync, NOW_MS + 10 * INTERVAL_MS).is_none());
}

#[test]
fn records_leave_the_outbox_when_they_are_acknowledged_and_not_before() {
    lane(2);
    let mut sync = Sync::default();
    let request = next(&mut sync, NOW_MS).unwrap();
    assert!(lane::record(0, 1, OUTBOX).is_some());
    acknowledge(&mut sync, request.sequence, NOW_MS).unwrap();
    assert_eq!((lane::record(0, 0, OUTBOX), lane::record(0, 1, OUTBOX)), (None, None));
    assert_eq!(layout::number(&layout::lane_tail(0)), 2);
}

#[test]
fn an_answer_to_another_request_acknowledges_nothing() {
    lane(2);
    let mut sync = Sync::default();
    let request = next(&mut sync, NOW_MS).unwrap();
    assert!(acknowledge(&mut sync, request.sequence - 1, NOW_MS).is_none());
    assert!(lane::record(0, 0, OUTBOX).is_some());
    let again = next(&mut sync, NOW_MS + 2 * INTERVAL_MS).unwrap();
    assert_eq!(ids(&again), ["r0", "r1"]);
    assert!(again.sequence > request.sequence);
}

#[test]
fn an_answer_to_another_call_out_is_not_looked_at() {
    lane(1);
    let mut sync = Sync::default();
    next(&mut sync, NOW_MS).unwrap();
    assert!(sync.answered(8, b"200", b"{}", NOW_MS).is_none());
    assert!(next(&mut sync, NOW_MS + 2 * INTERVAL_MS).is_none(), "its own is still to come");
}

#[test]
fn what_came_meanwhile_is_sent_behind_what_failed() {
    let mut lane = lane(2);
    let mut sync = Sync::default();
    next(&mut sync, NOW_MS).unwrap();
    append(&mut lane, 2);
    sync.failed("reset", NOW_MS);
    append(&mut lane, 3);
    let again = next(&mut sync, NOW_MS + 2 * INTERVAL_MS).unwrap();
    assert_eq!(ids(&again), ["r0", "r1", "r2", "r3"]);
}

#[test]
fn few_records_do_not_wait_for_the_interval() {
    let mut lane = lane(1);
    let mut sync = Sync::default();
    let request = next(&mut sync, NOW_MS).unwrap();
    acknowledge(&mut sync, request.sequence, NOW_MS);
    append(&mut lane, 1);
    assert!(next(&mut sync, NOW_MS + 1).is_some());
}

#[test]
fn many_records_do() {
    let mut lane = lane(0);
    let mut sync = Sync::default();
    let request = next(&mut sync, NOW_MS).unwrap();
    acknowledge(&mut sync, request.sequence, NOW_MS);
    (0..=FEW_RECORDS).for_each(|number| append(&mut lane, number));
    assert!(next(&mut sync, NOW_MS + INTERVAL_MS - 1).is_none());
    assert!(next(&mut sync, NOW_MS + INTERVAL_MS).is_some());
}

#[test]
fn a_full_batch_goes_at_once_and_the_rest_behind_it() {
    let mut lane = lane(0);
    let mut sync = Sync::default();
    let request = next(&mut sync, NOW_MS).unwrap();
    acknowledge(&mut sync, request.sequence, NOW_MS);
    let large = json!({"id": "large", "text": "x".repeat(BATCH_BYTES / 20)}).to_string();
    (0..30).for_each(|_| lane.append(large.as_bytes()).unwrap());
    let full = next(&mut sync, NOW_MS + 1).unwrap();
    assert!((19..=21).contains(&full.records.len()), "{}", full.records.len());
    acknowledge(&mut sync, full.sequence, NOW_MS + 1);
    let rest = next(&mut sync, NOW_MS + 2).unwrap();
    assert_eq!(full.records.len() + rest.records.len(), 30);
}

#[test]
fn without_records_there_is_a_request_in_each_interval() {
    lane(0);
    let mut sync = Sync::default();
    let request = next(&mut sync, NOW_MS).unwrap();
    acknowledge(&mut sync, request.sequence, NOW_MS);
    assert!(next(&mut sync, NOW_MS + INTERVAL_MS - 1).is_none());
    assert!(next(&mut sync, NOW_MS + INTERVAL_MS).is_some());
}

#[test]
fn failures_are_waited_for_longer_and_longer() {
    lane(1);
    let mut sync = Sync::default();
    let mut now_ms = NOW_MS;
    next(&mut sync, now_ms).unwrap();
    for wait_ms in [2, 4, 5, 5, 5].map(|times| times * INTERVAL_MS) {
        sync.failed("reset", now_ms);
        assert!(next(&mut sync, now_ms + wait_ms - 1).is_none(), "after {wait_ms} ms");
        now_ms += wait_ms;
        assert!(next(&mut sync, now_ms).is_some(), "after {wait_ms} ms");
    }
}

#[test]
fn why_they_fail_is_said_once_a_minute() {
    lane(1);
    let mut sync = Sync::default();
    for step in 0..3 {
        next(&mut sync, NOW_MS + step * 15_000).unwrap();
        sync.failed("reset", NOW_MS + step * 15_000);
    }
    let said = || simulated::with(|world| world.log.iter().filter(|line| line.contains("reset")).count());
    assert_eq!(said(), 1);
    next(&mut sync, NOW_MS + SAID_MS).unwrap();
    sync.failed("reset", NOW_MS + SAID_MS);
    assert_eq!(said(), 2);
}

#[test]
fn the_first_failure_tells_all_vms_that_the_collector_is_away() {
    lane(1);
    let mut sync = Sync::default();
    next(&mut sync, NOW_MS).unwrap();
    sync.failed("reset", NOW_MS);
    assert_eq!(Link::load().away_since_ms, NOW_MS);
    next(&mut sync, NOW_MS + 15_000).unwrap();
    sync.failed("reset", NOW_MS + 15_000);
    assert_eq!(Link::load().away_since_ms, NOW_MS, "it is still the same outage");
    let request = next(&mut sync, NOW_MS + 30_000).unwrap();
    acknowledge(&mut sync, request.sequence, NOW_MS + 30_001);
    let link = Link::load();
    assert_eq!((link.away_since_ms, link.acknowledged_ms), (0, NOW_MS + 30_000));
}

#[test]
fn small_differences_of_clocks_change_nothing() {
    lane(0);
    let mut sync = Sync::default();
    let mut told = |ahead_ms: i64, now_ms: u64| {
        let request = next(&mut sync, now_ms).unwrap();
        let theirs = now_ms.saturating_add_signed(ahead_ms);
        let answer = json!({"protocol": PROTOCOL, "now_ms": theirs, "ack": request.sequence, "stored": 0, "duplicates": 0});
        sync.answered(7, b"200", answer.to_string().as_bytes(), now_ms);
        Link::load().ahead_ms
    };
    assert_eq!(told(200, NOW_MS), 0);
    assert_eq!(told(-5_000, NOW_MS + INTERVAL_MS), -5_000);
    assert_eq!(told(-5_100, NOW_MS + 2 * INTERVAL_MS), -5_000);
}

#[test]
fn records_that_the_collector_refuses_are_told_of_and_not_sent_again() {
    lane(2);
    let mut sync = Sync::default();
    let request = next(&mut sync, NOW_MS).unwrap();
    let answer = json!({"protocol": PROTOCOL, "now_ms": NOW_MS, "ack": request.sequence, "stored": 1, "duplicates": 0,
        "rejected": [{"index": 1, "reason": "no provider"}]});
    sync.answered(7, b"200", answer.to_string().as_bytes(), NOW_MS).unwrap();
    assert!(simulated::with(|world| world
        .log
        .iter()
        .any(|line| line.contains("record 1") && line.contains("no provider"))));
    assert!(next(&mut sync, NOW_MS + INTERVAL_MS).unwrap().records.is_empty());
}

#[test]
fn every_lane_is_read_whoever_owns_it() {
    lane(1);
    let mut other = Lane::claim(3, OUTBOX, NOW_MS).unwrap();
    append(&mut other, 10);
    other.release();
    let request = next(&mut Sync::default(), NOW_MS).unwrap();
    assert_eq!(ids(&request), ["r0", "r10"]);
}

#[test]
fn another_leader_sends_what_was_not_acknowledged() {
    lane(2);
    let mut before = Sync::default();
    next(&mut before, NOW_MS).unwrap();
    let mut after = Sync::default();
    after.reset();
    assert_eq!(ids(&next(&mut after, NOW_MS).unwrap()), ["r0", "r1"]);
}

#[test]
fn who_leads_again_reads_the_outboxes_anew() {
    let mut lane = lane(2);
    let mut sync = Sync::default();
    let first = next(&mut sync, NOW_MS).unwrap();
    sync.reset();
    // Another led meanwhile, and had them acknowledged.
    lane::acknowledge(0, 0, 2, OUTBOX).unwrap();
    append(&mut lane, 2);
    let request = next(&mut sync, NOW_MS).unwrap();
    assert_eq!(ids(&request), ["r2"]);
    assert!(request.sequence > first.sequence, "sequences go on");
}

#[test]
fn a_leader_that_cannot_take_records_out_sends_nothing_twice_itself() {
    lane(1);
    let mut sync = Sync::default();
    let request = next(&mut sync, NOW_MS).unwrap();
    // Behind the link that is read and written.
    simulated::plan(2, Fault::Fail(host::Error(10)));
    acknowledge(&mut sync, request.sequence, NOW_MS).unwrap();
    assert_eq!(layout::number(&layout::lane_tail(0)), 0);
    assert!(next(&mut sync, NOW_MS + INTERVAL_MS).unwrap().records.is_empty());
}

#[test]
fn what_is_on_its_way_is_sent_once_more_by_who_ends() {
    let mut lane = lane(1);
    let mut sync = Sync::default();
    next(&mut sync, NOW_MS).unwrap();
    append(&mut lane, 1);
    sync.drain();
    assert_eq!(ids(&next(&mut sync, NOW_MS + 1).unwrap()), ["r0", "r1"]);
}

#[test]
fn what_was_dropped_is_told_by_reason() {
    lane(0);
    layout::add(layout::DROPPED_OUTBOX_FULL, 3).unwrap();
    layout::add(layout::VALUES_SHARED, 4).unwrap();
    let request = next(&mut Sync::default(), NOW_MS).unwrap();
    assert_eq!(request.dropped.into_iter().collect::<Vec<_>>(), [("outbox_full".to_owned(), 3)]);
    assert_eq!(request.values_shared, 4);
}

#[test]
fn a_version_is_told_as_json() {
    lane(0);
    let sender = Sender { price_version: Some("a\"b"), policy_version: Some("p\\1"), ..sender() };
    let outgoing = Sync::default().next(sender, INTERVAL_MS, NOW_MS).unwrap();
    let request: SyncRequest = serde_json::from_slice(&outgoing.body).unwrap();
    assert_eq!(
        (request.price_version.as_deref(), request.policy_version.as_deref()),
        (Some("a\"b"), Some("p\\1"))
    );
}

use serde_json::json;
use tollgate_core::budget::Amount;
use tollgate_core::record::{Head, UsageRecord};

use super::*;
use crate::budgets::{Decision, Waited};
use crate::fixture::{AMPLE, MODEL, NOW_MS, OUTBOX, chat, counter, gateway, grant_wanted};
use crate::host::Error;
use crate::host::simulated::{self, Fault};
use crate::shared::lane::STALE_MS;

/// A gateway whose VM has one call under way, and dies.
fn dead(granted: i128, on_unknown: &str) -> Gateway {
    simulated::begin(NOW_MS);
    let budgets = json!([{"name": "all", "limit_usd": "1", "window": "day", "on_unknown": on_unknown}]);
    let gateway = gateway(1, &budgets);
    let call = chat("call-1", MODEL);
    let decide = || gateway.decide(&call, Waited::No, NOW_MS);
    assert!(matches!(decide(), Decision::Wait));
    grant_wanted(&gateway, granted);
    let Decision::Go(ticket) = decide() else { panic!("it is admitted") };
    gateway.note(&call, &ticket, NOW_MS).unwrap();
    gateway
}

/// Another VM of the same Envoy, with the same policy.
fn other() -> Gateway {
    let gateway = without_lane();
    gateway.budgets.refresh(&gateway.config, NOW_MS);
    gateway.lane.with(LATER_MS, |_| ());
    gateway
}

/// One that has just started.
fn without_lane() -> Gateway {
    Gateway::new(crate::fixture::config(), 3, Vec::new())
}

const LATER_MS: u64 = NOW_MS + STALE_MS + 1;
/// Not ample for a reservation.
const SCARCE: i128 = 100_000;
const HOLD: i128 = 16_140;

fn records() -> Vec<UsageRecord> {
    (0..OUTBOX)
        .filter_map(|sequence| lane::record(0, sequence, OUTBOX))
        .map(|json| serde_json::from_slice(&json).unwrap())
        .collect()
}

#[test]
fn a_live_vms_lane_is_left_alone() {
    dead(SCARCE, "record");
    assert_eq!(recover(&other(), NOW_MS + STALE_MS), 0);
    assert!(records().is_empty());
    assert_eq!(Owner::of(0).unwrap().0.vm, 1);
}

#[test]
fn a_vm_does_not_recover_its_own_lane() {
    let gateway = dead(SCARCE, "record");
    assert_eq!(recover(&gateway, LATER_MS), 0);
    assert_eq!(counter("all").held, Amount(HOLD));
}

#[test]
fn a_call_under_way_becomes_a_record_of_what_is_known() {
    dead(SCARCE, "record");
    assert_eq!(recover(&other(), LATER_MS), 1);
    let records = records();
    assert_eq!(records.len(), 1);
    assert_eq!(
        (records[0].head.id.as_str(), records[0].head.request_model.as_deref()),
        ("call-1", Some(MODEL))
    );
    assert_eq!(records[0].duration_ms, Some(STALE_MS + 1));
}

#[test]
fn what_it_held_is_free_again_where_its_cost_is_the_records() {
    dead(SCARCE, "record");
    recover(&other(), LATER_MS);
    assert_eq!(
        (counter("all").used, counter("all").held, counter("all").in_flight),
        (Amount(0), Amount(0), 0)
    );
    assert_eq!(records()[0].charged_usd, Some(Picodollars::from_pico(0)));
}

#[test]
fn it_stays_charged_where_the_worst_is_kept_and_its_record_says_so() {
    dead(SCARCE, "worst");
    recover(&other(), LATER_MS);
    let counter = counter("all");
    assert_eq!((counter.used, counter.kept, counter.held), (Amount(HOLD), Amount(HOLD), Amount(0)));
    assert_eq!(records()[0].charged_usd, Some(Picodollars::from_pico(HOLD)));
}

#[test]
fn what_is_left_of_a_reservation_is_given_back() {
    dead(AMPLE, "record");
    assert_eq!(counter("all").in_flight, 32);
    recover(&other(), LATER_MS);
    assert_eq!((counter("all").held, counter("all").in_flight), (Amount(0), 0));
    assert!(lane::listed(0, 0).key.is_empty());
}

#[test]
fn it_is_recovered_once() {
    dead(AMPLE, "worst");
    let other = other();
    assert_eq!(recover(&other, LATER_MS), 1);
    let after = counter("all");
    assert_eq!(recover(&other, LATER_MS + STALE_MS + 1), 0);
    assert_eq!((records().len(), counter("all")), (1, after));
}

#[test]
fn the_lane_is_free_then() {
    dead(SCARCE, "record");
    recover(&other(), LATER_MS);
    assert_eq!(Owner::of(0).unwrap().0.vm, 0);
    assert!(lane::Lane::claim(5, OUTBOX, LATER_MS).is_some_and(|lane| lane.id().lane == 0));
}

#[test]
fn what_the_outbox_has_no_room_for_waits_where_it_is() {
    let gateway = dead(SCARCE, "record");
    gateway.lane.with(NOW_MS, |lane| (0..OUTBOX).for_each(|_| lane.append(b"{}").unwrap()));
    let other = other();
    assert_eq!(recover(&other, LATER_MS), 0);
    assert_eq!(counter("all").held, Amount(HOLD), "its call is not settled yet");
    lane::acknowledge(0, 0, OUTBOX, OUTBOX).unwrap();
    assert_eq!(recover(&other, LATER_MS + 1), 1, "nobody waits for the lane to be stale again");
    assert_eq!(counter("all").held, Amount(0));
}

#[test]
fn of_two_vms_that_find_it_one_recovers_it() {
    dead(SCARCE, "worst");
    let other = other();
    // It reads the owner, and another VM is faster.
    simulated::plan(1, Fault::Fail(Error::CAS_MISMATCH));
    assert_eq!(recover(&other, LATER_MS), 0);
    assert_eq!(counter("all").held, Amount(HOLD));
    assert_eq!(recover(&other, LATER_MS), 1);
}

#[test]
fn an_entry_that_cannot_be_cleared_is_not_settled() {
    dead(SCARCE, "worst");
    let other = other();
    simulated::plan(0, Fault::FailOn(Error(10)));
    assert_eq!(recover(&other, LATER_MS), 0);
    simulated::plan(usize::MAX / 2, Fault::Die);
    assert_eq!(counter("all").held, Amount(HOLD));
    assert_eq!(recover(&other, LATER_MS), 1);
}

#[test]
fn totals_of_a_lane_that_was_given_back_are_moved_on() {
    let gateway = dead(SCARCE, "record");
    let record = UsageRecord { head: Head { id: "x".into(), ..Head::default() }, ..UsageRecord::default() };
    gateway.lane.with(NOW_MS, |lane| {
        (0..OUTBOX).for_each(|_| lane.append(b"{}").unwrap());
        lane.keep(&record, &record.to_json()).unwrap();
    });
    gateway.lane.release();
    assert_eq!(lane::folds_in(0), 1);
    lane::acknowledge(0, 0, 1, OUTBOX).unwrap();
    recover(&without_lane(), NOW_MS);
    assert_eq!(lane::folds_in(0), 0);
    assert!(lane::record(0, OUTBOX, OUTBOX).is_some());
}

#[test]
fn without_a_policy_the_hold_is_settled_as_noted() {
    dead(SCARCE, "worst");
    assert_eq!(recover(&without_lane(), LATER_MS), 1);
    assert_eq!((counter("all").used, counter("all").held), (Amount(0), Amount(0)));
}

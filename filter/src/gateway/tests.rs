use serde_json::json;
use tollgate_core::record::Head;

use super::*;
use crate::fixture::*;
use crate::host::simulated::{self, Fault};

fn start() -> (Vm, Collector) {
    simulated::begin(NOW_MS);
    let (mut vm, mut collector) = (Vm::start(&configuration()), Collector::new(&budgets()));
    vm.tick();
    vm.collect(&mut collector);
    (vm, collector)
}

#[test]
fn rows_of_a_book_that_vms_asked_for_stay_whichever_asked() {
    simulated::begin(NOW_MS);
    let (gateway, other) = (Gateway::new(config(), 1, Vec::new()), Gateway::new(config(), 3, Vec::new()));
    adopt(&gateway, Some(&raw(&part(MODEL))), None, NOW_MS);
    adopt(&other, Some(&raw(&part("gpt-n"))), None, NOW_MS);
    assert_eq!(other.book().unwrap().models().len(), 2);
    assert_eq!(gateway.book().unwrap().models().len(), 1);
    gateway.refresh_book();
    assert_eq!(gateway.book().unwrap().models().len(), 2);
}

#[test]
fn a_book_of_another_version_and_one_too_many_take_the_place_of_the_others() {
    simulated::begin(NOW_MS);
    let gateway = Gateway::new(config(), 1, Vec::new());
    adopt(&gateway, Some(&raw(&part(MODEL))), None, NOW_MS);
    let (one, _) = host::shared(layout::PRICES).unwrap();
    host::set_shared(layout::PRICES, &one.repeat(PARTS_BYTES_MAX / one.len())).unwrap();
    adopt(&gateway, Some(&raw(&part("gpt-n"))), None, NOW_MS);
    let ids = |gateway: &Gateway| {
        let book = gateway.book().unwrap();
        book.models().iter().map(|model| model.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&gateway), ["gpt-n"]);
    let other = PriceBook::new("b2".into(), Vec::new());
    adopt(&gateway, Some(&raw(&other)), None, NOW_MS);
    assert_eq!((gateway.book().unwrap().version(), ids(&gateway).len()), ("b2", 0));
    // What cannot be read leaves what holds.
    adopt(&gateway, Some(&raw(&json!({"models": 1}))), None, NOW_MS);
    assert_eq!(gateway.book().unwrap().version(), "b2");
}

#[test]
fn two_vms_that_add_rows_at_once_lose_none() {
    simulated::begin(NOW_MS);
    let gateway = Gateway::new(config(), 1, Vec::new());
    adopt(&gateway, Some(&raw(&part(MODEL))), None, NOW_MS);
    // It has read the book, and another VM is faster.
    simulated::plan(2, Fault::Fail(Error::CAS_MISMATCH));
    adopt(&gateway, Some(&raw(&part("gpt-n"))), None, NOW_MS);
    assert_eq!(gateway.book().unwrap().models().len(), 2);
}

#[test]
fn a_book_that_cannot_be_read_leaves_the_one_that_holds() {
    simulated::begin(NOW_MS);
    let gateway = gateway(1, &json!([]));
    host::set_shared(layout::PRICES, b"{").unwrap();
    host::set_shared(layout::PRICE_EDITION, b"b2").unwrap();
    gateway.refresh_book();
    assert_eq!(gateway.book().unwrap().version(), "b1");
}

#[test]
fn a_record_that_no_lane_takes_is_counted_as_lost() {
    let (mut vm, mut collector) = start();
    (1..layout::LANES_MAX)
        .for_each(|vm| drop(crate::shared::lane::Lane::claim(101 + u64::from(vm), OUTBOX, NOW_MS)));
    let (owner, version) = crate::shared::lane::Owner::of(0).unwrap();
    crate::shared::lane::Owner { vm: 99, ..owner }.swap(0, version).unwrap();
    simulated::pass(crate::shared::lane::HEARTBEAT_MS);
    let (mut call, _) = vm.chat();
    vm.collect(&mut collector);
    answer(&mut call, response(MODEL).as_bytes());
    end(&mut call);
    assert_eq!(layout::number(layout::DROPPED_NO_LANE), 1);
    assert_eq!(counter("all").held.0, 0, "its budgets are charged all the same");
    assert_eq!(counter("all").used.0, COST);
}

#[test]
fn what_a_full_outbox_does_not_take_is_folded_and_counted() {
    let (mut vm, mut collector) = start();
    collector.is_away = true;
    let gateway = vm.gateway();
    let now_ms = simulated::with(|world| world.now_ms);
    gateway.lane.with(now_ms, |lane| (0..OUTBOX).for_each(|_| lane.append(b"{\"id\":\"x\"}").unwrap()));
    let record = UsageRecord { head: Head { id: "y".into(), ..Head::default() }, ..UsageRecord::default() };
    assert!(!gateway.keep(&record, &record.to_json(), None, None, now_ms));
    vm.tick();
    assert_eq!(simulated::with(|world| world.metrics["tollgate_records_folded_total"]), 1);
    collector.is_away = false;
    for _ in 0..80 {
        vm.tick();
        vm.collect(&mut collector);
    }
    assert_eq!(collector.folded.len(), 1);
}

#[test]
fn a_secret_gives_prints_of_requests_and_hashes_of_keys() {
    simulated::begin(NOW_MS);
    assert!(Gateway::new(config(), 1, Vec::new()).print_key.is_none());
    assert!(Gateway::new(config(), 1, b"secret".to_vec()).print_key.is_some());
}

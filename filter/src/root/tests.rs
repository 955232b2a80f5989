use serde_json::json;

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

fn configure(json: &str) -> (bool, Root) {
    simulated::with(|world| world.buffers.insert(Buffer::PluginConfiguration as u32, json.into()));
    let mut root = Root::new(1);
    (root.on_configure(json.len()), root)
}

#[test]
fn a_plugin_that_is_configured_ticks() {
    simulated::begin(NOW_MS);
    let (accepted, root) = configure(&configuration().to_string());
    assert!(accepted && root.gateway.is_some());
    assert_eq!(simulated::with(|world| world.tick_period_ms), TICK_MS);
}

#[test]
fn a_configuration_with_mistakes_is_refused_and_all_are_named() {
    simulated::begin(NOW_MS);
    let (accepted, _) = configure(r#"{"gateway":"a b","outbox_records":1}"#);
    let log = simulated::with(|world| world.log.join("\n"));
    assert!(!accepted);
    assert!(log.contains("gateway") && log.contains("outbox_records"), "{log}");
}

#[test]
fn a_configuration_that_the_host_does_not_give_is_refused() {
    simulated::begin(NOW_MS);
    simulated::with(|world| world.buffers.clear());
    assert!(!Root::new(1).on_configure(10));
}

#[test]
fn the_keeper_of_shared_data_needs_none_and_does_nothing() {
    simulated::begin(NOW_MS);
    simulated::with(|world| world.properties.insert(b"plugin_root_id".to_vec(), KEEPER.to_vec()));
    let (accepted, mut root) = configure("");
    root.on_tick();
    assert!(accepted && root.on_done() && root.gateway.is_none());
    assert!(simulated::with(|world| world.shared.is_empty() && world.tick_period_ms == 0));
}

#[test]
fn a_host_without_ticks_is_refused() {
    simulated::begin(NOW_MS);
    let text = configuration().to_string();
    let last = {
        configure(&text);
        simulated::with(|world| world.calls)
    };
    simulated::begin(NOW_MS);
    simulated::with(|world| world.buffers.insert(Buffer::PluginConfiguration as u32, text.clone().into()));
    simulated::plan(last - 1, Fault::Fail(Error(12)));
    assert!(!Root::new(1).on_configure(text.len()));
}

#[test]
fn the_first_request_brings_prices_and_policy() {
    let (vm, collector) = start();
    let gateway = vm.gateway();
    assert_eq!(gateway.book().unwrap().version(), "b1");
    assert_eq!(gateway.budgets.policy().unwrap().version, "p1");
    assert_eq!(collector.requests.len(), 1);
}

#[test]
fn they_are_not_asked_for_again() {
    let (mut vm, mut collector) = start();
    for _ in 0..8 {
        vm.tick();
        vm.collect(&mut collector);
    }
    let last = collector.requests.last().unwrap();
    assert_eq!((last.price_version.as_deref(), last.policy_version.as_deref()), (Some("b1"), Some("p1")));
}

#[test]
fn another_vm_has_them_from_shared_data() {
    let (_, mut collector) = start();
    let mut other = Vm::start(&configuration());
    assert_eq!(other.gateway().book().unwrap().version(), "b1");
    other.tick();
    other.collect(&mut collector);
    assert_eq!(other.gateway().budgets.policy().unwrap().version, "p1");
}

#[test]
fn one_vm_of_an_envoy_talks_to_the_collector() {
    let (mut vm, mut collector) = start();
    let mut other = Vm::start(&configuration());
    for _ in 0..8 {
        vm.tick();
        vm.collect(&mut collector);
        let before = simulated::with(|world| world.posts.len());
        other.root.on_tick();
        assert_eq!(simulated::with(|world| world.posts.len()), before);
    }
}

#[test]
fn when_it_is_gone_another_does() {
    let (_, mut collector) = start();
    let mut other = Vm::start(&configuration());
    simulated::pass(5_000);
    other.tick();
    let before = collector.requests.len();
    other.collect(&mut collector);
    assert!(collector.requests.len() > before);
}

#[test]
fn rows_of_a_book_that_vms_asked_for_stay_whichever_asked() {
    simulated::begin(NOW_MS);
    let (gateway, other) = (Gateway::new(config(), 1, Vec::new()), Gateway::new(config(), 3, Vec::new()));
    take_in(&gateway, Some(&part(MODEL)), None, NOW_MS);
    take_in(&other, Some(&part("gpt-n")), None, NOW_MS);
    assert_eq!(other.book().unwrap().models().len(), 2);
    assert_eq!(gateway.book().unwrap().models().len(), 1);
    gateway.refresh_book();
    assert_eq!(gateway.book().unwrap().models().len(), 2);
}

#[test]
fn two_vms_that_add_rows_at_once_lose_none() {
    simulated::begin(NOW_MS);
    let gateway = Gateway::new(config(), 1, Vec::new());
    take_in(&gateway, Some(&part(MODEL)), None, NOW_MS);
    // It has read the book, and another VM is faster.
    simulated::plan(1, Fault::Fail(Error::CAS_MISMATCH));
    take_in(&gateway, Some(&part("gpt-n")), None, NOW_MS);
    assert_eq!(gateway.book().unwrap().models().len(), 2);
}

#[test]
fn a_book_that_cannot_be_read_leaves_the_one_that_holds() {
    simulated::begin(NOW_MS);
    let gateway = gateway(1, &json!([]));
    host::set_shared(shared::PRICES, b"{").unwrap();
    host::set_shared(shared::PRICE_EDITION, b"b2").unwrap();
    gateway.refresh_book();
    assert_eq!(gateway.book().unwrap().version(), "b1");
}

#[test]
fn who_is_drained_sends_what_waits_and_gives_back_what_is_free() {
    let (mut vm, mut collector) = start();
    let (mut call, _) = vm.chat();
    vm.collect(&mut collector);
    answer(&mut call, response(MODEL).as_bytes());
    end(&mut call);
    vm.root.on_done();
    vm.collect_one(&mut collector);
    assert_eq!(collector.records.len(), 1);
    let report =
        collector.requests.last().unwrap().counters.iter().find(|one| one.key.budget == "all").unwrap();
    assert_eq!((report.report.used.0, report.report.held.0), (COST, 0));
    assert_eq!(counter("all").free().0, 0);
}

#[test]
fn who_is_drained_lets_another_lead_and_have_its_lane() {
    let (mut vm, mut collector) = start();
    vm.chat();
    vm.collect(&mut collector);
    vm.root.on_done();
    assert!(leader::lead(99, simulated::with(|world| world.now_ms)));
    assert_eq!(crate::lane::Owner::of(0).unwrap().0.vm, 0);
}

#[test]
fn a_record_that_no_lane_takes_is_counted_as_lost() {
    let (mut vm, mut collector) = start();
    (1..shared::LANES_MAX).for_each(|vm| drop(crate::lane::Lane::claim(101 + u64::from(vm), OUTBOX, NOW_MS)));
    let (owner, version) = crate::lane::Owner::of(0).unwrap();
    crate::lane::Owner { vm: 99, ..owner }.swap(0, version).unwrap();
    simulated::pass(crate::lane::HEARTBEAT_MS);
    let (mut call, _) = vm.chat();
    vm.collect(&mut collector);
    answer(&mut call, response(MODEL).as_bytes());
    end(&mut call);
    assert_eq!(shared::number(shared::DROPPED_NO_LANE), 1);
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
    let record = UsageRecord { id: "y".into(), ..UsageRecord::default() };
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

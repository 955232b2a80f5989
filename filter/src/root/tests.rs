use super::*;
use crate::fixture::*;
use crate::host::Error;
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
    assert_eq!(crate::shared::lane::Owner::of(0).unwrap().0.vm, 0);
}

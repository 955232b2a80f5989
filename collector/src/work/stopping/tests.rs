use tollgate_core::money::Picodollars;
use tollgate_core::record::Head;

use super::*;
use crate::store::{Batch, Sender};

const NOW_MS: u64 = 1_795_564_800_000; // 2026-11-25T00:00:00Z

fn limit() -> RunLimit {
    RunLimit { name: "loops".into(), max_calls: Some(4), max_depth: Some(3), ..RunLimit::default() }
}

fn call(number: u64, run: &str, parent: Option<&str>) -> UsageRecord {
    let mut record = UsageRecord {
        head: Head {
            id: format!("01890a5d-ac96-774b-8000-{number:012x}"),
            time_ms: NOW_MS,
            gateway: "edge".into(),
            provider: "openai".into(),
            operation: "chat".into(),
            request_model: Some("gpt-x".into()),
            ..Head::default()
        },
        cost_usd: Picodollars::from_pico(1_000_000_000_000),
        ..UsageRecord::default()
    };
    record.head.attribution.run = Some(run.into());
    record.head.attribution.parent_run = parent.map(str::to_owned);
    record
}

/// Runs that are stopped by these calls.
fn stopped(limit: RunLimit, calls: &[(&str, Option<&str>)]) -> Vec<String> {
    let mut runs = Runs::default();
    for (number, (run, parent)) in (0..).zip(calls) {
        runs.count(&call(number, run, *parent), std::slice::from_ref(&limit), NOW_MS);
    }
    let mut names: Vec<String> = runs.stopped.iter().map(|(stop, _)| stop.run.clone()).collect();
    let in_order: Vec<u64> = runs.stopped.iter().map(|(stop, _)| stop.seq).collect();
    assert!(in_order.is_sorted_by(|one, other| one < other), "{in_order:?}");
    names.sort();
    names
}

#[test]
fn a_run_that_made_its_calls_is_stopped_with_all_that_it_started() {
    let three = [("r", None), ("s", Some("r")), ("r", None)];
    assert_eq!(stopped(limit(), &three), [""; 0]);
    let four = [three.as_slice(), &[("s", None)]].concat();
    assert_eq!(stopped(limit(), &four), ["r", "s"]);
    // What it starts afterwards, too, once.
    let more = [four.as_slice(), &[("t", Some("s")), ("t", None), ("other", None)]].concat();
    assert_eq!(stopped(limit(), &more), ["r", "s", "t"]);
}

#[test]
fn dollars_count_for_the_whole_run() {
    let limit = RunLimit { max_calls: None, max_cost: Some(Amount(2_500_000_000_000)), ..limit() };
    assert_eq!(stopped(limit.clone(), &[("r", None), ("s", Some("r"))]), [""; 0]);
    assert_eq!(stopped(limit, &[("r", None), ("s", Some("r")), ("s", None)]), ["r", "s"]);
}

#[test]
fn of_a_run_that_is_too_deep_only_the_deep_part_is_stopped() {
    let limit = RunLimit { max_calls: None, ..limit() };
    let chain = [("a", None), ("b", Some("a")), ("c", Some("b")), ("d", Some("c")), ("a", None)];
    assert_eq!(stopped(limit, &chain), ["d"]);
}

#[test]
fn refused_calls_and_calls_of_other_scopes_stop_nothing() {
    let mut runs = Runs::default();
    for number in 0..9 {
        let denied = UsageRecord { outcome: Outcome::Denied, ..call(number, "r", None) };
        runs.count(&denied, &[limit()], NOW_MS);
    }
    let scope: tollgate_core::budget::scope::Scope = serde_json::from_str(r#"{"agent":["bot"]}"#).unwrap();
    for number in 9..20 {
        runs.count(&call(number, "r", None), &[RunLimit { scope: scope.clone(), ..limit() }], NOW_MS);
    }
    assert_eq!(runs.stopped.len(), 0);
}

#[tokio::test]
async fn gateways_hear_of_each_stop_until_they_have_heard_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let limits = [limit()];
    let ingest = async |from: u64, to: u64| {
        let mut batch = Batch::new(Sender { received_ms: NOW_MS, ..Sender::default() });
        (from..to).for_each(|number| batch.push(&call(number, "r", None)).unwrap());
        store.ingest(batch).await.unwrap();
    };
    let stopping = Stopping::default();
    ingest(0, 3).await;
    assert_eq!(stopping.since(&store, &limits, 0, NOW_MS).await.unwrap(), []);
    ingest(3, 4).await;
    let told = stopping.since(&store, &limits, 0, NOW_MS).await.unwrap();
    assert_eq!((told.len(), told[0].run.as_str(), told[0].limit), (1, "r", limit().id()));
    // Another gateway hears the same; one that has heard of it does not hear it again.
    assert_eq!(stopping.since(&store, &limits, 0, NOW_MS).await.unwrap(), told);
    assert_eq!(stopping.since(&store, &limits, told[0].seq, NOW_MS).await.unwrap(), []);
    // A collector that starts reads what is not long ago.
    let anew = Stopping::default().since(&store, &limits, told[0].seq, NOW_MS + 5).await.unwrap();
    assert_eq!((anew.len(), anew[0].run.as_str()), (1, "r"));
    assert!(anew[0].seq > told[0].seq);
    assert_eq!(stopping.since(&store, &[], 0, NOW_MS).await.unwrap(), []);
}

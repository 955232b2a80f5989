use std::cell::RefCell;

use super::*;
use crate::fixture::NOW_MS;
use crate::host::simulated;

fn of<'c>(run: &'c str, parent: Option<&'c str>, cost: i128) -> OfRun<'c> {
    OfRun { limits: Vec::new(), run: Some(run), parent, request: None, cost: Amount(cost) }
}

/// Counts a call, and gives what its run had done before.
fn count(run: &str, parent: Option<&str>, now_ms: u64) -> (RunSoFar, Counted) {
    let seen = RefCell::new(RunSoFar::default());
    let counted = begin(&of(run, parent, 10), "a", now_ms, |so_far| -> Option<()> {
        *seen.borrow_mut() = *so_far;
        None
    });
    (seen.into_inner(), counted.unwrap())
}

#[test]
fn what_a_run_starts_counts_with_it_as_deep_as_it_is() {
    simulated::begin(NOW_MS);
    let (first, _) = count("root", None, NOW_MS);
    assert_eq!(first, RunSoFar { depth: 1, ..RunSoFar::default() });
    assert_eq!(
        count("child", Some("root"), NOW_MS).0,
        RunSoFar { depth: 2, calls: 1, cost: Amount(10), ..first }
    );
    assert_eq!(count("grandchild", Some("child"), NOW_MS).0.depth, 3);
    // It need not say so again, and cannot say otherwise.
    assert_eq!(count("grandchild", None, NOW_MS).0.depth, 3);
    assert_eq!(count("grandchild", Some("other"), NOW_MS).0.calls, 4);
    assert_eq!(count("other", None, NOW_MS).0.calls, 0);
    // A run whose starter was never seen is one below it all the same.
    assert_eq!(count("late", Some("unseen"), NOW_MS).0.depth, 2);
    assert_eq!(count("unseen", None, NOW_MS).0, RunSoFar { depth: 1, calls: 1, cost: Amount(10), ..first });
    // Nobody starts itself.
    assert_eq!(count("own", Some("own"), NOW_MS).0.depth, 1);
}

#[test]
fn what_a_call_cost_takes_the_place_of_what_it_held() {
    simulated::begin(NOW_MS);
    let (_, first) = count("r", None, NOW_MS);
    let (_, second) = count("r", None, NOW_MS);
    first.settle(Amount(3), NOW_MS);
    assert_eq!(count("r", None, NOW_MS).0.cost, Amount(13));
    second.take_back(NOW_MS);
    let (so_far, _) = count("r", None, NOW_MS);
    assert_eq!((so_far.calls, so_far.cost), (2, Amount(13)));
}

#[test]
fn a_refused_call_is_not_counted() {
    simulated::begin(NOW_MS);
    assert_eq!(begin(&of("r", None, 10), "a", NOW_MS, |_| Some("no")).unwrap_err(), "no");
    assert_eq!(count("r", None, NOW_MS).0.calls, 0);
}

#[test]
fn a_run_is_stopped_with_all_that_it_starts() {
    simulated::begin(NOW_MS);
    count("child", Some("root"), NOW_MS);
    stop("root", 7, NOW_MS);
    stop("unseen", 8, NOW_MS);
    for (run, parent, limit) in [
        ("root", None, 7),
        ("child", None, 7),
        ("new", Some("root"), 7),
        ("x", Some("unseen"), 8),
        ("y", None, 0),
    ] {
        assert_eq!(count(run, parent, NOW_MS).0.stopped_by, limit, "{run}");
    }
}

#[test]
fn requests_are_counted_by_agent_within_a_minute() {
    simulated::begin(NOW_MS);
    let again = |agent: &str, run: Option<&'static str>, now_ms: u64| {
        let of = OfRun { request: Some("print".into()), run, ..of("", None, 0) };
        let mut seen = 0;
        let counted = begin(&of, agent, now_ms, |so_far| -> Option<()> {
            seen = so_far.repeats;
            None
        });
        (seen, counted.unwrap())
    };
    assert_eq!(again("a", None, NOW_MS).0, 0);
    assert_eq!(again("a", Some("r"), NOW_MS + 30_000).0, 1);
    assert_eq!(again("b", None, NOW_MS + 30_000).0, 0);
    let (seen, counted) = again("a", None, NOW_MS + 59_999);
    assert_eq!(seen, 2);
    counted.take_back(NOW_MS + 59_999);
    assert_eq!(again("a", None, NOW_MS + 59_999).0, 2);
    assert_eq!(again("a", None, NOW_MS + 60_000).0, 0);
}

#[test]
fn invented_runs_push_out_each_other_and_not_a_busy_one() {
    simulated::begin(NOW_MS);
    for _ in 0..3 {
        count("busy", None, NOW_MS);
    }
    for number in 0..40_000 {
        count(&format!("invented-{number}"), None, NOW_MS + number);
    }
    assert_eq!(count("busy", None, NOW_MS + 40_000).0.calls, 3);
    let kept: usize = (0..BUCKETS)
        .filter_map(|bucket| host::shared(layout::run(bucket)).ok())
        .map(|(bytes, _)| bytes.len())
        .sum();
    assert!(kept <= 1_024 * 8 * 64, "{kept}");
}

#[test]
fn a_run_of_yesterday_begins_anew() {
    simulated::begin(NOW_MS);
    count("r", None, NOW_MS);
    assert_eq!(count("r", None, NOW_MS + FORGOTTEN_MS - 1).0.calls, 1);
    assert_eq!(count("r", None, NOW_MS + 2 * FORGOTTEN_MS).0.calls, 0);
}

use tollgate_core::attribution::Attribution;
use tollgate_core::money::Picodollars;
use tollgate_core::record::Head;
use tollgate_core::usage::Usage;

use super::*;
use crate::fixture::NOW_MS;
use crate::host::simulated::{self, Fault};

fn record_of(team: &str, cost_pico: i128) -> UsageRecord {
    UsageRecord {
        head: Head {
            provider: "openai".into(),
            response_model: Some("gpt-m".into()),
            attribution: Attribution { team: team.into(), ..Attribution::default() },
            ..Head::default()
        },
        usage: Usage { input_tokens: Some(20), output_tokens: Some(10), ..Usage::default() },
        cost_usd: Picodollars::from_pico(cost_pico),
        duration_ms: Some(7),
        ..UsageRecord::default()
    }
}

fn begin() -> Metrics {
    simulated::begin(NOW_MS);
    Metrics::default()
}

fn stat(name: &str) -> Option<i64> {
    simulated::with(|world| world.metrics.get(name).copied())
}

const SEARCH: &str = "provider=.openai.;model=.gpt-m.;team=.search.;";

#[test]
fn a_call_counts_by_provider_model_and_team() {
    let mut metrics = begin();
    metrics.settled(&record_of("search", 3_000));
    metrics.settled(&record_of("search", 4_000));
    metrics.flush();
    let of = |name: &str| stat(&format!("{name}.{SEARCH}"));
    assert_eq!(of("tollgate_calls_total"), Some(2));
    assert_eq!(of("tollgate_input_tokens_total"), Some(40));
    assert_eq!(of("tollgate_output_tokens_total"), Some(20));
    assert_eq!(of("tollgate_cost_nanodollars_total"), Some(7));
    assert_eq!(of("tollgate_call_duration_ms"), Some(2));
}

#[test]
fn counters_show_with_the_next_flush_and_once() {
    let mut metrics = begin();
    metrics.settled(&record_of("search", 0));
    assert_eq!(stat(&format!("tollgate_calls_total.{SEARCH}")), Some(0));
    metrics.flush();
    metrics.flush();
    assert_eq!(stat(&format!("tollgate_calls_total.{SEARCH}")), Some(1));
}

#[test]
fn parts_of_a_nano_dollar_add_up() {
    let mut metrics = begin();
    for _ in 0..5 {
        metrics.settled(&record_of("search", 700));
    }
    metrics.flush();
    assert_eq!(stat(&format!("tollgate_cost_nanodollars_total.{SEARCH}")), Some(3));
}

#[test]
fn a_metric_is_defined_once() {
    let mut metrics = begin();
    metrics.settled(&record_of("search", 0));
    metrics.count("tollgate_reads_total", 1);
    let before = simulated::with(|world| world.changes.len());
    metrics.count("tollgate_reads_total", 1);
    metrics.denied(Reason::BudgetSpent);
    metrics.denied(Reason::BudgetSpent);
    assert_eq!(simulated::with(|world| world.changes.len()) - before, 1, "one for the refusals");
}

#[test]
fn what_callers_name_is_bounded() {
    let mut metrics = begin();
    for team in 0..2 * SERIES_MAX {
        metrics.settled(&record_of(&format!("team-{team}"), 0));
    }
    metrics.flush();
    assert_eq!(metrics.series.len(), SERIES_MAX + 1);
    let other = "tollgate_calls_total.provider=.other.;model=.other.;team=.other.;";
    assert_eq!(stat(other), Some(SERIES_MAX as i64));
}

#[test]
fn a_label_cannot_end_itself_nor_be_long() {
    assert_eq!(label("a.;b=.c"), "a._b_.c");
    assert_eq!(label("a b\n\"é"), "a_b___");
    assert_eq!(label("gpt-4.1:free/x@y"), "gpt-4.1:free/x@y");
    assert_eq!(label(&"x".repeat(1_000)).len(), 64);
}

#[test]
fn every_reason_of_a_refusal_has_a_stat_of_its_own() {
    let mut metrics = begin();
    let reasons = [
        Reason::BudgetSpent,
        Reason::BudgetBusy,
        Reason::CollectorAway,
        Reason::ModelNotPriced,
        Reason::PriceUnknown,
        Reason::DeferredNotAllowed,
        Reason::NotMetered,
        Reason::AmbiguousRequest,
        Reason::UnreadableRequest,
    ];
    for reason in reasons {
        metrics.denied(reason);
    }
    metrics.flush();
    for reason in reasons {
        let name = format!("tollgate_denied_total.reason=.{}.;", reason.name());
        assert_eq!(stat(&name), Some(1), "{name}");
    }
}

#[test]
fn a_metric_that_the_host_does_not_define_is_not_told() {
    let mut metrics = begin();
    simulated::plan(0, Fault::Fail(host::Error(10)));
    metrics.count("tollgate_reads_total", 1);
    metrics.count("tollgate_requests_unread_total", 1);
    metrics.flush();
    assert_eq!(stat("tollgate_reads_total"), None);
    assert_eq!(stat("tollgate_requests_unread_total"), Some(1));
}

#[test]
fn a_model_that_nobody_knows_counts_as_unknown() {
    let mut metrics = begin();
    let mut nameless = record_of("search", 0);
    nameless.head.response_model = None;
    metrics.settled(&nameless);
    metrics.flush();
    assert_eq!(stat("tollgate_calls_total.provider=.openai.;model=.unknown.;team=.search.;"), Some(1));
}

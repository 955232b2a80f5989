use tollgate_core::budget::scope::CounterKey;

use super::*;
use crate::fixture::NOW_MS;
use crate::host::simulated;

const SPAN: Span = Span { start_ms: NOW_MS, end_ms: NOW_MS + 1_000 };

fn key(budget: &str, generation: u64, value: &str, span: Span) -> Vec<u8> {
    CounterKey { budget: budget.into(), generation, value: value.into(), span }.to_bytes()
}

fn values(budget: &str, generation: u64) -> Values {
    Values::of(&key(budget, generation, "a", SPAN), SPAN)
}

#[test]
fn a_budget_has_so_many_values_and_no_more() {
    simulated::begin(NOW_MS);
    let values = values("agents", 1);
    for _ in 0..VALUES_MAX {
        assert!(values.may_be_more(NOW_MS));
        values.count(1, NOW_MS);
    }
    assert!(!values.may_be_more(NOW_MS));
}

#[test]
fn a_value_that_went_makes_room_for_one() {
    simulated::begin(NOW_MS);
    let values = values("agents", 1);
    (0..VALUES_MAX).for_each(|_| values.count(1, NOW_MS));
    values.count(-1, NOW_MS);
    assert!(values.may_be_more(NOW_MS));
    values.count(1, NOW_MS);
    assert!(!values.may_be_more(NOW_MS));
}

#[test]
fn budgets_do_not_take_each_others_values() {
    simulated::begin(NOW_MS);
    (0..VALUES_MAX).for_each(|_| values("agents", 1).count(1, NOW_MS));
    assert!(values("teams", 1).may_be_more(NOW_MS));
    assert!(values("agents", 2).may_be_more(NOW_MS), "another generation counts anew");
}

#[test]
fn values_of_one_budget_and_window_are_counted_together() {
    let span = SPAN;
    let one = Values::of(&key("agents", 1, "a", span), span);
    let other = Values::of(&key("agents", 1, "a much longer name", span), span);
    assert_eq!((one.budget, one.span), (other.budget, other.span));
}

#[test]
fn each_window_counts_anew() {
    simulated::begin(NOW_MS);
    (0..VALUES_MAX).for_each(|_| values("agents", 1).count(1, NOW_MS));
    let next = Span { start_ms: SPAN.end_ms, end_ms: SPAN.end_ms + 1_000 };
    assert!(Values::of(&key("agents", 1, "a", next), next).may_be_more(NOW_MS));
}

#[test]
fn entries_of_windows_that_are_over_make_room() {
    simulated::begin(NOW_MS);
    for budget in 0..ENTRIES_MAX {
        values(&format!("b{budget}"), 1).count(1, NOW_MS);
    }
    let next = Span { start_ms: SPAN.end_ms, end_ms: SPAN.end_ms + 1_000 };
    let late = Values::of(&key("late", 1, "a", next), next);
    assert!(!late.may_be_more(NOW_MS), "the list is full");
    assert!(late.may_be_more(SPAN.end_ms));
    late.count(1, SPAN.end_ms);
    assert_eq!(read().len(), 1);
}

#[test]
fn values_that_go_are_not_counted_below_nothing() {
    simulated::begin(NOW_MS);
    let values = values("agents", 1);
    values.count(-1, NOW_MS);
    values.count(-1, NOW_MS);
    assert_eq!(read()[0][3], 0);
}

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use tollgate_core::budget::Amount;
use tollgate_core::budget::counter::Settlement;
use tollgate_core::budget::ledger::Want;
use tollgate_core::call::refusal::Reason;
use tollgate_core::protocol::sync::SyncRequest;

use super::*;
use crate::budgets::{Decision, Waited};
use crate::fixture::{AMPLE, MODEL, NOW_MS, chat, counter, gateway, grant};
use crate::gateway::waiting::{Outcome, Parked};
use crate::host::simulated;

fn begin() -> Gateway {
    simulated::begin(NOW_MS);
    gateway(1, &json!([{"name": "all", "limit_usd": "1", "window": "day"}]))
}

/// Parks a call for which a collector must be asked.
fn park(gateway: &Gateway, context: u32) -> Rc<RefCell<Parked>> {
    let call = chat(&format!("call-{context}"), MODEL);
    assert!(matches!(gateway.decide(&call, Waited::No, NOW_MS), Decision::Wait));
    gateway.waiting.park(context, gateway.budgets.share(&call, NOW_MS), Box::new(call), NOW_MS)
}

fn questions() -> Vec<SyncRequest> {
    simulated::with(|world| {
        world.posts.iter().map(|post| serde_json::from_slice(&post.body).unwrap()).collect()
    })
}

/// The collector answers the last question: so much in all on each counter.
fn answer(gateway: &Gateway, granted: i128, now_ms: u64) {
    let question = questions().pop().unwrap();
    let grants: Vec<Value> = question
        .counters
        .iter()
        .map(|report| {
            json!(grant(report, Amount(granted), if granted > 0 { Want::Granted } else { Want::Exhausted }))
        })
        .collect();
    let body = json!({"protocol": 2, "now_ms": now_ms, "ack": question.sequence, "stored": 0, "duplicates": 0,
        "grants": grants});
    answered(gateway, (b"200", body.to_string().as_bytes()), 1, now_ms);
}

fn went(parked: &Rc<RefCell<Parked>>) -> bool {
    matches!(parked.borrow().outcome, Some(Outcome::Went(..)))
}

fn reason(parked: &Rc<RefCell<Parked>>) -> Option<tollgate_core::call::refusal::Reason> {
    match &parked.borrow().outcome {
        Some(Outcome::Refused(refused)) => Some(refused.reason),
        _ => None,
    }
}

#[test]
fn one_question_is_put_for_all_calls_that_wait() {
    let gateway = begin();
    let (one, other) = (park(&gateway, 2), park(&gateway, 3));
    ask(&gateway, 2, NOW_MS);
    ask(&gateway, 3, NOW_MS);
    assert_eq!(questions().len(), 1);
    answer(&gateway, AMPLE, NOW_MS);
    assert!(went(&one) && went(&other));
    assert_eq!(simulated::with(|world| world.continued.clone()), [Some(2), Some(3)]);
}

#[test]
fn a_question_has_no_records_and_says_what_is_wanted() {
    let gateway = begin();
    park(&gateway, 2);
    ask(&gateway, 2, NOW_MS);
    let question = questions().pop().unwrap();
    assert!(question.records.is_empty() && question.adds_rows);
    assert_eq!(question.counters[0].key.budget, "all");
    assert!(question.counters[0].report.want > Amount::ZERO);
    let sent = simulated::with(|world| world.posts[0].clone());
    assert_eq!((sent.cluster.as_str(), sent.timeout_ms), ("collector", WAIT_MS));
    assert!(sent.headers.contains(&(":path".into(), PATH.into())));
}

#[test]
fn nothing_is_asked_where_nobody_waits() {
    let gateway = begin();
    ask(&gateway, 2, NOW_MS);
    assert!(questions().is_empty());
}

#[test]
fn what_an_answer_did_not_give_is_asked_for_besides() {
    let gateway = begin();
    let one = park(&gateway, 2);
    ask(&gateway, 2, NOW_MS);
    let policy = json!([{"name": "other", "limit_usd": "1", "window": "day"}]);
    let policy =
        tollgate_core::budget::policy::Policy { version: "p2".into(), ..crate::fixture::policy(&policy) };
    adopt(&gateway, None, Some(&crate::fixture::raw(&policy)), NOW_MS);
    answer(&gateway, AMPLE, NOW_MS);
    assert!(one.borrow().outcome.is_none());
    assert_eq!(questions().len(), 2);
    assert_eq!(questions()[1].counters[0].key.budget, "other");
}

#[test]
fn a_call_that_a_collector_has_nothing_for_is_refused_and_told() {
    let gateway = begin();
    let one = park(&gateway, 2);
    ask(&gateway, 2, NOW_MS);
    answer(&gateway, 0, NOW_MS);
    assert_eq!(reason(&one), Some(tollgate_core::call::refusal::Reason::BudgetSpent));
    let answer = simulated::with(|world| world.answers[0].clone());
    assert_eq!((answer.context, answer.status), (Some(2), 402));
    assert_eq!(answer.details, "tollgate_budget_spent");
    assert!(answer.headers.contains(&("x-tollgate-call".into(), "call-2".into())));
    assert!(answer.headers.contains(&("x-tollgate-budget".into(), "all".into())));
}

#[test]
fn calls_speak_again_of_who_is_called_back_when_all_were_told() {
    let gateway = begin();
    park(&gateway, 2);
    ask(&gateway, 2, NOW_MS);
    answer(&gateway, AMPLE, NOW_MS);
    assert_eq!(simulated::with(|world| world.context), Some(1));
}

#[test]
fn a_call_waits_so_long_at_most() {
    let gateway = begin();
    let one = park(&gateway, 2);
    gateway.waiting.wake(&gateway, 1, NOW_MS + WAIT_MS - 1);
    assert!(one.borrow().outcome.is_none());
    gateway.waiting.wake(&gateway, 1, NOW_MS + WAIT_MS);
    assert!(one.borrow().outcome.is_some());
}

#[test]
fn an_answer_that_is_none_ends_the_waiting() {
    for (status, body) in [(&b""[..], &b""[..]), (b"503", b"no"), (b"200", b"{")] {
        let gateway = begin();
        let one = park(&gateway, 2);
        ask(&gateway, 2, NOW_MS);
        answered(&gateway, (status, body), 1, NOW_MS);
        assert_eq!(reason(&one), Some(tollgate_core::call::refusal::Reason::CollectorAway));
        assert!(gateway.budgets.is_away());
    }
}

#[test]
fn a_question_that_envoy_does_not_send_leaves_the_collector_away() {
    let gateway = begin();
    park(&gateway, 2);
    simulated::with(|world| world.clusters = vec!["other".into()]);
    ask(&gateway, 2, NOW_MS);
    assert!(gateway.budgets.is_away());
    let told = "a question to the collector was not sent: Envoy has no cluster `collector`";
    assert!(simulated::with(|world| world.log.iter().any(|line| line.contains(told))));
}

#[test]
fn a_stream_that_has_ended_is_not_let_go() {
    let gateway = begin();
    let one = park(&gateway, 2);
    gateway.waiting.leave(2);
    gateway.waiting.wake(&gateway, 1, NOW_MS + WAIT_MS);
    assert!(one.borrow().outcome.is_none());
    assert!(simulated::with(|world| world.continued.is_empty() && world.answers.is_empty()));
}

#[test]
fn should_the_stream_that_asked_end_the_next_may_ask() {
    let gateway = begin();
    park(&gateway, 2);
    ask(&gateway, 2, NOW_MS);
    gateway.waiting.ended(9);
    ask(&gateway, 1, NOW_MS);
    assert_eq!(questions().len(), 1, "another stream's end is none of its");
    gateway.waiting.ended(2);
    ask(&gateway, 1, NOW_MS);
    assert_eq!(questions().len(), 2);
}

#[test]
fn a_question_whose_answer_never_comes_is_given_up() {
    let gateway = begin();
    park(&gateway, 2);
    ask(&gateway, 2, NOW_MS);
    ask(&gateway, 1, NOW_MS + WAIT_MS + GRACE_MS - 1);
    assert_eq!(questions().len(), 1);
    ask(&gateway, 1, NOW_MS + WAIT_MS + GRACE_MS);
    assert_eq!(questions().len(), 2);
}

#[test]
fn a_call_of_a_budget_that_is_spent_does_not_wait() {
    let gateway = begin();
    let first = park(&gateway, 2);
    ask(&gateway, 2, NOW_MS);
    answer(&gateway, 0, NOW_MS);
    assert!(matches!(first.borrow().outcome, Some(Outcome::Refused(_))));
    // All of the limit is spent, though what was exhausted is not known any more.
    let key: Rc<[u8]> = counter("all").key.into();
    gateway.budgets.granted(&[], &[]);
    let limit = Amount(1_000_000_000_000);
    gateway.budgets.settle_on(&key, Settlement { charge: limit, ..Settlement::default() });
    gateway
        .budgets
        .settle_on(&key, Settlement { hold: Amount(1), charge: Amount::ZERO, ..Settlement::default() });
    gateway.budgets.settle_on(&key, Settlement { charge: Amount(1), ..Settlement::default() });
    assert_eq!(counter("all").exhausted_from, Amount::ZERO);
    let call = chat("next", MODEL);
    let Decision::Refuse(refused) = gateway.decide(&call, Waited::No, NOW_MS) else { panic!("it waits") };
    assert_eq!(refused.reason, Reason::BudgetSpent);
    assert!(counter("all").exhausted_from > Amount::ZERO, "the collector is asked with the next tick");
}

#[test]
fn a_call_that_goes_on_is_noted_with_what_it_holds() {
    let gateway = begin();
    park(&gateway, 2);
    ask(&gateway, 2, NOW_MS);
    answer(&gateway, 100_000, NOW_MS);
    let (entry, _) = host::shared(crate::shared::layout::journal(0, 0)).unwrap();
    let (noted, _) = crate::shared::journal::read(&entry);
    assert_eq!(noted[0].settlement.hold, counter("all").held);
}

#[test]
fn a_stream_that_cannot_be_spoken_of_waits_on() {
    let gateway = begin();
    let one = park(&gateway, 2);
    simulated::plan(0, simulated::Fault::Fail(host::Error(10)));
    gateway.waiting.wake(&gateway, 1, NOW_MS + WAIT_MS);
    assert!(one.borrow().outcome.is_none());
    gateway.waiting.wake(&gateway, 1, NOW_MS + WAIT_MS);
    assert!(one.borrow().outcome.is_some());
}

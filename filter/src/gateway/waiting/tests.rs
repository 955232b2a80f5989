use serde_json::json;
use tollgate_core::attribution::{Attribution, AttributionSource};

use super::*;
use crate::fixture::{MODEL, NOW_MS, chat, gateway};
use crate::host::simulated;

/// A call of this team and agent that is to wait: whether there was room for it.
fn waits(gateway: &Gateway, context: u32, team: &str, agent: &str) -> Option<Rc<RefCell<Parked>>> {
    let mut call = chat(&format!("call-{context}"), MODEL);
    let attribution = Attribution { team: team.into(), agent: agent.into(), ..Attribution::default() };
    call.attribute(attribution, AttributionSource::SelfDeclared);
    assert!(matches!(gateway.decide(&call, Waited::No, NOW_MS), Decision::Wait));
    let share = gateway.budgets.share(&call, NOW_MS);
    let has_room = gateway.waiting.has_room(gateway, share, context, NOW_MS);
    has_room.then(|| gateway.waiting.park(context, share, Box::new(call), NOW_MS))
}

fn teams() -> Gateway {
    simulated::begin(NOW_MS);
    gateway(
        1,
        &json!([
        {"name": "flood", "scope": {"team": "flood"}, "limit_usd": "1", "window": "day"},
        {"name": "calm", "scope": {"team": "calm"}, "limit_usd": "1", "window": "day"},
        {"name": "each", "each": "agent", "limit_calls": 1_000_000, "window": "day"}]),
    )
}

#[test]
fn who_floods_the_room_refuses_nobody_but_itself() {
    let gateway = teams();
    let flood: Vec<_> =
        (0..PARKED_MAX).map(|at| waits(&gateway, u32::try_from(at).unwrap(), "flood", "f")).collect();
    assert!(flood.iter().all(Option::is_some));
    assert!(waits(&gateway, 900, "flood", "f").is_none(), "its room is full");
    for context in 1_000..1_100 {
        assert!(waits(&gateway, context, "calm", "c").is_some(), "another has its part");
    }
    let refused = simulated::with(|world| world.answers.clone());
    assert_eq!(refused.len(), 100);
    assert!(refused.iter().all(|answer| answer.context < Some(900) && answer.status == 429));
    assert!(refused[0].headers.contains(&("x-tollgate-budget".into(), "flood".into())));
    let text = String::from_utf8(refused[0].body.clone()).unwrap();
    assert!(text.contains("As many calls as may wait"), "{text}");
    let is_told = |parked: &&Option<Rc<RefCell<Parked>>>| parked.as_ref().unwrap().borrow().outcome.is_some();
    assert_eq!(flood.iter().filter(is_told).count(), 100, "the last that came are told");
    assert!(flood[..156].iter().filter(is_told).count() == 0);
}

#[test]
fn in_a_full_room_each_has_an_even_part_and_who_is_the_largest_is_refused() {
    let gateway = teams();
    for context in 0..600 {
        waits(&gateway, context, ["flood", "calm"][context as usize % 2], "a");
    }
    let shares = |team: &str| {
        let parked = gateway.waiting.parked.borrow();
        let is_of = |parked: &&Rc<RefCell<Parked>>| {
            parked.borrow().call.as_ref().is_some_and(|call| call.attribution().0.team == team)
        };
        parked.iter().filter(is_of).count()
    };
    assert_eq!((shares("flood"), shares("calm")), (128, 128));
    assert!(waits(&gateway, 700, "third", "a").is_some());
}

#[test]
fn invented_names_have_one_part_of_the_room_together() {
    let gateway = teams();
    for context in 0..300 {
        waits(&gateway, context, "nobody", &format!("invented-{context}"));
    }
    for context in 400..450 {
        assert!(waits(&gateway, context, "calm", "c").is_some());
    }
}

use super::*;

pub(in crate::budgets) fn held(key: &[u8], amount: i128) -> HeldOn {
    HeldOn {
        key: key.into(),
        span: Span { start_ms: 0, end_ms: 100 },
        unit: Unit::Dollars,
        amount: Amount(amount),
        rule: OnUnknown::Record,
        reserved_from: None,
        settlement: None,
        settled_with: None,
    }
}

#[test]
fn a_call_under_way_is_charged_nothing_yet() {
    let held = held(b"one", 70);
    let expected = Noted {
        key: b"one",
        settlement: Settlement::rolled_back(Amount(70)),
        reserved_from: None,
        with: None,
    };
    assert_eq!(held.noted(), expected);
}

#[test]
fn a_call_that_has_ended_is_noted_with_what_it_is_charged() {
    let settlement = Settlement { charge: Amount(5), ..Settlement::rolled_back(Amount(70)) };
    let ended = HeldOn { settlement: Some(settlement), ..held(b"one", 70) };
    assert_eq!(ended.noted().settlement, settlement);
}

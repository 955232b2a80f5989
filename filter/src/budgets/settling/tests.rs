use super::*;
use crate::budgets::held::tests::held;

#[test]
fn a_call_that_has_ended_with_nothing_to_wait_for_has_no_entry() {
    let settlement = Settlement { charge: Amount(5), ..Settlement::rolled_back(Amount(70)) };
    let at_once = HeldOn { settlement: Some(settlement), ..held(b"one", 70) };
    assert_eq!(Ended { held: vec![at_once], ..Ended::default() }.entry(), None);
    assert_eq!(Ended::default().entry(), None);
}

use super::*;
use crate::fixture::NOW_MS;
use crate::host::simulated::{self, Fault};

#[test]
fn the_first_vm_leads_and_goes_on_to() {
    simulated::begin(NOW_MS);
    assert!(lead(1, NOW_MS));
    assert!(lead(1, NOW_MS + 1));
}

#[test]
fn one_vm_leads_at_a_time() {
    simulated::begin(NOW_MS);
    assert!(lead(1, NOW_MS));
    assert!(!lead(3, NOW_MS + LEASE_MS - 1));
    assert!(lead(1, NOW_MS + LEASE_MS - 1));
}

#[test]
fn another_leads_once_the_lease_has_ended() {
    simulated::begin(NOW_MS);
    lead(1, NOW_MS);
    assert!(lead(3, NOW_MS + LEASE_MS));
    assert!(!lead(1, NOW_MS + LEASE_MS));
}

#[test]
fn a_lease_is_counted_from_its_last_renewal() {
    simulated::begin(NOW_MS);
    lead(1, NOW_MS);
    lead(1, NOW_MS + 1_000);
    assert!(!lead(3, NOW_MS + LEASE_MS));
    assert!(lead(3, NOW_MS + LEASE_MS + 1_000));
}

#[test]
fn a_lease_from_a_clock_that_was_set_back_does_not_last() {
    simulated::begin(NOW_MS);
    lead(1, NOW_MS + 10 * LEASE_MS);
    assert!(lead(3, NOW_MS));
}

#[test]
fn who_resigns_is_followed_at_once() {
    simulated::begin(NOW_MS);
    lead(1, NOW_MS);
    resign(1);
    assert!(lead(3, NOW_MS));
}

#[test]
fn nobody_resigns_for_another() {
    simulated::begin(NOW_MS);
    lead(1, NOW_MS);
    resign(3);
    assert!(!lead(3, NOW_MS));
}

#[test]
fn of_two_that_see_no_leader_one_leads() {
    simulated::begin(NOW_MS);
    // It sees that there is none, and is too late.
    simulated::plan(1, Fault::Fail(Error::CAS_MISMATCH));
    assert!(!lead(1, NOW_MS));
    assert!(lead(3, NOW_MS));
}

#[test]
fn of_two_that_see_a_lease_end_one_leads() {
    simulated::begin(NOW_MS);
    lead(1, NOW_MS);
    simulated::plan(1, Fault::Fail(Error::CAS_MISMATCH));
    assert!(!lead(3, NOW_MS + LEASE_MS));
    assert!(lead(5, NOW_MS + LEASE_MS));
}

#[test]
fn nobody_leads_where_the_host_does_not_say_who_does() {
    simulated::begin(NOW_MS);
    simulated::plan(0, Fault::Fail(Error(10)));
    assert!(!lead(1, NOW_MS));
}

#[test]
fn all_vms_have_the_name_that_the_first_made() {
    simulated::begin(NOW_MS);
    assert_eq!(instance(0xab), "00000000000000ab");
    assert_eq!(instance(0xcd), "00000000000000ab");
}

#[test]
fn a_host_without_shared_data_has_no_name() {
    simulated::begin(NOW_MS);
    simulated::plan(0, Fault::FailOn(Error(12)));
    assert_eq!(instance(0xab), "");
}

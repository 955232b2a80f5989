use super::*;
use crate::fixture::NOW_MS;
use crate::host::simulated::{self, Fault};

fn buffer(bytes: &[u8]) {
    simulated::with(|world| world.buffers.insert(Buffer::RequestBody as u32, bytes.to_vec()));
}

fn buffered() -> Vec<u8> {
    simulated::with(|world| world.buffers[&(Buffer::RequestBody as u32)].clone())
}

#[test]
fn pieces_are_taken_out_and_put_back_in_their_order() {
    simulated::begin(NOW_MS);
    let mut taken = TakenInAll::default().begin();
    for piece in [b"one ", b"two "] {
        buffer(piece);
        assert!(taken.take(4));
        assert_eq!(buffered(), b"");
    }
    assert_eq!(taken.len(), 8);
    buffer(b"three");
    taken.put_back(5);
    assert_eq!(buffered(), b"one two three");
    assert_eq!(taken.len(), 0);
}

#[test]
fn an_empty_piece_needs_no_host() {
    simulated::begin(NOW_MS);
    simulated::plan(0, Fault::FailOn(host::Error(10)));
    assert!(TakenInAll::default().begin().take(0));
}

#[test]
fn all_calls_of_a_vm_keep_so_much_and_no_more() {
    simulated::begin(NOW_MS);
    let in_all = TakenInAll::default();
    let (mut one, mut other) = (in_all.begin(), in_all.begin());
    in_all.0.set(IN_ALL_MAX - 4);
    buffer(b"12345");
    assert!(!one.take(5));
    assert_eq!(buffered(), b"12345", "it stays in Envoy");
    buffer(b"1234");
    assert!(one.take(4));
    buffer(b"5");
    assert!(!other.take(1));
}

#[test]
fn what_a_call_kept_is_free_once_it_is_gone() {
    simulated::begin(NOW_MS);
    let in_all = TakenInAll::default();
    let mut one = in_all.begin();
    buffer(b"1234");
    one.take(4);
    assert_eq!(in_all.0.get(), 4);
    drop(one);
    assert_eq!(in_all.0.get(), 0);
}

#[test]
fn a_piece_that_the_host_does_not_give_whole_is_not_taken() {
    simulated::begin(NOW_MS);
    let in_all = TakenInAll::default();
    let mut taken = in_all.begin();
    buffer(b"123");
    assert!(!taken.take(4));
    simulated::plan(1, Fault::Fail(host::Error(10)));
    assert!(!taken.take(3), "it could not be taken out");
    assert_eq!((taken.len(), in_all.0.get()), (0, 0));
    assert_eq!(buffered(), b"123");
}

#[test]
fn what_cannot_be_put_back_is_told_in_the_log() {
    simulated::begin(NOW_MS);
    let mut taken = TakenInAll::default().begin();
    buffer(b"1234");
    taken.take(4);
    simulated::plan(0, Fault::Fail(host::Error(10)));
    taken.put_back(7);
    assert!(simulated::with(|world| world.log[0].contains("first 4 bytes could not be put back")));
}

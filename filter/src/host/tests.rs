use super::simulated::{Fault, begin, dies, plan, with};
use super::*;

fn pairs(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = Pairs(bytes.to_vec());
    pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

#[test]
fn header_pairs_are_read_as_they_are_written() {
    let bytes = Pairs::bytes(&[(":status", "200"), ("empty", ""), ("", "nameless")]);
    let expected: Vec<(Vec<u8>, Vec<u8>)> =
        [(":status", "200"), ("empty", ""), ("", "nameless")].map(|(n, v)| (n.into(), v.into())).to_vec();
    assert_eq!(pairs(&bytes), expected);
}

#[test]
fn what_is_malformed_ends_the_list() {
    let bytes = Pairs::bytes(&[("one", "1"), ("two", "2")]);
    for end in 0..bytes.len() {
        let read = pairs(&bytes[..end]);
        assert!(read.len() <= 2, "cut at {end}");
        assert!(read.iter().all(|(name, value)| name.len() == 3 && value.len() == 1), "cut at {end}");
    }
    assert!(pairs(b"").is_empty());
}

#[test]
fn a_count_or_size_that_lies_reads_nothing_beyond() {
    let mut bytes = Pairs::bytes(&[("one", "1")]);
    bytes[0] = 0xff;
    assert!(pairs(&bytes).is_empty(), "the texts would begin behind the end");
    let mut bytes = Pairs::bytes(&[("one", "1")]);
    bytes[7] = 0xff;
    assert!(pairs(&bytes).is_empty());
}

#[test]
fn a_value_is_swapped_only_by_who_has_read_it_last() {
    begin(1);
    assert_eq!(shared("key"), Err(Error::NOT_FOUND));
    create_shared("key", b"one").unwrap();
    assert_eq!(create_shared("key", b"two"), Err(Error::CAS_MISMATCH));
    let (value, version) = shared("key").unwrap();
    assert_eq!(value, b"one");
    swap_shared("key", b"two", version).unwrap();
    assert_eq!(swap_shared("key", b"three", version), Err(Error::CAS_MISMATCH));
    set_shared("key", b"four").unwrap();
    assert_eq!(shared("key").unwrap().0, b"four");
}

#[test]
fn a_fault_comes_at_the_call_that_it_is_planned_for() {
    begin(1);
    plan(1, Fault::Fail(Error(10)));
    assert!(set_shared("a", b"1").is_ok());
    assert_eq!(set_shared("b", b"1"), Err(Error(10)));
    assert!(set_shared("c", b"1").is_ok());
    assert_eq!(with(|world| world.shared.len()), 2);
}

#[test]
fn a_vm_that_has_died_does_nothing_more() {
    struct AtItsEnd;
    impl Drop for AtItsEnd {
        fn drop(&mut self) {
            let _ = set_shared("by a destructor", b"1");
        }
    }
    begin(1);
    plan(1, Fault::Die);
    let died = dies(|| {
        let _end = AtItsEnd;
        set_shared("a", b"1").unwrap();
        set_shared("b", b"1").unwrap();
        set_shared("c", b"1").unwrap();
    });
    assert!(died);
    assert_eq!(with(|world| world.shared.keys().cloned().collect::<Vec<_>>()), [b"a"]);
    set_shared("by another vm", b"1").unwrap();
}

#[test]
fn a_buffers_first_bytes_are_replaced_and_the_rest_stays() {
    begin(1);
    assert_eq!(buffer(Buffer::RequestBody, 3), Err(Error::NOT_FOUND));
    set_buffer(Buffer::RequestBody, 0, b"two").unwrap();
    set_buffer(Buffer::RequestBody, 0, b"one ").unwrap();
    assert_eq!(buffer_from(Buffer::RequestBody, 4, 100).unwrap(), b"two");
    set_buffer(Buffer::RequestBody, 4, b"").unwrap();
    assert_eq!(buffer(Buffer::RequestBody, 100).unwrap(), b"two");
}

#[test]
fn what_is_logged_is_text_of_one_line_each() {
    begin(1);
    log::warn!("{} and {}", 1, 2);
    log::debug!("not this");
    assert_eq!(with(|world| world.log.clone()), ["1 and 2"]);
}

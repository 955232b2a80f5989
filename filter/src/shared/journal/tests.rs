use super::*;

fn held(key: &[u8], amount: i128) -> Noted<'_> {
    let settlement =
        Settlement { charge: Amount(5), kept: Amount(2), ..Settlement::rolled_back(Amount(amount)) };
    Noted { key, settlement, reserved_from: None, with: None }
}

fn entry(holds: &[Noted<'_>], call: &[u8]) -> Vec<u8> {
    super::entry(holds.iter().copied(), call)
}

const CALL: &[u8] = b"12345678{\"id\":\"a\"";

#[test]
fn a_call_that_holds_nothing_is_what_is_noted_of_it() {
    let entry = entry(&[], CALL);
    assert_eq!(read(&entry), (Vec::new(), CALL));
}

#[test]
fn what_is_noted_of_a_hold_is_read_as_it_was_written() {
    let id = |slot, generation| ReservationId { slot, generation };
    let holds = [
        held(b"one", 70),
        Noted { reserved_from: Some((id(3, 1 << 40), Amount(60))), ..held(b"two", 60) },
        Noted { with: Some(id(0, 1)), ..held(b"three", 50) },
    ];
    let entry = entry(&holds, CALL);
    assert_eq!(read(&entry), (holds.to_vec(), CALL));
}

#[test]
fn holds_stand_in_their_order() {
    let entry = entry(&[held(b"one", 1), held(b"", 2), held(b"three", 3)], CALL);
    let (noted, call) = read(&entry);
    let found: Vec<(&[u8], i128)> = noted.iter().map(|one| (one.key, one.settlement.hold.0)).collect();
    assert_eq!(found, [(&b"one"[..], 1), (b"", 2), (b"three", 3)]);
    assert_eq!(call, CALL);
}

#[test]
fn amounts_may_be_as_large_as_they_are() {
    for amount in [i128::MAX, i128::MIN, 0, -1, 1 << 100] {
        let entry = entry(&[held(b"one", amount)], CALL);
        assert_eq!(read(&entry).0[0].settlement.hold, Amount(amount), "{amount}");
    }
}

#[test]
fn what_is_malformed_has_no_holds() {
    let whole = entry(&[held(b"one", 70)], CALL);
    let mut other_layout = whole.clone();
    other_layout[0] = 3;
    assert!(read(&other_layout).0.is_empty());
    for end in 0..LENGTH_BYTES {
        assert_eq!(read(&whole[..end]), (Vec::new(), &whole[..end]), "an entry of {end} bytes");
    }
    assert!(read(&whole[..LENGTH_BYTES + HOLD_BYTES]).0.is_empty(), "its holds are longer than it");
}

#[test]
fn an_entry_may_be_cut_anywhere_and_nothing_is_made_up() {
    let whole = entry(&[held(b"one", 70), held(b"two", 80)], CALL);
    for end in 0..whole.len() {
        for one in read(&whole[..end]).0 {
            assert!([70, 80].contains(&one.settlement.hold.0), "cut at {end}");
        }
    }
}

#[test]
fn a_key_longer_than_its_entry_ends_the_holds() {
    let mut entry = entry(&[held(b"one", 70), held(b"two", 80)], CALL);
    // The length of the second key.
    let at = LENGTH_BYTES + HOLD_BYTES + 3;
    entry[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    let (noted, call) = read(&entry);
    assert_eq!(noted.len(), 1);
    assert_eq!(call, CALL);
}

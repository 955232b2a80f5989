//! Bytes compared eight at a time: the C library of the filter's target goes byte by byte.

/// Less than, equal to or greater than 0, as the first byte that differs is in `one` and in `other`, which are as long as
/// each other: what C's `memcmp` gives, which this may stand for. So it compares numbers only, never arrays.
#[must_use]
pub fn compare(one: &[u8], other: &[u8]) -> i32 {
    let (mut rest, mut other_rest) = (one, other);
    while let (Some((word, after)), Some((other, other_after))) =
        (rest.split_first_chunk(), other_rest.split_first_chunk())
    {
        if u64::from_le_bytes(*word) != u64::from_le_bytes(*other) {
            return order(*word, *other);
        }
        (rest, other_rest) = (after, other_after);
    }
    if rest.is_empty() {
        return 0;
    }
    if let (Some(last), Some(other)) = (one.last_chunk(), other.last_chunk()) {
        // Those of them that were compared are equal.
        return order(*last, *other);
    }
    let differ = rest.iter().zip(other_rest).find(|(byte, other)| byte != other);
    differ.map_or(0, |(byte, other)| i32::from(*byte) - i32::from(*other))
}

fn order(one: [u8; 8], other: [u8; 8]) -> i32 {
    let (one, other) = (u64::from_le_bytes(one), u64::from_le_bytes(other));
    let differ = one ^ other;
    // That of the lowest bit; where none differs, any.
    let at = differ.trailing_zeros() & 0x38;
    let byte = |word: u64| u8::try_from(word >> at & 0xff).map_or(0, i32::from);
    byte(one) - byte(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_ordered_by_the_first_that_differs(
            start in prop::collection::vec(any::<u8>(), 0..40),
            pairs in prop::collection::vec((any::<u8>(), any::<u8>()), 0..20),
        ) {
            let bytes = |which: fn(&(u8, u8)) -> u8| [start.clone(), pairs.iter().map(which).collect()].concat();
            let (one, other) = (bytes(|pair| pair.0), bytes(|pair| pair.1));
            prop_assert_eq!(compare(&one, &other).cmp(&0), one.cmp(&other));
            prop_assert_eq!(compare(&one, &one.clone()), 0);
        }
    }
}

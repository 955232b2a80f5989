//! Bytes compared eight at a time: the C library of the filter's target goes byte by byte.

/// Less than, equal to or greater than 0, as the first byte that differs is in `one` and in `other`, which
/// are as long as each other: what C's `memcmp` gives, which this may stand for. So it compares numbers only,
/// never arrays.
pub fn compare(one: &[u8], other: &[u8]) -> i32 {
    if one.len() < 8 {
        return compare_few(one, other);
    }
    let (mut rest, mut other_rest) = (one, other);
    while let (Some((word, after)), Some((other, other_after))) =
        (rest.split_first_chunk(), other_rest.split_first_chunk())
    {
        let (word, other) = (u64::from_le_bytes(*word), u64::from_le_bytes(*other));
        if word != other {
            return order(word, other);
        }
        (rest, other_rest) = (after, other_after);
    }
    match (one.last_chunk(), other.last_chunk()) {
        // Those of them that were compared are equal.
        (Some(last), Some(other)) if !rest.is_empty() => {
            order(u64::from_le_bytes(*last), u64::from_le_bytes(*other))
        }
        _ => 0,
    }
}

/// Whether two names are the same. Most that are not show it by their length or first byte.
#[inline]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.first() == other.first() && one == other
}

/// Of less than eight bytes.
fn compare_few(one: &[u8], other: &[u8]) -> i32 {
    let word = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    if let (Some(first), Some(last)) = (one.first_chunk(), one.last_chunk())
        && let (Some(other_first), Some(other_last)) = (other.first_chunk(), other.last_chunk())
    {
        return match order(word(first), word(other_first)) {
            0 => order(word(last), word(other_last)),
            order => order,
        };
    }
    let differ = one.iter().zip(other).find(|(byte, other)| byte != other);
    differ.map_or(0, |(byte, other)| i32::from(*byte) - i32::from(*other))
}

/// By the lowest byte that differs.
fn order(one: u64, other: u64) -> i32 {
    // Where none does, any.
    let at = (one ^ other).trailing_zeros() & 0x38;
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
            prop_assert_eq!(is_same(&one, &other), one == other);
            prop_assert!(is_same(&one, &one.clone()));
        }
    }
}

//! What prompts are made of, as bytes in the database: the numbers of [`PromptCounts`] in their order, each
//! with seven bits a byte, the low ones first. Numbers at the end that are missing are zero.

use crate::model::prompt::PromptCounts;

/// The bytes of a row; none for nothing.
pub(in crate::store) fn encode(counts: &PromptCounts) -> Vec<u8> {
    let mut counts = counts.clone();
    let mut bytes = Vec::new();
    let mut used = 0;
    for number in counts.all_mut() {
        let mut left = *number;
        while left >= 0x80 {
            bytes.push((left & 0x7f) as u8 | 0x80); // seven bits fit
            left >>= 7;
        }
        bytes.push((left & 0x7f) as u8); // as above
        if *number > 0 {
            used = bytes.len();
        }
    }
    bytes.truncate(used);
    bytes
}

/// Reads a row; none where it was not written by [`encode`].
pub(in crate::store) fn decode(bytes: &[u8]) -> Option<PromptCounts> {
    let mut counts = PromptCounts::default();
    let mut left = bytes.iter();
    for number in counts.all_mut() {
        let mut shift = 0u32;
        for byte in left.by_ref() {
            *number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                break;
            }
            shift = shift.saturating_add(7);
        }
    }
    left.next().is_none().then_some(counts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_give_the_same_counts(numbers in proptest::collection::vec(any::<u64>(), 0..60)) {
            let mut counts = PromptCounts::default();
            for (mine, number) in counts.all_mut().into_iter().zip(numbers) {
                *mine = number;
            }
            prop_assert_eq!(decode(&encode(&counts)), Some(counts));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn nothing_is_no_bytes() {
        assert!(encode(&PromptCounts::default()).is_empty());
        assert_eq!(decode(&[0x80; 400]), None);
    }
}

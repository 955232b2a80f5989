//! Bytes looked for eight at a time: what most of a body is passed over by.

/// Where a string of JSON ends, or an escape in it begins.
pub(crate) fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    first(bytes, |word| is(word, b'"') | is(word, b'\\'), |byte| matches!(byte, b'"' | b'\\'))
}

/// Where the first byte is that does not stand for itself in a string of JSON.
pub(crate) fn escaped(bytes: &[u8]) -> Option<usize> {
    let in_word = |word| less(word, 0x20) | is(word, b'"') | is(word, b'\\');
    first(bytes, in_word, |byte| matches!(byte, b'"' | b'\\' | 0..0x20))
}

/// The first byte of this kind. Of eight bytes `in_word` sets the highest bit of each that is one, and of
/// none below the first.
#[inline(always)]
fn first(bytes: &[u8], in_word: impl Fn(u64) -> u64, is_one: impl Fn(&u8) -> bool) -> Option<usize> {
    let found = |word: &[u8; 8]| in_word(u64::from_le_bytes(*word)) & (EACH << 7);
    let in_eight = |found: u64| (found.trailing_zeros() / 8) as usize;
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let found = found(word);
        if found != 0 {
            return Some(bytes.len() - rest.len() + in_eight(found));
        }
        rest = after;
    }
    if rest.is_empty() {
        return None;
    }
    match bytes.last_chunk::<8>() {
        // Those of them that were looked at are none.
        Some(word) => {
            Some(found(word)).filter(|found| *found != 0).map(|found| bytes.len() - 8 + in_eight(found))
        }
        None => rest.iter().position(is_one),
    }
}

/// Sets the highest bit of each byte that is this one. A byte behind one of them may be taken for another.
const fn is(word: u64, byte: u8) -> u64 {
    less(word ^ (EACH * byte as u64), 1)
}

/// Sets the highest bit of each byte that is less than a number, 128 at most: its own is clear, and is set by
/// taking that away. What is borrowed from it by a lower byte is of one that is less itself.
const fn less(word: u64, number: u64) -> u64 {
    word.wrapping_sub(EACH * number) & !word
}

const EACH: u64 = 0x0101_0101_0101_0101;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_is_found_wherever_it_stands(
            before in prop::collection::vec(any::<u8>(), 0..40),
            one in prop::sample::select(&b"\"\\\n\x00\x1f !#[]\x7f\x80\xff"[..]),
            after in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            for before in [before.clone(), vec![b'a'; before.len()], vec![0xFF; before.len()]] {
                let bytes = [before.as_slice(), &[one], &after].concat();
                let ends = |byte: &u8| matches!(byte, b'"' | b'\\');
                prop_assert_eq!(quote_or_backslash(&bytes), bytes.iter().position(ends));
                prop_assert_eq!(escaped(&bytes), bytes.iter().position(|byte| ends(byte) || *byte < 0x20));
            }
        }
    }
}

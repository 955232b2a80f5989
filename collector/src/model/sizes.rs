//! Classes of prompts by length, so that calls can be priced at another model's rates without reading each.
//!
//! A class holds the prompts between two lengths. Every length at which a price of the book changes is such
//! a bound, so that all calls of a class have the same tier.

/// The longest prompt of each class but the last, in tokens.
pub const BOUNDS: [u64; 9] = [32_000, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000, 512_000, 524_288];

/// The class of a prompt of this length.
pub fn class_of(input_tokens: u64) -> u8 {
    let below = BOUNDS.iter().take_while(|bound| input_tokens > **bound).count();
    u8::try_from(below).unwrap_or(u8::MAX)
}

/// The shortest and the longest prompt of a class, in tokens; the last class has no longest.
pub fn bounds_of(class: u8) -> (u64, Option<u64>) {
    let at = usize::from(class);
    let longest = |at: usize| BOUNDS.get(at).copied();
    let shortest = at.checked_sub(1).and_then(longest).map_or(0, |bound| bound.saturating_add(1));
    (shortest, longest(at))
}

#[cfg(test)]
mod tests {
    use tollgate_core::price::{EMBEDDED, PriceBook};

    use super::*;

    #[test]
    fn a_prompt_lies_within_its_class() {
        for length in BOUNDS.iter().flat_map(|bound| [bound - 1, *bound, bound + 1]).chain([0, u64::MAX]) {
            let (shortest, longest) = bounds_of(class_of(length));
            assert!(shortest <= length && longest.is_none_or(|longest| length <= longest), "{length}");
        }
        assert_eq!((class_of(32_000), class_of(32_001)), (0, 1));
    }

    #[test]
    fn every_length_at_which_a_price_changes_bounds_a_class() {
        let book = PriceBook::from_files(EMBEDDED).unwrap();
        let prices = book.models().iter().flat_map(|model| &model.prices);
        for tier in prices.flat_map(|price| price.sheets()).flat_map(|sheet| &sheet.tiers) {
            assert!(BOUNDS.contains(&tier.input_above), "{}", tier.input_above);
        }
    }
}

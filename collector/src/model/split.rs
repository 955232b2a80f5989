//! Amounts divided among several, exactly.

use tollgate_core::money::Picodollars;

/// Divides an amount by weights so that the parts add up to it: each part is rounded down, and what is left
/// goes, a pico-dollar each, to those that lost most by that, the first of equals first. Where all weights
/// are zero, they count as equal; nothing comes of no weights.
#[must_use]
pub fn split(amount: Picodollars, weights: &[u128]) -> Vec<Picodollars> {
    let is_negative = amount < Picodollars::ZERO;
    let whole = amount.as_pico().unsigned_abs();
    let weights = fitting(whole, weights);
    let total: u128 = weights.iter().sum();
    let mut parts: Vec<(u128, u128)> = Vec::with_capacity(weights.len());
    for weight in &weights {
        let product = whole.saturating_mul(*weight);
        parts.push((product.checked_div(total).unwrap_or(0), product.checked_rem(total).unwrap_or(0)));
    }
    let given: u128 = parts.iter().map(|(part, _)| part).sum();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(parts.get(*at).map(|(_, rest)| *rest)));
    // Fewer are left than there are parts.
    let left = usize::try_from(whole.saturating_sub(given)).unwrap_or(usize::MAX);
    for at in order.into_iter().take(left) {
        if let Some((part, _)) = parts.get_mut(at) {
            *part = part.saturating_add(1);
        }
    }
    let signed = |part: u128| i128::try_from(part).unwrap_or(i128::MAX) * if is_negative { -1 } else { 1 };
    parts.into_iter().map(|(part, _)| Picodollars::from_pico(signed(part))).collect()
}

/// Weights whose products with the whole are in range: halved until they are.
fn fitting(whole: u128, weights: &[u128]) -> Vec<u128> {
    if weights.iter().all(|weight| *weight == 0) {
        return vec![1; weights.len()];
    }
    let total = weights.iter().fold(0u128, |sum, weight| sum.saturating_add(*weight));
    let bits = (128 - whole.leading_zeros()) + (128 - total.leading_zeros());
    let halved = bits.saturating_sub(126);
    let fitting: Vec<u128> = weights.iter().map(|weight| weight.checked_shr(halved).unwrap_or(0)).collect();
    if fitting.iter().all(|weight| *weight == 0) { vec![1; weights.len()] } else { fitting }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(amount: i128, weights: &[u128]) -> Vec<i128> {
        split(Picodollars::from_pico(amount), weights).iter().map(|part| part.as_pico()).collect()
    }

    #[test]
    fn what_is_left_goes_to_those_that_lost_most_and_then_to_the_first() {
        assert_eq!(parts(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(parts(-10, &[1, 1, 1]), [-4, -3, -3]);
        assert_eq!(parts(11, &[1, 1, 1]), [4, 4, 3]);
        assert_eq!(parts(100, &[1, 2, 0]), [33, 67, 0]);
        assert_eq!(parts(7, &[0, 0]), [4, 3]);
        assert_eq!(parts(7, &[]), [0; 0]);
        assert_eq!(parts(0, &[3, 5]), [0, 0]);
    }

    proptest! {
        #[test]
        fn parts_add_up_and_are_within_one_of_their_share(
            amount in -(1i128 << 80)..(1i128 << 80),
            weights in proptest::collection::vec(0u128..(1 << 90), 1..12),
        ) {
            let parts = parts(amount, &weights);
            prop_assert_eq!(parts.iter().sum::<i128>(), amount);
            let total: f64 = weights.iter().map(|weight| *weight as f64).sum();
            for (part, weight) in parts.iter().zip(&weights).filter(|_| total > 0.0) {
                let share = amount as f64 * (*weight as f64 / total);
                prop_assert!((*part as f64 - share).abs() <= 2.0 + share.abs() * 1e-9, "{} {}", part, share);
            }
        }
    }
}

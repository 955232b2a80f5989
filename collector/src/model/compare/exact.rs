//! Amounts times fractions, rounded once.

use num_bigint::BigInt;

/// `amount × times / over`, rounded half away from zero; none where a divisor is nothing, or the result is
/// out of range. What is between may be of any size.
pub fn scaled(amount: i128, times: &[u64], over: &[u64]) -> Option<i128> {
    narrow(amount, times, over).or_else(|| wide(amount, times, over))
}

/// The same where all of it is in range, which is nearly always.
fn narrow(amount: i128, times: &[u64], over: &[u64]) -> Option<i128> {
    let part = times.iter().try_fold(amount, |product, by| product.checked_mul(i128::from(*by)))?;
    let whole = over.iter().try_fold(1_i128, |product, by| product.checked_mul(i128::from(*by)))?;
    crate::model::decimal::divided(part, whole)
}

fn wide(amount: i128, times: &[u64], over: &[u64]) -> Option<i128> {
    let part = times.iter().fold(BigInt::from(amount), |product, by| product * by);
    let whole = over.iter().fold(BigInt::from(1), |product, by| product * by);
    if whole == BigInt::ZERO {
        return None;
    }
    let half = if part < BigInt::ZERO { -&whole } else { whole.clone() };
    // Divisions of these cut towards zero.
    i128::try_from((part * 2 + half) / (whole * 2)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        for (amount, times, over, expected) in [
            (5, 1, 2, Some(3)),
            (-5, 1, 2, Some(-3)),
            (1, 1, 3, Some(0)),
            (2, 1, 3, Some(1)),
            (1, 1, 0, None),
            (i128::MAX, u64::MAX, u64::MAX, Some(i128::MAX)),
            (i128::MAX, 2, 1, None),
        ] {
            assert_eq!(scaled(amount, &[times], &[over]), expected, "{amount} × {times} / {over}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_agree(amount in -1_000_000_i128..1_000_000, times in 0_u64..100_000, over in 1_u64..1_000) {
            prop_assert_eq!(narrow(amount, &[times, 3], &[over]), wide(amount, &[times, 3], &[over]));
        }
    }
}

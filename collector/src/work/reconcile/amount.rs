//! Amounts of money as files have them, read without a float.

use tollgate_core::money::Picodollars;

use crate::model::decimal::divided;

/// An amount that was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Amount {
    /// Its value.
    pub value: Picodollars,
    /// Whether it had more than twelve decimals.
    pub rounded: bool,
}

impl Amount {
    /// Of text such as `12.5`, `-0.1` or `1.2e-7`, times ten to the power of `shift`; digits beyond twelve
    /// decimals are rounded half away from zero.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read(text: &str, shift: i32) -> Result<Self, String> {
        let shown: String = text.chars().take(40).collect();
        let bad = || format!("is `{shown}`, which is no amount such as `12.34`");
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| bad())?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(digits) || !are_digits(fraction) || (digits.is_empty() && fraction.is_empty()) {
            return Err(bad());
        }
        let fraction = fraction.trim_end_matches('0');
        let units: i128 = format!("{whole}{fraction}").parse().map_err(|_| bad())?;
        let places = i32::try_from(fraction.len()).map_err(|_| bad())?;
        let power = exponent.checked_sub(places).and_then(|p| p.checked_add(shift)?.checked_add(12));
        let power = power.ok_or_else(bad)?;
        let Some(by) = 10_i128.checked_pow(power.unsigned_abs()) else {
            // Too small to be anything, or too large to be money.
            return if power < 0 || units == 0 {
                Ok(Self { value: Picodollars::ZERO, rounded: units != 0 })
            } else {
                Err(bad())
            };
        };
        let (pico, rounded) = if power >= 0 {
            (units.checked_mul(by), false)
        } else {
            (divided(units, by), units.checked_rem(by) != Some(0))
        };
        Ok(Self { value: Picodollars::from_pico(pico.ok_or_else(bad)?), rounded })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_exact_and_what_is_beyond_twelve_decimals_is_rounded_half_away_from_zero() {
        for (text, shift, expected, rounded) in [
            ("0.06", 0, "0.060000000000", false),
            ("123.45", -2, "1.234500000000", false),
            ("1.2e-7", 0, "0.000000120000", false),
            ("-5E2", 0, "-500.000000000000", false),
            ("0.0000000000005", 0, "0.000000000001", true),
            ("-0.0000000000005", 0, "-0.000000000001", true),
            ("0.00000000000049", 0, "0.000000000000", true),
            ("1e-60", 0, "0.000000000000", true),
            (".5", 0, "0.500000000000", false),
        ] {
            let amount = Amount::read(text, shift).unwrap();
            assert_eq!((amount.value.to_string().as_str(), amount.rounded), (expected, rounded), "{text}");
        }
        for text in ["", "-", ".", "1,5", "$1", "1e", "NaN", "1e60", "--1"] {
            assert!(Amount::read(text, 0).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}", shift in -14..7) {
            let _ = Amount::read(&text, shift);
        }

        #[test]
        fn what_money_prints_reads_back(pico in -(1_i128 << 100)..(1_i128 << 100)) {
            let value = Picodollars::from_pico(pico);
            prop_assert_eq!(Amount::read(&value.to_string(), 0), Ok(Amount { value, rounded: false }));
        }
    }
}

//! Money: whole pico-dollars, parsed from and printed as decimal dollars.

pub mod decimal;
pub mod shown;

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::lean::digits::Digits;

/// Money in pico-dollars (10⁻¹² USD), never a float.
///
/// A published price of $X per million tokens, up to six decimals, is exactly X × 1_000_000 of these
/// per token, so pricing a call multiplies and never rounds. Sums saturate at the ends of `i128`, which
/// is 10²⁶ dollars away.
///
/// In JSON and in configuration it is a decimal string of dollars; it prints with twelve decimals:
///
/// ```
/// use tollgate_core::money::Picodollars;
/// let price: Picodollars = "0.0012345".parse().unwrap();
/// assert_eq!(price.as_pico(), 1_234_500_000);
/// assert_eq!(price.to_string(), "0.001234500000");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Picodollars(i128);

impl Picodollars {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// From a number of pico-dollars.
    pub const fn from_pico(pico: i128) -> Self {
        Self(pico)
    }

    /// The number of pico-dollars.
    pub const fn as_pico(self) -> i128 {
        self.0
    }

    /// This rate per unit, for `quantity` units.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below 2³², by the test before
    pub const fn times(self, quantity: u64) -> Self {
        // Nearly always so, and then without a call for 128 bits where the machine has none.
        if self.0 >> 32 == 0 && quantity >> 32 == 0 {
            return Self((self.0 as u64 * quantity) as i128);
        }
        Self(self.0.saturating_mul(quantity as i128))
    }

    /// Multiplied by `numerator / denominator`, rounded up to a whole pico-dollar.
    ///
    /// Used when a book is loaded (region factors, contract discounts), never while a call is priced.
    /// A denominator of zero gives the amount unchanged.
    #[must_use]
    pub const fn scaled_up(self, numerator: u64, denominator: u64) -> Self {
        if denominator == 0 {
            return self;
        }
        let product = self.0.saturating_mul(numerator as i128);
        let whole = product.div_euclid(denominator as i128);
        let up = if product.rem_euclid(denominator as i128) > 0 { 1 } else { 0 };
        Self(whole.saturating_add(up))
    }

    /// Dollars as a float, for screens and gauges only; never for arithmetic on money.
    #[allow(clippy::cast_precision_loss)] // shown, not summed
    pub fn to_dollars_lossy(self) -> f64 {
        self.0 as f64 / PICO_PER_DOLLAR as f64
    }
}

impl fmt::Display for Picodollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let per_dollar = PICO_PER_DOLLAR.unsigned_abs();
        let (dollars, pico) = match u64::try_from(magnitude) {
            // Division of what fits 64 bits costs a tenth.
            Ok(magnitude) => (u128::from(magnitude / PICO_PER_DOLLAR_64), magnitude % PICO_PER_DOLLAR_64),
            Err(_) => (magnitude / per_dollar, u64::try_from(magnitude % per_dollar).unwrap_or_default()),
        };
        f.write_str(sign)?;
        match u64::try_from(dollars) {
            Ok(dollars) => f.write_str(Digits::of(dollars, 1).as_str())?,
            Err(_) => write!(f, "{dollars}")?,
        }
        f.write_str(".")?;
        f.write_str(Digits::of(pico, DECIMALS).as_str())
    }
}

impl FromStr for Picodollars {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let bad = || NotMoney { value: text.chars().take(40).collect() };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || fraction.len() > DECIMALS {
            return Err(bad());
        }
        let whole: i128 = whole.parse().map_err(|_| bad())?;
        let fraction: i128 = format!("{fraction:0<DECIMALS$}").parse().map_err(|_| bad())?;
        let pico =
            whole.checked_mul(PICO_PER_DOLLAR).and_then(|p| p.checked_add(fraction)).ok_or_else(bad)?;
        Ok(Self(if negative { -pico } else { pico }))
    }
}

/// Text that is not an amount of dollars.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{value}` is not an amount of dollars such as `250.00` (digits, at most twelve decimals)")]
pub struct NotMoney {
    /// What was given, cut to forty characters.
    pub value: String,
}

impl Add for Picodollars {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Picodollars {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Picodollars {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl AddAssign for Picodollars {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Picodollars {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Add::add)
    }
}

impl Serialize for Picodollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Picodollars {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dollars".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Dollars as a decimal string with twelve decimals.",
            "type": "string",
            "pattern": "^-?[0-9]+\\.[0-9]{12}$",
        })
    }
}

impl<'de> Deserialize<'de> for Picodollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

const PICO_PER_DOLLAR: i128 = 1_000_000_000_000;
const PICO_PER_DOLLAR_64: u64 = 1_000_000_000_000;
const DECIMALS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn printing_and_parsing_give_the_same_amount(pico in -(1i128 << 100)..(1i128 << 100)) {
            let money = Picodollars::from_pico(pico);
            prop_assert_eq!(money.to_string().parse::<Picodollars>(), Ok(money));
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = text.parse::<Picodollars>();
        }

        #[test]
        fn scaling_rounds_up_by_less_than_one(pico in 0i128..1 << 80, n in 0u64..1000, d in 1u64..1000) {
            let scaled = Picodollars::from_pico(pico).scaled_up(n, d).as_pico();
            let exact = pico * i128::from(n);
            prop_assert!(scaled * i128::from(d) >= exact);
            prop_assert!((scaled - 1) * i128::from(d) < exact);
        }
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "1e3", "+1", "--1", "1,5", " 1", "0.0000000000001", "٣"] {
            assert!(text.parse::<Picodollars>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_rate_times_tokens_is_exact() {
        let per_token: Picodollars = "0.00000125".parse().unwrap();
        assert_eq!(per_token.times(1_000_000).to_string(), "1.250000000000");
        for rate in [-1, 0, 1, (1 << 32) - 1, 1 << 32, -(1 << 32), 1 << 60] {
            for quantity in [0, 1, (1 << 32) - 1, 1 << 32, u64::MAX] {
                let exact = rate * i128::from(quantity);
                assert_eq!(
                    Picodollars::from_pico(rate).times(quantity).as_pico(),
                    exact,
                    "{rate} {quantity}"
                );
            }
        }
        assert_eq!(Picodollars::from_pico(i128::MAX).times(2).as_pico(), i128::MAX);
    }
}

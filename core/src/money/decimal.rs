//! Numbers with a point that are no money: shares, parts in a hundred, tokens of a call.
//!
//! They are made of exact sums and rounded once, half away from zero. No float has a part in them, so the
//! API, CSV and tables say the same.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Picodollars;

/// A number with some decimals, in JSON a decimal string such as `12.50`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Decimal {
    units: i128,
    places: u8,
}

impl Decimal {
    /// So many units of a number with so many decimals.
    pub const fn exact(units: i128, places: u8) -> Self {
        Self { units, places }
    }

    /// `part / whole`, rounded to so many decimals; none where the whole is nothing, or the number is out of
    /// range.
    pub fn ratio(part: i128, whole: i128, places: u8) -> Option<Self> {
        let scaled = part.checked_mul(10_i128.checked_pow(places.into())?)?;
        Some(Self { units: divided(scaled, whole)?, places })
    }

    /// How many of a hundred `part` is of `whole`, with two decimals.
    pub fn percent(part: impl Into<i128>, whole: impl Into<i128>) -> Option<Self> {
        Self::ratio(part.into().checked_mul(100)?, whole.into(), PERCENT_PLACES)
    }

    /// By how many of a hundred `now` is more than `before`, with two decimals; below 0 where it is less.
    pub fn change(now: Picodollars, before: Picodollars) -> Option<Self> {
        let more = now.as_pico().checked_sub(before.as_pico())?;
        Self::percent(more, before.as_pico().checked_abs()?)
    }

    /// The same number with so many decimals, rounded.
    #[must_use]
    pub fn rounded(self, places: u8) -> Self {
        let Some(fewer) = self.places.checked_sub(places) else { return self };
        let by = 10_i128.checked_pow(fewer.into());
        by.and_then(|by| divided(self.units, by)).map_or(self, |units| Self { units, places })
    }

    /// The number times ten to the power of its decimals.
    pub const fn units(self) -> i128 {
        self.units
    }

    /// Its decimals.
    pub const fn places(self) -> u8 {
        self.places
    }
}

/// Money divided among so many, rounded to the pico-dollar, half away from zero; none where they are none.
pub fn each(sum: Picodollars, of: u64) -> Option<Picodollars> {
    divided(sum.as_pico(), of.into()).map(Picodollars::from_pico)
}

/// Rounded half away from zero.
pub fn divided(part: i128, whole: i128) -> Option<i128> {
    let (quotient, rest) = (part.checked_div(whole)?, part.checked_rem(whole)?);
    // Twice the rest may be out of range where the rest is not.
    let is_up = rest.unsigned_abs() >= whole.unsigned_abs().div_ceil(2);
    let up = if (part < 0) == (whole < 0) { 1 } else { -1 };
    if is_up { quotient.checked_add(up) } else { Some(quotient) }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.units.unsigned_abs(), width = usize::from(self.places) + 1);
        let (whole, decimals) = digits.split_at(digits.len().saturating_sub(self.places.into()));
        match decimals {
            "" => write!(f, "{sign}{whole}"),
            decimals => write!(f, "{sign}{whole}.{decimals}"),
        }
    }
}

/// Text that is not such a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a decimal number such as `12.50`")]
pub struct NotADecimal;

impl FromStr for Decimal {
    type Err = NotADecimal;

    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if digits.is_empty() || !are_digits(digits) || !are_digits(decimals) {
            return Err(NotADecimal);
        }
        let units = format!("{whole}{decimals}").parse().map_err(|_| NotADecimal)?;
        Ok(Self { units, places: u8::try_from(decimals.len()).map_err(|_| NotADecimal)? })
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format!("`{text}` is {error}")))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A decimal number, rounded once from exact sums, half away from zero.",
            "type": "string",
            "pattern": "^-?[0-9]+(\\.[0-9]+)?$",
        })
    }
}

/// Decimals of numbers in a hundred.
const PERCENT_PLACES: u8 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_ratio_is_rounded_half_away_from_zero() {
        for (part, whole, places, expected) in [
            (1, 3, 2, Some("0.33")),
            (2, 3, 2, Some("0.67")),
            (1, 8, 2, Some("0.13")),
            (-1, 8, 2, Some("-0.13")),
            (1, -8, 2, Some("-0.13")),
            (5, 1, 0, Some("5")),
            (1, 2, 0, Some("1")),
            (49, 100, 0, Some("0")),
            (0, 7, 2, Some("0.00")),
            (1, 0, 2, None),
            (i128::MAX, 1, 2, None),
        ] {
            let shown = Decimal::ratio(part, whole, places).map(|one| one.to_string());
            assert_eq!(shown.as_deref(), expected, "{part} / {whole}");
        }
    }

    #[test]
    fn a_change_is_relative_to_what_was_before() {
        let money = |text: &str| text.parse().unwrap();
        for (now, before, expected) in [
            ("1.5", "1", Some("50.00")),
            ("0", "2", Some("-100.00")),
            ("1", "3", Some("-66.67")),
            ("1", "0", None),
        ] {
            let shown = Decimal::change(money(now), money(before)).map(|one| one.to_string());
            assert_eq!(shown.as_deref(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(part in -1_000_000_i128..1_000_000, whole in 1_i128..5_000, places in 0_u8..6) {
            let one = Decimal::ratio(part, whole, places).unwrap();
            let text = one.to_string();
            prop_assert_eq!(serde_json::from_str::<Decimal>(&format!("\"{text}\"")).unwrap().units(), one.units());
            // No other number of so many decimals is nearer.
            let off = (one.units() * whole - part * 10_i128.pow(places.into())).abs();
            prop_assert!(2 * off <= whole, "{} {} {}", part, whole, text);
        }
    }

    #[test]
    fn what_is_no_number_is_not_read() {
        for wrong in ["", "-", ".", ".5", "1.2.3", "1e3", "+1", "1,5", " 1"] {
            assert_eq!(wrong.parse::<Decimal>(), Err(NotADecimal), "{wrong}");
        }
        assert_eq!("12.345".parse::<Decimal>().unwrap().rounded(1).to_string(), "12.3");
        assert_eq!("-0.05".parse::<Decimal>().unwrap().rounded(1).to_string(), "-0.1");
    }
}

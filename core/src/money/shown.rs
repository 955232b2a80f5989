//! Numbers and money as people read them, on pages and in the estimator: digits in groups, few decimals.

use super::Picodollars;
use super::decimal::{Decimal, divided};

/// Dollars with separators and two decimals, more where they are small: `$1,234.50`, `$0.0123`.
pub fn money(amount: Picodollars) -> String {
    dollars(amount, decimals(amount))
}

/// Dollars with so many decimals; what is too small for them says so.
pub fn dollars(amount: Picodollars, places: u8) -> String {
    let number = fixed(amount, places);
    let sign = if amount.as_pico() < 0 { "−" } else { "" };
    let is_lost = amount != Picodollars::ZERO && number.bytes().all(|byte| !(b'1'..=b'9').contains(&byte));
    match is_lost {
        true => format!("{sign}<${}", smallest(places)),
        false => format!("{sign}${number}"),
    }
}

/// Dollars with a sign in front, as a change has it.
pub fn signed(amount: Picodollars, places: u8) -> String {
    let plus = if amount.as_pico() > 0 { "+" } else { "" };
    format!("{plus}{}", dollars(amount, places))
}

/// So many decimals that the amount has a few digits.
pub fn decimals(amount: Picodollars) -> u8 {
    match amount.as_pico().unsigned_abs() {
        0 => 2,
        pico if pico >= DOLLAR => 2,
        pico if pico >= DOLLAR / 100 => 4,
        _ => 6,
    }
}

/// Without sign and `$`.
fn fixed(amount: Picodollars, places: u8) -> String {
    let units = 10_i128.checked_pow(u32::from(12_u8.saturating_sub(places)));
    let rounded = units.and_then(|units| divided(amount.as_pico(), units)).unwrap_or_default();
    let text = Decimal::exact(rounded.checked_abs().unwrap_or(i128::MAX), places).to_string();
    grouped(&text)
}

fn smallest(places: u8) -> String {
    Decimal::exact(1, places).to_string()
}

/// A whole number with separators.
pub fn count(count: impl Into<i128>) -> String {
    let count: i128 = count.into();
    let sign = if count < 0 { "−" } else { "" };
    format!("{sign}{}", grouped(&count.unsigned_abs().to_string()))
}

/// A number with a point, with separators.
pub fn decimal(number: Decimal) -> String {
    match number.to_string() {
        text if text.starts_with('-') => format!("−{}", grouped(text.trim_start_matches('-'))),
        text => grouped(&text),
    }
}

/// Digits in groups of three before the point.
pub fn grouped(digits: &str) -> String {
    let (whole, rest) = match digits.split_once('.') {
        Some((whole, rest)) => (whole, Some(rest)),
        None => (digits, None),
    };
    let mut text = String::with_capacity(digits.len().saturating_add(whole.len() / 3));
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len().saturating_sub(at)).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(rest) = rest {
        text.push('.');
        text.push_str(rest);
    }
    text
}

const DOLLAR: u128 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_separators_and_is_never_silently_nothing() {
        for (text, expected) in [
            ("1234567.895", "$1,234,567.90"),
            ("0.0", "$0.00"),
            ("0.0123456", "$0.0123"),
            ("0.00001234", "$0.000012"),
            ("0.0000001", "<$0.000001"),
            ("-12.5", "−$12.50"),
            ("999.994", "$999.99"),
        ] {
            assert_eq!(money(text.parse().unwrap()), expected);
        }
        assert_eq!(dollars("0.004".parse().unwrap(), 2), "<$0.01");
        assert_eq!(dollars("-0.004".parse().unwrap(), 2), "−<$0.01");
        assert_eq!(signed("3.0".parse().unwrap(), 2), "+$3.00");
    }
}

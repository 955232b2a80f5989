//! Numbers, money and times as people read them.

use maud::{Markup, html};
pub(super) use tollgate_core::money::shown::{count, decimal, decimals, dollars, grouped, money, signed};

use crate::model::answers::budgets::Quantity;
use crate::model::decimal::Decimal;
use crate::model::text::printable;

/// A whole number in few characters: `1.2 M`.
pub(super) fn short(count: u64) -> String {
    for (unit, size) in [("T", 1_000_000_000_000_u64), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)] {
        if count >= size.saturating_mul(10).saturating_div(if unit == "k" { 1 } else { 10 }) {
            let tenths = Decimal::ratio(count.into(), size.into(), 1);
            return format!(
                "{} {unit}",
                tenths.map(|tenths| grouped(&tenths.to_string())).unwrap_or_default()
            );
        }
    }
    self::count(count)
}

/// Parts in a hundred with one decimal.
pub(super) fn percent(number: Decimal) -> String {
    let shown = number.rounded(1);
    if shown.units() == 0 && number.units() != 0 {
        return "<0.1 %".to_owned();
    }
    format!("{} %", decimal(shown))
}

/// By how many of a hundred something is more.
pub(super) fn change(number: Decimal) -> String {
    let plus = if number.units() > 0 { "+" } else { "" };
    let places = if number.units().unsigned_abs() >= 10_000 { 0 } else { 1 };
    format!("{plus}{} %", decimal(number.rounded(places)))
}

/// An amount of a budget's unit.
pub(super) fn quantity(quantity: Quantity) -> String {
    match quantity {
        Quantity::Dollars(amount) => money(amount),
        Quantity::Count(number) => count(number),
    }
}

/// The bare number of an amount, to set lengths by.
pub(super) const fn size(quantity: Quantity) -> i128 {
    match quantity {
        Quantity::Dollars(amount) => amount.as_pico(),
        Quantity::Count(number) => number,
    }
}

/// A time: in UTC here, and in the reader's zone once the script has run.
pub(super) fn time(rfc3339: &str) -> Markup {
    html! { time datetime=(rfc3339) { (utc(rfc3339)) } }
}

/// A time, where there is one.
pub(super) fn time_or(rfc3339: Option<&str>, otherwise: &str) -> Markup {
    match rfc3339 {
        Some(text) => time(text),
        None => html! { span.none { (otherwise) } },
    }
}

/// `2026-11-30 14:05 UTC`.
fn utc(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(11..16), rfc3339.ends_with('Z')) {
        (Some(day), Some(minute), true) => format!("{day} {minute} UTC"),
        _ => rfc3339.to_owned(),
    }
}

/// A message, with what stands between backticks as code.
pub(super) fn said(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (printable(part)) } } @else { (printable(part)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        for (number, whole, few) in [
            (0, "0", "0"),
            (999, "999", "999"),
            (1_000, "1,000", "1,000"),
            (12_345, "12,345", "12.3 k"),
            (1_250_000, "1,250,000", "1.3 M"),
            (3_000_000_000, "3,000,000,000", "3.0 G"),
        ] {
            assert_eq!((count(number).as_str(), short(number).as_str()), (whole, few));
        }
        assert_eq!(count(-1_000), "−1,000");
    }

    #[test]
    fn a_message_names_what_it_is_about_as_code_and_escapes_it() {
        assert_eq!(said("`<b>` is not `x`").into_string(), "<code>&lt;b&gt;</code> is not <code>x</code>");
    }

    #[test]
    fn shares_and_changes_are_short() {
        let of = |text: &str| text.parse::<Decimal>().unwrap();
        assert_eq!(percent(of("12.34")), "12.3 %");
        assert_eq!(percent(of("0.01")), "<0.1 %");
        assert_eq!(percent(of("0.00")), "0.0 %");
        assert_eq!(change(of("12.34")), "+12.3 %");
        assert_eq!(change(of("-1234.56")), "−1,235 %");
    }
}

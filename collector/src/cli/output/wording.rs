//! Values as they are read by people.

use std::collections::BTreeSet;

use tollgate_core::money::Picodollars;

use super::picture;
use crate::model::decimal::{Decimal, divided};
use crate::model::table::{Cell, Kind, Table};
use crate::model::text::{duration, printable};

/// How the cells of one column are written.
pub(super) struct Wording {
    kind: Kind,
    /// Decimals of its amounts.
    decimals: u32,
    /// Decimals of its numbers with a point.
    places: u8,
    longest: Option<Decimal>,
}

impl Wording {
    /// For a column of a table.
    pub(super) fn of(table: &Table, at: usize, kind: Kind, is_exact: bool) -> Self {
        let rows = || table.rows.iter().filter_map(|row| row.get(at));
        let amounts: Vec<i128> = match table.rows.is_empty() {
            true => table.cells(at).filter_map(pico).collect(),
            false => rows().filter_map(pico).collect(),
        };
        Self {
            kind,
            decimals: if is_exact { EXACT } else { decimals(&amounts) },
            places: places(rows()),
            longest: picture::longest(rows()),
        }
    }

    /// A cell in words.
    pub(super) fn word(&self, cell: &Cell) -> String {
        match (cell, self.kind) {
            (Cell::Nothing, _) => String::new(),
            (Cell::Text(text), Kind::Time) => seconds(&printable(text)),
            (Cell::Text(text), _) => printable(text),
            (Cell::Count(ms), Kind::Duration) => duration(u64::try_from(*ms).unwrap_or_default()),
            (Cell::Count(count), _) => grouped(&count.to_string()),
            (Cell::Money(amount), _) => money(*amount, self.decimals),
            (Cell::Amounts(amounts), _) => picture::sparkline(amounts),
            (Cell::Decimal(part), Kind::Bar) => {
                self.longest.map(|longest| picture::bar(*part, longest)).unwrap_or_default()
            }
            (Cell::Decimal(change), Kind::Change) => self.change(*change),
            (Cell::Decimal(percent), Kind::Percent) => percent_of(*percent),
            (Cell::Decimal(ratio), _) => grouped(&ratio.rounded(self.places).to_string()),
        }
    }

    #[allow(clippy::unused_self)] // beside its siblings
    fn change(&self, change: Decimal) -> String {
        let sign = if change.units() > 0 { "+" } else { "" };
        let places = u8::from(change.rounded(0).units().abs() < 1000);
        format!("{sign}{}%", grouped(&change.rounded(places).to_string()))
    }
}

/// `2026-11-20T10:00:00.123Z` as `2026-11-20T10:00:00Z`.
fn seconds(time: &str) -> String {
    let Some((whole, rest)) = time.split_once('.') else { return time.to_owned() };
    format!("{whole}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// One decimal; what is more than nothing is not shown as nothing.
fn percent_of(percent: Decimal) -> String {
    let shown = percent.rounded(1);
    match shown.units() == 0 && percent.units() > 0 {
        true => "<0.1".to_owned(),
        false => grouped(&shown.to_string()),
    }
}

fn pico(cell: &Cell) -> Option<i128> {
    match cell {
        Cell::Money(amount) => Some(amount.as_pico()),
        _ => None,
    }
}

/// How many decimals a column of amounts needs: two, or as many as tell its amounts apart and show two digits
/// of the smallest. Amounts below a billionth of the largest are nothing here, such as what rounding leaves.
fn decimals(amounts: &[i128]) -> u32 {
    let largest = amounts.iter().map(|amount| amount.unsigned_abs()).max().unwrap_or(0);
    let counts = |amount: &i128| amount.unsigned_abs() > largest / 1_000_000_000;
    let distinct: BTreeSet<i128> = amounts.iter().copied().filter(counts).collect();
    let is_enough = |decimals: u32| {
        let unit = 10_i128.pow(EXACT.saturating_sub(decimals));
        let mut last = None;
        distinct.iter().all(|amount| {
            let shown = divided(*amount, unit).unwrap_or(0);
            // In their order, so those that are shown alike stand side by side.
            let is_own = last.replace(shown) != Some(shown);
            is_own && (amount % unit == 0 || shown.abs() >= 10)
        })
    };
    (CENTS..EXACT).find(|decimals| is_enough(*decimals)).unwrap_or(EXACT)
}

/// One decimal where numbers are small; none where all are a hundred or more.
fn places<'c>(cells: impl Iterator<Item = &'c Cell>) -> u8 {
    let is_small = |cell: &Cell| matches!(cell, Cell::Decimal(one) if one.units() != 0 && one.rounded(0).units().abs() < 100);
    u8::from({ cells }.any(is_small))
}

/// Dollars with so many decimals, rounded.
fn money(amount: Picodollars, decimals: u32) -> String {
    let places = u8::try_from(decimals).unwrap_or(u8::MAX);
    let one = Decimal::ratio(amount.as_pico(), 10_i128.pow(EXACT), places);
    // Beyond the range of what can be rounded stands the whole of it.
    grouped(&one.map_or_else(|| amount.to_string(), |one| one.to_string()))
}

/// `1234567` as `1,234,567`; decimals stay.
fn grouped(number: &str) -> String {
    let (sign, number) = match number.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", number),
    };
    let (digits, decimals) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut grouped = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + decimals
}

/// Decimals of a cent.
const CENTS: u32 = 2;
/// Decimals of an exact amount.
const EXACT: u32 = 12;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pico_of(text: &str) -> i128 {
        text.parse::<Picodollars>().unwrap().as_pico()
    }

    #[test]
    fn amounts_have_cents_or_what_tells_them_apart() {
        for (amounts, expected) in [
            (&["2.66883477", "0.822406300000"] as &[&str], 2),
            (&["1", "2"], 2),
            (&["0.01", "5"], 2),
            (&["0.012", "5"], 3),
            (&["0.0123", "5"], 3),
            (&["5.001", "5.002"], 3),
            (&["0.000153", "0.000768750000"], 5),
            (&["-0.00001", "3"], 5),
            (&["0.000000000007", "1234.5"], 2),
            (&["0.0001", "12345"], 4),
            (&["0", "0"], 2),
            (&["0.000000000123"], 11),
            (&[], 2),
        ] {
            let amounts: Vec<i128> = amounts.iter().map(|text| pico_of(text)).collect();
            assert_eq!(decimals(&amounts), expected, "{amounts:?}");
        }
    }

    #[test]
    fn numbers_are_grouped_by_three_and_rounded_once() {
        for (number, shown) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("-123456.5", "-123,456.5"),
            ("", ""),
            ("0.1234", "0.1234"),
        ] {
            assert_eq!(grouped(number), shown);
        }
        assert_eq!(money("1234.565".parse().unwrap(), 2), "1,234.57");
        assert_eq!(money("-0.005".parse().unwrap(), 2), "-0.01");
        assert_eq!(money("1".parse().unwrap(), 12), "1.000000000000");
        assert_eq!(percent_of("0.04".parse().unwrap()), "<0.1");
        assert_eq!(seconds("2026-11-20T10:00:00.123Z"), "2026-11-20T10:00:00Z");
        assert_eq!(seconds("2026-11-20T10:00:00+01:00"), "2026-11-20T10:00:00+01:00");
        assert_eq!(percent_of("0.00".parse().unwrap()), "0.0");
    }

    proptest! {
        #[test]
        fn amounts_that_differ_are_shown_differently(amounts in proptest::collection::vec(0_i128..5_000_000_000_000, 0..20)) {
            let places = decimals(&amounts);
            let distinct: BTreeSet<i128> = amounts.iter().copied().collect();
            let shown: BTreeSet<String> =
                distinct.iter().map(|pico| money(Picodollars::from_pico(*pico), places)).collect();
            prop_assert_eq!(shown.len(), distinct.len());
        }
    }
}

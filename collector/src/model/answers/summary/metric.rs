//! The numbers of a summary, one by one: what they are called, how they are shown and compared.

use tollgate_core::money::Picodollars;

use super::derived::Derived;
use super::{Numbers, SummaryRow};
use crate::model::table::{Cell, Column, KEEP, Kind};

/// A number of a row.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in the API and in exports.
    pub name: &'static str,
    title: &'static str,
    kind: Kind,
    weight: u8,
    if_any: bool,
    cell: fn(&Numbers, &Derived) -> Cell,
}

impl Metric {
    /// The one with this name; `cost` stands for `cost_usd`, `share` for `share_percent`.
    pub fn asked(name: &str) -> Option<&'static Self> {
        let named =
            |ending: &str| METRICS.iter().find(|metric| metric.name.strip_suffix(ending) == Some(name));
        named("").or_else(|| named("_usd")).or_else(|| named("_percent"))
    }

    /// All names, in the order of documentation.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        METRICS.iter().map(|metric| metric.name)
    }

    /// Its value.
    pub fn cell(&self, numbers: &Numbers, derived: &Derived) -> Cell {
        (self.cell)(numbers, derived)
    }

    /// Where a row stands by this number; what is not known stands below everything.
    pub fn rank(&self, row: &SummaryRow) -> Option<i128> {
        match self.cell(&row.numbers, &row.derived) {
            Cell::Count(count) => Some(count),
            Cell::Money(amount) => Some(amount.as_pico()),
            // All of one number have as many decimals.
            Cell::Decimal(decimal) => Some(decimal.units()),
            Cell::Nothing | Cell::Text(_) | Cell::Amounts(_) => None,
        }
    }

    /// Its column.
    pub fn column(&self) -> Column {
        let column = Column::new(self.name, self.kind).titled(self.title).weight(self.weight);
        if self.if_any { column.if_any() } else { column }
    }

    /// Whether a table has it unasked.
    pub const fn is_default(&self) -> bool {
        self.weight > 0
    }
}

const fn count(
    name: &'static str,
    title: &'static str,
    weight: u8,
    cell: fn(&Numbers, &Derived) -> Cell,
) -> Metric {
    Metric { name, title, kind: Kind::Count, weight, if_any: false, cell }
}

const fn of(
    kind: Kind,
    name: &'static str,
    title: &'static str,
    weight: u8,
    cell: fn(&Numbers, &Derived) -> Cell,
) -> Metric {
    Metric { name, title, kind, weight, if_any: false, cell }
}

const fn if_any(metric: Metric) -> Metric {
    Metric { if_any: true, ..metric }
}

/// More, less, or spent for the first time.
fn change(numbers: &Numbers, derived: &Derived) -> Cell {
    let is_new = derived.previous_cost_usd == Some(Picodollars::ZERO) && numbers.cost_usd > Picodollars::ZERO;
    match derived.change_percent {
        Some(change) => Cell::Decimal(change),
        None if is_new => Cell::from("new"),
        None => Cell::Nothing,
    }
}

/// All numbers. The first eleven are those of the first version of exports, in their order.
///
/// A weight of 0 is of those that a table has only where they are asked for.
pub const METRICS: &[Metric] = &[
    count("calls", "calls", 240, |numbers, _| numbers.calls.into()),
    if_any(count("denied", "denied", 200, |numbers, _| numbers.denied.into())),
    count("errors", "errors", 0, |numbers, _| numbers.errors.into()),
    if_any(count("unpriced", "no price", 210, |numbers, _| numbers.unpriced.into())),
    count("input_tokens", "tokens in", 190, |numbers, _| numbers.input_tokens.into()),
    count("cache_read_tokens", "cache read", 0, |numbers, _| numbers.cache_read_tokens.into()),
    count("cache_write_tokens", "cache write", 0, |numbers, _| numbers.cache_write_tokens.into()),
    count("output_tokens", "tokens out", 185, |numbers, _| numbers.output_tokens.into()),
    count("reasoning_tokens", "reasoning", 0, |numbers, _| numbers.reasoning_tokens.into()),
    of(Kind::Money, "cost_usd", "cost $", KEEP, |numbers, _| numbers.cost_usd.into()),
    if_any(of(Kind::Money, "estimated_cost_usd", "estimated $", 130, |numbers, _| {
        numbers.estimated_cost_usd.into()
    })),
    count("estimated_calls", "estimated calls", 0, |numbers, _| numbers.estimated_calls.into()),
    if_any(of(Kind::Percent, "error_percent", "error %", 180, |_, derived| {
        Cell::decimal(derived.error_percent)
    })),
    of(Kind::Ratio, "tokens_per_call", "tokens/call", 150, |_, derived| {
        Cell::decimal(derived.tokens_per_call)
    }),
    if_any(of(Kind::Percent, "cached_percent", "cached %", 160, |_, derived| {
        Cell::decimal(derived.cached_percent)
    })),
    of(Kind::Percent, "share_percent", "share %", 230, |_, derived| Cell::decimal(derived.share_percent)),
    of(Kind::Money, "cost_per_call_usd", "$/call", 170, |_, derived| Cell::money(derived.cost_per_call_usd)),
    if_any(of(Kind::Money, "previous_cost_usd", "before $", 140, |_, derived| {
        Cell::money(derived.previous_cost_usd)
    })),
    if_any(of(Kind::Change, "change_percent", "change", 220, change)),
    if_any(count("retried", "retried", 120, |_, derived| derived.retried.map_or(Cell::Nothing, Cell::from))),
    if_any(of(Kind::Money, "retried_usd", "retried $", 125, |_, derived| Cell::money(derived.retried_usd))),
    if_any(of(Kind::Money, "saved_usd", "saved $", 135, |_, derived| Cell::money(derived.saved_usd))),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_name_and_without_its_unit() {
        for (name, expected) in [
            ("cost_usd", Some("cost_usd")),
            ("cost", Some("cost_usd")),
            ("share", Some("share_percent")),
            ("error", Some("error_percent")),
            ("errors", Some("errors")),
            ("", None),
            ("colour", None),
        ] {
            assert_eq!(Metric::asked(name).map(|metric| metric.name), expected, "{name}");
        }
    }
}

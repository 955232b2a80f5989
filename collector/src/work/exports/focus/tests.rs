//! Rows of FOCUS add up to what summaries and records say.

use proptest::prelude::*;

use super::*;
use crate::work::exports::sample::{Sample, book, spans};

fn column(name: &str) -> usize {
    columns().iter().position(|column| column.name == name).unwrap()
}

fn money(row: &[Cell], name: &str) -> Picodollars {
    match &row[column(name)] {
        Cell::Money(amount) => *amount,
        Cell::Nothing => Picodollars::ZERO,
        other => panic!("{name} is {other:?}"),
    }
}

fn sum(rows: &[Vec<Cell>], name: &str) -> Picodollars {
    rows.iter().map(|row| money(row, name)).sum()
}

fn rows(sample: &Sample, hours: (i64, i64), every: Every) -> Vec<Vec<Cell>> {
    let book = Arc::new(book());
    let mut focus = Focus::new(Arc::clone(&book), book, every);
    sample.details(hours, &BY, every).iter().flat_map(|row| focus.rows(row)).collect()
}

fn number(cell: &Cell) -> Option<Decimal> {
    match cell {
        Cell::Decimal(decimal) => Some(*decimal),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn rows_of_focus_summaries_and_records_add_up_to_the_same(seed in any::<u64>()) {
        let sample = Sample::new(seed, 200);
        for hours in spans() {
            let expected = sample.summary(hours, &[]).total;
            for every in [Every::Hour, Every::Day] {
                if every == Every::Day && hours.0 % 24 != 0 {
                    continue;
                }
                let rows = rows(&sample, hours, every);
                prop_assert!(rows.iter().all(|row| row.len() == columns().len()));
                for name in ["BilledCost", "EffectiveCost", "ContractedCost"] {
                    prop_assert_eq!(sum(&rows, name), expected.cost, "{} {:?}", name, hours);
                }
                prop_assert_eq!(sum(&rows, "x_EstimatedCost"), expected.estimated_cost);
                for row in &rows {
                    let price = number(&row[column("ListUnitPrice")]);
                    let quantity = number(&row[column("PricingQuantity")]);
                    if let (Some(price), Some(quantity)) = (price, quantity) {
                        let places = u32::from(price.places() + quantity.places());
                        let scaled = money(row, "ListCost").as_pico() * 10i128.pow(places);
                        prop_assert_eq!(price.units() * quantity.units() * 10i128.pow(12), scaled, "{:?}", row);
                    }
                }
            }
        }
        prop_assert_eq!(sample.summary(spans()[0], &[]).total.cost, sample.paid);
    }
}

#[test]
fn corrections_of_closed_months_and_words_of_providers_are_rows_of_their_own() {
    let sample = Sample::new(7, 400);
    let rows = rows(&sample, spans()[0], Every::Hour);
    let of = |kind: &str| {
        let is_one = |row: &&Vec<Cell>| row[column("x_TokenKind")] == Cell::from(kind);
        rows.iter().filter(is_one).collect::<Vec<_>>()
    };
    let corrections = of("correction");
    assert!(!corrections.is_empty() && !of("reported").is_empty());
    assert!(corrections.iter().any(|row| money(row, "BilledCost") < Picodollars::ZERO), "some give back");
    assert!(corrections.iter().all(|row| row[column("ChargeClass")] == Cell::from("Correction")));
    assert!(sum(&rows, "x_LateCost") > Picodollars::ZERO);
    // What is used is explained by one rate, but where the book has none or it was corrected.
    let used = rows.iter().filter(|row| row[column("ConsumedQuantity")] != Cell::Nothing);
    let (with, without): (Vec<_>, Vec<_>) =
        used.partition(|row| row[column("ListUnitPrice")] != Cell::Nothing);
    assert!(with.len() > without.len(), "{} of {}", without.len(), with.len());
}

#[test]
fn a_discount_is_what_the_contracted_price_is_below_the_list_price() {
    let text = "[[prices.discount]]\nprovider = \"openai\"\nmultiply = \"0.85\"\nname = \"contract 7\"\n";
    let config = crate::config::Config::parse("t.toml", text).unwrap();
    let held = Arc::new(crate::work::prices::book("", &config.prices).unwrap());
    let list = Arc::new(crate::work::prices::list_book("", &config.prices).unwrap());
    let mut rates = Rates::new(held, list);
    let money = |text: &str| text.parse::<Picodollars>().unwrap();
    let explained = rates.explain(
        ("openai", "gpt-4o-2024-08-06", 490_000),
        tollgate_core::usage::Kind::Input,
        1_000_000,
        money("2.125"),
    );
    let price = explained.unwrap();
    assert_eq!((price.rate, price.list), (money("0.000002125"), money("0.0000025")));
    let other = rates.explain(
        ("openai", "gpt-4o", 490_000),
        tollgate_core::usage::Kind::Input,
        1_000_000,
        money("2.2"),
    );
    assert_eq!(other, None, "two rates together are no unit price");
}

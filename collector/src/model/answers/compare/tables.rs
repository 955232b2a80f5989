//! A comparison as a table: for a screen, and for a file.

use super::{Comparison, ComparisonRow, Difference, Parts};
use crate::model::answers::summary::By;
use crate::model::answers::summary::tables::OTHERS;
use crate::model::table::{Cell, Column, Kind, Table};

/// A table for people, with the total.
pub fn for_screen(answer: &Comparison) -> Table {
    let mut columns = keys(&answer.by);
    columns.push(Column::money("before_usd").weight(160));
    columns.push(Column::money("after_usd").titled("now $").weight(200));
    columns.push(Column::money("change_usd").kept());
    columns.push(Column::new("change_percent", Kind::Change).titled("change").weight(230));
    columns.extend(Parts::default().all().map(|(name, _)| part(name)));
    let cells = |keys: Vec<Cell>, difference: &Difference, is_new: bool| -> Vec<Cell> {
        let change = match (difference.change_percent, is_new) {
            (None, true) => Cell::from("new"),
            (change, _) => Cell::decimal(change),
        };
        let money = [difference.before_usd, difference.after_usd, difference.change_usd];
        let parts = difference.parts.all().map(|(_, amount)| Cell::Money(amount));
        keys.into_iter().chain(money.map(Cell::Money)).chain([change]).chain(parts).collect()
    };
    let of_total =
        answer.by.iter().enumerate().map(|(at, _)| if at == 0 { "total".into() } else { Cell::Nothing });
    let total = cells(of_total.collect(), &answer.total, false);
    let table = Table::new(columns);
    match answer.by.is_empty() {
        true => table.with([total]),
        false => table
            .with(answer.rows.iter().map(|row| {
                cells(values(&answer.by, row), &row.difference, row.status == Some(super::Status::New))
            }))
            .total(total),
    }
}

/// A table for sheets: every number. Which columns there are depends on the question alone.
pub fn for_export(answer: &Comparison) -> Table {
    let mut columns = keys(&answer.by);
    columns.extend(["before_usd", "after_usd", "change_usd"].map(Column::money));
    columns.push(Column::new("change_percent", Kind::Change));
    columns.extend(Parts::default().all().map(|(name, _)| part(name)));
    columns.extend(COUNTS.map(Column::count));
    columns.extend(["status", "said", "others"].map(Column::text));
    let cells = |row: &ComparisonRow| -> Vec<Cell> {
        let difference = &row.difference;
        let money = [difference.before_usd, difference.after_usd, difference.change_usd].map(Cell::Money);
        let parts = difference.parts.all().map(|(_, amount)| Cell::Money(amount));
        let counts = [
            difference.calls_before,
            difference.calls_after,
            difference.input_tokens_before,
            difference.input_tokens_after,
            difference.cache_read_tokens_before,
            difference.cache_read_tokens_after,
            difference.output_tokens_before,
            difference.output_tokens_after,
        ];
        let words = [
            Cell::said(row.status.map(super::Status::name)),
            Cell::said(row.said.as_deref()),
            Cell::from(row.others.is_some().to_string()),
        ];
        values(&answer.by, row)
            .into_iter()
            .chain(money)
            .chain([Cell::decimal(difference.change_percent)])
            .chain(parts)
            .chain(counts.map(Cell::from))
            .chain(words)
            .collect()
    };
    match answer.by.is_empty() {
        true => {
            let total = ComparisonRow { difference: answer.total.clone(), ..ComparisonRow::default() };
            Table::new(columns).with([cells(&total)])
        }
        false => Table::new(columns).with(answer.rows.iter().map(cells)),
    }
}

fn keys(by: &[By]) -> Vec<Column> {
    by.iter().map(|by| Column::text(by.name()).kept()).collect()
}

/// A column of a part; those that are asked about most go last.
fn part(name: &str) -> Column {
    let weight = match name {
        "volume" | "input" => 190,
        "mix" | "output" => 180,
        "price" | "cache" => 170,
        _ => 150,
    };
    Column::money(format!("{name}_usd")).titled(name).weight(weight).if_any()
}

fn values(by: &[By], row: &ComparisonRow) -> Vec<Cell> {
    let value = |(at, by): (usize, &By)| match (row.others, row.keys.value(*by)) {
        (Some(_), None) if at == 0 => Cell::from(OTHERS),
        (_, value) => Cell::said(value),
    };
    by.iter().enumerate().map(value).collect()
}

/// Names of the counts.
const COUNTS: [&str; 8] = [
    "calls_before",
    "calls_after",
    "input_tokens_before",
    "input_tokens_after",
    "cache_read_tokens_before",
    "cache_read_tokens_after",
    "output_tokens_before",
    "output_tokens_after",
];

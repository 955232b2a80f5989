//! A summary as a table: for a screen, and for a file. The command line and the API make the same of it.

use tollgate_core::money::Picodollars;

use super::metric::{METRICS, Metric};
use super::{By, Keys, SummaryAnswer, SummaryRow};
use crate::model::table::{Cell, Column, Kind, Table};

/// A table for people: with marks, pictures and the total. `chosen` says which numbers it has.
pub fn for_screen(answer: &SummaryAnswer, chosen: Option<&[&'static Metric]>) -> Table {
    let is_new = has_nothing_before(answer);
    let metrics =
        metrics(chosen, |metric| metric.is_default() && !(is_new && COMPARED.contains(&metric.name)));
    let has_trend = answer.trend_by.is_some();
    let mut columns: Vec<Column> = answer.by.iter().map(key_column).collect();
    columns.extend(metrics.iter().map(|metric| match chosen {
        // Whoever asks for a column wants it also where it is empty.
        Some(_) => Column { if_any: false, weight: CHOSEN, ..metric.column() },
        None => metric.column(),
    }));
    columns.push(Column::new("share", Kind::Bar).titled("").weight(BAR));
    if has_trend {
        columns.push(Column::new("trend", Kind::Sparkline).weight(SPARKLINE));
    }
    let cells = |row: &SummaryRow, keys: Vec<Cell>| -> Vec<Cell> {
        let numbers = metrics.iter().map(|metric| metric.cell(&row.numbers, &row.derived));
        let share = Cell::decimal(row.derived.share_percent);
        let trend = row.trend.clone().map_or(Cell::Nothing, Cell::Amounts);
        let pictures = [share].into_iter().chain(has_trend.then_some(trend));
        keys.into_iter().chain(numbers).chain(pictures).collect()
    };
    let total = SummaryRow {
        numbers: answer.total.numbers.clone(),
        derived: answer.total.derived.clone(),
        ..SummaryRow::default()
    };
    let of_total =
        answer.by.iter().enumerate().map(|(at, _)| if at == 0 { "total".into() } else { Cell::Nothing });
    let total = cells(&total, of_total.collect());
    let table = Table::new(columns);
    match answer.by.is_empty() {
        true => table.with([total]),
        false => {
            table.with(answer.rows.iter().map(|row| cells(row, shown_keys(&answer.by, row)))).total(total)
        }
    }
}

/// A table for sheets: every number unless some are chosen, and what marks rows.
///
/// Which columns there are depends on the question alone.
pub fn for_export(answer: &SummaryAnswer, chosen: Option<&[&'static Metric]>) -> Table {
    let is_compared = answer.previous.is_some();
    let metrics = metrics(chosen, |metric| is_compared || !COMPARED.contains(&metric.name));
    let has_time = answer.by.iter().any(|by| by.unit().is_some());
    let mut columns: Vec<Column> = answer.by.iter().map(key_column).collect();
    columns.extend(metrics.iter().map(|metric| metric.column()));
    columns.extend(has_time.then(|| Column::text("partial")));
    columns.extend(answer.top.map(|_| Column::text("others")));
    let cells = |row: &SummaryRow| -> Vec<Cell> {
        let keys = keys(&answer.by, row);
        let numbers = metrics.iter().map(|metric| metric.cell(&row.numbers, &row.derived));
        let partial = has_time.then(|| Cell::from(row.partial.to_string()));
        let others = answer.top.map(|_| Cell::from(row.others.is_some().to_string()));
        keys.into_iter().chain(numbers).chain(partial).chain(others).collect()
    };
    match answer.by.is_empty() {
        true => Table::new(columns).with([cells(&SummaryRow {
            keys: Keys::default(),
            numbers: answer.total.numbers.clone(),
            derived: answer.total.derived.clone(),
            ..SummaryRow::default()
        })]),
        false => Table::new(columns).with(answer.rows.iter().map(cells)),
    }
}

/// Whether nothing was spent in the whole period before, so that every change is the same.
pub fn has_nothing_before(answer: &SummaryAnswer) -> bool {
    let before = answer.total.derived.previous_cost_usd;
    before == Some(Picodollars::ZERO) && answer.total.numbers.cost_usd != Picodollars::ZERO
}

fn metrics(chosen: Option<&[&'static Metric]>, unasked: impl Fn(&Metric) -> bool) -> Vec<&'static Metric> {
    chosen.map_or_else(|| METRICS.iter().filter(|metric| unasked(metric)).collect(), <[_]>::to_vec)
}

fn key_column(by: &By) -> Column {
    match by.unit() {
        Some(_) => Column::text(by.name()).kept().whole(),
        None => Column::text(by.name()).kept(),
    }
}

/// What a row is about; `(others)` stands in the first dimension of a row of others.
fn keys(by: &[By], row: &SummaryRow) -> Vec<Cell> {
    let first = by.iter().position(|by| by.unit().is_none()).unwrap_or(0);
    let key = |(at, by): (usize, &By)| match (row.others, row.keys.value(*by)) {
        (Some(_), None) if at == first => Cell::from(OTHERS),
        (_, value) => Cell::said(value),
    };
    by.iter().enumerate().map(key).collect()
}

/// The same with a mark at times that are cut.
fn shown_keys(by: &[By], row: &SummaryRow) -> Vec<Cell> {
    let marked = |(by, cell): (&By, Cell)| match cell {
        Cell::Text(time) if row.partial && by.unit().is_some() => Cell::Text(format!("{time}{MARK}")),
        cell => cell,
    };
    by.iter().zip(keys(by, row)).map(marked).collect()
}

/// Stands for the rows that are not among the first.
pub const OTHERS: &str = "(others)";
/// Stands at a time that is cut.
pub const MARK: &str = "*";
/// Numbers that only a comparison has.
const COMPARED: [&str; 2] = ["previous_cost_usd", "change_percent"];
/// Of a column that was asked for.
const CHOSEN: u8 = 250;
const BAR: u8 = 20;
const SPARKLINE: u8 = 10;

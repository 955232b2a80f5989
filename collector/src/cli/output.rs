//! Output of the reading commands: a table for people, CSV for sheets, the API's JSON for programs.

use std::io::Write;

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::model::text::{printable, printable_json, printable_lines};

/// Form of an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// The API's answer, unchanged
    Json,
    /// RFC 4180, with a header
    Csv,
}

/// A column of a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Column {
    /// Name in the API and in CSV.
    pub(super) name: String,
    /// What it holds.
    pub(super) kind: ColumnKind,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ColumnKind {
    /// Words.
    Text,
    /// A count.
    Count,
    /// Dollars, as a decimal string.
    Money,
}

impl Column {
    /// A column.
    pub(super) fn new(name: impl Into<String>, kind: ColumnKind) -> Self {
        Self { name: name.into(), kind }
    }
}

/// A table for people; the last row stands apart when it is a total.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>], total: Option<&[String]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| cell(column, &title(&column.name))));
    for row in rows {
        table.add_row(cells(columns, row));
    }
    if let Some(total) = total {
        table.add_row(columns.iter().map(|_| Cell::new("")));
        table.add_row(cells(columns, total));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// CSV with a header. A field that a spreadsheet would run as a formula is led by an apostrophe.
pub(super) fn csv(columns: &[Column], rows: &[Vec<String>]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|column| &column.name))?;
    for row in rows {
        let fields = columns.iter().zip(row).map(|(column, value)| match column.kind {
            ColumnKind::Text => harmless(value),
            ColumnKind::Count | ColumnKind::Money => value.clone(),
        });
        writer.write_record(fields)?;
    }
    let bytes = writer.into_inner().context("the rows cannot be written")?;
    Ok(String::from_utf8(bytes)?)
}

/// Prints, and takes a reader that has seen enough for granted. Whatever it says, no more than lines reach a
/// terminal.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let text = match text.starts_with(['{', '[']) {
        true => printable_json(text),
        false => printable_lines(text),
    };
    print_exactly(&text)
}

/// Texts of which each is one line, whatever it has in it.
pub(super) fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}

/// Says something beside what a command prints, on standard error.
pub(super) fn say(text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    // Nobody is left to tell where that cannot be written.
    let _ = write!(std::io::stderr().lock(), "{}{end}", printable_lines(text));
}

/// Prints byte for byte, for what is hashed.
pub(super) fn print_exactly(text: &str) -> anyhow::Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match write!(std::io::stdout().lock(), "{text}{end}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn cells(columns: &[Column], row: &[String]) -> Vec<Cell> {
    let shown = |(column, value): (&Column, &String)| match column.kind {
        ColumnKind::Text => cell(column, &printable(value)),
        ColumnKind::Count => cell(column, &grouped(value)),
        ColumnKind::Money => cell(column, &money(value)),
    };
    columns.iter().zip(row).map(shown).collect()
}

fn cell(column: &Column, text: &str) -> Cell {
    let alignment = match column.kind {
        ColumnKind::Text => CellAlignment::Left,
        ColumnKind::Count | ColumnKind::Money => CellAlignment::Right,
    };
    Cell::new(text).set_alignment(alignment)
}

/// `cache_read_tokens` as `cache read tokens`, `cost_usd` as `cost $`.
fn title(name: &str) -> String {
    name.replace("_usd", " $").replace('_', " ")
}

/// `1234567` as `1,234,567`.
fn grouped(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits),
    };
    let mut grouped = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Dollars with as many decimals as they need, at least six, so that a column lines up and nothing is
/// rounded.
fn money(amount: &str) -> String {
    let Some((whole, decimals)) = amount.split_once('.') else {
        return amount.to_owned();
    };
    let needed = decimals.trim_end_matches('0').len();
    let kept = if needed <= SHORT_DECIMALS { SHORT_DECIMALS } else { decimals.len() };
    let decimals = decimals.get(..kept).unwrap_or(decimals);
    // Amounts with and without the last six digits line up at their points.
    let padding = " ".repeat(LONG_DECIMALS.saturating_sub(decimals.len()));
    format!("{}.{decimals}{padding}", grouped(whole))
}

fn harmless(text: &str) -> String {
    let shown = printable(text);
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        return format!("'{shown}");
    }
    shown
}

/// Decimals that are shown of every amount.
const SHORT_DECIMALS: usize = 6;
/// Decimals of an exact amount.
const LONG_DECIMALS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("agent", ColumnKind::Text),
            Column::new("input_tokens", ColumnKind::Count),
            Column::new("cost_usd", ColumnKind::Money),
        ]
    }

    fn rows() -> Vec<Vec<String>> {
        [["bot", "1234567", "1234.500000000000"], ["=cmd(), \"x\"", "5", "0.000000000007"]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec()
    }

    #[test]
    fn money_lines_up_at_the_point_and_loses_nothing() {
        let total = ["total", "1234572", "1234.500000000007"].map(str::to_owned);
        let shown = table(&columns(), &rows(), Some(&total));
        let points: Vec<_> = shown.lines().filter_map(|line| line.rfind('.')).collect();
        assert_eq!(points.len(), 3, "{shown}");
        assert!(points.iter().all(|at| *at == points[0]), "{shown}");
        for text in ["1,234,567", "1,234.500000", "0.000000000007", "1,234.500000000007", "cost $"] {
            assert!(shown.contains(text), "{text} in\n{shown}");
        }
    }

    #[test]
    fn csv_quotes_and_disarms_formulas() {
        let text = csv(&columns(), &rows()).unwrap();
        let expected = "agent,input_tokens,cost_usd\n\
                        bot,1234567,1234.500000000000\n\
                        \"'=cmd(), \"\"x\"\"\",5,0.000000000007\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn no_name_makes_a_line_or_moves_the_cursor() {
        let rows = [["a\r\nb\u{1b}[2J\u{9b}x", "1", "0.5"].map(str::to_owned).to_vec()];
        for shown in [table(&columns(), &rows, None), csv(&columns(), &rows).unwrap().trim_end().to_owned()] {
            assert_eq!(shown.lines().count(), 2, "{shown:?}");
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        }
    }

    #[test]
    fn digits_are_grouped_by_three() {
        for (digits, shown) in
            [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-123456", "-123,456"), ("", "")]
        {
            assert_eq!(grouped(digits), shown);
        }
    }
}

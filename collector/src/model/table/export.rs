//! Tables as files for sheets and programs. A further form is a further variant of [`Export`]: the command
//! line's `--format`, the API's `format` and its `Accept` all come here.

use super::{Cell, Table};
use crate::model::text::printable;

/// A form for sheets and programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Export {
    /// RFC 4180 with a header; amounts with all twelve decimals.
    Csv,
}

/// A table that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the rows cannot be written: {0}")]
pub struct NotWritten(String);

impl Export {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Csv];

    /// The name in `format`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
        }
    }

    /// The type in HTTP's headers.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// The one that an `Accept` header prefers over JSON: the first named of either.
    pub fn accepted(accept: &str) -> Option<Self> {
        let types = accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
        let mut known = types.filter_map(|one| match one {
            "application/json" | "*/*" | "application/*" => Some(None),
            one => Self::ALL
                .into_iter()
                .find(|export| export.content_type().split(';').next() == Some(one))
                .map(Some),
        });
        known.next().flatten()
    }

    /// Writes columns and rows, without pictures and without the total.
    ///
    /// # Errors
    /// Where the rows cannot be written.
    pub fn write(self, table: &Table) -> Result<Vec<u8>, NotWritten> {
        match self {
            Self::Csv => csv(table).map_err(|error| NotWritten(error.to_string())),
        }
    }
}

fn csv(table: &Table) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let written: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| !column.kind.is_picture())
        .map(|(at, _)| at)
        .collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = written.iter().filter_map(|at| table.columns.get(*at)).map(|column| column.name.as_str());
    writer.write_record(names)?;
    for row in &table.rows {
        writer.write_record(written.iter().map(|at| row.get(*at).map(field).unwrap_or_default()))?;
    }
    Ok(writer.into_inner().map_err(|error| error.to_string())?)
}

/// A value as it is read by a program.
fn field(cell: &Cell) -> String {
    match cell {
        Cell::Nothing | Cell::Amounts(_) => String::new(),
        Cell::Text(text) => harmless(text),
        Cell::Count(count) => count.to_string(),
        Cell::Money(amount) => amount.to_string(),
        Cell::Decimal(decimal) => decimal.to_string(),
    }
}

/// A text that a spreadsheet would run as a formula is led by an apostrophe.
fn harmless(text: &str) -> String {
    let shown = printable(text);
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        return format!("'{shown}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Kind};
    use super::*;

    #[test]
    fn csv_quotes_disarms_formulas_and_leaves_pictures_out() {
        let columns = vec![
            Column::text("agent"),
            Column::new("bar", Kind::Bar),
            Column::count("input_tokens"),
            Column::money("cost_usd"),
        ];
        let rows =
            [("bot", 1_234_567, "1234.5"), ("=cmd(), \"x\"", -5, "-0.000000000007"), ("a\r\nb", 0, "0")].map(
                |(agent, tokens, cost)| {
                    vec![agent.into(), Cell::Nothing, Cell::Count(tokens), Cell::Money(cost.parse().unwrap())]
                },
            );
        let table = Table::new(columns).with(rows).total(vec!["total".into()]);
        let text = String::from_utf8(Export::Csv.write(&table).unwrap()).unwrap();
        let expected = "agent,input_tokens,cost_usd\n\
                        bot,1234567,1234.500000000000\n\
                        \"'=cmd(), \"\"x\"\"\",-5,-0.000000000007\n\
                        a\u{fffd}\u{fffd}b,0,0.000000000000\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_client_gets_what_it_names_first() {
        for (accept, expected) in [
            ("text/csv", Some(Export::Csv)),
            ("text/html, text/csv;q=0.9, */*;q=0.1", Some(Export::Csv)),
            ("application/json, text/csv", None),
            ("*/*", None),
            ("", None),
        ] {
            assert_eq!(Export::accepted(accept), expected, "{accept}");
        }
    }
}

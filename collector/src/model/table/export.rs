//! Tables as files for sheets and programs. A further form is a further variant of [`Export`]: the command
//! line's `--format`, the API's `format` and its `Accept` all come here.

use std::io::Write;

use jiff::Timestamp;

use super::{Cell, Column, Kind, Table};
use crate::model::parquet::{Holds, ParquetWriter, Value};
use crate::model::text::printable;

/// A form for sheets and programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Export {
    /// RFC 4180 with a header; amounts with all twelve decimals.
    Csv,
    /// A JSON object a line; amounts as decimal texts.
    Jsonl,
    /// Apache Parquet; amounts as `DECIMAL(38, 12)`.
    Parquet,
}

/// Writes rows as they come, so that a file may be of any length.
#[derive(Debug)]
pub struct TableWriter<W: Write + Send> {
    columns: Vec<Column>,
    /// Places of the columns that are written: all but pictures.
    written: Vec<usize>,
    form: Form<W>,
}

#[derive(Debug)]
enum Form<W: Write + Send> {
    Csv(Box<csv::Writer<W>>),
    Jsonl(W),
    Parquet(Box<ParquetWriter<W>>),
}

/// A table that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the rows cannot be written: {0}")]
pub struct NotWritten(String);

impl Export {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Jsonl, Self::Parquet];

    /// The name in `format`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }

    /// The type in HTTP's headers.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Jsonl => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
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
        let mut writer = TableWriter::new(self, table.columns.clone(), Vec::new())?;
        table.rows.iter().try_for_each(|row| writer.row(row))?;
        writer.finish()
    }
}

impl<W: Write + Send> TableWriter<W> {
    /// Begins a file with these columns.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(export: Export, columns: Vec<Column>, sink: W) -> Result<Self, NotWritten> {
        let places = columns.iter().enumerate().filter(|(_, column)| !column.kind.is_picture());
        let written: Vec<usize> = places.map(|(at, _)| at).collect();
        let kept = written.iter().filter_map(|at| columns.get(*at));
        let form = match export {
            Export::Csv => {
                let mut writer = csv::Writer::from_writer(sink);
                writer.write_record(kept.map(|column| column.name.as_str())).map_err(NotWritten::of)?;
                Form::Csv(Box::new(writer))
            }
            Export::Jsonl => Form::Jsonl(sink),
            Export::Parquet => {
                let kept: Vec<_> = kept.map(|column| (column.name.clone(), holds(column.kind))).collect();
                Form::Parquet(Box::new(ParquetWriter::new(sink, &kept).map_err(NotWritten::of)?))
            }
        };
        Ok(Self { columns, written, form })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Where it cannot be written, or a cell is not what its column holds.
    pub fn row(&mut self, row: &[Cell]) -> Result<(), NotWritten> {
        let cells = self.written.iter().map(|at| (self.columns.get(*at), row.get(*at)));
        match &mut self.form {
            Form::Csv(writer) => {
                let fields = cells.map(|(_, cell)| cell.map(field).unwrap_or_default());
                writer.write_record(fields).map_err(NotWritten::of)
            }
            Form::Jsonl(sink) => {
                let members = cells.filter_map(|(column, cell)| Some((column?.name.clone(), member(cell?))));
                let mut line = serde_json::Value::Object(members.collect()).to_string();
                line.push('\n');
                sink.write_all(line.as_bytes()).map_err(NotWritten::of)
            }
            Form::Parquet(writer) => {
                let values = cells.map(|(column, cell)| match (column, cell) {
                    (Some(column), Some(cell)) => value(column, cell),
                    _ => Ok(Value::Nothing),
                });
                let values: Vec<Value> = values.collect::<Result<_, _>>()?;
                writer.row(values).map_err(NotWritten::of)
            }
        }
    }

    /// Ends the file; gives back where it was written to.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(self) -> Result<W, NotWritten> {
        match self.form {
            Form::Csv(writer) => writer.into_inner().map_err(NotWritten::of),
            Form::Jsonl(sink) => Ok(sink),
            Form::Parquet(writer) => writer.finish().map_err(NotWritten::of),
        }
    }
}

impl NotWritten {
    /// For this cause.
    pub fn of(cause: impl ToString) -> Self {
        Self(cause.to_string())
    }
}

/// A cell as JSON has it.
fn member(cell: &Cell) -> serde_json::Value {
    match cell {
        Cell::Nothing | Cell::Amounts(_) => serde_json::Value::Null,
        Cell::Text(text) => text.as_str().into(),
        Cell::Count(count) => match i64::try_from(*count) {
            Ok(count) => count.into(),
            Err(_) => count.to_string().into(),
        },
        Cell::Money(amount) => amount.to_string().into(),
        Cell::Decimal(decimal) => decimal.to_string().into(),
    }
}

/// What a column is in Parquet.
const fn holds(kind: Kind) -> Holds {
    match kind {
        Kind::Count | Kind::Duration => Holds::Whole,
        Kind::Money | Kind::Percent | Kind::Change | Kind::Ratio => Holds::Decimal,
        Kind::Time => Holds::Instant,
        Kind::Text | Kind::Right | Kind::Bar | Kind::Sparkline => Holds::Text,
    }
}

/// A cell as Parquet has it.
fn value(column: &Column, cell: &Cell) -> Result<Value, NotWritten> {
    let wrong = || NotWritten(format!("column `{}` has {cell:?}", column.name));
    let value = match (holds(column.kind), cell) {
        (_, Cell::Nothing | Cell::Amounts(_)) => Value::Nothing,
        (Holds::Text, Cell::Text(text)) => Value::Text(text.clone()),
        (Holds::Text, cell) => Value::Text(field(cell)),
        (Holds::Instant, Cell::Text(text)) if text.is_empty() => Value::Nothing,
        (Holds::Instant, Cell::Text(text)) => {
            Value::Instant(text.parse::<Timestamp>().map_err(|_| wrong())?.as_millisecond())
        }
        (Holds::Whole, Cell::Count(count)) => Value::Whole(i64::try_from(*count).map_err(|_| wrong())?),
        (Holds::Decimal, cell) => Value::Decimal(units(cell).ok_or_else(wrong)?),
        _ => return Err(wrong()),
    };
    Ok(value)
}

/// A number in units of 10⁻¹².
fn units(cell: &Cell) -> Option<i128> {
    match cell {
        Cell::Money(amount) => Some(amount.as_pico()),
        Cell::Decimal(decimal) => {
            let more = DECIMALS.checked_sub(decimal.places())?;
            decimal.units().checked_mul(10i128.checked_pow(more.into())?)
        }
        Cell::Count(count) => count.checked_mul(10i128.checked_pow(DECIMALS.into())?),
        Cell::Nothing | Cell::Text(_) | Cell::Amounts(_) => None,
    }
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

/// Decimals of a number in Parquet.
const DECIMALS: u8 = 12;

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};

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
    fn each_form_has_exact_numbers_and_nothing_where_there_is_none() {
        let columns = vec![
            Column::text("agent"),
            Column::time("time"),
            Column::count("calls"),
            Column::money("cost_usd"),
            Column::new("share", Kind::Percent),
            Column::new("bar", Kind::Bar),
        ];
        let share = Cell::Decimal(crate::model::decimal::Decimal::exact(1_250, 2));
        let time = "2026-11-20T10:30:00Z";
        let full = vec![
            "=x".into(),
            time.into(),
            7u64.into(),
            Cell::Money("-0.000000000007".parse().unwrap()),
            share,
        ];
        let table = Table::new(columns).with([full, vec![Cell::Nothing; 5]]);
        let lines = String::from_utf8(Export::Jsonl.write(&table).unwrap()).unwrap();
        let first = r#"{"agent":"=x","calls":7,"cost_usd":"-0.000000000007","share":"12.50","time":"2026-11-20T10:30:00Z"}"#;
        let second = r#"{"agent":null,"calls":null,"cost_usd":null,"share":null,"time":null}"#;
        assert_eq!(lines, format!("{first}\n{second}\n"));

        let file = axum::body::Bytes::from(Export::Parquet.write(&table).unwrap());
        let reader = SerializedFileReader::new(file).unwrap();
        let rows: Vec<String> =
            reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        let first = "{agent: \"=x\", time: 2026-11-20 10:30:00.000 +00:00, calls: 7, cost_usd: -0.000000000007, share: 12.500000000000}";
        assert_eq!(rows, [first, "{agent: null, time: null, calls: null, cost_usd: null, share: null}"]);
    }

    #[test]
    fn what_a_column_does_not_hold_is_refused() {
        let table = Table::new(vec![Column::count("calls")]).with([vec!["many".into()]]);
        let error = Export::Parquet.write(&table).unwrap_err().to_string();
        assert!(error.contains("column `calls` has Text(\"many\")"), "{error}");
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

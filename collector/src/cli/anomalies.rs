//! `tollgate anomalies`.

use clap::Args;
use serde_json::{Value, json};

use super::client::{self, Ask};
use super::output::{self, Column, ColumnKind, Format};

/// Arguments of `tollgate anomalies`.
#[derive(Args, Debug)]
pub(super) struct AnomaliesArgs {
    #[command(flatten)]
    ask: Ask,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl AnomaliesArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let rows = self.ask.rows("/api/v1/anomalies")?;
        if self.format == Format::Json {
            return output::print(&json!({ "rows": rows }).to_string());
        }
        let cells = |row: &Value| COLUMNS.iter().map(|name| cell(row, name)).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
        let columns = COLUMNS.map(|name| Column::new(name, ColumnKind::Text));
        output::print(&match self.format {
            Format::Csv => output::csv(&columns, &rows)?,
            _ if rows.is_empty() => "nothing unusual".to_owned(),
            _ => output::table(&columns, &rows, None),
        })
    }
}

fn cell(row: &Value, name: &str) -> String {
    match (name, row.get(name)) {
        ("value" | "expected" | "score", Some(number)) => {
            number.as_f64().map_or_else(String::new, |number| format!("{number:.3}"))
        }
        ("drivers", Some(Value::Array(drivers))) => {
            let shown = drivers.iter().map(|driver| {
                let text = |name: &str| client::field(driver, name);
                format!("{} {} {}%", text("dimension"), text("value"), text("percent"))
            });
            shown.collect::<Vec<_>>().join("; ")
        }
        _ => client::field(row, name),
    }
}

const COLUMNS: [&str; 9] =
    ["start", "last", "agent", "kind", "value", "expected", "score", "detail", "drivers"];

//! `tollgate anomalies`.

use clap::Args;
use serde_json::{Value, json};

use super::client::{Ask, said};
use super::output::{self, Column, ColumnKind, Format};
use crate::model::anomaly::Driver;
use crate::model::answers::anomalies::AnomalyRow;

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
        if self.format == Format::Json {
            let rows: Vec<Value> = self.ask.rows("/api/v1/anomalies")?;
            return output::print(&json!({ "rows": rows }).to_string());
        }
        let rows: Vec<AnomalyRow> = self.ask.rows("/api/v1/anomalies")?;
        let rows: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
        let columns = COLUMNS.map(|name| Column::new(name, ColumnKind::Text));
        output::print(&match self.format {
            Format::Csv => output::csv(&columns, &rows)?,
            _ if rows.is_empty() => "nothing unusual".to_owned(),
            _ => output::table(&columns, &rows, None),
        })
    }
}

fn cells(row: AnomalyRow) -> Vec<String> {
    let number = |number: f64| format!("{number:.3}");
    let driver = |one: Driver| format!("{} {} {}%", one.dimension, one.value, one.percent);
    let drivers: Vec<String> = row.drivers.into_iter().map(driver).collect();
    vec![
        said(row.start),
        said(row.last),
        row.agent,
        row.kind.name().to_owned(),
        number(row.value),
        number(row.expected),
        number(row.score),
        row.detail,
        drivers.join("; "),
    ]
}

const COLUMNS: [&str; 9] =
    ["start", "last", "agent", "kind", "value", "expected", "score", "detail", "drivers"];

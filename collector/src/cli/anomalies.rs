//! `tollgate anomalies`.

use clap::Args;
use serde_json::{Value, json};

use super::client::Ask;
use super::output::{self, Look};
use crate::model::anomaly::Driver;
use crate::model::answers::anomalies::AnomalyRow;
use crate::model::table::{Cell, Column, Kind, Table};

/// Arguments of `tollgate anomalies`.
#[derive(Args, Debug)]
pub(super) struct AnomaliesArgs {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    look: Look,
}

impl AnomaliesArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self.look.is_json() {
            let rows: Vec<Value> = self.ask.rows("/api/v1/anomalies")?;
            return output::print(&json!({ "rows": rows }).to_string());
        }
        let rows: Vec<AnomalyRow> = self.ask.rows("/api/v1/anomalies")?;
        if rows.is_empty() && self.look.is_table() {
            return output::print("nothing unusual");
        }
        self.look.print(&table(rows))
    }
}

fn table(rows: Vec<AnomalyRow>) -> Table {
    let columns = vec![
        Column::time("start").weight(200),
        Column::time("last").weight(60),
        Column::text("agent").kept(),
        Column::text("kind").kept().whole(),
        Column::new("value", Kind::Right).weight(180).whole(),
        Column::new("expected", Kind::Right).weight(170).whole(),
        Column::new("score", Kind::Right).weight(50).whole(),
        Column::text("detail").weight(90).if_any(),
        Column::text("drivers").weight(80).if_any(),
    ];
    Table::new(columns).with(rows.into_iter().map(cells))
}

fn cells(row: AnomalyRow) -> Vec<Cell> {
    let number = |number: f64| Cell::Text(format!("{number:.3}"));
    let driver = |one: Driver| format!("{} {} {}%", one.dimension, one.value, one.percent);
    let drivers: Vec<String> = row.drivers.into_iter().map(driver).collect();
    vec![
        Cell::said(row.start),
        Cell::said(row.last),
        row.agent.into(),
        row.kind.name().into(),
        number(row.value),
        number(row.expected),
        number(row.score),
        row.detail.into(),
        drivers.join("; ").into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::output::{Page, Screen};
    use super::*;

    #[test]
    fn the_list_fits_eighty_columns() {
        let row = json!({
            "agent": "support-inbox-triage/eu-west-1", "kind": "calls_per_run", "start": "2026-11-20T10:00:00Z",
            "last": "2026-11-20T10:05:00Z", "ongoing": false, "window_minutes": 5, "value": 1204.5, "expected": 12.25,
            "score": 40.0, "detail": "gpt-5-mini-2025-08-07",
            "drivers": [{"dimension": "feature", "value": "inbox/summary", "percent": 90}],
        });
        let page = Page::new(Screen::plain(80)).table(&table(vec![serde_json::from_value(row).unwrap()]));
        assert!(page.text().contains("1204.500"), "{}", page.text());
        page.assert_fits(80);
    }
}

//! `tollgate reprice` and `tollgate close-month`.

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::client::{self, Ask, Collector};
use super::output::{self, Column, ColumnKind, Format};

/// Arguments of `tollgate reprice`.
#[derive(Args, Debug)]
pub(super) struct RepriceArgs {
    #[command(flatten)]
    ask: Ask,
    /// Only show what the collector's prices would change
    #[arg(long)]
    dry_run: bool,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl RepriceArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let path = "/api/v1/reprice";
        let body = if self.dry_run { self.ask.get(path, &[])? } else { self.ask.post(path)? };
        output::print(&render(&body, self.format)?)
    }
}

fn render(body: &str, format: Format) -> anyhow::Result<String> {
    if format == Format::Json {
        return Ok(body.to_owned());
    }
    let answer = client::json(body)?;
    let strange = "the answer does not say what was priced again";
    let columns = COLUMNS.map(|(name, kind)| Column::new(name, kind));
    let fields = |row: &Value| -> Vec<String> {
        COLUMNS
            .iter()
            .map(|(name, _)| match row.get(*name) {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => String::new(),
            })
            .collect()
    };
    let rows: Vec<Vec<String>> =
        answer.get("rows").and_then(Value::as_array).context(strange)?.iter().map(fields).collect();
    if format == Format::Csv {
        return output::csv(&columns, &rows);
    }
    let version = answer.get("price_version").and_then(Value::as_str).context(strange)?;
    if rows.is_empty() {
        return Ok(format!("nothing changes by price book {version}"));
    }
    let mut total = fields(answer.get("total").context(strange)?);
    if let Some(first) = total.first_mut() {
        "total".clone_into(first);
    }
    let what = match answer.get("written").and_then(Value::as_bool) {
        Some(true) => "written as adjustments",
        _ => "nothing was written; leave out --dry-run to write adjustments",
    };
    Ok(format!("price book {version}: {what}\n\n{}", output::table(&columns, &rows, Some(&total))))
}

/// Arguments of `tollgate close-month`.
#[derive(Args, Debug)]
pub(super) struct CloseMonthArgs {
    /// Month, such as 2026-10; those before it are closed with it
    month: String,
    #[command(flatten)]
    collector: Collector,
}

impl CloseMonthArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let body = self.collector.put(&format!("/api/v1/months/{}", client::segment(&self.month)))?;
        let answer = client::json(&body)?;
        let text = |name: &str| match answer.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        output::print(&format!(
            "{} is closed: {} calls, {} dollars. Later corrections and late records are booked in the open month",
            text("month"),
            text("calls"),
            text("cost_usd")
        ))
    }
}

const COLUMNS: [(&str, ColumnKind); 8] = [
    ("day", ColumnKind::Text),
    ("team", ColumnKind::Text),
    ("agent", ColumnKind::Text),
    ("calls", ColumnKind::Count),
    ("unpriced_before", ColumnKind::Count),
    ("old_cost_usd", ColumnKind::Money),
    ("new_cost_usd", ColumnKind::Money),
    ("difference_usd", ColumnKind::Money),
];

//! `tollgate reprice` and `tollgate close-month`.

use clap::Args;

use super::client::{self, Ask, Collector};
use super::output::{self, Column, ColumnKind, Format};
use crate::model::answers::corrections::{MonthRow, Repriced, RepricedRow};

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
    let answer: Repriced = client::read(body)?;
    let columns = COLUMNS.map(|(name, kind)| Column::new(name, kind));
    let rows: Vec<Vec<String>> = answer.rows.into_iter().map(cells).collect();
    if format == Format::Csv {
        return output::csv(&columns, &rows);
    }
    let version = answer.price_version;
    if rows.is_empty() {
        return Ok(format!("nothing changes by price book {version}"));
    }
    let total = cells(RepricedRow { day: "total".to_owned(), ..answer.total });
    let what = match answer.written {
        true => "written as adjustments",
        false => "nothing was written; leave out --dry-run to write adjustments",
    };
    Ok(format!("price book {version}: {what}\n\n{}", output::table(&columns, &rows, Some(&total))))
}

fn cells(row: RepricedRow) -> Vec<String> {
    vec![
        row.day,
        row.team,
        row.agent,
        row.calls.to_string(),
        row.unpriced_before.to_string(),
        row.old_cost_usd.to_string(),
        row.new_cost_usd.to_string(),
        row.difference_usd.to_string(),
    ]
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
        let answer: MonthRow = client::read(&body)?;
        output::print(&format!(
            "{} is closed: {} calls, {} dollars. Later corrections and late records are booked in the open month",
            answer.month, answer.calls, answer.cost_usd
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

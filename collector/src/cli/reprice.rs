//! `tollgate reprice` and `tollgate close-month`.

use clap::Args;

use super::client::{self, Ask, Collector};
use super::output::{self, Look, Page};
use crate::model::answers::corrections::{MonthRow, Repriced, RepricedRow};
use crate::model::table::{Cell, Column, Table};

/// Arguments of `tollgate reprice`.
#[derive(Args, Debug)]
pub(super) struct RepriceArgs {
    #[command(flatten)]
    ask: Ask,
    /// Only show what the collector's prices would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    look: Look,
}

impl RepriceArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let path = "/api/v1/reprice";
        let body = if self.dry_run { self.ask.get(path, client::NONE)? } else { self.ask.post(path)? };
        if self.look.is_json() {
            return output::print(&body);
        }
        let answer: Repriced = client::read(&body)?;
        match self.look.export() {
            Some(export) => output::print_export(export, &table(answer)),
            None => shown(answer, Page::new(self.look.screen())).print(),
        }
    }
}

fn shown(answer: Repriced, page: Page) -> Page {
    let version = &answer.price_version;
    if answer.rows.is_empty() {
        return page.words(&format!("nothing changes by price book {version}"));
    }
    let what = match answer.written {
        true => "written as adjustments",
        false => "nothing was written; leave out --dry-run to write adjustments",
    };
    page.words(&format!("price book {version}: {what}")).gap().table(&table(answer))
}

fn table(answer: Repriced) -> Table {
    let total = cells(RepricedRow { day: "total".to_owned(), ..answer.total });
    Table::new(columns()).with(answer.rows.into_iter().map(cells)).total(total)
}

fn cells(row: RepricedRow) -> Vec<Cell> {
    vec![
        row.day.into(),
        row.team.into(),
        row.agent.into(),
        row.calls.into(),
        row.unpriced_before.into(),
        row.old_cost_usd.into(),
        row.new_cost_usd.into(),
        row.difference_usd.into(),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        Column::text("day").kept().whole(),
        Column::text("team").weight(150),
        Column::text("agent").weight(160),
        Column::count("calls").weight(140),
        Column::count("unpriced_before").titled("had no price").weight(60).if_any(),
        Column::money("old_cost_usd").weight(130),
        Column::money("new_cost_usd").weight(170),
        Column::money("difference_usd").kept(),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::output::Screen;
    use super::*;

    #[test]
    fn what_changes_fits_eighty_columns() {
        let row = json!({
            "day": "2026-11-20", "team": "support-and-operations", "agent": "support-inbox-triage", "calls": 1_200_345,
            "unpriced_before": 12, "old_cost_usd": "1234.120000000000", "new_cost_usd": "1300.000000000000",
            "difference_usd": "65.880000000000",
        });
        let answer = json!({"price_version": "b7", "written": false, "rows": [row], "total": row});
        let page = shown(serde_json::from_value(answer).unwrap(), Page::new(Screen::plain(80)));
        assert!(page.text().contains("65.88") && page.text().contains("total"), "{}", page.text());
        page.assert_fits(80);
    }
}

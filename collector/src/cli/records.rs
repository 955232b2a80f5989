//! `tollgate records`.

use clap::Args;
use tollgate_core::record::UsageRecord;

use super::client::{self, Ask};
use super::explain::explain;
use super::output::{self, Look};
use crate::model::answers::records::{RecordRow, RecordsPage};
use crate::model::table::{Cell, Column, Kind, Table};

/// Arguments of `tollgate records`.
#[derive(Args, Debug)]
pub(super) struct RecordsArgs {
    #[command(flatten)]
    ask: Ask,
    /// Only calls that ended so: ok, error, client_abort, upstream_abort, denied
    #[arg(long)]
    outcome: Vec<String>,
    /// Only calls whose cost is so: measured, estimated, unpriced, free
    #[arg(long)]
    cost_status: Vec<String>,
    /// Only calls of this run
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Only retries: repeats of a request within a minute, and calls that Envoy tried more than once
    #[arg(long)]
    retried: bool,
    /// Most records to show; with --format json at most one page
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Go on where a page ended
    #[arg(long)]
    cursor: Option<String>,
    /// Explain the price of the record with this id, line by line
    #[arg(long, value_name = "ID")]
    explain: Option<String>,
    #[command(flatten)]
    look: Look,
}

impl RecordsArgs {
    /// Asks, page by page, and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if let Some(id) = &self.explain {
            return explain(&self.ask.collector, id, self.look);
        }
        if self.look.is_json() {
            return output::print(&self.page(self.limit, self.cursor.as_deref())?);
        }
        let mut table = Table::new(columns());
        let mut cursor = self.cursor.clone();
        loop {
            let wanted = self.limit.saturating_sub(table.rows.len()).min(PAGE_MAX);
            let page: RecordsPage = client::read(&self.page(wanted, cursor.as_deref())?)?;
            table.rows.extend(page.rows.into_iter().map(row));
            cursor = page.next_cursor;
            if cursor.is_none() || table.rows.len() >= self.limit {
                break;
            }
        }
        self.look.print(&table)?;
        if let Some(cursor) = cursor.filter(|_| self.look.is_table()) {
            output::say(&format!(
                "\nthere are more: --limit {} or --cursor {cursor}",
                self.limit.saturating_mul(10)
            ));
        }
        Ok(())
    }

    fn page(&self, limit: usize, cursor: Option<&str>) -> anyhow::Result<String> {
        let limit = limit.to_string();
        let mut more = vec![("limit", limit.as_str())];
        more.extend(cursor.map(|cursor| ("cursor", cursor)));
        more.extend(self.outcome.iter().map(|outcome| ("outcome", outcome.as_str())));
        more.extend(self.cost_status.iter().map(|status| ("cost_status", status.as_str())));
        more.extend(self.retried.then_some(("retried", "true")));
        more.extend(self.run.iter().map(|run| ("run", run.as_str())));
        self.ask.get("/api/v1/records", &more)
    }
}

fn row(row: RecordRow) -> Vec<Cell> {
    let time = row.time();
    let RecordRow(UsageRecord { head, status, outcome, usage, cost_usd, cost_status, .. }) = row;
    let count = |count: Option<u64>| count.map_or(Cell::Nothing, Cell::from);
    vec![
        time.into(),
        head.id.into(),
        head.attribution.team.into(),
        head.attribution.agent.into(),
        head.attribution.feature.into(),
        head.attribution.environment.into(),
        head.provider.into(),
        Cell::said(head.response_model.or(head.request_model)),
        Cell::said(status),
        outcome.name().into(),
        count(usage.input_tokens),
        count(usage.cache_read_tokens),
        count(usage.output_tokens),
        cost_usd.into(),
        cost_status.name().into(),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        Column::time("time").kept(),
        Column::text("id").weight(30).whole(),
        Column::text("team").weight(110),
        Column::text("agent").weight(200),
        Column::text("feature").weight(50),
        Column::text("environment").weight(45),
        Column::text("provider").weight(80),
        Column::text("model").weight(190),
        Column::new("status", Kind::Right).weight(40).whole(),
        Column::text("outcome").weight(150).whole(),
        Column::count("input_tokens").titled("tokens in").weight(140),
        Column::count("cache_read_tokens").titled("cached").weight(60).if_any(),
        Column::count("output_tokens").titled("tokens out").weight(135),
        Column::money("cost_usd").kept(),
        Column::text("cost_status").weight(120).whole(),
    ]
}

/// Most records of one page.
const PAGE_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::super::output::{Page, Screen};
    use super::*;

    #[test]
    fn the_list_fits_eighty_columns() {
        let mut record = UsageRecord::default();
        record.head.id = "01890a5d-ac96-774b-bcce-b302099a8057".into();
        record.head.time_ms = 1_763_632_800_000;
        record.head.attribution.team = "support-and-operations".into();
        record.head.attribution.agent = "support-inbox-triage/eu-west-1".into();
        record.head.provider = "anthropic".into();
        record.head.response_model = Some("claude-sonnet-4-5-20250929".into());
        record.usage.input_tokens = Some(1_200_000);
        record.cost_usd = "12.345678".parse().unwrap();
        let page = Page::new(Screen::plain(80)).table(&Table::new(columns()).with([row(RecordRow(record))]));
        for text in ["support-inbox-", "claude-sonnet-", "12.35", "not shown: id"] {
            assert!(page.text().contains(text), "{text} in\n{}", page.text());
        }
        page.assert_fits(80);
    }
}

//! `tollgate records`.

use clap::Args;
use tollgate_core::record::UsageRecord;

use super::client::{self, Ask, said};
use super::explain::explain;
use super::output::{self, Column, ColumnKind, Format};
use crate::model::answers::records::{RecordRow, RecordsPage};

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
    /// Most records to show; with --format json at most one page
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Go on where a page ended
    #[arg(long)]
    cursor: Option<String>,
    /// Explain the price of the record with this id, line by line
    #[arg(long, value_name = "ID")]
    explain: Option<String>,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl RecordsArgs {
    /// Asks, page by page, and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if let Some(id) = &self.explain {
            return explain(&self.ask.collector, id, self.format);
        }
        if self.format == Format::Json {
            return output::print(&self.page(self.limit, self.cursor.as_deref())?);
        }
        let mut rows = Vec::new();
        let mut cursor = self.cursor.clone();
        loop {
            let wanted = self.limit.saturating_sub(rows.len()).min(PAGE_MAX);
            let page: RecordsPage = client::read(&self.page(wanted, cursor.as_deref())?)?;
            rows.extend(page.rows.into_iter().map(row));
            cursor = page.next_cursor;
            if cursor.is_none() || rows.len() >= self.limit {
                break;
            }
        }
        let columns = COLUMNS.map(|(name, kind)| Column::new(name, kind));
        output::print(&match self.format {
            Format::Csv => output::csv(&columns, &rows)?,
            _ => output::table(&columns, &rows, None),
        })?;
        if let (Some(cursor), Format::Table) = (cursor, self.format) {
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
        self.ask.get("/api/v1/records", &more)
    }
}

fn row(row: RecordRow) -> Vec<String> {
    let time = row.time();
    let RecordRow(UsageRecord { head, status, outcome, usage, cost_usd, cost_status, .. }) = row;
    let model = head.response_model.or(head.request_model);
    vec![
        time,
        head.id,
        head.attribution.team,
        head.attribution.agent,
        head.attribution.feature,
        head.attribution.environment,
        head.provider,
        said(model),
        said(status),
        outcome.name().to_owned(),
        said(usage.input_tokens),
        said(usage.cache_read_tokens),
        said(usage.output_tokens),
        cost_usd.to_string(),
        cost_status.name().to_owned(),
    ]
}

const COLUMNS: [(&str, ColumnKind); 15] = [
    ("time", ColumnKind::Text),
    ("id", ColumnKind::Text),
    ("team", ColumnKind::Text),
    ("agent", ColumnKind::Text),
    ("feature", ColumnKind::Text),
    ("environment", ColumnKind::Text),
    ("provider", ColumnKind::Text),
    ("model", ColumnKind::Text),
    ("status", ColumnKind::Text),
    ("outcome", ColumnKind::Text),
    ("input_tokens", ColumnKind::Count),
    ("cache_read_tokens", ColumnKind::Count),
    ("output_tokens", ColumnKind::Count),
    ("cost_usd", ColumnKind::Money),
    ("cost_status", ColumnKind::Text),
];
/// Most records of one page.
const PAGE_MAX: usize = 1000;

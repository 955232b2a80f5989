//! `tollgate records`.

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::client::{self, Ask};
use super::explain::explain;
use super::output::{self, Column, ColumnKind, Format};

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
    /// Most records; as JSON, of one page
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
            let answer = client::json(&self.page(wanted, cursor.as_deref())?)?;
            let page = answer.get("rows").and_then(Value::as_array);
            rows.extend(page.context("the answer is not a page of records")?.iter().map(row));
            cursor = answer.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() || rows.len() >= self.limit {
                break;
            }
        }
        let columns = COLUMNS.map(|(name, _, kind)| Column::new(name, kind));
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

fn row(record: &Value) -> Vec<String> {
    let field = |pointers: &str| {
        let mut found = pointers.split('|').filter_map(|pointer| record.pointer(pointer));
        match found.next() {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(value) => value.to_string(),
        }
    };
    COLUMNS.iter().map(|(_, pointer, _)| field(pointer)).collect()
}

/// Name, where its value stands in a record (the first that is there), and what it holds.
const COLUMNS: [(&str, &str, ColumnKind); 15] = [
    ("time", "/time", ColumnKind::Text),
    ("id", "/id", ColumnKind::Text),
    ("team", "/team", ColumnKind::Text),
    ("agent", "/agent", ColumnKind::Text),
    ("feature", "/feature", ColumnKind::Text),
    ("environment", "/environment", ColumnKind::Text),
    ("provider", "/provider", ColumnKind::Text),
    ("model", "/response_model|/request_model", ColumnKind::Text),
    ("status", "/status", ColumnKind::Text),
    ("outcome", "/outcome", ColumnKind::Text),
    ("input_tokens", "/usage/input_tokens", ColumnKind::Count),
    ("cache_read_tokens", "/usage/cache_read_tokens", ColumnKind::Count),
    ("output_tokens", "/usage/output_tokens", ColumnKind::Count),
    ("cost_usd", "/cost_usd", ColumnKind::Money),
    ("cost_status", "/cost_status", ColumnKind::Text),
];
/// Most records of one page.
const PAGE_MAX: usize = 1000;

//! Records as rows of a table.

use tollgate_core::money::Picodollars;
use tollgate_core::record::UsageRecord;

use crate::model::clock::rfc3339;
use crate::model::table::{Cell, Column};

/// The columns.
// Long: one line for each column.
pub fn columns() -> Vec<Column> {
    let text = ["gateway", "agent", "team", "feature", "environment", "run", "parent_run", "tags"];
    let more = [
        "attribution_source",
        "key_id",
        "provider",
        "operation",
        "request_model",
        "response_model",
        "service_tier",
        "outcome",
    ];
    let tokens = [
        "status",
        "input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "web_searches",
    ];
    let money = ["cost_usd", "recorded_cost_usd", "provider_cost_usd"];
    let last = ["attempts", "duration_ms", "first_byte_ms", "request_bytes", "response_bytes"];
    let mut columns = vec![Column::text("id"), Column::time("time")];
    columns.extend(text.into_iter().chain(more).map(Column::text));
    columns.extend(tokens.map(Column::count));
    columns.extend(money.map(Column::money));
    columns.extend(["cost_status", "cost_source", "price_version", "charges", "usage"].map(Column::text));
    columns.extend(last.map(Column::count));
    columns.extend(["system_hash", "tools_hash", "request_hash", "notes"].map(Column::text));
    columns.extend(["system_bytes", "tools_bytes"].map(Column::count));
    columns
}

/// A record, whose price is that which summaries count, and what it cost as it came.
// Long: one line for each column.
pub fn cells(record: &UsageRecord, recorded: Picodollars) -> Vec<Cell> {
    let (head, who, usage) = (&record.head, &record.head.attribution, &record.usage);
    let prompt = record.prompt.as_ref();
    let count = |value: Option<u64>| value.map_or(Cell::Nothing, Cell::from);
    let notes: Vec<&str> = record.notes.iter().map(|note| note.name()).collect();
    vec![
        head.id.as_str().into(),
        Cell::said(rfc3339(head.time_ms)),
        head.gateway.as_str().into(),
        who.agent.as_str().into(),
        who.team.as_str().into(),
        who.feature.as_str().into(),
        who.environment.as_str().into(),
        Cell::said(who.run.as_ref()),
        Cell::said(who.parent_run.as_ref()),
        json(&who.tags, who.tags.is_empty()),
        head.attribution_source.name().into(),
        Cell::said(head.key_id.as_ref()),
        head.provider.as_str().into(),
        head.operation.as_str().into(),
        Cell::said(head.request_model.as_ref()),
        Cell::said(head.response_model.as_ref()),
        Cell::said(head.service_tier.as_ref()),
        record.outcome.name().into(),
        count(record.status.map(u64::from)),
        count(usage.input_tokens),
        count(usage.cache_read_tokens),
        count(usage.cache_write_tokens),
        count(usage.output_tokens),
        count(usage.reasoning_tokens),
        count(usage.web_searches),
        record.cost_usd.into(),
        recorded.into(),
        Cell::money(record.provider_cost_usd),
        record.cost_status.name().into(),
        record.cost_source.name().into(),
        Cell::said(record.price_version.as_ref()),
        json(&record.charges, record.charges.is_empty()),
        json(usage, usage.is_empty()),
        count(record.attempts.map(u64::from)),
        count(record.duration_ms),
        count(record.first_byte_ms),
        count(record.request_bytes),
        count(record.response_bytes),
        Cell::said(prompt.and_then(|prompt| prompt.system_hash.as_ref())),
        Cell::said(prompt.and_then(|prompt| prompt.tools_hash.as_ref())),
        Cell::said(record.request_hash.as_ref()),
        Cell::said((!notes.is_empty()).then(|| notes.join(","))),
        count(prompt.and_then(|prompt| prompt.system_bytes)),
        count(prompt.and_then(|prompt| prompt.tools_bytes)),
    ]
}

/// What has no column of its own, as JSON; nothing where there is none.
fn json(value: &impl serde::Serialize, is_empty: bool) -> Cell {
    if is_empty { Cell::Nothing } else { Cell::said(serde_json::to_string(value).ok()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_cell_for_each_column() {
        assert_eq!(cells(&UsageRecord::default(), Picodollars::ZERO).len(), columns().len());
    }
}

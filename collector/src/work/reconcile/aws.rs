//! AWS Cost and Usage Reports, CUR 2.0 and the older names of the same columns: lines of Amazon Bedrock.

use super::{Line, Row, Wrong, names};

/// A line; none of another service.
pub(super) fn line(row: &Row<'_>) -> Result<Option<Line>, Wrong> {
    let services = ["product_servicecode", "line_item_product_code", "product_product_name"];
    let is_bedrock = services
        .iter()
        .filter_map(|column| row.cell(column))
        .any(|text| text.to_lowercase().contains("bedrock"));
    if !is_bedrock {
        return Ok(None);
    }
    row.in_usd("line_item_currency_code")?;
    let usage = row.cell("line_item_usage_type").unwrap_or_default();
    // `USE1-Claude4.5Sonnet-input-tokens`: the region stands before the first dash.
    let item = usage.split_once('-').map_or(usage, |(_, rest)| rest);
    let model = row.cell("product_model").unwrap_or(item);
    Ok(Some(Line {
        day: row.day("line_item_usage_start_date", "line_item_usage_end_date")?,
        provider: "bedrock".to_owned(),
        model: names::without_kinds(model),
        cost: row.amount("line_item_unblended_cost", 0)?,
        tokens: row.tokens("line_item_usage_amount", row.cell("pricing_unit")),
    }))
}

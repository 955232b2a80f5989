//! AWS Cost and Usage Reports, CUR 2.0 and the older names of the same columns: lines of Amazon Bedrock.

use std::collections::BTreeMap;

use super::{Line, Row, Wrong, names as models};

/// A line; none of another service.
pub(super) fn line(row: &Row<'_>) -> Result<Option<Line>, Wrong> {
    let named =
        ["product_servicename", "product_product_name", "product_servicecode", "line_item_product_code"];
    let mut names: Vec<String> =
        named.iter().filter_map(|column| row.cell(column)).map(str::to_owned).collect();
    // CUR 2.0 has what else is known of a product in one column, as JSON.
    let product: BTreeMap<String, String> =
        row.cell("product").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    names.extend(["product_name", "servicename"].iter().filter_map(|key| product.get(*key).cloned()));
    if !names.iter().any(|name| name.to_lowercase().contains("bedrock")) {
        return Ok(None);
    }
    if !row.is_of(PROVIDER) {
        return Ok(None);
    }
    row.needed("line_item_usage_end_date")?;
    row.in_usd("line_item_currency_code")?;
    let usage = row.cell("line_item_usage_type").unwrap_or_default();
    // `USE1-Claude4.5Sonnet-input-tokens`: the region stands before the first dash.
    let item = usage.split_once('-').map_or(usage, |(_, rest)| rest);
    // `USW2-MP:USW2_input_tokens_global_standard-Units`, of the marketplace, names no model, but its product:
    // `Claude Opus 4.5 (Amazon Bedrock Edition)`.
    let edition = names.iter().find(|name| name.contains("Edition")).map(String::as_str);
    let edition = edition.filter(|_| item.starts_with("MP:"));
    let model = row.cell("product_model").or(product.get("model").map(String::as_str)).or(edition);
    let model = model.unwrap_or(item);
    Ok(Some(Line {
        day: row.day("line_item_usage_start_date", Some("line_item_usage_end_date"))?,
        provider: PROVIDER.to_owned(),
        model: models::without_kinds(model),
        cost: row.amount("line_item_unblended_cost", 0)?,
        tokens: row.tokens("line_item_usage_amount", row.cell("pricing_unit")),
    }))
}

const PROVIDER: &str = "bedrock";

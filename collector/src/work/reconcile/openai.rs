//! OpenAI's costs: `GET /v1/organization/costs`, and the CSV of the usage page with the same names.

use super::{Line, Row, Wrong};
use jiff::tz::TimeZone;

/// A line; buckets are days of UTC.
pub(super) fn line(row: &Row<'_>) -> Result<Option<Line>, Wrong> {
    // The CSV has a row without an amount for each day without costs.
    if row.cell("amount_value").is_none() && row.cell("line_item").is_none() {
        return Ok(None);
    }
    if !row.is_of(PROVIDER) {
        return Ok(None);
    }
    row.in_usd("amount_currency")?;
    let utc = Row { zone: &TimeZone::UTC, ..*row };
    // `gpt-4o-2024-08-06, input`: the name stands before the comma.
    let item = row.cell("line_item").unwrap_or_default();
    Ok(Some(Line {
        day: utc.day("start_time", Some("end_time"))?,
        provider: PROVIDER.to_owned(),
        model: item.split(',').next().unwrap_or_default().trim().to_owned(),
        cost: row.amount("amount_value", 0)?,
        tokens: None,
    }))
}

const PROVIDER: &str = "openai";

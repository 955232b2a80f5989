//! Anthropic's costs: `GET /v1/organizations/cost_report`, in cents, and the console's CSV, in dollars.

use super::{Line, Row, Wrong, names};
use jiff::tz::TimeZone;

/// A line; buckets are days of UTC.
pub(super) fn line(row: &Row<'_>) -> Result<Option<Line>, Wrong> {
    if !row.is_of(PROVIDER) {
        return Ok(None);
    }
    row.in_usd("currency")?;
    let utc = Row { zone: &TimeZone::UTC, ..*row };
    let is_report = row.names.iter().any(|name| name == "startingat");
    let (day, cost) = if is_report {
        // "Cost amount in lowest currency units (e.g. cents) as a decimal string."
        (utc.day("starting_at", Some("ending_at"))?, row.amount("amount", -2)?)
    } else {
        (utc.day("usage_date_utc", None)?, row.amount("cost_usd", 0)?)
    };
    let model = row.cell("model").map(str::to_owned);
    let model = model.or_else(|| row.cell("description").map(names::without_kinds));
    let model = model.or_else(|| row.cell("cost_type").map(str::to_owned)).unwrap_or_default();
    Ok(Some(Line { day, provider: PROVIDER.to_owned(), model, cost, tokens: None }))
}

const PROVIDER: &str = "anthropic";

//! Google Cloud's billing export to BigQuery: lines of Vertex AI and of the Gemini API, credits taken off.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::amount::Amount;
use super::{Line, Row, Wrong, names};

/// A line; none of another service.
pub(super) fn line(row: &Row<'_>) -> Result<Option<Line>, Wrong> {
    let service = row.needed("service.description")?.to_lowercase();
    let named = SERVICES.iter().find(|(part, _)| service.contains(part));
    let Some((_, provider)) = named.filter(|(_, id)| row.is_of(id)) else {
        return Ok(None);
    };
    row.needed("usage_end_time")?;
    row.in_usd("currency")?;
    let mut cost = row.amount("cost", 0)?;
    if let Some(text) = row.cell("credits") {
        let wrong = |message| Wrong { column: "credits", message };
        let credits: Vec<Credit> = serde_json::from_str(text)
            .map_err(|error| wrong(format!("is no list such as `[{{\"amount\": -0.5}}]`: {error}")))?;
        for credit in credits {
            let amount = Amount::read(credit.amount.get().trim_matches('"'), 0).map_err(wrong)?;
            cost.value += amount.value;
            cost.rounded |= amount.rounded;
        }
    }
    Ok(Some(Line {
        day: row.day("usage_start_time", Some("usage_end_time"))?,
        provider: (*provider).to_owned(),
        model: names::without_kinds(row.cell("sku.description").unwrap_or_default()),
        cost,
        tokens: row.tokens("usage.amount", row.cell("usage.unit")),
    }))
}

#[derive(Deserialize)]
struct Credit {
    amount: Box<RawValue>,
}

/// Parts of names of services, with ids of providers.
const SERVICES: [(&str, &str); 3] =
    [("vertex ai", "vertex"), ("gemini api", "gemini"), ("generative language", "gemini")];

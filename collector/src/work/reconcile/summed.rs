//! A bill that was read and summed, as a JSON document: what `tollgate reconcile` sends, however long its
//! files are.

use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use super::{Asked, Bill, Billed};

/// The document.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Summed {
    tollgate_bill: u8,
    lines: u64,
    passed_over_lines: u64,
    rounded_amounts: u64,
    rows: Vec<SummedRow>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SummedRow {
    day: String,
    provider: String,
    model: String,
    cost_usd: Picodollars,
    lines: u64,
    counted_lines: u64,
    /// Decimal, as it may be wider than JSON's numbers are read.
    tokens: String,
}

/// The member that tells the document from others.
pub(super) const MARK: &str = "tollgate_bill";

impl Bill {
    /// As a document that is read like a file.
    #[must_use]
    pub fn to_document(&self) -> String {
        let rows = self.rows.iter().map(|((day, provider, model), of)| SummedRow {
            day: day.to_string(),
            provider: provider.clone(),
            model: model.clone(),
            cost_usd: of.cost,
            lines: of.lines,
            counted_lines: of.counted_lines,
            tokens: of.tokens.to_string(),
        });
        let document = Summed {
            tollgate_bill: VERSION,
            lines: self.lines,
            passed_over_lines: self.passed_over,
            rounded_amounts: self.rounded,
            rows: rows.collect(),
        };
        // Text and numbers alone: nothing in it cannot be written.
        serde_json::to_string(&document).unwrap_or_default()
    }

    /// Adds what such a document says, of all providers or of one.
    pub(super) fn add_document(&mut self, text: &str, asked: &Asked<'_>) -> Result<(), String> {
        let read: Summed =
            serde_json::from_str(text).map_err(|error| format!("is no summed bill: {error}"))?;
        if read.tollgate_bill != VERSION {
            let found = read.tollgate_bill;
            return Err(format!("`{MARK}` is {found}, which is another version; {VERSION} is read here"));
        }
        self.lines = self.lines.saturating_add(read.lines);
        self.passed_over = self.passed_over.saturating_add(read.passed_over_lines);
        self.rounded = self.rounded.saturating_add(read.rounded_amounts);
        for (at, row) in read.rows.into_iter().enumerate() {
            let wrong = |name: &str, value: &str, right: &str| {
                format!("column `rows[{at}].{name}` is `{value}`, which is no {right}")
            };
            let day = row.day.parse().map_err(|_| wrong("day", &row.day, "day such as `2026-11-01`"))?;
            asked.known_day(day).map_err(|why| format!("column `rows[{at}].day` is `{}`, {why}", row.day))?;
            let tokens: i128 = row.tokens.parse().map_err(|_| wrong("tokens", &row.tokens, "number"))?;
            if asked.only.is_some_and(|only| only != row.provider) {
                self.passed_over = self.passed_over.saturating_add(row.lines);
                continue;
            }
            if row.model.is_empty() {
                self.untold.insert(row.provider.clone());
            }
            let known: &mut Billed = self.rows.entry((day, row.provider, row.model)).or_default();
            known.cost += row.cost_usd;
            known.lines = known.lines.saturating_add(row.lines);
            known.counted_lines = known.counted_lines.saturating_add(row.counted_lines);
            known.tokens = known.tokens.saturating_add(tokens);
        }
        Ok(())
    }
}

const VERSION: u8 = 1;

//! Bills of providers against what gateways saw: reads cost exports, matches models, splits gaps by cause.
//!
//! | module | does |
//! | --- | --- |
//! | [`read`] | rows of a file, CSV or JSON, into a [`Bill`] |
//! | [`openai`], [`anthropic`], [`aws`], [`focus`], [`google`] | what a row of one format says |
//! | [`amount`] | amounts as text, exactly into pico-dollars |
//! | [`period`] | the day of a line, and that it is one |
//! | [`sources`] | which files and pages were read: each once, and all pages |
//! | [`names`] | names of models in bills and in gateways, made alike |
//! | [`summed`] | a bill that was read, as a document |
//! | [`models`] | which names mean the same model |
//! | [`split`] | the gap of each day, provider and model by cause |
//! | [`mod@book`] | what of a gap is booked, and where |
//! | [`run`] | from a bill to an answer, and to what is booked |

pub mod amount;
mod anthropic;
mod aws;
mod book;
mod focus;
mod google;
mod models;
mod names;
mod openai;
mod period;
pub mod read;
pub mod run;
mod sources;
pub mod split;
mod summed;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use tollgate_core::money::Picodollars;

use amount::Amount;

/// What bills say, summed by day, provider and model: as large as that, however long the files are.
#[derive(Clone, Debug, Default)]
pub struct Bill {
    /// Costs by day, id of the provider, and name of the model as the bill has it.
    pub rows: BTreeMap<(Date, String, String), Billed>,
    /// Providers of which some line names no model.
    pub untold: BTreeSet<String>,
    /// Lines that were read.
    pub lines: u64,
    /// Lines of services that no gateway meters, or of other providers than asked for.
    pub passed_over: u64,
    /// Amounts with more than twelve decimals, which were rounded half away from zero.
    pub rounded: u64,
    /// Files and pages that it was read from.
    sources: sources::Sources,
}

/// What a bill says of one day, provider and model.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Billed {
    /// What it costs, credits taken off.
    pub cost: Picodollars,
    /// Lines that it is the sum of.
    pub lines: u64,
    /// Lines among them that say how many tokens they are for.
    pub counted_lines: u64,
    /// Tokens of these lines.
    pub tokens: i128,
}

/// A line of a bill.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    day: Date,
    provider: String,
    model: String,
    cost: Amount,
    tokens: Option<i128>,
}

/// What is asked of a bill while it is read.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Where days begin.
    pub zone: &'a TimeZone,
    /// Only the lines of this provider.
    pub only: Option<&'a str>,
    /// The present day, UTC: no bill is of days after the next.
    pub today: Date,
}

/// A row of a file: cells by squashed names of columns.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    names: &'a [String],
    cells: &'a [&'a str],
    asked: &'a Asked<'a>,
    zone: &'a TimeZone,
    /// What to export where lines are of more than a day.
    finer: &'static str,
}

/// What is wrong with a row: the column, and what about it.
#[derive(Clone, Debug, PartialEq)]
struct Wrong {
    column: &'static str,
    message: String,
}

impl Bill {
    fn add(&mut self, line: Line) {
        if line.cost.rounded {
            self.rounded = self.rounded.saturating_add(1);
        }
        if line.model.is_empty() {
            self.untold.insert(line.provider.clone());
        }
        let row = self.rows.entry((line.day, line.provider, line.model)).or_default();
        row.cost += line.cost.value;
        row.lines = row.lines.saturating_add(1);
        if let Some(tokens) = line.tokens {
            row.counted_lines = row.counted_lines.saturating_add(1);
            row.tokens = row.tokens.saturating_add(tokens);
        }
    }
}

impl<'a> Row<'a> {
    /// The cell of a column, if that is there and not empty.
    fn cell(&self, column: &str) -> Option<&'a str> {
        let squashed = squashed(column);
        let at = self.names.iter().position(|name| *name == squashed)?;
        self.cells.get(at).map(|cell| cell.trim()).filter(|cell| !cell.is_empty())
    }

    fn needed(&self, column: &'static str) -> Result<&'a str, Wrong> {
        self.cell(column).ok_or_else(|| Wrong {
            column,
            message: "has no value, and every row of this format needs one".to_owned(),
        })
    }

    fn amount(&self, column: &'static str, shift: i32) -> Result<Amount, Wrong> {
        let text = self.needed(column)?;
        Amount::read(text, shift).map_err(|message| Wrong { column, message })
    }

    fn in_usd(&self, column: &'static str) -> Result<(), Wrong> {
        match self.cell(column) {
            Some(code) if !code.eq_ignore_ascii_case("usd") => Err(Wrong {
                column,
                message: format!(
                    "is `{code}`; only bills in `USD` can be compared, as gateways price in USD"
                ),
            }),
            _ => Ok(()),
        }
    }

    /// Whether lines of this provider are asked for.
    fn is_of(&self, provider: &str) -> bool {
        self.asked.only.is_none_or(|only| only == provider)
    }

    /// How many tokens the row is for, by an amount and the unit's name.
    fn tokens(&self, amount: &'static str, unit: Option<&str>) -> Option<i128> {
        let unit = squashed(unit?);
        let (_, shift) = TOKEN_UNITS.iter().find(|(name, _)| *name == unit)?;
        let amount = Amount::read(self.cell(amount)?, *shift - 12).ok()?;
        Some(amount.value.as_pico())
    }
}

/// A column's name without what is written differently: case, points, slashes, underlines.
fn squashed(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Squashed names of units of tokens, with the power of ten.
const TOKEN_UNITS: [(&str, i32); 10] = [
    ("token", 0),
    ("tokens", 0),
    ("count", 0),
    ("1ktokens", 3),
    ("1000tokens", 3),
    ("ktokens", 3),
    ("thousandtokens", 3),
    ("1mtokens", 6),
    ("1000000tokens", 6),
    ("milliontokens", 6),
];

#[cfg(test)]
mod tests;

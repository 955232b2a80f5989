//! Where a change of cost comes from.

pub mod tables;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use super::summary::{By, Keys, PreviousPeriod};
use crate::model::decimal::Decimal;

/// What changed from one period to another.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Comparison {
    /// Start: that of the question, rounded down to the hour.
    pub from: String,
    /// End, exclusive: that of the question, rounded up to the hour.
    pub to: String,
    /// The period that it is compared with.
    pub with: PreviousPeriod,
    /// What rows are told apart by.
    pub by: Vec<By>,
    /// Whether the question left that open, so that it was looked for: rows are then the fewest that explain
    /// most of the change.
    pub is_found: bool,
    /// Rows by the size of their change, the largest first.
    pub rows: Vec<ComparisonRow>,
    /// The whole change; each of its numbers is the sum of those of the rows.
    pub total: Difference,
    /// Of a hundred dollars that moved, up or down, how many are of the rows shown one by one; null where
    /// nothing moved.
    pub explained_percent: Option<Decimal>,
    /// Whether the period asked for is not over.
    pub partial: bool,
    /// Where nothing was found in either period: what was looked for, and what there is. Where the periods
    /// overlap, that they do. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One row of a comparison.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// What it is about.
    #[serde(flatten)]
    pub keys: Keys,
    /// What changed.
    #[serde(flatten)]
    pub difference: Difference,
    /// `new` where there were no calls before, `gone` where there are none now; absent otherwise. All of its
    /// change is volume then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What changed most, in words; absent in a row of others, and where nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// How many rows this one is the sum of, where they are left out; absent in a row of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<u64>,
}

/// Whether a row is in both periods.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It had no calls before.
    New,
    /// It has no calls any more.
    Gone,
}

impl Status {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Gone => "gone",
        }
    }
}

/// Numbers of two periods, and what the change of cost is made of.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Difference {
    /// The cost in the period that is compared with.
    pub before_usd: Picodollars,
    /// The cost in the period asked for.
    pub after_usd: Picodollars,
    /// How much more that is; below 0 where it is less.
    pub change_usd: Picodollars,
    /// How many of a hundred that is; null where it cost nothing before.
    pub change_percent: Option<Decimal>,
    /// Calls in the period that is compared with.
    pub calls_before: u64,
    /// Calls in the period asked for.
    pub calls_after: u64,
    /// Tokens of prompts in the period that is compared with.
    pub input_tokens_before: u64,
    /// Tokens of prompts in the period asked for.
    pub input_tokens_after: u64,
    /// The part of `input_tokens_before` read from caches.
    pub cache_read_tokens_before: u64,
    /// The part of `input_tokens_after` read from caches.
    pub cache_read_tokens_after: u64,
    /// Tokens of answers in the period that is compared with.
    pub output_tokens_before: u64,
    /// Tokens of answers in the period asked for.
    pub output_tokens_after: u64,
    /// What the change is made of.
    pub parts: Parts,
}

/// Parts of a change of cost. They add up to it exactly.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Parts {
    /// More or fewer calls, at what a call of the row cost before.
    #[serde(rename = "volume_usd")]
    pub volume: Picodollars,
    /// Other models, providers and service tiers for these calls.
    #[serde(rename = "mix_usd")]
    pub mix: Picodollars,
    /// More or fewer tokens of a prompt.
    #[serde(rename = "input_usd")]
    pub input: Picodollars,
    /// More or fewer tokens of an answer.
    #[serde(rename = "output_usd")]
    pub output: Picodollars,
    /// Another part of prompts read from or written to caches, or of another kind, such as pictures.
    #[serde(rename = "cache_usd")]
    pub cache: Picodollars,
    /// Other prices of the same kind of token, corrections of them among them.
    #[serde(rename = "price_usd")]
    pub price: Picodollars,
    /// All else: fees of tools, what is charged by the piece or by time, and where providers say other costs
    /// than the book.
    #[serde(rename = "other_usd")]
    pub other: Picodollars,
}

impl Parts {
    /// Each with its name, in the order in which they are made.
    pub const fn all(&self) -> [(&'static str, Picodollars); 7] {
        [
            ("volume", self.volume),
            ("mix", self.mix),
            ("input", self.input),
            ("output", self.output),
            ("cache", self.cache),
            ("price", self.price),
            ("other", self.other),
        ]
    }

    /// Each, to be changed.
    const fn all_mut(&mut self) -> [&mut Picodollars; 7] {
        [
            &mut self.volume,
            &mut self.mix,
            &mut self.input,
            &mut self.output,
            &mut self.cache,
            &mut self.price,
            &mut self.other,
        ]
    }
}

impl Difference {
    /// Adds another row's; none where a sum is out of range.
    pub fn add(&mut self, more: &Self) -> Option<()> {
        let sum = |one: Picodollars, other: Picodollars| {
            one.as_pico().checked_add(other.as_pico()).map(Picodollars::from_pico)
        };
        self.before_usd = sum(self.before_usd, more.before_usd)?;
        self.after_usd = sum(self.after_usd, more.after_usd)?;
        self.change_usd = sum(self.change_usd, more.change_usd)?;
        self.change_percent = Decimal::change(self.after_usd, self.before_usd);
        for (own, (_, more)) in self.parts.all_mut().into_iter().zip(more.parts.all()) {
            *own = sum(*own, more)?;
        }
        for (own, more) in [
            (&mut self.calls_before, more.calls_before),
            (&mut self.calls_after, more.calls_after),
            (&mut self.input_tokens_before, more.input_tokens_before),
            (&mut self.input_tokens_after, more.input_tokens_after),
            (&mut self.cache_read_tokens_before, more.cache_read_tokens_before),
            (&mut self.cache_read_tokens_after, more.cache_read_tokens_after),
            (&mut self.output_tokens_before, more.output_tokens_before),
            (&mut self.output_tokens_after, more.output_tokens_after),
        ] {
            *own = own.checked_add(more)?;
        }
        Some(())
    }
}

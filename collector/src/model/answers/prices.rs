//! What the price book says, what it lacks, and where providers say otherwise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;
use tollgate_core::price::{NameMap, Rates, Tier, Unpriced};

/// Models with their prices.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Prices {
    /// Version of the book.
    pub version: String,
    /// What becomes of a call whose model has no price.
    pub unpriced: Unpriced,
    /// Names that the operator gave a meaning.
    pub names: Vec<NameMap>,
    /// The models.
    pub rows: Vec<PricedModelRow>,
}

/// One model of one provider.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "PricedModel")]
pub struct PricedModelRow {
    /// Provider id, such as `openai`.
    pub provider: String,
    /// Canonical id, lower case; the model named in charges.
    pub model: String,
    /// Further names that mean exactly this model.
    pub names: Vec<String>,
    /// Names that mean it when a snapshot date or revision follows, as in `gpt-5-2025-08-07`.
    pub snapshots_of: Vec<String>,
    /// Its prices, oldest first: the one that holds, or all of them where the history is asked for.
    pub prices: Vec<PriceRow>,
}

/// What a model costs from one day on.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Price")]
pub struct PriceRow {
    /// First day, UTC; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The day after the last, UTC; absent where no end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Address of the page that says so.
    pub source: String,
    /// Day on which it was read, such as `2026-11-01`.
    pub checked: String,
    /// What a reader should know, such as a difference between sources; absent where there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The operator's discount that these rates contain, such as `0.85 (contract 7)`; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<String>,
    /// Dollars for one of each kind, in a plain call.
    pub rates: Rates,
    /// Rates of longer prompts, the longest first; absent where length changes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// Rates of other service tiers, speeds, regions and hours.
    pub variants: Vec<VariantRow>,
}

/// Rates under a condition.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "PriceVariant")]
pub struct VariantRow {
    /// What must hold, in words.
    pub when: String,
    /// Dollars for one of each kind.
    pub rates: Rates,
    /// Rates of longer prompts, the longest first; absent where length changes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

/// Models of recorded calls that had no price for all they used.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct MissingPrices {
    /// Version of the book that is looked into now.
    pub version: String,
    /// The models, those of the most calls first.
    pub rows: Vec<MissingRow>,
}

/// A model of recorded calls that had no price.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "MissingPrice")]
pub struct MissingRow {
    /// Provider id.
    pub provider: String,
    /// The model asked for; empty where none was named.
    pub request_model: String,
    /// The model that answered; empty where none was named.
    pub response_model: String,
    /// Service tier; empty where none was named.
    pub service_tier: String,
    /// Calls that had no price for all they used.
    pub unpriced_calls: u64,
    /// Their tokens of prompts.
    pub input_tokens: u64,
    /// Their tokens of answers.
    pub output_tokens: u64,
    /// Whether the book has no row today, or one without a price for all of it.
    pub why: String,
}

/// Rows of the book whose charges and the providers' own words differ.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Drifting {
    /// Version of the book that holds now.
    pub version: String,
    /// The rows.
    pub rows: Vec<DriftRow>,
}

/// A row of the book, and what providers say of the calls that it priced.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "PriceDrift")]
pub struct DriftRow {
    /// Provider id.
    pub provider: String,
    /// The row: canonical id of its model; where there is none, the model that answered.
    pub model: String,
    /// Calls whose provider said what the whole call cost.
    pub calls: u64,
    /// Of these, calls of which the two differ by more than 1 %.
    pub off_calls: u64,
    /// Calls whose word is under a tenth of the book's charge, and is not believed.
    pub doubted_calls: u64,
    /// Calls that the book has no price for.
    pub without_price: u64,
    /// What all of them cost by the book; nothing for those that it has no price for.
    pub book_usd: Picodollars,
    /// What all of them cost by their providers.
    pub provider_usd: Picodollars,
    /// `book_usd` less `provider_usd`.
    pub difference_usd: Picodollars,
    /// That in percent of `provider_usd`, with two decimals below a thousand.
    pub difference_percent: String,
}

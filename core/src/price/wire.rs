//! How a book travels: the same facts, laid out flat, as collectors send them and gateways keep them.
//!
//! Written out rather than flattened by serde, whose way keeps a copy of every member and takes 30 kB of the
//! module.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Daily, NameMap, Origin, PriceBook, PricedModel, Rates, Sheet, Tier, Wanted};

#[derive(Deserialize, Serialize)]
pub(super) struct Book {
    version: String,
    models: Vec<PricedModel>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    maps: Vec<NameMap>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolved: Option<BTreeSet<Wanted>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    apart: BTreeSet<Wanted>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dearest: Vec<PricedModel>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    without_price: BTreeSet<Wanted>,
}

impl From<Book> for PriceBook {
    fn from(book: Book) -> Self {
        let Book { version, models, maps, resolved, apart, dearest, without_price } = book;
        let whole = Self::new(version, models).with_maps(maps);
        Self { resolved, apart, dearest, without_price, ..whole }
    }
}

impl From<PriceBook> for Book {
    fn from(book: PriceBook) -> Self {
        let PriceBook {
            version,
            models,
            maps,
            resolved,
            apart,
            dearest,
            without_price,
            index: _,
            last_rows: _,
        } = book;
        Self { version, models, maps, resolved, apart, dearest, without_price }
    }
}

#[derive(Deserialize, Serialize)]
pub(super) struct Price {
    #[serde(default)]
    from_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    rates: Rates,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<Tier>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    variants: Vec<super::Variant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    discount: Option<String>,
}

impl From<Price> for super::Price {
    fn from(price: Price) -> Self {
        let Price { from_ms, until_ms, rates, tiers, variants, discount } = price;
        let standard = Sheet { rates, tiers };
        Self { from_ms, until_ms, standard, variants, discount, origin: Origin::default() }
    }
}

impl From<super::Price> for Price {
    fn from(price: super::Price) -> Self {
        let super::Price { from_ms, until_ms, standard, variants, discount, origin: _ } = price;
        let Sheet { rates, tiers } = standard;
        Self { from_ms, until_ms, rates, tiers, variants, discount }
    }
}

#[derive(Deserialize, Serialize)]
pub(super) struct Variant {
    when: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    daily: Option<Daily>,
    rates: Rates,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<Tier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    discount: Option<String>,
}

impl From<Variant> for super::Variant {
    fn from(variant: Variant) -> Self {
        let Variant { when, daily, rates, tiers, discount } = variant;
        Self { when, daily, sheet: Sheet { rates, tiers }, discount }
    }
}

impl From<super::Variant> for Variant {
    fn from(variant: super::Variant) -> Self {
        let super::Variant { when, daily, sheet: Sheet { rates, tiers }, discount } = variant;
        Self { when, daily, rates, tiers, discount }
    }
}

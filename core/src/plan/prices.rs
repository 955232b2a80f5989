//! A book as a page takes it: the same facts at the prices that have not ended, in few bytes.
//!
//! Rows stand under their provider; what most rows have alike is left out: names that mean a row when a date
//! follows, where they are its id alone, and the beginning of a price that is not known. Rates are whole
//! pico-dollars.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::money::Picodollars;
use crate::price::{
    Daily, MovingAlias, NameMap, Origin, Price, PriceBook, PricedModel, Rates, Sheet, Tier, Variant,
};
use crate::usage::Kind;

/// Writes a book as JSON, at prices that have not ended before `now_ms`. Every row stays, so that a name
/// means the same row as in the whole.
///
/// # Errors
/// Never for a book: maps of JSON have texts for keys, as these have.
pub fn write(book: &PriceBook, now_ms: u64) -> Result<String, serde_json::Error> {
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for model in book.current(now_ms).into_models() {
        rows.entry(model.provider.clone()).or_default().push(Row::of(model));
    }
    serde_json::to_string(&Written { version: book.version().to_owned(), maps: book.maps().to_vec(), rows })
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// For anything else.
pub fn read(json: &str) -> Result<PriceBook, serde_json::Error> {
    let Written { version, maps, rows } = serde_json::from_str(json)?;
    let models = rows
        .into_iter()
        .flat_map(|(provider, rows)| rows.into_iter().map(move |row| row.model(provider.clone())));
    Ok(PriceBook::new(version, models.collect()).with_maps(maps))
}

#[derive(Deserialize, Serialize)]
struct Written {
    version: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    maps: Vec<NameMap>,
    rows: BTreeMap<String, Vec<Row>>,
}

#[derive(Deserialize, Serialize)]
struct Row {
    id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
    /// None where it is the id alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dated: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    moving: Vec<MovingAlias>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<u64>,
    prices: Vec<PriceRow>,
}

#[derive(Deserialize, Serialize)]
struct PriceRow {
    #[serde(default, skip_serializing_if = "is_zero")]
    from: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(flatten)]
    sheet: SheetRow,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    variants: Vec<VariantRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    discount: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct VariantRow {
    when: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    daily: Option<Daily>,
    #[serde(flatten)]
    sheet: SheetRow,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    discount: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct SheetRow {
    rates: BTreeMap<Kind, i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<(u64, BTreeMap<Kind, i64>)>,
}

impl Row {
    fn of(model: PricedModel) -> Self {
        let PricedModel { provider: _, id, aliases, dated, moving, context_tokens, output_tokens, prices } =
            model;
        let dated = (!matches!(&dated[..], [one] if *one == id)).then_some(dated);
        let prices = prices.into_iter().map(PriceRow::of).collect();
        Self { id, aliases, dated, moving, context: context_tokens, output: output_tokens, prices }
    }

    fn model(self, provider: String) -> PricedModel {
        PricedModel {
            provider,
            dated: self.dated.unwrap_or_else(|| vec![self.id.clone()]),
            id: self.id,
            aliases: self.aliases,
            moving: self.moving,
            context_tokens: self.context,
            output_tokens: self.output,
            prices: self.prices.into_iter().map(PriceRow::price).collect(),
        }
    }
}

impl PriceRow {
    fn of(price: Price) -> Self {
        let Price { from_ms, until_ms, standard, variants, discount, origin: _ } = price;
        let variant = |variant: Variant| {
            let Variant { when, daily, sheet, discount } = variant;
            VariantRow { when, daily, sheet: SheetRow::of(sheet), discount }
        };
        let variants = variants.into_iter().map(variant).collect();
        Self { from: from_ms, until: until_ms, sheet: SheetRow::of(standard), variants, discount }
    }

    fn price(self) -> Price {
        let variant = |row: VariantRow| {
            let VariantRow { when, daily, sheet, discount } = row;
            Variant { when, daily, sheet: sheet.sheet(), discount }
        };
        Price {
            from_ms: self.from,
            until_ms: self.until,
            standard: self.sheet.sheet(),
            variants: self.variants.into_iter().map(variant).collect(),
            discount: self.discount,
            origin: Origin::default(),
        }
    }
}

impl SheetRow {
    fn of(sheet: Sheet) -> Self {
        // A rate beyond 9 million dollars is that of no token, call or image.
        let pico = |rate: Picodollars| i64::try_from(rate.as_pico()).unwrap_or(i64::MAX);
        let rates = |Rates(rates): Rates| rates.into_iter().map(|(kind, rate)| (kind, pico(rate))).collect();
        let tiers = sheet.tiers.into_iter().map(|tier| (tier.input_above, rates(tier.rates)));
        Self { tiers: tiers.collect(), rates: rates(sheet.rates) }
    }

    fn sheet(self) -> Sheet {
        let rates = |rates: BTreeMap<Kind, i64>| {
            Rates(rates.into_iter().map(|(kind, pico)| (kind, Picodollars::from_pico(pico.into()))).collect())
        };
        let tier = |(input_above, own): (u64, _)| Tier { input_above, rates: rates(own) };
        Sheet { tiers: self.tiers.into_iter().map(tier).collect(), rates: rates(self.rates) }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(all(test, feature = "book"))]
mod tests {
    use super::*;
    use crate::price::{EMBEDDED, day_ms};

    #[test]
    fn a_book_reads_back_as_it_was_at_prices_that_have_not_ended() {
        let book = PriceBook::from_files(EMBEDDED).unwrap();
        let maps = vec![NameMap {
            provider: "azure".into(),
            name: "our-gpt".into(),
            to_provider: "openai".into(),
            to_model: "gpt-4o".into(),
            facts: BTreeMap::from([("geo".to_owned(), "eu".to_owned())]),
        }];
        let book = book.with_maps(maps);
        let now_ms = day_ms("2026-11-20").unwrap();
        let json = write(&book, now_ms).unwrap();
        let read = read(&json).unwrap();
        assert_eq!((read.version(), read.maps()), (book.version(), book.maps()));
        let sorted = |book: PriceBook| {
            let mut models = book.into_models();
            // Rows of a provider keep their order; a sort that is stable leaves it.
            models.sort_by(|one, other| one.provider.cmp(&other.provider));
            for price in models.iter_mut().flat_map(|model| &mut model.prices) {
                price.origin = Origin::default();
            }
            models
        };
        let expected = sorted(book.current(now_ms));
        assert!(expected.len() > 1_000);
        assert_eq!(sorted(read), expected);
        let plain = serde_json::to_string(&book.current(now_ms)).unwrap().len();
        assert!(json.len() * 3 < plain * 2, "{} bytes of {plain}", json.len());
    }
}

//! Price files: one TOML file for each provider, facts with their source and the day they were read.
//!
//! ```toml
//! provider = "openai"
//! source = "https://developers.openai.com/api/docs/pricing"  # of every price that names none itself
//! checked = "2026-10-14"                                      # the day it was read
//!
//! [[model]]
//! id = "gpt-x"                           # canonical, lower case
//! aliases = ["gpt-x-latest"]             # further names that mean exactly this model
//! dated = ["gpt-x"]                      # names that mean it when a snapshot date follows
//! [[model.price]]
//! from = "2026-08-21"                    # UTC, inclusive; left out: as long as is known
//! tokens = { input = "4", output = "20", cache_read = "0.4" }  # dollars for a million
//! calls = { web_search = "0.01" }                               # dollars for one
//! [[model.price.tier]]                   # whole calls whose prompt is longer
//! input_above = 272_000
//! tokens = { input = "8", output = "30" }
//! [[model.price.variant]]                # the first that matches holds
//! when = { service_tier = "flex" }
//! tokens = { input = "2", output = "10" }
//! tier = [{ input_above = 272_000, tokens = { input = "4", output = "15" } }]
//! ```
//!
//! A price holds until the next one of its model. What a tier or variant leaves out is as in the price that it
//! stands in; what that leaves out inherits by kind. A file with a mistake is refused as a whole.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Price, PriceBook, PricedModel, Rates, Sheet, Tier, Variant};
use crate::money::Picodollars;
use crate::usage::Kind;

/// A price file: its name, for messages, and its text.
#[derive(Clone, Copy, Debug)]
pub struct PriceFile<'a> {
    /// Name, such as `openai.toml`.
    pub name: &'a str,
    /// TOML.
    pub text: &'a str,
}

/// One mistake in a price file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{file}: {place}: {problem}")]
pub struct PriceFileError {
    /// The file.
    pub file: String,
    /// Where in it, such as `model gpt-5, price 2, tokens.input`.
    pub place: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// The prices that come with Tollgate.
pub const EMBEDDED: &[PriceFile<'static>] = &[
    PriceFile { name: "anthropic.toml", text: include_str!("../../prices/anthropic.toml") },
    PriceFile { name: "gemini.toml", text: include_str!("../../prices/gemini.toml") },
    PriceFile { name: "openai.toml", text: include_str!("../../prices/openai.toml") },
];

impl PriceBook {
    /// The book of these files. Its version is a hash of their models and prices.
    ///
    /// # Errors
    /// Every mistake in any of them.
    pub fn from_files(files: &[PriceFile<'_>]) -> Result<Self, Vec<PriceFileError>> {
        let mut models = Vec::new();
        let mut errors = Vec::new();
        for file in files {
            read(file, &mut models, &mut errors);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let version = version(&models);
        Ok(Self::new(version, models))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    provider: String,
    source: String,
    checked: String,
    #[serde(default)]
    model: Vec<ModelRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelRow {
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    dated: Vec<String>,
    price: Vec<PriceRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceRow {
    from: Option<String>,
    until: Option<String>,
    #[serde(default)]
    tokens: BTreeMap<String, String>,
    #[serde(default)]
    calls: BTreeMap<String, String>,
    #[serde(default)]
    tier: Vec<TierRow>,
    #[serde(default)]
    variant: Vec<VariantRow>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    checked: Option<String>,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierRow {
    input_above: u64,
    #[serde(default)]
    tokens: BTreeMap<String, String>,
    #[serde(default)]
    calls: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantRow {
    when: BTreeMap<String, String>,
    #[serde(default)]
    tokens: BTreeMap<String, String>,
    #[serde(default)]
    calls: BTreeMap<String, String>,
    #[serde(default)]
    tier: Vec<TierRow>,
}

fn read(file: &PriceFile<'_>, models: &mut Vec<PricedModel>, errors: &mut Vec<PriceFileError>) {
    let mut report = |place: String, problem: String| {
        errors.push(PriceFileError { file: file.name.to_owned(), place, problem });
    };
    let parsed: File = match toml::from_str(file.text) {
        Ok(parsed) => parsed,
        Err(error) => return report("file".into(), error.to_string().trim().replace('\n', " ")),
    };
    if parsed.source.is_empty() {
        report("source".into(), "is empty; name where the prices were read".into());
    }
    if day_ms(&parsed.checked).is_none() {
        report("checked".into(), format!("`{}` is not a day such as 2026-10-14", parsed.checked));
    }
    for row in parsed.model {
        let mut at = |place: &str, problem: String| report(format!("model {}, {place}", row.id), problem);
        if row.id.is_empty() || row.id.to_ascii_lowercase() != row.id {
            at("id", "is not a lower-case name".into());
        }
        if row.price.is_empty() {
            at("price", "is missing; a model without a price is left out".into());
        }
        let mut prices: Vec<Price> = Vec::new();
        for (index, price) in row.price.iter().enumerate() {
            let price =
                one_price(price, &mut |place, problem| at(&format!("price {}, {place}", index + 1), problem));
            if let Some(last) = prices.last_mut() {
                let until = last.until_ms.unwrap_or(price.from_ms);
                if price.from_ms <= last.from_ms || until > price.from_ms {
                    at(
                        &format!("price {}", index + 1),
                        "overlaps the one before; order them by `from`".into(),
                    );
                }
                last.until_ms = Some(until);
            }
            prices.push(price);
        }
        let provider = parsed.provider.clone();
        models.push(PricedModel { provider, id: row.id, aliases: row.aliases, dated: row.dated, prices });
    }
}

type Report<'a> = dyn FnMut(&str, String) + 'a;

fn one_price(row: &PriceRow, report: &mut Report<'_>) -> Price {
    let mut day = |name: &str, text: &Option<String>| {
        let text = text.as_ref()?;
        let ms = day_ms(text);
        if ms.is_none() {
            report(name, format!("`{text}` is not a day such as 2026-10-14"));
        }
        ms
    };
    let (from_ms, until_ms) = (day("from", &row.from).unwrap_or(0), day("until", &row.until));
    day("checked", &row.checked);
    let _ = (&row.source, &row.note); // for readers of the file
    let rates = overlaid(&Rates::default(), &row.tokens, &row.calls, report);
    if rates.0.is_empty() {
        report("tokens", "is missing; a price without a rate is no price".into());
    }
    let standard = Sheet { tiers: tiers(&row.tier, |_| rates.clone(), report), rates };
    let variants = row
        .variant
        .iter()
        .map(|variant| {
            if variant.when.is_empty() {
                report("variant", "has no condition in `when`".into());
            }
            if variant.tier.is_empty() && !row.tier.is_empty() {
                report("variant", "has no tiers, but its price has; give their rates".into());
            }
            let rates = overlaid(&standard.rates, &variant.tokens, &variant.calls, report);
            let base = |above: u64| {
                standard
                    .tiers
                    .iter()
                    .find(|tier| tier.input_above == above)
                    .map_or(&rates, |tier| &tier.rates)
                    .clone()
            };
            let tiers = tiers(&variant.tier, base, report);
            Variant { when: variant.when.clone(), sheet: Sheet { rates, tiers } }
        })
        .collect();
    Price { from_ms, until_ms, standard, variants }
}

/// Longest context first, each over the rates that `base` gives for its threshold.
fn tiers(rows: &[TierRow], base: impl Fn(u64) -> Rates, report: &mut Report<'_>) -> Vec<Tier> {
    let mut tiers: Vec<Tier> = rows
        .iter()
        .map(|row| Tier {
            input_above: row.input_above,
            rates: overlaid(&base(row.input_above), &row.tokens, &row.calls, report),
        })
        .collect();
    tiers.sort_by_key(|tier| std::cmp::Reverse(tier.input_above));
    if tiers.windows(2).any(|pair| matches!(pair, [one, other] if one.input_above == other.input_above)) {
        report("tier", "two tiers have the same `input_above`".into());
    }
    tiers
}

fn overlaid(
    base: &Rates,
    tokens: &BTreeMap<String, String>,
    calls: &BTreeMap<String, String>,
    report: &mut Report<'_>,
) -> Rates {
    let mut rates = base.clone();
    for (table, per, entries) in [("tokens", PER_MILLION, tokens), ("calls", 1, calls)] {
        for (name, amount) in entries {
            match rate(table, name, amount, per) {
                Ok((kind, rate)) => _ = rates.0.insert(kind, rate),
                Err(problem) => report(&format!("{table}.{name}"), problem),
            }
        }
    }
    rates
}

fn rate(table: &str, name: &str, amount: &str, per: i128) -> Result<(Kind, Picodollars), String> {
    let kind = Kind::from_name(name).ok_or("is no kind of usage, such as `input`")?;
    let is_token = kind.is_input() || kind.is_output();
    if is_token != (table == "tokens") {
        return Err(format!("belongs in `{}`", if is_token { "tokens" } else { "calls" }));
    }
    let dollars: Picodollars = amount.parse().map_err(|error: crate::money::NotMoney| error.to_string())?;
    if dollars < Picodollars::ZERO {
        return Err(format!("`{amount}` is negative"));
    }
    if dollars.as_pico() % per != 0 {
        return Err(format!(
            "`{amount}` has more than six decimals, so one token has no whole pico-dollar price"
        ));
    }
    Ok((kind, Picodollars::from_pico(dollars.as_pico() / per)))
}

/// Midnight UTC of `YYYY-MM-DD`, Unix milliseconds (the days-from-civil formula of Howard Hinnant).
fn day_ms(text: &str) -> Option<u64> {
    let mut numbers = text.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let real = numbers.next().is_none() && (1970..=9999).contains(&year) && (1..=12).contains(&month);
    if !real || text.len() != 10 || !(1..=31).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((era * 146_097 + day_of_era - 719_468) * 86_400_000)
}

/// Sixteen hexadecimal digits that name this content (FNV-1a, which is enough to tell versions apart).
fn version(models: &[PricedModel]) -> String {
    let json = serde_json::to_vec(models).unwrap_or_default();
    let hash = json.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

const PER_MILLION: i128 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::Facts;
    use crate::usage::Usage;

    const GOOD: &str = r#"
        provider = "openai"
        source = "https://example.com/pricing"
        checked = "2026-10-14"
        [[model]]
        id = "gpt-x"
        dated = ["gpt-x"]
        [[model.price]]
        tokens = { input = "1.25", output = "10", cache_read = "0.125" }
        calls = { web_search = "0.01" }
        tier = [{ input_above = 100, tokens = { input = "2.5" } }]
        [[model.price.variant]]
        when = { service_tier = "flex" }
        tokens = { input = "0.625" }
        tier = [{ input_above = 100, tokens = { output = "7" } }]
        [[model.price]]
        from = "2026-03-01"
        tokens = { input = "1", output = "2" }
    "#;

    fn mistakes(text: &str) -> String {
        let errors = PriceBook::from_files(&[PriceFile { name: "f.toml", text }]).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    fn cost(input: u64, time_ms: u64, conditions: &[(&str, &str)]) -> i128 {
        let book = PriceBook::from_files(&[PriceFile { name: "f.toml", text: GOOD }]).unwrap();
        let usage = Usage { input_tokens: Some(input), output_tokens: Some(1), ..Usage::default() };
        let facts = Facts {
            provider: "openai",
            response_model: Some("gpt-x"),
            time_ms,
            conditions,
            ..Facts::default()
        };
        book.price(&facts, &usage).cost.as_pico()
    }

    #[test]
    fn a_price_holds_until_the_next_and_a_tier_overlays_it() {
        let march = day_ms("2026-03-01").unwrap();
        assert_eq!(march, 1_772_323_200_000);
        assert_eq!(cost(1, march - 1, &[]), 1_250_000 + 10_000_000);
        assert_eq!(cost(1, march, &[]), 1_000_000 + 2_000_000);
        assert_eq!(cost(101, 0, &[]), 101 * 2_500_000 + 10_000_000);
        assert_eq!(cost(101, 0, &[("service_tier", "flex")]), 101 * 2_500_000 + 7_000_000);
        assert_eq!(cost(1, 0, &[("service_tier", "flex")]), 625_000 + 10_000_000);
    }

    #[test]
    fn each_mistake_has_its_message() {
        for (from, to, expected) in [
            ("\"1.25\"", "\"-1\"", "f.toml: model gpt-x, price 1, tokens.input: `-1` is negative"),
            ("\"1.25\"", "\"0.0000001\"", "more than six decimals"),
            ("\"1.25\"", "\"free\"", "`free` is not an amount of dollars"),
            ("cache_read", "cache_raed", "tokens.cache_raed: is no kind of usage"),
            ("web_search", "input", "calls.input: belongs in `tokens`"),
            ("2026-03-01", "2026-3-1", "`2026-3-1` is not a day"),
            ("from = \"2026-03-01\"", "", "price 2: overlaps the one before"),
            ("id = \"gpt-x\"", "id = \"GPT\"", "id: is not a lower-case name"),
            ("when = { service_tier = \"flex\" }", "when = {}", "has no condition"),
            ("dated", "datd", "unknown field `datd`"),
        ] {
            let found = mistakes(&GOOD.replacen(from, to, 1));
            assert!(found.contains(expected), "{expected} in {found}");
        }
        assert_eq!(mistakes(GOOD), "");
    }

    #[test]
    fn the_embedded_book_loads_and_no_rate_is_zero_by_omission() {
        let book = PriceBook::from_files(EMBEDDED).unwrap_or_else(|errors| panic!("{errors:#?}"));
        assert!(book.models().len() > 50);
        for model in book.models() {
            for price in &model.prices {
                let sheets = std::iter::once(&price.standard)
                    .chain(price.variants.iter().map(|variant| &variant.sheet));
                for rates in sheets.flat_map(|sheet| {
                    std::iter::once(&sheet.rates).chain(sheet.tiers.iter().map(|t| &t.rates))
                }) {
                    assert!(rates.0.keys().any(|kind| kind.inherits().is_none()), "{}", model.id);
                }
            }
        }
    }
}

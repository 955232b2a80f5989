//! Price files: one TOML file for each provider, facts with their source and the day they were read.
//!
//! ```toml
//! provider = "openai"
//! source = "https://developers.openai.com/api/docs/pricing"  # of every price that names none itself
//! checked = "2026-10-14"                                      # the day it was read
//! calls = { web_search = "0.01" }        # what each price by the token has that names it not itself
//!
//! [[model]]
//! id = "gpt-x"                           # canonical, lower case
//! aliases = ["gpt-x-1"]                  # further names that mean exactly this model
//! dated = ["gpt-x"]                      # names that mean it when a snapshot date follows
//! moving = [{ name = "gpt-latest", from = "2026-08-21" }]       # names that mean it for a time
//! [[model.price]]
//! from = "2026-08-21"                    # UTC, inclusive; left out: as long as is known
//! tokens = { input = "4", output = "20", cache_read = "0.4" }  # dollars for a million
//! calls = { web_search = "0.01" }                               # dollars for one
//! note = "what a reader should know"
//! [[model.price.tier]]                   # whole calls whose prompt is longer
//! input_above = 272_000
//! tokens = { input = "8", output = "30" }
//! [[model.price.variant]]                # those with more conditions are tried first
//! when = { service_tier = "flex" }       # a value may be several: "priority|fast"
//! tokens = { input = "2", output = "10" }
//! tier = [{ input_above = 272_000, tokens = { input = "4", output = "15" } }]
//! [[model.price.variant]]
//! when = { service_tier = "batch" }
//! multiply = "0.5"                       # every token rate, in every tier, rounded up; then `tokens`
//! [[model.price.variant]]
//! daily = "16:30-00:30"                  # UTC; "01:00-04:00 mon-fri" on weekdays only
//! tokens = { input = "2" }
//! [[model.price.factor]]                 # changes the plain rates and those of every variant
//! when = { geo = "us" }                  # `*` is any word but those for the plain rates
//! multiply = "1.1"                       # token rates; or left out
//! calls = { web_search = "0.025" }       # what stands in their place; or left out
//! ```
//!
//! A price holds until the next one of its model. What a tier or variant leaves out is as in the price that
//! it stands in; what that leaves out inherits by kind. A file with a mistake is refused as a whole.
//!
//! Long: each table of a price file as TOML has it, and what reads it; rows and amounts are to be cut apart.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use serde::Deserialize;

use super::{
    Daily, MovingAlias, NameMap, Origin, Price, PriceBook, PricedModel, Rates, Sheet, Tier, Variant,
};
use crate::lean::fnv::Fnv;
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
pub const EMBEDDED: &[PriceFile<'static>] = embedded::FILES;

mod embedded;
mod members;

pub use members::members;

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
        Ok(Self::of_models(models, Vec::new()))
    }

    /// A book of these models and the operator's names, its version a hash of them.
    pub fn of_models(models: Vec<PricedModel>, maps: Vec<NameMap>) -> Self {
        Self::new(version(&models, &maps), models).with_maps(maps)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    provider: String,
    source: String,
    checked: String,
    #[serde(default)]
    calls: Amounts,
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
    #[serde(default)]
    moving: Vec<MovingRow>,
    context_tokens: Option<u64>,
    output_tokens: Option<u64>,
    #[serde(default)]
    price: Vec<PriceRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MovingRow {
    name: String,
    from: Option<String>,
    until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceRow {
    from: Option<String>,
    until: Option<String>,
    #[serde(default)]
    tokens: Amounts,
    #[serde(default)]
    calls: Amounts,
    #[serde(default)]
    tier: Vec<TierRow>,
    #[serde(default)]
    variant: Vec<VariantRow>,
    #[serde(default)]
    factor: Vec<FactorRow>,
    source: Option<String>,
    checked: Option<String>,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierRow {
    input_above: u64,
    #[serde(default)]
    tokens: Amounts,
    #[serde(default)]
    calls: Amounts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantRow {
    #[serde(default)]
    when: BTreeMap<String, String>,
    daily: Option<String>,
    multiply: Option<String>,
    #[serde(default)]
    tokens: Amounts,
    #[serde(default)]
    calls: Amounts,
    #[serde(default)]
    tier: Vec<TierRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FactorRow {
    when: BTreeMap<String, String>,
    multiply: Option<String>,
    #[serde(default)]
    calls: Amounts,
}

type Amounts = BTreeMap<String, String>;

fn read(file: &PriceFile<'_>, models: &mut Vec<PricedModel>, errors: &mut Vec<PriceFileError>) {
    let mut report = |place: String, problem: String| {
        errors.push(PriceFileError { file: file.name.to_owned(), place, problem });
    };
    let parsed: File = match toml::from_str(file.text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let line = error
                .span()
                .map_or(0, |span| file.text.get(..span.start).unwrap_or("").lines().count().max(1));
            return report(format!("line {line}"), error.message().trim().replace('\n', " "));
        }
    };
    if parsed.provider.is_empty() {
        report("provider".into(), "is empty; name the provider's id, such as `openai`".into());
    }
    if parsed.source.is_empty() {
        report("source".into(), "is empty; name where the prices were read".into());
    }
    if day_ms(&parsed.checked).is_none() {
        report("checked".into(), not_a_day(&parsed.checked));
    }
    for mut row in parsed.model {
        for price in row.price.iter_mut().filter(|price| !price.tokens.is_empty()) {
            for (kind, amount) in &parsed.calls {
                price.calls.entry(kind.clone()).or_insert_with(|| amount.clone());
            }
        }
        let id = row.id.clone();
        let origin = (parsed.source.as_str(), parsed.checked.as_str());
        let mut at = |place: &str, problem: String| report(format!("model {id}, {place}"), problem);
        models.push(one_model(row, &parsed.provider, origin, &mut at));
    }
}

type Report<'a> = dyn FnMut(&str, String) + 'a;

fn one_model(row: ModelRow, provider: &str, origin: (&str, &str), report: &mut Report<'_>) -> PricedModel {
    let moving_names = row.moving.iter().map(|moving| &moving.name);
    let mut names = std::iter::once(("id", &row.id))
        .chain(row.aliases.iter().map(|name| ("aliases", name)))
        .chain(row.dated.iter().map(|name| ("dated", name)))
        .chain(moving_names.map(|name| ("moving", name)));
    if let Some((key, name)) =
        names.find(|(_, name)| name.is_empty() || name.bytes().any(|b| b.is_ascii_uppercase()))
    {
        report(key, format!("`{name}` is not a lower-case name"));
    }
    drop(names);
    if row.price.is_empty() {
        report("price", "is missing; a model without a price is left out".into());
    }
    let mut prices: Vec<Price> = Vec::with_capacity(row.price.len());
    for (index, price) in row.price.iter().enumerate() {
        let number = index + 1;
        let mut at = |place: &str, problem: String| report(&format!("price {number}, {place}"), problem);
        let price = one_price(price, origin, &mut at);
        if let Some(last) = prices.last_mut() {
            let until = last.until_ms.unwrap_or(price.from_ms);
            if price.from_ms <= last.from_ms || until > price.from_ms {
                report(&format!("price {number}"), "overlaps the one before; order them by `from`".into());
            }
            last.until_ms = Some(until);
        }
        prices.push(price);
    }
    let moving = row
        .moving
        .iter()
        .map(|moving| MovingAlias {
            name: moving.name.clone(),
            from_ms: day("moving.from", moving.from.as_deref(), report).unwrap_or(0),
            until_ms: day("moving.until", moving.until.as_deref(), report),
        })
        .collect();
    for (key, tokens) in [("context_tokens", row.context_tokens), ("output_tokens", row.output_tokens)] {
        if tokens == Some(0) {
            report(key, "is 0; leave it out where it is not known".into());
        }
    }
    PricedModel {
        provider: provider.to_owned(),
        id: row.id,
        context_tokens: row.context_tokens,
        output_tokens: row.output_tokens,
        aliases: row.aliases,
        dated: row.dated,
        moving,
        prices,
    }
}

fn one_price(row: &PriceRow, origin: (&str, &str), report: &mut Report<'_>) -> Price {
    let from_ms = day("from", row.from.as_deref(), report).unwrap_or(0);
    let until_ms = day("until", row.until.as_deref(), report);
    if until_ms.is_some_and(|until| until <= from_ms) {
        report("until", "is not after `from`".into());
    }
    day("checked", row.checked.as_deref(), report);
    let rates = overlaid(Rates::default(), &row.tokens, &row.calls, report);
    if rates.0.is_empty() {
        report("tokens", "is missing; a price without a rate is no price".into());
    } else if !rates.0.keys().any(|kind| kind.inherits().is_none()) {
        report(
            "tokens",
            "has only rates of parts; give `input` or `output`, so that nothing is left without".into(),
        );
    }
    let standard = Sheet { tiers: tiers(&row.tier, |_| rates.clone(), report), rates };
    let mut price = Price {
        from_ms,
        until_ms,
        variants: Vec::with_capacity(row.variant.len()),
        standard,
        discount: None,
        origin: Origin {
            source: row.source.clone().unwrap_or_else(|| origin.0.to_owned()),
            checked: row.checked.clone().unwrap_or_else(|| origin.1.to_owned()),
            note: row.note.clone(),
        },
    };
    for variant in &row.variant {
        let variant = one_variant(variant, &price.standard, report);
        price.variants.push(variant);
    }
    for factor in &row.factor {
        apply(factor, &mut price, report);
    }
    price.order_variants();
    for (index, variant) in price.variants.iter().enumerate() {
        let mut before = price.variants.iter().take(index);
        if before.any(|other| other.when == variant.when && other.daily == variant.daily) {
            report("variant", format!("`{}` is there twice", variant.label()));
        }
    }
    price
}

fn one_variant(row: &VariantRow, standard: &Sheet, report: &mut Report<'_>) -> Variant {
    let daily = row.daily.as_deref().and_then(|text| {
        let window = window(text);
        if window.is_none() {
            report("variant.daily", format!("`{text}` is not a window such as `16:30-00:30`"));
        }
        window
    });
    if row.when.is_empty() && row.daily.is_none() {
        report("variant", "has no condition in `when` or `daily`".into());
    }
    conditions(&row.when, report);
    let mut base = standard.clone();
    if let Some(multiply) = &row.multiply {
        match factor(multiply) {
            Ok(factor) => base.all_rates_mut().for_each(|rates| scale_tokens(rates, factor)),
            Err(problem) => report("variant.multiply", problem),
        }
    } else if row.tier.is_empty() && !standard.tiers.is_empty() {
        report("variant", "has no tiers, but its price has; give their rates, or `multiply`".into());
    }
    let rates = overlaid(base.rates, &row.tokens, &row.calls, report);
    let of_tier =
        |above: u64| base.tiers.iter().find(|tier| tier.input_above == above).map(|tier| &tier.rates);
    let mut own = tiers(&row.tier, |above| of_tier(above).unwrap_or(&rates).clone(), report);
    if row.multiply.is_some() {
        own.extend(
            base.tiers
                .iter()
                .filter(|tier| row.tier.iter().all(|own| own.input_above != tier.input_above))
                .cloned(),
        );
        own.sort_by_key(|tier| std::cmp::Reverse(tier.input_above));
    }
    Variant { when: row.when.clone(), daily, sheet: Sheet { rates, tiers: own }, discount: None }
}

/// Adds what each sheet of a price is under a factor's condition: the plain one, and every variant that says
/// nothing of the same facts.
fn apply(row: &FactorRow, price: &mut Price, report: &mut Report<'_>) {
    if row.when.is_empty() {
        report("factor", "has no condition in `when`".into());
    }
    conditions(&row.when, report);
    let factor = match row.multiply.as_deref().map_or(Ok(MILLION), factor) {
        Ok(factor) => factor,
        Err(problem) => return report("factor.multiply", problem),
    };
    if row.multiply.is_none() && row.calls.is_empty() {
        report("factor", "changes nothing; give `multiply`, or `calls`".into());
    }
    let plain = Variant { sheet: price.standard.clone(), ..Variant::default() };
    let is_apart = |variant: &&Variant| row.when.keys().all(|fact| !variant.when.contains_key(fact));
    let mut added: Vec<Variant> =
        std::iter::once(&plain).chain(&price.variants).filter(is_apart).cloned().collect();
    for variant in &mut added {
        variant.when.extend(row.when.clone());
        for rates in variant.sheet.all_rates_mut() {
            scale_tokens(rates, factor);
            *rates = overlaid(std::mem::take(rates), &Amounts::new(), &row.calls, report);
        }
    }
    price.variants.extend(added);
}

fn conditions(when: &BTreeMap<String, String>, report: &mut Report<'_>) {
    for (fact, value) in when {
        if !FACTS.contains(&fact.as_str()) {
            report(&format!("when.{fact}"), format!("is not a known fact; there are {}", FACTS.join(", ")));
        }
        if value.split('|').any(str::is_empty) {
            report(&format!("when.{fact}"), format!("`{value}` has an empty value"));
        }
    }
}

/// Longest context first, each over the rates that `base` gives for its threshold.
fn tiers(rows: &[TierRow], base: impl Fn(u64) -> Rates, report: &mut Report<'_>) -> Vec<Tier> {
    let mut tiers: Vec<Tier> = rows
        .iter()
        .map(|row| Tier {
            input_above: row.input_above,
            rates: overlaid(base(row.input_above), &row.tokens, &row.calls, report),
        })
        .collect();
    tiers.sort_by_key(|tier| std::cmp::Reverse(tier.input_above));
    if tiers.windows(2).any(|pair| matches!(pair, [one, other] if one.input_above == other.input_above)) {
        report("tier", "two tiers have the same `input_above`".into());
    }
    tiers
}

fn overlaid(mut rates: Rates, tokens: &Amounts, calls: &Amounts, report: &mut Report<'_>) -> Rates {
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
    let kind = Kind::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
        format!("is no kind of usage; there are {}", known.join(", "))
    })?;
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

/// Millionths of a multiplier such as `1.1`.
fn factor(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is not a multiplier such as `0.5`, above 0 and with at most six decimals");
    let pico = text.parse::<Picodollars>().map_err(|_| wrong())?.as_pico();
    let whole = (pico > 0 && pico % 1_000_000 == 0).then_some(pico / 1_000_000);
    whole.and_then(|millionths| u64::try_from(millionths).ok()).ok_or_else(wrong)
}

fn scale_tokens(rates: &mut Rates, millionths: u64) {
    for (kind, rate) in &mut rates.0 {
        if kind.is_input() || kind.is_output() {
            *rate = rate.scaled_up(millionths, MILLION);
        }
    }
}

/// The rates of every sheet multiplied by a multiplier such as `0.85`, rounded up to a whole pico-dollar.
///
/// # Errors
/// Says what is wrong with the multiplier.
pub fn scaled(price: &mut Price, multiply: &str) -> Result<(), String> {
    let millionths = factor(multiply)?;
    for rates in price.sheets_mut().flat_map(Sheet::all_rates_mut) {
        for rate in rates.0.values_mut() {
            *rate = rate.scaled_up(millionths, MILLION);
        }
    }
    Ok(())
}

fn window(text: &str) -> Option<Daily> {
    let (text, weekdays) = text.strip_suffix(" mon-fri").map_or((text, false), |text| (text, true));
    let (from, to) = text.split_once('-')?;
    let minute = |text: &str| {
        let (hour, minute) =
            text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2)?;
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let window = Daily { from_minute: minute(from)?, to_minute: minute(to)?, weekdays };
    (window.from_minute != window.to_minute).then_some(window)
}

fn day(key: &str, text: Option<&str>, report: &mut Report<'_>) -> Option<u64> {
    let text = text?;
    let ms = day_ms(text);
    if ms.is_none() {
        report(key, not_a_day(text));
    }
    ms
}

fn not_a_day(text: &str) -> String {
    format!("`{text}` is not a day such as 2026-10-14")
}

/// Midnight UTC of `YYYY-MM-DD`, Unix milliseconds (the days-from-civil formula of Howard Hinnant).
pub fn day_ms(text: &str) -> Option<u64> {
    let mut numbers = text.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let real = numbers.next().is_none() && (1970..=9999).contains(&year) && (1..=12).contains(&month);
    if !real || text.len() != 10 || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((era * 146_097 + day_of_era - 719_468) * 86_400_000)
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Sixteen hexadecimal digits that name this content (FNV-1a, which is enough to tell versions apart). Where
/// a fact was read and when ([`Origin`]) is not part of it.
fn version(models: &[PricedModel], maps: &[NameMap]) -> String {
    let mut hash = Fnv::default();
    models.hash(&mut hash);
    maps.hash(&mut hash);
    format!("{:016x}", hash.finish())
}

const PER_MILLION: i128 = 1_000_000;
const MILLION: u64 = 1_000_000;
/// Facts that a variant may ask for.
const FACTS: &[&str] = &[
    "service_tier",
    "speed",
    "geo",
    "search_size",
    "route",
    "deployment",
    "traffic_type",
    "location",
    "residency",
    "tool",
    "search_tool",
    "latency",
];

#[cfg(test)]
mod tests;

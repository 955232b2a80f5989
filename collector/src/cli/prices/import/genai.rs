//! genai-prices' `data.json`: an array of providers with models, decimals per million or per thousand.

use serde_json::Value;
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Rates, Sheet, Tier, Variant};
use tollgate_core::usage::{CacheTtl, Kind};

use super::Listed;
use super::litellm::decimal;

/// The models of a provider, at the price that its list has for today: the last without a time of day.
pub(super) fn read(providers: &[Value], provider: &str) -> Vec<Listed> {
    let named = |entry: &&Value| entry.get("id").and_then(Value::as_str) == Some(provider);
    let models = providers.iter().find(named).and_then(|entry| entry.get("models")?.as_array());
    models.into_iter().flatten().filter_map(model).collect()
}

fn model(entry: &Value) -> Option<Listed> {
    let id = entry.get("id")?.as_str()?.to_ascii_lowercase();
    let prices = match entry.get("prices")? {
        Value::Array(conditional) => {
            let is_dated = |price: &&Value| price.pointer("/constraint/start_time").is_none();
            conditional.iter().rfind(is_dated)?.get("prices")?
        }
        prices => prices,
    };
    let standard = sheet(prices, None)?;
    let variants = entry.get("price_variants").and_then(Value::as_array);
    let variants = variants.into_iter().flatten().filter_map(|variant| {
        let when = variant.get("when")?.as_object()?;
        let (fact, word) = when.iter().next().filter(|_| when.len() == 1)?;
        let fact = match fact.as_str() {
            "processing" | "service_tier" => "service_tier",
            "speed" => "speed",
            _ => return None,
        };
        let word = word.as_str().filter(|word| *word != "default")?;
        Some(Variant {
            when: [(fact.to_owned(), word.to_owned())].into(),
            sheet: sheet(variant.get("prices")?, Some(&standard))?,
            ..Variant::default()
        })
    });
    let variants = variants.collect();
    let mut aliases = Vec::new();
    names(entry.get("match")?, &mut aliases);
    aliases.retain(|name| *name != id);
    let context_tokens = entry.get("context_window").and_then(Value::as_u64).filter(|tokens| *tokens > 0);
    Some(Listed { id, aliases, standard, variants, context_tokens, ..Listed::default() })
}

/// Names that a rule states whole. What matches by its beginning is left out: no name is guessed.
fn names(rule: &Value, found: &mut Vec<String>) {
    if let Some(name) = rule.get("equals").and_then(Value::as_str) {
        found.push(name.to_ascii_lowercase());
    }
    for rule in rule.get("or").and_then(Value::as_array).into_iter().flatten() {
        names(rule, found);
    }
}

fn sheet(prices: &Value, standard: Option<&Sheet>) -> Option<Sheet> {
    let mut rates = standard.map_or_else(Rates::default, |standard| standard.rates.clone());
    let mut tiers: Vec<Tier> = standard.map_or_else(Vec::new, |standard| standard.tiers.clone());
    let mut own = 0;
    for (key, value) in prices.as_object()? {
        let Some((kind, places)) = unit(key) else { continue };
        let base = value.get("base").unwrap_or(value);
        let Some(rate) = amount(base, places) else { continue };
        rates.0.insert(kind, rate);
        own += 1;
        for tier in value.get("tiers").and_then(Value::as_array).into_iter().flatten() {
            let start = tier.get("start").and_then(Value::as_u64);
            let (Some(start), Some(rate)) =
                (start, tier.get("price").and_then(|price| amount(price, places)))
            else {
                continue;
            };
            match tiers.iter_mut().find(|known| known.input_above == start) {
                Some(known) => _ = known.rates.0.insert(kind, rate),
                None => tiers.push(Tier { input_above: start, rates: Rates([(kind, rate)].into()) }),
            }
        }
    }
    for tier in &mut tiers {
        for (kind, rate) in &rates.0 {
            tier.rates.0.entry(*kind).or_insert(*rate);
        }
    }
    tiers.sort_by_key(|tier| std::cmp::Reverse(tier.input_above));
    let is_whole = standard.is_some() || rates.0.keys().any(|kind| kind.inherits().is_none());
    (own > 0 && is_whole).then_some(Sheet { rates, tiers })
}

fn amount(value: &Value, places: i32) -> Option<Picodollars> {
    match value {
        Value::Number(number) => decimal(&number.to_string(), places),
        Value::String(text) => decimal(text, places),
        _ => None,
    }
}

/// What a key prices, and the power of ten from its dollars to pico-dollars for one.
fn unit(key: &str) -> Option<(Kind, i32)> {
    const MILLION: i32 = 12 - 6;
    const THOUSAND: i32 = 12 - 3;
    Some(match key {
        "input_mtok" => (Kind::Input, MILLION),
        "output_mtok" => (Kind::Output, MILLION),
        "cache_read_mtok" => (Kind::CacheRead, MILLION),
        "cache_write_mtok" => (Kind::CacheWrite, MILLION),
        "cache_write_1h_mtok" => (Kind::CacheWriteTtl(CacheTtl::OneHour), MILLION),
        "input_audio_mtok" => (Kind::InputAudio, MILLION),
        "cache_audio_read_mtok" => (Kind::CacheReadAudio, MILLION),
        "output_audio_mtok" => (Kind::OutputAudio, MILLION),
        "input_image_mtok" => (Kind::InputImage, MILLION),
        "cache_image_read_mtok" => (Kind::CacheReadImage, MILLION),
        "output_image_mtok" => (Kind::OutputImage, MILLION),
        "input_video_mtok" => (Kind::InputVideo, MILLION),
        "output_reasoning_mtok" => (Kind::Reasoning, MILLION),
        "output_citation_mtok" => (Kind::Citation, MILLION),
        "input_mchars" => (Kind::Character, MILLION),
        "web_searches_kcount" => (Kind::WebSearch, THOUSAND),
        "storage_searches_kcount" => (Kind::FileSearch, THOUSAND),
        "requests_kcount" => (Kind::Request, THOUSAND),
        "input_document_kpages" => (Kind::Page, THOUSAND),
        _ => return None,
    })
}

//! LiteLLM's `model_prices_and_context_window`: an object of flat entries, floats per token.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Rates, Sheet, Tier, Variant};
use tollgate_core::usage::{CacheTtl, Kind};

use super::Listed;

/// The entries of a provider.
pub(super) fn read(entries: &Map<String, Value>, provider: &str) -> Vec<Listed> {
    let of_provider =
        |entry: &&Value| entry.get("litellm_provider").and_then(Value::as_str) == Some(provider);
    entries
        .iter()
        .filter(|(_, entry)| of_provider(entry))
        .filter_map(|(name, entry)| model(name, provider, entry.as_object()?))
        .collect()
}

fn model(name: &str, provider: &str, entry: &Map<String, Value>) -> Option<Listed> {
    let mut sheets: BTreeMap<&str, BTreeMap<u64, Rates>> = BTreeMap::new();
    for (key, value) in entry {
        let (key, tier) = variant(key);
        let (key, above) = above(key);
        let (Some(kind), Some(rate)) = (kind(key), rate(value)) else { continue };
        sheets.entry(tier).or_default().entry(above).or_default().0.insert(kind, rate);
    }
    let standard = sheet(sheets.remove("")?, None)?;
    if !standard.rates.0.keys().any(|kind| kind.inherits().is_none()) {
        return None;
    }
    let variants = sheets
        .into_iter()
        .filter_map(|(tier, rates)| {
            Some(Variant {
                when: [("service_tier".to_owned(), tier.to_owned())].into(),
                sheet: sheet(rates, Some(&standard))?,
                ..Variant::default()
            })
        })
        .collect();
    let id = name.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
    let source = entry.get("source").and_then(Value::as_str).filter(|source| source.starts_with("http"));
    Some(Listed {
        id: id.to_ascii_lowercase(),
        aliases: Vec::new(),
        source: source.map(str::to_owned),
        standard,
        variants,
        context_tokens: tokens(entry, "max_input_tokens"),
        output_tokens: tokens(entry, "max_output_tokens"),
    })
}

/// A size; some entries have it as a float.
fn tokens(entry: &Map<String, Value>, key: &str) -> Option<u64> {
    let text = entry.get(key)?.as_number()?.to_string();
    text.strip_suffix(".0").unwrap_or(&text).parse().ok().filter(|tokens| *tokens > 0)
}

/// Rates by threshold as a sheet. What a variant lacks is as in the standard one; tiers that it lacks step up
/// as the standard's do.
fn sheet(mut by_threshold: BTreeMap<u64, Rates>, standard: Option<&Sheet>) -> Option<Sheet> {
    let own = by_threshold.remove(&0)?;
    let mut rates = standard.map_or_else(Rates::default, |standard| standard.rates.clone());
    rates.0.extend(own.0);
    let mut tiers: Vec<Tier> = Vec::new();
    let thresholds: Vec<u64> = match standard {
        Some(standard) => standard.tiers.iter().map(|tier| tier.input_above).collect(),
        None => by_threshold.keys().copied().collect(),
    };
    for input_above in thresholds {
        let mut of_tier = rates.clone();
        let stepped = standard.and_then(|standard| {
            let tier = standard.tiers.iter().find(|tier| tier.input_above == input_above)?;
            Some((standard, tier))
        });
        if let Some((standard, tier)) = stepped {
            for (kind, rate) in &mut of_tier.0 {
                let plain = standard.rates.0.get(kind).and_then(|rate| u64::try_from(rate.as_pico()).ok());
                let above = tier.rates.0.get(kind).and_then(|rate| u64::try_from(rate.as_pico()).ok());
                if let (Some(plain), Some(above)) = (plain, above) {
                    *rate = rate.scaled_up(above, plain);
                }
            }
        }
        of_tier.0.extend(by_threshold.remove(&input_above).unwrap_or_default().0);
        tiers.push(Tier { input_above, rates: of_tier });
    }
    tiers.sort_by_key(|tier| std::cmp::Reverse(tier.input_above));
    Some(Sheet { rates, tiers })
}

fn variant(key: &str) -> (&str, &'static str) {
    let suffixes = [("_batches", "batch"), ("_flex", "flex"), ("_priority", "priority")];
    let found = suffixes.iter().find_map(|(suffix, tier)| Some((key.strip_suffix(suffix)?, *tier)));
    found.unwrap_or((key, ""))
}

/// `…_above_200k_tokens` as its threshold; 0 without one.
fn above(key: &str) -> (&str, u64) {
    let found = key.strip_suffix("k_tokens").and_then(|rest| {
        let (key, thousands) = rest.rsplit_once("_above_")?;
        Some((key, thousands.parse::<u64>().ok()?.saturating_mul(1000)))
    });
    found.unwrap_or((key, 0))
}

fn kind(key: &str) -> Option<Kind> {
    Some(match key {
        "input_cost_per_token" => Kind::Input,
        "output_cost_per_token" => Kind::Output,
        "cache_read_input_token_cost" => Kind::CacheRead,
        "cache_creation_input_token_cost" => Kind::CacheWrite,
        "cache_creation_input_token_cost_above_1hr" => Kind::CacheWriteTtl(CacheTtl::OneHour),
        "cache_creation_input_token_cost_above_12hr" => Kind::CacheWriteTtl(CacheTtl::TwelveHours),
        "input_cost_per_audio_token" => Kind::InputAudio,
        "cache_read_input_audio_token_cost" => Kind::CacheReadAudio,
        "output_cost_per_audio_token" => Kind::OutputAudio,
        "input_cost_per_image_token" => Kind::InputImage,
        "cache_read_input_image_token_cost" => Kind::CacheReadImage,
        "output_cost_per_image_token" => Kind::OutputImage,
        "output_cost_per_reasoning_token" => Kind::Reasoning,
        "input_cost_per_video_token" => Kind::InputVideo,
        "ocr_cost_per_page" => Kind::Page,
        "input_cost_per_query" => Kind::SearchUnit,
        "input_cost_per_character" => Kind::Character,
        _ => return None,
    })
}

/// A float per unit, by its text: `2.5e-06` is 2,500,000 pico-dollars. What is finer is rounded up.
fn rate(value: &Value) -> Option<Picodollars> {
    let Value::Number(number) = value else { return None };
    decimal(&number.to_string(), 12)
}

/// A decimal number with an optional exponent, times 10 to the power of `places`, rounded up to a whole.
pub(super) fn decimal(text: &str, places: i32) -> Option<Picodollars> {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = places + exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
    let power = 10i128.checked_pow(shift.unsigned_abs())?;
    let pico = if shift >= 0 { number.checked_mul(power)? } else { -(-number).div_euclid(power) };
    (pico >= 0).then_some(Picodollars::from_pico(pico))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_is_read_by_its_text_and_rounded_up() {
        for (text, places, pico) in [
            ("2.5e-06", 12, 2_500_000),
            ("1e-05", 12, 10_000_000),
            ("0.0", 12, 0),
            ("1.375e-07", 12, 137_500),
            ("2.778e-17", 12, 1),
            ("0.13", 6, 130_000),
            ("4", 6, 4_000_000),
        ] {
            assert_eq!(decimal(text, places).map(Picodollars::as_pico), Some(pico), "{text}");
        }
        assert_eq!(decimal("-1", 6), None);
        assert_eq!(decimal("x", 6), None);
    }
}

//! Price files, written: what [`PriceBook::from_files`] reads back as the same models.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Price, PriceBook, PricedModel, Rates, Sheet};
use crate::money::Picodollars;
use crate::usage::Kind;

impl PriceBook {
    /// The file of a provider's models, with a comment before it. The file's source and day are those of most
    /// of its prices; a price with others names them.
    ///
    /// Rates stand as they are: factors and multipliers are already applied.
    pub fn to_file(&self, provider: &str, comment: &str) -> String {
        let models: Vec<&PricedModel> =
            self.models().iter().filter(|model| model.provider == provider).collect();
        let origin = usual_origin(&models);
        let mut text = String::new();
        for line in comment.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "provider = {}", quoted(provider));
        let _ = writeln!(text, "source = {}\nchecked = {}", quoted(&origin.0), quoted(&origin.1));
        for model in models {
            write_model(&mut text, model, &origin);
        }
        text
    }
}

type Usual = (String, String);

fn usual_origin(models: &[&PricedModel]) -> Usual {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for price in models.iter().flat_map(|model| &model.prices) {
        *counts.entry((&price.origin.source, &price.origin.checked)).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map_or_else(Usual::default, |((source, checked), _)| (source.to_owned(), checked.to_owned()))
}

fn write_model(text: &mut String, model: &PricedModel, usual: &Usual) {
    let _ = writeln!(text, "\n[[model]]\nid = {}", quoted(&model.id));
    for (key, tokens) in [("context_tokens", model.context_tokens), ("output_tokens", model.output_tokens)] {
        if let Some(tokens) = tokens {
            let _ = writeln!(text, "{key} = {tokens}");
        }
    }
    for (key, names) in [("aliases", &model.aliases), ("dated", &model.dated)] {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            let _ = writeln!(text, "{key} = [{}]", names.join(", "));
        }
    }
    if !model.moving.is_empty() {
        let moving: Vec<String> = model
            .moving
            .iter()
            .map(|alias| {
                let mut fields = vec![format!("name = {}", quoted(&alias.name))];
                fields.extend((alias.from_ms > 0).then(|| format!("from = {}", quoted(&day(alias.from_ms)))));
                fields.extend(alias.until_ms.map(|until| format!("until = {}", quoted(&day(until)))));
                format!("{{ {} }}", fields.join(", "))
            })
            .collect();
        let _ = writeln!(text, "moving = [{}]", moving.join(", "));
    }
    for (index, price) in model.prices.iter().enumerate() {
        let next = model.prices.get(index + 1).map(|next| next.from_ms);
        write_price(text, price, next, usual);
    }
}

fn write_price(text: &mut String, price: &Price, next: Option<u64>, usual: &Usual) {
    text.push_str("[[model.price]]\n");
    if price.from_ms > 0 {
        let _ = writeln!(text, "from = {}", quoted(&day(price.from_ms)));
    }
    if let Some(until) = price.until_ms.filter(|until| Some(*until) != next) {
        let _ = writeln!(text, "until = {}", quoted(&day(until)));
    }
    let origin = &price.origin;
    if origin.source != usual.0 {
        let _ = writeln!(text, "source = {}", quoted(&origin.source));
    }
    if origin.checked != usual.1 {
        let _ = writeln!(text, "checked = {}", quoted(&origin.checked));
    }
    if let Some(note) = &origin.note {
        let _ = writeln!(text, "note = {}", quoted(note));
    }
    write_rates(text, &price.standard.rates);
    for tier in &price.standard.tiers {
        let _ = writeln!(text, "[[model.price.tier]]\ninput_above = {}", tier.input_above);
        write_rates(text, &tier.rates);
    }
    for variant in &price.variants {
        text.push_str("[[model.price.variant]]\n");
        if !variant.when.is_empty() {
            let when: Vec<String> =
                variant.when.iter().map(|(fact, value)| format!("{fact} = {}", quoted(value))).collect();
            let _ = writeln!(text, "when = {{ {} }}", when.join(", "));
        }
        if let Some(daily) = variant.daily {
            let _ = writeln!(text, "daily = {}", quoted(&daily.to_string()));
        }
        write_variant_rates(text, &variant.sheet);
    }
}

fn write_variant_rates(text: &mut String, sheet: &Sheet) {
    write_rates(text, &sheet.rates);
    if !sheet.tiers.is_empty() {
        let tiers: Vec<String> = sheet
            .tiers
            .iter()
            .map(|tier| {
                let tables: Vec<String> =
                    tables(&tier.rates).map(|(name, table)| format!("{name} = {table}")).collect();
                format!("{{ input_above = {}, {} }}", tier.input_above, tables.join(", "))
            })
            .collect();
        let _ = writeln!(text, "tier = [{}]", tiers.join(", "));
    }
}

fn write_rates(text: &mut String, rates: &Rates) {
    for (name, table) in tables(rates) {
        let _ = writeln!(text, "{name} = {table}");
    }
}

fn tables(rates: &Rates) -> impl Iterator<Item = (&'static str, String)> {
    let table = |of_tokens: bool| {
        let entries: Vec<String> = rates
            .0
            .iter()
            .filter(|(kind, _)| (kind.is_input() || kind.is_output()) == of_tokens)
            .map(|(kind, rate)| format!("{} = {}", kind.name(), quoted(&amount(*kind, *rate))))
            .collect();
        (!entries.is_empty()).then(|| format!("{{ {} }}", entries.join(", ")))
    };
    [("tokens", table(true)), ("calls", table(false))]
        .into_iter()
        .filter_map(|(name, table)| Some((name, table?)))
}

/// Dollars for a million tokens or for one call, without zeros at the end.
fn amount(kind: Kind, rate: Picodollars) -> String {
    let per = if kind.is_input() || kind.is_output() { 1_000_000 } else { 1 };
    let text = rate.times(per).to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A TOML basic string.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `YYYY-MM-DD` of a time, Unix milliseconds UTC (the civil-from-days formula of Howard Hinnant).
pub fn day(time_ms: u64) -> String {
    let shifted = time_ms / 86_400_000 + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

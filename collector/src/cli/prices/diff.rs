//! `tollgate prices diff`: what two sets of price files say differently.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use tollgate_core::price::{EMBEDDED, Price, PriceBook, PricedModel, Rates, Sheet, Variant, day};

use super::output;

#[derive(Args, Debug)]
pub(super) struct Diff {
    /// Files or a directory; left out: the prices that come with Tollgate
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
    /// Files or a directory to compare them with; only their providers are compared
    #[arg(required = true)]
    to: Vec<PathBuf>,
}

impl Diff {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let new = super::book(&super::read(&self.to)?)?;
        let old = if self.from.is_empty() { embedded()? } else { super::book(&super::read(&self.from)?)? };
        let lines = lines(&old, &new);
        output::print(&if lines.is_empty() { "no difference".to_owned() } else { output::lines(&lines) })
    }
}

/// The book that comes with Tollgate.
pub(super) fn embedded() -> anyhow::Result<PriceBook> {
    PriceBook::from_files(EMBEDDED)
        .map_err(|errors| anyhow::anyhow!("{}", errors.first().map_or_else(String::new, ToString::to_string)))
}

/// What `new` says differently from `old`, of the providers that it has: a line for each model and rate.
pub(super) fn lines(old: &PriceBook, new: &PriceBook) -> Vec<String> {
    let by_id = |book: &PriceBook| -> BTreeMap<(String, String), PricedModel> {
        let key = |model: &PricedModel| ((model.provider.clone(), model.id.clone()), model.clone());
        book.models().iter().map(key).collect()
    };
    let providers: Vec<&str> = new.models().iter().map(|model| model.provider.as_str()).collect();
    let (old, new) = (by_id(old), by_id(new));
    let mut lines = Vec::new();
    for (key, model) in &new {
        match old.get(key) {
            None => lines.push(format!("+ {} {}", key.0, key.1)),
            Some(before) => changes(before, model, &mut lines),
        }
    }
    let gone = old.keys().filter(|key| providers.contains(&key.0.as_str()) && !new.contains_key(*key));
    lines.extend(gone.map(|(provider, id)| format!("- {provider} {id}")));
    lines
}

fn changes(before: &PricedModel, after: &PricedModel, lines: &mut Vec<String>) {
    let name = format!("{} {}", after.provider, after.id);
    let (old, new) = (rates(before), rates(after));
    for (key, rate) in &new {
        match old.get(key) {
            Some(was) if was != rate => lines.push(format!("~ {name} {key}: {was} -> {rate}")),
            Some(_) => {}
            None => lines.push(format!("~ {name} {key}: none -> {rate}")),
        }
    }
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    lines.extend(gone.map(|key| format!("~ {name} {key}: gone")));
    for (key, was, is) in [
        ("context_tokens", before.context_tokens, after.context_tokens),
        ("output_tokens", before.output_tokens, after.output_tokens),
    ] {
        let word =
            |tokens: Option<u64>| tokens.map_or_else(|| "none".to_owned(), |tokens| tokens.to_string());
        if was != is {
            lines.push(format!("~ {name} {key}: {} -> {}", word(was), word(is)));
        }
    }
    if before.names().collect::<Vec<_>>() != after.names().collect::<Vec<_>>() || before.dated != after.dated
    {
        lines.push(format!("~ {name}: other names"));
    }
}

/// Every rate of a model by where it stands.
fn rates(model: &PricedModel) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for price in &model.prices {
        let from = if price.from_ms > 0 { format!("from {} ", day(price.from_ms)) } else { String::new() };
        for (label, sheet) in sheets(price) {
            let mut put = |tier: &str, rates: &Rates| {
                for (kind, rate) in &rates.0 {
                    let amount = rate.times(1_000_000).to_string();
                    let amount = amount.trim_end_matches('0').trim_end_matches('.').to_owned();
                    all.insert(format!("{from}{label}{tier}{kind}"), amount);
                }
            };
            put("", &sheet.rates);
            for tier in &sheet.tiers {
                put(&format!(">{} ", tier.input_above), &tier.rates);
            }
        }
    }
    all
}

fn sheets(price: &Price) -> impl Iterator<Item = (String, &Sheet)> {
    let label = |variant: &Variant| format!("[{}] ", variant.label());
    std::iter::once((String::new(), &price.standard))
        .chain(price.variants.iter().map(move |variant| (label(variant), &variant.sheet)))
}

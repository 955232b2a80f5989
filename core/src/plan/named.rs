//! Rows of the book by what people call a model.

use std::collections::BTreeSet;

use super::nearest::nearest;
use crate::price::{PriceBook, PricedModel};

/// Rows that a name means and that have a price at a time, Unix milliseconds UTC: at any provider, or at the
/// one that it names, as in `openai/gpt-4o-mini`. Those of the model's maker come first.
///
/// # Errors
/// Says which model is like it, where there is none of that name. `key` is what is wrong then.
pub fn rows_named<'b>(
    book: &'b PriceBook,
    key: &str,
    name: &str,
    at_ms: u64,
) -> Result<Vec<&'b PricedModel>, String> {
    let providers: BTreeSet<&str> = book.models().iter().map(|model| model.provider.as_str()).collect();
    let at = |provider: &str, name: &str| {
        let found = book.find(provider, name, at_ms).filter(|found| !found.step.is_estimate());
        found.map(|found| found.model).filter(|row| row.provider == provider && row.price_at(at_ms).is_some())
    };
    if let Some((provider, model)) = name.split_once('/')
        && providers.contains(provider)
    {
        if let Some(row) = at(provider, model) {
            return Ok(vec![row]);
        }
        // Unless it is the whole name of a model, as routers have them.
        if !book.models().iter().any(|row| row.id == name) {
            return Err(unknown(book, key, name, at_ms));
        }
    }
    let mut rows: Vec<&PricedModel> = providers.iter().filter_map(|provider| at(provider, name)).collect();
    if rows.is_empty() {
        return Err(unknown(book, key, name, at_ms));
    }
    rows.sort_by_key(|row| MAKERS.iter().position(|maker| *maker == row.provider).unwrap_or(MAKERS.len()));
    Ok(rows)
}

fn unknown(book: &PriceBook, key: &str, name: &str, at_ms: u64) -> String {
    let rows = book.models().iter().filter(|model| model.price_at(at_ms).is_some());
    let names: BTreeSet<&str> = rows.map(|model| model.id.as_str()).collect();
    let meant = nearest(name, names.iter().copied());
    let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_else(|| ".".to_owned());
    format!(
        "`{key}` is `{name}`, which has no price in the book{meant} `tollgate prices list` has all models"
    )
}

/// Providers of models that they made, in the order in which a plain name is looked for.
const MAKERS: [&str; 12] = [
    "openai",
    "anthropic",
    "gemini",
    "mistral",
    "xai",
    "deepseek",
    "cohere",
    "moonshot",
    "zai",
    "alibaba",
    "meta",
    "perplexity",
];

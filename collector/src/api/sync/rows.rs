//! The rows of the price book that a gateway gets.

use std::collections::BTreeSet;

use tollgate_core::price::{PriceBook, PricedModel, Wanted};
use tollgate_core::protocol::sync::BOOK_BYTES_MAX;

use super::ApiError;
use crate::model::clock::now_ms;
use crate::work::app::App;

/// What a gateway has of the book, and asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Version of what it has.
    pub(super) version: Option<&'a str>,
    /// What it lacks.
    pub(super) models: &'a [Wanted],
    /// Whether it adds rows to those that it has.
    pub(super) adds_rows: bool,
}

/// A part of the book, for a gateway that has another version or wants models that it lacks.
///
/// First what it asks for, then what records have named, then the rest by provider, as far as it fits; only
/// what it asks for, where it has this version and adds to it. An empty book replaces nothing.
pub(super) async fn for_gateway(
    app: &App,
    book: &PriceBook,
    Asked { version, models: asked, adds_rows }: Asked<'_>,
) -> Result<Option<PriceBook>, ApiError> {
    let is_current = version == Some(book.version());
    let is_known = |wanted: &Wanted| book.find(&wanted.provider, &wanted.model, u64::MAX).is_some();
    // Who adds rows also hears which models have no price.
    let has_news = !asked.is_empty() && (adds_rows || asked.iter().any(is_known));
    if book.models().is_empty() || (is_current && !has_news) {
        return Ok(None);
    }
    if is_current && adds_rows {
        return Ok(Some(book.subset(asked, now_ms(), BOOK_BYTES_MAX)));
    }
    let seen = app.store.models_seen().await?;
    let seen = seen.into_iter().map(|(provider, model)| Wanted { provider, model });
    let mut wanted: Vec<Wanted> = asked.to_vec();
    let mut named: BTreeSet<Wanted> = asked.iter().cloned().collect();
    for one in seen.chain(usual(book.models())) {
        if named.insert(one.clone()) {
            wanted.push(one);
        }
    }
    Ok(Some(book.subset(&wanted, now_ms(), BOOK_BYTES_MAX)))
}

/// Every model, those of the providers that most calls go to first.
fn usual(models: &[PricedModel]) -> impl Iterator<Item = Wanted> {
    let rank =
        |model: &&PricedModel| USUAL.iter().position(|one| *one == model.provider).unwrap_or(USUAL.len());
    let mut models: Vec<&PricedModel> = models.iter().collect();
    models.sort_by_key(rank);
    models.into_iter().map(|model| Wanted { provider: model.provider.clone(), model: model.id.clone() })
}

const USUAL: &[&str] = &[
    "openai",
    "anthropic",
    "gemini",
    "bedrock",
    "azure",
    "vertex",
    "mistral",
    "groq",
    "xai",
    "deepseek",
    "cohere",
];

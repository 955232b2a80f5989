//! The part of a book that a gateway needs: the models it meets, at the prices that hold now.

use serde::{Deserialize, Serialize};

use super::{PriceBook, PricedModel};

/// A model that a gateway wants the price of, by the name that it met.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Wanted {
    /// Provider id.
    pub provider: String,
    /// The model's name, as requests or answers say it.
    pub model: String,
}

impl PriceBook {
    /// The rows that the first of `wanted` mean, as many as stay below `bytes_max` as JSON, without prices that
    /// ended before `now_ms`. The version is the whole book's: what it prices, the whole prices alike.
    ///
    /// A row keeps the names that it has in the whole book, so that no name means another row in the part.
    #[must_use]
    pub fn subset<'w>(
        &self,
        wanted: impl IntoIterator<Item = &'w Wanted>,
        now_ms: u64,
        bytes_max: usize,
    ) -> Self {
        let mut rows: Vec<&PricedModel> = Vec::new();
        let mut models: Vec<PricedModel> = Vec::new();
        let mut bytes = ENVELOPE_BYTES;
        for wanted in wanted {
            let Some(found) = self.find(&wanted.provider, &wanted.model, now_ms) else { continue };
            if rows.iter().any(|row| std::ptr::eq(*row, found.model)) {
                continue;
            }
            rows.push(found.model);
            let model = found.model.from_now_on(now_ms);
            let size = serde_json::to_vec(&model).map_or(usize::MAX, |json| json.len().saturating_add(1));
            if bytes.saturating_add(size) <= bytes_max && !model.prices.is_empty() {
                bytes = bytes.saturating_add(size);
                models.push(model);
            }
        }
        Self::new(self.version.clone(), models)
    }
}

impl PricedModel {
    fn from_now_on(&self, now_ms: u64) -> Self {
        let since = now_ms.saturating_sub(LATE_MS);
        let mut model = self.clone();
        model.prices.retain(|price| price.until_ms.is_none_or(|until| until > since));
        model.moving.retain(|alias| alias.until_ms.is_none_or(|until| until > since));
        model
    }
}

/// Around the models of a book.
const ENVELOPE_BYTES: usize = 64;
/// Calls are settled at the price of their admission, which may be this long ago.
const LATE_MS: u64 = 2 * 86_400_000;

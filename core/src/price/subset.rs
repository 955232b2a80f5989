//! The part of a book that a gateway needs: the models it meets, at the prices that hold now.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::{PriceBook, PricedModel, names};

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
    /// The operator's names are all in it, and their rows come first. A row keeps the names that it has in the whole book, so that no name means another row in the part.
    #[must_use]
    pub fn subset<'w>(
        &self,
        wanted: impl IntoIterator<Item = &'w Wanted>,
        now_ms: u64,
        bytes_max: usize,
    ) -> Self {
        let snapshots = self.index.named_snapshots();
        let mut rows: HashSet<*const PricedModel> = HashSet::new();
        let mut models: Vec<PricedModel> = Vec::new();
        let mut resolved = BTreeSet::new();
        let mut apart = BTreeSet::new();
        let maps = serde_json::to_vec(&self.maps).map_or(usize::MAX, |json| json.len());
        let mut bytes = maps.saturating_add(ENVELOPE_BYTES);
        let mapped = self.maps.iter().map(|map| (map.to_provider.as_str(), map.to_model.as_str()));
        let wanted = wanted.into_iter().map(|wanted| (wanted.provider.as_str(), wanted.model.as_str()));
        for (provider, model) in mapped.chain(wanted) {
            let Some(found) = self.find(provider, model, now_ms) else { continue };
            let mut size = provider.len() + model.len() + NAME_BYTES;
            if !rows.contains(&std::ptr::from_ref(found.model)) {
                let row = found.model.still_needed(now_ms);
                let json = serde_json::to_vec(&row).map_or(usize::MAX, |json| json.len());
                let families: Vec<_> = row.dated.iter().map(|family| names::bare(family)).collect();
                let others: Vec<Wanted> = families
                    .iter()
                    .filter_map(|family| snapshots.get(&(row.provider.as_str(), &**family)))
                    .flatten()
                    .map(|model| Wanted { provider: row.provider.clone(), model: (*model).to_owned() })
                    .collect();
                let named: usize =
                    others.iter().map(|one| one.provider.len() + one.model.len() + NAME_BYTES).sum();
                size = size.saturating_add(json).saturating_add(named).saturating_add(1);
                if bytes.saturating_add(size) > bytes_max || row.prices.is_empty() {
                    continue;
                }
                models.push(row);
                apart.extend(others);
                rows.insert(found.model);
            }
            if bytes.saturating_add(size) <= bytes_max {
                bytes = bytes.saturating_add(size);
                resolved.insert(Wanted { provider: provider.to_owned(), model: model.to_owned() });
            }
        }
        let part = Self::new(self.version.clone(), models).with_maps(self.maps.clone());
        Self { resolved: Some(resolved), apart, ..part }
    }
}

impl PriceBook {
    /// This part as a book of its own, for a gateway that has no collector to ask: each step counts again, and a
    /// name may mean another row than in the whole.
    #[must_use]
    pub fn on_its_own(self) -> Self {
        Self { resolved: None, apart: BTreeSet::new(), ..self }
    }
}

impl PricedModel {
    fn still_needed(&self, now_ms: u64) -> Self {
        let since = now_ms.saturating_sub(LATE_MS);
        let mut model = self.clone();
        model.prices.retain(|price| price.until_ms.is_none_or(|until| until > since));
        model.moving.retain(|alias| alias.until_ms.is_none_or(|until| until > since));
        model
    }
}

/// Around a name in the list of those that the part was asked for.
const NAME_BYTES: usize = 32;
/// Around the models of a book.
const ENVELOPE_BYTES: usize = 64;
/// Calls are settled at the price of their admission, which may be this long ago.
const LATE_MS: u64 = 2 * 86_400_000;

//! The part of a book that a gateway needs: the models it meets, at the prices that hold now, and what the
//! dearest call of each provider costs, for models whose price is not here.

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
    /// The rows that the first of `wanted` mean, as many as stay below `bytes_max` as JSON, without prices
    /// that ended before `now_ms`. The version is the whole book's: what it prices, the whole prices alike.
    ///
    /// The operator's names are all in it, and their rows come first. A row keeps the names that it has in
    /// the whole book, so that no name means another row in the part.
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
        let dearest = self.dearest_rows(now_ms);
        let ceilings = serde_json::to_vec(&dearest).map_or(usize::MAX, |json| json.len());
        let mut bytes = maps.saturating_add(ENVELOPE_BYTES).saturating_add(ceilings);
        let mut without_price = BTreeSet::new();
        let mapped = self.maps.iter().map(|map| (map.to_provider.as_str(), map.to_model.as_str()));
        let wanted = wanted.into_iter().map(|wanted| (wanted.provider.as_str(), wanted.model.as_str()));
        for (provider, model) in mapped.chain(wanted) {
            let mut size = provider.len() + model.len() + NAME_BYTES;
            let Some(found) = self.find(provider, model, now_ms) else {
                if without_price.len() < WITHOUT_PRICE_MAX && bytes.saturating_add(size) <= bytes_max {
                    bytes = bytes.saturating_add(size);
                    without_price.insert(Wanted { provider: provider.to_owned(), model: model.to_owned() });
                }
                continue;
            };
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
        Self { resolved: Some(resolved), apart, dearest, without_price, ..part }
    }

    /// The whole book at prices that have not ended before `now_ms`. Every row stays, so that a name means
    /// the same row as in this one.
    #[must_use]
    pub fn current(&self, now_ms: u64) -> Self {
        let models = self.models.iter().map(|model| model.still_needed(now_ms)).collect();
        Self::new(self.version.clone(), models).with_maps(self.maps.clone())
    }

    /// For each provider, and for any that the book does not know, the row that none is dearer than.
    fn dearest_rows(&self, now_ms: u64) -> Vec<PricedModel> {
        let providers: BTreeSet<&str> = self.models.iter().map(|model| model.provider.as_str()).collect();
        let rows = providers.into_iter().filter_map(|provider| self.dearest(provider, now_ms));
        rows.chain(self.dearest_of_all(now_ms)).collect()
    }

    /// This part as a book of its own, for a gateway that has no collector to ask: each step counts again,
    /// and a name may mean another row than in the whole.
    #[must_use]
    pub fn on_its_own(self) -> Self {
        Self {
            resolved: None,
            apart: BTreeSet::new(),
            dearest: Vec::new(),
            without_price: BTreeSet::new(),
            ..self
        }
    }

    /// Whether the whole book has no price for this name: it is the whole, or was asked for it. A part that
    /// was not asked cannot tell.
    pub fn has_no_price_for(&self, wanted: &Wanted) -> bool {
        self.resolved.is_none() || self.without_price.contains(wanted)
    }

    /// This part with another one of the same whole added to it: a row once received stays. Of another state
    /// of the book the other part alone.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (Some(mut resolved), Some(more)) = (self.resolved.clone(), &other.resolved) else { return other };
        if self.version != other.version {
            return other;
        }
        resolved.extend(more.iter().cloned());
        let mut without_price = other.without_price;
        let room = WITHOUT_PRICE_MAX.saturating_sub(without_price.len());
        without_price.extend(self.without_price.into_iter().take(room));
        let mut apart = self.apart;
        apart.extend(other.apart);
        let known: HashSet<(&str, &str)> =
            self.models.iter().map(|model| (model.provider.as_str(), model.id.as_str())).collect();
        let new = |model: &PricedModel| !known.contains(&(model.provider.as_str(), model.id.as_str()));
        let new: Vec<PricedModel> = other.models.into_iter().filter(new).collect();
        let models = self.models.into_iter().chain(new).collect();
        let part = Self::new(self.version, models).with_maps(other.maps);
        Self { resolved: Some(resolved), apart, dearest: other.dearest, without_price, ..part }
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

/// Names without a price that a part says so of; a name beyond them is held at the dearest price.
const WITHOUT_PRICE_MAX: usize = 1_024;
/// Around a name in the list of those that the part was asked for.
const NAME_BYTES: usize = 32;
/// Around the models of a book.
const ENVELOPE_BYTES: usize = 64;
/// Calls are settled at the price of their admission, which may be this long ago.
const LATE_MS: u64 = 2 * 86_400_000;

//! Which names of bills and gateways mean the same model: by the price book, and by what they have in common.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_core::price::PriceBook;
use tollgate_core::price::names::bare;

use super::{Bill, names};

/// Which names mean the same model.
#[derive(Debug)]
pub(super) struct Models<'b> {
    book: &'b PriceBook,
    /// Names by provider and key.
    names: BTreeMap<(String, String), String>,
    /// Keys of names.
    keys: BTreeMap<(String, String), String>,
    /// Providers of which some line names no model.
    untold: BTreeSet<String>,
    /// Providers and keys without a date, that both sides have, and one of them without a date.
    undated: BTreeSet<(String, String)>,
    /// Providers and keys that both sides have.
    common: BTreeSet<(String, String)>,
    /// Ids of rows of the book by provider, key with a date or without; none where several rows have it.
    rows: BTreeMap<(String, String), Option<String>>,
}

impl<'b> Models<'b> {
    /// Of a bill and of what gateways saw, as providers and models. A name that a bill alone has is shown as
    /// the price book has it.
    pub(super) fn of<'n>(
        bill: &'n Bill,
        seen: impl Iterator<Item = (&'n String, &'n String)> + Clone,
        book: &'b PriceBook,
    ) -> Self {
        let theirs = bill.rows.keys().map(|(_, provider, model)| (provider, model));
        let dateless = |(provider, model): (&String, &String)| {
            let (whole, undated) = names::keys(model);
            (whole == undated).then(|| (provider.clone(), undated))
        };
        let whole = |(provider, model): (&String, &String)| (provider.clone(), names::keys(model).0);
        let billed: BTreeSet<_> = theirs.clone().filter_map(dateless).collect();
        let known: BTreeSet<_> = seen.clone().filter_map(dateless).collect();
        let ours: BTreeSet<_> = seen.clone().map(whole).collect();
        let undated = |(provider, model): (&String, &String)| (provider.clone(), names::keys(model).1);
        let their_undated: BTreeSet<_> = theirs.clone().map(undated).collect();
        let our_undated: BTreeSet<_> = seen.clone().map(undated).collect();
        let on_both = |key: &&(String, String)| their_undated.contains(*key) && our_undated.contains(*key);
        let mut models = Self {
            book,
            names: BTreeMap::new(),
            keys: BTreeMap::new(),
            untold: bill.untold.clone(),
            undated: billed.symmetric_difference(&known).filter(on_both).cloned().collect(),
            common: theirs.clone().map(whole).filter(|key| ours.contains(key)).collect(),
            rows: BTreeMap::new(),
        };
        let providers: BTreeSet<&String> = theirs.clone().map(|(provider, _)| provider).collect();
        for row in book.models().iter().filter(|row| providers.contains(&row.provider)) {
            for name in row.names() {
                let (whole, undated) = names::keys(name);
                for key in BTreeSet::from([whole, undated]) {
                    let id = models
                        .rows
                        .entry((row.provider.clone(), key))
                        .or_insert_with(|| Some(row.id.clone()));
                    if id.as_ref().is_some_and(|id| *id != row.id) {
                        *id = None;
                    }
                }
            }
        }
        for (provider, model) in seen {
            let key = (provider.clone(), models.key(provider, model));
            models.names.entry(key).or_insert_with(|| model.clone());
        }
        for (provider, model) in theirs {
            let key = (provider.clone(), models.key(provider, model));
            let shown = models.row(provider, model).unwrap_or_else(|| model.clone());
            models.names.entry(key).or_insert(shown);
        }
        models
    }

    /// The name that a model has in rows.
    pub(super) fn named(&mut self, provider: &str, model: &str) -> String {
        if self.untold.contains(provider) {
            return ALL.to_owned();
        }
        let known = self.keys.get(&(provider.to_owned(), model.to_owned())).cloned();
        let key = known.unwrap_or_else(|| self.key(provider, model));
        self.keys.insert((provider.to_owned(), model.to_owned()), key.clone());
        self.names.get(&(provider.to_owned(), key)).map_or_else(|| model.to_owned(), Clone::clone)
    }

    fn key(&self, provider: &str, model: &str) -> String {
        let of = |name: &str| {
            let (whole, undated) = names::keys(name);
            let undated = (provider.to_owned(), undated);
            let is_undated = self.undated.contains(&undated);
            (if is_undated { undated.1 } else { whole }, is_undated)
        };
        let (key, is_undated) = of(model);
        if is_undated || self.common.contains(&(provider.to_owned(), key.clone())) {
            return key;
        }
        self.row(provider, model).map_or(key, |id| of(&id).0)
    }

    /// Id of the row of the price book that a name means: as the book resolves it, else the only row that has
    /// such a name.
    fn row(&self, provider: &str, model: &str) -> Option<String> {
        let hyphened = model.replace(' ', "-");
        let mapped = |name: &str| {
            let name = bare(name);
            let map = self.book.maps().iter().find(|map| map.provider == provider && map.name == name)?;
            Some((map.to_provider.as_str(), map.to_model.as_str()))
        };
        let (at, name) = mapped(model).or_else(|| mapped(&hyphened)).unwrap_or((provider, model));
        let found = self.book.model(at, name).or_else(|| self.book.model(at, &name.replace(' ', "-")));
        if let Some(row) = found {
            return Some(row.id.clone());
        }
        let (whole, undated) = names::keys(model);
        let by = |key: String| self.rows.get(&(provider.to_owned(), key)).cloned().flatten();
        by(whole).or_else(|| by(undated))
    }
}

/// The model of a row where a bill names none.
pub(super) const ALL: &str = "(all models)";

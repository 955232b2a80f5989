//! Which row a name means, at a time.

use std::collections::{BTreeSet, HashMap};

use super::{PricedModel, names};
use crate::lean::fnv::ByFnv;
use crate::price::charge::Step;

/// A row that a name led to.
#[derive(Clone, Copy, Debug)]
pub struct Found<'b> {
    /// The row.
    pub model: &'b PricedModel,
    /// By which step.
    pub step: Step,
    /// The region in the name.
    pub geo: Option<&'static str>,
}

/// Names of every row, by provider.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    providers: HashMap<String, Names, ByFnv>,
}

#[derive(Clone, Debug, Default)]
struct Names {
    exact: HashMap<String, usize, ByFnv>,
    /// Families whose snapshots mean a row.
    dated: HashMap<String, usize, ByFnv>,
    /// Claims by name, the latest first.
    moving: HashMap<String, Vec<Claim>, ByFnv>,
}

/// Names by provider and family.
pub(super) type Snapshots<'i> = HashMap<(&'i str, &'i str), BTreeSet<&'i str>, ByFnv>;

#[derive(Clone, Copy, Debug)]
struct Claim {
    from_ms: u64,
    until_ms: Option<u64>,
    row: usize,
}

impl Index {
    pub(super) fn of(models: &[PricedModel]) -> Self {
        let mut index = Self::default();
        for (row, model) in models.iter().enumerate() {
            if !index.providers.contains_key(&model.provider) {
                index.providers.insert(model.provider.clone(), Names::default());
            }
            let Some(names) = index.providers.get_mut(&model.provider) else { continue };
            names.add(row, model);
        }
        index
    }

    pub(super) fn find<'b>(
        &self,
        models: &'b [PricedModel],
        provider: &str,
        name: &str,
        time_ms: u64,
    ) -> Option<Found<'b>> {
        let name = names::bare(name);
        let (row, step) = self.row(provider, &name, time_ms)?;
        let geo = if provider == "bedrock" { names::geo_of(&name).and_then(known_geo) } else { None };
        Some(Found { model: models.get(row)?, step, geo })
    }

    /// The names that look like snapshots and are rows of their own, by provider and family. Made for all
    /// rows of a part at once, as each name is looked at for it.
    pub(super) fn named_snapshots(&self) -> Snapshots<'_> {
        let mut snapshots = Snapshots::default();
        for (provider, names) in &self.providers {
            for name in names.exact.keys().chain(names.moving.keys()) {
                let Some(family) = names::family(name) else { continue };
                snapshots.entry((provider.as_str(), family)).or_default().insert(name.as_str());
            }
        }
        snapshots
    }

    fn row(&self, provider: &str, name: &str, time_ms: u64) -> Option<(usize, Step)> {
        let names = self.providers.get(provider);
        if let Some(found) = names.and_then(|names| names.get(name, time_ms)) {
            return Some(found);
        }
        if let Some(tuned) = names::fine_tune(name) {
            return Some((names?.get(&tuned, time_ms)?.0, Step::FineTune));
        }
        let own = names.and_then(|names| names.respelled(provider, name, time_ms));
        own.or_else(|| self.vendor(provider, name, time_ms))
            .or_else(|| self.relative(provider, name, time_ms))
    }

    fn vendor(&self, provider: &str, name: &str, time_ms: u64) -> Option<(usize, Step)> {
        if !names::ROUTERS.contains(&provider) || name.ends_with(":free") {
            return None;
        }
        let (provider, model) = names::vendor(name)?;
        self.seller(provider, &model, time_ms).map(|row| (row, Step::Vendor))
    }

    fn relative(&self, provider: &str, name: &str, time_ms: u64) -> Option<(usize, Step)> {
        let mut relatives = names::relatives(provider).iter();
        let row = relatives.find_map(|relative| self.seller(relative, name, time_ms))?;
        Some((row, Step::Relative))
    }

    /// The row of another seller, by its own names only.
    fn seller(&self, provider: &str, name: &str, time_ms: u64) -> Option<usize> {
        let names = self.providers.get(provider)?;
        let found = names.get(name, time_ms).or_else(|| names.respelled(provider, name, time_ms))?;
        Some(found.0)
    }
}

impl Names {
    fn add(&mut self, row: usize, model: &PricedModel) {
        for name in std::iter::once(&model.id).chain(&model.aliases) {
            self.exact.entry(names::bare(name).into_owned()).or_insert(row);
        }
        for name in &model.dated {
            self.dated.entry(names::bare(name).into_owned()).or_insert(row);
        }
        for alias in &model.moving {
            let claim = Claim { from_ms: alias.from_ms, until_ms: alias.until_ms, row };
            let claims = self.moving.entry(names::bare(&alias.name).into_owned()).or_default();
            // The latest first; of claims that begin at one time the first row's.
            let after = claims.iter().take_while(|known| known.from_ms >= claim.from_ms).count();
            claims.insert(after, claim);
        }
    }

    /// By name, or by the family of a snapshot.
    fn get(&self, name: &str, time_ms: u64) -> Option<(usize, Step)> {
        if !self.moving.is_empty()
            && let Some(claims) = self.moving.get(name)
            && let Some(claim) = claims.iter().find(|claim| claim.holds_at(time_ms))
        {
            return Some((claim.row, Step::Moving));
        }
        if let Some(row) = self.exact.get(name) {
            return Some((*row, Step::Exact));
        }
        let row = self.dated.get(names::family(name)?)?;
        Some((*row, Step::Snapshot))
    }

    fn respelled(&self, provider: &str, name: &str, time_ms: u64) -> Option<(usize, Step)> {
        let get = |name: &str| self.get(name, time_ms).map(|(row, _)| row);
        if provider == "bedrock" {
            let name = names::bedrock(name);
            let bare = get(&name).or_else(|| get(&format!("{name}-v1:0")));
            return bare
                .or_else(|| get(name.replacen("-v2-0", "-v2", 1).as_str()))
                .map(|row| (row, Step::Bedrock));
        }
        if let Some(row) = names::respelled(provider, name).and_then(|name| get(&name)) {
            return Some((row, Step::Respelled));
        }
        let plain = names::router(name).unwrap_or(name);
        let reordered = names::reordered(plain);
        let row = get(plain).or_else(|| get(reordered.as_deref()?)).or_else(|| {
            if is_router(provider) {
                // Routers date the names of all their models.
                return get(names::family(plain)?).or_else(|| get(names::family(reordered.as_deref()?)?));
            }
            let (_, unprefixed) = plain.split_once('/')?;
            get(unprefixed)
        });
        row.map(|row| (row, Step::Router))
    }
}

impl Claim {
    fn holds_at(self, time_ms: u64) -> bool {
        self.from_ms <= time_ms && self.until_ms.is_none_or(|until| time_ms < until)
    }
}

/// Whether the part before a slash is a vendor there, and not to be left out.
fn is_router(provider: &str) -> bool {
    names::ROUTERS.contains(&provider) || matches!(provider, "together" | "groq")
}

fn known_geo(geo: &str) -> Option<&'static str> {
    ["us", "eu", "apac", "au", "jp", "ca", "us-gov", "global"].into_iter().find(|known| *known == geo)
}

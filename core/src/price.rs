//! The price book: which rates hold for a call, and what the call costs at them.
//!
//! | module | knows |
//! | --- | --- |
//! | [`names`] | what a model's name can look like: the steps from a provider's word to a row |
//! | `index` | which row a name means, at a time |
//! | [`facts`] | what of a call decides its price besides the model |
//! | `file`, `write` | price files in TOML, read and written |
//! | `subset` | the part of a book that a gateway needs |
//! | `worst` | the most that a call can cost, for budgets |
//! | `dearest` | a row that no row of a provider is dearer than |
//! | `edit` | overrides and discounts |
//! | `charge` | the words in which a price is told |
//! | `bound` | how much a call can consume at most |
//! | `would_cost` | what many calls would cost at another model's rates |
//!
//! Long: the types of a book, the choice of a row and the bill stand together; they are to be cut apart.

pub(crate) mod bound;
pub(crate) mod charge;
mod dearest;
#[cfg(feature = "book")]
mod edit;
pub mod facts;
#[cfg(feature = "book")]
mod file;
mod index;
pub mod names;
mod subset;
#[cfg(test)]
mod tests;
mod wire;
mod worst;
mod would_cost;
#[cfg(feature = "book")]
mod write;

pub use bound::{Bound, Held, ModelSize};
pub use charge::{Charge, CostStatus, PriceBasis, Step, Unpriced};
pub use dearest::DEAREST;
#[cfg(feature = "book")]
pub use file::{EMBEDDED, PriceFile, PriceFileError, day_ms, members, scaled};
pub use index::Found;
pub use subset::Wanted;
pub use worst::{Ceiling, WorstCase};
pub use would_cost::{Alike, WouldCost};
#[cfg(feature = "book")]
pub use write::{day, quoted};

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::money::Picodollars;
use crate::usage::{Kind, Share, Usage};
use facts::Deciding;
use index::Index;

/// Prices of many models, with their history; what the collector holds and hands to gateways.
///
/// The prices that come with Tollgate are in the feature `book`.
///
/// ```
/// # #[cfg(feature = "book")] {
/// use tollgate_core::price::{EMBEDDED, Facts, PriceBook};
/// use tollgate_core::usage::Usage;
///
/// let book = PriceBook::from_files(EMBEDDED).unwrap();
/// let facts = Facts {
///     provider: "openai",
///     response_model: Some("gpt-4o-mini-2024-07-18"),
///     request_model: Some("gpt-4o-mini"),
///     time_ms: 1_790_000_000_000,
///     conditions: &[],
/// };
/// let usage = Usage { input_tokens: Some(1_000_000), output_tokens: Some(0), ..Usage::default() };
/// let priced = book.price(&facts, &usage);
/// assert!(priced.complete);
/// assert_eq!(priced.cost, "0.15".parse().unwrap());
/// # }
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(from = "wire::Book", into = "wire::Book")]
pub struct PriceBook {
    version: String,
    models: Vec<PricedModel>,
    maps: Vec<NameMap>,
    index: Index,
    /// In a part of a book: the names whose row it has because the whole book finds that row for them.
    resolved: Option<BTreeSet<Wanted>>,
    /// In a part of a book: names that look like snapshots of its rows and are rows of their own in the whole
    /// book.
    apart: BTreeSet<Wanted>,
    /// A part's: for each provider the row that none of the whole is dearer than.
    dearest: Vec<PricedModel>,
    /// A part's: names that it was asked for and the whole has no price for.
    without_price: BTreeSet<Wanted>,
    last_rows: worst::LastRows,
}

/// A name that the operator gave a meaning: an Azure deployment, a self-hosted model (step 2 of [`names`]).
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NameMap {
    /// Provider id of the calls that it is for.
    pub provider: String,
    /// The name, as requests or answers say it, in bare form.
    pub name: String,
    /// Provider id of the row.
    pub to_provider: String,
    /// A name of the row. Where the answer names a model that the provider has a row for, that row holds
    /// instead.
    pub to_model: String,
    /// What else is known of such calls, such as `geo = "eu"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// One model of one provider.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct PricedModel {
    /// Provider id, such as `openai`.
    pub provider: String,
    /// Canonical id, lower case; the model named in charges.
    pub id: String,
    /// Further names that mean exactly this model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Names that mean it when a snapshot date or revision follows, as in `gpt-5-2025-08-07`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dated: Vec<String>,
    /// Names that mean it for a time only, such as `mistral-large-latest`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moving: Vec<MovingAlias>,
    /// Context window, in tokens, where it is known: budgets hold at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Longest answer, in tokens, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Its prices, oldest first; their periods do not overlap.
    pub prices: Vec<Price>,
}

/// A name whose meaning moves from model to model. Where several rows claim it for one time, the one whose
/// claim began last has it; outside of all claims it belongs to the row that has it as an alias or id.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct MovingAlias {
    /// The name.
    pub name: String,
    /// Since when it means this model, Unix milliseconds UTC.
    #[serde(default)]
    pub from_ms: u64,
    /// Until when, exclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// What a model costs from one day on.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(from = "wire::Price", into = "wire::Price")]
pub struct Price {
    /// Start, Unix milliseconds UTC, inclusive; 0 when it is not known.
    pub from_ms: u64,
    /// End, exclusive.
    pub until_ms: Option<u64>,
    /// Rates and context tiers of a plain call.
    pub standard: Sheet,
    /// Rates of other service tiers, speeds, regions and hours: those with more conditions first.
    pub variants: Vec<Variant>,
    /// The operator's discount that these rates contain, such as `0.85 (contract 7)`.
    pub discount: Option<String>,
    /// Where the facts come from. Stays with the book's files; gateways do not get it.
    pub origin: Origin,
}

/// Where and when a price was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Origin {
    /// Address of the page; the file's where the row names none.
    pub source: String,
    /// Day on which it was read, `YYYY-MM-DD`.
    pub checked: String,
    /// What a reader should know, such as a difference between sources.
    pub note: Option<String>,
}

impl std::hash::Hash for Origin {
    /// Where a fact was read does not make it another fact.
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

/// Rates by context length.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq, Serialize)]
pub struct Sheet {
    /// Rates of a prompt that no tier holds for.
    pub rates: Rates,
    /// Longest context first: the first tier that the prompt is above holds for the whole call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

/// Rates for prompts above a length.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tier {
    /// Holds for prompts strictly above this many input tokens.
    pub input_above: u64,
    /// Rates of the whole call.
    pub rates: Rates,
}

/// Rates under a condition.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(from = "wire::Variant", into = "wire::Variant")]
pub struct Variant {
    /// Facts that must all hold, such as `service_tier = "flex"`; a value may be several, split by `|`.
    pub when: BTreeMap<String, String>,
    /// Hours of the day in which it holds.
    pub daily: Option<Daily>,
    /// What holds then.
    pub sheet: Sheet,
    /// As [`Price::discount`].
    pub discount: Option<String>,
}

/// A window of every day, UTC; one that ends before it starts runs past midnight.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Daily {
    /// First minute of the day, inclusive.
    pub from_minute: u16,
    /// Last minute of the day, exclusive.
    pub to_minute: u16,
    /// Whether it holds from Monday to Friday only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weekdays: bool,
}

/// Price of one unit by kind. A kind left out inherits (see [`Kind::inherits`]); it is never zero by
/// omission.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Rates(pub BTreeMap<Kind, Picodollars>);

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Rates {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rates".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Dollars for one of each kind. A kind that is left out costs what its whole costs; it is \
                never free by omission.",
            "type": "object",
            "propertyNames": generator.subschema_for::<Kind>(),
            "additionalProperties": generator.subschema_for::<Picodollars>(),
        })
    }
}

/// What is known of a call that decides its price.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Provider id.
    pub provider: &'a str,
    /// The model that answered.
    pub response_model: Option<&'a str>,
    /// The model that was asked for.
    pub request_model: Option<&'a str>,
    /// When the call was admitted, Unix milliseconds UTC.
    pub time_ms: u64,
    /// Service tier in the provider's word, speed and region, as far as known: see [`facts`].
    pub conditions: &'a [(&'a str, &'a str)],
}

/// A priced call.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Priced {
    /// The price, line by line.
    pub charges: Vec<Charge>,
    /// Sum of the charges.
    pub cost: Picodollars,
    /// Whether every quantity has a rate. Where one has none, `cost` is the rest.
    pub complete: bool,
    /// Whether the row is only a likely one: of the model's vendor, for a call to a router without a row.
    pub estimated: bool,
    /// Whether the row has no price for a service tier, speed or region that the call ran at, so that the
    /// dearest of its rates that may be for it are taken.
    pub guessed: bool,
    /// Whether nothing is charged by the unit, because the capacity was bought beforehand.
    pub reserved: bool,
    /// Which rows were used and why, one for each model.
    pub basis: Vec<PriceBasis>,
}

impl PriceBook {
    /// A book of these models. A name that two models of one provider claim belongs to the first.
    pub fn new(version: String, models: Vec<PricedModel>) -> Self {
        let index = Index::of(&models);
        Self {
            version,
            models,
            maps: Vec::new(),
            index,
            resolved: None,
            apart: BTreeSet::new(),
            dearest: Vec::new(),
            without_price: BTreeSet::new(),
            last_rows: Default::default(),
        }
    }

    /// This book with the operator's names.
    #[must_use]
    pub fn with_maps(self, maps: Vec<NameMap>) -> Self {
        Self { maps, last_rows: worst::LastRows::default(), ..self }
    }

    /// The operator's names.
    pub fn maps(&self) -> &[NameMap] {
        &self.maps
    }

    /// Name of this state of the book. A part of a book ([`PriceBook::subset`]) keeps the whole's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All models.
    pub fn models(&self) -> &[PricedModel] {
        &self.models
    }

    /// The models, to make another book of.
    #[must_use]
    pub fn into_models(self) -> Vec<PricedModel> {
        self.models
    }

    /// The model of this provider that `name` means today, if the book has it.
    pub fn model(&self, provider: &str, name: &str) -> Option<&PricedModel> {
        self.find(provider, name, u64::MAX).map(|found| found.model)
    }

    /// The row that `name` means at a time, Unix milliseconds UTC, by the steps of [`names`].
    pub fn find<'b>(&'b self, provider: &str, name: &str, time_ms: u64) -> Option<Found<'b>> {
        let found = self.index.find(&self.models, provider, name, time_ms)?;
        self.would_find(provider, name, found.step).then_some(found)
    }

    /// Whether the whole book finds the same row. A part lacks rows that an earlier step may lead to, so that
    /// a step behind the row's own names counts only for names that the whole book has been asked for, and
    /// for snapshots that the whole book has no row of their own for.
    fn would_find(&self, provider: &str, name: &str, step: Step) -> bool {
        let Some(resolved) = &self.resolved else { return true };
        let wanted = |model: &str| Wanted { provider: provider.to_owned(), model: model.to_owned() };
        match step {
            Step::Exact | Step::Moving => true,
            Step::Snapshot if !self.apart.contains(&wanted(&names::bare(name))) => true,
            _ => resolved.contains(&wanted(name)),
        }
    }

    /// Prices `usage`: the response model's rates, else those of the request model.
    ///
    /// Without a row, or without a price for that day, nothing is charged and `complete` is false: unpriced,
    /// never free. Where the answer names a service tier, speed or region that the row has no price for, the
    /// dearest rates that may be for it are an estimate: callers choose such words, and no word makes a call
    /// free.
    pub fn price(&self, facts: &Facts<'_>, usage: &Usage) -> Priced {
        self.price_calls(facts, usage, 1)
    }

    /// Prices what so many calls of one model used, all in about the same way; of a part of a call, none.
    fn price_calls(&self, facts: &Facts<'_>, usage: &Usage, calls: u64) -> Priced {
        let Some((found, by)) = self.row(facts) else {
            return Priced { basis: no_row(facts), ..Priced::default() };
        };
        let geo = facts.request_model.filter(|_| by == By::Response).and_then(names::geo_of);
        let mut deciding = Deciding::of(facts.provider, facts.conditions, found.geo.or(geo), facts.time_ms);
        if let Some(map) = self.map(facts) {
            deciding.also(&map.facts);
        }
        let mut basis = PriceBasis {
            model: found.model.id.clone(),
            facts: deciding.to_map(),
            step: Some(found.step),
            ..PriceBasis::default()
        };
        let mut priced =
            Priced { estimated: found.step.is_estimate(), reserved: deciding.reserved, ..Priced::default() };
        let input = usage.input_tokens.unwrap_or(0) / calls.max(1);
        if let Some(chosen) = found.model.choose(facts.time_ms, &deciding, input) {
            priced.complete = chosen.fit != Fit::Part && !searches_uncounted(facts, usage);
            priced.guessed = chosen.fit == Fit::Guessed;
            chosen.explain(&mut basis);
            let scale = (calls, deciding.container_gigabytes());
            priced.charge_all(&found.model.id, &chosen.rates, usage, scale);
        }
        self.charge_router(facts, found.model, usage, &mut priced);
        priced.basis.push(basis);
        priced
    }

    /// Azure's model router charges for what it reads, on top of the model that answers. Source: Microsoft,
    /// Model router, pricing, as recorded; not read anew.
    fn charge_router(&self, facts: &Facts<'_>, answered: &PricedModel, usage: &Usage, priced: &mut Priced) {
        let asked = facts.request_model.filter(|name| {
            let name = names::bare(name);
            facts.provider == "azure"
                && (name.starts_with("model-router") || name.starts_with("model_router"))
        });
        let Some(router) = asked.and_then(|name| self.find(facts.provider, name, facts.time_ms)) else {
            return;
        };
        if router.model.id == answered.id || !priced.complete {
            return;
        }
        let price = router.model.price_at(facts.time_ms);
        if let (Some(rate), Some(read @ 1..)) =
            (price.and_then(|price| price.standard.rates.of(Kind::Input)), usage.input_tokens)
        {
            priced.charge(&router.model.id, Kind::Input, read, rate);
        }
    }

    /// Prices a call that several models worked on: each one's share at that model's rates, and what is
    /// counted for the whole call only at those of the model that answered. Without shares, all of it at the
    /// latter's.
    pub fn price_shares(&self, facts: &Facts<'_>, usage: &Usage, shares: &[Share]) -> Priced {
        if shares.is_empty() {
            return self.price(facts, usage);
        }
        let mut total = Priced { complete: true, reserved: true, ..Priced::default() };
        let rest = usage.pieces_beyond(shares);
        for share in shares {
            let facts = match &share.model {
                Some(model) => Facts { response_model: Some(model), request_model: None, ..*facts },
                None => *facts,
            };
            total.add(self.price_calls(&facts, &share.usage, share.more_calls.saturating_add(1)));
        }
        if !rest.is_nothing() {
            total.add(self.price_calls(facts, &rest, 0));
        }
        total
    }

    fn row(&self, facts: &Facts<'_>) -> Option<(Found<'_>, By)> {
        let response = facts.response_model.map(|name| (name, By::Response));
        let request = facts.request_model.map(|name| (name, By::Request));
        // A router's path may name the host that serves, which has its own price.
        let host = facts.conditions.iter().find(|(fact, _)| *fact == "host").map(|(_, host)| *host);
        let host =
            host.or_else(|| names::host_asked(facts.provider, facts.request_model?, facts.response_model?));
        let find = |(name, by): (&str, By)| {
            let at_host =
                host.and_then(|host| self.find(facts.provider, &format!("{name}:{host}"), facts.time_ms));
            Some((at_host.or_else(|| self.find(facts.provider, name, facts.time_ms))?, by))
        };
        if let Some(map) = self.map(facts) {
            let answered = response.and_then(find).filter(|(found, _)| !found.step.is_estimate());
            return answered.or_else(|| {
                let found = self.find(&map.to_provider, &map.to_model, facts.time_ms)?;
                Some((Found { step: Step::Mapped, ..found }, By::Request))
            });
        }
        let found = [response, request].into_iter().flatten().find_map(find);
        let found = found.or_else(|| self.seller_row(facts));
        // What was asked for is not what answered: its price is a guess. In a part of the book it holds until
        // a collector, which has the whole, prices the call again.
        let guessed = |by| by == By::Request && response.is_some_and(|(name, _)| !name.is_empty());
        found.map(|(found, by)| match guessed(by) {
            true => (Found { step: Step::Asked, ..found }, by),
            false => (found, by),
        })
    }

    /// The row of whom a proxy called, which is an estimate: what the proxy takes itself nobody said.
    fn seller_row(&self, facts: &Facts<'_>) -> Option<(Found<'_>, By)> {
        let (_, seller) = facts.conditions.iter().find(|(fact, _)| *fact == "seller")?;
        let names = [(facts.response_model, By::Response), (facts.request_model, By::Request)];
        names.into_iter().find_map(|(name, by)| {
            let found = self.find(seller, name?, facts.time_ms)?;
            Some((Found { step: Step::Vendor, ..found }, by))
        })
    }

    /// The operator's map for a call, by the name asked for, else by that of the answer.
    fn map(&self, facts: &Facts<'_>) -> Option<&NameMap> {
        let of = |name: &str| {
            let name = names::bare(name);
            self.maps.iter().find(|map| map.provider == facts.provider && map.name == name)
        };
        if self.maps.is_empty() {
            return None;
        }
        [facts.request_model, facts.response_model].into_iter().flatten().find_map(of)
    }
}

/// By which name a row was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum By {
    Response,
    Request,
}

/// What holds for a call, of all that a model's row says.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    /// The dated price.
    pub price: &'a Price,
    /// The variant, unless the standard rates hold.
    pub variant: Option<&'a Variant>,
    /// The threshold that the prompt is above.
    pub tier: Option<u64>,
    /// The rates.
    pub rates: Cow<'a, Rates>,
    /// Whether they are for such a call.
    pub fit: Fit,
}

/// Whether rates are for what a call ran at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fit {
    /// They are.
    Exact,
    /// None of the row's prices is: these are the dearest that may be.
    Guessed,
    /// One of the provider's tools was used that the row has no price for: these are for the rest.
    Part,
}

impl Fit {
    fn of(without: &[&str]) -> Self {
        let of_tools = without.iter().any(|fact| matches!(*fact, "tool" | "search_size"));
        if of_tools { Self::Part } else { Self::Guessed }
    }
}

/// Whether OpenRouter searched because the name that was asked for says so, and did not count it: what that
/// costs is not known.
fn searches_uncounted(facts: &Facts<'_>, usage: &Usage) -> bool {
    let searches = facts.request_model.is_some_and(|model| model.ends_with(":online"));
    searches && facts.provider == "openrouter" && usage.web_searches.is_none()
}

/// What is kept of a call whose model has no row, so that it can be priced once there is one.
fn no_row(facts: &Facts<'_>) -> Vec<PriceBasis> {
    let name = facts.response_model.or(facts.request_model).filter(|name| !name.is_empty());
    let deciding = Deciding::of(facts.provider, facts.conditions, None, facts.time_ms);
    let basis =
        |name: &str| PriceBasis { model: name.to_owned(), facts: deciding.to_map(), ..PriceBasis::default() };
    name.map(basis).into_iter().collect()
}

impl Chosen<'_> {
    /// Writes down what was chosen.
    pub(crate) fn explain(&self, basis: &mut PriceBasis) {
        basis.from_ms = self.price.from_ms;
        basis.variant = self.variant.map(Variant::label);
        basis.input_above = self.tier;
        basis.discount = self.discount().map(str::to_owned);
    }

    /// The operator's discount in these rates.
    pub fn discount(&self) -> Option<&str> {
        let of_variant = self.variant.and_then(|variant| variant.discount.as_deref());
        of_variant.or(self.price.discount.as_deref())
    }
}

impl PricedModel {
    /// The price that holds at a time, Unix milliseconds UTC.
    pub fn price_at(&self, time_ms: u64) -> Option<&Price> {
        self.prices.iter().rev().find(|price| price.holds_at(time_ms))
    }

    /// What holds for a call with `input` tokens of prompt, or `None` when no price of this model covers its
    /// time. Where none of that price's variants is for a fact that must be covered, the dearest of those
    /// that may be.
    pub fn choose(&self, time_ms: u64, deciding: &Deciding<'_>, input: u64) -> Option<Chosen<'_>> {
        let price = self.price_at(time_ms)?;
        let variant = price.variants.iter().find(|variant| deciding.chooses(variant));
        let chosen = price.chosen(variant, input);
        if deciding.covered_by(price, variant) {
            return Some(chosen);
        }
        let without = deciding.without_variant(price);
        // What waits costs no more than a plain call, so that no other tier's price may be for it.
        let waits = deciding.waits() && without.contains(&facts::SERVICE_TIER);
        let may_be = price.variants.iter().filter(|variant| {
            deciding.may_choose(variant, facts::MUST_BE_COVERED)
                && !(waits && variant.when.contains_key(facts::SERVICE_TIER))
        });
        let knows_the_rest = waits && without.len() == 1;
        let mut dearest = if knows_the_rest { chosen } else { price.chosen(None, input) };
        for variant in may_be.filter(|_| !knows_the_rest) {
            let other = price.chosen(Some(variant), input);
            if other.rates.height() > dearest.rates.height() {
                dearest = other;
            }
        }
        dearest.fit = Fit::of(&without);
        if deciding.may_be_twice(price, &without) {
            dearest.rates = Cow::Owned(dearest.rates.twice());
        } else if waits {
            let percent = deciding.percent_of_plain(&self.provider);
            dearest.rates = Cow::Owned(dearest.rates.tokens_at(percent));
        }
        Some(dearest)
    }

    /// Every name that means this model at some time, without those that need a snapshot date.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let moving = self.moving.iter().map(|alias| alias.name.as_str());
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().map(String::as_str)).chain(moving)
    }
}

impl Price {
    /// Whether it holds at a time, Unix milliseconds UTC.
    pub fn holds_at(&self, time_ms: u64) -> bool {
        self.from_ms <= time_ms && self.until_ms.is_none_or(|until| time_ms < until)
    }

    fn chosen<'a>(&'a self, variant: Option<&'a Variant>, input: u64) -> Chosen<'a> {
        let sheet = variant.map_or(&self.standard, |variant| &variant.sheet);
        let tier = sheet.tiers.iter().find(|tier| input > tier.input_above);
        Chosen {
            price: self,
            variant,
            tier: tier.map(|tier| tier.input_above),
            rates: Cow::Borrowed(tier.map_or(&sheet.rates, |tier| &tier.rates)),
            fit: Fit::Exact,
        }
    }

    /// Its sheets: the standard one and every variant's.
    pub fn sheets(&self) -> impl Iterator<Item = &Sheet> {
        std::iter::once(&self.standard).chain(self.variants.iter().map(|variant| &variant.sheet))
    }

    /// Its sheets, to change them.
    pub fn sheets_mut(&mut self) -> impl Iterator<Item = &mut Sheet> {
        std::iter::once(&mut self.standard).chain(self.variants.iter_mut().map(|variant| &mut variant.sheet))
    }

    /// Puts the variants in the order in which they are tried: those with more conditions first.
    pub fn order_variants(&mut self) {
        self.variants.sort_by_key(|variant| {
            std::cmp::Reverse(variant.when.len().saturating_add(usize::from(variant.daily.is_some())))
        });
    }
}

impl Sheet {
    /// Its rates: below every threshold, then of each tier.
    pub fn all_rates(&self) -> impl Iterator<Item = &Rates> {
        std::iter::once(&self.rates).chain(self.tiers.iter().map(|tier| &tier.rates))
    }

    /// Its rates, to change them.
    pub fn all_rates_mut(&mut self) -> impl Iterator<Item = &mut Rates> {
        std::iter::once(&mut self.rates).chain(self.tiers.iter_mut().map(|tier| &mut tier.rates))
    }
}

impl Variant {
    /// Its conditions in words, such as `service_tier=flex`.
    pub fn label(&self) -> String {
        let mut label: Vec<String> =
            self.when.iter().map(|(fact, value)| format!("{fact}={value}")).collect();
        label.extend(self.daily.map(|daily| format!("daily={daily}")));
        label.join(" ")
    }
}

impl Daily {
    /// Whether a time, Unix milliseconds UTC, is in the window.
    pub fn holds_at(self, time_ms: u64) -> bool {
        let minute = time_ms / 60_000 % 1_440;
        // The epoch was a Thursday.
        if self.weekdays && (time_ms / 86_400_000 + 3) % 7 >= 5 {
            return false;
        }
        let (from, to) = (u64::from(self.from_minute), u64::from(self.to_minute));
        if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

impl std::fmt::Display for Daily {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from_minute: from, to_minute: to, weekdays } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)?;
        if *weekdays { f.write_str(" mon-fri") } else { Ok(()) }
    }
}

impl Rates {
    /// The rate of `kind`, its own or inherited.
    pub fn of(&self, mut kind: Kind) -> Option<Picodollars> {
        loop {
            if let Some(rate) = self.0.get(&kind) {
                return Some(*rate);
            }
            kind = kind.inherits()?;
        }
    }
}

impl Rates {
    /// To compare them: what a token of input and one of output cost, and one of each other thing.
    fn height(&self) -> Picodollars {
        let tokens: Picodollars =
            [Kind::Input, Kind::Output].into_iter().filter_map(|kind| self.of(kind)).sum();
        if tokens > Picodollars::ZERO { tokens } else { self.0.values().copied().sum() }
    }

    /// With token rates at so many percent, rounded up.
    fn tokens_at(&self, percent: u64) -> Self {
        let mut rates = self.clone();
        for (kind, rate) in &mut rates.0 {
            if kind.is_input() || kind.is_output() {
                let hundred = rate.times(percent).as_pico();
                *rate = Picodollars::from_pico(hundred / 100 + i128::from(hundred % 100 > 0));
            }
        }
        rates
    }

    fn twice(&self) -> Self {
        let mut twice = self.clone();
        twice.0.values_mut().for_each(|rate| *rate = rate.times(2));
        twice
    }
}

impl Priced {
    fn charge_all(
        &mut self,
        model: &str,
        rates: &Rates,
        usage: &Usage,
        (calls, gigabytes): (u64, Option<u64>),
    ) {
        let by_token = |kind: Kind| kind.is_input() || kind.is_output();
        let parts = usage.parts().quantities;
        // Seconds and tokens of sound measure the same work: a model that has a price for one of them charges
        // no other.
        let is_timed = usage.audio_ms.is_some_and(|ms| ms > 0);
        let by_time = is_timed && rates.of(Kind::AudioMillisecond).is_some();
        let by_tokens =
            is_timed && parts.iter().any(|(kind, _)| by_token(*kind) && rates.of(*kind).is_some());
        for (kind, quantity) in parts {
            if self.reserved && by_token(kind) {
                continue;
            }
            let quantity = match (kind, gigabytes) {
                (Kind::CodeSession, Some(gigabytes)) => quantity.saturating_mul(gigabytes),
                (Kind::CodeSession, None) => {
                    self.complete = false;
                    continue;
                }
                _ => quantity,
            };
            let is_heard_by_time = by_time && kind.is_audio() && !rates.0.contains_key(&kind);
            match rates.of(kind).filter(|_| !is_heard_by_time) {
                Some(rate) => self.charge(model, kind, quantity, rate),
                None if by_time && by_token(kind) || by_tokens && kind == Kind::AudioMillisecond => {}
                None => self.complete = false,
            }
        }
        // What read a prompt and put nothing out, as one that was blocked, has not done what a call is
        // charged for.
        let did_nothing = usage.input_tokens.is_some() && usage.output_tokens.unwrap_or(0) == 0;
        if let Some(rate) =
            rates.0.get(&Kind::Request).filter(|_| !self.reserved && !did_nothing && calls > 0)
        {
            self.charge(model, Kind::Request, calls, *rate);
        }
    }

    pub(crate) fn charge(&mut self, model: &str, kind: Kind, quantity: u64, rate: Picodollars) {
        let cost_usd = rate.times(quantity);
        self.cost += cost_usd;
        self.line(Charge { model: model.to_owned(), kind, quantity, rate, cost_usd });
    }

    /// A line more; one that has the rate of an earlier line is added to it, so that a call of many runs
    /// stays short.
    fn line(&mut self, charge: Charge) {
        let same = |known: &&mut Charge| {
            known.kind == charge.kind && known.rate == charge.rate && known.model == charge.model
        };
        if let Some(known) = self.charges.iter_mut().find(same)
            && let Some(quantity) = known.quantity.checked_add(charge.quantity)
        {
            known.quantity = quantity;
            known.cost_usd = known.rate.times(quantity);
        } else {
            self.charges.push(charge);
        }
    }

    /// Adds what another model, or another part of the same call, costs.
    pub fn add(&mut self, part: Self) {
        self.cost += part.cost;
        self.complete &= part.complete;
        self.estimated |= part.estimated;
        self.guessed |= part.guessed;
        self.reserved &= part.reserved;
        part.charges.into_iter().for_each(|charge| self.line(charge));
        for basis in part.basis {
            if !self.basis.contains(&basis) {
                self.basis.push(basis);
            }
        }
    }

    /// The status of this cost, when its quantities are `measured` or else estimated.
    ///
    /// Reserved capacity (OpenAI `scale`, Bedrock `reserved`, Vertex provisioned throughput) was paid for
    /// beforehand: its tokens have no price of their own, so a call that used nothing else is `free`. What
    /// such a call is charged by the piece (searches) is charged.
    pub fn status(&self, measured: bool) -> CostStatus {
        match (self.complete, measured && !self.estimated && !self.guessed) {
            (false, _) => CostStatus::Unpriced,
            (true, _) if self.reserved && self.charges.is_empty() => CostStatus::Free,
            (true, true) => CostStatus::Measured,
            (true, false) => CostStatus::Estimated,
        }
    }
}

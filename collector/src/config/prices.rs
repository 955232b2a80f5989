//! `[prices]`: the operator's own prices, discounts and names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tollgate_core::price::{Unpriced, day_ms};

use super::document::{Document, Section};

/// `[prices]`: what the operator adds to the prices that come with Tollgate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PricesConfig {
    /// `dir`: directory of price files; one takes the place of the file of the same name that comes with
    /// Tollgate.
    pub dir: Option<PathBuf>,
    /// `unpriced`: what becomes of calls whose model has no price.
    pub unpriced: Unpriced,
    /// `[[prices.override]]`: prices instead of the list's.
    pub overrides: Vec<Override>,
    /// `[[prices.discount]]`: multipliers.
    pub discounts: Vec<Discount>,
    /// `[[prices.model]]`: names that mean a model, and models of one's own.
    pub models: Vec<OwnModel>,
}

/// Where something stands in the file, for messages about what is only known once the book is there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// Line of the file.
    pub line: usize,
    /// Name, such as `prices.override[0]`.
    pub name: String,
}

/// A price of one model, instead of the list's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Override {
    /// Where it stands.
    pub place: Place,
    /// Provider id.
    pub provider: String,
    /// A name of the model; a new one makes a row.
    pub model: String,
    /// The price, as in a price file.
    pub price: String,
}

/// A multiplier for a period.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Discount {
    /// Where it stands.
    pub place: Place,
    /// Only this provider.
    pub provider: Option<String>,
    /// Only this model.
    pub model: Option<String>,
    /// Only calls by this route.
    pub route: Option<String>,
    /// Start, Unix milliseconds UTC.
    pub from_ms: u64,
    /// End, exclusive.
    pub until_ms: Option<u64>,
    /// Such as `0.85`.
    pub multiply: String,
    /// What records call it, such as `0.85 (contract 7)`.
    pub label: String,
}

/// A name that means a model, or a model with a price of its own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OwnModel {
    /// Where it stands.
    pub place: Place,
    /// Provider id of the calls.
    pub provider: String,
    /// The name in requests or answers.
    pub name: String,
    /// What it means.
    pub meaning: Meaning,
    /// What else is known of such calls.
    pub facts: BTreeMap<String, String>,
}

/// What an own name means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Meaning {
    /// A model of the book: provider id and name.
    Model(String, String),
    /// A price of its own, as in a price file.
    Price(String),
}

impl Default for Meaning {
    fn default() -> Self {
        Self::Price(String::new())
    }
}

/// Reads `[prices]`.
pub(super) fn read<'t>(document: &mut Document<'t>, root: &mut Section<'t>) -> PricesConfig {
    let mut section = document.section(root, "prices");
    let config = PricesConfig {
        dir: document.path(&mut section, "dir"),
        unpriced: document.choice::<Policy>(&mut section, "unpriced").unwrap_or_default().into(),
        overrides: each(document, &mut section, "override", own_price),
        discounts: each(document, &mut section, "discount", discount),
        models: each(document, &mut section, "model", own_model),
    };
    document.finish(section);
    config
}

fn each<'t, T>(
    document: &mut Document<'t>,
    section: &mut Section<'t>,
    key: &'static str,
    read: impl Fn(&mut Document<'t>, &mut Section<'t>) -> Option<T>,
) -> Vec<T> {
    let mut items = Vec::new();
    for mut table in document.tables(section, key) {
        items.extend(read(document, &mut table));
        document.finish(table);
    }
    items
}

fn place(section: &Section<'_>) -> Place {
    Place { line: section.line(), name: section.name().to_owned() }
}

fn own_price<'t>(document: &mut Document<'t>, section: &mut Section<'t>) -> Option<Override> {
    let provider = document.needed(section, "provider", PROVIDER);
    let model = document.needed(section, "model", MODEL);
    let price = document.toml(section, PRICE_KEYS, tollgate_core::price::members);
    Some(Override { place: place(section), provider: provider?, model: model?.to_ascii_lowercase(), price })
}

fn discount<'t>(document: &mut Document<'t>, section: &mut Section<'t>) -> Option<Discount> {
    let [provider, model] =
        [("provider", PROVIDER), ("model", MODEL)].map(|(key, right)| document.text(section, key, right));
    let route = document.text(section, "route", "the name of a route");
    let name = document.text(section, "name", "a name for records, such as `contract 7`");
    let (from_ms, until_ms) = (day(document, section, "from"), day(document, section, "until"));
    if let (Some(from), Some(until)) = (from_ms, until_ms)
        && from >= until
    {
        document.at(
            section,
            &format!("`{}.until` is not after `from`; give a later day, or leave it out", section.name()),
        );
    }
    let multiply = document.needed(section, "multiply", "a multiplier such as `0.85`")?;
    let label = name.map_or_else(|| multiply.clone(), |name| format!("{multiply} ({name})"));
    let place = place(section);
    let from_ms = from_ms.unwrap_or(0);
    Some(Discount { place, provider, model, route, from_ms, until_ms, multiply, label })
}

fn own_model<'t>(document: &mut Document<'t>, section: &mut Section<'t>) -> Option<OwnModel> {
    let provider = document.needed(section, "provider", PROVIDER);
    let name = document.needed(section, "name", "the name in requests, such as a deployment's");
    let model = document.text(section, "model", MODEL);
    let of = document.text(section, "of", PROVIDER);
    let facts = document.words(section, "facts");
    let price = document.toml(section, PRICE_KEYS, tollgate_core::price::members);
    let hour = document.text(section, "gpu_hour", "dollars such as `2.50`");
    let gpus = document.count(section, "gpus").unwrap_or(1);
    let tokens = document.count(section, "tokens_per_hour");
    let (provider, name) = (provider?, name?);
    let meaning = match (model, price.is_empty(), hour) {
        (Some(model), true, None) => Meaning::Model(of.unwrap_or_else(|| provider.clone()), model),
        (None, false, None) => Meaning::Price(price),
        (None, true, Some(hour)) => match by_the_hour(&hour, gpus, tokens) {
            Ok(price) => Meaning::Price(price),
            Err(problem) => {
                document.at(section, &format!("`{}` {problem}", section.name()));
                return None;
            }
        },
        _ => {
            let needs = "needs one of `model`, `tokens` or `calls`, or `gpu_hour` with `tokens_per_hour`";
            document.at(section, &format!("`{}` {needs}", section.name()));
            return None;
        }
    };
    Some(OwnModel { place: place(section), provider, name: name.to_ascii_lowercase(), meaning, facts })
}

/// A price of GPU hours spread over the tokens that they serve, as dollars for a million, rounded up.
fn by_the_hour(hour: &str, gpus: u64, tokens: Option<u64>) -> Result<String, String> {
    let dollars: tollgate_core::money::Picodollars = hour.parse().map_err(|error| {
        format!("has the `gpu_hour` `{hour}`, which is no amount ({error}); give dollars such as `2.50`")
    })?;
    let tokens = tokens
        .ok_or("has a `gpu_hour` but no `tokens_per_hour`; give the tokens that its GPUs serve in an hour")?;
    if dollars.as_pico() <= 0 {
        return Err(format!(
            "has the `gpu_hour` `{hour}`, which is not above 0; give dollars such as `2.50`"
        ));
    }
    let rate = dollars.times(gpus).scaled_up(1, tokens);
    let million = rate.times(1_000_000);
    Ok(format!("tokens = {{ input = \"{million}\", output = \"{million}\" }}\n"))
}

fn day<'t>(document: &mut Document<'t>, section: &mut Section<'t>, key: &'static str) -> Option<u64> {
    document.parsed::<Day>(section, key, "a day such as `2026-10-14`").map(|Day(ms)| ms)
}

struct Day(u64);

impl std::str::FromStr for Day {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        day_ms(text).map(Self).ok_or(())
    }
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Policy {
    #[default]
    Allow,
    Ceiling,
    Deny,
}

impl From<Policy> for Unpriced {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Allow => Self::Allow,
            Policy::Ceiling => Self::Ceiling,
            Policy::Deny => Self::Deny,
        }
    }
}

const PROVIDER: &str = "a provider id such as `openai`";
const MODEL: &str = "the name of a model";
/// Keys of a price file's `[[model.price]]`.
const PRICE_KEYS: &[&str] = &["from", "until", "tokens", "calls", "tier", "variant", "factor", "note"];

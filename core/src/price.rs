//! The price book: which rates hold for a call, and what the call costs at them.

#[cfg(feature = "book")]
mod file;

#[cfg(feature = "book")]
pub use file::{EMBEDDED, PriceFile, PriceFileError};

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::money::Picodollars;
use crate::record::{Charge, CostStatus};
use crate::usage::{Kind, Usage};

/// Prices of many models, with their history; what the collector holds and hands to gateways.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(from = "BookOnTheWire", into = "BookOnTheWire")]
pub struct PriceBook {
    version: String,
    models: Vec<PricedModel>,
    by_name: HashMap<String, HashMap<String, usize>>,
}

/// One model of one provider.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
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
    /// Its prices, oldest first; their periods do not overlap.
    pub prices: Vec<Price>,
}

/// What a model costs from one day on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Price {
    /// Start, Unix milliseconds UTC, inclusive; 0 when it is not known.
    #[serde(default)]
    pub from_ms: u64,
    /// End, exclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Rates and context tiers of a plain call.
    #[serde(flatten)]
    pub standard: Sheet,
    /// Rates of other service tiers, speeds and regions; the first that matches holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
}

/// Rates by context length.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sheet {
    /// Rates of a prompt that no tier holds for.
    pub rates: Rates,
    /// Longest context first: the first tier that the prompt is above holds for the whole call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

/// Rates for prompts above a length.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tier {
    /// Holds for prompts strictly above this many input tokens.
    pub input_above: u64,
    /// Rates of the whole call.
    pub rates: Rates,
}

/// Rates under a condition.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Variant {
    /// Facts that must all hold, such as `service_tier = "flex"`.
    pub when: BTreeMap<String, String>,
    /// What holds then.
    #[serde(flatten)]
    pub sheet: Sheet,
}

/// Price of one unit by kind. A kind left out inherits (see [`Kind::inherits`]); it is never zero by omission.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Rates(pub BTreeMap<Kind, Picodollars>);

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
    /// Service tier in the provider's word, speed and region, as far as known.
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
}

impl PriceBook {
    /// A book of these models. A name that two models of one provider claim belongs to the first.
    #[must_use]
    pub fn new(version: String, models: Vec<PricedModel>) -> Self {
        let mut by_name: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for (index, model) in models.iter().enumerate() {
            let names = by_name.entry(model.provider.clone()).or_default();
            for name in std::iter::once(&model.id).chain(&model.aliases) {
                names.entry(name.clone()).or_insert(index);
            }
            for name in &model.dated {
                names.entry(format!("{name}{DATED}")).or_insert(index);
            }
        }
        Self { version, models, by_name }
    }

    /// Name of this state of the book; two books with one version are equal.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All models.
    #[must_use]
    pub fn models(&self) -> &[PricedModel] {
        &self.models
    }

    /// The model of this provider that `name` means, if the book has it.
    #[must_use]
    pub fn model(&self, provider: &str, name: &str) -> Option<&PricedModel> {
        let names = self.by_name.get(provider)?;
        let name = bare_name(name);
        let index = names.get(name.as_str()).or_else(|| {
            let family = without_snapshot(&name)?;
            names.get(format!("{family}{DATED}").as_str())
        })?;
        self.models.get(*index)
    }

    /// Prices `usage`: the response model's rates, else those of the request model.
    #[must_use]
    pub fn price(&self, facts: &Facts<'_>, usage: &Usage) -> Priced {
        let row = [facts.response_model, facts.request_model]
            .into_iter()
            .flatten()
            .find_map(|name| self.model(facts.provider, name));
        let Some((model, rates)) = row.and_then(|model| Some((model, model.rates(facts, usage)?))) else {
            return Priced::default();
        };
        let mut priced = Priced { complete: true, ..Priced::default() };
        for (kind, quantity) in usage.parts().quantities {
            match rates.of(kind) {
                Some(rate) => priced.charge(&model.id, kind, quantity, rate),
                None => priced.complete = false,
            }
        }
        if let Some(rate) = rates.0.get(&Kind::Request) {
            priced.charge(&model.id, Kind::Request, 1, *rate);
        }
        priced
    }
}

impl PricedModel {
    /// The rates that hold for a call, or `None` when no price of this model covers its time or conditions.
    #[must_use]
    pub fn rates(&self, facts: &Facts<'_>, usage: &Usage) -> Option<&Rates> {
        let price = self.prices.iter().rev().find(|price| price.holds_at(facts.time_ms))?;
        let matches = |variant: &&Variant| {
            variant.when.iter().all(|(fact, value)| {
                facts.conditions.iter().any(|(known, is)| known == fact && is.eq_ignore_ascii_case(value))
            })
        };
        let sheet = price.variants.iter().find(matches).map_or(&price.standard, |variant| &variant.sheet);
        let input = usage.input_tokens.unwrap_or(0);
        let tier = sheet.tiers.iter().find(|tier| input > tier.input_above);
        Some(tier.map_or(&sheet.rates, |tier| &tier.rates))
    }
}

impl Price {
    fn holds_at(&self, time_ms: u64) -> bool {
        self.from_ms <= time_ms && self.until_ms.is_none_or(|until| time_ms < until)
    }
}

impl Rates {
    /// The rate of `kind`, its own or inherited.
    #[must_use]
    pub fn of(&self, mut kind: Kind) -> Option<Picodollars> {
        loop {
            if let Some(rate) = self.0.get(&kind) {
                return Some(*rate);
            }
            kind = kind.inherits()?;
        }
    }
}

impl Priced {
    fn charge(&mut self, model: &str, kind: Kind, quantity: u64, rate: Picodollars) {
        let cost_usd = rate.times(quantity);
        self.cost += cost_usd;
        self.charges.push(Charge { model: model.to_owned(), kind, quantity, rate, cost_usd });
    }

    /// The status of this cost, when its quantities are `measured` or else estimated.
    #[must_use]
    pub const fn status(&self, measured: bool) -> CostStatus {
        match (self.complete, measured) {
            (false, _) => CostStatus::Unpriced,
            (true, true) => CostStatus::Measured,
            (true, false) => CostStatus::Estimated,
        }
    }
}

#[derive(Deserialize, Serialize)]
struct BookOnTheWire {
    version: String,
    models: Vec<PricedModel>,
}

impl From<BookOnTheWire> for PriceBook {
    fn from(book: BookOnTheWire) -> Self {
        Self::new(book.version, book.models)
    }
}

impl From<PriceBook> for BookOnTheWire {
    fn from(book: PriceBook) -> Self {
        Self { version: book.version, models: book.models }
    }
}

/// Lower case, without the path that Google puts before a model's name.
fn bare_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.rsplit_once("models/").map(|(_, bare)| bare.to_owned()).unwrap_or(name)
}

/// `gpt-5` of `gpt-5-2025-08-07`, and so on for `-20250929`, `@20250929`, `-0613` and `-001`.
fn without_snapshot(name: &str) -> Option<&str> {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((family, date)) = name.rsplit_once(['-', '@'])
        && (digits(date, 8) || digits(date, 4) || digits(date, 3))
    {
        return Some(family);
    }
    let (rest, day) = name.rsplit_once('-')?;
    let (rest, month) = rest.rsplit_once('-')?;
    let (family, year) = rest.rsplit_once('-')?;
    (digits(day, 2) && digits(month, 2) && digits(year, 4)).then_some(family)
}

/// Ends the key of a name that must be followed by a snapshot date.
const DATED: &str = "\u{0}dated";

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(pico: i128) -> Picodollars {
        Picodollars::from_pico(pico)
    }

    fn rates(input: i128, output: i128) -> Rates {
        Rates([(Kind::Input, rate(input)), (Kind::Output, rate(output))].into())
    }

    fn book() -> PriceBook {
        let price = Price {
            from_ms: 1_000,
            standard: Sheet {
                rates: rates(10, 20),
                tiers: vec![Tier { input_above: 100, rates: rates(30, 40) }],
            },
            variants: vec![Variant {
                when: [("service_tier".to_owned(), "flex".to_owned())].into(),
                sheet: Sheet { rates: rates(5, 10), tiers: vec![] },
            }],
            ..Price::default()
        };
        PriceBook::new(
            "v1".into(),
            vec![PricedModel {
                provider: "openai".into(),
                id: "gpt-x".into(),
                aliases: vec!["gpt-x-latest".into()],
                dated: vec!["gpt-x".into()],
                prices: vec![price],
            }],
        )
    }

    fn cost(facts: &Facts<'_>, input: u64) -> Option<i128> {
        let usage = Usage { input_tokens: Some(input), output_tokens: Some(1), ..Usage::default() };
        let priced = book().price(facts, &usage);
        assert_eq!(priced.cost, priced.charges.iter().map(|charge| charge.cost_usd).sum());
        priced.complete.then_some(priced.cost.as_pico())
    }

    fn facts(model: &'static str) -> Facts<'static> {
        Facts { provider: "openai", response_model: Some(model), time_ms: 1_000, ..Facts::default() }
    }

    #[test]
    fn tier_applies_strictly_above_its_threshold() {
        assert_eq!(cost(&facts("gpt-x"), 100), Some(100 * 10 + 20));
        assert_eq!(cost(&facts("gpt-x"), 101), Some(101 * 30 + 40));
    }

    #[test]
    fn names_match_whole_or_with_a_snapshot_only() {
        for name in ["gpt-x", "GPT-X", "gpt-x-latest", "gpt-x-2025-08-07", "gpt-x-20250807", "gpt-x-0807"] {
            assert!(cost(&facts(name), 1).is_some(), "{name}");
        }
        for name in ["gpt-x-mini", "gpt-x-mini-2025-08-07", "gpt", "gpt-x-latest-2025-08-07", "gpt-x-25"] {
            assert_eq!(cost(&facts(name), 1), None, "{name}");
        }
    }

    #[test]
    fn a_price_holds_from_its_day_on() {
        assert_eq!(cost(&Facts { time_ms: 999, ..facts("gpt-x") }, 1), None);
    }

    #[test]
    fn a_condition_chooses_its_variant() {
        let flex = Facts { conditions: &[("service_tier", "flex")], ..facts("gpt-x") };
        assert_eq!(cost(&flex, 1), Some(15));
    }

    #[test]
    fn a_rate_left_out_is_inherited_and_never_zero() {
        let rates = rates(10, 20);
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_input()) {
            assert_eq!(rates.of(kind), Some(rate(10)), "{kind}");
        }
        assert_eq!(rates.of(Kind::Reasoning), Some(rate(20)));
        assert_eq!(rates.of(Kind::WebSearch), None);
    }

    #[test]
    fn a_book_reads_back_as_written() {
        let json = serde_json::to_string(&book()).unwrap();
        let read: PriceBook = serde_json::from_str(&json).unwrap();
        assert_eq!(read.models(), book().models());
        assert!(read.model("openai", "gpt-x-2025-08-07").is_some());
    }
}

//! Unit prices: only where one rate of the book explains a whole row.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_core::money::Picodollars;
use tollgate_core::price::{Price, PriceBook, Rates as OfKinds, Sheet as Sheets};
use tollgate_core::usage::Kind;

use crate::model::clock::{HOURS_PER_DAY, MS_PER_HOUR};
use crate::model::decimal::Decimal;

/// What one of a kind costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct UnitPrice {
    /// With the operator's discount.
    pub(super) rate: Picodollars,
    /// Without.
    pub(super) list: Picodollars,
    /// What one of `input` costs beside it.
    input: Option<Picodollars>,
}

/// Looks rates up, and remembers them for a day.
#[derive(Debug)]
pub(super) struct Rates {
    book: Arc<PriceBook>,
    list: Arc<PriceBook>,
    known: HashMap<(String, String, i64), Arc<Vec<Sheet>>>,
}

/// Rates that may hold for a model's calls.
#[derive(Debug)]
struct Sheet {
    rates: OfKinds,
    /// The same without discount, where it is known.
    list: OfKinds,
}

impl UnitPrice {
    /// What reading so many tokens from a cache saved.
    pub(super) fn savings(self, kind: Kind, quantity: u64) -> Option<Picodollars> {
        let input = self.input.filter(|_| kind == Kind::CacheRead)?;
        Some((input - self.rate).times(quantity))
    }
}

impl Rates {
    /// Of these books.
    pub(super) fn new(book: Arc<PriceBook>, list: Arc<PriceBook>) -> Self {
        Self { book, list, known: HashMap::new() }
    }

    /// The rate that explains what a quantity of a kind cost, if there is exactly one.
    pub(super) fn explain(
        &mut self,
        (provider, model, hour): (&str, &str, i64),
        kind: Kind,
        quantity: u64,
        cost: Picodollars,
    ) -> Option<UnitPrice> {
        let rate = cost.as_pico().checked_div(quantity.into()).map(Picodollars::from_pico)?;
        if rate.times(quantity) != cost {
            return None;
        }
        let sheets = self.sheets(provider, model, hour);
        let mut fitting = sheets.iter().filter(|sheet| sheet.rates.of(kind) == Some(rate));
        let first = fitting.next()?;
        let list = first.list.of(kind)?;
        let input = first.rates.of(Kind::Input);
        let mut found = UnitPrice { rate, list, input };
        for other in fitting {
            if other.list.of(kind) != Some(list) {
                return None;
            }
            // Two tiers with this rate and other rates for input: nobody knows what was saved.
            found.input = found.input.filter(|input| other.rates.of(Kind::Input) == Some(*input));
        }
        Some(found)
    }

    fn sheets(&mut self, provider: &str, model: &str, hour: i64) -> Arc<Vec<Sheet>> {
        let day = hour.div_euclid(HOURS_PER_DAY);
        let (book, list) = (&self.book, &self.list);
        let known = self.known.entry((provider.to_owned(), model.to_owned(), day));
        let time_ms = u64::try_from(hour.saturating_mul(MS_PER_HOUR)).unwrap_or(0);
        Arc::clone(known.or_insert_with(|| Arc::new(sheets(book, list, (provider, model), time_ms))))
    }
}

fn sheets(book: &PriceBook, list: &PriceBook, (provider, model): (&str, &str), time_ms: u64) -> Vec<Sheet> {
    let price = |book: &PriceBook| -> Option<Price> {
        book.find(provider, model, time_ms)?.model.price_at(time_ms).cloned()
    };
    let (Some(held), Some(listed)) = (price(book), price(list)) else { return Vec::new() };
    let plain: Vec<&OfKinds> = listed.sheets().flat_map(Sheets::all_rates).collect();
    let standard = std::iter::once((&held.standard, held.discount.as_deref()));
    let variants =
        held.variants.iter().map(|one| (&one.sheet, one.discount.as_deref().or(held.discount.as_deref())));
    let mut all = Vec::new();
    for (sheet, discount) in standard.chain(variants) {
        let rates = std::iter::once(&sheet.rates).chain(sheet.tiers.iter().map(|tier| &tier.rates));
        for rates in rates {
            let list = match discount {
                None => rates.clone(),
                Some(discount) => without(rates, discount, &plain),
            };
            all.push(Sheet { rates: rates.clone(), list });
        }
    }
    all
}

/// The list rates of which these are the discounted ones, by kind.
fn without(rates: &OfKinds, discount: &str, plain: &[&OfKinds]) -> OfKinds {
    let factor = discount.split(' ').next().and_then(|text| text.parse::<Decimal>().ok());
    let is_reduced = |list: Picodollars, rate: Picodollars| -> Option<bool> {
        let factor = factor?;
        let one = 10i128.checked_pow(factor.places().into())?;
        Some(list.as_pico().checked_mul(factor.units())? == rate.as_pico().checked_mul(one)?)
    };
    let of_kind = |(kind, rate): (&Kind, &Picodollars)| {
        let mut lists = plain.iter().filter_map(|plain| plain.of(*kind));
        let list = lists.find(|list| is_reduced(*list, *rate).unwrap_or(false))?;
        Some((*kind, list))
    };
    OfKinds(rates.0.iter().filter_map(of_kind).collect())
}

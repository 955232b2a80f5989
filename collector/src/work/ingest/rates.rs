//! Whether the rates of a record's charges, or its provider's word, can be: compared with the collector's own
//! book.
//!
//! A gateway may have a book of another day, or other discounts, so that a rate within a factor of ten of a
//! row's is taken as it is. What is farther from every price that the row ever had is no price of this call.

use std::cell::OnceCell;

use tollgate_core::money::Picodollars;
use tollgate_core::price::{Charge, Facts, PriceBook, PricedModel, Sheet};
use tollgate_core::record::{Folded, UsageRecord};
use tollgate_core::usage::Kind;

/// Compares with the collector's book; what that takes is made once for each request.
pub(super) struct RateCheck<'b> {
    /// The book.
    pub(super) book: &'b PriceBook,
    dearest: OnceCell<Option<PriceBook>>,
}

impl<'b> RateCheck<'b> {
    /// A check by this book.
    pub(super) const fn new(book: &'b PriceBook) -> Self {
        Self { book, dearest: OnceCell::new() }
    }

    /// Whether a charge of a record has a rate that is far from every one that its row has for that kind;
    /// without a row, or a rate in it, whether it is far above all rates of the book.
    pub(super) fn has_far_rate(&self, record: &UsageRecord) -> bool {
        record.charges.iter().any(|charge| self.is_far(&record.head.provider, charge))
    }

    fn is_far(&self, provider: &str, charge: &Charge) -> bool {
        let rate = charge.rate.as_pico();
        let row = self.book.model(provider, &charge.model);
        if let Some((least, most)) = row.and_then(|row| range(row, charge.kind)) {
            return rate > most.saturating_mul(FAR) || rate.saturating_mul(FAR) < least;
        }
        let dearest = self.dearest().and_then(|book| book.models().first());
        let most = dearest.and_then(|row| range(row, charge.kind)).map(|(_, most)| most);
        most.is_some_and(|most| rate > most.saturating_mul(FAR))
    }

    /// Whether the provider's word on a record's cost, for which there are no charges, is above a hundred
    /// dollars and far above what its usage would cost by the dearest rates of the book.
    pub(super) fn is_beyond_all(&self, record: &UsageRecord) -> bool {
        if !record.charges.is_empty() || record.cost_usd <= BEYOND_FROM {
            return false;
        }
        let Some(dearest) = self.dearest() else { return false };
        let Some(row) = dearest.models().first() else { return false };
        let facts = Facts {
            provider: &row.provider,
            request_model: Some(&row.id),
            time_ms: record.head.time_ms,
            ..Facts::default()
        };
        let most = dearest.price(&facts, &record.usage).cost;
        record.cost_usd.as_pico() > most.as_pico().saturating_mul(FAR)
    }

    /// The most that the calls of a total come to, by the book and by their providers' words; `None` where
    /// the book does not say. Each of its records could have been no more: a rate is not ten times the
    /// dearest, and a word above a hundred dollars not a thousand times the charges, nor ten times the
    /// dearest.
    pub(super) fn most_of(&self, folded: &Folded) -> Option<(Picodollars, Picodollars)> {
        let row = self.dearest()?.models().first()?;
        let mut by_book = 0i128;
        for one in &folded.sums.kinds {
            match range(row, one.kind) {
                Some((_, most)) => {
                    let most = most.saturating_mul(i128::from(one.quantity)).saturating_mul(FAR);
                    by_book = by_book.saturating_add(most);
                }
                None if one.cost_usd > Picodollars::ZERO => return None,
                None => {}
            }
        }
        let charged =
            folded.sums.kinds.iter().fold(0i128, |sum, one| sum.saturating_add(one.cost_usd.as_pico()));
        let by_word = BEYOND_FROM.as_pico().saturating_mul(i128::from(folded.folded));
        let by_word = by_word.saturating_add(charged.saturating_mul(ABSURD)).saturating_add(by_book);
        Some((Picodollars::from_pico(by_book), Picodollars::from_pico(by_word)))
    }

    fn dearest(&self) -> Option<&PriceBook> {
        let make = || Some(PriceBook::new(String::new(), vec![self.book.dearest_of_all(0)?]));
        self.dearest.get_or_init(make).as_ref()
    }
}

/// The least and the most that a row has ever charged for one of a kind.
fn range(row: &PricedModel, kind: Kind) -> Option<(i128, i128)> {
    let rates = row.prices.iter().flat_map(|price| price.sheets()).flat_map(Sheet::all_rates);
    let of_kind = rates.filter_map(|rates| rates.of(kind)).map(Picodollars::as_pico);
    of_kind.fold(None, |range, rate| {
        let (least, most) = range.unwrap_or((rate, rate));
        Some((rate.min(least), rate.max(most)))
    })
}

/// So many times is far.
const FAR: i128 = 10;
/// So many times the charges no word above a hundred dollars is.
const ABSURD: i128 = 1_000;
/// Below this no word is looked at: a hundred dollars.
const BEYOND_FROM: Picodollars = Picodollars::from_pico(100_000_000_000_000);

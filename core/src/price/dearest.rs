//! The dearest row of a provider: what a call is held for whose model, or whose price, is not known.

use super::{Price, PriceBook, PricedModel, Rates, Sheet, names};

impl PriceBook {
    /// A row that no row of this provider is dearer than, from `time_ms` on (Unix milliseconds UTC): of each
    /// kind the highest rate of all tiers, tiers of service, regions and hours; the largest context window
    /// and the longest answer. Where a provider sells the models of others, theirs count too. `None` where
    /// the book has no price for it.
    ///
    /// It is called [`DEAREST`], which no provider calls a model: what asks for that name gets a dear price.
    pub fn dearest(&self, provider: &str, time_ms: u64) -> Option<PricedModel> {
        self.dearest_among(provider, time_ms, |model| names::may_sell(provider, &model.provider))
    }

    /// The same over all providers, under the name [`ANY_PROVIDER`]: for calls to one that the book does not
    /// know.
    pub fn dearest_of_all(&self, time_ms: u64) -> Option<PricedModel> {
        self.dearest_among(ANY_PROVIDER, time_ms, |_| true)
    }

    fn dearest_among(
        &self,
        provider: &str,
        time_ms: u64,
        counts: impl Fn(&PricedModel) -> bool,
    ) -> Option<PricedModel> {
        let mut rates = Rates::default();
        let (mut context_tokens, mut output_tokens) = (None, None);
        for model in self.models.iter().filter(|model| counts(model)) {
            let ahead =
                model.prices.iter().filter(|price| price.until_ms.is_none_or(|until| until > time_ms));
            ahead.flat_map(Price::sheets).flat_map(Sheet::all_rates).for_each(|row| rates.raise_to(row));
            context_tokens = context_tokens.max(model.context_tokens);
            output_tokens = output_tokens.max(model.output_tokens);
        }
        let price = Price { standard: Sheet { rates, tiers: Vec::new() }, ..Price::default() };
        let is_priced = !price.standard.rates.0.is_empty();
        is_priced.then(|| PricedModel {
            provider: provider.to_owned(),
            id: DEAREST.to_owned(),
            context_tokens,
            output_tokens,
            prices: vec![price],
            ..PricedModel::default()
        })
    }
}

impl Rates {
    /// Raises each rate to that of `other`, where that is higher. What a row inherits is raised with what it
    /// inherits from.
    fn raise_to(&mut self, other: &Self) {
        for (kind, rate) in &other.0 {
            let known = self.0.entry(*kind).or_insert(*rate);
            *known = (*known).max(*rate);
        }
    }
}

/// The provider of the row that [`PriceBook::dearest_of_all`] makes.
pub(super) const ANY_PROVIDER: &str = "*";
/// Name of the row that [`PriceBook::dearest`] makes.
pub const DEAREST: &str = "(dearest)";

#[cfg(all(test, feature = "book"))]
mod tests {
    use super::*;
    use crate::price::bound::Bound;
    use crate::price::bound::Held;
    use crate::price::{EMBEDDED, Facts, facts};
    use crate::usage::CacheTtl;

    /// Over every row of the shipped book: nothing is dearer than the dearest.
    #[test]
    fn no_row_of_a_provider_is_dearer_than_its_dearest() {
        const NOW_MS: u64 = 1_795_000_000_000;
        let book = PriceBook::from_files(EMBEDDED).unwrap();
        let held = |cache_write, is_audio: bool| Held {
            cache_write,
            audio_in: is_audio,
            audio_out: is_audio,
            image_in: is_audio,
            image_out: is_audio,
            images: u64::from(is_audio),
            tool_calls: 10 * u64::from(is_audio),
            ..Held::default()
        };
        let mut seen = 0;
        for model in book.models() {
            let dearest = book.dearest(&model.provider, NOW_MS).unwrap();
            let alone = PriceBook::new("d".into(), vec![dearest]);
            for held in [held(None, false), held(Some(CacheTtl::OneHour), false), held(None, true)] {
                for input_tokens in [1, 5_000, 900_000] {
                    let bound = Bound {
                        input_tokens,
                        output_tokens: 700,
                        held: held.clone().boxed(),
                        ..Bound::default()
                    };
                    let conditions = [(facts::REQUESTED_TIER, "priority")];
                    let facts = |name| Facts {
                        provider: &model.provider,
                        request_model: Some(name),
                        time_ms: NOW_MS,
                        conditions: &conditions,
                        ..Facts::default()
                    };
                    let own = book.worst_case(facts(&model.id)).and_then(|row| row.of(&bound));
                    let most = alone.worst_case(facts(DEAREST)).and_then(|row| row.of(&bound));
                    assert!(own <= most, "{} {}: {own:?} above {most:?}", model.provider, model.id);
                    seen += usize::from(own.is_some());
                }
            }
        }
        assert!(seen > 1_000, "{seen} rows have a price");
    }

    #[test]
    fn what_a_seller_of_others_models_may_charge_counts() {
        let book = PriceBook::from_files(EMBEDDED).unwrap();
        for (seller, vendor) in [("azure", "openai"), ("vertex", "anthropic"), ("openrouter", "openai")] {
            let rate = |provider| {
                let row = book.dearest(provider, 0).unwrap();
                row.prices[0].standard.rates.of(crate::usage::Kind::Output).unwrap()
            };
            assert!(rate(seller) >= rate(vendor), "{seller} sells what {vendor} makes");
        }
        assert_eq!(book.dearest("nobody", 0), None);
    }
}

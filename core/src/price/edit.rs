//! Changes to a model's prices over time: an override for a period, a discount for one.

use super::file::scaled;
use super::{Price, PricedModel, Variant};

impl PricedModel {
    /// Puts a price in for its period; what held then ends or begins at its edges.
    pub fn set_price(&mut self, new: Price) {
        self.split_at(new.from_ms);
        if let Some(until) = new.until_ms {
            self.split_at(until);
        }
        self.prices.retain(|price| {
            price.from_ms < new.from_ms || new.until_ms.is_some_and(|until| price.from_ms >= until)
        });
        self.prices.push(new);
        self.prices.sort_by_key(|price| price.from_ms);
        // A price that ended with the next one ends with the new one now.
        let starts: Vec<u64> = self.prices.iter().map(|price| price.from_ms).collect();
        for (price, next) in self.prices.iter_mut().zip(starts.iter().skip(1)) {
            price.until_ms = Some(price.until_ms.map_or(*next, |until| until.min(*next)));
        }
    }

    /// Multiplies every rate in a period, of all calls or of those by one `route`. A multiplier such as
    /// `0.85`; rates are rounded up to a whole pico-dollar. `label` says so in every price that it made.
    ///
    /// # Errors
    /// Says what is wrong with the multiplier.
    pub fn discount(
        &mut self,
        period: (u64, Option<u64>),
        route: Option<&str>,
        multiply: &str,
        label: &str,
    ) -> Result<(), String> {
        let (from_ms, until_ms) = period;
        self.split_at(from_ms);
        if let Some(until) = until_ms {
            self.split_at(until);
        }
        let held = |price: &&mut Price| {
            price.from_ms >= from_ms && until_ms.is_none_or(|until| price.from_ms < until)
        };
        for price in self.prices.iter_mut().filter(held) {
            match route {
                None => {
                    scaled(price, multiply)?;
                    price.discount = joined(price.discount.as_deref(), label);
                    for variant in &mut price.variants {
                        variant.discount = joined(variant.discount.as_deref(), label);
                    }
                }
                Some(route) => by_route(price, route, multiply, label)?,
            }
        }
        Ok(())
    }

    /// Makes two prices of the one that holds over an instant, so that one ends and the other begins there.
    fn split_at(&mut self, at_ms: u64) {
        let holds = |price: &Price| price.from_ms < at_ms && price.until_ms.is_none_or(|until| at_ms < until);
        let Some(index) = self.prices.iter().position(holds) else { return };
        let Some(first) = self.prices.get_mut(index) else { return };
        let second = Price { from_ms: at_ms, ..first.clone() };
        first.until_ms = Some(at_ms);
        self.prices.insert(index.saturating_add(1), second);
    }
}

fn by_route(price: &mut Price, route: &str, multiply: &str, label: &str) -> Result<(), String> {
    let mut reduced = price.clone();
    scaled(&mut reduced, multiply)?;
    let plain = Variant { sheet: reduced.standard, discount: price.discount.clone(), ..Variant::default() };
    for mut variant in std::iter::once(plain).chain(reduced.variants) {
        if variant.when.contains_key(ROUTE) {
            continue;
        }
        variant.when.insert(ROUTE.to_owned(), route.to_owned());
        variant.discount = joined(variant.discount.as_deref(), label);
        price.variants.push(variant);
    }
    price.order_variants();
    Ok(())
}

fn joined(before: Option<&str>, label: &str) -> Option<String> {
    Some(before.map_or_else(|| label.to_owned(), |before| format!("{before} × {label}")))
}

/// Fact that names the route of a call.
const ROUTE: &str = "route";

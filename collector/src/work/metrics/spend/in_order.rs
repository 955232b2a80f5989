//! Sums by labels, in the order in which labels first came.

use std::collections::HashMap;
use std::hash::Hash;

use crate::store::{StoreError, Totals};

/// Sums by labels.
pub(super) struct InOrder<L> {
    sums: Vec<(L, Totals)>,
    places: HashMap<L, usize>,
}

impl<L> Default for InOrder<L> {
    fn default() -> Self {
        Self { sums: Vec::new(), places: HashMap::new() }
    }
}

impl<L: Clone + Eq + Hash> InOrder<L> {
    /// Adds to the sum of these labels.
    pub(super) fn add(&mut self, labels: L, totals: &Totals) -> Result<(), StoreError> {
        match self.places.get(&labels).and_then(|place| self.sums.get_mut(*place)) {
            Some((_, sum)) => sum.add(totals)?,
            None => {
                self.places.insert(labels.clone(), self.sums.len());
                self.sums.push((labels, totals.clone()));
            }
        }
        Ok(())
    }

    /// The first so many, and the sum of the others, if there are any, under these labels.
    pub(super) fn bounded(self, most: u64, others: L) -> Result<Vec<(L, Totals)>, StoreError> {
        let mut sums = self.sums;
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(sums.len());
        let rest = sums.split_off(most);
        if !rest.is_empty() {
            let mut sum = Totals::default();
            for (_, totals) in &rest {
                sum.add(totals)?;
            }
            sums.push((others, sum));
        }
        Ok(sums)
    }
}

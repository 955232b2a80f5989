//! What agents used when they began, which later days are compared with.

use std::collections::HashMap;
use std::ops::ControlFlow;

use tollgate_core::money::Picodollars;

use crate::model::clock::{HOUR_MS, HOURS_PER_DAY, signed};
use crate::model::decimal::each;
use crate::store::{FirstDays, Store, StoreError, SummaryQuery, Totals};

/// Days of a baseline unless told.
pub const DAYS: i64 = 7;

/// The hours of a baseline, and what was used in them.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The hour of the first call, in hours since the Unix epoch.
    pub from_hour: i64,
    /// End, exclusive: that of its last day, or the present where its days are not over.
    pub to_hour: i64,
    /// Whether its days are over.
    pub is_whole: bool,
    /// What was used.
    pub totals: Totals,
}

impl Begun {
    /// The baseline of `days` days of UTC, from that of the first call on, as it stands at a time.
    ///
    /// # Errors
    /// When sums pass their bounds.
    pub fn of(one: &FirstDays, days: i64, now_ms: u64) -> Result<Self, StoreError> {
        let end = one.first_hour.div_euclid(HOURS_PER_DAY).saturating_add(days).saturating_mul(HOURS_PER_DAY);
        let present = signed(now_ms.div_ceil(HOUR_MS));
        let mut totals = Totals::default();
        for (_, day) in &one.days {
            totals.add(day)?;
        }
        let is_whole = end <= signed(now_ms / HOUR_MS);
        Ok(Self { from_hour: one.first_hour, to_hour: end.min(present), is_whole, totals })
    }

    /// How long it is, in hours.
    pub fn hours(&self) -> u64 {
        u64::try_from(self.to_hour.saturating_sub(self.from_hour)).unwrap_or(0)
    }

    /// What it cost in 24 hours; none where it has no hour.
    pub fn cost_per_day(&self) -> Option<Picodollars> {
        per_day(self.totals.cost, self.hours())
    }
}

/// What 24 hours cost where `hours` cost so much; none where there is no hour.
pub fn per_day(cost: Picodollars, hours: u64) -> Option<Picodollars> {
    let cost = cost.as_pico().checked_mul(HOURS_PER_DAY.into())?;
    each(Picodollars::from_pico(cost), hours)
}

/// What was used by each value of the query's dimension, without what bills and corrections of closed months
/// added: a baseline has no such thing.
///
/// # Errors
/// When the database fails.
pub async fn used(store: &Store, query: SummaryQuery) -> Result<HashMap<Option<String>, Totals>, StoreError> {
    store
        .details(query, HashMap::new(), |all, row| {
            let mut totals = row.sums.totals;
            totals.cost = totals.cost - row.billed;
            all.insert(row.values.into_iter().next().flatten(), totals);
            ControlFlow::Continue(())
        })
        .await
}

//! What a report is asked about: a time and the calls in it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::error::ApiError;
use super::params::Params;
use super::period::Period;
use super::summary::hint;
use super::summary::question::Question;
use crate::api::hours::{first_hour, hour_of};
use crate::store::{Filters, Store};

/// A time with a beginning and an end, and the calls in it that are asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Start.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// Where civil times and days are meant.
    pub zone: TimeZone,
    /// By dimension.
    pub filters: Filters,
}

impl Asked {
    /// Reads `since`, `from`, `to`, `tz` and the filters. A time that is not named is that of the last
    /// `days`.
    ///
    /// # Errors
    /// Names the parameter, its value and what would be right.
    pub fn read(params: &mut Params, now: Timestamp, days: i64) -> Result<Self, ApiError> {
        // A whole second, as answers show it: what came in this one is part of it.
        let now = Timestamp::from_second(now.as_second().saturating_add(1)).unwrap_or(now);
        let Period { from, to, zone } = Period::read(params, now)?;
        let to = to.unwrap_or(now);
        let since = SignedDuration::from_hours(days.saturating_mul(24));
        let from = match from {
            Some(from) => from,
            None => to.checked_sub(since).map_err(|_| ApiError::parameter("`to` is too early"))?,
        };
        if from >= to {
            return Err(ApiError::parameter(format!("`from` {from} is not before `to` {to}")));
        }
        Ok(Self { from, to, zone, filters: params.filters()? })
    }

    /// Start and end, Unix milliseconds UTC.
    pub fn ms(&self) -> (i64, i64) {
        (self.from.as_millisecond(), self.to.as_millisecond())
    }

    /// The same rounded outward to hours since the Unix epoch, as sums have them.
    pub fn hours(&self) -> (i64, i64) {
        (first_hour(self.from, &self.zone), hour_of(self.to, true))
    }

    /// Why a report has no rows.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn nothing(&self, store: &Store) -> Result<String, ApiError> {
        let period = Period { from: Some(self.from), to: Some(self.to), zone: self.zone.clone() };
        hint::nothing(store, &Question::about(vec![], period, self.filters.clone(), self.to)?).await
    }
}

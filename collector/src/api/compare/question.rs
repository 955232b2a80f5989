//! What is compared.

use jiff::Timestamp;

use crate::api::error::ApiError;
use crate::api::hours::{first_hour, hour_of};
use crate::api::params::Params;
use crate::api::period::{Period, instant as instant_of};
use crate::api::summary::previous;
use crate::api::summary::question::{self, names, parse_top};
use crate::model::compare::drivers;
use crate::model::dimension::Dimension;
use crate::model::nearest::or_rather;
use crate::store::{Month, SummaryQuery};

/// A comparison that is asked for.
pub(super) struct Question {
    /// The period asked for, and the filters.
    pub(super) plain: question::Question,
    /// Hours of the period that it is compared with, the last exclusive.
    pub(super) before: (i64, i64),
    /// What rows are told apart by; none where that is to be looked for.
    pub(super) by: Option<Vec<Dimension>>,
    pub(super) top: Option<u64>,
}

impl Question {
    pub(super) fn read(mut params: Params, now: Timestamp) -> Result<Self, ApiError> {
        let period = Period::read(&mut params, now)?;
        let zone = period.zone.clone();
        let is_told = params.peek("by").is_some();
        let by = names(&mut params, "by")?;
        let by = by.iter().map(|name| dimension(name)).collect::<Result<Vec<_>, _>>()?;
        let is_known = |(at, one): &(usize, &Dimension)| by.iter().take(*at).any(|known| known == *one);
        if let Some((_, twice)) = by.iter().enumerate().find(is_known) {
            return Err(ApiError::parameter(format!("`by` has `{}` twice", twice.name())));
        }
        let with = params.one("with")?;
        let top = params.one("top")?.map(|text| parse_top(&text)).transpose()?;
        let filters = params.filters()?;
        params.finish()?;
        if let Some(from) = period.from.filter(|from| *from > now) {
            return Err(ApiError::parameter(format!(
                "the time asked for has not begun: it starts at {from}, and now is {}",
                Timestamp::from_second(now.as_second()).unwrap_or(now)
            )));
        }
        let plain = question::Question::about(vec![], period, filters, now)?;
        let by = is_told.then_some(by);
        let (from, to) = match with.as_deref() {
            None | Some("previous") => return Ok(Self { top, ..Self::about(plain, by)? }),
            Some(text) if text.parse::<Month>().is_ok() => {
                let Period { from, to, .. } = Period::of_month("with", text, zone)?;
                from.zip(to).ok_or_else(|| ApiError::parameter("`with` is not a month"))?
            }
            Some(text) => {
                let wrong = || {
                    ApiError::parameter(format!(
                        "`with` is `{text}`, not `previous`, a month such as `2026-10`, or a start and an end \
                         such as `2026-10-01..2026-11-01`"
                    ))
                };
                let (from, to) = text.split_once("..").ok_or_else(wrong)?;
                let (from, to) = (instant_of("with", from, &zone)?, instant_of("with", to, &zone)?);
                if from >= to {
                    return Err(ApiError::parameter(format!(
                        "`with` is `{text}`, which ends before it begins"
                    )));
                }
                (from, to)
            }
        };
        let before = (first_hour(from, &plain.zone), hour_of(to, true));
        Ok(Self { plain, before, by, top })
    }

    /// A period against the one before, told apart by these, or by what is looked for.
    ///
    /// # Errors
    /// Where there is no period before.
    pub(super) fn about(plain: question::Question, by: Option<Vec<Dimension>>) -> Result<Self, ApiError> {
        let (from, to) = previous::period((plain.asked_from, plain.asked_to), plain.now, &plain.zone)
            .ok_or_else(|| ApiError::parameter("there is no period before this one in the calendar"))?;
        // No hour is in both.
        let before = (first_hour(from, &plain.zone), hour_of(to, true).min(plain.from_hour));
        Ok(Self { plain, before, by, top: None })
    }

    /// That calls are in both periods, where they are.
    pub(super) fn overlap(&self) -> Option<String> {
        let (from, to) = self.before;
        (from < self.plain.to_hour && self.plain.from_hour < to).then(|| {
            "the two periods overlap: calls of the time in both are compared with themselves".to_owned()
        })
    }

    /// What the store is asked: for all that rows and their parts can need.
    pub(super) fn query(&self) -> SummaryQuery {
        SummaryQuery { by: self.dimensions(), ..self.plain.query() }
    }

    /// The dimensions that the store tells apart, each once.
    pub(super) fn dimensions(&self) -> Vec<Dimension> {
        let mut all = self.by.clone().unwrap_or_else(|| drivers::NAMES.to_vec());
        for more in PRICED_BY {
            if !all.contains(&more) {
                all.push(more);
            }
        }
        all
    }
}

fn dimension(name: &str) -> Result<Dimension, ApiError> {
    let known = Dimension::asked(name).filter(|one| Dimension::ALL.contains(one));
    known.ok_or_else(|| {
        let names = or_rather(name, Dimension::ALL.iter().map(|one| one.name()));
        ApiError::parameter(format!("`by` has `{name}`, not one of {names}"))
    })
}

/// What decides a price: the mix is a change of these.
pub(super) const PRICED_BY: [Dimension; 3] = [Dimension::Provider, Dimension::Model, Dimension::ServiceTier];

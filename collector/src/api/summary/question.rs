//! What is asked of a summary.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tollgate_core::record::Outcome;

use crate::api::error::ApiError;
use crate::api::hours::{first_hour, hour_of, instant};
use crate::api::params::Params;
use crate::api::period::Period;
use crate::model::answers::summary::By;
use crate::model::answers::summary::metric::Metric;
use crate::model::dimension::Dimension;
use crate::model::nearest::or_rather;
use crate::model::unit::Unit;
use crate::store::{Every, Filters, SummaryQuery};

/// A summary that is asked for.
#[derive(Clone, Debug)]
pub(in crate::api) struct Question {
    pub(in crate::api) by: Vec<By>,
    pub(in crate::api) from_hour: i64,
    pub(in crate::api) to_hour: i64,
    /// As it was asked for, not rounded.
    pub(in crate::api) asked_from: Timestamp,
    pub(in crate::api) asked_to: Timestamp,
    pub(in crate::api) now: Timestamp,
    pub(in crate::api) zone: TimeZone,
    pub(in crate::api) filters: Filters,
    /// Columns of an export; none for all.
    pub(in crate::api) metrics: Option<Vec<&'static Metric>>,
    pub(in crate::api) sort: Option<Sort>,
    pub(in crate::api) top: Option<u64>,
    pub(in crate::api) is_estimated: bool,
    pub(in crate::api) is_compared: bool,
    pub(in crate::api) has_trend: bool,
    /// Where tags are told apart: only those with this key, by their values.
    pub(in crate::api) tag_key: Option<String>,
}

/// An order of rows.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Sort {
    pub(super) by: SortBy,
    pub(super) is_down: bool,
}

/// What rows are ordered by.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) enum SortBy {
    Key(By),
    Metric(&'static Metric),
}

impl Question {
    pub(super) fn read(mut params: Params, now: Timestamp) -> Result<Self, ApiError> {
        let period = Period::read(&mut params, now)?;
        let by =
            names(&mut params, "by")?.iter().map(|name| parse_by(name)).collect::<Result<Vec<_>, _>>()?;
        if let Some(twice) = (1..by.len()).find_map(|at| {
            let (before, rest) = by.split_at_checked(at)?;
            rest.first().filter(|one| before.contains(one))
        }) {
            return Err(ApiError::parameter(format!("`by` has `{}` twice", twice.name())));
        }
        let metrics = names(&mut params, "columns")?;
        let metrics = metrics.iter().map(|name| parse_metric(name)).collect::<Result<Vec<_>, _>>()?;
        let sort = params.one("sort")?.map(|name| parse_sort(&name, &by)).transpose()?;
        let top = params.one("top")?.map(|text| parse_top(&text)).transpose()?;
        let is_estimated = params.flag("estimated")?;
        let is_compared = params.one("compare")?.map(|what| parse_compare(&what)).transpose()?.is_some();
        let has_trend = params.flag("trend")?;
        let mut filters = params.filters()?;
        for facet in Dimension::FACETS {
            for value in params.all(facet.name()) {
                filters.accept(facet, value);
            }
        }
        let tag_key = params.one("tag_key")?;
        params.finish()?;
        check_facets(&by, &filters, tag_key.as_deref())?;
        Ok(Self {
            metrics: (!metrics.is_empty()).then_some(metrics),
            sort,
            top,
            is_estimated,
            is_compared,
            has_trend,
            tag_key,
            ..Self::about(by, period, filters, now)?
        })
    }

    /// A plain question about a time, the last seven days unless told.
    ///
    /// # Errors
    /// Where the time ends before it begins.
    pub(in crate::api) fn about(
        by: Vec<By>,
        period: Period,
        filters: Filters,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let to = period.to.unwrap_or(now);
        let from = match period.from {
            Some(from) => from,
            None => to.checked_sub(SINCE).map_err(|_| ApiError::parameter("`to` is too early"))?,
        };
        if from >= to {
            return Err(ApiError::parameter(format!("`from` {from} is not before {to}")));
        }
        Ok(Self {
            by,
            from_hour: first_hour(from, &period.zone),
            to_hour: hour_of(to, true),
            asked_from: from,
            asked_to: to,
            now,
            zone: period.zone,
            filters,
            metrics: None,
            sort: None,
            top: None,
            is_estimated: false,
            is_compared: false,
            has_trend: false,
            tag_key: None,
        })
    }

    /// The number that rows are sorted by.
    pub(super) fn sorted_by(&self) -> Option<&'static str> {
        match self.sort?.by {
            SortBy::Metric(metric) => Some(metric.name),
            SortBy::Key(_) => None,
        }
    }

    /// Whether the answer is made of sums by outcome, run, tag or rule.
    pub(super) fn is_of_a_facet(&self) -> bool {
        Dimension::FACETS.into_iter().any(|facet| is_asked(facet, &self.by, &self.filters))
    }

    pub(in crate::api) fn query(&self) -> SummaryQuery {
        SummaryQuery {
            from_hour: self.from_hour,
            to_hour: self.to_hour,
            by: self.dimensions(),
            every: self.every(),
            zone: self.zone.clone(),
            filters: self.filters.clone(),
            tag_key: self.tag_key.clone(),
        }
    }

    /// The dimensions of `by`, in their order.
    pub(super) fn dimensions(&self) -> Vec<Dimension> {
        let dimension = |by: &By| match by {
            By::Dimension(dimension) => Some(*dimension),
            _ => None,
        };
        self.by.iter().filter_map(dimension).collect()
    }

    /// The units of time of `by`.
    pub(super) fn units(&self) -> impl Iterator<Item = Unit> {
        self.by.iter().filter_map(|by| by.unit())
    }

    /// How the store tells times apart.
    pub(super) fn every(&self) -> Every {
        match self.units().min() {
            None => Every::Period,
            Some(_) if self.cuts_weeks() => Every::Day,
            Some(unit) => every(unit),
        }
    }

    /// Whether rows are of weeks that months cut, so that they are made of days.
    pub(super) fn cuts_weeks(&self) -> bool {
        self.units().min() == Some(Unit::Week) && self.units().any(|unit| unit == Unit::Month)
    }

    /// Start and end of the hour, day, week or month that begins in this hour: of what all units of `by` have
    /// in common.
    pub(super) fn span(&self, hour: i64) -> Option<(Timestamp, Timestamp)> {
        let spans = self.units().filter_map(|unit| unit.span(instant(hour), &self.zone));
        spans.reduce(|one, other| (one.0.max(other.0), one.1.min(other.1)))
    }
}

fn is_asked(facet: Dimension, by: &[By], filters: &Filters) -> bool {
    by.contains(&By::Dimension(facet)) || filters.wants(facet).is_some()
}

/// Sums know one of outcome, run, tag and rule at a time.
fn check_facets(by: &[By], filters: &Filters, tag_key: Option<&str>) -> Result<(), ApiError> {
    let asked: Vec<&str> = Dimension::FACETS
        .into_iter()
        .filter(|facet| is_asked(*facet, by, filters))
        .map(Dimension::name)
        .collect();
    if let [one, other, ..] = asked.as_slice() {
        return Err(ApiError::parameter(format!(
            "`{one}` and `{other}` are asked for together; ask for one of them, or list records"
        )));
    }
    if tag_key.is_some() && !asked.contains(&Dimension::Tag.name()) {
        return Err(ApiError::parameter("`tag_key` is given without `tag` in `by`"));
    }
    if let Some(tag) = filters
        .wants(Dimension::Tag)
        .into_iter()
        .flatten()
        .find(|tag| tag_key.is_none() && !tag.contains('='))
    {
        return Err(ApiError::parameter(format!(
            "`tag` is `{tag}`, not a key and a value such as `customer=acme`"
        )));
    }
    let keys: BTreeSet<&str> = filters
        .wants(Dimension::Tag)
        .into_iter()
        .flatten()
        .filter_map(|tag| Some(tag.split_once('=')?.0))
        .collect();
    if tag_key.is_none() && keys.len() > 1 {
        return Err(ApiError::parameter(
            "`tag` names several keys, and a call may have more than one of them; ask for values of one key",
        ));
    }
    if filters.wants(Dimension::Rule).is_some_and(|rules| rules.len() > 1) {
        return Err(ApiError::parameter(
            "`rule` names several rules, and a call may be noted by more than one of them; ask for one",
        ));
    }
    let outcomes: Vec<&str> = OUTCOMES.iter().map(|outcome| outcome.name()).collect();
    match filters
        .wants(Dimension::Outcome)
        .into_iter()
        .flatten()
        .find(|one| !outcomes.contains(&one.as_str()))
    {
        None => Ok(()),
        Some(wrong) => {
            let names = or_rather(wrong, outcomes.iter().copied());
            Err(ApiError::parameter(format!("`outcome` is `{wrong}`, not one of {names}")))
        }
    }
}

/// How the store tells this unit apart.
pub(super) const fn every(unit: Unit) -> Every {
    match unit {
        Unit::Hour => Every::Hour,
        Unit::Day => Every::Day,
        Unit::Week => Every::Week,
        Unit::Month => Every::Month,
    }
}

/// Names with commas between.
pub(in crate::api) fn names(params: &mut Params, name: &'static str) -> Result<Vec<String>, ApiError> {
    let text = params.one(name)?.unwrap_or_default();
    Ok(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn parse_by(name: &str) -> Result<By, ApiError> {
    By::asked(name).ok_or_else(|| {
        let names: Vec<&str> = By::all().map(By::name).collect();
        let names = or_rather(name, names.iter().copied());
        ApiError::parameter(format!("`by` has `{name}`, not one of {names}"))
    })
}

fn parse_metric(name: &str) -> Result<&'static Metric, ApiError> {
    Metric::asked(name).ok_or_else(|| {
        let names = or_rather(name, Metric::names());
        ApiError::parameter(format!("`columns` has `{name}`, not one of {names}"))
    })
}

fn parse_sort(text: &str, by: &[By]) -> Result<Sort, ApiError> {
    let (name, is_down) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    let key = By::asked(name).filter(|key| by.contains(key)).map(SortBy::Key);
    let by_name = key.or_else(|| Metric::asked(name).map(SortBy::Metric));
    by_name.map(|by| Sort { by, is_down }).ok_or_else(|| {
        let names: Vec<&str> = by.iter().map(|by| by.name()).chain(Metric::names()).collect();
        let names = or_rather(name, names.iter().copied());
        ApiError::parameter(format!(
            "`sort` is `{text}`, not one of the names of `by` or the columns, with `-` before it for the largest \
             first: {names}"
        ))
    })
}

pub(in crate::api) fn parse_top(text: &str) -> Result<u64, ApiError> {
    let top = text.parse().ok().filter(|top| (1..=TOP_MAX).contains(top));
    top.ok_or_else(|| ApiError::parameter(format!("`top` is `{text}`, not a number from 1 to {TOP_MAX}")))
}

fn parse_compare(what: &str) -> Result<(), ApiError> {
    match what {
        "previous" => Ok(()),
        what => Err(ApiError::parameter(format!("`compare` is `{what}`, not `previous`"))),
    }
}

/// Every outcome.
const OUTCOMES: [Outcome; 5] =
    [Outcome::Ok, Outcome::Error, Outcome::ClientAbort, Outcome::UpstreamAbort, Outcome::Denied];
/// How far back a summary looks by default.
const SINCE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Most rows beside the others.
const TOP_MAX: u64 = 100_000;

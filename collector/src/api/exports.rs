//! `GET /api/v1/exports/…`: what is kept, for other systems. Answers are made while they are sent.

pub mod records;
mod sending;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::error::ApiError;
use super::params::{Params, listed};
use super::period::Period;
use crate::model::answers::exports::{DaySpan, ExportableDays};
use crate::model::clock::{MS_PER_HOUR, now};
use crate::model::table::export::Export;
use crate::model::unit::Unit;
use crate::store::{DetailRow, Every, Filters, SummaryQuery};
use crate::work::app::App;
use crate::work::exports::focus::{self, Focus};
use crate::work::exports::rollups as rollup_rows;
use crate::work::prices;
use sending::{Form, Rows, send};

/// Answers of which days there is something to export.
///
/// # Errors
/// When the store fails.
pub async fn days(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    params.finish()?;
    let kept = app.store.kept().await?;
    let span = |(first, last): (i64, i64)| DaySpan {
        first: day(first.div_euclid(MS_PER_HOUR)),
        last: day(last.div_euclid(MS_PER_HOUR)),
    };
    let (records, rollups) = (kept.records.map(span), kept.rollups.map(span));
    Ok(Json(ExportableDays { records, rollups, now: now().to_string() }).into_response())
}

/// Answers sums by hour and all dimensions.
///
/// # Errors
/// For parameters that cannot be used.
pub async fn rollups(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let export = form(&mut params)?;
    let asked = Asked::read(params)?;
    let name = name("rollups", asked.hours);
    let query = asked.query(&rollup_rows::BY, Every::Hour);
    Ok(send(Form::Table(export, rollup_rows::columns()), &name, |rows| async move {
        let take = |rows: &mut Rows, row: DetailRow| rows.row(&rollup_rows::cells(&row));
        app.store.details(query, rows, take).await
    }))
}

/// Answers rows of FOCUS as CSV.
///
/// # Errors
/// For parameters that cannot be used.
pub async fn focus_csv(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    focus(app, params, Export::Csv)
}

/// Answers rows of FOCUS as Parquet.
///
/// # Errors
/// For parameters that cannot be used.
pub async fn focus_parquet(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    focus(app, params, Export::Parquet)
}

fn focus(app: Arc<App>, mut params: Params, export: Export) -> Result<Response, ApiError> {
    let every = match params.one("grain")?.as_deref() {
        None | Some("hour") => Every::Hour,
        Some("day") => Every::Day,
        Some(other) => {
            let names = listed(GRAINS.iter().copied());
            return Err(ApiError::parameter(format!("`grain` is `{other}`, not one of {names}")));
        }
    };
    let asked = Asked::read(params)?;
    let name = name("focus", asked.hours);
    let query = asked.query(&focus::BY, every);
    let book = app.prices.book();
    let config = app.config();
    let list = match config.prices.discounts.is_empty() {
        true => Arc::clone(&book),
        // It was found good when it was read.
        false => prices::list_book("", &config.prices).map_or_else(|_| Arc::clone(&book), Arc::new),
    };
    let focus = Focus::new(book, list, every);
    Ok(send(Form::Table(export, focus::columns()), &name, |rows| async move {
        let take = |(focus, rows): &mut (Focus, Rows), row: DetailRow| {
            focus.rows(&row).iter().try_for_each(|cells| rows.row(cells))
        };
        Ok(app.store.details(query, (focus, rows), take).await?.1)
    }))
}

/// What is asked for.
struct Asked {
    hours: (i64, i64),
    filters: Filters,
}

impl Asked {
    fn read(mut params: Params) -> Result<Self, ApiError> {
        let now = now();
        let period = Period::read(&mut params, now)?;
        if period.zone != TimeZone::UTC {
            return Err(ApiError::parameter("`tz` must be `UTC`: exports have all times in UTC"));
        }
        let filters = params.filters()?;
        params.finish()?;
        Ok(Self { hours: hours(&period, now)?, filters })
    }

    fn query(self, by: &[crate::model::dimension::Dimension], every: Every) -> SummaryQuery {
        let (from_hour, to_hour) = self.hours;
        let (zone, filters) = (TimeZone::UTC, self.filters);
        SummaryQuery { from_hour, to_hour, by: by.to_vec(), every, zone, filters, tag_key: None }
    }
}

/// The form that is asked for.
fn form(params: &mut Params) -> Result<Export, ApiError> {
    let Some(name) = params.one("format")? else { return Ok(Export::Jsonl) };
    Export::ALL.into_iter().find(|export| export.name() == name).ok_or_else(|| {
        let names = listed(Export::ALL.map(Export::name));
        ApiError::parameter(format!("`format` is `{name}`, not one of {names}"))
    })
}

/// The name of a file of this time, without its ending.
fn name(of: &str, (from, to): (i64, i64)) -> String {
    format!("{of}-{}-{}", day(from), day(to))
}

/// The hours of a period; the month that runs, where none is named.
fn hours(period: &Period, now: Timestamp) -> Result<(i64, i64), ApiError> {
    let month = Unit::Month.span(now, &TimeZone::UTC);
    let (start, end) = month.ok_or_else(|| ApiError::parameter("the clock is beyond the calendar"))?;
    let from = match (period.from, period.to) {
        (Some(from), _) => from,
        (None, None) => start,
        (None, Some(_)) => {
            return Err(ApiError::parameter("`from` is missing; give it with `to`, or a `month`"));
        }
    };
    let to = period.to.unwrap_or(end).max(from.saturating_add(SignedDuration::from_hours(1)).unwrap_or(end));
    for (name, time) in [("from", from), ("to", to)] {
        if time.as_millisecond() % MS_PER_HOUR != 0 {
            let message =
                format!("`{name}` is {time}, not the start of an hour: exports are made of whole ones");
            return Err(ApiError::parameter(message));
        }
    }
    Ok((from.as_millisecond() / MS_PER_HOUR, to.as_millisecond() / MS_PER_HOUR))
}

/// The day of an hour, as it is written in names of files.
fn day(hour: i64) -> String {
    let time = Timestamp::from_millisecond(hour.saturating_mul(MS_PER_HOUR)).unwrap_or_default();
    time.to_zoned_datetime(TimeZone::UTC).date().to_string()
}

const GRAINS: [&str; 2] = ["hour", "day"];

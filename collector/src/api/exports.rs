//! `GET /api/v1/exports/…`: what is kept, for other systems. Answers are made while they are sent.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tracing::error;

use super::error::ApiError;
use super::params::{Params, listed};
use super::period::Period;
use super::stream::{self, Sink, streamed};
use crate::model::clock::{MS_PER_HOUR, now};
use crate::model::table::export::{Export, NotWritten, TableWriter};
use crate::model::unit::Unit;
use crate::store::{DetailRow, Every, SummaryQuery};
use crate::work::app::App;
use crate::work::exports::focus::{self, Focus};
use crate::work::prices;

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
    let now = now();
    let period = Period::read(&mut params, now)?;
    if period.zone != TimeZone::UTC {
        return Err(ApiError::parameter("`tz` must be `UTC`: FOCUS has all times in UTC"));
    }
    let every = match params.one("grain")?.as_deref() {
        None | Some("hour") => Every::Hour,
        Some("day") => Every::Day,
        Some(other) => {
            let names = listed(GRAINS.iter().copied());
            return Err(ApiError::parameter(format!("`grain` is `{other}`, not one of {names}")));
        }
    };
    let filters = params.filters()?;
    params.finish()?;
    let (from_hour, to_hour) = hours(&period, now)?;
    let query = SummaryQuery {
        from_hour,
        to_hour,
        by: focus::BY.to_vec(),
        every,
        zone: TimeZone::UTC,
        filters,
        tag_key: None,
    };
    let book = app.prices.book();
    let config = app.config();
    let list = match config.prices.discounts.is_empty() {
        true => Arc::clone(&book),
        // It was found good when it was read.
        false => prices::list_book("", &config.prices).map_or_else(|_| Arc::clone(&book), Arc::new),
    };
    let focus = Focus::new(book, list, every);
    let (sink, body) = streamed();
    let broken = sink.breaker();
    let writer = TableWriter::new(export, focus::columns(), sink);
    tokio::spawn(async move {
        let written = async {
            let state = (focus, writer?, Ok(()));
            let told = app.store.details(query, state, take).await;
            let (_, writer, done) = told.map_err(|cause| Broken::Store(cause.to_string()))?;
            done?;
            tokio::task::spawn_blocking(move || end(writer)).await.map_err(|_| Broken::Stopped)?
        };
        if let Err(cause) = written.await {
            cause.log();
            broken.break_off().await;
        }
    });
    let name = format!("focus-{}-{}.{}", day(from_hour), day(to_hour), export.name());
    Ok(download(body, export, &name))
}

/// The state of an export of FOCUS: what makes rows, what writes them, and whether that went well.
type Writing = (Focus, TableWriter<Sink>, Result<(), NotWritten>);

fn take((focus, writer, done): &mut Writing, row: DetailRow) -> ControlFlow<()> {
    for cells in focus.rows(&row) {
        if let Err(error) = writer.row(&cells) {
            *done = Err(error);
            return ControlFlow::Break(());
        }
    }
    ControlFlow::Continue(())
}

fn end(writer: TableWriter<Sink>) -> Result<(), Broken> {
    let sink = writer.finish()?;
    stream::end(sink).map_err(|error| Broken::Client(error.to_string()))
}

/// Why an export is not whole.
#[derive(Debug)]
enum Broken {
    Store(String),
    Client(String),
    Stopped,
}

impl From<NotWritten> for Broken {
    fn from(error: NotWritten) -> Self {
        Self::Client(error.to_string())
    }
}

impl Broken {
    fn log(&self) {
        match self {
            Self::Store(cause) => error!(cause, "The store failed during an export"),
            Self::Client(cause) => tracing::info!(cause, "An export was not taken to its end"),
            Self::Stopped => tracing::info!("An export was not taken to its end, as the collector stops"),
        }
    }
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

fn download(body: axum::body::Body, export: Export, name: &str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(export.content_type()));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    response
}

const GRAINS: [&str; 2] = ["hour", "day"];

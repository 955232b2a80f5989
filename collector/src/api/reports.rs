//! `/api/v1/reports`: reports that are mailed: which there are, what one says, and one sent by hand.

mod content;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;

use super::error::ApiError;
use super::extract::Segment;
use super::params::Params;
use super::sync;
use crate::config::{Config, Report};
use crate::model::answers::List;
use crate::model::answers::reports::{ReportRow, ReportSent, html, text};
use crate::model::clock::{millis, now, rfc3339};
use crate::model::nearest::or_rather;
use crate::store::{ByHand, StoreError};
use crate::work::access::Caller;
use crate::work::alerts::deliver::Outcome;
use crate::work::app::App;
use crate::work::following;
use crate::work::mailed::run::{self, Making};
use crate::work::mailed::schedule::Period;

/// `GET /api/v1/reports`: every report of the configuration, in its order.
///
/// # Errors
/// For parameters, and when the store fails.
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    params.finish()?;
    let mut rows = Vec::new();
    for report in &app.config().reports {
        rows.push(row(&app, report, now()).await?);
    }
    Ok(Json(List { rows }).into_response())
}

/// `GET /api/v1/reports/{name}/preview`: what it says of its last whole period, or of `period`, as JSON, or
/// as the text or the HTML of its mail.
///
/// # Errors
/// For a report that is not there, parameters that cannot be used, and when the store fails.
pub async fn preview(
    State(app): State<Arc<App>>,
    Segment(name): Segment,
    mut params: Params,
) -> Result<Response, ApiError> {
    let (period, format) = (params.one("period")?, params.one("format")?);
    params.finish()?;
    let report = found(&app.config(), &name)?;
    let period = asked(&report, period.as_deref(), now())?;
    following::catch_up(&app).await?;
    let made = content::of(&app, &report, &period).await?;
    match format.as_deref() {
        None | Some("json") => Ok(Json(made).into_response()),
        Some("text") => Ok(text::text(&made).into_response()),
        Some("html") => {
            let mut page = html::html(&made).into_response();
            let headers = page.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING_ELSE));
            Ok(page)
        }
        Some(other) => {
            Err(ApiError::parameter(format!("`format` is `{other}`, not one of `json`, `text`, `html`")))
        }
    }
}

/// `POST /api/v1/reports/{name}/send`: sends it now, about its last whole period or `period`; one that was
/// sent only with `again`.
///
/// # Errors
/// For a report that is not there, parameters that cannot be used, one that was sent or is being sent, and
/// when the mail server does not take it.
pub async fn send(
    State(app): State<Arc<App>>,
    Segment(name): Segment,
    caller: Caller,
    mut params: Params,
    request: Request,
) -> Result<Response, ApiError> {
    let (period, is_again) = (params.one("period")?, params.flag("again")?);
    params.finish()?;
    if !sync::read(request).await.map_err(|(_, error)| error)?.is_empty() {
        return Err(ApiError::body(
            "the request has a body, and this takes none: say the period in the address, as in \
             `?period=2026-W47`, and `&again=true` to send it again",
        ));
    }
    let config = app.config();
    let report = found(&config, &name)?;
    let (at, planned) = (now(), |period: &Period| Period::planned(Some(period), &report));
    let period = asked(&report, period.as_deref(), at)?;
    following::catch_up(&app).await?;
    let made = content::of(&app, &report, &period).await?;
    match app.store.claim_by_hand(planned(&period), is_again, millis(at)).await? {
        ByHand::Taken => {}
        ByHand::Sending => {
            let message = format!("report `{name}` about {} is being sent now", period.name);
            return Err(ApiError::conflict(message));
        }
        ByHand::Sent(sent) => {
            return Err(ApiError::conflict(format!(
                "report `{name}` about {} was sent at {}; send it again with `again`",
                period.name,
                rfc3339(sent).unwrap_or_default()
            )));
        }
    }
    let salt = if is_again { at.to_string() } else { String::new() };
    let letter = run::letter(&config, &made, &salt);
    let (subject, to) = (letter.subject.clone(), report.email.to.clone());
    let error = match run::send(report.email.clone(), letter).await {
        Outcome::Delivered => None,
        Outcome::Later(error, _) | Outcome::Never(error) => Some(error),
    };
    let mut entry = caller.entry("report.send", &name);
    entry.after = Some(json!({"period": period.name, "to": to, "again": is_again, "error": error}));
    app.store.note_by_hand(name.clone(), period.name.clone(), error.clone(), entry).await?;
    match error {
        None => Ok(Json(ReportSent { name, period: period.name, to, subject }).into_response()),
        Some(error) => {
            Err(ApiError::not_delivered(format!("channel `{}` does not take it: {error}", report.channel)))
        }
    }
}

/// Makes a report for its schedule.
pub fn make(app: Arc<App>, report: Report, period: Period) -> Making {
    Box::pin(async move {
        content::of(&app, &report, &period).await.map_err(|error| anyhow::anyhow!("{}", error.message()))
    })
}

async fn row(app: &App, report: &Report, now: Timestamp) -> Result<ReportRow, StoreError> {
    let mails = app.store.mails(report.name.clone(), MAILS, millis(now)).await?;
    let next = Period::next(report, now);
    Ok(ReportRow {
        name: report.name.clone(),
        every: report.every.unit().name().to_owned(),
        scope: report.scope_text(),
        channel: report.channel.clone(),
        to: report.email.to.clone(),
        hour: report.hour.unsigned_abs(),
        time_zone: content::zone_name(report),
        next_period: next.as_ref().map(|next| next.name.clone()),
        next: next.map(|next| next.due.to_string()),
        last_sent: mails.iter().filter_map(|mail| mail.sent.clone()).max(),
        mails,
    })
}

fn found(config: &Config, name: &str) -> Result<Report, ApiError> {
    config.reports.iter().find(|report| report.name == name).cloned().ok_or_else(|| {
        let names: Vec<&str> = config.reports.iter().map(|report| report.name.as_str()).collect();
        ApiError::not_found(match names.as_slice() {
            [] => format!("there is no report `{name}`, as the configuration has no `[[reports]]`"),
            _ => format!("there is no report `{name}`; there are {}", or_rather(name, names)),
        })
    })
}

/// The period with this name, else the last whole one.
fn asked(report: &Report, name: Option<&str>, now: Timestamp) -> Result<Period, ApiError> {
    match name {
        Some(name) => Period::named(report, name, now).map_err(ApiError::parameter),
        None => {
            let over = Period::over(report, now);
            over.ok_or_else(|| ApiError::parameter("there is no period before this one in the calendar"))
        }
    }
}

/// Mails that a list shows of each report.
const MAILS: usize = 5;
/// A preview may load nothing and run nothing.
const NOTHING_ELSE: &str = "default-src 'none'; style-src 'unsafe-inline'";

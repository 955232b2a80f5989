//! `POST /api/v1/reconcile`: a bill of a provider beside what gateways saw, and what is booked of it.

use std::future::poll_fn;
use std::io::{self, BufRead, Read};
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::body::{Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use super::error::ApiError;
use super::params::Params;
use crate::model::clock::now;
use crate::model::role::Role;
use crate::store::BOOKED;
use crate::work::app::App;
use crate::work::reconcile::run::{Ask, Booking, NotReconciled, percent, run};
use crate::work::reconcile::{Asked, Bill, read};

/// Reads a bill as it comes, and answers the gap of each day, provider and model by cause. With `book`
/// corrected totals are booked, for which a token that writes is needed, unless `dry_run` says only to show
/// them.
///
/// # Errors
/// For parameters and a bill that cannot be used, without the right token, and when the store fails: nothing
/// is booked then.
pub async fn reconcile(
    State(app): State<Arc<App>>,
    mut params: Params,
    request: Request,
) -> Result<Response, ApiError> {
    let tz = params.one("tz")?.unwrap_or_else(|| "UTC".to_owned());
    let zone = TimeZone::get(&tz).map_err(|_| {
        ApiError::parameter(format!("`tz` is `{tz}`, which is no time zone such as `Europe/Berlin`"))
    })?;
    let only = params.one("provider")?;
    let max_gap = params.one("max_gap")?.map(|text| {
        percent(&text).map_err(|error| ApiError::parameter(format!("`max_gap` is `{text}`: {error}")))
    });
    let max_gap = max_gap.transpose()?;
    let name = params.one("name")?.filter(|name| !name.is_empty()).unwrap_or_else(|| "bill".to_owned());
    let reason = params.one("reason")?.filter(|reason| !reason.trim().is_empty());
    let (is_booked, is_shown) = (params.flag("book")?, params.flag("dry_run")?);
    params.finish()?;
    if let Some((key, long)) = [("name", Some(&name)), ("reason", reason.as_ref())]
        .into_iter()
        .find_map(|(key, text)| Some((key, text.filter(|text| text.len() > TEXT_BYTES_MAX)?)))
    {
        let bytes = long.len();
        return Err(ApiError::parameter(format!(
            "`{key}` has {bytes} bytes; at most {TEXT_BYTES_MAX} are right"
        )));
    }
    let booking = match (is_booked, is_shown) {
        (false, false) if reason.is_some() => {
            return Err(ApiError::parameter(
                "`reason` is given without `book`; nothing is booked without it",
            ));
        }
        (false, false) => Booking::No,
        (_, true) => Booking::Shown(reason),
        (true, false) => {
            let caller = app.access.caller(request.headers(), Role::Write);
            let caller = caller.ok_or_else(ApiError::unauthorized)?;
            let reason = reason.ok_or_else(|| {
                ApiError::parameter(
                    "`reason` is missing; say why the bill is booked, such as `invoice 2026-10`",
                )
            })?;
            Booking::Written(reason, Box::new(caller.entry(BOOKED, "")))
        }
    };
    let bill = received(request, name.clone(), zone.clone(), only).await?;
    let answer = run(&app, &bill, Ask { tz, zone, max_gap, name, booking }).await?;
    Ok(Json(answer).into_response())
}

/// Reads a bill while it comes.
async fn received(
    request: Request,
    name: String,
    zone: TimeZone,
    only: Option<String>,
) -> Result<Bill, ApiError> {
    let (sender, pieces) = mpsc::channel(PIECES_WAITING);
    let reading = tokio::task::spawn_blocking(move || {
        let mut bill = Bill::default();
        let pieces = Pieces { pieces, now: Bytes::new(), broken: false };
        let today = TimeZone::UTC.to_datetime(now()).date();
        let asked = Asked { zone: &zone, only: only.as_deref(), today };
        read::read(&mut bill, &name, pieces, &asked)?;
        bill.whole().map(|()| bill)
    });
    let mut body = request.into_body();
    let mut length = 0usize;
    let mut is_broken = false;
    while length <= DISCARDED_BYTES_MAX
        && let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        let Ok(frame) = frame else {
            is_broken = true;
            break;
        };
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        // A reader that has found a mistake takes no more; its sender is heard out, to hear the answer.
        let piece = (length <= BODY_BYTES_MAX).then_some(data);
        let _ = sender.send(piece).await;
    }
    if is_broken {
        let _ = sender.send(None).await;
    }
    drop(sender);
    let read = reading.await.map_err(|_| ApiError::unavailable("the collector is stopping"))?;
    if length > BODY_BYTES_MAX {
        return Err(ApiError::bill_too_large(BODY_BYTES_MAX));
    }
    if is_broken {
        return Err(ApiError::broken_body());
    }
    read.map_err(ApiError::body)
}

/// A body as it comes, for a reader that waits; `None` where it broke off or is too long.
struct Pieces {
    pieces: mpsc::Receiver<Option<Bytes>>,
    now: Bytes,
    broken: bool,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.now.is_empty() && !self.broken {
            match self.pieces.blocking_recv() {
                Some(Some(piece)) => self.now = piece,
                Some(None) => self.broken = true,
                None => break,
            }
        }
        if self.broken { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(&self.now) }
    }

    fn consume(&mut self, count: usize) {
        let _ = self.now.split_to(count.min(self.now.len()));
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl From<NotReconciled> for ApiError {
    fn from(error: NotReconciled) -> Self {
        match error {
            NotReconciled::Bill(message) => Self::body(message),
            NotReconciled::Meanwhile => Self::conflict(error.to_string()),
            NotReconciled::Store(error) => error.into(),
        }
    }
}

/// Longest bill that is read of a request; it has to come in the time that every body has.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Of a longer one, this much is read before it is refused.
const DISCARDED_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;
/// Pieces of a body that wait for their reader.
const PIECES_WAITING: usize = 16;
/// Longest name and reason.
const TEXT_BYTES_MAX: usize = 500;

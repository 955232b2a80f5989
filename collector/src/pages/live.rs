//! `GET /live`: says when pages have something new to show, as server-sent events.
//!
//! An event says nothing of what is new: a page asks for itself again, with the rights that it then has.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>, as known; not read anew.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::visitor::Visitor;
use crate::work::news::Heard;

/// What a browser's `EventSource` listens to.
pub(super) async fn listen(visitor: Visitor) -> Response {
    let Some(news) = visitor.site.app.news.listen() else {
        let answer = (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "60")], "as many listen as may\n");
        return answer.into_response();
    };
    let (lines, body) = mpsc::channel(1);
    tokio::spawn(tell(news, lines));
    ([(CONTENT_TYPE, "text/event-stream")], Body::new(Lines(body))).into_response()
}

/// Writes an event for what is new, not too often, and another where nothing is, so that either side notices
/// when the other is gone. It ends after a while: the browser then comes again, and shows again who it is.
async fn tell(mut news: Heard, lines: mpsc::Sender<&'static str>) {
    let end = Instant::now() + LASTS;
    let mut line = FIRST;
    let mut next = Instant::now();
    while lines.send(line).await.is_ok() && next < end {
        tokio::select! {
            () = lines.closed() => return,
            _ = news.end.changed() => return,
            () = sleep_until(next) => {}
        }
        let silent = Instant::now() + SILENT;
        line = match timeout_at(silent.min(end), news.newest.changed()).await {
            Ok(Ok(())) => CHANGED,
            Ok(Err(_)) => return,
            Err(_) => NOTHING,
        };
        next = Instant::now() + if line == CHANGED { BETWEEN } else { Duration::ZERO };
    }
}

struct Lines(mpsc::Receiver<&'static str>);

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let line = self.0.poll_recv(context);
        line.map(|line| Some(Ok(Frame::data(Bytes::from_static(line?.as_bytes())))))
    }
}

/// How long a browser waits before it comes again, milliseconds.
const FIRST: &str = "retry: 3000\n\n";
const CHANGED: &str = "event: changed\ndata: new\n\n";
const NOTHING: &str = "event: nothing\ndata: new\n\n";
/// Between two events: what is new meanwhile comes with the next one.
const BETWEEN: Duration = Duration::from_secs(5);
/// A line comes at least so often.
const SILENT: Duration = Duration::from_secs(5);
/// How long one answer lasts.
const LASTS: Duration = Duration::from_secs(300);

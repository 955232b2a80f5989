//! Rows on their way to a client.

use std::io::Write as _;
use std::ops::ControlFlow;

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tracing::{error, info};

use crate::api::stream::{self, Sink, streamed};
use crate::model::table::export::{Export, NotWritten, TableWriter};
use crate::model::table::{Cell, Column};
use crate::store::StoreError;

/// Takes rows, as far as the client takes them.
#[derive(Debug)]
pub(super) struct Rows {
    to: To,
    done: Result<(), NotWritten>,
}

#[derive(Debug)]
enum To {
    Table(TableWriter<Sink>),
    /// As they are, one a line.
    Lines(Sink),
}

/// What rows are written as.
pub(super) enum Form {
    /// A table with these columns.
    Table(Export, Vec<Column>),
    /// Lines of JSON that are made already.
    Lines,
}

impl Rows {
    /// Writes a row; breaks off where nobody takes it.
    pub(super) fn row(&mut self, cells: &[Cell]) -> ControlFlow<()> {
        if let To::Table(writer) = &mut self.to {
            self.done = writer.row(cells);
        }
        self.go_on()
    }

    /// Writes a line; breaks off where nobody takes it.
    pub(super) fn line(&mut self, mut line: Vec<u8>) -> ControlFlow<()> {
        line.push(b'\n');
        if let To::Lines(sink) = &mut self.to {
            self.done = sink.write_all(&line).map_err(|error| NotWritten::of(&error));
        }
        self.go_on()
    }

    fn go_on(&self) -> ControlFlow<()> {
        if self.done.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Sends what is left. Waits for the client.
    fn end(self) -> Result<(), NotWritten> {
        self.done?;
        let sink = match self.to {
            To::Table(writer) => writer.finish()?,
            To::Lines(sink) => sink,
        };
        stream::end(sink).map_err(|error| NotWritten::of(&error))
    }
}

/// Answers with what `work` writes, while it does. Where it fails, the answer breaks off.
pub(super) fn send<W>(form: Form, name: &str, work: impl FnOnce(Rows) -> W) -> Response
where
    W: Future<Output = Result<Rows, StoreError>> + Send + 'static,
{
    let (sink, body) = streamed();
    let broken = sink.breaker();
    let (kind, extension) = match &form {
        Form::Table(export, _) => (export.content_type(), export.name()),
        Form::Lines => (Export::Jsonl.content_type(), Export::Jsonl.name()),
    };
    let to = match form {
        Form::Table(export, columns) => TableWriter::new(export, columns, sink).map(To::Table),
        Form::Lines => Ok(To::Lines(sink)),
    };
    let working = to.map(|to| work(Rows { to, done: Ok(()) }));
    tokio::spawn(async move {
        let is_whole = match working {
            Ok(working) => is_whole(working.await).await,
            Err(cause) => left(&cause),
        };
        if !is_whole {
            broken.break_off().await;
        }
    });
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.{extension}\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    response
}

async fn is_whole(worked: Result<Rows, StoreError>) -> bool {
    let rows = match worked {
        Ok(rows) => rows,
        Err(cause) => {
            error!(%cause, "The store failed during an export");
            return false;
        }
    };
    match tokio::task::spawn_blocking(move || rows.end()).await {
        Ok(Ok(())) => true,
        Ok(Err(cause)) => left(&cause),
        // The collector stops.
        Err(_) => false,
    }
}

fn left(cause: &NotWritten) -> bool {
    info!(%cause, "An export was not taken to its end");
    false
}

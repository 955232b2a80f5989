//! Answers that are made while they are sent.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

/// Takes what is written, piece by piece, to a client. Only for threads that may wait.
#[derive(Debug)]
pub(super) struct Sink {
    pieces: Sender<io::Result<Bytes>>,
    waiting: Vec<u8>,
    runtime: Handle,
}

/// A place to write to, and the body that has what is written there.
pub(super) fn streamed() -> (Sink, Body) {
    let (pieces, body) = channel(PIECES_WAITING);
    let sink = Sink { pieces, waiting: Vec::with_capacity(PIECE_BYTES), runtime: Handle::current() };
    (sink, Body::new(Pieces(body)))
}

impl Sink {
    /// How to tell the client, later, that what it has is not the whole.
    pub(super) fn breaker(&self) -> Breaker {
        Breaker(self.pieces.clone())
    }

    fn send(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.waiting, Vec::with_capacity(PIECE_BYTES));
        let sent = timeout(CLIENT_WAITS, self.pieces.send(Ok(piece.into())));
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            // The client is gone, or takes nothing: a snapshot is not held for it.
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends an answer before its end.
#[derive(Debug)]
pub(super) struct Breaker(Sender<io::Result<Bytes>>);

impl Breaker {
    /// Breaks the connection off, so that the client does not take what it has for the whole.
    pub(super) async fn break_off(self) {
        let broken = io::Error::other("the answer could not be made to its end");
        // A client that is gone needs no telling.
        let _ = timeout(CLIENT_WAITS, self.0.send(Err(broken))).await;
    }
}

/// Ends the answer.
pub(super) fn end(mut sink: Sink) -> io::Result<()> {
    sink.send()
}

struct Pieces(Receiver<io::Result<Bytes>>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|piece| Some(piece?.map(Frame::data)))
    }
}

/// A piece is sent when it is this long.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for the client.
const PIECES_WAITING: usize = 4;
/// How long a client may take nothing.
const CLIENT_WAITS: Duration = Duration::from_secs(60);

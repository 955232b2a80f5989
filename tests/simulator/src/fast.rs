//! A fixed answer as fast as it can be given: the upstream of benchmarks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An upstream with two answers: a stream for requests that say `accept: text/event-stream`, else JSON.
#[derive(Debug)]
pub struct FastUpstream {
    address: SocketAddr,
    answers: Arc<Answers>,
}

impl FastUpstream {
    /// Starts on a free port, on a thread of its own that lives as long as the process.
    ///
    /// # Errors
    /// No port could be had.
    pub fn start(json: Vec<u8>, sse: &[Vec<u8>]) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let answers =
            Arc::new(Answers { json: whole(&json), sse: chunked(sse), given: AtomicU64::default() });
        let shared = Arc::clone(&answers);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("fast-upstream".into()).spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener of this process");
                loop {
                    let Ok((stream, _)) = listener.accept().await else {
                        continue;
                    };
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(connection(stream, Arc::clone(&shared)));
                }
            });
        })?;
        Ok(Self { address, answers })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many answers it has given.
    pub fn given(&self) -> u64 {
        self.answers.given.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Answers {
    json: Vec<u8>,
    sse: Vec<Vec<u8>>,
    given: AtomicU64,
}

/// One connection: requests one after the other, whose heads name a content length or no body.
async fn connection(mut stream: TcpStream, answers: Arc<Answers>) {
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        let Some((request_bytes, is_sse)) = read_request(&mut stream, &mut buffer).await else {
            return;
        };
        buffer.drain(..request_bytes);
        let written = if is_sse {
            write_all(&mut stream, &answers.sse).await
        } else {
            stream.write_all(&answers.json).await
        };
        if written.is_err() {
            return;
        }
        answers.given.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads until one whole request is in `buffer`; its bytes, and whether it asks for the stream.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(usize, bool)> {
    loop {
        if let Some(found) = whole_request(buffer) {
            return Some(found);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn whole_request(buffer: &[u8]) -> Option<(usize, bool)> {
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&buffer[..end]).ok()?;
    let is_sse = head.contains("accept: text/event-stream");
    let body: usize = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    (buffer.len() >= end + body).then_some((end + body, is_sse))
}

async fn write_all(stream: &mut TcpStream, pieces: &[Vec<u8>]) -> std::io::Result<()> {
    for piece in pieces {
        stream.write_all(piece).await?;
    }
    Ok(())
}

fn whole(body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// The events as HTTP chunks, eight to a write: what a busy connection looks like.
fn chunked(events: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut pieces = vec![head.to_vec()];
    for group in events.chunks(EVENTS_PER_WRITE) {
        let mut piece = Vec::new();
        for event in group {
            piece.extend_from_slice(format!("{:x}\r\n", event.len()).as_bytes());
            piece.extend_from_slice(event);
            piece.extend_from_slice(b"\r\n");
        }
        pieces.push(piece);
    }
    pieces.push(b"0\r\n\r\n".to_vec());
    pieces
}

const EVENTS_PER_WRITE: usize = 8;

//! A client that writes requests byte by byte: framings, paths and upgrades that a library would not send.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Framing {
    /// By `content-length`.
    #[default]
    Length,
    /// In chunks of so many bytes.
    Chunked(usize),
    /// In one chunk, and never: the last chunk is not sent.
    Endless,
    /// Chunked, with trailers behind it.
    Trailers,
    /// By `content-length`, in a request to upgrade the connection.
    Upgrade,
    /// HTTP/2, without a length.
    Http2,
}

/// A request as it is written.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// Method.
    pub method: String,
    /// Path and query, as they are.
    pub target: String,
    /// Headers besides those of the framing.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How its end is told.
    pub framing: Framing,
    /// After so long the caller hangs up, whatever came.
    pub hang_up: Option<Duration>,
}

impl Raw {
    /// Sends it and reads until the answer ends, stands still, or it is time to hang up. Gives the answer's
    /// status (0 for none, and for HTTP/2, whose headers are not read) and what came.
    ///
    /// # Errors
    /// No connection.
    pub async fn send(&self, to: SocketAddr) -> Result<(u16, String)> {
        let mut socket = TcpStream::connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
        socket.set_nodelay(true)?;
        let request = if self.framing == Framing::Http2 { self.http2(to) } else { self.http1(to) };
        // Whoever refuses early may close before it has all.
        let (mut reading, mut writing) = socket.split();
        let write = async {
            let _ = writing.write_all(&request).await;
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        let read = self.read(&mut reading, &mut answer);
        tokio::select! {
            () = write => {}
            _ = timeout(self.hang_up.unwrap_or(PATIENCE), read) => {}
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        Ok((status.unwrap_or(0), answer))
    }

    async fn read(&self, from: &mut (impl tokio::io::AsyncRead + Unpin), answer: &mut Vec<u8>) {
        let mut buffer = vec![0; 16_384];
        loop {
            let patience = if answer.is_empty() { PATIENCE } else { STANDSTILL };
            match timeout(patience, from.read(&mut buffer)).await {
                Ok(Ok(size)) if size > 0 => answer.extend_from_slice(buffer.get(..size).unwrap_or_default()),
                _ => return,
            }
            let is_over = match self.framing {
                Framing::Http2 => http2_is_over(answer),
                _ => http1_is_over(answer),
            };
            if is_over {
                return;
            }
        }
    }

    fn http1(&self, to: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {to}\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = format!("content-length: {}\r\n", self.body.len());
        let framing = match self.framing {
            Framing::Upgrade => format!("{length}connection: upgrade\r\nupgrade: websocket\r\n"),
            Framing::Length | Framing::Http2 => format!("{length}connection: close\r\n"),
            Framing::Trailers => {
                "transfer-encoding: chunked\r\ntrailer: x-end\r\nconnection: close\r\n".into()
            }
            Framing::Chunked(_) | Framing::Endless => {
                "transfer-encoding: chunked\r\nconnection: close\r\n".into()
            }
        };
        let mut request = format!("{head}{framing}\r\n").into_bytes();
        let chunk = match self.framing {
            Framing::Chunked(size) => size.max(1),
            Framing::Endless | Framing::Trailers => self.body.len().max(1),
            Framing::Length | Framing::Upgrade | Framing::Http2 => {
                request.extend_from_slice(&self.body);
                return request;
            }
        };
        for piece in self.body.chunks(chunk) {
            request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            request.extend_from_slice(piece);
            request.extend_from_slice(b"\r\n");
        }
        match self.framing {
            Framing::Endless => {}
            Framing::Trailers => request.extend_from_slice(b"0\r\nx-end: yes\r\n\r\n"),
            _ => request.extend_from_slice(b"0\r\n\r\n"),
        }
        request
    }

    /// One stream of RFC 9113: its headers are literals (RFC 7541, section 6.2.2), so that nothing is to be
    /// remembered.
    fn http2(&self, to: SocketAddr) -> Vec<u8> {
        let mut block = Vec::new();
        let authority = to.to_string();
        let pseudo = [
            (":method", self.method.as_str()),
            (":scheme", "http"),
            (":path", &self.target),
            (":authority", &authority),
        ];
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in pseudo.into_iter().chain(headers) {
            block.push(0);
            hpack_text(name, &mut block);
            hpack_text(value, &mut block);
        }
        let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        frame(SETTINGS, 0, 0, &[], &mut request);
        frame(HEADERS, END_HEADERS, 1, &block, &mut request);
        for piece in self.body.chunks(8_192) {
            frame(DATA, 0, 1, piece, &mut request);
        }
        frame(DATA, END_STREAM, 1, &[], &mut request);
        request
    }
}

/// A string without Huffman's code (RFC 7541, section 5.2).
fn hpack_text(text: &str, out: &mut Vec<u8>) {
    let mut length = text.len();
    if length < 127 {
        out.push(u8::try_from(length).unwrap_or(0));
    } else {
        out.push(127);
        length -= 127;
        while length >= 128 {
            out.push(u8::try_from(length % 128).unwrap_or(0) | 128);
            length /= 128;
        }
        out.push(u8::try_from(length).unwrap_or(0));
    }
    out.extend_from_slice(text.as_bytes());
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    out.extend_from_slice(length.get(1..).unwrap_or_default());
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Whether a frame of stream 1 ended it.
fn http2_is_over(answer: &[u8]) -> bool {
    let mut rest = answer;
    while let Some(([high, middle, low, kind, flags, _, _, _, stream], tail)) = rest.split_first_chunk() {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        let ends = matches!(*kind, DATA | HEADERS) && flags & END_STREAM != 0;
        if *stream == 1 && (ends || *kind == RST_STREAM) || *kind == GOAWAY {
            return true;
        }
        let Some(next) = tail.get(length..) else { return false };
        rest = next;
    }
    false
}

fn http1_is_over(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let body = answer.get(end + 4..).unwrap_or_default();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    match length {
        Some(length) => body.len() >= length,
        None => head.contains("chunked") && body.ends_with(b"0\r\n\r\n"),
    }
}

/// Until an answer begins.
const PATIENCE: Duration = Duration::from_secs(12);
/// An answer that stands still so long is over.
const STANDSTILL: Duration = Duration::from_millis(1_500);
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

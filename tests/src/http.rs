//! An HTTP/1.1 client that can send any header bytes, read piece by piece, and hang up.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// An answer, read to its end or to where it broke off.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as far as it came.
    pub body: Bytes,
    /// Whether the body came to its end.
    pub complete: bool,
}

/// An answer whose body is read by the piece; dropping it hangs up.
#[derive(Debug)]
pub struct Opened {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    body: hyper::body::Incoming,
    connection: Connection,
}

/// The task of a connection, which ends with its holder.
#[derive(Debug)]
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Call {
    /// A `GET`.
    pub fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// A `POST` of JSON.
    pub fn post(path: &str, body: &Value) -> Self {
        Self::post_bytes(path, body.to_string()).header("content-type", "application/json")
    }

    /// A `PUT` of JSON.
    pub fn put(path: &str, body: &Value) -> Self {
        Self { method: Method::PUT, ..Self::post(path, body) }
    }

    /// A `POST` of these bytes, without a content type.
    pub fn post_bytes(path: &str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(path) }
    }

    /// Adds a header; the same name may come again.
    ///
    /// # Panics
    /// The name or value cannot stand in a header at all.
    #[must_use]
    #[allow(clippy::expect_used)] // a mistake in a test's own literal
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header value");
        self.headers.append(name, value);
        self
    }

    /// Sends it and reads the answer's head.
    ///
    /// # Errors
    /// No connection, or no answer within a minute.
    pub async fn open(self, to: SocketAddr) -> Result<Opened> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = Connection(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let mut request =
            Request::builder().method(self.method).uri(&self.path).header("host", to.to_string());
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.headers);
        }
        let request = request.body(Full::new(self.body))?;
        let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        let answer = answer.with_context(|| format!("no answer to {} in {PATIENCE:?}", self.path))??;
        let (head, body) = answer.into_parts();
        Ok(Opened { status: head.status.as_u16(), headers: head.headers, body, connection })
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Errors
    /// No connection, or no answer within a minute. A body that breaks off is not an error here.
    pub async fn send(self, to: SocketAddr) -> Result<Reply> {
        let mut opened = self.open(to).await?;
        let mut body = Vec::new();
        let complete = loop {
            match opened.next().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        Ok(Reply { status: opened.status, headers: opened.headers.clone(), body: body.into(), complete })
    }
}

impl Opened {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// The body broke off, or nothing came for a minute.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame =
                tokio::time::timeout(PATIENCE, self.body.frame()).await.context("the body stands still")?;
            match frame {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// Closes the connection with whatever is still to come; it is closed when this returns.
    pub async fn hang_up(mut self) {
        drop(self.body);
        self.connection.0.abort();
        let _ = (&mut self.connection.0).await;
    }
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is not JSON; with its beginning.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// The body as text, cut to two thousand characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(2_000).collect()
    }

    /// The first header of this name, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

/// Sends a call from code that is not asynchronous, on a runtime of its own.
///
/// # Errors
/// As [`Call::send`].
pub fn send_blocking(call: Call, to: SocketAddr) -> Result<Reply> {
    // On a thread of its own, because the caller may itself run inside a runtime.
    let sending = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(call.send(to))
    });
    sending.join().map_err(|_| anyhow::anyhow!("the thread that sends panicked"))?
}

/// The body of a `GET` that is answered with 200.
///
/// # Errors
/// No answer, or another status.
pub fn get_blocking(address: SocketAddr, path: &str) -> Result<String> {
    let reply = send_blocking(Call::get(path), address)?;
    if reply.status != 200 {
        bail!("{path} answers {}: {}", reply.status, reply.text());
    }
    Ok(String::from_utf8_lossy(&reply.body).into_owned())
}

/// Posts nothing to a path.
///
/// # Errors
/// No answer, or one that is not 200.
pub fn post_blocking(address: SocketAddr, path: &str) -> Result<()> {
    let reply = send_blocking(Call::post_bytes(path, ""), address)?;
    if reply.status != 200 {
        bail!("{path} answers {}: {}", reply.status, reply.text());
    }
    Ok(())
}

/// This port on loopback.
pub const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

const PATIENCE: Duration = Duration::from_secs(60);

//! The HTTP side: reads requests, hands out answers piece by piece, keeps the ledger.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Channel, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::answer::{Answer, Asked};
use crate::ledger::{Ledger, Line, Received, Served};
use crate::orders::{Cut, Fault, Orders};
use crate::random::{Random, fingerprint};
use crate::{anthropic, bedrock, gemini, openai, realtime};

/// Running providers; they stop when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// An exchange to serve as it was recorded.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// HTTP status.
    pub status: u16,
    /// Headers of the answer; lengths and transfer encodings among them are left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Bytes of one write; 0 for one write in all.
    pub write_bytes: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) ledger: Ledger,
    recorded: Mutex<HashMap<String, Recorded>>,
    requests: AtomicU64,
    seed: u64,
}

impl Simulator {
    /// Starts on a free port, on a thread of its own.
    ///
    /// # Errors
    /// No port could be had.
    pub fn start(seed: u64) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { seed, ..Shared::default() });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("simulator".into()).spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener of this process");
                tokio::select! {
                    () = accept(listener, serving) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was served so far.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Serves this to the requests that the header `x-sim-call` names so.
    pub fn replay(&self, call: &str, recorded: Recorded) {
        self.shared.recorded.lock().expect("no holder panics").insert(call.to_owned(), recorded);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| serve(request, Arc::clone(&shared)));
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
    }
}

type Body = http_body_util::combinators::BoxBody<Bytes, Broken>;

/// Ends a connection in the middle of an answer.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off as ordered")
    }
}

impl std::error::Error for Broken {}

/// Takes a websocket up. Its `sec-websocket-accept` is no answer to the caller's key: the callers here do not
/// look.
fn upgrade(request: Request<Incoming>, shared: Arc<Shared>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let received = received(&head, b"");
    let call = received.header("x-sim-call");
    let random = Random::named(shared.seed, call.as_deref().unwrap_or_default());
    tokio::spawn(realtime::session(Request::from_parts(head, body), received, call, random, shared));
    let body = Full::new(Bytes::new()).map_err(|never: Infallible| match never {}).boxed();
    let head = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
    head.header("sec-websocket-accept", "unchecked").body(body).expect("headers that were written by hand")
}

fn received(head: &hyper::http::request::Parts, body: &[u8]) -> Received {
    Received {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect(),
        body_bytes: body.len(),
        body_fingerprint: fingerprint(body),
    }
}

/// The body as far as it is JSON; the rest is read, and nobody looks at it.
async fn json_as_it_comes(mut body: Incoming) -> Result<Bytes, Broken> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Broken)?.into_data() {
            read.extend_from_slice(&data);
        }
        if serde_json::from_slice::<serde_json::Value>(&read).is_ok() {
            tokio::spawn(async move { while body.frame().await.is_some_and(|frame| frame.is_ok()) {} });
            break;
        }
    }
    Ok(read.into())
}

async fn serve(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Broken> {
    if request.headers().contains_key("sec-websocket-key") {
        return Ok(upgrade(request, shared));
    }
    let (head, body) = request.into_parts();
    let is_early = head.headers.get("x-sim").is_some_and(|orders| {
        orders.to_str().ok().and_then(|orders| Orders::parse(orders).ok()).is_some_and(|orders| orders.early)
    });
    let body = match is_early {
        true => json_as_it_comes(body).await?,
        false => body.collect().await.map_err(|_| Broken)?.to_bytes(),
    };
    let received = received(&head, &body);
    let call = received.header("x-sim-call");
    let recorded = call.as_ref().and_then(|call| {
        let recorded = shared.recorded.lock().expect("no holder panics");
        recorded.get(call).cloned()
    });
    if let Some(recorded) = recorded {
        return Ok(deliver_recorded(recorded, received, call, &shared));
    }
    let orders = match Orders::parse(&received.header("x-sim").unwrap_or_default()) {
        Ok(orders) => orders,
        Err(mistake) => return Ok(refuse(&mistake)),
    };
    let number = shared.requests.fetch_add(1, Ordering::Relaxed);
    let random = match &call {
        Some(call) => Random::named(shared.seed, call),
        None => Random::new(shared.seed ^ number),
    };
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let mut delivery_random = random.clone();
    let asked = Asked { received, body, orders: orders.clone(), call, random, number };
    let mut answer = route(asked);
    answer.served.status = answer.status;
    deliver(answer, &orders, &mut delivery_random, shared).await
}

fn route(mut asked: Asked) -> Answer {
    let path = lenient(&asked.received.path);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let gemini_call = match segments.as_slice() {
        ["v1beta" | "v1", "models", call] => call.rsplit_once(':'),
        _ => None,
    };
    let provider = match (segments.as_slice(), gemini_call) {
        (_, Some(_)) => "gemini",
        (["v1", "messages"] | ["v1", "messages", "count_tokens"], _) => "anthropic",
        (["model", ..], _) => "bedrock",
        _ => "openai",
    };
    if let Some(Fault::Status(status)) = asked.orders.fault {
        let model = gemini_call.map(|(model, _)| model).or_else(|| asked.text("model")).unwrap_or_default();
        let mut answer = Answer::error(&asked, provider, "unknown", status);
        answer.served.request_model = model.to_owned();
        answer.served.stream = asked.flag("stream");
        return answer;
    }
    if let Some(bill) = asked.orders.bill_pico {
        let mut answer = Answer::new(&asked, provider, "unknown");
        (answer.served.cost_pico, answer.served.reported) = (Some(bill), true);
        return answer.json("{\"id\":\"done\"}".into());
    }
    if let ["openai", "deployments", deployment, "chat", "completions"] = segments.as_slice() {
        // A body without an object is refused by none of them.
        if let Some(body) = asked.body.as_object_mut() {
            body.insert("model".into(), (*deployment).into());
        }
        return openai::chat(asked);
    }
    match (asked.received.method.as_str(), segments.as_slice()) {
        ("POST", ["v1", "chat", "completions"] | ["v1", "completions"]) => openai::chat(asked),
        ("POST", ["v1", "responses"]) => openai::responses(asked),
        ("POST", ["v1", "embeddings"]) => openai::embeddings(asked),
        ("POST", ["v1", "messages"]) => anthropic::messages(asked),
        ("POST", ["v1", "messages", "count_tokens"]) => anthropic::count_tokens(asked),
        ("POST", ["model", model, verb @ ("converse" | "invoke")]) => bedrock::model(asked, model, verb),
        ("GET", ["v1", "models"]) => Answer::new(&asked, provider, "models")
            .json("{\n  \"object\": \"list\",\n  \"data\": []\n}\n".into()),
        ("POST", _) if gemini_call.is_some() => {
            let (model, verb) = gemini_call.expect("just looked at");
            gemini::models(asked, model, verb)
        }
        _ => Answer::error(&asked, provider, "unknown", 404),
    }
}

/// A path as lenient servers read it: without its query, letters decoded, no parameters, no empty segments.
/// Words are in lower case; what has digits or a colon is a model's name or a verb, and keeps its case.
fn lenient(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut read = String::new();
    for segment in path.split('/') {
        let segment = segment.split(';').next().unwrap_or_default();
        let segment = decoded(segment);
        if !segment.is_empty() {
            let is_name = segment.contains([':', '.']);
            read.push('/');
            read.push_str(&if is_name { segment } else { segment.to_ascii_lowercase() });
        }
    }
    read
}

fn decoded(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let escaped = (*byte == b'%').then(|| tail.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn deliver(
    mut answer: Answer,
    orders: &Orders,
    random: &mut Random,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Broken> {
    match orders.fault {
        Some(Fault::Close) => {
            unbilled(&mut answer.served);
            shared.ledger.open(answer.served);
            return Err(Broken);
        }
        Some(Fault::Hang) => {
            unbilled(&mut answer.served);
            shared.ledger.open(answer.served);
            tokio::time::sleep(Duration::from_secs(60)).await;
            return Err(Broken);
        }
        Some(Fault::Malformed) => {
            let body = answer.pieces.concat();
            answer.pieces = vec![body[..body.len() / 2].to_vec()];
            answer.served.reported = false;
        }
        Some(Fault::Gzip) => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&answer.pieces.concat()).expect("memory does not fail");
            answer.pieces = vec![encoder.finish().expect("memory does not fail")];
            answer.headers.push(("content-encoding".into(), "gzip".into()));
        }
        Some(Fault::ContentType) => {
            answer.content_type = if answer.served.stream { "application/json" } else { "text/plain" };
        }
        _ => {}
    }
    let body = answer.pieces.concat();
    answer.served.body_bytes = body.len();
    answer.served.body_fingerprint = fingerprint(&body);
    let mut builder = Response::builder()
        .status(answer.status)
        .header("content-type", answer.content_type)
        .header("server", "simulator");
    for (name, value) in &answer.headers {
        builder = builder.header(name, value);
    }
    let whole = !answer.served.stream
        && orders.cut.is_none()
        && orders.delay_ms == 0
        && orders.fault != Some(Fault::Reset)
        && random.chance(70);
    let line = shared.ledger.open(answer.served);
    let body = if whole {
        shared.ledger.sent(&line, body.len());
        Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {}).boxed()
    } else {
        let cut =
            orders.cut.unwrap_or(*random.pick(&[Cut::Event, Cut::Event, Cut::Random, Cut::Bytes(1000)]));
        let mut pieces = cut.apply(answer.pieces, random);
        let reset = orders.fault == Some(Fault::Reset);
        if reset {
            pieces.truncate((pieces.len() / 2).max(1));
        }
        pour(pieces, reset, orders.delay_ms, line, shared)
    };
    Ok(builder.body(body).expect("headers that were written by hand"))
}

/// A body that is written piece by piece.
fn pour(pieces: Vec<Vec<u8>>, reset: bool, delay_ms: u64, line: Line, shared: Arc<Shared>) -> Body {
    let (mut sender, channel) = Channel::<Bytes, Broken>::new(1);
    tokio::spawn(async move {
        for piece in pieces {
            if delay_ms > 0 {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            }
            let size = piece.len();
            if sender.send_data(Bytes::from(piece)).await.is_err() {
                return; // the caller hung up; the ledger keeps how far it came
            }
            shared.ledger.sent(&line, size);
        }
        if reset {
            // What was written should leave before the connection breaks.
            tokio::time::sleep(Duration::from_millis(30)).await;
            sender.abort(Broken);
        }
    });
    channel.boxed()
}

fn deliver_recorded(
    recorded: Recorded,
    received: Received,
    call: Option<String>,
    shared: &Arc<Shared>,
) -> Response<Body> {
    let line = shared.ledger.open(Served {
        call,
        provider: "recorded",
        operation: "recorded",
        status: recorded.status,
        body_bytes: recorded.body.len(),
        body_fingerprint: fingerprint(&recorded.body),
        received,
        ..Served::default()
    });
    let mut builder = Response::builder().status(recorded.status);
    for (name, value) in &recorded.headers {
        if !["content-length", "transfer-encoding", "connection"].contains(&name.as_str()) {
            builder = builder.header(name, value);
        }
    }
    let cut = if recorded.write_bytes == 0 { Cut::All } else { Cut::Bytes(recorded.write_bytes) };
    let pieces = cut.apply(vec![recorded.body], &mut Random::new(0));
    builder.body(pour(pieces, false, 0, line, Arc::clone(shared))).expect("headers that were recorded")
}

fn unbilled(served: &mut Served) {
    served.reported = false;
    served.cost_pico = Some(0);
}

fn refuse(mistake: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("simulator: {mistake}\n")));
    let body = body.map_err(|never: Infallible| match never {}).boxed();
    Response::builder().status(599).body(body).expect("a status of three digits")
}

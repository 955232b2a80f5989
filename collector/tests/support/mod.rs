//! What the tests of the API and of the process share: messages, and a client that speaks plain HTTP.

#![allow(dead_code)] // each test binary uses a part of it

pub(crate) mod process;
pub(crate) mod smtp;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};

/// The token that tests present.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Admission of the first record: 2026-11-20T10:30:00Z.
pub(crate) const START_MS: u64 = 1_795_170_600_000;

/// An answer.
pub(crate) struct Answer {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<String>,
    /// The header `link`.
    pub link: Option<String>,
    pub text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(crate) fn error_code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// A collector to talk to.
pub(crate) struct Client {
    pub address: SocketAddr,
}

impl Client {
    pub(crate) fn get(&self, path: &str) -> Answer {
        answer(agent().get(self.url(path)).call())
    }

    pub(crate) fn sync(&self, message: &Value) -> Answer {
        self.sync_as(Some(&format!("Bearer {TOKEN}")), message.to_string().as_bytes())
    }

    pub(crate) fn sync_as(&self, authorization: Option<&str>, body: &[u8]) -> Answer {
        let mut request = agent().post(self.url("/v1/sync"));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        answer(request.send(body))
    }

    /// A `POST` with a body.
    pub(crate) fn post(&self, path: &str, token: &str, body: &str) -> Answer {
        let request = agent().post(self.url(path)).header("authorization", format!("Bearer {token}"));
        answer(request.send(body))
    }

    /// A request of any method with a token and a body, which may be empty.
    pub(crate) fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        let request = ureq::http::Request::builder()
            .method(method.to_ascii_uppercase().as_str())
            .uri(self.url(path))
            .header("authorization", format!("Bearer {token}"))
            .body(body.to_owned());
        answer(agent().run(request.unwrap()))
    }

    /// A `GET` with a token.
    pub(crate) fn get_as(&self, path: &str, token: &str) -> Answer {
        answer(agent().get(self.url(path)).header("authorization", format!("Bearer {token}")).call())
    }

    /// Sends a message to a collector that may be gone: its answer, if one came.
    pub(crate) fn try_sync(&self, message: &Value) -> Option<Value> {
        let request = agent().post(self.url("/v1/sync")).header("authorization", format!("Bearer {TOKEN}"));
        let mut response = request.send(message.to_string()).ok().filter(|answer| answer.status() == 200)?;
        serde_json::from_str(&response.body_mut().read_to_string().ok()?).ok()
    }

    /// A request that changes something, with the token of changes or without one.
    pub(crate) fn change(&self, method: &str, path: &str, token: Option<&str>) -> Answer {
        let url = self.url(path);
        let mut request = if method == "PUT" { agent().put(url) } else { agent().post(url) };
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        answer(request.send_empty())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// A message with these records.
pub(crate) fn message(sequence: u64, records: Vec<Value>) -> Value {
    json!({
        "protocol": 1, "gateway": "edge", "instance": "one", "sequence": sequence,
        "sent_at_ms": START_MS, "records": records,
    })
}

/// A measured call: number `n`, as many hours after the first as `n` has above hundreds, by agent
/// `bot-<n mod 3>`.
pub(crate) fn record(n: u64) -> Value {
    let rate = 1_250_000u64;
    let cost = rate * (100 + n);
    let dollars = format!("0.{cost:012}");
    json!({
        "id": format!("01890a5d-ac96-774b-8000-{n:012x}"),
        // An hour after the one before, but never of a time to come.
        "time_ms": START_MS + n % 100 * 3_600_000 + n / 100,
        "gateway": "edge", "agent": format!("bot-{}", n % 3), "team": "support", "feature": "chat",
        "environment": "production", "run": "r-1", "tags": {"tier": "gold"},
        "attribution_source": "self_declared", "provider": "openai", "operation": "chat",
        "request_model": "gpt-x", "response_model": "gpt-x-2026-01-01", "stream": n.is_multiple_of(2), "status": 200,
        "outcome": "ok", "usage": {"input_tokens": 100 + n, "cache_read_tokens": 0},
        "charges": [{"model": "gpt-x", "kind": "input", "quantity": 100 + n, "rate": "0.000001250000",
            "cost_usd": dollars}],
        "cost_usd": dollars, "cost_status": "measured", "price_version": "v1", "duration_ms": 12,
        "prompt": {"system_bytes": 7, "bytes_by_role": {"user": 5}},
    })
}

/// A receiver of alerts that takes everything; gives its port.
pub(crate) fn receiver() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 65_536]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        }
    });
    port
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
    ureq::Agent::new_with_config(config)
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = response.unwrap();
    let content_type = response.headers().get("content-type");
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (retry_after, link) = (header("retry-after"), header("link"));
    Answer {
        retry_after,
        link,
        status: response.status().as_u16(),
        content_type: content_type.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default(),
        text: response.body_mut().read_to_string().unwrap(),
    }
}

//! What the simulated providers served, and what they charge for it.

use std::sync::Mutex;

/// Tokens of one call in the provider-neutral meaning: `input` is the whole prompt, `output` the whole
/// answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tokens {
    /// Whole prompt, cached parts included.
    pub input: u64,
    /// Part of `input` read from the cache.
    pub cache_read: u64,
    /// Part of `input` written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Part of `input` written to the cache for one hour.
    pub cache_write_1h: u64,
    /// Whole answer, reasoning included.
    pub output: u64,
    /// Part of `output` that is reasoning.
    pub reasoning: u64,
}

impl std::ops::AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cache_read += other.cache_read;
        self.cache_write_5m += other.cache_write_5m;
        self.cache_write_1h += other.cache_write_1h;
        self.output += other.output;
        self.reasoning += other.reasoning;
    }
}

/// A request as a simulated provider received it.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Every header, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// [`crate::fingerprint`] of the body.
    pub body_fingerprint: u64,
}

impl Received {
    /// The first header of this name, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// One line of the ledger: a call that reached a simulated provider.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// The caller's name for this call: the header `x-sim-call`.
    pub call: Option<String>,
    /// Provider id.
    pub provider: &'static str,
    /// `chat`, `responses`, `embeddings`, `messages`, `generateContent`, …
    pub operation: &'static str,
    /// The model that was asked for.
    pub request_model: String,
    /// The model that answered.
    pub response_model: String,
    /// Service tier in the answer.
    pub service_tier: &'static str,
    /// Whether the answer was streamed.
    pub stream: bool,
    /// HTTP status.
    pub status: u16,
    /// Whether the answer says how many tokens it used.
    pub reported: bool,
    /// What it used.
    pub tokens: Tokens,
    /// Pico-dollars; `None` for a model without a price.
    pub cost_pico: Option<i128>,
    /// The request.
    pub received: Received,
    /// Bytes of the answer's body, if all of it was to be sent.
    pub body_bytes: usize,
    /// [`crate::fingerprint`] of the answer's body, if all of it was to be sent.
    pub body_fingerprint: u64,
    /// Bytes of the answer's body that were handed to the connection so far.
    pub sent_bytes: usize,
    /// Whether the whole answer was handed over.
    pub finished: bool,
}

/// Every call that reached the simulated providers.
#[derive(Debug, Default)]
pub struct Ledger {
    lines: Mutex<Vec<Served>>,
    violations: Mutex<Vec<String>>,
}

impl Ledger {
    /// A copy of all lines, in the order of arrival.
    pub fn lines(&self) -> Vec<Served> {
        self.lines.lock().expect("no holder panics").clone()
    }

    /// How many calls arrived.
    pub fn len(&self) -> usize {
        self.lines.lock().expect("no holder panics").len()
    }

    /// Whether no call arrived.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last call of this name.
    pub fn call(&self, name: &str) -> Option<Served> {
        let lines = self.lines.lock().expect("no holder panics");
        lines.iter().rev().find(|line| line.call.as_deref() == Some(name)).cloned()
    }

    /// What must never reach a provider and did: `x-tollgate-*` headers, one line for each.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().expect("no holder panics").clone()
    }

    pub(crate) fn open(&self, served: Served) -> Line {
        for (name, _) in &served.received.headers {
            if name.starts_with("x-tollgate-") {
                let call = served.call.as_deref().unwrap_or("a call without a name");
                let violation =
                    format!("{}: header `{name}` reached the provider in {call}", served.provider);
                self.violations.lock().expect("no holder panics").push(violation);
            }
        }
        let mut lines = self.lines.lock().expect("no holder panics");
        lines.push(served);
        Line(lines.len() - 1)
    }

    pub(crate) fn sent(&self, line: &Line, bytes: usize) {
        let mut lines = self.lines.lock().expect("no holder panics");
        let line = &mut lines[line.0];
        line.sent_bytes += bytes;
        line.finished = line.sent_bytes >= line.body_bytes;
    }
}

/// A place in the ledger.
#[derive(Debug)]
pub(crate) struct Line(usize);

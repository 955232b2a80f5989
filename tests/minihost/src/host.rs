//! What the module can call on: streams and their bodies, shared data, stats, the clock.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tollgate_core::budget::Amount;
use tollgate_core::budget::counter::Counter;

use crate::faults::Faults;
use crate::random::Random;

/// A header.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What all VMs of one Envoy share.
#[derive(Debug, Default)]
pub struct World {
    /// The clock, Unix milliseconds UTC. Whoever drives the host moves it.
    pub now_ms: u64,
    /// Shared data: value and version.
    pub shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    /// Stats by name.
    pub metrics: BTreeMap<String, i64>,
    /// What fails.
    pub faults: Faults,
    /// Another worker, which changes what has just been read.
    pub meddler: Option<Meddler>,
}

/// Another worker: rewrites values that have just been read, and charges counters.
#[derive(Debug)]
pub struct Meddler {
    /// When.
    pub random: Random,
    /// So many times in a thousand.
    pub per_thousand: u64,
    /// What it has charged counters, by key.
    pub charged: BTreeMap<Vec<u8>, i128>,
}

/// So much the other worker charges at a time, in the counter's unit.
const MEDDLED: i128 = 7;

impl World {
    /// A value of shared data and its version.
    pub fn get(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.shared.get(key).cloned()
    }

    /// Writes a value as Envoy does: version 0 overwrites, another must be the one that stands there; a
    /// missing key is made by any. False where it mismatches.
    pub fn set(&mut self, key: &[u8], value: &[u8], version: u32) -> bool {
        match self.shared.get_mut(key) {
            Some((_, held)) if version != 0 && version != *held => false,
            Some((old, held)) => {
                *old = value.to_vec();
                *held += 1;
                true
            }
            None => {
                self.shared.insert(key.to_vec(), (value.to_vec(), 1));
                true
            }
        }
    }

    /// The other worker's turn, behind a read of `key`.
    pub fn meddle(&mut self, key: &[u8]) {
        let Some(meddler) = &mut self.meddler else { return };
        if !meddler.random.chance(meddler.per_thousand) {
            return;
        }
        let Some((value, version)) = self.shared.get_mut(key) else { return };
        *version += 1;
        if let Some(mut counter) = Counter::from_bytes(value).filter(|_| key.starts_with(b"tg/2/c/")) {
            counter.charge(Amount(MEDDLED));
            counter.write_numbers(value);
            *meddler.charged.entry(counter.key.clone()).or_default() += MEDDLED;
        }
    }

    /// Every counter.
    pub fn counters(&self) -> Vec<Counter> {
        let values = self.shared.iter().filter(|(key, _)| key.starts_with(b"tg/2/c/"));
        values.filter_map(|(_, (value, _))| Counter::from_bytes(value)).collect()
    }

    /// Every record in an outbox, as JSON.
    pub fn records(&self) -> Vec<Vec<u8>> {
        let is_slot =
            |key: &[u8]| key.starts_with(b"tg/1/lane/") && key.windows(3).any(|part| part == b"/o/");
        let slots = self.shared.iter().filter(|(key, _)| is_slot(key));
        slots
            .filter_map(|(_, (value, _))| value.get(8..))
            .filter(|json| !json.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    }

    /// The number at a key of shared data.
    pub fn number(&self, key: &str) -> u64 {
        let value = self.shared.get(key.as_bytes()).and_then(|(value, _)| value.get(..8)?.try_into().ok());
        value.map_or(0, u64::from_le_bytes)
    }
}

/// Which callback runs: it decides what can be read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Phase {
    /// None of a stream.
    #[default]
    Outside,
    /// `on_request_headers`.
    RequestHeaders,
    /// `on_request_body` and trailers.
    RequestBody,
    /// `on_response_headers`.
    ResponseHeaders,
    /// `on_response_body` and trailers.
    ResponseBody,
    /// `on_log`.
    Log,
    /// `on_done`.
    Done,
}

/// One HTTP stream as the module sees it.
#[derive(Debug, Default)]
pub struct HttpState {
    /// Request headers.
    pub request: Vec<Pair>,
    /// Response headers.
    pub response: Vec<Pair>,
    /// The request's headers wait, so they can be changed in body callbacks.
    pub headers_wait: bool,
    /// What the current request body callback can read.
    pub request_body: Vec<u8>,
    /// What the current response body callback can read.
    pub response_body: Vec<u8>,
    /// Which callback runs.
    pub phase: Phase,
    /// Attributes by path, names joined by NUL.
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What the module set for access loggers.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    /// The module answered itself.
    pub reply: Option<Reply>,
    /// The module let a paused request go on.
    pub resumed: bool,
}

/// An answer of the module's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub status: u32,
    /// Response code details.
    pub details: String,
    /// Headers.
    pub headers: Vec<Pair>,
    /// Body.
    pub body: Vec<u8>,
}

/// A call-out that waits for its answer.
#[derive(Clone, Debug)]
pub struct CallOut {
    /// Its id.
    pub token: u32,
    /// The context that made it.
    pub context: u32,
    /// What was sent.
    pub body: Vec<u8>,
}

/// The state behind one VM's host calls.
#[derive(Debug, Default)]
pub struct Host {
    /// What it shares.
    pub world: Rc<RefCell<World>>,
    /// Its streams by context.
    pub streams: BTreeMap<u32, HttpState>,
    /// The context that host calls speak of.
    pub effective: u32,
    /// The plugin configuration.
    pub configuration: Vec<u8>,
    /// Environment variables, `NAME=value`.
    pub environment: Vec<String>,
    /// Call-outs under way.
    pub call_outs: Vec<CallOut>,
    /// The answer whose callback runs: headers and body.
    pub answer: Option<(Vec<Pair>, Vec<u8>)>,
    /// The SDK is about to name the context itself, and ends the VM where it cannot.
    pub sdk_speaks: bool,
    /// Names of stats by id.
    pub metrics: Vec<String>,
    /// Lines of the log, with their level.
    pub log: Vec<(u32, String)>,
    /// The last id of a call-out.
    pub last_token: u32,
    /// For `random_get`.
    pub random: Option<Random>,
}

impl Host {
    /// The stream that host calls speak of.
    pub fn stream(&mut self) -> Option<&mut HttpState> {
        self.streams.get_mut(&self.effective)
    }

    /// Adds to a stat.
    pub fn count(&mut self, id: u32, by: i64) -> bool {
        let Some(name) = self.metrics.get(id as usize) else { return false };
        *self.world.borrow_mut().metrics.entry(name.clone()).or_default() += by;
        true
    }
}

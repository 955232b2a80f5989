//! A host in memory, for native tests: shared data with versions, a clock, metrics, properties, headers,
//! buffers, call-outs and answers, as Envoy has them. Each thread has a host of its own.
//!
//! Any host call can be made to fail, or to be the last one that a VM makes: see [`Fault`].

use std::cell::RefCell;
use std::collections::BTreeMap;

use proxy_wasm::types::Status;

use super::{Buffer, Error, Headers, MetricType, NEVER, OVERWRITE, Pairs, Post, Result};

/// A host, and what has been done with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// The clock, Unix milliseconds UTC.
    pub now_ms: u64,
    /// Shared data: values and their versions.
    pub shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    last_version: u32,
    /// Buffers that can be read now.
    pub buffers: BTreeMap<u32, Vec<u8>>,
    /// Header maps that can be read now.
    pub headers: BTreeMap<u32, Vec<(String, Vec<u8>)>>,
    /// Envoy's attributes.
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What access logs can show of the stream.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    /// Stats by name: sums of counters, and how often a histogram was given a value.
    pub metrics: BTreeMap<String, i64>,
    metric_names: Vec<String>,
    /// How often the root ticks; 0 where it does not.
    pub tick_period_ms: u32,
    /// Which stream host calls speak of, where they were told.
    pub context: Option<u32>,
    /// Streams that were let go.
    pub continued: Vec<Option<u32>>,
    /// Answers in the place of an upstream's.
    pub answers: Vec<Answer>,
    /// Call-outs that were made; their numbers are their places, counted from 1.
    pub posts: Vec<Sent>,
    /// Lines of the log.
    pub log: Vec<String>,
    /// Clusters that call-outs can be made to; all where there are none.
    pub clusters: Vec<String>,
    /// Host calls so far.
    pub calls: usize,
    /// Those that changed something: their numbers, names, and what they were about.
    pub changes: Vec<(usize, &'static str, Vec<u8>)>,
    /// Others are always faster: no value of a known version can be swapped.
    pub is_contended: bool,
    fault: Option<(usize, Fault)>,
    is_dead: bool,
}

/// What happens at a host call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// The VM dies: neither this call nor any other of it does anything. See [`dies`].
    Die,
    /// It fails with this status, and does nothing.
    Fail(Error),
    /// So does every one after it.
    FailOn(Error),
}

/// An answer in the place of an upstream's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// The stream that was spoken of.
    pub context: Option<u32>,
    /// HTTP status.
    pub status: u16,
    /// Envoy's response code details.
    pub details: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// A call-out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Sent {
    /// To this cluster.
    pub cluster: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// How long it may take.
    pub timeout_ms: u64,
}

/// A VM has died.
#[derive(Debug)]
pub(crate) struct Died;

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::default());
}

/// Acts on the host of this thread.
pub(crate) fn with<T>(act: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with(|world| act(&mut world.borrow_mut()))
}

/// A host without anything, at this time.
pub(crate) fn begin(now_ms: u64) {
    let _ = log::set_logger(&super::Logger);
    log::set_max_level(log::LevelFilter::Info);
    with(|world| *world = World { now_ms, ..World::default() });
}

/// Lets time pass; gives the time then.
pub(crate) fn pass(ms: u64) -> u64 {
    with(|world| {
        world.now_ms += ms;
        world.now_ms
    })
}

/// Has this happen at the host call with this number, counted from 0 and from now on.
pub(crate) fn plan(call: usize, fault: Fault) {
    with(|world| world.fault = Some((world.calls + call, fault)));
}

/// Runs what one VM does; true where it died meanwhile. Then what it held in memory is gone: host calls of
/// its destructors do nothing. Another VM may act afterwards.
pub(crate) fn dies(act: impl FnOnce()) -> bool {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
    let died = with(|world| {
        world.fault = None;
        std::mem::take(&mut world.is_dead)
    });
    match outcome {
        Err(other) if !other.is::<Died>() => std::panic::resume_unwind(other),
        _ => died,
    }
}

/// Makes a host call that changes something, unless a fault is planned for it.
fn change<T>(name: &'static str, about: &[u8], act: impl FnOnce(&mut World) -> Result<T>) -> Result<T> {
    call(|world| {
        world.changes.push((world.calls - 1, name, about.to_vec()));
        act(world)
    })
}

/// Makes a host call, unless a fault is planned for it.
fn call<T>(act: impl FnOnce(&mut World) -> Result<T>) -> Result<T> {
    let outcome = with(|world| {
        if world.is_dead {
            return Ok(Err(Error(INTERNAL_FAILURE)));
        }
        let number = world.calls;
        world.calls += 1;
        match world.fault {
            Some((at, Fault::Die)) if at == number => {
                world.is_dead = true;
                Err(Died)
            }
            Some((at, Fault::Fail(error))) if at == number => Ok(Err(error)),
            Some((at, Fault::FailOn(error))) if at <= number => Ok(Err(error)),
            _ => Ok(act(world)),
        }
    });
    match outcome {
        Ok(result) => result,
        // Not `panic!`: nothing is to be printed of a death that is wanted.
        Err(died) => std::panic::resume_unwind(Box::new(died)),
    }
}

pub(crate) fn now_ms() -> u64 {
    call(|world| Ok(world.now_ms)).unwrap_or(0)
}

pub(crate) fn set_tick_period(period_ms: u32) -> Result<()> {
    change("set_tick_period", b"", |world| {
        world.tick_period_ms = period_ms;
        Ok(())
    })
}

pub(crate) fn buffer_from(buffer: Buffer, start: usize, length: usize) -> Result<Vec<u8>> {
    call(|world| {
        let bytes = world.buffers.get(&(buffer as u32)).ok_or(Error::NOT_FOUND)?;
        let end = bytes.len().min(start.saturating_add(length));
        Ok(bytes.get(start..end).unwrap_or_default().to_vec())
    })
}

pub(crate) fn set_buffer(buffer: Buffer, length: usize, bytes: &[u8]) -> Result<()> {
    change("set_buffer", b"", |world| {
        let held = world.buffers.entry(buffer as u32).or_default();
        held.splice(..length.min(held.len()), bytes.iter().copied());
        Ok(())
    })
}

pub(crate) fn header_pairs(map: Headers) -> Result<Pairs> {
    call(|world| {
        let headers = world.headers.get(&(map as u32)).ok_or(Error::NOT_FOUND)?;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let pairs: Vec<(&str, String)> =
            headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Ok(Pairs(Pairs::bytes(&pairs)))
    })
}

pub(crate) fn header(map: Headers, name: &str) -> Result<Vec<u8>> {
    call(|world| {
        let headers = world.headers.get(&(map as u32)).ok_or(Error::NOT_FOUND)?;
        let found = headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).ok_or(Error::NOT_FOUND)
    })
}

pub(crate) fn set_header(map: Headers, name: &str, value: &[u8]) -> Result<()> {
    change("set_header", name.as_bytes(), |world| {
        let headers = world.headers.entry(map as u32).or_default();
        headers.retain(|(known, _)| known != name);
        headers.push((name.to_owned(), value.to_vec()));
        Ok(())
    })
}

pub(crate) fn remove_header(map: Headers, name: &[u8]) -> Result<()> {
    change("remove_header", name, |world| {
        let headers = world.headers.entry(map as u32).or_default();
        headers.retain(|(known, _)| known.as_bytes() != name);
        Ok(())
    })
}

pub(crate) fn property(path: &[u8]) -> Result<Vec<u8>> {
    call(|world| world.properties.get(path).cloned().ok_or(Error::NOT_FOUND))
}

pub(crate) fn set_filter_state(name: &str, value: &[u8]) -> Result<()> {
    change("set_filter_state", name.as_bytes(), |world| {
        world.filter_state.insert(name.to_owned(), value.to_vec());
        Ok(())
    })
}

pub(crate) fn shared(key: impl AsRef<[u8]>) -> Result<(Vec<u8>, u32)> {
    let key = key.as_ref();
    call(|world| world.shared.get(key).cloned().ok_or(Error::NOT_FOUND))
}

pub(crate) fn swap_shared(key: impl AsRef<[u8]>, value: &[u8], version: u32) -> Result<()> {
    let key = key.as_ref();
    let name = match version {
        OVERWRITE => "set_shared",
        NEVER => "create_shared",
        _ => "swap_shared",
    };
    change(name, key, |world| {
        let held = world.shared.get(key).map(|(_, version)| *version);
        let is_late = held.is_some_and(|held| held != version) || world.is_contended;
        if version != OVERWRITE && is_late {
            return Err(Error::CAS_MISMATCH);
        }
        world.last_version += 1;
        world.shared.insert(key.to_vec(), (value.to_vec(), world.last_version));
        Ok(())
    })
}

pub(crate) fn set_effective_context(context: u32) -> Result<()> {
    change("set_effective_context", b"", |world| {
        world.context = Some(context);
        Ok(())
    })
}

pub(crate) fn continue_request() -> Result<()> {
    change("continue_request", b"", |world| {
        world.continued.push(world.context);
        Ok(())
    })
}

pub(crate) fn answer(status: u16, details: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<()> {
    change("answer", details.as_bytes(), |world| {
        let context = world.context;
        let (details, body) = (details.to_owned(), body.to_vec());
        world.answers.push(Answer { context, status, details, headers: owned(headers), body });
        Ok(())
    })
}

pub(crate) fn define_metric(_: MetricType, name: &str) -> Result<u32> {
    change("define_metric", name.as_bytes(), |world| {
        world.metric_names.push(name.to_owned());
        world.metrics.entry(name.to_owned()).or_default();
        u32::try_from(world.metric_names.len() - 1).map_err(|_| Error(INTERNAL_FAILURE))
    })
}

pub(crate) fn increment_metric(id: u32, by: i64) -> Result<()> {
    change("increment_metric", b"", |world| world.add_to_metric(id, by))
}

pub(crate) fn record_metric(id: u32, _: u64) -> Result<()> {
    change("record_metric", b"", |world| world.add_to_metric(id, 1))
}

pub(crate) fn post(post: &Post<'_>) -> std::result::Result<u32, Status> {
    let sent = change("post", post.path.as_bytes(), |world| {
        if !world.clusters.is_empty() && !world.clusters.iter().any(|cluster| cluster == post.cluster) {
            return Err(Error(BAD_ARGUMENT));
        }
        world.posts.push(Sent {
            cluster: post.cluster.to_owned(),
            headers: owned(&post.headers()),
            body: post.body.to_vec(),
            timeout_ms: post.timeout_ms,
        });
        u32::try_from(world.posts.len()).map_err(|_| Error(INTERNAL_FAILURE))
    });
    sent.map_err(|error| match error {
        Error(BAD_ARGUMENT) => Status::BadArgument,
        _ => Status::InternalFailure,
    })
}

/// No fault is planned for it: it changes nothing.
pub(crate) fn log(_: u32, text: &str) {
    with(|world| world.log.push(text.to_owned()));
}

impl World {
    fn add_to_metric(&mut self, id: u32, by: i64) -> Result<()> {
        let name =
            usize::try_from(id).ok().and_then(|id| self.metric_names.get(id)).ok_or(Error::NOT_FOUND)?;
        *self.metrics.entry(name.clone()).or_default() += by;
        Ok(())
    }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const BAD_ARGUMENT: u32 = 2;
const INTERNAL_FAILURE: u32 = 10;

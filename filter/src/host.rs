//! What the host, Envoy, does for the filter: as bytes and `Result`. What it does not offer is an [`Error`],
//! never a panic.
//!
//! There are two hosts: `calls` is Envoy's own, by the raw ABI, and `simulated` one in memory, for native
//! tests. Which it is says the target that is built for, so that nothing is looked up at run time.

#[cfg(target_arch = "wasm32")]
mod calls;
#[cfg(target_arch = "wasm32")]
mod memory;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod simulated;

#[cfg(target_arch = "wasm32")]
use calls as host;
pub(crate) use host::{
    answer, buffer_from, continue_request, define_metric, header, header_pairs, increment_metric, now_ms,
    post, property, record_metric, remove_header, set_buffer, set_effective_context, set_filter_state,
    set_header, set_tick_period, shared, swap_shared,
};
#[cfg(not(target_arch = "wasm32"))]
use simulated as host;

/// A status of the host other than Ok.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Error(pub u32);

impl Error {
    /// There is no such key, property or buffer.
    pub(crate) const NOT_FOUND: Self = Self(1);
    /// Someone else wrote first.
    pub(crate) const CAS_MISMATCH: Self = Self(8);
}

/// What a host call gives.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Buffers that can be read.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Buffer {
    /// Piece of the request body, in its callback.
    RequestBody = 0,
    /// Piece of the response body, in its callback.
    ResponseBody = 1,
    /// Body of a call-out's answer, in its callback.
    CallResponseBody = 4,
    /// The plugin configuration, in `on_configure`.
    PluginConfiguration = 7,
}

/// Header maps.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Headers {
    /// Request headers, in their callback and in `on_log`.
    Request = 0,
    /// Response headers, in their callback and in `on_log`.
    Response = 2,
    /// Headers of a call-out's answer, in its callback.
    CallResponse = 6,
}

/// Kinds of Envoy stats.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum MetricType {
    /// Only grows.
    Counter = 0,
    /// A distribution.
    Histogram = 2,
}

/// The first `length` bytes of a buffer.
pub(crate) fn buffer(buffer: Buffer, length: usize) -> Result<Vec<u8>> {
    buffer_from(buffer, 0, length)
}

/// Writes a value of shared data, whatever stands there.
pub(crate) fn set_shared(key: impl AsRef<[u8]>, value: &[u8]) -> Result<()> {
    swap_shared(key, value, OVERWRITE)
}

/// Writes a value of shared data if there was never one.
///
/// Envoy takes the version 0 for "overwrite", also of a missing key; a version that no value has creates the
/// key when it is missing and mismatches otherwise.
pub(crate) fn create_shared(key: impl AsRef<[u8]>, value: &[u8]) -> Result<()> {
    swap_shared(key, value, NEVER)
}

/// A request to a cluster of Envoy's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Post<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// Its `:authority`.
    pub authority: &'a str,
    /// Its `:path`.
    pub path: &'a str,
    /// JSON.
    pub body: &'a [u8],
    /// Longest time until its answer comes.
    pub timeout_ms: u64,
}

impl Post<'_> {
    fn headers(&self) -> [(&str, &str); 4] {
        [
            (":method", "POST"),
            (":path", self.path),
            (":authority", self.authority),
            ("content-type", "application/json"),
        ]
    }
}

/// Messages to Envoy's log. The SDK's own logger ends the VM where the host takes none.
pub(crate) struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // The ABI's levels begin with trace, the crate's with error.
        let level = log::Level::Trace as u32 - record.level() as u32;
        host::log(level, &record.args().to_string());
    }

    fn flush(&self) {}
}

/// Header pairs in the host's form: a count, the sizes, then the texts, each ended by NUL.
#[derive(Default)]
pub(crate) struct Pairs(Vec<u8>);

impl Pairs {
    /// Pairs in the host's form.
    fn bytes(pairs: &[(&str, &str)]) -> Vec<u8> {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = number(pairs.len()).to_vec();
        for (name, value) in pairs {
            bytes.extend_from_slice(&number(name.len()));
            bytes.extend_from_slice(&number(value.len()));
        }
        for (name, value) in pairs {
            for text in [name, value] {
                bytes.extend_from_slice(text.as_bytes());
                bytes.push(0);
            }
        }
        bytes
    }

    /// Names and values, in order. What is malformed ends the list.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let number = |at: usize| {
            let bytes = self.0.get(at..at + 4)?;
            usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
        };
        let count = number(0).unwrap_or(0);
        let mut text = 4 + count * 8;
        (0..count).map_while(move |index| {
            let (name_size, value_size) = (number(4 + index * 8)?, number(8 + index * 8)?);
            let name = self.0.get(text..text + name_size)?;
            let value_at = text + name_size + 1;
            let value = self.0.get(value_at..value_at + value_size)?;
            text = value_at + value_size + 1;
            Some((name, value))
        })
    }
}

/// The version that overwrites whatever stands there.
const OVERWRITE: u32 = 0;
/// A version that no value has.
const NEVER: u32 = u32::MAX;

#[cfg(test)]
mod tests;

//! Host calls of the proxy-wasm ABI 0.2.1: the raw imports, as bytes and `Result`.
//!
//! The SDK's own wrappers panic on statuses that they do not expect and on values that are not UTF-8, and a
//! panic ends every stream of the worker. So everything but HTTP call-outs, whose answers the SDK must know
//! of, goes through the raw imports here.
#![allow(unsafe_code)] // raw imports, and memory that the host allocated for us

use std::ptr::null_mut;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::types::Status;

use super::{Buffer, Error, Headers, MetricType, Pairs, Post, Result};

/// The host's clock, Unix milliseconds UTC; 0 where there is none.
pub(crate) fn now_ms() -> u64 {
    let mut nanoseconds = 0u64;
    // SAFETY: the host writes a u64 to the pointer, which lives through the call.
    let status = unsafe { raw::proxy_get_current_time_nanoseconds(&raw mut nanoseconds) };
    if status == OK { nanoseconds / 1_000_000 } else { 0 }
}

/// Asks for ticks every `period_ms`; 0 stops them.
pub(crate) fn set_tick_period(period_ms: u32) -> Result<()> {
    // SAFETY: takes a number only.
    done(unsafe { raw::proxy_set_tick_period_milliseconds(period_ms) })
}

/// `length` bytes of a buffer from `start` on.
pub(crate) fn buffer_from(buffer: Buffer, start: usize, length: usize) -> Result<Vec<u8>> {
    // SAFETY: the out pointers live through the call; see `returned`.
    returned(|data, size| unsafe { raw::proxy_get_buffer_bytes(buffer as u32, start, length, data, size) })
}

/// Puts `bytes` in the place of the first `length` bytes of a buffer.
pub(crate) fn set_buffer(buffer: Buffer, length: usize, bytes: &[u8]) -> Result<()> {
    // SAFETY: the slice lives through the call.
    done(unsafe { raw::proxy_set_buffer_bytes(buffer as u32, 0, length, bytes.as_ptr(), bytes.len()) })
}

/// All pairs of a header map, as the host serialises them.
pub(crate) fn header_pairs(map: Headers) -> Result<Pairs> {
    // SAFETY: the out pointers live through the call; see `returned`.
    returned(|data, size| unsafe { raw::proxy_get_header_map_pairs(map as u32, data, size) }).map(Pairs)
}

/// The first header of this name.
pub(crate) fn header(map: Headers, name: &str) -> Result<Vec<u8>> {
    // SAFETY: the name and the out pointers live through the call; see `returned`.
    returned(|data, size| unsafe {
        raw::proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
    })
}

/// Sets a header, replacing all of this name.
pub(crate) fn set_header(map: Headers, name: &str, value: &[u8]) -> Result<()> {
    // SAFETY: both slices live through the call.
    done(unsafe {
        raw::proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Removes all headers of this name.
pub(crate) fn remove_header(map: Headers, name: &[u8]) -> Result<()> {
    // SAFETY: the slice lives through the call.
    done(unsafe { raw::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// An Envoy attribute. The path is its names joined by NUL, as in `b"response\0code_details"`.
pub(crate) fn property(path: &[u8]) -> Result<Vec<u8>> {
    // SAFETY: the path and the out pointers live through the call; see `returned`.
    returned(|data, size| unsafe { raw::proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Sets filter state `wasm.<name>` of this stream.
pub(crate) fn set_filter_state(name: &str, value: &[u8]) -> Result<()> {
    // SAFETY: both slices live through the call.
    done(unsafe { raw::proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// A value of shared data and its version. An empty value is one that was cleared.
pub(crate) fn shared(key: impl AsRef<[u8]>) -> Result<(Vec<u8>, u32)> {
    let key = key.as_ref();
    let mut version = 0u32;
    // SAFETY: the key and the out pointers live through the call; see `returned`.
    let value = returned(|data, size| unsafe {
        raw::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version)
    })?;
    Ok((value, version))
}

/// Writes a value of shared data if it still has this version.
pub(crate) fn swap_shared(key: impl AsRef<[u8]>, value: &[u8], version: u32) -> Result<()> {
    let key = key.as_ref();
    // SAFETY: both slices live through the call.
    done(unsafe { raw::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) })
}

/// Makes the calls that follow speak of another stream of this VM, until the callback ends or another is
/// named.
pub(crate) fn set_effective_context(context: u32) -> Result<()> {
    // SAFETY: takes a number only.
    done(unsafe { raw::proxy_set_effective_context(context) })
}

/// Lets a paused request go on.
pub(crate) fn continue_request() -> Result<()> {
    // SAFETY: takes a number only.
    done(unsafe { raw::proxy_continue_stream(HTTP_REQUEST) })
}

/// Answers instead of the upstream. `details` shows as Envoy's response code details.
pub(crate) fn answer(status: u16, details: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<()> {
    let headers = Pairs::bytes(headers);
    // SAFETY: all slices live through the call.
    done(unsafe {
        raw::proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    })
}

/// Defines a metric; a known name gives a new id for the same metric, so ids are to be kept.
pub(crate) fn define_metric(kind: MetricType, name: &str) -> Result<u32> {
    let mut id = 0u32;
    // SAFETY: the name and the out pointer live through the call.
    done(unsafe { raw::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a counter or gauge.
pub(crate) fn increment_metric(id: u32, by: i64) -> Result<()> {
    // SAFETY: takes numbers only.
    done(unsafe { raw::proxy_increment_metric(id, by) })
}

/// Records a value of a gauge or histogram.
pub(crate) fn record_metric(id: u32, value: u64) -> Result<()> {
    // SAFETY: takes numbers only.
    done(unsafe { raw::proxy_record_metric(id, value) })
}

/// Sends a request to a cluster; the context that this callback belongs to gets its answer, under the number
/// that this gives.
///
/// # Errors
/// The host's status, where it makes no call-out.
pub(crate) fn post(post: &Post<'_>) -> std::result::Result<u32, Status> {
    let headers = post.headers().to_vec();
    let timeout = Duration::from_millis(post.timeout_ms);
    hostcalls::dispatch_http_call(post.cluster, headers, Some(post.body), vec![], timeout)
}

/// A message to Envoy's log, with a level of the ABI.
pub(crate) fn log(level: u32, text: &str) {
    // SAFETY: the text lives through the call.
    let _ = unsafe { raw::proxy_log(level, text.as_ptr(), text.len()) };
}

fn done(status: u32) -> Result<()> {
    if status == OK { Ok(()) } else { Err(Error(status)) }
}

/// Bytes that the host allocated through the module's own allocator.
fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>> {
    let mut data: *mut u8 = null_mut();
    let mut size = 0usize;
    done(call(&raw mut data, &raw mut size))?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: on Ok the host has called the exported `proxy_on_memory_allocate(size)`, which boxes a slice of
    // exactly `size` bytes, has written all of it, and leaves it to us.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

const OK: u32 = 0;
const HTTP_REQUEST: u32 = 0;
const NO_GRPC_STATUS: i32 = -1;

mod raw {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(crate) fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
        pub(crate) fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        pub(crate) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub(crate) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            length: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(crate) fn proxy_set_buffer_bytes(
            buffer: u32,
            start: usize,
            length: usize,
            data: *const u8,
            size: usize,
        ) -> u32;
        pub(crate) fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
        pub(crate) fn proxy_get_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(crate) fn proxy_replace_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(crate) fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
        pub(crate) fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(crate) fn proxy_set_property(
            path: *const u8,
            path_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(crate) fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
            version: *mut u32,
        ) -> u32;
        pub(crate) fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
            version: u32,
        ) -> u32;
        pub(crate) fn proxy_set_effective_context(context: u32) -> u32;
        pub(crate) fn proxy_continue_stream(kind: u32) -> u32;
        pub(crate) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
        pub(crate) fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
        pub(crate) fn proxy_increment_metric(id: u32, by: i64) -> u32;
        pub(crate) fn proxy_record_metric(id: u32, value: u64) -> u32;
    }
}

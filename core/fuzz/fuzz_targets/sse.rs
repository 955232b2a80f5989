//! See [`tollgate_core_fuzz::sse`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tollgate_core_fuzz::sse(data));

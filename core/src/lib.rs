//! The domain of Tollgate: metering, pricing and attribution of LLM calls.
//!
//! Pure logic: no I/O, no clock (time is an argument), no floats for money, no panic on any input. It builds
//! for the filter's wasm module and for the native collector.
//!
//! | module | knows |
//! | --- | --- |
//! | [`attribution`] | who spent |
//! | [`usage`] | what a call consumed, with one meaning for every provider |
//! | [`price`], [`money`] | what that costs |
//! | [`budget`], [`refusal`] | who may spend how much, and what is answered where nothing is left |
//! | [`record`] | everything that is kept of a call |
//! | [`sync`] | how records and prices travel between filter and collector |
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)
)]

pub mod attribution;
pub mod budget;
pub mod call;
pub mod compare;
pub mod digits;
pub mod estimate;
pub mod eventstream;
mod few;
pub mod fnv;
pub mod gateway;
pub mod id;
pub mod include_usage;
pub mod inflate;
pub mod json;
pub mod key_id;
mod keys;
pub mod meter;
pub mod money;
pub mod output_limit;
pub mod price;
pub mod provider;
pub mod record;
pub mod refusal;
pub mod request;
pub mod rewrite;
pub mod sse;
pub mod sync;
pub mod usage;
pub mod websocket;
pub mod wire;

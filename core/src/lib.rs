//! The domain of Tollgate: metering, pricing and attribution of LLM calls.
//!
//! Pure logic: no I/O, no clock (time is an argument), no floats for money, no panic on any input. It builds
//! for the filter's wasm module and for the native collector.
//!
//! | room | knows |
//! | --- | --- |
//! | [`call`] | one call, from its admission to its record; refusals |
//! | [`request`] | what a request says, and what is put into it |
//! | [`answer`] | what an answer says: its bytes in, its usage out |
//! | [`decode`] | bytes to documents: framings, compression, JSON; nothing of price, budget and record |
//! | [`budget`] | who may spend how much in which time |
//! | [`record`] | everything that is kept of a call |
//! | [`price`] | what a call costs, and at most |
//! | [`protocol`] | what filter and collector say to each other; the filter's configuration |
//! | [`estimate`] | tokens of a text, without a vocabulary |
//! | `plan` | what calls and agents will cost, before they are made (feature `plan`) |
//! | [`attribution`] | who spent |
//! | [`lean`] | written by hand for the size and the speed of the filter's module |
//! | [`usage`] | what a call consumed, with one meaning for every provider |
//! | [`money`] | pico-dollars |
//! | [`provider`] | providers and their APIs, recognised |
//! | [`keys`] | configuration as JSON, read key by key; which keys there are |
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)
)]

pub mod answer;
pub mod attribution;
pub mod budget;
pub mod call;
pub mod decode;
pub mod estimate;
pub mod keys;
pub mod lean;
pub mod money;
#[cfg(feature = "plan")]
pub mod plan;
pub mod price;
pub mod protocol;
pub mod provider;
pub mod record;
pub mod request;
pub mod usage;

//! Tollgate's estimates in a browser: what agents will cost, worked out where the prompt is.
//!
//! This crate and those below `encodings` are the only ones that know `wasm-bindgen`; `cargo xtask estimator`
//! makes a module of each. This one has the core's arithmetic and its estimate of tokens. Those have the
//! vocabulary of one encoding each, which a page loads when exact counts are asked for.
//!
//! | module | does |
//! | --- | --- |
//! | `encodings` | which encoding a model has, and who counts by it |
//! | `shown` | an answer as a page shows it |
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod encodings;
mod shown;

pub use encodings::{Counter, Counts, Loaded};
pub use shown::{Estimator, priced};

//! The harness: builds what is tested, gets Envoy, starts gateway, collector and simulated providers on free
//! ports.
//!
//! | module | knows |
//! | --- | --- |
//! | [`artifacts`] | how the filter's module and the collector are built, and where they lie |
//! | [`envoy`] | where Envoy comes from; a running Envoy |
//! | [`render`] | how a file of `envoy/` becomes one that runs here |
//! | [`collector`] | a running collector and its API |
//! | [`stack`] | all of them together |
//! | [`books`] | whether a record says what the providers' ledger says |
//! | [`http`] | a client that can send and break off anything |
//! | [`attack`], [`raw`] | callers who try to pass a budget; a client that writes requests byte by byte
//! | [`sdk`] | the providers' official Python SDKs |
//! | [`process`], [`ports`] | children that never outlive a test; free ports |
//!
//! `xtask` uses the same modules, so that there is one way to start the product.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))] // a test that cannot go on should say where

pub mod artifacts;
pub mod attack;
pub mod books;
pub mod burst;
pub mod collector;
pub mod envoy;
pub mod http;
pub mod lossy;
pub mod ports;
pub mod process;
pub mod raw;
pub mod render;
pub mod sdk;
pub mod stack;

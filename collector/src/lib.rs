//! The collector of Tollgate: keeps usage records, answers who spent what.
//!
//! | module | does |
//! | --- | --- |
//! | [`config`] | reads `tollgate.toml` |
//! | [`server`], [`app`], [`router`] | starts and stops; what handlers share; every route |
//! | [`ingest`] | checks and prices what gateways send |
//! | [`api`] | answers over HTTP, one file for each resource |
//! | [`store`] | keeps everything in one SQLite file; the only place with SQL |
//! | [`budgets`] | budgets that hold, their windows, what gateways are told of them |
//! | [`alerts`], [`anomalies`] | what is decided from what is kept, and how it is told |
//! | [`audit`] | the audit trail's chain of hashes |
//! | [`cli`] | the commands of `tollgate` |
//! | [`estimate`] | counts and prices a call before it is made |
//! | [`meter`] | meters recorded exchanges offline |
//! | [`prices`] | the price book: built from files and configuration |
//! | [`reload`] | takes a changed configuration while the collector runs |
//! | [`access`], [`tls`] | which token allows what; encryption |
//! | [`housekeeping`] | what the collector does by itself |
//! | [`reprice`] | prices records again after a correction |
//! | [`token`], [`metrics`], [`logging`] | as they say |
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap,
        missing_docs
    )
)]

pub mod access;
pub mod alerts;
pub mod anomalies;
pub mod api;
pub mod app;
pub mod budgets;
pub mod cli;
pub mod config;
pub mod doors;
pub mod estimate;
pub mod housekeeping;
pub mod ingest;
pub mod logging;
pub mod meter;
pub mod metrics;
pub mod model;
pub mod prices;
pub mod reload;
pub mod reprice;
pub mod router;
pub mod server;
pub mod store;
pub mod tls;
pub mod token;

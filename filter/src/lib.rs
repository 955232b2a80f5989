//! Tollgate inside Envoy: a proxy-wasm module that meters LLM calls. Adapters only; `tollgate-core` decides.
//!
//! | module | does |
//! | --- | --- |
//! | [`host`] | what Envoy does for the filter, and the same in memory for tests |
//! | [`root`] | one plugin in one VM: configuration, ticks |
//! | [`call`] | one HTTP stream, from Envoy's callbacks to a record |
//! | [`budgets`] | what calls hold and are charged, in one VM |
//! | [`counters`] | the table of counters in shared data |
//! | [`waiting`] | calls that wait for a collector's answer |
//! | [`stream`] | what Envoy says of a stream, and shows of it |
//! | [`deferred`] | who started work that is fetched later |
//! | [`journal`] | what is noted of a call under way |
//! | [`lane`] | a VM's journal, rooms and outbox in shared data |
//! | [`leader`] | which VM of this Envoy talks to the collector |
//! | [`sync`] | what that VM sends and what it does with the answer |
//! | [`recovery`] | what dead VMs have left |
//! | [`metrics`] | Envoy stats |
#![allow(missing_docs)]
// the SDK's `main!` exports a function without one; nothing else here is public
// Built natively it is only tested: nothing enters it.
#![cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap
    )
)]

mod advice;
mod budgets;
mod call;
mod counters;
#[cfg(test)]
mod deaths;
mod deferred;
#[cfg(test)]
mod fixture;
mod host;
mod journal;
mod lane;
mod leader;
mod metrics;
mod panics;
mod recovery;
mod root;
mod shared;
mod stream;
mod sync;
mod taken;
mod values;
mod waiting;

#[cfg(target_arch = "wasm32")]
proxy_wasm::main! {{
    let _ = log::set_logger(&host::Logger);
    log::set_max_level(log::LevelFilter::Info);
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    proxy_wasm::set_root_context(|context| -> Box<dyn proxy_wasm::traits::RootContext> { Box::new(root::Root::new(context)) });
}}

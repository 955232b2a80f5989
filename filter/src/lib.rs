//! Tollgate inside Envoy: a proxy-wasm module that meters LLM calls. Adapters only; `tollgate-core` decides.
//!
//! | module | does |
//! | --- | --- |
//! | [`root`] | one plugin in one VM: configuration, ticks |
//! | [`gateway`] | what the calls of one plugin in one VM share |
//! | [`call`] | one HTTP stream, from Envoy's callbacks to a record |
//! | [`budgets`] | what calls hold and are charged, in one VM |
//! | [`collector`] | what is sent to the collector, asked of it, and recovered for it |
//! | [`shared`] | what is kept in Envoy's shared data |
//! | [`metrics`] | Envoy stats |
//! | [`host`] | what Envoy does for the filter, and the same in memory for tests |
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

mod budgets;
mod call;
mod collector;
#[cfg(test)]
mod deaths;
#[cfg(test)]
mod explained;
#[cfg(test)]
mod fixture;
mod gateway;
mod host;
mod metrics;
mod panics;
mod root;
mod shared;

#[cfg(target_arch = "wasm32")]
proxy_wasm::main! {{
    let _ = log::set_logger(&host::Logger);
    log::set_max_level(log::LevelFilter::Info);
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    proxy_wasm::set_root_context(|context| -> Box<dyn proxy_wasm::traits::RootContext> { Box::new(root::Root::new(context)) });
}}

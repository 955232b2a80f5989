//! A small proxy-wasm host: runs `target/tollgate.wasm` outside Envoy and fails its host calls to order.
//!
//! It behaves as Envoy 1.40 was seen to (which header map can be read when, what a paused body callback sees,
//! how versions of shared data work), and besides does what Envoy rarely or never does: any status from any
//! host call, bodies cut anywhere, streams that end behind any callback, shared data that another worker
//! changes between a read and a write, call-outs that fail. It shows that the module stands that; it says
//! nothing of another product's behaviour.
//!
//! | module | does |
//! | --- | --- |
//! | [`faults`] | which host call fails, and how |
//! | [`host`] | what the module can call, and the state behind it |
//! | [`imports`] | the host calls themselves |
//! | [`vm`] | one instance of the module, and its callbacks |
//! | [`stream`] | one HTTP exchange, as Envoy would pass it through |
//! | [`random`] | numbers by a seed |

pub mod faults;
pub mod host;
mod imports;
pub mod random;
pub mod stream;
pub mod vm;

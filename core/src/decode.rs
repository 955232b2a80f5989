//! Bytes to documents: framings, compression, JSON. Knows nothing of price, budget and record.

pub mod eventstream;
pub mod inflate;
pub mod json;
pub mod sse;
pub mod websocket;

//! The server: every route, who may ask it, and how a request comes in.

pub mod answered;
pub mod guard;
mod names;
mod receive;
pub mod router;
pub mod server;

//! What filter and collector say to each other, and what the filter is told by its operator.

pub mod config;
pub mod sync;

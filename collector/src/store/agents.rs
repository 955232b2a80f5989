//! What is kept of agents for the detector.

pub(super) mod minutes;
mod operations;

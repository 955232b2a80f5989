//! What is kept of agents: for the detector, what they were planned to cost, and their registry.

pub(super) mod minutes;
mod operations;
mod plans;
pub(super) mod registered;
pub(in crate::store) mod registry;

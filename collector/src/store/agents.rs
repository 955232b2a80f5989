//! What is kept of agents: for the detector, and what they were planned to cost.

pub(super) mod minutes;
mod operations;
mod plans;

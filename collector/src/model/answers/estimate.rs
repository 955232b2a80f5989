//! What a call would cost.

pub use tollgate_core::plan::{Estimate, Worst};

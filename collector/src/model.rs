//! What the collector speaks of: plain types and pure functions. Imports nothing else of the crate.

pub mod agent;
pub mod alert;
pub mod anomaly;
pub mod answers;
pub mod audit;
pub mod calendar;
pub mod clock;
pub mod compare;
pub mod dimension;
pub mod drift;
pub mod minute;
pub mod parquet;
pub mod prompt;
pub mod refusal;
pub mod role;
pub mod run;
pub mod sizes;
pub mod split;
pub mod table;
pub mod text;
pub mod unit;

pub use tollgate_core::money::decimal;
pub use tollgate_core::plan::nearest;

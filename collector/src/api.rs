//! The HTTP API: one file for each resource.

pub mod alerts;
pub mod anomalies;
pub mod asked;
pub mod audit;
pub mod budgets;
pub mod chargeback;
pub mod corrections;
pub mod error;
pub mod estimate;
pub mod explain;
pub mod exports;
pub mod extract;
pub mod health;
pub mod home;
pub mod import;
pub mod openapi;
pub mod params;
pub mod period;
pub mod prices;
pub mod prompts;
pub mod records;
pub mod runs;
mod stream;
pub mod summary;
pub mod sync;
pub mod what_if;

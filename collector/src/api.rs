//! The HTTP API: one file for each resource.

pub mod error;
pub mod health;
pub mod home;
pub mod params;
pub mod period;
pub mod records;
pub mod summary;
pub mod sync;

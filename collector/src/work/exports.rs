//! Exports: what is kept, as rows for other systems.

pub mod focus;
pub mod records;
pub mod rollups;
#[cfg(test)]
pub(crate) mod sample;

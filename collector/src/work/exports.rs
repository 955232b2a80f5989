//! Exports: what is kept, as rows for other systems.

pub mod focus;
#[cfg(test)]
pub(crate) mod sample;

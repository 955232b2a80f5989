//! Exports: what is kept, as rows for other systems.

pub mod focus;

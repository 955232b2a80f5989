//! The database as a file: opened, brought to its schema, read, led, saved, and said to be damaged where it
//! is.

pub(super) mod backup;
pub(super) mod damage;
pub(super) mod error;
pub(super) mod lead;
pub(super) mod migrations;
pub(super) mod newest;
pub(super) mod numbers;
pub(super) mod open;
mod operations;
pub(super) mod readers;
pub(super) mod space;

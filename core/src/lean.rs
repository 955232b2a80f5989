//! Written by hand for the size and the speed of the filter's module.

pub mod compare;
pub mod digits;
pub(crate) mod find;
pub mod fnv;
pub(crate) mod small_map;

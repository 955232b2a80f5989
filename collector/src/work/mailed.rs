//! Reports by mail: when one is due ([`schedule`]), and how it is sent ([`run`]).
//!
//! What a report says is made by `api`, as its numbers are those of summaries and comparisons.

pub mod run;
pub mod schedule;

//! The collector of Tollgate: keeps usage records, answers who spent what.
//!
//! | module | does |
//! | --- | --- |
//! | [`store`] | keeps everything in one SQLite file |
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        missing_docs
    )
)]

pub mod store;

//! The collector of Tollgate: keeps usage records, answers who spent what.
//!
//! Each room may import only what stands above it; `cargo xtask test --only rules` keeps it so.
//!
//! | room | does |
//! | --- | --- |
//! | [`model`] | what all of them speak of: plain types, pure functions |
//! | [`config`] | reads `tollgate.toml` and tokens |
//! | [`store`] | keeps everything in one SQLite file; the only place with SQL |
//! | [`work`] | admits, prices, decides, tells, keeps house |
//! | [`api`] | answers over HTTP, one file for each resource |
//! | [`pages`] | what people see in a browser, from the API's answers |
//! | [`http`] | the server, every route, the guard before them |
//! | [`cli`] | the commands of `tollgate` |

// Texts of others stand in what is printed: it goes through `cli/output`, which shows them as they may be.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap,
        missing_docs
    )
)]

pub mod api;
pub mod cli;
pub mod config;
pub mod http;
pub mod model;
pub mod pages;
pub mod store;
pub mod work;

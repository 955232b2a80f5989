//! `tollgate estimate --page`: the page of estimates as one file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use tollgate_core::price::{EMBEDDED, PriceBook};

use crate::cli::output;
use crate::model::clock::now_ms;
use crate::pages::estimate_file;

/// What makes a file of an estimate.
#[derive(Args, Debug)]
#[command(next_help_heading = "For people without a collector")]
pub(super) struct PageArgs {
    /// Write a page that counts and prices in a browser, with the prices that come with Tollgate: one file
    /// that asks nobody
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "text", "calls", "check", "offline"])]
    pub(super) page: Option<PathBuf>,
    /// Put the vocabularies of the public encodings into it, so that it counts exactly: some 4.5 MB more
    #[arg(long, requires = "page")]
    pub(super) with_encodings: bool,
}

/// Writes it.
pub(super) fn write(to: &Path, with_encodings: bool) -> anyhow::Result<()> {
    let book = PriceBook::from_files(EMBEDDED).map_err(|errors| {
        anyhow::anyhow!("{} mistakes in the prices that come with Tollgate", errors.len())
    })?;
    let page = estimate_file(&book, now_ms(), with_encodings)?;
    fs::write(to, &page).with_context(|| format!("`{}` cannot be written", to.display()))?;
    let counts = match with_encodings {
        true => "it counts exactly where an encoding is public",
        false => {
            "tokens are estimated in it; with --with-encodings it counts exactly where an encoding is public"
        }
    };
    output::say(&format!("{}: {} kB; {counts}", to.display(), page.len().div_ceil(1_000)));
    Ok(())
}

//! `tollgate check`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::config::Config;

/// Arguments of `tollgate check`.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Check {
    /// The collector's configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Check {
    /// Checks every file that is named, and says all that is wrong with any.
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut wrong = Vec::new();
        if let Some(path) = &self.config {
            match Config::load(path) {
                Ok(_) => println!("{}: good", path.display()),
                Err(errors) => wrong.push(errors.to_string()),
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::Configuration(wrong.join("\n")))
    }
}

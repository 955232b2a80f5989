//! `tollgate check`.

use std::path::{Path, PathBuf};

use clap::Args;
use tollgate_core::gateway::GatewayConfig;

use super::Failure;
use crate::budgets;
use crate::config::Config;
use crate::prices;

/// Arguments of `tollgate check`.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Check {
    /// The collector's configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The filter's configuration, as JSON in Envoy's plugin configuration
    #[arg(long, value_name = "FILE")]
    filter: Option<PathBuf>,
}

impl Check {
    /// Checks every file that is named, and says all that is wrong with any.
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut wrong = Vec::new();
        if let Some(path) = &self.config {
            match collector(path) {
                Ok(()) => println!("{}: good", path.display()),
                Err(errors) => wrong.extend(errors),
            }
        }
        if let Some(path) = &self.filter {
            match filter(path) {
                Ok(()) => println!("{}: good", path.display()),
                Err(errors) => wrong.extend(errors),
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::Configuration(wrong.join("\n")))
    }
}

fn collector(path: &Path) -> Result<(), Vec<String>> {
    let config = Config::load(path).map_err(|errors| vec![errors.to_string()])?;
    let file = path.display().to_string();
    let book = prices::book(&file, &config.prices)?;
    budgets::check(&file, &config.budgets, &book)
}

fn filter(path: &Path) -> Result<(), Vec<String>> {
    let file = path.display();
    let json = std::fs::read(path).map_err(|error| vec![format!("{file}: cannot be read: {error}")])?;
    GatewayConfig::parse(&json)
        .map(drop)
        .map_err(|errors| errors.iter().map(|error| format!("{file}: {error}")).collect())
}

//! `tollgate check`.

use std::path::{Path, PathBuf};

use clap::Args;
use tollgate_core::budget::Budget;
use tollgate_core::protocol::config::GatewayConfig;

use super::{Failure, output};
use crate::config::Config;
use crate::model::clock::now_ms;
use crate::work::{policy, prices, rules};

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
        let mut budgets = Vec::new();
        if let Some(path) = &self.config {
            match collector(path) {
                Ok(defined) => {
                    good(path)?;
                    budgets = defined.into_iter().map(|budget| (path, budget)).collect();
                }
                Err(errors) => wrong.extend(errors),
            }
        }
        if let Some(path) = &self.filter {
            match filter(path) {
                Ok(gateway) => {
                    good(path)?;
                    let short =
                        budgets.iter().filter_map(|(file, budget)| short_lease(file, budget, &gateway));
                    wrong.extend(short);
                }
                Err(errors) => wrong.extend(errors),
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::of_mistakes(&wrong))
    }
}

fn good(path: &Path) -> anyhow::Result<()> {
    output::print(&format!("{}: good", path.display()))
}

/// A lease must outlast two of this gateway's syncs.
fn short_lease(file: &Path, budget: &Budget, gateway: &GatewayConfig) -> Option<String> {
    let interval_ms = gateway.collector.as_ref()?.interval_ms;
    (budget.lease_ms < 2 * interval_ms).then(|| {
        format!(
            "{}: budget `{}`: `lease` is {} ms, below two of the sync intervals of gateway `{}`, which are {interval_ms} ms; \
             give at least {} ms, or the gateway a shorter `interval_ms`",
            file.display(),
            budget.name,
            budget.lease_ms,
            gateway.gateway,
            2 * interval_ms
        )
    })
}

fn collector(path: &Path) -> Result<Vec<Budget>, Vec<String>> {
    let config = Config::load(path)
        .map_err(|errors| errors.to_string().lines().map(str::to_owned).collect::<Vec<_>>())?;
    let file = path.display().to_string();
    let book = prices::book(&file, &config.prices)?;
    policy::check(&file, &config.budgets, &book)?;
    rules::check(&file, &config, &book, now_ms())?;
    rules::check_ends(&file, &config.rules, now_ms())?;
    Ok(config.budgets.budgets)
}

fn filter(path: &Path) -> Result<GatewayConfig, Vec<String>> {
    let file = path.display();
    let json = std::fs::read(path).map_err(|error| vec![format!("{file}: cannot be read: {error}")])?;
    GatewayConfig::parse(&json)
        .map_err(|errors| errors.iter().map(|error| format!("{file}: {error}")).collect())
}

//! `tollgate serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tollgate_core::price::PriceBook;
use tracing::{info, warn};

use super::Failure;
use crate::cli::logging;
use crate::config::{Config, LogFormat};
use crate::http::server::{Server, stop_signal};
use crate::model::clock::now_ms;
use crate::work::{access, policy, prices, rules};

/// Arguments of `tollgate serve`.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Configuration file; without one, the defaults hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Form of the log, instead of the configured one
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl Serve {
    /// Serves until a signal stops it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut config = match &self.config {
            Some(path) => Config::load(path).map_err(|errors| Failure::Configuration(errors.to_string()))?,
            None => Config::default(),
        };
        config.log.format = self.log_format.unwrap_or(config.log.format);
        logging::start(config.log);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("the runtime does not start")?;
        let name = self.config.as_ref().map_or_else(String::new, |path| path.display().to_string());
        let book = prices::book(&name, &config.prices)
            .and_then(|book| policy::check(&name, &config.budgets, &book).map(|()| book))
            .and_then(|book| rules::check(&name, &config, &book, now_ms()).map(|()| book))
            .map_err(|errors| Failure::of_mistakes(&errors))?;
        runtime.block_on(serve(&config, self.config, book))?;
        Ok(())
    }
}

async fn serve(config: &Config, file: Option<PathBuf>, book: PriceBook) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let mut server = Server::bind(config, book).await?;
    if let Some(file) = file {
        server.watch(file);
    }
    let address = server.address()?;
    let scheme = if server.is_encrypted() { "https" } else { "http" };
    if !address.ip().is_loopback() {
        warn_of(address, access::reading_is_open(config), server.is_encrypted());
    }
    info!(%address, data_dir = %config.data_dir.display(), "Collector listens on {scheme}://{address}");
    server.run(stop).await
}

/// Says what others can see of a collector that other machines reach.
fn warn_of(address: SocketAddr, reading_is_open: bool, is_encrypted: bool) {
    if reading_is_open {
        warn!(
            "Listening on {address}, which other machines may reach: the API shows all records to whoever asks; \
             set `access.read` to `token`"
        );
    }
    if !is_encrypted {
        warn!(
            "Listening on {address} without encryption: tokens and records can be read on the way; set \
             `tls.certificate` and `tls.key`, or listen on loopback behind something that encrypts"
        );
    }
}

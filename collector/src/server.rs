//! The server: from a configuration to a clean stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tollgate_core::price::PriceBook;
use tracing::{info, warn};

use crate::app::{App, now_ms};
use crate::config::Config;
use crate::prices::Prices;
use crate::router::router;
use crate::store::Store;
use crate::token::Token;

/// A collector that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
}

impl Server {
    /// Opens the store and listens.
    ///
    /// # Errors
    /// Says what is missing or in the way.
    pub async fn bind(config: &Config, book: PriceBook) -> anyhow::Result<Self> {
        let store = Store::open(&config.data_dir)?;
        let token = Token::load_or_create(&config.ingest.token_file)?;
        let admin_token = Token::load_or_create(&config.admin_token_file)?;
        let prices = Arc::new(Prices::new(book, config.prices.unpriced));
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!("cannot listen on `{}`; is it in use, or not an address of this machine?", config.listen)
        })?;
        let budgets = store.configure_budgets(config.budgets.budgets.clone(), now_ms()).await?;
        let app = Arc::new(App::new(store, prices, token, Some(admin_token)));
        app.budgets.replace(budgets, config.budgets.registered.clone());
        Ok(Self { listener, app })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// The prices that it holds, to be renewed.
    #[must_use]
    pub fn prices(&self) -> Arc<Prices> {
        Arc::clone(&self.app.prices)
    }

    /// Answers until `stop` ends, finishes what is in flight, and closes the store.
    ///
    /// # Errors
    /// When serving fails, or the store cannot be closed.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let Self { listener, app } = self;
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let graceful = async move {
            stop.await;
            // The receiver waits for this as long as the server runs.
            let _ = stopping.send(());
        };
        let serve = axum::serve(listener, router(Arc::clone(&app))).with_graceful_shutdown(graceful);
        let patience = async {
            let _ = stopped.await;
            tokio::time::sleep(STOP_WAITS).await;
        };
        tokio::pin!(patience);
        let serving = std::future::IntoFuture::into_future(serve);
        tokio::select! {
            served = serving => served.context("the server failed")?,
            () = &mut patience => warn!("Requests were still open after {STOP_WAITS:?}; they were cut off"),
        }
        close(app).await
    }
}

/// Ends at SIGTERM or SIGINT.
///
/// # Errors
/// When the signals cannot be received.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("Stopping: requests in flight are finished first");
    })
}

/// Closes the store once no request holds it any more.
async fn close(app: Arc<App>) -> anyhow::Result<()> {
    let mut app = app;
    let deadline = tokio::time::Instant::now() + STOP_WAITS;
    let app = loop {
        match Arc::try_unwrap(app) {
            Ok(app) => break app,
            Err(shared) if tokio::time::Instant::now() < deadline => {
                app = shared;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // What was acknowledged is on disk; only the checkpoint is left to the next start.
            Err(_) => return Ok(()),
        }
    };
    tokio::task::spawn_blocking(move || app.store.close()).await??;
    info!("Stopped");
    Ok(())
}

/// How long a stop waits for requests in flight.
const STOP_WAITS: Duration = Duration::from_secs(10);

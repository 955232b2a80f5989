//! The server: from a configuration to a clean stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tollgate_core::price::PriceBook;
use tracing::{info, warn};

use crate::access::Access;
use crate::alerts;
use crate::anomalies;
use crate::app::{App, now_ms};
use crate::config::Config;
use crate::housekeeping;
use crate::prices::Prices;
use crate::reload::Reload;
use crate::router::router;
use crate::store::Store;
use crate::tls::{Certificates, TlsListener};

/// A collector that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
    certificates: Option<Arc<Certificates>>,
    /// What runs beside the requests; it ends before the store is closed.
    tasks: JoinSet<()>,
}

impl Server {
    /// Opens the store and listens.
    ///
    /// # Errors
    /// Says what is missing or in the way.
    pub async fn bind(config: &Config, book: PriceBook) -> anyhow::Result<Self> {
        let store = Store::open(&config.data_dir)?;
        store.set_rows_per_hour(config.rollups.rows_per_hour);
        let access = Access::load(config)?;
        let certificates = config.tls.as_ref().map(Certificates::load).transpose()?.map(Arc::new);
        let prices = Arc::new(Prices::new(book, config.prices.unpriced));
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!("cannot listen on `{}`; is it in use, or not an address of this machine?", config.listen)
        })?;
        let budgets = store
            .configure_budgets(config.budgets.budgets.clone(), config.budgets.registered.clone(), now_ms())
            .await?;
        store.keep_lead(now_ms()).await?;
        let app = Arc::new(App::new(config.clone(), store, prices, access));
        app.budgets.replace(budgets, config.budgets.registered.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(housekeeping::lead(Arc::clone(&app)));
        tasks.spawn(housekeeping::run(Arc::clone(&app)));
        tasks.spawn(anomalies::run::run(Arc::clone(&app)));
        tasks.spawn(alerts::run::judge_forever(Arc::clone(&app)));
        tasks.spawn(alerts::run::deliver_forever(Arc::clone(&app)));
        Ok(Self { listener, app, certificates, tasks })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Takes a changed configuration in `file` while it runs.
    pub fn watch(&mut self, file: PathBuf) {
        self.tasks.spawn(Reload::new(Arc::clone(&self.app), self.certificates.clone(), file).run());
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.certificates.is_some()
    }

    /// Answers until `stop` ends, finishes what is in flight, and closes the store.
    ///
    /// # Errors
    /// When serving fails, or the store cannot be closed.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let Self { listener, app, certificates, tasks } = self;
        match certificates {
            None => serve(listener, app, tasks, stop).await,
            Some(certificates) => serve(TlsListener::new(listener, certificates)?, app, tasks, stop).await,
        }
    }
}

async fn serve<L>(
    listener: L,
    app: Arc<App>,
    mut tasks: JoinSet<()>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()>
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
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
    tasks.shutdown().await;
    close(app).await
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

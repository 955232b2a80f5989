//! The server: from a configuration to a clean stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::serve::Listener;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tollgate_core::price::PriceBook;
use tracing::{debug, info, warn};

use crate::api::reports;
use crate::config::Config;
use crate::http::router::router;
use crate::model::clock::now_ms;
use crate::store::Store;
use crate::work::access::Access;
use crate::work::app::App;
use crate::work::doors::{HEAD_WAITS, Visit};
use crate::work::prices::Prices;
use crate::work::reload::Reload;
use crate::work::tls::{self, Certificates};
use crate::work::{alerts, anomalies, following, housekeeping, mailed, news, registry, rules};

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
        let defined = store.configure(rules::configured(config), now_ms()).await?;
        store.keep_lead(now_ms()).await?;
        let app = Arc::new(App::new(config.clone(), store, prices, access));
        app.budgets.configure(defined, config);
        let mut tasks = JoinSet::new();
        tasks.spawn(housekeeping::lead(Arc::clone(&app)));
        tasks.spawn(housekeeping::run(Arc::clone(&app)));
        tasks.spawn(housekeeping::look_over(Arc::clone(&app)));
        tasks.spawn(following::run(Arc::clone(&app)));
        tasks.spawn(anomalies::run::run(Arc::clone(&app)));
        tasks.spawn(registry::run(Arc::clone(&app)));
        tasks.spawn(news::run(Arc::clone(&app)));
        tasks.spawn(alerts::run::judge_forever(Arc::clone(&app)));
        tasks.spawn(alerts::run::deliver_forever(Arc::clone(&app)));
        tasks.spawn(mailed::run::run(Arc::clone(&app), reports::make));
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
    pub const fn is_encrypted(&self) -> bool {
        self.certificates.is_some()
    }

    /// Answers until `stop` ends, finishes what is in flight, and closes the store.
    ///
    /// # Errors
    /// When the store cannot be closed.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let Self { mut listener, app, certificates, mut tasks } = self;
        let router = router(Arc::clone(&app));
        let (stopping, stopped) = watch::channel(());
        let mut visits = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let (stream, peer) = tokio::select! {
                accepted = Listener::accept(&mut listener) => accepted,
                Some(_) = visits.join_next() => continue,
                () = &mut stop => break,
            };
            let Some(visit) = app.doors.enter() else { continue };
            let acceptor = certificates.as_ref().map(|certificates| certificates.acceptor());
            visits.spawn(receive(stream, peer, acceptor, router.clone(), Arc::new(visit), stopped.clone()));
        }
        app.news.end();
        drop((listener, router, stopped));
        let _ = stopping.send(());
        let finished = async { while visits.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WAITS, finished).await.is_err() {
            warn!("Requests were still open after {STOP_WAITS:?}; they were cut off");
        }
        visits.shutdown().await;
        tasks.shutdown().await;
        close(app).await
    }
}

/// One connection, from its handshake on, until it ends, has to go, or the collector stops.
async fn receive(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    visit: Arc<Visit>,
    stopped: watch::Receiver<()>,
) {
    let serve = async {
        match acceptor {
            None => answer(stream, router, &visit, stopped).await,
            Some(acceptor) => {
                if let Some(stream) = tls::handshake(&acceptor, stream, peer).await {
                    answer(stream, router, &visit, stopped).await;
                }
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = visit.sent_away() => debug!(%peer, "A connection went to make room for another"),
    }
}

async fn answer<S>(stream: S, router: Router, visit: &Arc<Visit>, mut stopped: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = router.layer(Extension(Arc::clone(visit)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WAITS);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    tokio::select! {
        // A client that hangs up or says nothing is nobody's fault here.
        _ = connection.as_mut() => return,
        _ = stopped.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
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

//! What every request handler shares.

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tollgate_core::price::PriceBook;

use crate::metrics::Metrics;
use crate::store::Store;
use crate::token::Token;

/// The collector's state.
#[derive(Debug)]
pub struct App {
    /// Everything that outlives a restart.
    pub store: Store,
    /// The prices that gateways get.
    pub book: PriceBook,
    /// What gateways present.
    pub ingest_token: Token,
    /// The collector's own metrics.
    pub metrics: Metrics,
    /// Bounds how many sync requests are in memory.
    pub syncs: Semaphore,
}

impl App {
    /// The state of a collector that starts.
    #[must_use]
    pub fn new(store: Store, book: PriceBook, ingest_token: Token) -> Self {
        Self { store, book, ingest_token, metrics: Metrics::default(), syncs: Semaphore::new(SYNCS_MAX) }
    }
}

/// The collector's clock, Unix milliseconds UTC.
#[must_use]
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// Sync requests that are read and stored at one time; more wait, which slows their gateways.
const SYNCS_MAX: usize = 16;

//! What every request handler shares.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::budgets::Budgets;
use crate::metrics::Metrics;
use crate::prices::Prices;
use crate::store::Store;
use crate::token::Token;

/// The collector's state.
#[derive(Debug)]
pub struct App {
    /// Everything that outlives a restart.
    pub store: Store,
    /// The prices that records and gateways get.
    pub prices: Arc<Prices>,
    /// Who may spend how much.
    pub budgets: Budgets,
    /// What gateways present.
    pub ingest_token: Token,
    /// What those present who change something; without one nobody can.
    pub admin_token: Option<Token>,
    /// Held while records are priced again, which happens once at a time.
    pub repricing: tokio::sync::Mutex<()>,
    /// The collector's own metrics.
    pub metrics: Metrics,
    /// Bounds how many sync requests are in memory.
    pub syncs: Semaphore,
}

impl App {
    /// The state of a collector that starts.
    #[must_use]
    pub fn new(store: Store, prices: Arc<Prices>, ingest_token: Token, admin_token: Option<Token>) -> Self {
        Self {
            store,
            prices,
            budgets: Budgets::default(),
            ingest_token,
            admin_token,
            repricing: tokio::sync::Mutex::default(),
            metrics: Metrics::default(),
            syncs: Semaphore::new(SYNCS_MAX),
        }
    }
}

/// The collector's clock, Unix milliseconds UTC.
#[must_use]
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// Sync requests that are read and stored at one time; more wait, which slows their gateways.
const SYNCS_MAX: usize = 16;

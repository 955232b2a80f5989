//! What every request handler shares.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

use crate::config::Config;
use crate::model::clock::now_ms;
use crate::store::Store;
use crate::work::access::{Access, WrongTokens};
use crate::work::doors::Doors;
use crate::work::fleet::Fleet;
use crate::work::metrics::Metrics;
use crate::work::news::News;
use crate::work::policy::Budgets;
use crate::work::prices::Prices;
use crate::work::stopping::Stopping;

/// The collector's state.
#[derive(Debug)]
pub struct App {
    /// When it started, Unix milliseconds UTC.
    pub started_ms: u64,
    /// Everything that outlives a restart.
    pub store: Store,
    /// The prices that records and gateways get.
    pub prices: Arc<Prices>,
    /// Which token allows what.
    pub access: Access,
    /// Who may spend how much.
    pub budgets: Budgets,
    /// Runs that pass a limit on all gateways together.
    pub stopping: Stopping,
    /// What gateways hold.
    pub fleet: Fleet,
    /// Held while records are priced again, which happens once at a time.
    pub repricing: tokio::sync::Mutex<()>,
    /// The collector's own metrics.
    pub metrics: Metrics,
    /// How often records were imported: hours that are over are others then.
    pub imports: AtomicU64,
    /// Bounds how many sync requests are read and stored at a time, once all of them is here.
    pub syncs: Semaphore,
    /// Who is inside.
    pub doors: Arc<Doors>,
    /// Whether something changed that people look at.
    pub news: News,
    /// Requests with tokens that nobody knows.
    pub wrong_tokens: WrongTokens,
    config: RwLock<Arc<Config>>,
    config_error: RwLock<Option<String>>,
}

impl App {
    /// The state of a collector that starts.
    pub fn new(config: Config, store: Store, prices: Arc<Prices>, access: Access) -> Self {
        Self {
            started_ms: now_ms(),
            store,
            prices,
            access,
            budgets: Budgets::default(),
            stopping: Stopping::default(),
            fleet: Fleet::default(),
            repricing: tokio::sync::Mutex::default(),
            metrics: Metrics::default(),
            imports: AtomicU64::new(0),
            syncs: Semaphore::new(SYNCS_MAX),
            doors: Arc::default(),
            news: News::default(),
            wrong_tokens: WrongTokens::default(),
            config: RwLock::new(Arc::new(config)),
            config_error: RwLock::default(),
        }
    }

    /// The configuration that holds now. `listen`, `data_dir`, `log` and whether there is TLS stay what they
    /// were at the start.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another configuration in place, which was found good.
    pub fn set_config(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.set_config_error(None);
    }

    /// What is wrong with the configuration as it is on disk, if it could not be used.
    pub fn config_error(&self) -> Option<String> {
        self.config_error.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what is wrong with the configuration on disk.
    pub fn set_config_error(&self, error: Option<String>) {
        *self.config_error.write().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

/// Sync requests that are parsed and stored at one time; more wait, which slows their gateways.
const SYNCS_MAX: usize = 16;

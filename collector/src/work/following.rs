//! Adding new records to the sums by facet, which reports of runs, tags and prompts read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::error;

use crate::model::clock::now_ms;
use crate::store::StoreError;
use crate::work::app::App;

/// Follows the records while this collector leads, until it ends.
pub async fn run(app: Arc<App>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(lead) = app.store.lead(now_ms()) else { continue };
        loop {
            match app.store.follow(Some(lead)).await {
                Ok(true) => tokio::time::sleep(PAUSE).await,
                Ok(false) => break,
                Err(error) => {
                    error!(%error, "New records could not be added to runs, tags and prompts; it is tried again");
                    break;
                }
            }
        }
    }
}

/// Follows what is new, before somebody reads; gives how many records are not followed yet all the same, as
/// they are very many or another collector leads.
///
/// # Errors
/// When the database cannot be read.
pub async fn catch_up(app: &App) -> Result<u64, StoreError> {
    let started = Instant::now();
    let left = app.store.unfollowed().await?;
    if left > HOPELESS {
        return Ok(left);
    }
    if let Some(lead) = app.store.lead(now_ms()) {
        // Where writing fails, what was followed so far is told with how much is missing.
        while started.elapsed() < READERS_WAIT && app.store.follow(Some(lead)).await.unwrap_or(false) {}
    }
    app.store.unfollowed().await
}

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// Between two transactions, so that gateways come first.
const PAUSE: Duration = Duration::from_millis(5);
/// So many records nobody waits for, as after an upgrade.
const HOPELESS: u64 = 200_000;
/// How long a reader waits for what is new.
const READERS_WAIT: Duration = Duration::from_secs(2);

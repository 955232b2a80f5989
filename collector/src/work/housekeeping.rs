//! What the collector does by itself, at its own pace: keeping the lead, removing records by age, packing
//! what is over, and telling the audit trail's head.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info};

use crate::model::clock::{DAY_MS, HOUR_MS, now_ms};
use crate::store::Lead;
use crate::work::app::App;

/// Takes the lead of the collectors on this database where nobody has it, and keeps it, until the collector
/// ends.
pub async fn lead(app: Arc<App>) {
    let mut led = false;
    loop {
        match app.store.keep_lead(now_ms()).await {
            Ok(lead) => {
                if lead.is_some() != led {
                    led = lead.is_some();
                    app.metrics.leads.set(led.into());
                    let what = if led { "has the lead now" } else { "has lost the lead to another" };
                    info!(
                        "This collector {what}: only the leader judges alerts, watches agents and keeps house"
                    );
                }
            }
            Err(error) => error!(%error, "It is not known which collector leads; it is tried again"),
        }
        tokio::time::sleep(LED_EVERY).await;
    }
}

/// Reads the database for damage, at the start and once a day, until the collector ends. What is found,
/// `/readyz` says.
pub async fn look_over(app: Arc<App>) {
    loop {
        if let Err(error) = app.store.look_over().await {
            error!(%error, "The database could not be read through");
        }
        tokio::time::sleep(LOOKED_OVER_EVERY).await;
    }
}

/// Keeps house while this collector leads, until it ends.
pub async fn run(app: Arc<App>) {
    let mut head_told_on = None;
    loop {
        let lead = app.store.lead(now_ms());
        if lead.is_none() {
            tokio::time::sleep(LED_EVERY).await;
            continue;
        }
        expire(&app, lead).await;
        let before_ms = now_ms().saturating_sub(MINUTES_KEPT_MS);
        if let Err(error) = app.store.forget_minutes(lead, before_ms).await {
            error!(%error, "Old minutes could not be removed; it is tried again");
        }
        let before_ms = now_ms().saturating_sub(WORK_KEPT_MS);
        if let Err(error) = app.store.forget_work(lead, before_ms).await {
            error!(%error, "Work that was started long ago could not be forgotten; it is tried again");
        }
        pack(&app, lead).await;
        let today = now_ms() / DAY_MS;
        if head_told_on != Some(today) && tell_head(&app).await {
            head_told_on = Some(today);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Removes records that are older than the configuration keeps them, a few at a time.
pub async fn expire(app: &App, lead: Option<Lead>) {
    let Some(days) = app.config().retention.records_days else { return };
    let mut removed = 0usize;
    loop {
        match app.store.expire(lead, now_ms(), days.saturating_mul(DAY_MS)).await {
            Ok(0) => break,
            Ok(some) => removed = removed.saturating_add(some),
            Err(error) => {
                error!(%error, "Old records could not be removed; it is tried again");
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    if removed > 0 {
        info!(removed, "Removed {removed} records that were older than {days} days; summaries stay");
    }
}

/// Packs the rollup of what is over, some at a time.
async fn pack(app: &App, lead: Option<Lead>) {
    loop {
        match app.store.pack(lead, now_ms()).await {
            Ok(true) => tokio::time::sleep(PAUSE).await,
            Ok(false) => break,
            Err(error) => {
                error!(%error, "Summaries of what is over could not be made quicker; it is tried again");
                break;
            }
        }
    }
}

/// Writes the head of the audit trail to the log, where it can be kept apart from the database.
async fn tell_head(app: &App) -> bool {
    match app.store.audit_head().await {
        Ok(head) => {
            info!(audit.head = %head, "Head of the audit trail: {head}");
            true
        }
        Err(_) => false,
    }
}

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);
/// How often one that does not lead asks.
const LED_EVERY: Duration = Duration::from_secs(1);
/// Between two transactions that remove or pack, so that gateways come first.
const PAUSE: Duration = Duration::from_millis(20);
/// Minutes are kept for a little more than a day.
const MINUTES_KEPT_MS: u64 = 26 * HOUR_MS;
/// Who started work is known for 90 days.
const WORK_KEPT_MS: u64 = 90 * DAY_MS;
const LOOKED_OVER_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

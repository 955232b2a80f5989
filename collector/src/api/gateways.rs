//! `GET /api/v1/gateways`: who reports, and what they hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::params::Params;
use crate::model::alert::GatewaySeen;
use crate::model::answers::gateways::{GatewayRow, GatewaysAnswer};
use crate::model::clock::{now_ms, rfc3339};
use crate::work::app::App;
use crate::work::fleet::{Envoy, is_live};

/// Answers every gateway, by name.
///
/// # Errors
/// For a parameter, and when the store fails.
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    params.finish()?;
    let seen = app.store.gateways_seen().await?;
    app.budgets.refresh(&app.store).await?;
    let (held, now_ms) = (app.prices.held(), now_ms());
    let policy_version = app.budgets.policy(&held, now_ms).version;
    let price_version = held.book.version().to_owned();
    let row = |one: GatewaySeen| {
        let envoys = app.fleet.live(&one.gateway, now_ms);
        let with = |is_so: &dyn Fn(&Envoy) -> bool| envoys.iter().filter(|envoy| is_so(envoy)).count() as u64;
        GatewayRow {
            last_sync: rfc3339(one.last_seen_ms).unwrap_or_default(),
            reports: is_live(one.last_seen_ms, now_ms),
            envoys: envoys.len() as u64,
            versions: envoys
                .iter()
                .filter_map(|envoy| envoy.version.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            late_ms: envoys.iter().map(|envoy| envoy.late_ms).max().unwrap_or(0),
            dropped: envoys.iter().fold(0, |sum, envoy| sum.saturating_add(envoy.dropped)),
            with_policy: with(&|envoy| envoy.policy.as_ref() == Some(&policy_version)),
            with_prices: with(&|envoy| envoy.prices.as_ref() == Some(&price_version)),
            shared_values: one.values_shared,
            gateway: one.gateway,
        }
    };
    let rows = seen.into_iter().map(row).collect();
    Ok(Json(GatewaysAnswer { policy_version, price_version, rows }).into_response())
}

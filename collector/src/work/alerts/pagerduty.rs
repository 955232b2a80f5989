//! PagerDuty: Events API, version 2 (its OpenAPI description, read 2026-11-25).
//!
//! An alert triggers, its end resolves, under the same `dedup_key`.

use serde_json::{Map, Value, json};

use super::message::{Item, Message, cut};
use crate::model::alert::Event;
use crate::model::clock::instant;

/// The body of one alert's event.
pub fn body(message: &Message, item: &Item, routing_key: &str) -> Value {
    let alert = &item.alert;
    if item.event == Event::Resolved {
        return json!({"routing_key": routing_key, "event_action": "resolve", "dedup_key": alert.id});
    }
    let at = instant(item.at_ms);
    let details: Map<String, Value> = item
        .facts()
        .into_iter()
        .map(|(name, value)| (name, Value::String(cut(&value, DETAIL_MAX))))
        .collect();
    let link = message.link(alert);
    json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": alert.id,
        "payload": {
            "summary": cut(&alert.title, SUMMARY_MAX),
            "source": "tollgate",
            "severity": alert.severity,
            "timestamp": at.map(|at| at.to_string()),
            "component": alert.rule,
            "group": alert.scope,
            "class": alert.threshold,
            "custom_details": details,
        },
        "client": "Tollgate",
        "client_url": link,
        "links": [{"href": link, "text": "The numbers"}],
    })
}

const SUMMARY_MAX: usize = 1_024;
const DETAIL_MAX: usize = 2_000;

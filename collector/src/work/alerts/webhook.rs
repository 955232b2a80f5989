//! Generic webhooks, signed as Standard Webhooks describe (specification 1.0, read 2026-11-25).
//!
//! `webhook-signature` is `v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`; the secret is
//! `whsec_` and base64. `webhook-id` is the same at each attempt, so that a receiver can tell a repeat.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Map, Value, json};

use super::message::Message;

use crate::model::clock::instant;

/// The body of a message.
pub fn body(message: &Message) -> Value {
    let alerts: Vec<Value> = message
        .items
        .iter()
        .map(|item| {
            let at = instant(item.at_ms);
            json!({
                "event": item.event.name(),
                "at": at.map(|at| at.to_string()),
                "id": item.alert.id,
                "rule": item.alert.rule,
                "scope": item.alert.scope,
                "window": item.alert.window,
                "threshold": item.alert.threshold,
                "severity": item.alert.severity,
                "title": item.alert.title,
                "facts": item.alert.facts.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>(),
                "url": message.link(&item.alert),
            })
        })
        .collect();
    json!({"type": "tollgate.alerts", "data": {"alerts": alerts}})
}

/// The three headers of a body that is sent at this time.
///
/// # Errors
/// When the secret is not `whsec_` and base64.
pub fn headers(
    id: &str,
    now_ms: u64,
    body: &str,
    secret: &str,
) -> anyhow::Result<[(&'static str, String); 3]> {
    let key = secret.strip_prefix("whsec_").unwrap_or(secret);
    let key = STANDARD.decode(key).context("the webhook's secret is not `whsec_` and base64")?;
    let timestamp = (now_ms / 1_000).to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signature = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    Ok([
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(signature.as_ref()))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the reference implementations' own tests.
    #[test]
    fn the_signature_is_that_of_the_reference() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = r#"{"test": 2432232314}"#;
        let headers = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, body, secret).unwrap();
        assert_eq!(headers[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(super::headers("i", 0, "", "whsec_?").is_err());
    }
}

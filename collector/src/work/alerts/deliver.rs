//! One attempt to deliver a message to a channel. Blocks.

use serde_json::Value;
use ureq::http::Response;
use ureq::http::header::RETRY_AFTER;

use super::message::Message;
use super::{email, pagerduty, slack, target, webhook};
use crate::config::{Channel, Target};

/// How an attempt ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// It may pass later; after this many seconds, where the receiver said so.
    Later(String, Option<u64>),
    /// It will never pass as it is.
    Never(String),
}

/// Sends a message.
pub fn deliver(channel: &Channel, message: &Message, now_ms: u64) -> Outcome {
    let sent = match &channel.target {
        Target::Email(config) => return email::send(config, message),
        Target::Slack { url } => url.read().map(|url| post(channel, &url, &[], &slack::body(message))),
        Target::Webhook { url, secret } => secret.read().and_then(|secret| {
            let body = webhook::body(message);
            let headers = webhook::headers(&message.id, now_ms, &body.to_string(), &secret)?;
            Ok(post(channel, url, &headers, &body))
        }),
        Target::PagerDuty { url, routing_key } => routing_key.read().map(|key| {
            // One event for each alert: their keys are their own.
            let mut events = message.items.iter().map(|item| pagerduty::body(message, item, &key));
            events
                .find_map(|body| match post(channel, url, &[], &body) {
                    Outcome::Delivered => None,
                    failed => Some(failed),
                })
                .unwrap_or(Outcome::Delivered)
        }),
    };
    // A secret that is not there now may be put there.
    sent.unwrap_or_else(|error| Outcome::Later(format!("{error:#}"), None))
}

fn post(channel: &Channel, url: &str, headers: &[(&'static str, String)], body: &Value) -> Outcome {
    let mut request =
        target::agent(channel.allow_private).post(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    match request.send(body.to_string()) {
        Ok(response) => answered(response),
        Err(ureq::Error::Other(error)) if error.is::<target::Private>() => Outcome::Never(error.to_string()),
        Err(ureq::Error::BadUri(_) | ureq::Error::Http(_)) => Outcome::Never("its address is none".into()),
        // An error may name the address, which may be a secret.
        Err(error) => Outcome::Later(error.to_string().replace(url, "its address"), None),
    }
}

fn answered(mut response: Response<ureq::Body>) -> Outcome {
    let status = response.status().as_u16();
    if (200..300).contains(&status) {
        return Outcome::Delivered;
    }
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().unwrap_or_default();
    let said: String = text.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect();
    let error = format!("it answered {status} {said}");
    match status {
        408 | 425 | 429 | 500.. => Outcome::Later(error, wait),
        _ => Outcome::Never(error),
    }
}

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;
/// What is kept of it.
const SAID_CHARS_MAX: usize = 200;

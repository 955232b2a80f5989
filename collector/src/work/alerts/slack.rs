//! Slack: Block Kit for an incoming webhook.
//!
//! Limits as documented by Slack (block reference, read 2026-11-25): 50 blocks, a header of 150 characters, a
//! section of 10 fields of 2,000 characters; about one message a second for a channel.

use serde_json::{Value, json};

use super::message::{Item, Message, cut};

/// The body of a message.
pub fn body(message: &Message) -> Value {
    let mut blocks = Vec::new();
    for item in message.items.iter().take(ITEMS_MAX) {
        blocks.extend(item_blocks(message, item));
    }
    if message.items.len() > ITEMS_MAX {
        let more = message.items.len().saturating_sub(ITEMS_MAX);
        blocks.push(
            json!({"type": "context", "elements": [{"type": "mrkdwn", "text": format!("and {more} more")}]}),
        );
    }
    json!({ "text": escaped(&cut(&message.title(), TEXT_MAX)), "blocks": blocks })
}

fn item_blocks(message: &Message, item: &Item) -> [Value; 4] {
    let fields: Vec<Value> = item
        .facts()
        .iter()
        .take(FIELDS_MAX)
        .map(|(name, value)| {
            let text = format!("*{}*\n{}", escaped(name), escaped(&cut(value, VALUE_MAX)));
            json!({"type": "mrkdwn", "text": text})
        })
        .collect();
    [
        json!({"type": "header", "text": {"type": "plain_text", "text": cut(&item.title(), HEADER_MAX)}}),
        json!({"type": "section", "fields": fields}),
        json!({"type": "actions", "elements": [{
            "type": "button",
            "text": {"type": "plain_text", "text": "Show the numbers"},
            "url": cut(&message.link(&item.alert), URL_MAX),
        }]}),
        json!({"type": "context", "elements": [{"type": "mrkdwn", "text": escaped(&item.alert.id)}]}),
    ]
}

/// The three characters that Slack gives a meaning.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Alerts of one message: four blocks each, and one that says how many are left out.
const ITEMS_MAX: usize = 12;
const FIELDS_MAX: usize = 10;
const HEADER_MAX: usize = 150;
const VALUE_MAX: usize = 300;
const TEXT_MAX: usize = 1_000;
const URL_MAX: usize = 3_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::alert::{Alert, Event};

    #[test]
    fn a_message_keeps_the_limits_whatever_it_says() {
        let alert = Alert {
            title: "<@everyone> & more ".repeat(40),
            facts: (0..20).map(|n| (format!("fact {n}"), "x".repeat(5_000))).collect(),
            ..Alert::default()
        };
        let item = Item { alert, event: Event::Opened, at_ms: 0, zone: jiff::tz::TimeZone::UTC };
        let message = Message { id: "i".into(), items: vec![item; 40], base_url: "http://x".into() };
        let body = body(&message);
        let blocks = body["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50);
        for block in blocks {
            if let Some(text) = block.pointer("/text/text") {
                assert!(text.as_str().unwrap().chars().count() <= 150);
            }
            for field in block["fields"].as_array().into_iter().flatten() {
                assert!(field["text"].as_str().unwrap().chars().count() <= 2_000);
            }
            assert!(block["fields"].as_array().is_none_or(|fields| fields.len() <= 10));
        }
        assert!(!body["text"].as_str().unwrap().contains('<'));
    }
}

//! What a message says, before it takes the form of a channel.

use jiff::tz::TimeZone;

use super::conditions::time;
use super::{Alert, Event};

/// What goes to a channel at once: one alert, or several where a channel gathers them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// What it is known by, the same at each attempt.
    pub id: String,
    /// Its parts, the oldest first.
    pub items: Vec<Item>,
    /// Where people reach the collector.
    pub base_url: String,
}

/// One alert of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// The alert.
    pub alert: Alert,
    /// What is told of it.
    pub event: Event,
    /// When that came to be, Unix milliseconds UTC.
    pub at_ms: u64,
}

impl Message {
    /// One line.
    #[must_use]
    pub fn title(&self) -> String {
        match self.items.as_slice() {
            [item] => item.title(),
            items => format!(
                "{} alerts, the first: {}",
                items.len(),
                items.first().map_or_else(String::new, Item::title)
            ),
        }
    }

    /// All of it as plain text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            text.push_str(&format!("{}\n", item.title()));
            for (name, value) in item.facts() {
                text.push_str(&format!("  {name}: {value}\n"));
            }
            text.push_str(&format!("  {}\n  id {}\n\n", self.link(&item.alert), item.alert.id));
        }
        text
    }

    /// Where an alert's numbers are shown.
    #[must_use]
    pub fn link(&self, alert: &Alert) -> String {
        format!("{}{}", self.base_url, alert.link)
    }
}

impl Item {
    /// One line.
    #[must_use]
    pub fn title(&self) -> String {
        match self.event {
            Event::Opened => format!("[{}] {}", self.alert.severity, self.alert.title),
            Event::Resolved => format!("[resolved] {}", self.alert.title),
        }
    }

    /// Name and value of each fact.
    #[must_use]
    pub fn facts(&self) -> Vec<(String, String)> {
        let mut facts = self.alert.facts.clone();
        facts.push(("Rule".into(), self.alert.rule.clone()));
        facts.push(("Window".into(), self.alert.window.clone()));
        facts.push(("Decided".into(), time(self.at_ms, &TimeZone::UTC)));
        facts
    }
}

/// The first characters of a text, ended by an ellipsis where some are left out.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

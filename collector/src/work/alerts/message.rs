//! What a message says, before it takes the form of a channel.

use jiff::tz::TimeZone;

use super::conditions::time;
use crate::model::alert::{Alert, Event};
use crate::model::text::printable;

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
    /// The zone of the people who read it.
    pub zone: TimeZone,
}

impl Message {
    /// One line.
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
    pub fn link(&self, alert: &Alert) -> String {
        printable(&format!("{}{}", self.base_url, alert.link))
    }
}

impl Item {
    /// One line.
    pub fn title(&self) -> String {
        let title = printable(&self.alert.title);
        match self.event {
            Event::Opened => format!("[{}] {title}", self.alert.severity),
            Event::Resolved => format!("[resolved] {title}"),
        }
    }

    /// Name and value of each fact.
    pub fn facts(&self) -> Vec<(String, String)> {
        let mut facts = self.alert.facts.clone();
        facts.push(("Rule".into(), self.alert.rule.clone()));
        facts.push(("Decided".into(), time(self.at_ms, &self.zone)));
        // Names may come from callers, with any characters.
        facts.into_iter().map(|(name, value)| (printable(&name), printable(&value))).collect()
    }
}

/// The first characters of a text, ended by an ellipsis where some are left out.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_makes_a_line_of_a_message() {
        let hostile = "x\r\nBcc: all@example\u{1b}[2J\u{202e}\u{2028}";
        let alert = Alert {
            title: format!("agent={hostile} passed"),
            facts: vec![("Agent".into(), hostile.into())],
            link: format!("/?agent={hostile}"),
            ..Alert::default()
        };
        let item = Item { alert, event: Event::Opened, at_ms: 0, zone: TimeZone::UTC };
        let lines = 3 + item.facts().len() + 1;
        let message = Message { id: "i".into(), items: vec![item], base_url: "http://x".into() };
        assert_eq!(message.text().lines().count(), lines, "{}", message.text());
        for text in [message.title(), message.text().replace('\n', "")] {
            assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{2028}'), "{text:?}");
        }
    }
}

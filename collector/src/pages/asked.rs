//! What a page is asked about: a time and the calls in it, as the address says it.

use super::query::{Query, address};
use super::visitor::Visitor;
use crate::model::dimension::Dimension;

/// A time and filters, in the words of the API.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Asked {
    /// `since`, or `from` and `to`, or `month`; with `tz`.
    pub(super) period: Vec<(String, String)>,
    /// By dimension.
    pub(super) filters: Vec<(String, String)>,
    /// Whether the address names no time, so that it is the page's own.
    pub(super) is_default: bool,
}

impl Asked {
    /// As the address of the page has it. A page that takes `own` parameters besides passes over these; all
    /// others reach the API, which says what there is.
    pub(super) fn of(visitor: &Visitor, since: &str, own: &[&str]) -> Self {
        let mut asked = Self::default();
        for (name, value) in visitor
            .pairs
            .iter()
            .filter(|(name, value)| !own.contains(&name.as_str()) && (!value.is_empty() || is_filter(name)))
        {
            let side = if PERIOD.contains(&name.as_str()) { &mut asked.period } else { &mut asked.filters };
            side.push((name.clone(), value.clone()));
        }
        if !asked.period.iter().any(|(name, _)| name != "tz") {
            asked.period.push(("since".to_owned(), since.to_owned()));
            asked.is_default = true;
        }
        asked
    }

    /// A question about this time and these calls.
    pub(super) fn about(&self, path: &str) -> Query {
        Query::new(path).and(&self.period).and(&self.filters)
    }

    /// The same with one more filter, in place of those of the same name.
    pub(super) fn only(&self, name: &str, value: &str) -> Self {
        let mut asked = self.clone();
        asked.filters.retain(|(known, _)| known != name);
        asked.filters.push((name.to_owned(), value.to_owned()));
        asked
    }

    /// The same calls in this time.
    pub(super) fn only_period(&self, name: &str, value: &str) -> Self {
        let period = vec![(name.to_owned(), value.to_owned())];
        Self { period, filters: self.filters.clone(), is_default: false }
    }

    /// A link to a page about the same time.
    pub(super) fn link_in_time(&self, path: &str) -> String {
        let period: &[_] = if self.is_default { &[] } else { &self.period };
        address(path, period)
    }

    /// A link to the calls one by one.
    pub(super) fn records(&self) -> String {
        address("/records", &[&self.period[..], &self.filters[..]].concat())
    }

    /// The time in words.
    pub(super) fn words(&self) -> String {
        let of =
            |name: &str| self.period.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (of("month"), of("since"), of("from"), of("to")) {
            (Some(month), ..) => month.to_owned(),
            (_, Some(since), _, None) => format!("last {}", long(since)),
            (_, Some(since), _, Some(to)) => format!("{} before {to}", long(since)),
            (_, _, Some(from), Some(to)) => format!("{from} to {to}"),
            (_, _, Some(from), None) => format!("since {from}"),
            (_, _, None, Some(to)) => format!("until {to}"),
            (None, None, None, None) => "all time".to_owned(),
        }
    }

    /// The time zone of days.
    pub(super) fn zone(&self) -> &str {
        self.period.iter().find(|(key, _)| key == "tz").map_or("UTC", |(_, zone)| zone)
    }
}

/// Whether it names calls.
fn is_filter(name: &str) -> bool {
    Dimension::or_facet(name).is_some()
}

/// `7d` as `7 days`.
fn long(since: &str) -> String {
    let number = since.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = match since.strip_prefix(number) {
        Some("m") => "minutes",
        Some("h") => "hours",
        Some("d") => "days",
        Some("w") => "weeks",
        _ => return since.to_owned(),
    };
    format!("{number} {unit}")
}

/// Names that say a time.
pub(super) const PERIOD: [&str; 5] = ["since", "from", "to", "month", "tz"];

//! A registered agent: what is written of it, in the configuration file and over the API alike.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tollgate_core::attribution::is_name;
pub use tollgate_core::budget::rules::Status;
use tollgate_core::budget::scope::is_nobody;

use crate::model::text::printable;

/// A registered agent.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RegisteredAgent", transform = all_are_there)]
pub struct Agent {
    /// Its name, as calls say it.
    pub name: String,
    /// The team that its calls are for, whatever they say; empty where it has none.
    pub team: String,
    /// Who answers for it.
    pub owner: String,
    /// The business function that it serves.
    pub function: String,
    /// Environments that it may call from, each may end in `*`; any where there is none.
    pub environments: Vec<String>,
    /// Models that it may call, as in lists of models; any where there is none.
    pub models: Vec<String>,
    /// Whether it may call.
    pub status: Status,
    /// Who approved it.
    pub approved_by: String,
    /// When somebody is to look at it again.
    pub review: Option<Day>,
    /// The last day of its approval, UTC.
    pub expires: Option<Day>,
    /// What else is to be known.
    pub notes: String,
}

/// Answers have all members, though a request may leave some out.
fn all_are_there(schema: &mut Schema) {
    let names: Vec<serde_json::Value> = schema
        .get("properties")
        .and_then(serde_json::Value::as_object)
        .map(|members| members.keys().map(|name| name.as_str().into()).collect())
        .unwrap_or_default();
    schema.insert("required".to_owned(), names.into());
}

/// A day of the calendar, such as `2026-12-31`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Day(Date);

impl Day {
    /// When it is over in UTC, Unix milliseconds.
    pub fn end_ms(self) -> u64 {
        let next = self.0.checked_add(1.day()).unwrap_or(Date::MAX);
        let end = next
            .at(0, 0, 0, 0)
            .to_zoned_datetime(TimeZone::UTC)
            .map(|zoned| zoned.timestamp().as_millisecond());
        end.ok().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
    }

    /// Whether it is over at this time, Unix milliseconds UTC.
    pub fn is_over(self, now_ms: u64) -> bool {
        self.end_ms() <= now_ms
    }
}

impl FromStr for Day {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("`{text}` is not a day such as `2026-12-31`"));
        text.parse().map_err(|_| wrong())
    }
}

impl JsonSchema for Day {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A day of the calendar, such as `2026-12-31`.",
            "type": "string",
            "format": "date",
        })
    }
}

impl Agent {
    /// What is wrong with it: the key, and what would be right there.
    pub fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        if !is_name(&self.name) || is_nobody(&self.name) || matches!(self.name.as_str(), "." | "..") {
            let text = format!("`{}` cannot be the name of an agent: {NAMES}", self.name);
            wrong.push(("name", text));
        }
        if !self.team.is_empty() && (!is_name(&self.team) || is_nobody(&self.team)) {
            wrong.push(("team", format!("`{}` cannot be the name of a team: {NAMES}", self.team)));
        }
        wrong
            .extend(self.environments.iter().filter_map(|one| Some(("environments", not_environment(one)?))));
        wrong.extend(self.models.iter().filter_map(|one| Some(("models", not_model(one)?))));
        for (key, list) in [("environments", &self.environments), ("models", &self.models)] {
            if list.len() > LIST_MAX {
                wrong.push((key, format!("has {} members, and may have {LIST_MAX}", list.len())));
            }
        }
        for (key, text) in [
            ("owner", &self.owner),
            ("function", &self.function),
            ("approved_by", &self.approved_by),
            ("notes", &self.notes),
        ] {
            let most = if key == "notes" { NOTES_BYTES_MAX } else { TEXT_BYTES_MAX };
            if text.len() > most || printable(text) != *text {
                wrong.push((
                    key,
                    format!(
                        "is too long, or has what is no text of one line; give one of at most {most} bytes"
                    ),
                ));
            }
        }
        wrong
    }

    /// Whether it may call at this time, Unix milliseconds UTC.
    pub fn is_approved(&self, now_ms: u64) -> bool {
        self.status == Status::Approved && !self.has_expired(now_ms)
    }

    /// Whether its approval has ended.
    pub fn has_expired(&self, now_ms: u64) -> bool {
        self.expires.is_some_and(|day| day.is_over(now_ms))
    }

    /// Name of the list that its models make.
    pub fn list_name(&self) -> String {
        format!("{OF_AGENT}{}", self.name)
    }
}

/// A status by its name.
pub const STATUSES: &[(&str, Status)] =
    &[("approved", Status::Approved), ("proposed", Status::Proposed), ("retired", Status::Retired)];

/// The name of a status.
pub fn status_name(status: Status) -> &'static str {
    STATUSES.iter().find(|(_, known)| *known == status).map_or("", |(name, _)| name)
}

/// Whether a pattern, which may end in `*`, means this value.
pub fn matches(pattern: &str, value: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => value.starts_with(start),
        None => pattern == value,
    }
}

/// Whether a pattern means all that another one means.
pub fn covers(pattern: &str, other: &str) -> bool {
    match (pattern.strip_suffix('*'), other.strip_suffix('*')) {
        (Some(start), Some(narrow)) => narrow.starts_with(start),
        (Some(start), None) => other.starts_with(start),
        (None, Some(_)) => false,
        (None, None) => pattern == other,
    }
}

/// Whether two patterns may mean the same value.
pub fn meet(one: &str, other: &str) -> bool {
    covers(one, other) || covers(other, one)
}

/// What is wrong with the pattern of an environment.
pub fn not_environment(pattern: &str) -> Option<String> {
    let start = pattern.strip_suffix('*').unwrap_or(pattern);
    let is_right = (pattern == "*" || is_name(start)) && !is_nobody(pattern);
    (!is_right).then(|| format!("`{pattern}` cannot be an environment: {NAMES}; `*` stands at the end"))
}

/// What is wrong with the pattern of a model.
pub fn not_model(pattern: &str) -> Option<String> {
    let name = pattern.strip_prefix('!').unwrap_or(pattern);
    let start = name.strip_suffix('*').unwrap_or(name);
    let is_plain =
        !name.is_empty() && !start.contains(['*', '!', ',']) && !start.chars().any(char::is_whitespace);
    (!is_plain).then(|| {
        format!(
            "`{pattern}` cannot be a model: give one such as `gpt-5` or `gpt-5*`, or `!gpt-5` to leave it out"
        )
    })
}

/// What is wrong with a name of a family of models.
pub fn not_family(family: &str) -> Option<String> {
    let is_plain = !family.is_empty()
        && family.split('-').all(|word| !word.is_empty())
        && !family.contains(['*', '!', ',', '/'])
        && !family.chars().any(char::is_whitespace);
    (!is_plain).then(|| {
        format!("`{family}` cannot be a family: give the words of one, such as `gpt-5` or `claude-haiku`")
    })
}

/// Begins the name of a list that the models of an agent make.
pub const OF_AGENT: &str = "agent:";
/// What names are made of.
const NAMES: &str = "names are 1 to 64 of A-Z a-z 0-9 . _ / -";
/// Longest text of one line, in bytes.
const TEXT_BYTES_MAX: usize = 200;
/// Longest notes, in bytes.
const NOTES_BYTES_MAX: usize = 4_096;
/// Longest list.
const LIST_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_when_the_next_begins_in_utc() {
        let day: Day = "2026-12-31".parse().unwrap();
        assert_eq!(day.end_ms(), 1_798_761_600_000);
        assert!(!day.is_over(day.end_ms() - 1) && day.is_over(day.end_ms()));
        assert!("2026-02-30".parse::<Day>().is_err() && "soon".parse::<Day>().is_err());
    }

    #[test]
    fn patterns_cover_and_meet() {
        for (one, other, covers_it, meets) in [
            ("*", "prod", true, true),
            ("prod*", "prod-eu", true, true),
            ("prod*", "production*", true, true),
            ("production*", "prod*", false, true),
            ("prod", "prod", true, true),
            ("prod", "prod*", false, true),
            ("prod", "staging", false, false),
        ] {
            assert_eq!((covers(one, other), meet(one, other)), (covers_it, meets), "{one} {other}");
        }
    }
}

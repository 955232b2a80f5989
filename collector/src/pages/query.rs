//! A question to the API: how it is asked here, with `curl`, and on the command line.

use std::fmt::Write as _;

/// A path of the API with its parameters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Query {
    path: String,
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Of this path, whose segments are escaped already.
    pub(super) fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), pairs: Vec::new() }
    }

    /// The same with one parameter more.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.pairs.push((name.to_owned(), value.into()));
        self
    }

    /// The same with these parameters.
    pub(super) fn and(mut self, pairs: &[(String, String)]) -> Self {
        self.pairs.extend_from_slice(pairs);
        self
    }

    /// Path and query, escaped.
    pub(super) fn address(&self) -> String {
        address(&self.path, &self.pairs)
    }

    /// The command that gives the same, for a POSIX shell; none where the command line has no such question.
    pub(super) fn command(&self) -> Option<String> {
        let rest = self.path.strip_prefix("/api/v1/")?;
        let (name, segment) = rest.split_once('/').unwrap_or((rest, ""));
        let named = |words: &[&str], last: &str| -> Vec<String> {
            words.iter().map(|word| (*word).to_owned()).chain([quoted(&unescaped(last))]).collect()
        };
        let own = self.pairs.iter().find(|(name, _)| name == "name").map_or("", |(_, value)| value.as_str());
        let mut words: Vec<String> = match (name, segment) {
            ("summary" | "compare" | "records" | "runs" | "what-if" | "prompts" | "anomalies", "")
            | ("budgets" | "baseline" | "chargeback", "") => vec![name.to_owned()],
            ("agents" | "alerts" | "allow" | "audit" | "prices", "") => {
                vec![name.to_owned(), "list".to_owned()]
            }
            ("reviews", "") => vec!["alerts".into(), "reviews".into()],
            ("allow", "try") => named(&["allow", "try"], own),
            ("prices", "missing" | "drift") => vec!["prices".into(), segment.to_owned()],
            ("agents" | "budgets" | "runs", one) => named(&[name, "show"], one),
            ("records", one) => named(&["records", "--explain"], one.strip_suffix("/explain")?),
            _ => return None,
        };
        words.extend(self.pairs.iter().filter_map(|(key, value)| option(name, key, value)));
        if name == "what-if" && !self.pairs.iter().any(|(key, _)| key == "to_model") {
            words.push("--all".to_owned());
        }
        Some(format!("tollgate {}", words.join(" ")))
    }
}

/// A parameter as the command's option; none where it has no word for it, or does that by itself.
fn option(command: &str, name: &str, value: &str) -> Option<String> {
    let (option, value) = match (command, name, value) {
        (_, "trend" | "limit" | "cursor" | "format", _) | ("allow", "name", _) => return None,
        ("runs", "table", "agents") => ("agents".to_owned(), None),
        ("prompts", "table", "agents" | "changes") => ("show".to_owned(), Some(value)),
        (_, "table", _) => return None,
        ("alerts", "state", "open") => ("open".to_owned(), None),
        ("alerts", "state", _) => return None,
        ("what-if", "to_model", _) => ("model".to_owned(), Some(value)),
        ("what-if", "model", _) => ("from-model".to_owned(), Some(value)),
        (_, "compare" | "estimated" | "unattributed", _) => (name.to_owned(), None),
        _ => (name.replace('_', "-"), Some(value)),
    };
    Some(match value {
        // What begins with `-` would be taken for an option.
        Some(value) if value.starts_with('-') => format!("--{option}={}", quoted(value)),
        Some(value) => format!("--{option} {}", quoted(value)),
        None => format!("--{option}"),
    })
}

/// A path of a page, with parameters.
pub(super) fn address(path: &str, pairs: &[(String, String)]) -> String {
    let mut text = path.to_owned();
    for (at, (name, value)) in pairs.iter().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str(&escaped(name));
        text.push('=');
        text.push_str(&escaped(value));
    }
    text
}

/// Text as it may stand in one segment of a path, and in a parameter (RFC 3986, section 2.3).
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b',' | b':' => {
                out.push(char::from(byte));
            }
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

/// What was escaped; bytes that are no text become `�`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|two| str::from_utf8(two).ok());
        match digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One word of a shell.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:/@=+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_escaped_for_addresses_and_quoted_for_shells() {
        let query = Query::new("/api/v1/summary").with("by", "team,agent").with("agent", "a b&c='x'<é>");
        assert_eq!(query.address(), "/api/v1/summary?by=team,agent&agent=a%20b%26c%3D%27x%27%3C%C3%A9%3E");
        assert_eq!(
            query.command().unwrap(),
            r"tollgate summary --by team,agent --agent 'a b&c='\''x'\''<é>'"
        );
    }

    #[test]
    fn what_the_command_line_has_is_said_in_its_words() {
        for (query, expected) in [
            (Query::new("/api/v1/runs/r%201"), Some("tollgate runs show 'r 1'")),
            (Query::new("/api/v1/runs").with("table", "agents"), Some("tollgate runs --agents")),
            (
                Query::new("/api/v1/what-if").with("to_model", "a b").with("model", "-c"),
                Some("tollgate what-if --model 'a b' --from-model=-c"),
            ),
            (
                Query::new("/api/v1/allow/try").with("name", "x").with("since", "7d"),
                Some("tollgate allow try x --since 7d"),
            ),
            (Query::new("/api/v1/budgets/support"), Some("tollgate budgets show support")),
            (Query::new("/api/v1/records/x/explain"), Some("tollgate records --explain x")),
            (
                Query::new("/api/v1/summary").with("compare", "previous").with("trend", "true"),
                Some("tollgate summary --compare"),
            ),
            (Query::new("/metrics"), None),
        ] {
            assert_eq!(query.command().as_deref(), expected);
        }
    }

    #[test]
    fn escaping_is_undone() {
        for text in ["", "a b", "%41", "ä%", "100%2", "/x?y#z"] {
            assert_eq!(unescaped(&escaped(text)), text);
        }
        assert_eq!(unescaped("%"), "%");
    }
}

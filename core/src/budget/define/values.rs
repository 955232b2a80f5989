//! Which calls a budget is for, as their operator writes it, and which values a call can have there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::Budget;
use super::super::policy::{OTHER, UNKNOWN, VALUE_CHARS_MAX};
use super::super::scope::{Dimension, Scope, is_nobody};
use crate::attribution::is_name;
#[cfg(feature = "book")]
use crate::keys::Kind as Asks;
use crate::keys::{Keys, note, shown};

pub(super) fn scope(keys: &mut Keys<'_>) -> Scope {
    let mut scope = BTreeMap::new();
    note!(keys, "tags", Asks::Map(Vec::new(), Box::new(one_or_more())));
    #[cfg(feature = "book")]
    for name in Dimension::NAMES.split(", ").filter(|name| !name.starts_with("tag:")) {
        keys.note(name, one_or_more());
    }
    for name in keys.all() {
        if name == "tags" {
            let tags =
                keys.object("tags", |keys| keys.all().into_iter().map(|name| tag(keys, name)).collect());
            let tags: Vec<_> = tags.unwrap_or_else(|| vec![None]);
            if tags.is_empty() {
                keys.wrong("tags", "names no tag; leave it out, or name one such as {\"customer\":\"acme\"}");
            }
            scope.extend(tags.into_iter().flatten());
            continue;
        }
        let Some(dimension) = Dimension::parse(&name).filter(|_| !name.starts_with("tag:")) else {
            keys.wrong(&name, "is not one of agent, team, feature, environment, model, provider, key, tags");
            let _ = keys.get(&name);
            continue;
        };
        let values = values(keys, &name, kind_of(&dimension));
        scope.insert(dimension, values);
    }
    scope.into()
}

#[cfg(feature = "book")]
fn one_or_more() -> Asks {
    Asks::OneOrMore(Box::new(Asks::Text))
}

fn tag(keys: &mut Keys<'_>, name: String) -> Option<(Dimension, Vec<String>)> {
    let values = values(keys, &name, NAME);
    if !is_name(&name) {
        keys.wrong(&name, &format!("`{name}` cannot match any call: {}", right_tag()));
        return None;
    }
    Some((Dimension::Tag(name), values))
}

/// Which texts can be a value.
#[derive(Clone, Copy)]
struct Kind {
    /// Whether this can be one.
    whole: fn(&str) -> bool,
    /// Whether one can begin so.
    start: fn(&str) -> bool,
    /// What would be right.
    right: &'static str,
}

const NAME: Kind = Kind { whole: is_name, start: is_name, right: "names are 1 to 64 of A-Z a-z 0-9 . _ / -" };
const MODEL: Kind =
    Kind { whole: |value| !value.is_empty(), start: |_| true, right: "give a model such as gpt-5" };
const PROVIDER: Kind = Kind {
    whole: is_provider,
    start: is_provider,
    right: "provider ids are such as openai or vercel-gateway, of a-z 0-9 -",
};
const KEY: Kind = Kind {
    whole: |value| value.len() == KEY_DIGITS && is_key(value),
    start: |value| value.len() <= KEY_DIGITS && is_key(value),
    right: "keys are named by the `key_id` of records, 16 of 0-9 a-f",
};

/// Digits of [`crate::attribution::key_id`].
const KEY_DIGITS: usize = 16;

fn is_key(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn right_tag() -> String {
    format!("of tags, {}", NAME.right)
}

/// One value or a list of them; each may end in `*`.
fn values(keys: &mut Keys<'_>, name: &str, kind: Kind) -> Vec<String> {
    let Some(value) = keys.get(name) else { return Vec::new() };
    let list = match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        keys.wrong(name, &format!("`{}` is neither a text nor a list of texts", shown(value)));
        return Vec::new();
    };
    for text in &list {
        let can_be = match text.strip_suffix('*') {
            Some("") => true,
            Some(start) => !start.contains('*') && (kind.start)(start),
            None => !text.contains('*') && (kind.whole)(text),
        };
        if !can_be {
            let right = kind.right;
            keys.wrong(name, &format!("`{text}` cannot match any call: {right}; `*` stands at the end"));
        }
    }
    list
}

/// Which values a dimension has.
const fn kind_of(dimension: &Dimension) -> Kind {
    match dimension {
        Dimension::Model => MODEL,
        Dimension::Provider => PROVIDER,
        Dimension::Key => KEY,
        _ => NAME,
    }
}

/// What is wrong with a value that is to name one of a budget's counters: where anything is, no call counts
/// there.
///
/// # Errors
/// The problem, and what would be right.
pub fn check_value(budget: &Budget, value: &str) -> Result<(), String> {
    let name = &budget.name;
    let Some(each) = &budget.each else {
        return match value {
            "" => Ok(()),
            _ => {
                Err(format!("is `{value}`, but budget `{name}` has one counter for all calls; leave it out"))
            }
        };
    };
    if value.is_empty() {
        return Err(format!("is missing; budget `{name}` has a counter for each `{each}`, name which"));
    }
    if matches!(value, UNKNOWN | OTHER) {
        return Ok(());
    }
    let right = match each {
        Dimension::Model => "a model's name of up to 128 characters",
        Dimension::Provider => "a provider's id, such as `openai`",
        Dimension::Key => "the keyed hash of a key, 16 hexadecimal digits",
        _ => "a name of up to 64 of `A-Z a-z 0-9 . _ / -`",
    };
    if !(kind_of(each).whole)(value)
        || is_nobody(value)
        || value.len() > VALUE_CHARS_MAX
        || value.contains('\0')
    {
        return Err(format!("is `{value}`, which no `{each}` is; give {right}, `{UNKNOWN}` or `{OTHER}`"));
    }
    if !budget.scope.may_have(each, value) {
        return Err(format!("is `{value}`, and no call of that `{each}` is in the scope of budget `{name}`"));
    }
    Ok(())
}

fn is_provider(value: &str) -> bool {
    !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::super::read_one;
    use super::*;

    #[test]
    fn a_value_that_no_call_counts_under_is_told() {
        let budget = |each: &str| {
            let more = if each.is_empty() { String::new() } else { format!(r#","each":"{each}""#) };
            let text = format!(
                r#"{{"name":"b","limit_usd":"1","window":"day","scope":{{"team":["sup*","x"]}}{more}}}"#
            );
            read_one(&serde_json::from_str(&text).unwrap(), None).unwrap()
        };
        for (each, value, expected) in [
            ("", "", None),
            ("", "nobody", Some("one counter for all calls")),
            ("agent", "", Some("is missing")),
            ("agent", "bot/1", None),
            ("agent", "(unknown)", None),
            ("agent", "(other)", None),
            ("agent", "(each)", Some("which no `agent` is")),
            ("agent", "typo name!", Some("is `typo name!`")),
            ("agent", "unattributed", Some("`(unknown)`")),
            ("model", "gpt 5 (preview)", None),
            ("provider", "OpenAI", Some("such as `openai`")),
            ("key", "xyz", Some("hexadecimal")),
            ("tag:customer", "acme", None),
            ("team", "support", None),
            ("team", "sales", Some("in the scope")),
        ] {
            let problem = check_value(&budget(each), value).err();
            match expected {
                None => assert_eq!(problem, None, "{each} {value}"),
                Some(part) => {
                    assert!(problem.as_ref().unwrap().contains(part), "{each} {value}: {problem:?}");
                }
            }
        }
    }
}

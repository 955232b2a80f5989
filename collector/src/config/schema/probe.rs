//! Finds the keys of a configuration by reading small ones: each key alone, and beside each word of a choice,
//! so that keys show which only some channels have, or which are read only where another one is given.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tollgate_core::keys::{Asked, Kind};
use tollgate_core::price::quoted;

/// Every table of a configuration by its general path; the whole is the empty one.
pub(super) type Shape = BTreeMap<String, Table>;

/// The keys of one table.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Every key, and what it may hold.
    pub(super) keys: BTreeMap<String, Kind>,
    /// Those that must always be there.
    pub(super) required: BTreeSet<String>,
    /// Where one of its keys decides which others there are: that key, and what there is for each of its
    /// words.
    pub(super) by_word: Option<(String, BTreeMap<String, Members>)>,
}

/// The keys that there are beside a word of a choice.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Members {
    pub(super) keys: BTreeSet<String>,
    pub(super) required: BTreeSet<String>,
}

/// A reader: the keys that it asks for when it reads this.
type Reader<'a> = dyn Fn(&Map<String, Value>) -> Vec<Asked> + 'a;

/// Everything that a reader asks for.
pub(super) fn explore(read: &Reader<'_>) -> Shape {
    let mut shape = Shape::new();
    let mut open = vec![(String::new(), Vec::new())];
    while let Some((path, way)) = open.pop() {
        let table = one_table(read, &path, &way);
        for (key, kind) in &table.keys {
            let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let further = |kind| way.iter().cloned().chain([(key.clone(), kind)]).collect();
            match kind {
                Kind::Table | Kind::Tables => open.push((below, further(kind.clone()))),
                Kind::Named => open.push((format!("{below}.NAME"), further(Kind::Named))),
                _ => {}
            }
        }
        shape.insert(path, table);
    }
    shape
}

/// The keys of the table at `path`, to which these tables lead.
fn one_table(read: &Reader<'_>, path: &str, way: &[(String, Kind)]) -> Table {
    let mut table = Table::default();
    let mut by_choice: BTreeMap<String, BTreeMap<String, Members>> = BTreeMap::new();
    let mut always: Option<BTreeSet<String>> = None;
    let mut ask = |table: &mut Table, given: &[(&str, Value)]| {
        let inner = given.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let mut members = Members::default();
        for asked in read(&nested(way, inner)) {
            let Some(key) = key_in(path, &asked.path) else { continue };
            members.keys.insert(key.to_owned());
            if asked.required {
                members.required.insert(key.to_owned());
            }
            table.keys.insert(key.to_owned(), asked.kind);
        }
        always = Some(match always.take() {
            None => members.required.clone(),
            Some(before) => before.intersection(&members.required).cloned().collect(),
        });
        members
    };
    ask(&mut table, &[]);
    let mut known = 0;
    while known < table.keys.len() {
        known = table.keys.len();
        let keys = table.keys.clone();
        for (key, kind) in &keys {
            ask(&mut table, &[(key, kind.sample())]);
        }
        for (choice, kind) in &keys {
            let Kind::Word(words) = kind else { continue };
            for word in words {
                let given = (choice.as_str(), Value::from(word.as_str()));
                let mut members = ask(&mut table, std::slice::from_ref(&given));
                for (key, kind) in keys.iter().filter(|(key, _)| *key != choice) {
                    members.keys.extend(ask(&mut table, &[given.clone(), (key, kind.sample())]).keys);
                }
                by_choice.entry(choice.clone()).or_default().insert(word.clone(), members);
            }
        }
    }
    table.required = always.unwrap_or_default();
    table.by_word = by_choice.into_iter().find(|(_, words)| {
        let mut members = words.values();
        let first = members.next();
        members.any(|other| Some(other) != first)
    });
    table
}

/// The key of this table that a path names; none where it is in another table.
fn key_in<'a>(table: &str, path: &'a str) -> Option<&'a str> {
    let key = if table.is_empty() { path } else { path.strip_prefix(table)?.strip_prefix('.')? };
    (!key.contains('.')).then_some(key)
}

/// A configuration that has only this, in the table to which these lead.
fn nested(way: &[(String, Kind)], inner: Map<String, Value>) -> Map<String, Value> {
    way.iter().rev().fold(inner, |inner, (key, kind)| {
        let inner = Value::Object(inner);
        let value = match kind {
            Kind::Tables => Value::Array(vec![inner]),
            Kind::Named => Value::Object([("NAME".to_owned(), inner)].into_iter().collect()),
            _ => inner,
        };
        [(key.clone(), value)].into_iter().collect()
    })
}

/// This as TOML.
pub(super) fn toml(object: &Map<String, Value>) -> String {
    object.iter().map(|(key, value)| format!("{} = {}\n", quoted(key), inline(value))).collect()
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(object) => {
            let entries = object.iter().map(|(key, value)| format!("{} = {}", quoted(key), inline(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

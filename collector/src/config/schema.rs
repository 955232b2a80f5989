//! JSON Schemas of both configurations, so that editors complete and check them.
//!
//! Keys, kinds and words come from the readers themselves ([`probe`]); descriptions and defaults from
//! `docs/configuration.md` ([`page`]).

mod page;
mod probe;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};
use tollgate_core::keys::Kind;
use tollgate_core::protocol::config::GatewayConfig;

use super::Config;
use super::document::Document;
use page::Row;
use probe::{Shape, Table, explore, toml};

#[cfg(test)]
pub(super) use tests::assert_accepts;

/// The schema of `tollgate.toml`: JSON Schema, draft 2020-12.
#[must_use]
pub fn of_collector() -> Value {
    whole("tollgate.toml", &collector(), &page::collector())
}

/// The schema of the plugin configuration, which Envoy hands to the filter.
#[must_use]
pub fn of_filter() -> Value {
    whole("Tollgate's plugin configuration", &filter(), &page::filter())
}

/// The schema of one `[[budgets]]`, in its own words.
#[must_use]
pub fn budget() -> Value {
    table(&collector(), &page::collector(), "budgets").into()
}

/// What the readers of `tollgate.toml` ask for.
fn collector() -> Shape {
    explore(&|object| {
        let text = toml(object);
        let mut document = Document::with_asked(&text);
        Config::read(&mut document);
        document.asked()
    })
}

/// What the reader of the plugin configuration asks for.
fn filter() -> Shape {
    explore(&|object| GatewayConfig::asked(object))
}

fn whole(title: &str, shape: &Shape, rows: &[Row]) -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".to_owned(), title.into());
    schema.extend(table(shape, rows, ""));
    schema.into()
}

/// The schema of one table; its keys are those of `path`.
fn table(shape: &Shape, rows: &[Row], path: &str) -> Map<String, Value> {
    let empty = Table::default();
    let found = shape.get(path).unwrap_or(&empty);
    let mut properties = Map::new();
    for (key, kind) in &found.keys {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let mut property = match kind {
            Kind::Table => table(shape, rows, &below),
            Kind::Tables => object(json!({"type": "array", "items": table(shape, rows, &below)})),
            Kind::Named => {
                let named = table(shape, rows, &format!("{below}.NAME"));
                object(json!({"type": "object", "additionalProperties": named}))
            }
            other => value(other),
        };
        if let Some(row) = rows.iter().find(|row| row.path == below) {
            property.insert("description".to_owned(), row.means.clone().into());
            property.extend(row.default.clone().map(|default| ("default".to_owned(), default)));
        }
        properties.insert(key.clone(), property.into());
    }
    let mut schema = object(json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    }));
    if !found.required.is_empty() {
        schema.insert("required".to_owned(), json!(found.required));
    }
    if let Some((choice, words)) = &found.by_word {
        let cases = words.iter().map(|(word, members)| {
            let allowed: Map<String, Value> =
                members.keys.iter().map(|key| (key.clone(), true.into())).collect();
            json!({
                "if": {"properties": {choice: {"const": word}}, "required": [choice]},
                "then": {"properties": allowed, "additionalProperties": false, "required": members.required},
            })
        });
        schema.insert("allOf".to_owned(), cases.collect());
    }
    schema
}

/// The schema of a value that is no table with known keys.
fn value(kind: &Kind) -> Map<String, Value> {
    let one = |kind: &Kind| Value::Object(value(kind));
    object(match kind {
        Kind::Text => json!({"type": "string", "minLength": 1}),
        Kind::Word(words) => json!({"enum": words}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Whole(from, u64::MAX) => json!({"type": "integer", "minimum": from}),
        Kind::Whole(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
        Kind::Dollars => json!({"anyOf": [one(&Kind::Text), one(&Kind::Whole(0, u64::MAX))]}),
        Kind::List(of) => json!({"type": "array", "items": one(of)}),
        Kind::OneOrMore(of) => {
            json!({"anyOf": [one(of), {"type": "array", "items": one(of), "minItems": 1}]})
        }
        Kind::Map(names, of) if names.is_empty() => {
            json!({"type": "object", "additionalProperties": one(of)})
        }
        Kind::Map(names, of) => {
            let properties: Map<String, Value> = names.iter().map(|name| (name.clone(), one(of))).collect();
            json!({"type": "object", "properties": properties, "additionalProperties": false})
        }
        Kind::Table | Kind::Tables | Kind::Named | Kind::Other => json!({"type": "object"}),
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

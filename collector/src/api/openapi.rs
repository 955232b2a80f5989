//! `GET /openapi.json`: the API described, from one table of its routes.

mod operations;

use axum::Json;
use axum::response::{IntoResponse, Response};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::summary::NEXT_CURSOR;
use crate::model::answers::collector::Failure;
use crate::model::dimension::Dimension;
use crate::model::table::export::Export;
use operations::{Answer, Body, OPERATIONS, Operation, Parameter};

/// The description, OpenAPI 3.1.
pub async fn describe() -> Response {
    Json(document()).into_response()
}

fn document() -> Value {
    let mut generator = generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let described = operation.describe(&mut generator);
        match paths.entry(operation.path).or_insert_with(|| json!({})) {
            Value::Object(methods) => methods.insert(operation.method.to_owned(), described),
            _ => None,
        };
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate collector",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Who spent what on which model. Money is a decimal string of dollars, times are RFC 3339 in UTC. \
                An answer may get further members in a later version: pass over those that you do not know.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": generator.take_definitions(true),
        },
    })
}

/// Makes schemas of answers, as they are written.
fn generator() -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    settings.with_transform(RecursiveTransform(tidy)).into_generator()
}

/// What is read in the code becomes what is read outside: paragraphs are lines, and links of rustdoc are
/// words. A member that may be absent is never null: it is absent instead.
fn tidy(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        // What comes from here on is for who writes Rust.
        let said = text.split("\n\n```").next().unwrap_or_default();
        let paragraphs = said.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
        *text = paragraphs.collect::<Vec<_>>().join("\n\n").replace("[`", "`").replace("`]", "`");
    }
    // Readers fill nothing in.
    schema.remove("default");
    let required: Vec<String> = match schema.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let Some(Value::Object(members)) = schema.get_mut("properties") else { return };
    members
        .iter_mut()
        .filter(|(name, _)| !required.contains(name))
        .for_each(|(_, member)| never_null(member));
}

fn never_null(schema: &mut Value) {
    let Value::Object(schema) = schema else { return };
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.retain(|one| one.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = any.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            schema.extend(only);
        }
    }
}

impl Operation {
    fn describe(&self, generator: &mut SchemaGenerator) -> Value {
        let mut parameters: Vec<Value> = self.path_parameters().map(in_path).collect();
        parameters.extend(self.parameters.iter().flat_map(|parameter| parameter.describe()));
        let mut described = json!({
            "summary": self.summary,
            "parameters": parameters,
            "responses": self.responses(generator),
        });
        let mut add = |key: &str, value: Value| {
            if let Value::Object(members) = &mut described {
                members.insert(key.to_owned(), value);
            }
        };
        if self.role != "open" {
            add("security", json!([{"token": []}]));
            add("x-role", json!(self.role));
        }
        if let Some(body) = self.body.describe() {
            add("requestBody", body);
        }
        described
    }

    fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    fn responses(&self, generator: &mut SchemaGenerator) -> Value {
        let mut responses = Map::new();
        let (content_type, schema) = self.answers.describe(generator);
        let mut good = json!({"description": "Done", "content": {content_type: {"schema": schema}}});
        if let (Answer::JsonOrCsv(_) | Answer::Files, Some(Value::Object(content))) =
            (self.answers, good.get_mut("content"))
        {
            for export in [Export::Csv, Export::Jsonl, Export::Parquet] {
                let name = export.content_type().split(';').next().unwrap_or_default();
                content.insert(name.to_owned(), json!({"schema": {"type": "string"}}));
            }
        }
        let is_paged = self.parameters.iter().any(|one| matches!(one, Parameter::Text("cursor", _)));
        if let (Answer::JsonOrCsv(_), true, Value::Object(good)) = (self.answers, is_paged, &mut good) {
            let header = |words: &str| json!({"schema": {"type": "string"}, "description": words});
            let headers = json!({
                NEXT_CURSOR: header("Of a file that is not the last page: the `cursor` of the next one"),
                "link": header("The same as an address, with `rel=\"next\"`"),
            });
            good.insert("headers".to_owned(), headers);
        }
        if let (Answer::JsonOrTexts(_, texts), Some(Value::Object(content))) =
            (self.answers, good.get_mut("content"))
        {
            for text in texts {
                content.insert((*text).to_owned(), json!({"schema": {"type": "string"}}));
            }
        }
        responses.insert("200".into(), good);
        if self.method == "get" && self.role == "read" {
            let known = "Nothing has changed since the answer whose `ETag` stands in `If-None-Match`";
            responses.insert("304".into(), json!({"description": known}));
        }
        let error = generator.subschema_for::<Failure>().to_value();
        let open: &[u16] = if self.role == "open" { &[503] } else { &[401, 503] };
        for status in open.iter().chain(self.statuses) {
            let schema = match self.answers {
                Answer::JsonAlways(_) if *status == 503 => &schema,
                _ => &error,
            };
            let error = json!({
                "description": meaning(*status),
                "content": {JSON: {"schema": schema}},
            });
            responses.insert(status.to_string(), error);
        }
        Value::Object(responses)
    }
}

impl Answer {
    /// Content type and schema.
    fn describe(self, generator: &mut SchemaGenerator) -> (&'static str, Value) {
        match self {
            Self::Json(schema)
            | Self::JsonOrTexts(schema, _)
            | Self::JsonOrCsv(schema)
            | Self::JsonAlways(schema) => (JSON, schema(generator).to_value()),
            Self::Text(content_type) => (content_type, json!({"type": "string"})),
            Self::Files => (Export::Jsonl.content_type(), json!({"type": "string"})),
        }
    }
}

impl Parameter {
    fn describe(self) -> Vec<Value> {
        let one = |name: &str, schema: Value, description: &str| json!({"name": name, "in": "query", "required": false, "schema": schema, "description": description});
        match self {
            Self::Period => vec![
                one(
                    "since",
                    json!({"type": "string", "pattern": "^[1-9][0-9]{0,3}[mhdw]$"}),
                    "How far back, such as 7d",
                ),
                one("from", json!({"type": "string"}), "Start, such as 2026-11-01; not with `since`"),
                one("to", json!({"type": "string"}), "End, exclusive"),
                one(
                    "month",
                    json!({"type": "string"}),
                    "A calendar month such as 2026-10; not with the others",
                ),
                one("tz", json!({"type": "string"}), "Time zone of days, such as Europe/Berlin"),
            ],
            Self::Filters => {
                let filter = |dimension: Dimension| {
                    let schema = json!({"type": "array", "items": {"type": "string"}});
                    one(dimension.name(), schema, "Only these values")
                };
                let more = [
                    one("key", json!({"type": "array", "items": {"type": "string"}}), "The same as `key_id`"),
                    one(
                        "not",
                        json!({"type": "array", "items": {"type": "string"}}),
                        "Without these, such as agent:triage",
                    ),
                    one("unattributed", json!({"type": "boolean"}), "Only calls without an agent or a team"),
                ];
                Dimension::ALL.into_iter().map(filter).chain(more).collect()
            }
            Self::Text(name, description) => vec![one(name, json!({"type": "string"}), description)],
            Self::Flag(name, description) => vec![one(name, json!({"type": "boolean"}), description)],
            Self::Word(name, words) => {
                vec![one(name, json!({"type": "string", "enum": words}), "One of these")]
            }
            Self::Number(name, most) => {
                vec![one(
                    name,
                    json!({"type": "integer", "minimum": 1, "maximum": most}),
                    "At most so many rows",
                )]
            }
        }
    }
}

impl Body {
    fn describe(self) -> Option<Value> {
        let (content_type, schema) = match self {
            Self::None => return None,
            Self::Json(members) => {
                let properties: Map<String, Value> =
                    members.iter().map(|(name, of)| ((*name).to_owned(), json!({"type": of}))).collect();
                (JSON, json!({"type": "object", "properties": properties, "additionalProperties": false}))
            }
            Self::AnyJson => (JSON, json!({"type": "object"})),
            Self::Lines => ("text/plain", json!({"type": "string"})),
            Self::Bill => {
                let file = json!({"schema": {"type": "string"}});
                let content = json!({"text/csv": file, "application/x-ndjson": file, JSON: {"schema": {}}});
                return Some(json!({"required": true, "content": content}));
            }
        };
        Some(json!({"required": true, "content": {content_type: {"schema": schema}}}))
    }
}

fn in_path(name: &'static str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})
}

const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "A parameter or the body cannot be used",
        401 => "A valid token is needed",
        404 => "It is not there",
        409 => "What is there already says otherwise",
        413 => "The body is too long",
        502 => "The receiver did not take it",
        _ => "It cannot be done now; the same request may pass later",
    }
}

const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every route of the router, as its source has them.
    fn routes() -> BTreeSet<(String, String)> {
        let source =
            include_str!("../http/router.rs").replace("tollgate_core::protocol::sync::PATH", "\"/v1/sync\"");
        let mut routes = BTreeSet::new();
        for call in source.split(".route(").skip(1) {
            let mut quoted = call.split('"');
            let path = quoted.nth(1).unwrap();
            let rest = quoted.next().unwrap().split(".route").next().unwrap();
            for method in ["get", "post", "put", "delete"] {
                if rest.contains(&format!("{method}(")) {
                    routes.insert((method.to_owned(), path.to_owned()));
                }
            }
        }
        routes
    }

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let described: BTreeSet<(String, String)> =
            OPERATIONS.iter().map(|one| (one.method.to_owned(), one.path.to_owned())).collect();
        assert_eq!(described.len(), OPERATIONS.len(), "each once");
        assert_eq!(described, routes());
    }

    /// schemars tells two types of one name apart by a number.
    #[test]
    fn every_type_of_an_answer_has_a_name_and_each_of_its_members_a_description() {
        let document = document();
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            assert!(!name.ends_with(|c: char| c.is_ascii_digit()), "{name} is the name of two types");
            let members = schema["properties"].as_object().into_iter().flatten();
            let members = members.map(|(member, schema)| (member.as_str(), schema));
            for (member, schema) in members.chain([("", schema)]) {
                let text = schema["description"].as_str().unwrap_or_default();
                let is_for_rust = ["[`", "::", "```", "_MAX", "None"].iter().any(|word| text.contains(word));
                assert!(!text.is_empty() && !is_for_rust, "{name}.{member}: `{text}`");
            }
        }
    }
}

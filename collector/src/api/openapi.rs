//! `GET /openapi.json`: the API described, from one table of its routes.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::model::dimension::Dimension;

/// The description, OpenAPI 3.1.
pub async fn describe() -> Response {
    Json(document()).into_response()
}

/// One operation.
struct Operation {
    method: &'static str,
    path: &'static str,
    /// `open`, or the role that it needs.
    role: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    body: Body,
    /// Statuses besides 200, 401 and 503.
    statuses: &'static [u16],
    /// Content type of a good answer.
    answers: &'static str,
}

/// A query parameter, or several.
#[derive(Clone, Copy)]
enum Parameter {
    /// `since`, `from`, `to` and `tz`.
    Period,
    /// One for each dimension.
    Filters,
    /// A text.
    Text(&'static str, &'static str),
    /// One of these words.
    Word(&'static str, &'static [&'static str]),
    /// A number from 1 to this.
    Number(&'static str, u32),
}

#[derive(Clone, Copy)]
enum Body {
    None,
    /// JSON with these members.
    Json(&'static [(&'static str, &'static str)]),
    /// Any JSON object; its keys are told in the summary.
    AnyJson,
    /// A line of JSON for each record.
    Lines,
}

fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let described = operation.describe();
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
            "description": "Who spent what on which model. Money is a decimal string of dollars, times are RFC 3339 in UTC.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
                }},
            }},
        },
    })
}

impl Operation {
    fn describe(&self) -> Value {
        let mut parameters: Vec<Value> = self.path_parameters().map(in_path).collect();
        parameters.extend(self.parameters.iter().flat_map(|parameter| parameter.describe()));
        let mut described = json!({
            "summary": self.summary,
            "parameters": parameters,
            "responses": self.responses(),
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

    fn responses(&self) -> Value {
        let mut responses = Map::new();
        let schema = if self.answers == JSON { json!({"type": "object"}) } else { json!({"type": "string"}) };
        let good = json!({"description": "Done", "content": {self.answers: {"schema": schema}}});
        responses.insert("200".into(), good);
        let open: &[u16] = if self.role == "open" { &[503] } else { &[401, 503] };
        for status in open.iter().chain(self.statuses) {
            let error = json!({
                "description": meaning(*status),
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            });
            responses.insert(status.to_string(), error);
        }
        Value::Object(responses)
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
                one("tz", json!({"type": "string"}), "Time zone of days, such as Europe/Berlin"),
            ],
            Self::Filters => {
                let filter = |dimension: Dimension| {
                    let schema = json!({"type": "array", "items": {"type": "string"}});
                    one(dimension.name(), schema, "Only these values")
                };
                Dimension::ALL.into_iter().map(filter).collect()
            }
            Self::Text(name, description) => vec![one(name, json!({"type": "string"}), description)],
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
            Self::Lines => (TEXT, json!({"type": "string"})),
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
const TEXT: &str = "text/plain";

const fn get(
    path: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    statuses: &'static [u16],
) -> Operation {
    Operation {
        method: "get",
        path,
        role: "read",
        summary,
        parameters,
        body: Body::None,
        statuses,
        answers: JSON,
    }
}

const fn write(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    body: Body,
    statuses: &'static [u16],
) -> Operation {
    Operation { method, path, role: "write", summary, parameters: &[], body, statuses, answers: JSON }
}

const BY: Parameter = Parameter::Text("by", "Dimensions, day or hour, with commas between");
const CURSOR: Parameter = Parameter::Text("cursor", "Where the page before ended");
const OUTCOMES: &[&str] = &["ok", "error", "client_abort", "upstream_abort", "denied"];
const STATUSES: &[&str] = &["measured", "estimated", "unpriced", "free"];
const LIMIT: Parameter = Parameter::Number("limit", 1000);

const OPERATIONS: &[Operation] = &[
    Operation {
        role: "ingest",
        ..write(
            "post",
            tollgate_core::protocol::sync::PATH,
            "Gateways report, and hear what was kept",
            Body::AnyJson,
            &[400, 413],
        )
    },
    Operation { role: "open", ..get("/healthz", "The process runs", &[], &[]) },
    Operation { role: "open", ..get("/readyz", "Records can be stored and questions answered", &[], &[]) },
    Operation { role: "open", ..get("/openapi.json", "This description", &[], &[]) },
    Operation { answers: "text/html", ..get("/", "Where to go from here", &[], &[]) },
    Operation { answers: TEXT, ..get("/metrics", "Metrics as Prometheus reads them", &[], &[]) },
    get("/api/v1/summary", "Who spent what", &[BY, Parameter::Period, Parameter::Filters], &[400]),
    get(
        "/api/v1/records",
        "Calls one by one, newest first",
        &[
            Parameter::Period,
            Parameter::Filters,
            Parameter::Word("outcome", OUTCOMES),
            Parameter::Word("cost_status", STATUSES),
            LIMIT,
            CURSOR,
        ],
        &[400],
    ),
    get("/api/v1/records/{id}", "One call", &[], &[400, 404]),
    get("/api/v1/records/{id}/explain", "A call's price, line by line", &[], &[400, 404]),
    write(
        "post",
        "/api/v1/records",
        "Store records that did not come by sync, one a line",
        Body::Lines,
        &[400, 413],
    ),
    get(
        "/api/v1/budgets",
        "What is left of each budget",
        &[Parameter::Text("budget", "Only this one")],
        &[400],
    ),
    get("/api/v1/budgets/{name}", "A budget's definition, as `put` takes it", &[], &[400, 404]),
    write(
        "put",
        "/api/v1/budgets/{name}",
        "Make or change a budget, all of it; keys as in `[[budgets]]`",
        Body::AnyJson,
        &[400, 409, 413],
    ),
    write(
        "delete",
        "/api/v1/budgets/{name}",
        "Remove a budget; what was spent stays",
        Body::None,
        &[400, 404, 409],
    ),
    write(
        "post",
        "/api/v1/budgets/{name}/top-up",
        "Add to the limit of the window that holds now",
        Body::Json(&[("amount", "string"), ("value", "string")]),
        &[400, 404, 413],
    ),
    Operation {
        parameters: &[Parameter::Text("value", "Only this value of the budget's `each`")],
        ..write(
            "post",
            "/api/v1/budgets/{name}/release-kept",
            "Give back what is kept of calls of which nobody knows what they cost",
            Body::None,
            &[400, 404],
        )
    },
    Operation {
        parameters: &[Parameter::Word("force", &["true", "false"])],
        ..write(
            "post",
            "/api/v1/budgets/release/{instance}",
            "Take back what a gateway that is gone was granted; with `force` also from one that still reports",
            Body::None,
            &[400, 404, 409],
        )
    },
    Operation {
        role: "read",
        ..write(
            "post",
            "/api/v1/estimate",
            "Count and price a call before it is made: `provider`, a request's `body` or a prompt's `text`, `model`, `path` and `output_tokens` where they are needed",
            Body::AnyJson,
            &[400, 413],
        )
    },
    get(
        "/api/v1/prices",
        "Prices by model",
        &[
            Parameter::Text("provider", "Only this provider"),
            Parameter::Text("model", "Any name of the model"),
            Parameter::Text("at", "As of this day"),
            Parameter::Text("history", "Also earlier prices"),
        ],
        &[400],
    ),
    get(
        "/api/v1/prices/missing",
        "Models of calls that have no price",
        &[Parameter::Period, Parameter::Filters],
        &[400],
    ),
    get(
        "/api/v1/prices/drift",
        "Rows of the book whose charges and the providers' own words differ by more than 1 %; the last seven days where no period is named",
        &[Parameter::Period, Parameter::Filters],
        &[400],
    ),
    get(
        "/api/v1/reprice",
        "What today's prices would change",
        &[Parameter::Period, Parameter::Filters],
        &[400],
    ),
    Operation {
        parameters: &[Parameter::Period, Parameter::Filters],
        ..write("post", "/api/v1/reprice", "Price again, as adjustments", Body::None, &[400])
    },
    get("/api/v1/months", "Closed months", &[], &[]),
    Operation {
        role: "admin",
        ..write("put", "/api/v1/months/{month}", "Close a month and all before it", Body::None, &[400, 409])
    },
    get(
        "/api/v1/alerts",
        "What was decided, and whether it arrived",
        &[Parameter::Word("state", &["open", "all"]), LIMIT, CURSOR],
        &[400],
    ),
    write("post", "/api/v1/alerts/test/{channel}", "Send a test message", Body::None, &[400, 404, 502]),
    get("/api/v1/reviews", "Budgets that were passed", &[LIMIT, CURSOR], &[400]),
    write(
        "put",
        "/api/v1/reviews/{id}",
        "Say who looks into it and what was found",
        Body::Json(&[("owner", "string"), ("note", "string"), ("closed", "boolean")]),
        &[400, 404, 413],
    ),
    get(
        "/api/v1/anomalies",
        "What agents did that they usually do not",
        &[Parameter::Period, Parameter::Text("agent", "Only this one"), LIMIT, CURSOR],
        &[400],
    ),
    get("/api/v1/audit", "The audit trail, oldest first", &[LIMIT, CURSOR], &[400]),
    get("/api/v1/accounts", "What became of every record", &[], &[400]),
    get(
        "/api/v1/accounts/recount",
        "What summaries should say by the records that are kept, beside what they say",
        &[],
        &[400],
    ),
];

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
}

//! The table of the routes.
//!
//! Long: an entry for each route, and the words that they share.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use tollgate_core::protocol::sync::SyncAnswer;

use crate::config::schema;
use crate::model::answers::agents::{AgentChanged, AgentRow};
use crate::model::answers::alerts::{AlertRow, ReviewRow, TestMessage};
use crate::model::answers::allow::{AllowRow, AllowTried};
use crate::model::answers::anomalies::AnomalyRow;
use crate::model::answers::audit::{Accounts, Recount, Trail};
use crate::model::answers::baseline::Baselines;
use crate::model::answers::budgets::{BudgetChanged, Budgets, InstanceReleased, KeptReleased, ToppedUp};
use crate::model::answers::chargeback::Chargeback;
use crate::model::answers::collector::{Alive, Imported, Readiness};
use crate::model::answers::compare::Comparison;
use crate::model::answers::corrections::{MonthRow, Repriced};
use crate::model::answers::estimate::Estimate;
use crate::model::answers::explain::Explanation;
use crate::model::answers::explained::ExplainedCall;
use crate::model::answers::exports::ExportableDays;
use crate::model::answers::gateways::GatewaysAnswer;
use crate::model::answers::plan::{CheckedPlan, Planned, SavedPlan};
use crate::model::answers::prices::{Drifting, MissingPrices, Prices};
use crate::model::answers::prompts::PromptsAnswer;
use crate::model::answers::reconcile::Reconciliation;
use crate::model::answers::records::{RecordRow, RecordsPage};
use crate::model::answers::reports::{MailReport, ReportRow, ReportSent};
use crate::model::answers::runs::{RunTree, RunsAnswer};
use crate::model::answers::summary::SummaryAnswer;
use crate::model::answers::what_if::WhatIfAnswer;
use crate::model::answers::{List, Page};

/// One operation.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// `open`, or the role that it needs.
    pub(super) role: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Body,
    /// Statuses besides 200, 401 and 503.
    pub(super) statuses: &'static [u16],
    /// A good answer.
    pub(super) answers: Answer,
}

/// What a good answer is.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// JSON with this schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// The same, or these texts where one is asked for.
    JsonOrTexts(fn(&mut SchemaGenerator) -> Schema, &'static [&'static str]),
    /// JSON, or a file for sheets where that is asked for.
    JsonOrCsv(fn(&mut SchemaGenerator) -> Schema),
    /// JSON with this schema, and one like it with the status 503, where others have an error.
    JsonAlways(fn(&mut SchemaGenerator) -> Schema),
    /// A text of this content type.
    Text(&'static str),
    /// A file for sheets, of the form that is asked for.
    Files,
}

/// A query parameter, or several.
#[derive(Clone, Copy)]
pub(super) enum Parameter {
    /// `since`, `from`, `to`, `month` and `tz`.
    Period,
    /// One for each dimension, `key`, `not` and `unattributed`.
    Filters,
    /// A text.
    Text(&'static str, &'static str),
    /// `true` or `false`.
    Flag(&'static str, &'static str),
    /// One of these words.
    Word(&'static str, &'static [&'static str]),
    /// A number from 1 to this.
    Number(&'static str, u32),
}

#[derive(Clone, Copy)]
pub(super) enum Body {
    None,
    /// JSON with these members.
    Json(&'static [(&'static str, &'static str)]),
    /// Any JSON object; its keys are told in the summary.
    AnyJson,
    /// A line of JSON for each record.
    Lines,
    /// A cost export of a provider, as CSV, JSON or lines of JSON.
    Bill,
}

/// The schema of a type of answers.
fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A JSON object that is not described further.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": "object"})
}

/// A budget's definition: its keys are those of the configuration file.
fn budget(_: &mut SchemaGenerator) -> Schema {
    Schema::try_from(schema::budget()).unwrap_or_default()
}

const fn get<T: JsonSchema>(
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
        answers: Answer::Json(of::<T>),
    }
}

const fn write<T: JsonSchema>(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    body: Body,
    statuses: &'static [u16],
) -> Operation {
    Operation {
        method,
        path,
        role: "write",
        summary,
        parameters: &[],
        body,
        statuses,
        answers: Answer::Json(of::<T>),
    }
}

const BY: Parameter = Parameter::Text(
    "by",
    "Dimensions, hour, day, week or month, with commas between; `key` stands for `key_id`",
);
const COMPARED_BY: Parameter = Parameter::Text(
    "by",
    "Dimensions, with commas between; without it those are looked for whose few rows explain most",
);
const COLUMNS: Parameter =
    Parameter::Text("columns", "Numbers that a file has, with commas between; JSON has all");
const SORT: Parameter =
    Parameter::Text("sort", "A name of `by` or of a number, with `-` before it for the largest first");
const ESTIMATED: Parameter = Parameter::Flag("estimated", "Only rows of which something is estimated");
const TREND: Parameter = Parameter::Flag("trend", "Also what each row cost in each part of the time");
const EXPORTS: &[&str] = &["csv", "jsonl", "parquet"];
const FORMATS: &[&str] = &["json", "csv", "jsonl", "parquet"];
const CURSOR: Parameter = Parameter::Text("cursor", "Where the page before ended");
const OUTCOMES: &[&str] = &["ok", "error", "client_abort", "upstream_abort", "denied"];
const STATUSES: &[&str] = &["measured", "estimated", "unpriced", "free"];
const TEXT: &str = "text/plain";
const PLAN: Body = Body::Json(&[
    ("models", "array"),
    ("prompt", "string"),
    ("prompt_tokens", "integer"),
    ("output_tokens", "integer"),
    ("calls", "string"),
    ("cache_share", "string"),
    ("history_turns", "integer"),
    ("question_tokens", "integer"),
]);
const PERIOD: Parameter =
    Parameter::Text("period", "Such as `2026-11-20`, `2026-W47` or `2026-11`; the last whole one without it");
const LIMIT: Parameter = Parameter::Number("limit", 1000);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        role: "ingest",
        ..write::<SyncAnswer>(
            "post",
            tollgate_core::protocol::sync::PATH,
            "Gateways report, and hear what was kept",
            Body::AnyJson,
            &[400, 413],
        )
    },
    Operation { role: "open", ..get::<Alive>("/healthz", "The process runs", &[], &[]) },
    Operation {
        role: "open",
        answers: Answer::JsonAlways(of::<Readiness>),
        ..get::<Readiness>("/readyz", "Records can be stored and questions answered", &[], &[])
    },
    Operation {
        role: "open",
        answers: Answer::Json(any_object),
        ..get::<()>("/openapi.json", "This description", &[], &[])
    },
    Operation {
        answers: Answer::Text(TEXT),
        ..get::<()>("/metrics", "Metrics as Prometheus reads them", &[], &[])
    },
    Operation {
        answers: Answer::JsonOrCsv(of::<SummaryAnswer>),
        ..get::<()>(
            "/api/v1/summary",
            "Who spent what",
            &[
                BY,
                Parameter::Period,
                Parameter::Filters,
                COLUMNS,
                SORT,
                Parameter::Number("top", 100_000),
                Parameter::Word("outcome", OUTCOMES),
                Parameter::Text("run", "Only calls of this run"),
                Parameter::Text("tag", "Only calls with this tag, `key=value`"),
                Parameter::Text("rule", "Only calls that this rule refused or noted"),
                Parameter::Text("tag_key", "Where `by` has `tag`: tags with this key, by their values"),
                ESTIMATED,
                Parameter::Word("compare", &["previous"]),
                TREND,
                Parameter::Word("format", FORMATS),
            ],
            &[400],
        )
    },
    Operation {
        answers: Answer::JsonOrCsv(of::<Baselines>),
        ..get::<()>(
            "/api/v1/baseline",
            "What agents used in their first days, and what they use now",
            &[
                Parameter::Text("from", "A day to begin on, instead of with the first call"),
                Parameter::Number("days", 90),
                Parameter::Filters,
                Parameter::Word("format", FORMATS),
            ],
            &[400],
        )
    },
    Operation {
        answers: Answer::JsonOrCsv(of::<Comparison>),
        ..get::<()>(
            "/api/v1/compare",
            "Where a change of cost comes from",
            &[
                COMPARED_BY,
                Parameter::Period,
                Parameter::Text(
                    "with",
                    "The period to compare with: `previous`, the one before, unless told, a month, or a start \
                     and an end with `..` between",
                ),
                Parameter::Filters,
                Parameter::Number("top", 100_000),
                Parameter::Word("format", FORMATS),
            ],
            &[400],
        )
    },
    get::<RecordsPage>(
        "/api/v1/records",
        "Calls one by one, newest first",
        &[
            Parameter::Period,
            Parameter::Filters,
            Parameter::Word("outcome", OUTCOMES),
            Parameter::Word("cost_status", STATUSES),
            Parameter::Flag("retried", "Only retries"),
            Parameter::Text("run", "Only calls of this run"),
            LIMIT,
            CURSOR,
        ],
        &[400],
    ),
    get::<RecordRow>("/api/v1/records/{id}", "One call", &[], &[400, 404]),
    get::<Explanation>("/api/v1/records/{id}/explain", "A call's price, line by line", &[], &[400, 404]),
    Operation {
        answers: Answer::JsonOrCsv(of::<RunsAnswer>),
        ..get::<()>(
            "/api/v1/runs",
            "What users' actions cost, with all the runs that they started; the last day where no period is named",
            &[
                Parameter::Period,
                Parameter::Filters,
                Parameter::Word("sort", &["cost", "calls", "duration", "depth", "start"]),
                LIMIT,
                CURSOR,
                Parameter::Word("format", FORMATS),
                Parameter::Word("table", &["actions", "agents"]),
            ],
            &[400],
        )
    },
    Operation {
        answers: Answer::JsonOrCsv(of::<WhatIfAnswer>),
        ..get::<()>(
            "/api/v1/what-if",
            "What recorded calls would cost at other models; the last 30 days where no period is named",
            &[
                Parameter::Period,
                Parameter::Filters,
                Parameter::Text(
                    "to_model",
                    "The model to try; without it, the nearest smaller relative of each",
                ),
                Parameter::Word("format", FORMATS),
            ],
            &[400],
        )
    },
    Operation {
        answers: Answer::JsonOrCsv(of::<PromptsAnswer>),
        ..get::<()>(
            "/api/v1/prompts",
            "What prompts are made of, and what that costs; the last 30 days where no period is named",
            &[
                Parameter::Period,
                Parameter::Filters,
                Parameter::Word("format", FORMATS),
                Parameter::Word("table", &["prompts", "agents", "changes"]),
            ],
            &[400],
        )
    },
    Operation {
        answers: Answer::JsonOrCsv(of::<RunTree>),
        ..get::<()>(
            "/api/v1/runs/{run}",
            "One run with all that it started",
            &[Parameter::Word("format", FORMATS)],
            &[400, 404],
        )
    },
    write::<Imported>(
        "post",
        "/api/v1/records",
        "Store records that did not come by sync, one a line",
        Body::Lines,
        &[400, 413],
    ),
    get::<List<AgentRow>>(
        "/api/v1/agents",
        "Every agent that is registered or was seen: what is registered of it, and what it did",
        &[Parameter::Word("status", &["proposed", "approved", "expired", "retired", "unregistered"])],
        &[400],
    ),
    get::<AgentRow>("/api/v1/agents/{name}", "One agent", &[], &[400, 404]),
    write::<AgentChanged>(
        "put",
        "/api/v1/agents/{name}",
        "Register an agent, or change it, all of it; keys as in `[[agents]]`",
        Body::AnyJson,
        &[400, 409, 413],
    ),
    write::<List<AgentChanged>>(
        "put",
        "/api/v1/agents",
        "The same for several, all or none: `{\"agents\": […]}`",
        Body::AnyJson,
        &[400, 409, 413],
    ),
    get::<List<AllowRow>>("/api/v1/allow", "Lists of models, with those of agents", &[], &[400]),
    get::<AllowTried>(
        "/api/v1/allow/try",
        "What a list would have refused; of the last seven days where no period is named. Give the `name` of a list, or `models` and a `scope`",
        &[
            Parameter::Text("name", "A list that there is"),
            Parameter::Text("models", "Models of a list that there is not, with commas between them"),
            Parameter::Text("scope", "Which calls it is for, such as `team=support`; repeat for several"),
            Parameter::Flag("untold", "Whether calls may be made whose models nobody can tell"),
            Parameter::Period,
        ],
        &[400, 404],
    ),
    get::<Budgets>(
        "/api/v1/budgets",
        "What is left of each budget",
        &[Parameter::Text("budget", "Only this one")],
        &[400],
    ),
    Operation {
        answers: Answer::Json(budget),
        ..get::<()>("/api/v1/budgets/{name}", "A budget's definition, as `put` takes it", &[], &[400, 404])
    },
    write::<BudgetChanged>(
        "put",
        "/api/v1/budgets/{name}",
        "Make or change a budget, all of it; keys as in `[[budgets]]`",
        Body::AnyJson,
        &[400, 409, 413],
    ),
    write::<BudgetChanged>(
        "delete",
        "/api/v1/budgets/{name}",
        "Remove a budget; what was spent stays",
        Body::None,
        &[400, 404, 409],
    ),
    write::<ToppedUp>(
        "post",
        "/api/v1/budgets/{name}/top-up",
        "Add to the limit of the window that holds now",
        Body::Json(&[("amount", "string"), ("value", "string")]),
        &[400, 404, 413],
    ),
    Operation {
        parameters: &[Parameter::Text("value", "Only this value of the budget's `each`")],
        ..write::<KeptReleased>(
            "post",
            "/api/v1/budgets/{name}/release-kept",
            "Give back what is kept of calls of which nobody knows what they cost",
            Body::None,
            &[400, 404],
        )
    },
    Operation {
        parameters: &[Parameter::Word("force", &["true", "false"])],
        ..write::<InstanceReleased>(
            "post",
            "/api/v1/budgets/release/{instance}",
            "Take back what a gateway that is gone was granted; with `force` also from one that still reports",
            Body::None,
            &[400, 404, 409],
        )
    },
    get::<ExplainedCall>(
        "/api/v1/explain",
        "What would become of a call, and which rule or budget decides",
        &[Parameter::Text("call", "The call as JSON: who makes it, where it goes and what it asks for")],
        &[400],
    ),
    Operation {
        role: "read",
        ..write::<ExplainedCall>(
            "post",
            "/api/v1/explain",
            "The same of a call in the body: `agent`, `team`, `feature`, `environment`, `run`, `parent_run`, `tags`, `headers`, `key_id`, `trusted`, `trusted_source`, `gateway`; `provider` or `host`, `path`, `method`; `body`, or `model`, `prompt` or `input_tokens`, `max_output_tokens` and `stream`",
            Body::AnyJson,
            &[400, 413],
        )
    },
    Operation {
        role: "read",
        ..write::<Estimate>(
            "post",
            "/api/v1/estimate",
            "Count and price a call before it is made: `provider`, a request's `body` or a prompt's `text`, `model`, `path` and `output_tokens` where they are needed",
            Body::AnyJson,
            &[400, 413],
        )
    },
    Operation {
        role: "read",
        ..write::<Planned>(
            "post",
            "/api/v1/estimate/plan",
            "What an agent will cost at several models, side by side",
            PLAN,
            &[400, 413],
        )
    },
    get::<List<SavedPlan>>("/api/v1/plans", "What agents were planned to cost", &[], &[400]),
    write::<SavedPlan>(
        "put",
        "/api/v1/plans/{agent}",
        "Keep a plan with its agent; a prompt's text is not kept, only its tokens",
        PLAN,
        &[400, 413],
    ),
    get::<CheckedPlan>("/api/v1/plans/{agent}/check", "A plan beside what its agent does", &[], &[400, 404]),
    get::<Prices>(
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
    get::<MissingPrices>(
        "/api/v1/prices/missing",
        "Models of calls that have no price",
        &[Parameter::Period, Parameter::Filters],
        &[400],
    ),
    get::<Drifting>(
        "/api/v1/prices/drift",
        "Rows of the book whose charges and the providers' own words differ by more than 1 %; the last seven days where no period is named",
        &[Parameter::Period, Parameter::Filters],
        &[400],
    ),
    Operation {
        answers: Answer::Text("text/csv"),
        ..get::<()>(
            "/api/v1/exports/focus.csv",
            "Costs as rows of FOCUS 1.2; of the month that runs, where no period is named",
            &[Parameter::Period, Parameter::Word("grain", &["hour", "day"]), Parameter::Filters],
            &[400],
        )
    },
    Operation {
        answers: Answer::Text("application/vnd.apache.parquet"),
        ..get::<()>(
            "/api/v1/exports/focus.parquet",
            "The same as Parquet",
            &[Parameter::Period, Parameter::Word("grain", &["hour", "day"]), Parameter::Filters],
            &[400],
        )
    },
    get::<ExportableDays>("/api/v1/exports/days", "Of which days there is something to export", &[], &[400]),
    Operation {
        answers: Answer::Files,
        ..get::<()>(
            "/api/v1/exports/records",
            "Calls one by one, oldest first; as JSON lines in the form that `POST /api/v1/records` takes, as they came",
            &[Parameter::Period, Parameter::Word("format", EXPORTS), Parameter::Filters],
            &[400],
        )
    },
    Operation {
        answers: Answer::Files,
        ..get::<()>(
            "/api/v1/exports/rollups",
            "Sums by hour and all dimensions",
            &[Parameter::Period, Parameter::Word("format", EXPORTS), Parameter::Filters],
            &[400],
        )
    },
    Operation {
        answers: Answer::JsonOrCsv(of::<Chargeback>),
        ..get::<Chargeback>(
            "/api/v1/chargeback",
            "What a month is charged to whom; as CSV or Parquet, every line",
            &[
                Parameter::Text("month", "The month, such as `2026-10`, UTC"),
                Parameter::Text("team", "Only the statement of this team or cost center"),
                Parameter::Word("format", FORMATS),
            ],
            &[400],
        )
    },
    get::<Repriced>(
        "/api/v1/reprice",
        "What today's prices would change",
        &[Parameter::Period, Parameter::Filters],
        &[400],
    ),
    Operation {
        parameters: &[Parameter::Period, Parameter::Filters],
        ..write::<Repriced>("post", "/api/v1/reprice", "Price again, as adjustments", Body::None, &[400])
    },
    Operation {
        role: "read",
        parameters: &[
            Parameter::Text("tz", "Time zone of days, such as Europe/Berlin; UTC without it"),
            Parameter::Text("provider", "Only this provider's lines"),
            Parameter::Text("max_gap", "A provider's gap of more percent of its bill is in `too_wide`"),
            Parameter::Text("name", "What the bill is called, in errors and in the audit trail"),
            Parameter::Flag(
                "book",
                "Book corrected totals as adjustments, for which a token that writes is needed",
            ),
            Parameter::Flag("dry_run", "Only show what would be booked"),
            Parameter::Text("reason", "Why it is booked, such as `invoice 2026-10`; needed with `book`"),
        ],
        ..write::<Reconciliation>(
            "post",
            "/api/v1/reconcile",
            "A bill of a provider, of at most 32 MiB, beside what gateways saw: the gap by cause, and what is booked of it",
            Body::Bill,
            &[400, 409, 413],
        )
    },
    get::<List<MonthRow>>("/api/v1/months", "Closed months", &[], &[]),
    Operation {
        role: "admin",
        ..write::<MonthRow>(
            "put",
            "/api/v1/months/{month}",
            "Close a month and all before it",
            Body::None,
            &[400, 409],
        )
    },
    get::<Page<AlertRow>>(
        "/api/v1/alerts",
        "What was decided, and whether it arrived",
        &[Parameter::Word("state", &["open", "all"]), LIMIT, CURSOR],
        &[400],
    ),
    write::<TestMessage>(
        "post",
        "/api/v1/alerts/test/{channel}",
        "Send a test message",
        Body::None,
        &[400, 404, 502],
    ),
    get::<Page<ReviewRow>>("/api/v1/reviews", "Budgets that were passed", &[LIMIT, CURSOR], &[400]),
    write::<ReviewRow>(
        "put",
        "/api/v1/reviews/{id}",
        "Say who looks into it and what was found",
        Body::Json(&[("owner", "string"), ("note", "string"), ("closed", "boolean")]),
        &[400, 404, 413],
    ),
    get::<List<ReportRow>>("/api/v1/reports", "Reports that are mailed, and how far each is", &[], &[400]),
    Operation {
        answers: Answer::JsonOrTexts(of::<MailReport>, &[TEXT, "text/html"]),
        ..get::<MailReport>(
            "/api/v1/reports/{name}/preview",
            "What a report says; as its mail says it, where a text or HTML is asked for",
            &[PERIOD, Parameter::Word("format", &["json", "text", "html"])],
            &[400, 404],
        )
    },
    Operation {
        parameters: &[PERIOD, Parameter::Flag("again", "Also where it was sent before")],
        ..write::<ReportSent>(
            "post",
            "/api/v1/reports/{name}/send",
            "Send a report now",
            Body::None,
            &[400, 404, 409, 502],
        )
    },
    get::<Page<AnomalyRow>>(
        "/api/v1/anomalies",
        "What agents did that they usually do not",
        &[Parameter::Period, Parameter::Text("agent", "Only this one"), LIMIT, CURSOR],
        &[400],
    ),
    get::<GatewaysAnswer>(
        "/api/v1/gateways",
        "Gateways, when they last synced, and what they hold",
        &[],
        &[400],
    ),
    get::<Trail>("/api/v1/audit", "The audit trail, oldest first", &[LIMIT, CURSOR], &[400]),
    get::<Accounts>("/api/v1/accounts", "What became of every record", &[], &[400]),
    get::<Recount>(
        "/api/v1/accounts/recount",
        "What summaries should say by the records that are kept, beside what they say",
        &[],
        &[400],
    ),
];

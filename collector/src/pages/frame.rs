//! What stands around every page: head, navigation, search, who is signed in, messages.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::ask::Refused;
use super::asked::{Asked, PERIOD};
use super::assets;
use super::forms;
use super::query::address;
use super::session::{Said, Session};
use super::show;
use super::visitor::Visitor;
use crate::model::clock::{now_ms, rfc3339};
use crate::model::dimension::Dimension;
use crate::model::role::Role;
use crate::model::text::printable;

/// A whole page, or in its place what went wrong.
pub(super) fn page(visitor: &Visitor, title: &str, body: Result<Markup, Refused>) -> Response {
    match body {
        Ok(body) => whole(visitor, title, &body, StatusCode::OK),
        Err(refused) => {
            let status = refused.status;
            whole(visitor, title, &failed(visitor, title, &refused), status)
        }
    }
}

fn failed(visitor: &Visitor, title: &str, refused: &Refused) -> Markup {
    let is_forbidden = refused.status == StatusCode::UNAUTHORIZED || refused.status == StatusCode::FORBIDDEN;
    html! {
        header.title { h1 { (title) } }
        section.card.problem role="alert" {
            h2 {
                @match refused.status {
                    _ if is_forbidden => "That needs another role",
                    StatusCode::NOT_FOUND => "There is no such thing",
                    status if status.is_client_error() => "That cannot be asked",
                    _ => "The collector cannot answer now",
                }
            }
            p { (show::said(&refused.message)) }
            @if is_forbidden && visitor.who.is_none() { p { a href="/sign-in" { "Sign in" } " with a token that may." } }
            p { a href=(visitor.path) { "Show this page without filters" } " · " a href="/" { "Overview" } }
        }
    }
}

fn whole(visitor: &Visitor, title: &str, body: &Markup, status: StatusCode) -> Response {
    let now = rfc3339(now_ms()).unwrap_or_default();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { (meta(title)) script src=(assets::script()) defer {} }
            body {
                a.skip href="#main" { "Skip to the content" }
                (top(visitor))
                (navigation(visitor))
                main #main tabindex="-1" {
                    @if let Some(said) = visitor.said() { (message(&said)) }
                    div data-live-problem hidden {}
                    (body)
                    footer.page {
                        "As of " (show::time(&now)) ", tollgate " (env!("CARGO_PKG_VERSION")) ". "
                        span.zone { "Times are in UTC." }
                    }
                }
            }
        }
    };
    (status, Html(page.into_string())).into_response()
}

/// What the head of each page has.
fn meta(title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        title { (title) " · Tollgate" }
        link rel="stylesheet" href=(assets::style());
        link rel="icon" href=(assets::icon()) type="image/svg+xml";
    }
}

/// A page without what stands around others, for those who are not signed in.
pub(super) fn bare(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { (meta(title)) }
            body.bare { main #main { h1 { "Tollgate" } (body) } }
        }
    }
}

/// What is said of a path that is no page.
pub(super) fn missing(path: &str) -> Response {
    let body = html! {
        section.card {
            h2 { "There is no such page" }
            p { code { (printable(path)) } " is no page and no path of the API." }
            p { a href="/" { "Overview" } " · " a href="/api" { "API" } }
        }
    };
    (StatusCode::NOT_FOUND, Html(bare("Not found", &body).into_string())).into_response()
}

fn message(said: &Said) -> Markup {
    let class = if said.is_done { "done" } else { "problem" };
    html! { div.message.(class) role="status" { (show::said(&said.text)) } }
}

fn top(visitor: &Visitor) -> Markup {
    html! {
        header.top {
            button.menu.quiet type="button" popovertarget="menu" { "Menu" }
            a.brand href="/" { "Tollgate" }
            form.search role="search" action="/search" method="get" {
                input #search name="q" type="search" placeholder="Search names, runs, records" aria-label="Search"
                    aria-keyshortcuts="/" maxlength="200" value=[visitor.pair("q")];
                kbd aria-hidden="true" { "/" }
            }
            div.who {
                @match &visitor.who {
                    Some((name, role)) => {
                        span { (printable(name)) @if name != role_name(*role) { " (" (role_name(*role)) ")" } }
                        @if let Some(session) = &visitor.session { (sign_out(visitor, session)) }
                    }
                    None => a href=(address("/sign-in", &[("to".into(), visitor.path.clone())])) { "Sign in" },
                }
            }
        }
    }
}

/// How who is signed in signs out: here, or where the proxy does that.
fn sign_out(visitor: &Visitor, session: &Session) -> Markup {
    if session.token.is_some() {
        return html! {
            form method="post" action="/sign-out" {
                (forms::csrf(session))
                button.quiet type="submit" { "Sign out" }
            }
        };
    }
    let config = visitor.site.app.config();
    let address = config.access.proxy.as_ref().and_then(|proxy| proxy.sign_out.as_deref());
    html! { @if let Some(address) = address { a href=(address) { "Sign out" } } }
}

/// The word for a role, as configuration has it.
pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Ingest => "ingest",
        Role::Read => "read",
        Role::Write => "write",
        Role::Admin => "admin",
    }
}

fn navigation(visitor: &Visitor) -> Markup {
    let own = |path: &str| {
        let is_here = visitor.path == path || (path != "/" && visitor.path.starts_with(&format!("{path}/")));
        is_here.then_some("page")
    };
    html! {
        nav.main #menu popover aria-label="Pages" {
            div {
                @for (group, pages) in PAGES {
                    h2 { (group) }
                    ul {
                        @for (path, name) in *pages {
                            li { a href=(path) aria-current=[own(path)] { (name) } }
                        }
                    }
                }
            }
        }
    }
}

/// The title of a page with its time and filters, which stand in the address.
pub(super) fn head(visitor: &Visitor, title: &str, asked: &Asked, own: &[&str]) -> Markup {
    html! {
        header.title {
            h1 { (title) }
            p.asked { (asked.words()) ", days in " (asked.zone()) }
        }
        div.controls {
            (period(visitor, asked, own))
            (filters(visitor, asked))
        }
    }
}

fn period(visitor: &Visitor, asked: &Asked, own: &[&str]) -> Markup {
    let kept: Vec<(String, String)> = visitor
        .pairs
        .iter()
        .filter(|(name, _)| {
            name == "tz"
                || (!PERIOD.contains(&name.as_str()) && name != "cursor")
                || own.contains(&name.as_str())
        })
        .cloned()
        .collect();
    let to = |name: &str, value: &str| {
        address(&visitor.path, &[&[(name.to_owned(), value.to_owned())], &kept[..]].concat())
    };
    let is_now = |name: &str, value: &str| {
        asked.period.iter().any(|(key, own)| key == name && own == value).then_some("true")
    };
    let (this, last) = months();
    let of = |name: &str| asked.period.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    html! {
        nav.period aria-label="Time" {
            @for (since, name) in [("24h", "24 h"), ("7d", "7 d"), ("30d", "30 d"), ("90d", "90 d")] {
                a href=(to("since", since)) aria-current=[is_now("since", since)] { (name) }
            }
            a href=(to("month", &this)) aria-current=[is_now("month", &this)] { "This month" }
            a href=(to("month", &last)) aria-current=[is_now("month", &last)] { "Last month" }
            details {
                summary { "Other" }
                form.inline method="get" action=(visitor.path) {
                    @for (name, value) in &kept { @if name != "tz" { input type="hidden" name=(name) value=(value); } }
                    label { "From " input type="date" name="from" value=[of("from")] required; }
                    label { "To " input type="date" name="to" value=[of("to")]; }
                    label { "Time zone " input name="tz" value=[of("tz")] placeholder="UTC" data-zone size="16"; }
                    button type="submit" { "Show" }
                }
            }
        }
    }
}

fn filters(visitor: &Visitor, asked: &Asked) -> Markup {
    let without = |at: usize| {
        let others = visitor.pairs.iter().filter(|pair| asked.filters.get(at) != Some(*pair));
        address(&visitor.path, &others.cloned().collect::<Vec<_>>())
    };
    html! {
        div.filters {
            @for (at, (name, value)) in asked.filters.iter().enumerate() {
                a.chip href=(without(at)) aria-label={ "Remove the filter " (name) " " (value) } {
                    (name) ": " strong { (if value.is_empty() { "(none)" } else { value }) } " ×"
                }
            }
            details {
                summary { "Filter" }
                form.inline method="get" action=(visitor.path) data-filter {
                    @for (name, value) in &visitor.pairs {
                        @if name != "cursor" { input type="hidden" name=(name) value=(value); }
                    }
                    @for dimension in FILTERS {
                        label { (dimension.name()) " " input name=(dimension.name()) size="12" maxlength="200"; }
                    }
                    button type="submit" { "Add" }
                }
            }
        }
    }
}

/// This month and the one before, UTC.
fn months() -> (String, String) {
    let today = crate::model::clock::now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    let last = today.first_of_month().yesterday().unwrap_or(today);
    let name = |day: jiff::civil::Date| format!("{:04}-{:02}", day.year(), day.month());
    (name(today), name(last))
}

/// What pages are filtered by most.
const FILTERS: [Dimension; 6] = [
    Dimension::Team,
    Dimension::Agent,
    Dimension::Feature,
    Dimension::Environment,
    Dimension::Model,
    Dimension::Provider,
];

/// All pages, in groups.
const PAGES: &[(&str, &[(&str, &str)])] = &[
    (
        "Spend",
        &[
            ("/", "Overview"),
            ("/compare", "Compare"),
            ("/teams", "Teams"),
            ("/agents", "Agents"),
            ("/features", "Features"),
            ("/models", "Models"),
            ("/environments", "Environments"),
        ],
    ),
    (
        "Control",
        &[
            ("/budgets", "Budgets"),
            ("/alerts", "Alerts"),
            ("/anomalies", "Anomalies"),
            ("/reviews", "Reviews"),
            ("/registry", "Registry"),
            ("/allow", "Allow lists"),
        ],
    ),
    (
        "Calls",
        &[
            ("/records", "Records"),
            ("/runs", "Runs"),
            ("/prompts", "Prompts"),
            ("/what-if", "What if"),
            ("/estimate", "Estimate"),
        ],
    ),
    (
        "Books",
        &[
            ("/statements", "Statements"),
            ("/reconcile", "Reconciliation"),
            ("/prices", "Prices"),
            ("/audit", "Audit"),
        ],
    ),
    ("System", &[("/gateways", "Gateways"), ("/settings", "Settings"), ("/api", "API")]),
];

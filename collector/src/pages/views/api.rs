//! Where programs find the same: the API, its description, metrics.

use axum::response::Response;
use maud::{Markup, html};

use crate::pages::visitor::Visitor;

/// `GET /api`.
pub(in crate::pages) async fn show(visitor: Visitor) -> Response {
    let body = Ok(links(&visitor));
    visitor.show("API", body)
}

fn links(visitor: &Visitor) -> Markup {
    html! {
        header.title { h1 { "API" } p.asked { "every number of these pages comes from it" } }
        section.card {
            h2 { "Begin here" }
            ul {
                @for (path, what) in LINKS { li { a href=(path) { code { (path) } } ": " (what) } }
            }
            p { "Each card of a page has its question under " em { "Query" } ", for " code { "curl" } " and for the command line." }
            pre tabindex="0" { "curl " (visitor.base()) "/api/v1/summary?by=team,agent\n" "tollgate summary --by team,agent --url " (visitor.base()) "\n" }
        }
    }
}

const LINKS: [(&str, &str); 8] = [
    ("/openapi.json", "every route, parameter and answer, for programs that make clients"),
    ("/api/v1/summary?by=team,agent&since=7d", "what was spent in seven days, by team and agent"),
    ("/api/v1/summary?by=day,model&since=7d", "by day and model"),
    ("/api/v1/records?limit=20", "the newest records"),
    ("/api/v1/exports/focus.csv", "the month as FOCUS, for sheets of finance"),
    ("/metrics", "metrics for Prometheus"),
    ("/healthz", "whether the process runs"),
    ("/readyz", "whether it stores and answers"),
];

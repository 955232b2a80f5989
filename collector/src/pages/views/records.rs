//! Calls one by one, and one of them with why it costs what it costs.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use tollgate_core::record::{CostSource, UsageRecord};

use crate::api::extract::Segment;
use crate::model::answers::explain::{ExplainedLine, Explanation};
use crate::model::answers::records::{RecordRow, RecordsPage};
use crate::model::table::{Cell, Column, Kind, Table};
use crate::model::text::printable;
use crate::pages::ask::Refused;
use crate::pages::asked::Asked;
use crate::pages::frame;
use crate::pages::panels::{badge, card, card_of};
use crate::pages::query::{Query, address, escaped};
use crate::pages::show;
use crate::pages::tables::{Look, draw, facts, page_of, pager};
use crate::pages::visitor::Visitor;

/// `GET /records`.
pub(in crate::pages) async fn list(visitor: Visitor) -> Response {
    let body = records(&visitor).await;
    visitor.show("Records", body)
}

async fn records(visitor: &Visitor) -> Result<Markup, Refused> {
    let asked = Asked::of(visitor, "24h", &["cursor", "limit"]);
    let limit = visitor.pair("limit").unwrap_or(ROWS);
    let mut query = asked.about("/api/v1/records").with("limit", limit);
    if let Some(cursor) = visitor.pair("cursor") {
        query = query.with("cursor", cursor);
    }
    let page: RecordsPage = visitor.api.get(&query).await?;
    Ok(html! {
        (frame::head(visitor, "Records", &asked, &[]))
        nav.period aria-label="Outcome" {
            span { "Outcome" }
            (choice(visitor, "outcome", "", "any"))
            @for outcome in ["ok", "error", "denied", "client_abort", "upstream_abort"] {
                (choice(visitor, "outcome", outcome, &outcome.replace('_', " ")))
            }
            span { "Cost" }
            (choice(visitor, "cost_status", "", "any"))
            @for status in ["measured", "estimated", "unpriced", "free"] { (choice(visitor, "cost_status", status, status)) }
            span { "Retries" }
            (choice(visitor, "retried", "", "with others"))
            (choice(visitor, "retried", "true", "alone"))
        }
        (card(visitor, "Calls, the newest first", &query, html! {
            (rows(&page, &asked))
            (pager(&visitor.path, &visitor.pairs, page.next_cursor.as_deref()))
        }))
    })
}

fn choice(visitor: &Visitor, name: &str, value: &str, word: &str) -> Markup {
    let mut pairs: Vec<_> =
        visitor.pairs.iter().filter(|(key, _)| key != name && key != "cursor").cloned().collect();
    let is_now = visitor.pair(name).unwrap_or_default() == value;
    if !value.is_empty() {
        pairs.push((name.to_owned(), value.to_owned()));
    }
    html! { a href=(address(&visitor.path, &pairs)) aria-current=[is_now.then_some("true")] { (word) } }
}

/// Calls as a table.
pub(super) fn rows(page: &RecordsPage, asked: &Asked) -> Markup {
    if page.rows.is_empty() {
        return html! { p.empty { "No call of this time is kept that is like that. A longer time, or fewer filters, may have some." } };
    }
    let name = |of: &str, value: &str| {
        html! {
            @match page_of(of, value, Some(asked)) {
                Some(to) => a href=(to) { (printable(value)) },
                None => span.none { (if value.is_empty() { "–" } else { value }) },
            }
        }
    };
    let has_refused = page.rows.iter().any(|row| row.0.refused_by.is_some());
    html! {
        div.tablebox data-table {
            div.tools { input.filter type="search" hidden placeholder="Filter rows" aria-label="Filter calls of this page"; }
            div.scroll tabindex="0" role="region" aria-label="Calls" {
                table.data {
                    thead { tr {
                        th scope="col" { "time" } th scope="col" { "agent" } th scope="col" { "feature" } th scope="col" { "model" }
                        th scope="col" { "outcome" } @if has_refused { th scope="col" { "refused by" } } th.num scope="col" { "cost" } th scope="col" { "cost is" }
                        th.num scope="col" { "tokens in" } th.num scope="col" { "cached" } th.num scope="col" { "tokens out" }
                        th scope="col" { "team" } th scope="col" { "environment" }
                    } }
                    tbody {
                        @for row in &page.rows {
                            @let RecordRow(record) = row;
                            @let who = &record.head.attribution;
                            tr {
                                th scope="row" { a href={ "/records/" (escaped(&record.head.id)) } { (show::time(&row.time())) } }
                                td { (name("agent", &who.agent)) }
                                td { (name("feature", &who.feature)) }
                                td { (name("model", record.head.model().unwrap_or_default())) }
                                td { (outcome(record)) }
                                @if has_refused { td { (printable(record.refused_by.as_deref().unwrap_or("–"))) } }
                                td.num { (show::dollars(record.cost_usd, 6)) }
                                td { (record.cost_status.name()) }
                                td.num { (some(record.usage.input_tokens)) }
                                td.num { (some(record.usage.cache_read_tokens)) }
                                td.num { (some(record.usage.output_tokens)) }
                                td { (name("team", &who.team)) }
                                td { (name("environment", &who.environment)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn some(count: Option<u64>) -> String {
    count.map_or_else(|| "–".to_owned(), show::count)
}

fn outcome(record: &UsageRecord) -> Markup {
    let class = match record.outcome.name() {
        "ok" => "good",
        "denied" => "warn",
        _ => "bad",
    };
    badge(class, &record.outcome.name().replace('_', " "))
}

/// `GET /records/{id}`.
pub(in crate::pages) async fn one(visitor: Visitor, Segment(id): Segment) -> Response {
    let body = record(&visitor, &id).await;
    visitor.show("Record", body)
}

async fn record(visitor: &Visitor, id: &str) -> Result<Markup, Refused> {
    let query = Query::new(format!("/api/v1/records/{}", escaped(id)));
    let why = Query::new(format!("/api/v1/records/{}/explain", escaped(id)));
    let (row, explained) =
        tokio::join!(visitor.api.get::<Value>(&query), visitor.api.get::<Explanation>(&why));
    let raw = row?;
    let row: RecordRow = serde_json::from_value(raw.clone())
        .map_err(|error| Refused::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let record = &row.0;
    Ok(html! {
        header.title { h1 { "Record" } p.asked { code { (printable(id)) } } }
        div.grid {
            (card(visitor, "The call", &query, said(&row)))
            section.card {
                h2 { "Its tokens" }
                (facts(&[
                    ("Prompt", html! { (some(record.usage.input_tokens)) }),
                    ("Read from caches", html! { (some(record.usage.cache_read_tokens)) }),
                    ("Written to caches", html! { (some(record.usage.cache_write_tokens)) }),
                    ("Answer", html! { (some(record.usage.output_tokens)) }),
                    ("Reasoning", html! { (some(record.usage.reasoning_tokens)) }),
                    ("Counted by", html! { (if record.usage_estimated { "the gateway, as the provider did not say" } else { "the provider" }) }),
                ]))
            }
        }
        (card_of(visitor, "Why it costs that", &why, explained, |explained| html! { (price(&explained)) }))
        details.card { summary { "The whole record, as the API has it" } pre tabindex="0" { (serde_json::to_string_pretty(&raw).unwrap_or_default()) } }
    })
}

fn said(row: &RecordRow) -> Markup {
    let record = &row.0;
    let (head, who) = (&record.head, &record.head.attribution);
    let link = |of: &str, value: &str| {
        html! {
            @match page_of(of, value, None) {
                Some(to) => a href=(to) { (printable(value)) },
                None => span.none { "–" },
            }
        }
    };
    let text = |text: Option<&str>| {
        text.map_or_else(|| html! { span.none { "–" } }, |text| html! { (printable(text)) })
    };
    let tags: Vec<String> = who.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    facts(&[
        ("Time", show::time(&row.time())),
        ("Outcome", html! { (outcome(record)) @if let Some(status) = record.status { " HTTP " (status) } }),
        ("Refused by", text(record.refused_by.as_deref())),
        ("Agent", link("agent", &who.agent)),
        ("Team", link("team", &who.team)),
        ("Feature", link("feature", &who.feature)),
        ("Environment", link("environment", &who.environment)),
        ("Run", link("run", who.run.as_deref().unwrap_or_default())),
        ("Tags", text(Some(tags.join(", ").as_str()).filter(|tags| !tags.is_empty()))),
        ("Said by", text(Some(head.attribution_source.name()))),
        ("Gateway", text(Some(&head.gateway))),
        ("Provider", link("provider", &head.provider)),
        ("Model asked for", text(head.request_model.as_deref())),
        ("Model that answered", text(head.response_model.as_deref())),
        ("Took", text(record.duration_ms.map(crate::model::text::duration).as_deref())),
        ("First byte after", text(record.first_byte_ms.map(crate::model::text::duration).as_deref())),
    ])
}

fn price(answer: &Explanation) -> Markup {
    let whose = match answer.cost_source {
        CostSource::Provider => "by the provider's own word",
        CostSource::Book => "by the price book",
    };
    let columns = vec![
        Column::text("priced_as").titled("priced as"),
        Column::text("kind"),
        Column::count("quantity"),
        Column::new("rate", Kind::Right).titled("rate $"),
        Column::text("discount").if_any(),
        Column::new("cost", Kind::Right).titled("cost $"),
    ];
    let line = |line: &ExplainedLine| -> Vec<Cell> {
        vec![
            line.model.clone().into(),
            line.kind.to_string().into(),
            line.quantity.into(),
            line.rate.to_string().into(),
            Cell::said(line.discount.clone()),
            line.cost_usd.to_string().into(),
        ]
    };
    let none = || Cell::Nothing;
    let total = vec!["sum".into(), none(), none(), none(), none(), answer.book_cost_usd.to_string().into()];
    let lines = Table::new(columns).with(answer.lines.iter().map(line)).total(total);
    html! {
        p { strong { "$" (answer.cost_usd) } ", " (whose) ", " (answer.cost_status.name()) "."
            @if let Some(said) = answer.provider_cost_usd { " The provider says $" (said) "." }
            @if answer.adjusted_cost_usd != answer.cost_usd { " With corrections $" (answer.adjusted_cost_usd) "." }
        }
        @for row in &answer.rows {
            p.note {
                "Row " code { (printable(&row.model)) } @if let Some(from) = &row.from { " from " (printable(from)) } ": " (printable(&row.why)) ". "
                @if let Some(source) = &row.source { "Source: " (printable(source)) @if let Some(checked) = &row.checked { ", read " (printable(checked)) } "." }
            }
        }
        (draw(&lines, &Look { title: "Lines of the price", empty: "There is no price for it.", ..Look::default() }))
        @for one in &answer.adjustments {
            p.note { "Corrected (" (one.reason.name()) ") " (show::time_or(one.made.as_deref(), "")) ": " (show::signed(one.amount_usd, 6)) " to " (show::dollars(one.cost_usd, 6)) "." }
        }
        @if let Some(today) = &answer.today {
            p.note { "By today's book " code { (printable(&today.price_version)) } ": $" (today.cost_usd) " (" (today.cost_status.name()) ")." }
        }
    }
}

/// Rows of a page.
const ROWS: &str = "100";

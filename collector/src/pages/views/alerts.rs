//! Alerts, anomalies with what explains them, and reviews.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;

use crate::api::extract::Segment;
use crate::model::anomaly::Kind;
use crate::model::answers::Page;
use crate::model::answers::alerts::{AlertRow, DeliveryState, ReviewRow};
use crate::model::answers::anomalies::AnomalyRow;
use crate::model::role::Role;
use crate::model::text::printable;
use crate::pages::ask::Refused;
use crate::pages::forms::{Sent, csrf_of};
use crate::pages::panels::{badge, card};
use crate::pages::query::{Query, address, escaped};
use crate::pages::show;
use crate::pages::tables::pager;
use crate::pages::visitor::Visitor;

/// `GET /alerts`.
pub(in crate::pages) async fn alerts(visitor: Visitor) -> Response {
    let body = all_alerts(&visitor).await;
    visitor.show("Alerts", body)
}

async fn all_alerts(visitor: &Visitor) -> Result<Markup, Refused> {
    let query = Query::new("/api/v1/alerts").with("limit", "50").and(&visitor.pairs);
    let page: Page<AlertRow> = visitor.api.get(&query).await?;
    let is_open = visitor.pair("state") == Some("open");
    Ok(html! {
        header.title { h1 { "Alerts" } p.asked { "what was decided, and whom it was told to" } }
        nav.period aria-label="State" {
            a href="/alerts" aria-current=[(!is_open).then_some("true")] { "All" }
            a href="/alerts?state=open" aria-current=[is_open.then_some("true")] { "Open" }
        }
        (card(visitor, "Alerts, the newest first", &query, html! {
            (alert_table(&page.rows))
            (pager("/alerts", &visitor.pairs, page.next_cursor.as_deref()))
        }))
    })
}

fn severity(row: &AlertRow) -> Markup {
    let class = match row.severity.as_str() {
        "critical" | "error" => "bad",
        "warning" => "warn",
        _ => "plain",
    };
    badge(class, &row.severity)
}

fn alert_table(rows: &[AlertRow]) -> Markup {
    if rows.is_empty() {
        return html! { p.empty { "No alert. Rules stand in " code { "[[alerts]]" } " of tollgate.toml." } };
    }
    html! {
        div.tablebox data-table {
            div.tools { @if rows.len() > 8 { input.filter type="search" hidden placeholder="Filter rows" aria-label="Filter alerts"; } }
            div.scroll tabindex="0" role="region" aria-label="Alerts" {
                table.data {
                    thead { tr { th scope="col" { "alert" } th scope="col" { "severity" } th scope="col" { "rule" } th scope="col" { "about" } th scope="col" { "since" } th scope="col" { "until" } th scope="col" { "told to" } } }
                    tbody {
                        @for row in rows {
                            tr {
                                th.long scope="row" { (printable(&row.title)) }
                                td { (severity(row)) }
                                td { (printable(&row.rule)) @if !row.threshold.is_empty() { " " (printable(&row.threshold)) } }
                                td { (printable(&row.scope)) }
                                td { (show::time_or(row.since.as_deref(), "–")) }
                                td { @match &row.resolved { Some(at) => (show::time(at)), None => (badge("warn", "open")) } }
                                td { (deliveries(row)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn deliveries(row: &AlertRow) -> Markup {
    html! {
        @if row.deliveries.is_empty() { span.none { "nobody" } }
        @for one in &row.deliveries {
            @let class = match one.state { DeliveryState::Delivered => "good", DeliveryState::Waiting => "warn", DeliveryState::GivenUp => "bad" };
            span title=[one.last_error.as_deref().map(printable)] { (badge(class, &format!("{} {}: {}", printable(&one.channel), one.event.name(), one.state.name().replace('_', " ")))) } " "
        }
    }
}

/// Alerts in few words.
pub(super) fn alert_lines(rows: &[AlertRow]) -> Markup {
    html! {
        @if !rows.is_empty() {
            ul.lines {
                @for row in rows { li { (severity(row)) " " a href="/alerts?state=open" { (printable(&row.title)) } span.note { (show::time_or(row.since.as_deref(), "")) } } }
            }
        }
    }
}

/// `GET /anomalies`.
pub(in crate::pages) async fn anomalies(visitor: Visitor) -> Response {
    let body = all_anomalies(&visitor).await;
    visitor.show("Anomalies", body)
}

async fn all_anomalies(visitor: &Visitor) -> Result<Markup, Refused> {
    let has_time = visitor.pair("since").is_some() || visitor.pair("from").is_some();
    let mut query = Query::new("/api/v1/anomalies").with("limit", "50").and(&visitor.pairs);
    if !has_time {
        query = query.with("since", "30d");
    }
    let page: Page<AnomalyRow> = visitor.api.get(&query).await?;
    let own = visitor.pair("since").unwrap_or("30d");
    Ok(html! {
        header.title { h1 { "Anomalies" } p.asked { "what agents did that they usually do not" } }
        nav.period aria-label="Time" {
            @for since in ["24h", "7d", "30d", "90d"] {
                a href=(address("/anomalies", &[("since".into(), since.into())])) aria-current=[(own == since).then_some("true")] { (since) }
            }
        }
        (card(visitor, "Anomalies, the newest first", &query, html! {
            (anomaly_lines(&page.rows))
            (pager("/anomalies", &visitor.pairs, page.next_cursor.as_deref()))
        }))
    })
}

/// Anomalies with what explains them.
pub(super) fn anomaly_lines(rows: &[AnomalyRow]) -> Markup {
    html! {
        @if rows.is_empty() { p.empty { "Nothing unusual was found in this time." } }
        ul.lines {
            @for row in rows {
                li {
                    div {
                        (badge(if row.ongoing { "bad" } else { "plain" }, if row.ongoing { "goes on" } else { "over" })) " "
                        a href=(records(row)) { (printable(&row.agent)) } ": " (what(row))
                    }
                    span.note { (show::time_or(row.start.as_deref(), "")) " to " (show::time_or(row.last.as_deref(), "")) }
                    @if !row.drivers.is_empty() {
                        ul.drivers { @for driver in &row.drivers {
                            li { (driver.percent) " % " (driver.dimension.replace('_', " ")) " " strong { (printable(&driver.value)) } }
                        } }
                    }
                }
            }
        }
    }
}

fn what(row: &AnomalyRow) -> String {
    let detail = printable(&row.detail);
    let (value, expected) = (row.value, row.expected);
    let text = match row.kind {
        Kind::Cost => format!("${value:.2} in {} minutes, usual ${expected:.2}", row.window_minutes),
        Kind::Errors => format!("{:.0} % of calls fail, usual {:.0} %", value * 100.0, expected * 100.0),
        Kind::Denied => {
            format!("{:.0} % of calls are refused, usual {:.0} %", value * 100.0, expected * 100.0)
        }
        Kind::InputTokens => format!("{value:.0} tokens a prompt, usual {expected:.0}"),
        Kind::OutputTokens => format!("{value:.0} tokens an answer, usual {expected:.0}"),
        Kind::CallsPerRun => format!("{value:.0} calls in one run, usual {expected:.0}"),
        Kind::RetryLoop => format!("the same request {value:.0} times"),
        Kind::NewModel => "calls a model that it never called".to_owned(),
        Kind::NewAgent => "an agent that nobody knew".to_owned(),
        #[allow(unreachable_patterns)] // of kinds that come later
        other => format!("{}: {value:.2}, usual {expected:.2}", other.name().replace('_', " ")),
    };
    if detail.is_empty() { text } else { format!("{text} ({detail})") }
}

fn records(row: &AnomalyRow) -> String {
    let mut pairs = vec![("agent".to_owned(), row.agent.clone())];
    pairs.extend(row.start.clone().map(|from| ("from".to_owned(), from)));
    pairs.extend(
        row.last.clone().map(|to| ("to".to_owned(), to)).filter(|(_, to)| Some(to) != row.start.as_ref()),
    );
    address("/records", &pairs)
}

/// `GET /reviews`.
pub(in crate::pages) async fn reviews(visitor: Visitor) -> Response {
    let body = all_reviews(&visitor).await;
    visitor.show("Reviews", body)
}

async fn all_reviews(visitor: &Visitor) -> Result<Markup, Refused> {
    let query = Query::new("/api/v1/reviews").with("limit", "50").and(&visitor.pairs);
    let page: Page<ReviewRow> = visitor.api.get(&query).await?;
    Ok(html! {
        header.title { h1 { "Reviews" } p.asked { "budgets that were passed and agents that are new, and who looks into them" } }
        (card(visitor, "Open ones first", &query, html! {
            @if page.rows.is_empty() { p.empty { "Nothing to review. A review is opened when a budget is passed, or an agent is new." } }
            @for row in &page.rows { (review(visitor, row)) }
            (pager("/reviews", &visitor.pairs, page.next_cursor.as_deref()))
        }))
    })
}

fn review(visitor: &Visitor, row: &ReviewRow) -> Markup {
    let about = row.agent.as_ref().map_or_else(
        || format!("/budgets/{}", escaped(&row.budget)),
        |agent| format!("/agents/{}", escaped(agent)),
    );
    html! {
        article.review {
            h3 { a href=(about) { (printable(&row.title)) } }
            p.note {
                (badge(if row.closed.is_some() { "plain" } else { "warn" }, if row.closed.is_some() { "closed" } else { "open" }))
                " opened " (show::time_or(row.opened.as_deref(), ""))
                @if !row.owner.is_empty() { ", " (printable(&row.owner)) " looks into it" }
                @if let Some(at) = &row.closed { ", closed " (show::time(at)) " by " (printable(row.closed_by.as_deref().unwrap_or("somebody"))) }
            }
            @if !row.note.is_empty() { p { (printable(&row.note)) } }
            @if visitor.may(Role::Write) {
                form.inline method="post" action={ "/reviews/" (row.id) } {
                    (csrf_of(visitor))
                    label { "Who " input name="owner" value=(row.owner) maxlength="200"; }
                    label { "Note " input name="note" value=(row.note) size="40" maxlength="1000"; }
                    label { input type="checkbox" name="closed" value="true" checked[row.closed.is_some()]; " closed" }
                    button type="submit" { "Keep" }
                }
            }
        }
    }
}

/// `POST /reviews/{id}`.
pub(in crate::pages) async fn change_review(Segment(id): Segment, sent: Sent) -> Response {
    let query = Query::new(format!("/api/v1/reviews/{}", escaped(&id)));
    let body = json!({
        "owner": sent.field("owner"), "note": sent.field("note"), "closed": sent.field("closed") == "true",
    });
    let done = sent.visitor.api.change::<ReviewRow>(Method::PUT, &query, body.to_string()).await;
    sent.then("/reviews", done.map(|row| format!("Kept: {}.", row.title)))
}

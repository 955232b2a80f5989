//! The registry of agents, and lists of models.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};
use tollgate_core::budget::scope::is_nobody;

use crate::api::extract::Segment;
use crate::model::answers::List;
use crate::model::answers::agents::{AgentChanged, AgentRow, AgentState, inventory};
use crate::model::answers::allow::{AllowRow, AllowTried, lists};
use crate::model::role::Role;
use crate::model::text::printable;
use crate::pages::ask::Refused;
use crate::pages::forms::{Sent, csrf_of};
use crate::pages::panels::{badge, card, card_of};
use crate::pages::query::{Query, escaped};
use crate::pages::show;
use crate::pages::tables::{Look, draw, moved};
use crate::pages::visitor::Visitor;

/// `GET /registry`.
pub(in crate::pages) async fn registry(visitor: Visitor) -> Response {
    let body = agents(&visitor).await;
    visitor.show("Registry", body)
}

async fn agents(visitor: &Visitor) -> Result<Markup, Refused> {
    let query = Query::new("/api/v1/agents").and(&visitor.pairs);
    let answer: List<AgentRow> = visitor.api.get(&query).await?;
    let own = visitor.pair("status").unwrap_or("all");
    let due: Vec<&AgentRow> = answer.rows.iter().filter(|row| is_open(row)).collect();
    Ok(html! {
        header.title { h1 { "Registry" } p.asked { "every agent, who answers for it, what it may call" } }
        nav.period aria-label="Status" {
            @for status in ["all", "proposed", "approved", "expired", "retired", "unregistered"] {
                a href={ "/registry?status=" (status) } aria-current=[(own == status).then_some("true")] { (status) }
            }
        }
        (card(visitor, "Agents", &query, draw(&moved(inventory(&answer.rows), "cost_usd", 1), &Look {
            title: "Agents", empty: "No agent is like that.", ..Look::default()
        })))
        @if !due.is_empty() {
            section.card {
                h2 { "Somebody should look at these" }
                @for row in due { (decide(visitor, row)) }
            }
        }
    })
}

/// Whether somebody is to decide something. What calls without a name are counted under is nobody.
fn is_open(row: &AgentRow) -> bool {
    let is_undecided =
        matches!(row.status, AgentState::Proposed | AgentState::Expired | AgentState::Unregistered);
    !is_nobody(&row.agent) && (row.is_review_due || is_undecided)
}

fn decide(visitor: &Visitor, row: &AgentRow) -> Markup {
    let may = visitor.may(Role::Write) && row.source.as_deref() != Some("file");
    html! {
        article.review id=(escaped(&row.agent)) {
            h3 { a href={ "/agents/" (escaped(&row.agent)) } { (printable(&row.agent)) } " " (badge("warn", row.status.name())) }
            p.note {
                (show::money(row.cost_usd)) " in 30 days, " (show::count(row.calls)) " calls"
                @if !row.teams_seen.is_empty() { ", for " (printable(&row.teams_seen.join(", "))) }
                @if row.is_review_due { ", its review is due" }
            }
            @if may {
                form.inline method="post" action={ "/registry/" (escaped(&row.agent)) } {
                    (csrf_of(visitor))
                    @let known = row.registered.as_ref();
                    label { "Team " input name="team" value=(known.map(|agent| agent.team.as_str()).unwrap_or_default()) maxlength="100"; }
                    label { "Owner " input name="owner" value=(known.map(|agent| agent.owner.as_str()).unwrap_or_default()) maxlength="200"; }
                    label { "Review on " input type="date" name="review" value=[known.and_then(|agent| agent.review)]; }
                    button type="submit" name="status" value="approved" { "Approve" }
                    button.quiet type="submit" name="status" value="retired" { "Retire" }
                }
            }
        }
    }
}

/// `POST /registry/{name}`.
pub(in crate::pages) async fn register(Segment(name): Segment, sent: Sent) -> Response {
    let done = registered(&sent, &name).await;
    sent.then("/registry", done)
}

async fn registered(sent: &Sent, name: &str) -> Result<String, Refused> {
    let query = Query::new(format!("/api/v1/agents/{}", escaped(name)));
    let row: AgentRow = sent.visitor.api.get(&query).await?;
    let mut agent = row.registered.map_or_else(|| json!({"name": name}), |agent| json!(agent));
    if let Some(members) = agent.as_object_mut() {
        for key in ["team", "owner", "status"] {
            members.insert(key.to_owned(), sent.field(key).into());
        }
        let review = sent.field("review");
        members.insert("review".to_owned(), if review.is_empty() { Value::Null } else { review.into() });
        if sent.field("status") == "approved" {
            // Whoever decides now is the one who approves.
            members.insert("approved_by".to_owned(), "".into());
        }
    }
    let done: AgentChanged = sent.visitor.api.change(Method::PUT, &query, agent.to_string()).await?;
    Ok(format!("Agent {} {}: {}.", done.agent, done.result.said(), sent.field("status")))
}

/// `GET /allow`.
pub(in crate::pages) async fn allow(visitor: Visitor) -> Response {
    let body = allowed(&visitor).await;
    visitor.show("Allow lists", body)
}

async fn allowed(visitor: &Visitor) -> Result<Markup, Refused> {
    let query = Query::new("/api/v1/allow");
    let answer: List<AllowRow> = visitor.api.get(&query).await?;
    let tried = match visitor.pair("name").filter(|name| !name.is_empty()) {
        None => None,
        Some(name) => {
            let since = visitor.pair("since").unwrap_or("30d");
            let query = Query::new("/api/v1/allow/try").with("name", name).with("since", since);
            Some((visitor.api.get::<AllowTried>(&query).await, query))
        }
    };
    Ok(html! {
        header.title { h1 { "Allow lists" } p.asked { "which models may be called, by whom" } }
        (card(visitor, "Lists", &query, draw(&lists(&answer.rows), &Look {
            title: "Lists", empty: "There is no list: every model may be called. Lists stand in [[allow]] of tollgate.toml, and in the models of registered agents.", ..Look::default()
        })))
        @if !answer.rows.is_empty() {
            form.card.inline method="get" action="/allow" {
                label { "What would " select name="name" { @for row in &answer.rows { option value=(row.name) selected[visitor.pair("name") == Some(&row.name)] { (printable(&row.name)) } } } }
                label { " have refused in the last " select name="since" { @for since in ["24h", "7d", "30d", "90d"] { option selected[visitor.pair("since").unwrap_or("30d") == since] { (since) } } } }
                button type="submit" { "Try it" }
            }
        }
        @if let Some((tried, query)) = tried {
            (card_of(visitor, "What it would have refused", &query, tried, |tried| html! {
                p { (show::count(tried.refused_calls)) " of " (show::count(tried.calls)) " calls, which cost " (show::money(tried.refused_usd)) "." }
                (draw(&tried.table(), &Look { title: "Refused", empty: "It would have refused no call of this time.", ..Look::default() }))
                ul.note { @for note in &tried.notes { li { (note) } } }
            }))
        }
    })
}

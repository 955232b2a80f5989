//! One agent: what it costs and why, its registry card, its prompts, its runs, its alerts.

use axum::response::Response;
use maud::{Markup, html};

use super::alerts::{alert_lines, anomaly_lines};
use super::spend;
use crate::api::extract::Segment;
use crate::model::answers::Page;
use crate::model::answers::agents::AgentRow;
use crate::model::answers::alerts::AlertRow;
use crate::model::answers::anomalies::AnomalyRow;
use crate::model::answers::budgets::Budgets;
use crate::model::answers::prompts::PromptsAnswer;
use crate::model::answers::runs::RunsAnswer;
use crate::model::dimension::Dimension;
use crate::pages::ask::Refused;
use crate::pages::asked::Asked;
use crate::pages::panels::{badge, card_of};
use crate::pages::query::{Query, escaped};
use crate::pages::show;
use crate::pages::tables::{Look, draw, facts, moved};
use crate::pages::visitor::Visitor;

/// `GET /agents/{name}`.
pub(in crate::pages) async fn one(visitor: Visitor, Segment(name): Segment) -> Response {
    let body = agent(&visitor, &name).await;
    visitor.show(&name, body)
}

// Long: one line for each question, and one for each card.
async fn agent(visitor: &Visitor, name: &str) -> Result<Markup, Refused> {
    let asked = Asked::of(visitor, "30d", &[]).only("agent", name);
    let own = |path: &str| asked.about(path);
    let card = Query::new(format!("/api/v1/agents/{}", escaped(name)));
    let prompts = own("/api/v1/prompts");
    let runs = own("/api/v1/runs").with("limit", "10");
    let anomalies =
        Query::new("/api/v1/anomalies").with("since", "30d").with("agent", name).with("limit", "10");
    let budgets = Query::new("/api/v1/budgets");
    let alerts = Query::new("/api/v1/alerts").with("limit", "500");
    let (parts, row, prompts_of, runs_of, anomalies_of, budgets_of, alerts_of) = tokio::join!(
        spend::parts(visitor, Dimension::Agent, name, &asked),
        visitor.api.get::<AgentRow>(&card),
        visitor.api.get::<PromptsAnswer>(&prompts),
        visitor.api.get::<RunsAnswer>(&runs),
        visitor.api.get::<Page<AnomalyRow>>(&anomalies),
        visitor.api.get::<Budgets>(&budgets),
        visitor.api.get::<Page<AlertRow>>(&alerts),
    );
    let about = format!("agent={name}");
    Ok(html! {
        (parts?)
        (card_of(visitor, "Registry", &card, row, |row| registered(&row)))
        (card_of(visitor, "Budgets that count its calls", &budgets, budgets_of, |budgets| {
            let rows: Vec<_> = budgets.rows.into_iter().filter(|row| counts(row, name)).collect();
            super::budgets::lines(&rows, 10)
        }))
        (card_of(visitor, "Anomalies of thirty days", &anomalies, anomalies_of, |page| anomaly_lines(&page.rows)))
        (card_of(visitor, "Alerts about it", &alerts, alerts_of, |page| {
            let rows: Vec<AlertRow> = page.rows.into_iter().filter(|row| row.scope.split([' ', ',']).any(|one| one == about)).take(10).collect();
            html! {
                @if rows.is_empty() { p.empty { "None of the latest 500 alerts is about it." } }
                (alert_lines(&rows))
            }
        }))
        (card_of(visitor, "What its prompts are made of", &prompts, prompts_of, |answer| html! {
            (draw(&answer.agents_table(), &Look { title: "Parts of prompts", export: Some(prompts.clone().with("table", "agents")), empty: "No prompt of this time was looked at.", without: &["agent"], ..Look::default() }))
            (draw(&answer.changes_table(), &Look { title: "Changes of prompts", export: Some(prompts.clone().with("table", "changes")), empty: "No system prompt and no tools changed in this time.", without: &["agent"], ..Look::default() }))
        }))
        (card_of(visitor, "Its dearest runs", &runs, runs_of, |answer| html! {
            (draw(&moved(answer.table(), "cost_usd", 2), &Look { title: "Runs", asked: Some(&asked), export: Some(runs.clone()), empty: "No call of this time names a run.", without: &["agent", "started", "first_input_tokens", "last_input_tokens"] }))
            p { a href=(asked.link_in_time("/runs")) { "All runs" } }
        }))
    })
}

/// Whether a budget may count calls of this agent: by its scope, or by a counter of its own.
fn counts(row: &crate::model::answers::budgets::BudgetRow, name: &str) -> bool {
    use tollgate_core::budget::scope::Dimension as Of;
    let asked = row.scope.values(&Of::Agent);
    let is_of = asked.is_empty() || asked.iter().any(|one| one == name);
    match (&row.each, &row.value) {
        (Some(Of::Agent), Some(value)) => value == name,
        _ => is_of,
    }
}

/// What is registered of an agent.
pub(super) fn registered(row: &AgentRow) -> Markup {
    let text = |text: &str| match text {
        "" => html! { span.none { "–" } },
        text => html! { (text) },
    };
    let Some(agent) = &row.registered else {
        return html! {
            p { (badge("warn", row.status.name())) " It calls, and nobody has registered it: " a href={ "/registry#" (escaped(&row.agent)) } { "see the registry" } "." }
        };
    };
    let day = |day: Option<crate::model::agent::Day>| {
        day.map_or_else(|| html! { span.none { "–" } }, |day| html! { (day) })
    };
    facts(&[
        ("Status", badge(if row.is_review_due { "warn" } else { "plain" }, row.status.name())),
        ("Team", text(&agent.team)),
        ("Owner", text(&agent.owner)),
        ("Function", text(&agent.function)),
        ("Environments", text(&agent.environments.join(", "))),
        ("Models allowed", text(&agent.models.join(", "))),
        ("Models seen", text(&row.models_seen.join(", "))),
        ("Approved by", text(&agent.approved_by)),
        ("Review", day(agent.review)),
        ("Expires", day(agent.expires)),
        ("First seen", show::time_or(row.first_seen.as_deref(), "not known")),
        ("Last seen", show::time_or(row.last_seen.as_deref(), "not in 30 days")),
        ("Planned a month", text(&row.planned_per_month_usd.map(show::money).unwrap_or_default())),
        ("First days, a day", text(&row.baseline_per_day_usd.map(show::money).unwrap_or_default())),
        ("Notes", text(&agent.notes)),
    ])
}

//! One budget: its counters, use over time, what gateways hold, refusals, and forms to change it.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::{action, gauge, outlook, window};
use super::{change, over_time};
use crate::api::extract::Segment;
use tollgate_core::budget::scope::Dimension as Scoped;

use crate::model::answers::allow::scope_text;
use crate::model::answers::budgets::{BudgetRow, Budgets};
use crate::model::answers::records::RecordsPage;
use crate::model::answers::summary::SummaryAnswer;
use crate::model::dimension::Dimension;
use crate::model::text::printable;
use crate::pages::ask::Refused;
use crate::pages::asked::Asked;
use crate::pages::panels::{badge, card, card_of, figure};
use crate::pages::query::{Query, address, escaped};
use crate::pages::show;
use crate::pages::tables::facts;
use crate::pages::views::{records, spend};
use crate::pages::visitor::Visitor;

/// `GET /budgets/{name}`.
pub(in crate::pages) async fn one(visitor: Visitor, Segment(name): Segment) -> Response {
    let body = budget(&visitor, &name).await;
    visitor.show(&name, body)
}

async fn budget(visitor: &Visitor, name: &str) -> Result<Markup, Refused> {
    let query = Query::new("/api/v1/budgets").with("budget", name);
    let definition = Query::new(format!("/api/v1/budgets/{}", escaped(name)));
    let defined: Value = visitor.api.get(&definition).await?;
    let answer: Budgets = visitor.api.get(&query).await?;
    let Some(first) = answer.rows.first() else {
        return Ok(
            html! { header.title { h1 { (printable(name)) } } p.empty { "Nothing is known of it yet." } },
        );
    };
    let (filters, are_exact) = filters(first);
    let mut spent = Query::new("/api/v1/summary").with("by", "day,agent").with("top", "6");
    spent = match &first.from {
        Some(from) if first.window != "prepaid" => spent.with("from", from.clone()),
        _ => spent.with("since", "30d"),
    };
    let spent = spent.and(&filters);
    let by_agent = visitor.api.get::<SummaryAnswer>(&spent).await;
    let used = match over_time::question(first, &filters).filter(|_| are_exact) {
        Some(query) => Some((visitor.api.get::<SummaryAnswer>(&query).await, query)),
        None => None,
    };
    let refusals = Query::new("/api/v1/records")
        .with("outcome", "denied")
        .with("since", "7d")
        .with("limit", "5")
        .and(&filters);
    let last = visitor.api.get::<RecordsPage>(&refusals).await;
    let refused = address(
        "/records",
        &[&filters[..], &[("since".into(), "7d".into()), ("outcome".into(), "denied".into())]].concat(),
    );
    Ok(html! {
        header.title {
            h1 { (printable(name)) }
            p.asked { (printable(&scope_text(&first.scope))) ", " (window(first)) ", from the " (if first.source == "file" { "configuration file" } else { "API" }) }
        }
        div data-live="budget" {
            @if let [row] = answer.rows.as_slice() { (figures(row, &refused)) }
            @else { (card(visitor, "Counters", &query, super::table(&answer.rows))) }
        }
        @if let Some((answer, query)) = used {
            (card_of(visitor, "Use over time", &query, answer, |answer| over_time::chart(first, &answer)))
        }
        (card_of(visitor, "What its calls cost by day and agent", &spent, by_agent, |answer| {
            html! { (nearest(&filters, are_exact)) (spend::chart("What its calls cost", &answer, "agent")) }
        }))
        (change::forms(visitor, name, &answer.rows, &defined))
        (card(visitor, "What gateways hold", &query, gateways(&answer.rows)))
        (card_of(visitor, "Refusals", &refusals, last, |page| html! {
            (nearest(&filters, are_exact))
            p { (show::count(answer.rows.iter().map(|row| i128::from(row.denied)).sum::<i128>())) " calls were refused in this window as each may cost more than is left." }
            @if page.rows.is_empty() { p.empty { "No call of its scope was refused by anything in seven days." } }
            @else { p.note { "The latest calls of its scope that were refused, by this budget or by something else:" } (records::rows(&page, &Asked::default())) }
            p { a href=(refused) { "All refused calls, and why" } }
        }))
        (card(visitor, "Definition", &definition, html! { pre tabindex="0" { (serde_json::to_string_pretty(&defined).unwrap_or_default()) } }))
    })
}

/// Filters of reports that come nearest to a budget's scope, and whether they find just the calls that it
/// counts: a budget also counts models by the names that an alias or a snapshot has, and calls that name no
/// environment under the one of the gateway.
fn filters(row: &BudgetRow) -> (Vec<(String, String)>, bool) {
    let (mut filters, mut are_exact) = (Vec::new(), true);
    for of in row.scope.dimensions() {
        let name = of.to_string();
        are_exact &= matches!(of, Scoped::Agent | Scoped::Team | Scoped::Feature | Scoped::Provider);
        for value in row.scope.values(of) {
            match !value.contains('*') && !value.starts_with('!') && Dimension::from_name(&name).is_some() {
                true => filters.push((name.clone(), value.clone())),
                false => are_exact = false,
            }
        }
    }
    (filters, are_exact)
}

/// What is said where reports cannot ask for just the calls of a budget.
fn nearest(filters: &[(String, String)], are_exact: bool) -> Markup {
    let named: Vec<String> = filters.iter().map(|(name, value)| format!("{name} {value}")).collect();
    html! {
        @if !are_exact {
            p.note {
                "Reports cannot ask for just the calls that this budget counts. These are "
                @if named.is_empty() { "all calls" } @else { "the calls of " (printable(&named.join(", "))) }
                "; what counts stands under Used."
            }
        }
    }
}

fn figures(row: &BudgetRow, refused: &str) -> Markup {
    let (class, word) = action(row.action);
    html! {
        section.card.gauge { (gauge(row)) }
        div.figures {
            (figure("Used", &html! { span data-exact=(row.used) { (show::quantity(row.used)) } }, &html! { (row.percent) " % of " span data-exact=(row.limit) { (show::quantity(row.limit)) } }, None))
            (figure("Left", &html! { (show::quantity(row.remaining)) }, &outlook(row), None))
            (figure("Held", &html! { (show::quantity(row.held)) }, &html! { "by " (show::count(row.in_flight)) " calls under way" }, None))
            (figure("A day", &html! { (show::quantity(row.burn_per_day)) }, &html! { "at the pace of this window" }, None))
            (figure("Refused", &html! { (show::count(row.denied)) }, &html! { a href=(refused) { "which, and why" } }, None))
        }
        section.card {
            h2 { "This window" }
            (facts(&[
                ("From", show::time_or(row.from.as_deref(), "–")),
                ("To", show::time_or(row.to.as_deref(), "no end")),
                ("What does not fit", badge(class, word)),
                ("Granted to gateways", html! { (show::quantity(row.granted)) }),
                ("Kept for calls of unknown cost", html! { (show::quantity(row.kept)) }),
                ("May be spent unseen", html! { (show::quantity(row.presumed)) }),
            ]))
            @if row.over_granted { p.message.problem { "More is granted than the limit, which was lowered since." } }
        }
    }
}

fn gateways(rows: &[BudgetRow]) -> Markup {
    let accounts: Vec<_> =
        rows.iter().flat_map(|row| row.gateways.iter().map(move |one| (row, one))).collect();
    if accounts.is_empty() {
        return html! { p.empty { "No gateway holds anything of it." } };
    }
    html! {
        div.tablebox data-table {
            div.scroll tabindex="0" role="region" aria-label="What gateways hold" {
                table.data {
                    thead { tr {
                        th scope="col" { "gateway" } th scope="col" { "run" } th scope="col" { "of" }
                        th.num scope="col" { "granted" } th.num scope="col" { "used" } th.num scope="col" { "held" }
                        th scope="col" { "last seen" } th scope="col" { "lease ends" } th scope="col" { "state" }
                    } }
                    tbody {
                        @for (row, one) in accounts {
                            tr {
                                th scope="row" { (printable(one.gateway.as_deref().unwrap_or("(none)"))) }
                                td { code { (printable(&one.instance)) } }
                                td { (printable(row.value.as_deref().unwrap_or_default())) }
                                td.num { (show::quantity(one.granted)) }
                                td.num { (show::quantity(one.used)) }
                                td.num { (show::quantity(one.held)) }
                                td { (show::time_or(one.last_seen.as_deref(), "–")) }
                                td { (show::time_or(one.lease_ends.as_deref(), "–")) }
                                td { @if one.live { (badge("good", "reports")) } @else { (badge("warn", "silent")) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

//! Budgets: how full they are, who holds what of them, and changes of them.

mod change;
mod one;
mod over_time;

use axum::response::Response;
use maud::{Markup, html};
use tollgate_core::budget::Action;

use crate::model::answers::allow::scope_text;
use crate::model::answers::budgets::{BudgetRow, Budgets};
use crate::model::text::printable;
use crate::pages::ask::Refused;
use crate::pages::charts::meter;
use crate::pages::panels::{badge, card};
use crate::pages::query::{Query, escaped};
use crate::pages::show;
use crate::pages::visitor::Visitor;

pub(in crate::pages) use change::{create, define, limit, top_up};
pub(in crate::pages) use one::one;

/// `GET /budgets`.
pub(in crate::pages) async fn list(visitor: Visitor) -> Response {
    let body = budgets(&visitor).await;
    visitor.show("Budgets", body)
}

async fn budgets(visitor: &Visitor) -> Result<Markup, Refused> {
    let pairs: Vec<_> = visitor.pairs.iter().filter(|(name, _)| name != "new").cloned().collect();
    let query = Query::new("/api/v1/budgets").and(&pairs);
    let answer: Budgets = visitor.api.get(&query).await?;
    let passed = answer.rows.iter().filter(|row| row.percent >= 100).count();
    let near = answer.rows.iter().filter(|row| (80..100).contains(&row.percent)).count();
    Ok(html! {
        header.title {
            h1 { "Budgets" }
            p.asked { (show::count(i128::try_from(answer.rows.len()).unwrap_or_default())) " counters, " (passed) " full, " (near) " above 80 %" }
        }
        div data-live="budgets" { (card(visitor, "All budgets", &query, table(&answer.rows))) }
        (change::new(visitor))
    })
}

/// The fullest first.
fn sorted(rows: &[BudgetRow]) -> Vec<&BudgetRow> {
    let mut sorted: Vec<&BudgetRow> = rows.iter().collect();
    sorted.sort_by(|one, other| other.percent.cmp(&one.percent).then_with(|| one.budget.cmp(&other.budget)));
    sorted
}

/// Where a budget's page is.
fn address_of(row: &BudgetRow) -> String {
    format!("/budgets/{}", escaped(&row.budget))
}

/// Name of the budget, with the value of its `each`.
fn name(row: &BudgetRow) -> Markup {
    html! {
        a href=(address_of(row)) { (printable(&row.budget)) }
        @if let Some(value) = row.value.as_ref().filter(|value| !value.is_empty()) {
            " " span.of { (printable(value)) }
        }
    }
}

fn state(row: &BudgetRow) -> &'static str {
    match row.percent {
        100.. => "full",
        80.. => "near",
        _ => "fine",
    }
}

fn gauge(row: &BudgetRow) -> Markup {
    meter(show::size(row.used), show::size(row.held), show::size(row.limit), state(row))
}

/// When it will be used up, in words.
fn outlook(row: &BudgetRow) -> Markup {
    html! {
        @match (&row.limit_reached, row.percent >= 100) {
            (_, true) => span.up { "used up" },
            (Some(at), _) => { span.up { "used up " (show::time(at)) } },
            (None, false) => "lasts",
        }
    }
}

/// Budgets in few words, the fullest first.
pub(super) fn lines(rows: &[BudgetRow], most: usize) -> Markup {
    html! {
        @if rows.is_empty() { p.empty { "No budget. " a href="/budgets" { "Make one" } "." } }
        ul.budgets {
            @for row in sorted(rows).into_iter().take(most) {
                li {
                    div.line {
                        span { (name(row)) }
                        span.num { strong { (show::quantity(row.used)) } " of " (show::quantity(row.limit)) ", " (row.percent) " %" }
                    }
                    (gauge(row))
                    div.line.note {
                        span { (window(row)) @if row.denied > 0 { ", " (show::count(row.denied)) " refused" } }
                        span { (outlook(row)) }
                    }
                }
            }
        }
        @if rows.len() > most { p { a href="/budgets" { "All " (rows.len()) } } }
    }
}

fn window(row: &BudgetRow) -> Markup {
    html! { (row.window) @if row.window != "prepaid" && row.time_zone != "UTC" { " (" (row.time_zone) ")" } }
}

const fn action(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Deny => ("plain", "refuses"),
        Action::Warn => ("warn", "warns"),
        Action::Shadow => ("warn", "shadow"),
    }
}

fn table(rows: &[BudgetRow]) -> Markup {
    if rows.is_empty() {
        return html! { p.empty { "There is no budget yet. Make one below, or write " code { "[[budgets]]" } " into tollgate.toml." } };
    }
    html! {
        div.tablebox data-table {
            div.tools {
                @if rows.len() > 8 { input.filter type="search" hidden placeholder="Filter rows" aria-label="Filter budgets"; }
            }
            div.scroll tabindex="0" role="region" aria-label="Budgets" {
                table.data {
                    thead { tr {
                        th scope="col" { "budget" } th scope="col" { "counts" } th scope="col" { "window" }
                        th.num scope="col" { "used" } th.num scope="col" { "limit" } th scope="col" { "full" }
                        th.num scope="col" { "%" } th.num scope="col" { "left" } th.num scope="col" { "held" }
                        th.num scope="col" { "refused" } th.num scope="col" { "a day" } th scope="col" { "outlook" }
                        th scope="col" { "action" }
                    } }
                    tbody {
                        @for row in sorted(rows) {
                            @let (class, word) = action(row.action);
                            tr {
                                th scope="row" { (name(row)) }
                                td { (printable(&scope_text(&row.scope))) }
                                td { (window(row)) }
                                td.num { (show::quantity(row.used)) }
                                td.num { (show::quantity(row.limit)) }
                                td { (gauge(row)) }
                                td.num { (row.percent) }
                                td.num { (show::quantity(row.remaining)) }
                                td.num { (show::quantity(row.held)) }
                                td.num { (show::count(row.denied)) }
                                td.num { (show::quantity(row.burn_per_day)) }
                                td { (outlook(row)) }
                                td { (badge(class, word)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

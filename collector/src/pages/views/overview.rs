//! The overview: what was spent, what changed and why, what needs somebody.

mod first;
mod quality;
mod today;

use axum::response::Response;
use maud::{Markup, html};
use tollgate_core::money::Picodollars;

use super::alerts::{alert_lines, anomaly_lines};
use super::budgets;
use super::compare::said;
use super::spend::{self, over_time};
use crate::model::answers::Page;
use crate::model::answers::alerts::AlertRow;
use crate::model::answers::anomalies::AnomalyRow;
use crate::model::answers::audit::Accounts;
use crate::model::answers::budgets::{BudgetRow, Budgets};
use crate::model::answers::compare::Comparison;
use crate::model::answers::summary::SummaryAnswer;
use crate::model::clock::now;
use crate::pages::ask::Refused;
use crate::pages::asked::Asked;
use crate::pages::frame;
use crate::pages::panels::{card, card_of, figure};
use crate::pages::query::Query;
use crate::pages::show;
use crate::pages::visitor::Visitor;
use today::Today;

/// `GET /`.
pub(in crate::pages) async fn show(visitor: Visitor) -> Response {
    let body = overview(&visitor).await;
    visitor.show("Overview", body)
}

/// What is asked for the overview.
struct Asking {
    period: Query,
    month: Query,
    hours: Query,
    teams: Query,
    agents: Query,
    changes: Query,
    budgets: Query,
    alerts: Query,
    anomalies: Query,
    unattributed: Query,
    environments: Query,
}

impl Asking {
    fn of(asked: &Asked) -> Self {
        let utc = now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
        let month = format!("{:04}-{:02}", utc.year(), utc.month());
        let week_ago = utc.checked_sub(jiff::Span::new().days(7)).unwrap_or(utc);
        let summary = || Query::new("/api/v1/summary");
        let by = |by: &str| {
            summary().with("by", by).with("compare", "previous").with("trend", "true").with("top", "8")
        };
        Self {
            period: asked.about("/api/v1/summary").with("compare", "previous"),
            month: summary().with("month", month).and(&asked.filters),
            hours: summary().with("by", "hour").with("from", week_ago.to_string()).and(&asked.filters),
            teams: by("team").and(&asked.period).and(&asked.filters),
            agents: by("agent").and(&asked.period).and(&asked.filters),
            changes: asked.about("/api/v1/compare"),
            budgets: Query::new("/api/v1/budgets"),
            alerts: Query::new("/api/v1/alerts").with("state", "open").with("limit", "6"),
            anomalies: Query::new("/api/v1/anomalies").with("since", "7d").with("limit", "6"),
            unattributed: summary().with("unattributed", "true").and(&asked.period).and(&asked.filters),
            environments: summary().with("by", "environment").and(&asked.period).and(&asked.filters),
        }
    }
}

// Long: one line for each question, and one for each card.
async fn overview(visitor: &Visitor) -> Result<Markup, Refused> {
    let asked = Asked::of(visitor, "30d", &[]);
    let ask = Asking::of(&asked);
    let api = &visitor.api;
    let days = over_time(&asked, "team");
    let (
        period,
        month,
        hours,
        teams,
        agents,
        chart,
        changes,
        budgets,
        alerts,
        anomalies,
        unattributed,
        environments,
    ) = tokio::join!(
        api.get::<SummaryAnswer>(&ask.period),
        api.get::<SummaryAnswer>(&ask.month),
        api.get::<SummaryAnswer>(&ask.hours),
        api.get::<SummaryAnswer>(&ask.teams),
        api.get::<SummaryAnswer>(&ask.agents),
        api.get::<SummaryAnswer>(&days),
        api.get::<Comparison>(&ask.changes),
        api.get::<Budgets>(&ask.budgets),
        api.get::<Page<AlertRow>>(&ask.alerts),
        api.get::<Page<AnomalyRow>>(&ask.anomalies),
        api.get::<SummaryAnswer>(&ask.unattributed),
        api.get::<SummaryAnswer>(&ask.environments),
    );
    let (period, month, today) = (period?, month?, Today::of(&hours?));
    // All accounts take longer than the rest: they are asked for only where nothing is found.
    if period.total.numbers.calls == 0 && period.total.numbers.denied == 0 {
        let accounts: Accounts = api.get(&Query::new("/api/v1/accounts")).await?;
        if accounts.received == 0 && accounts.summarised == 0 {
            return Ok(first::page(visitor));
        }
    }
    let rows = budgets.as_ref().map(|budgets| budgets.rows.as_slice()).unwrap_or_default();
    let has_alerts = alerts.as_ref().is_ok_and(|alerts| !alerts.rows.is_empty());
    Ok(html! {
        (frame::head(visitor, "Overview", &asked, &[]))
        div data-live="figures" {
            (figures(&asked, &period, &month, &today, rows))
        }
        div.grid {
            div.wide {
                (card_of(visitor, "Spend over time by team", &days, chart, |answer| {
                    spend::chart("Spend over time by team", &answer, "team")
                }))
            }
            (card_of(visitor, "What changed most, and why", &ask.changes, changes, |answer| said(&answer, &asked)))
            div data-live="budgets" {
                (card_of(visitor, "Budgets", &ask.budgets, budgets, |budgets| budgets::lines(&budgets.rows, 6)))
            }
            (card(visitor, "Today, beside the seven days before", &ask.hours, today::chart(&today)))
            div data-live="alerts" {
                section.card {
                    h2 { (if has_alerts { "Open alerts and anomalies" } else { "Anomalies of seven days" }) }
                    @if let Ok(alerts) = &alerts { (alert_lines(&alerts.rows)) }
                    @if let Ok(anomalies) = &anomalies { (anomaly_lines(&anomalies.rows)) }
                    (crate::pages::panels::source(visitor, &ask.anomalies))
                }
            }
            div.wide {
                (card_of(visitor, "By team", &ask.teams, teams, |answer| spend::brief("By team", &answer, &asked, &ask.teams)))
            }
            div.wide {
                (card_of(visitor, "By agent", &ask.agents, agents, |answer| spend::brief("By agent", &answer, &asked, &ask.agents)))
            }
            div.wide {
                (card_of(visitor, "How far these numbers can be trusted", &ask.environments, environments, |environments| {
                    quality::table(&asked, &period, unattributed.ok().as_ref(), &environments)
                }))
            }
        }
    })
}

fn figures(
    asked: &Asked,
    period: &SummaryAnswer,
    month: &SummaryAnswer,
    today: &Today,
    budgets: &[BudgetRow],
) -> Markup {
    let spent = |answer: &SummaryAnswer| {
        let amount = answer.total.numbers.cost_usd;
        html! { span data-exact=(amount) { (show::money(amount)) } }
    };
    let total = &period.total;
    let in_month = asked.only_period("month", month.from.get(..7).unwrap_or_default());
    let whole = budgets.iter().find(|row| row.window == "month" && row.scope.dimensions().next().is_none());
    html! {
        div.figures {
            (figure("This month to date", &spent(month), &html! {
                "about " strong { (show::money(today.forecast(month.total.numbers.cost_usd))) }
                " at its end, at the pace of seven days"
                @if let Some(row) = whole { ", of a limit of " a href="/budgets" { (show::quantity(row.limit)) } }
            }, Some(&in_month.records())))
            (figure("Today so far", &html! { (show::money(today.so_far)) }, &today.beside_usual(), None))
            (figure(&sentence(&asked.words()), &spent(period), &html! {
                @match (total.derived.change_percent, total.derived.previous_cost_usd) {
                    (Some(change), Some(before)) => {
                        span.{ (if change.units() > 0 { "up" } else { "down" }) } { (show::change(change)) }
                        " against the time before (" (show::money(before)) ")"
                    }
                    _ => "nothing to compare with before it",
                }
            }, Some(&asked.records())))
            (figure("Calls", &html! { span data-exact=(total.numbers.calls) { (show::count(total.numbers.calls)) } }, &html! {
                @if let Some(each) = total.derived.cost_per_call_usd { (show::money(each)) " each, " }
                (total.derived.error_percent.map(show::percent).unwrap_or_default()) " failed"
            }, Some(&asked.records())))
            (figure("Refused calls", &html! { span data-exact=(total.numbers.denied) { (show::count(total.numbers.denied)) } }, &html! {
                @if total.numbers.denied > 0 { a href=(asked.only("outcome", "denied").records()) { "which, and why" } }
                @else { "no call was refused" }
            }, None))
        }
    }
}

/// With a capital at its start.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Adds up.
fn sum(amounts: impl Iterator<Item = Picodollars>) -> Picodollars {
    amounts.fold(Picodollars::ZERO, |sum, amount| sum + amount)
}

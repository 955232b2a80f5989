//! Who spent what: a page for all teams, agents, models and so on, and one for each of them.

use axum::response::Response;
use maud::{Markup, html};
use tollgate_core::money::Picodollars;

use super::statements;
use crate::api::extract::Segment;
use crate::model::answers::summary::tables::{self as summary_tables, OTHERS};
use crate::model::answers::summary::{By, SummaryAnswer};
use crate::model::dimension::Dimension;
use crate::model::table::{Cell, Kind, Table};
use crate::pages::ask::Refused;
use crate::pages::asked::Asked;
use crate::pages::charts::{Series, columns};
use crate::pages::frame;
use crate::pages::panels::{card, card_of, figure, hint};
use crate::pages::query::{Query, address};
use crate::pages::show;
use crate::pages::tables::{Look, draw};
use crate::pages::visitor::Visitor;

/// A page of all values of a dimension, and one for each value.
macro_rules! pages {
    ($(($all:ident, $one:ident, $dimension:expr)),*) => {
        $(
            pub(in crate::pages) async fn $all(visitor: Visitor) -> Response {
                let body = list(&visitor, $dimension).await;
                visitor.show(plural($dimension), body)
            }

            pub(in crate::pages) async fn $one(visitor: Visitor, Segment(name): Segment) -> Response {
                let body = one(&visitor, $dimension, &name).await;
                visitor.show(&name, body)
            }
        )*
    };
}

pages! {
    (teams, team, Dimension::Team),
    (features, feature, Dimension::Feature),
    (models, model, Dimension::Model),
    (environments, environment, Dimension::Environment),
    (providers, provider, Dimension::Provider)
}

/// `GET /agents`.
pub(in crate::pages) async fn agents(visitor: Visitor) -> Response {
    let body = list(&visitor, Dimension::Agent).await;
    visitor.show("Agents", body)
}

const fn plural(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Agent => "Agents",
        Dimension::Team => "Teams",
        Dimension::Feature => "Features",
        Dimension::Model => "Models",
        Dimension::Environment => "Environments",
        _ => "Providers",
    }
}

/// What one of a dimension is told apart by on its page, the most telling first.
const fn within(dimension: Dimension) -> [&'static str; 3] {
    match dimension {
        Dimension::Agent => ["model", "feature", "environment"],
        Dimension::Team => ["agent", "model", "feature"],
        Dimension::Feature => ["agent", "model", "environment"],
        Dimension::Model => ["agent", "team", "feature"],
        Dimension::Environment => ["team", "agent", "model"],
        _ => ["model", "team", "agent"],
    }
}

async fn list(visitor: &Visitor, dimension: Dimension) -> Result<Markup, Refused> {
    let asked = Asked::of(visitor, "30d", &[]);
    let name = dimension.name();
    let query =
        asked.about("/api/v1/summary").with("by", name).with("compare", "previous").with("trend", "true");
    let query = query.with("top", ROWS);
    let days = over_time(&asked, name);
    let (answer, chart_of) =
        tokio::join!(visitor.api.get::<SummaryAnswer>(&query), visitor.api.get::<SummaryAnswer>(&days));
    let answer = answer?;
    let title = plural(dimension);
    Ok(html! {
        (frame::head(visitor, title, &asked, &[]))
        (numbers(&asked, &answer))
        (card_of(visitor, "Over time", &days, chart_of, |days| chart(&format!("{title} over time"), &days, name)))
        (card(visitor, title, &query, table(title, &answer, &asked, &query)))
    })
}

async fn one(visitor: &Visitor, dimension: Dimension, name: &str) -> Result<Markup, Refused> {
    let asked = Asked::of(visitor, "30d", &[]).only(dimension.name(), name);
    let body = parts(visitor, dimension, name, &asked).await?;
    let statement = match dimension {
        Dimension::Team => Some(statements::of_team(visitor, name).await),
        _ => None,
    };
    Ok(html! { (body) @if let Some(statement) = statement { (statement) } })
}

/// Numbers, chart and tables of all calls that are asked for.
pub(super) async fn parts(
    visitor: &Visitor,
    dimension: Dimension,
    name: &str,
    asked: &Asked,
) -> Result<Markup, Refused> {
    let total = asked.about("/api/v1/summary").with("compare", "previous");
    let [first, second, third] = within(dimension);
    let by = |by: &str| {
        let query = asked.about("/api/v1/summary").with("by", by).with("compare", "previous");
        query.with("trend", "true").with("top", "25")
    };
    let (days, questions) = (over_time(asked, first), [by(first), by(second), by(third)]);
    let answer: SummaryAnswer = visitor.api.get(&total).await?;
    if let Some(text) = &answer.hint {
        return Ok(html! {
            (frame::head(visitor, name, asked, &[]))
            section.card { h2 { "Nothing in this time" } p.empty { (show::said(text)) } }
        });
    }
    let [one, two, three] = &questions;
    let (chart_of, one_of, two_of, three_of) = tokio::join!(
        visitor.api.get::<SummaryAnswer>(&days),
        visitor.api.get::<SummaryAnswer>(one),
        visitor.api.get::<SummaryAnswer>(two),
        visitor.api.get::<SummaryAnswer>(three),
    );
    let compare = asked.link_in_time("/compare");
    let compare =
        format!("{compare}{}{}", if compare.contains('?') { "&" } else { "?" }, pair(dimension, name));
    Ok(html! {
        (frame::head(visitor, name, asked, &[]))
        (numbers(asked, &answer))
        (card_of(visitor, &format!("Over time by {first}"), &days, chart_of, |days| {
            chart(&format!("{name} over time"), &days, first)
        }))
        p.leads { a href=(compare) { "What changed, and why" } " · " a href=(asked.records()) { "Calls one by one" } }
        @for ((by, query), answer) in [first, second, third].iter().zip(&questions).zip([one_of, two_of, three_of]) {
            (card_of(visitor, &format!("By {by}"), query, answer, |answer| {
                table(&format!("By {by}"), &answer, asked, query)
            }))
        }
    })
}

fn pair(dimension: Dimension, name: &str) -> String {
    let text = address("", &[(dimension.name().to_owned(), name.to_owned())]);
    text.trim_start_matches('?').to_owned()
}

/// The total of what is asked for.
pub(super) fn numbers(asked: &Asked, answer: &SummaryAnswer) -> Markup {
    let (numbers, derived) = (&answer.total.numbers, &answer.total.derived);
    let tokens = numbers.input_tokens.saturating_add(numbers.output_tokens);
    html! {
        div.figures {
            (figure("Spend", &html! { span data-exact=(numbers.cost_usd) { (show::money(numbers.cost_usd)) } }, &html! {
                @match (derived.change_percent, derived.previous_cost_usd) {
                    (Some(change), Some(before)) => {
                        span.{ (if change.units() > 0 { "up" } else { "down" }) } { (show::change(change)) }
                        " against " (show::money(before)) " before"
                    }
                    _ => "nothing to compare with before it",
                }
            }, Some(&asked.records())))
            (figure("Calls", &html! { span data-exact=(numbers.calls) { (show::count(numbers.calls)) } }, &html! {
                @if let Some(each) = derived.cost_per_call_usd { (show::money(each)) " each" }
            }, Some(&asked.records())))
            (figure("Tokens a call", &html! { (derived.tokens_per_call.map_or_else(|| "–".into(), |each| show::decimal(each.rounded(0)))) }, &html! {
                (show::short(tokens)) " in all, "
                (derived.cached_percent.map(show::percent).unwrap_or_default()) " of prompts cached"
            }, None))
            (figure("Failed", &html! { (derived.error_percent.map_or_else(|| "–".into(), show::percent)) }, &html! {
                (show::count(numbers.errors)) " calls"
            }, Some(&asked.only("outcome", "error").records())))
            (figure("Refused", &html! { (show::count(numbers.denied)) }, &html! { "calls that did not reach a provider" }, Some(&asked.only("outcome", "denied").records())))
        }
    }
}

/// A summary as a table.
pub(super) fn table(title: &str, answer: &SummaryAnswer, asked: &Asked, query: &Query) -> Markup {
    shown(title, answer, asked, query, &[])
}

/// The same with the numbers that are looked at first.
pub(super) fn brief(title: &str, answer: &SummaryAnswer, asked: &Asked, query: &Query) -> Markup {
    shown(title, answer, asked, query, &["unpriced", "estimated_cost_usd", "previous_cost_usd"])
}

fn shown(title: &str, answer: &SummaryAnswer, asked: &Asked, query: &Query, without: &[&str]) -> Markup {
    if answer.rows.is_empty() {
        return hint(answer.hint.as_ref());
    }
    let look = Look {
        title,
        asked: Some(asked),
        export: Some(query.clone()),
        empty: "Nothing was spent in this time.",
        without,
    };
    draw(&ordered(summary_tables::for_screen(answer, None)), &look)
}

/// Cost first and its pictures beside it; what is always there stays, even where it is nothing.
fn ordered(mut table: Table) -> Table {
    let place = |name: &str| COLUMNS.iter().position(|known| *known == name);
    let mut order: Vec<(usize, usize)> = table
        .columns
        .iter()
        .enumerate()
        .filter_map(|(at, column)| match (column.kind, place(&column.name)) {
            (Kind::Bar, _) => Some((place("bar")?, at)),
            (_, Some(place)) => Some((place.saturating_add(1), at)),
            (_, None) => (!LEFT_OUT.contains(&column.name.as_str())).then_some((0, at)),
        })
        .collect();
    order.sort_unstable();
    let permuted =
        |row: Vec<Cell>| order.iter().filter_map(|(_, at)| row.get(*at).cloned()).collect::<Vec<Cell>>();
    table.rows = std::mem::take(&mut table.rows).into_iter().map(permuted).collect();
    table.total = table.total.map(permuted);
    table.columns = order.iter().filter_map(|(_, at)| table.columns.get(*at).cloned()).collect();
    table
}

/// The question behind a chart: by hour for a short time, else by day.
pub(super) fn over_time(asked: &Asked, name: &str) -> Query {
    let is_short = asked.period.iter().any(|(key, value)| {
        key == "since" && (value.ends_with('h') || value.ends_with('m') || value == "1d" || value == "2d")
    });
    let unit = if is_short { "hour" } else { "day" };
    asked.about("/api/v1/summary").with("by", format!("{unit},{name}")).with("top", "6")
}

/// Cost over time as a chart.
pub(super) fn chart(title: &str, answer: &SummaryAnswer, name: &str) -> Markup {
    let Some(unit) = answer.by.iter().copied().find(|by| by.unit().is_some()) else {
        return Markup::default();
    };
    let by = By::asked(name);
    let mut labels: Vec<String> = Vec::new();
    let mut series: Vec<Series> = Vec::new();
    for row in &answer.rows {
        let label = row.keys.value(unit).unwrap_or_default().to_owned();
        if labels.last() != Some(&label) {
            labels.push(label);
        }
        let who = match (row.others, by.and_then(|by| row.keys.value(by))) {
            (Some(_), _) => OTHERS.to_owned(),
            (None, None | Some("")) => "(none)".to_owned(),
            (None, Some(name)) => name.to_owned(),
        };
        let at = series.iter().position(|one| one.name == who).unwrap_or_else(|| {
            series.push(Series { name: who, amounts: Vec::new() });
            series.len().saturating_sub(1)
        });
        if let Some(one) = series.get_mut(at) {
            one.amounts.resize(labels.len(), Picodollars::ZERO);
            if let Some(last) = one.amounts.last_mut() {
                *last += row.numbers.cost_usd;
            }
        }
    }
    let total =
        |one: &Series| one.amounts.iter().map(|amount| amount.as_pico()).fold(0_i128, i128::saturating_add);
    series.sort_by_key(|one| (one.name == OTHERS, std::cmp::Reverse(total(one))));
    let labels: Vec<String> = labels.iter().map(|label| short_label(label)).collect();
    match labels.is_empty() {
        true => hint(answer.hint.as_ref()),
        false => columns(title, "many", &labels, &series),
    }
}

/// `2026-11-30T14:00:00Z` as `11-30 14:00`.
fn short_label(label: &str) -> String {
    match (label.get(5..10), label.get(11..16)) {
        (Some(day), Some(hour)) => format!("{day} {hour}"),
        _ => label.to_owned(),
    }
}

/// Numbers in the order in which they are read.
const COLUMNS: [&str; 17] = [
    "cost_usd",
    "share_percent",
    "bar",
    "change_percent",
    "trend",
    "calls",
    "cost_per_call_usd",
    "tokens_per_call",
    "cached_percent",
    "error_percent",
    "denied",
    "unpriced",
    "estimated_cost_usd",
    "retried",
    "retried_usd",
    "saved_usd",
    "previous_cost_usd",
];
/// Numbers that have pages of their own.
const LEFT_OUT: [&str; 2] = ["input_tokens", "output_tokens"];
/// Most rows of a list.
const ROWS: &str = "500";

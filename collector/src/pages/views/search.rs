//! Finds what has a name: agents, teams, models, features, budgets, runs, records.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use crate::model::answers::budgets::Budgets;
use crate::model::answers::summary::{By, SummaryAnswer};
use crate::model::dimension::Dimension;
use crate::model::nearest::nearest;
use crate::model::text::printable;
use crate::pages::ask::Refused;
use crate::pages::query::{Query, escaped};
use crate::pages::tables::page_of;
use crate::pages::visitor::Visitor;

/// `GET /search`: goes to the only thing of that name, or lists what has the text in its name.
pub(in crate::pages) async fn show(visitor: Visitor) -> Response {
    let text = visitor.pair("q").unwrap_or_default().trim().to_owned();
    match find(&visitor, &text).await {
        Ok(found) => match exact(&found, &text) {
            Some(to) => Redirect::to(to).into_response(),
            None => visitor.show("Search", Ok(listed(&found, &text))),
        },
        Err(refused) => visitor.show("Search", Err(refused)),
    }
}

/// What was found: what it is, its name, its page.
struct Found {
    all: Vec<(&'static str, String, String)>,
    near: Vec<String>,
}

async fn find(visitor: &Visitor, text: &str) -> Result<Found, Refused> {
    let mut found = Found { all: Vec::new(), near: Vec::new() };
    if text.is_empty() {
        return Ok(found);
    }
    let (by_id, by_run) = (
        Query::new(format!("/api/v1/records/{}", escaped(text))),
        Query::new(format!("/api/v1/runs/{}", escaped(text))),
    );
    if visitor.api.text(&by_id).await.is_ok() {
        found.all.push(("record", text.to_owned(), format!("/records/{}", escaped(text))));
    }
    if visitor.api.text(&by_run).await.is_ok() {
        found.all.push(("run", text.to_owned(), format!("/runs/{}", escaped(text))));
    }
    let wanted = text.to_lowercase();
    let mut names: Vec<(&'static str, String)> = Vec::new();
    for dimension in DIMENSIONS {
        let query = Query::new("/api/v1/summary")
            .with("by", dimension.name())
            .with("since", "90d")
            .with("top", "5000");
        let answer: SummaryAnswer = visitor.api.get(&query).await?;
        let of = By::Dimension(dimension);
        names.extend(
            answer.rows.iter().filter_map(|row| Some((dimension.name(), row.keys.value(of)?.to_owned()))),
        );
    }
    let budgets: Budgets = visitor.api.get(&Query::new("/api/v1/budgets")).await?;
    names.extend(budgets.rows.into_iter().map(|row| ("budget", row.budget)));
    names.dedup();
    for (kind, name) in &names {
        if name.to_lowercase().contains(&wanted)
            && let Some(to) = page_of(kind, name, None)
        {
            found.all.push((kind, name.clone(), to));
        }
    }
    if found.all.is_empty() {
        found.near = nearest(text, names.iter().map(|(_, name)| name.as_str()))
            .map(str::to_owned)
            .into_iter()
            .collect();
    }
    Ok(found)
}

/// The only one of that very name.
fn exact<'f>(found: &'f Found, text: &str) -> Option<&'f str> {
    let mut same = found.all.iter().filter(|(_, name, _)| name == text);
    let (first, second) = (same.next(), same.next());
    match (first, second, found.all.as_slice()) {
        (Some((_, _, to)), None, _) | (None, None, [(_, _, to)]) => Some(to),
        _ => None,
    }
}

fn listed(found: &Found, text: &str) -> Markup {
    html! {
        header.title { h1 { "Search" } p.asked { "names of the last ninety days, budgets, runs and records" } }
        section.card {
            @if text.is_empty() { p.empty { "Write a name, or a part of one; a record and a run are found by their whole id." } }
            @else if found.all.is_empty() {
                p.empty { "Nothing has " strong { (printable(text)) } " in its name."
                    @for near in &found.near { " Maybe " a href={ "/search?q=" (escaped(near)) } { (printable(near)) } "?" }
                }
            }
            ul.lines { @for (kind, name, to) in found.all.iter().take(MOST) { li { span.kind { (kind) } " " a href=(to) { (printable(name)) } } } }
            @if found.all.len() > MOST { p.empty { "and " (found.all.len() - MOST) " more: write more of the name" } }
        }
    }
}

const DIMENSIONS: [Dimension; 6] = [
    Dimension::Agent,
    Dimension::Team,
    Dimension::Feature,
    Dimension::Model,
    Dimension::Environment,
    Dimension::Provider,
];
/// Most names of a list.
const MOST: usize = 100;

//! Runs: what users' actions cost, and one of them with all that it started, as a flame of cost.

use axum::response::Response;
use maud::{Markup, html};

use crate::api::extract::Segment;
use crate::model::answers::runs::{RunTree, RunTreeNode, RunsAnswer};
use crate::model::text::{duration, printable};
use crate::pages::ask::Refused;
use crate::pages::asked::Asked;
use crate::pages::charts::step;
use crate::pages::frame;
use crate::pages::panels::{badge, card, figure, hint};
use crate::pages::query::{Query, address, escaped};
use crate::pages::show;
use crate::pages::tables::{Look, draw, moved, page_of, pager};
use crate::pages::visitor::Visitor;

/// `GET /runs`.
pub(in crate::pages) async fn list(visitor: Visitor) -> Response {
    let body = runs(&visitor).await;
    visitor.show("Runs", body)
}

async fn runs(visitor: &Visitor) -> Result<Markup, Refused> {
    let own = ["cursor", "limit", "sort"];
    let asked = Asked::of(visitor, "24h", &own);
    let mut query = asked.about("/api/v1/runs").with("limit", visitor.pair("limit").unwrap_or("50"));
    for name in ["sort", "cursor"] {
        if let Some(value) = visitor.pair(name) {
            query = query.with(name, value);
        }
    }
    let answer: RunsAnswer = visitor.api.get(&query).await?;
    let sort = visitor.pair("sort").unwrap_or("cost");
    let by = |sort: &str| {
        let others = visitor.pairs.iter().filter(|(name, _)| name != "sort" && name != "cursor").cloned();
        address("/runs", &others.chain([("sort".to_owned(), sort.to_owned())]).collect::<Vec<_>>())
    };
    Ok(html! {
        (frame::head(visitor, "Runs", &asked, &["sort"]))
        (hint(answer.hint.as_ref()))
        (card(visitor, "What an action costs", &query.clone().with("table", "agents"), draw(&answer.agents_table(), &Look {
            title: "What an action costs at each agent",
            asked: Some(&asked),
            export: Some(query.clone().with("table", "agents")),
            empty: "No call of this time names a run.",
            without: &[],
        })))
        nav.period aria-label="Order" {
            span { "Order by" }
            @for name in ["cost", "calls", "duration", "depth", "start"] { a href=(by(name)) aria-current=[(name == sort).then_some("true")] { (name) } }
        }
        (card(visitor, &format!("Actions: {} in all", show::count(answer.actions)), &query, html! {
            (draw(&moved(answer.table(), "cost_usd", 2), &Look { title: "Actions", asked: Some(&asked), export: Some(query.clone()), empty: "No call of this time names a run.", without: &["started"] }))
            (pager("/runs", &visitor.pairs, answer.next_cursor.as_deref()))
        }))
    })
}

/// `GET /runs/{run}`.
pub(in crate::pages) async fn one(visitor: Visitor, Segment(run): Segment) -> Response {
    let body = tree(&visitor, &run).await;
    visitor.show(&run, body)
}

async fn tree(visitor: &Visitor, run: &str) -> Result<Markup, Refused> {
    let query = Query::new(format!("/api/v1/runs/{}", escaped(run)));
    let tree: RunTree = visitor.api.get(&query).await?;
    let top = tree.nodes.first();
    Ok(html! {
        header.title {
            h1 { "Run " (printable(run)) }
            @if !tree.started_by.is_empty() {
                p.asked { "started by " @for one in &tree.started_by { a href={ "/runs/" (escaped(one)) } { (printable(one)) } " " } }
            }
        }
        div.figures {
            (figure("Cost", &html! { span data-exact=(tree.cost_usd) { (show::money(tree.cost_usd)) } }, &html! { "with all that it started" }, None))
            (figure("Calls", &html! { (show::count(tree.calls)) }, &html! { "of " (tree.nodes.len()) " runs" }, None))
            (figure("Its own calls", &html! { (show::count(tree.nodes.first().map_or(0, |top| top.calls))) }, &html! { "one by one" }, Some(&calls_of(run))))
            @if let Some(top) = top {
                (figure("Began", &show::time_or(top.start.as_deref(), "–"), &html! { "its own calls took " (duration(top.duration_ms)) }, None))
            }
        }
        (card(visitor, "Where the cost is", &query, flame(&tree)))
    })
}

/// Each run as wide as what it and all that it started cost, below the one that started it.
fn flame(tree: &RunTree) -> Markup {
    let whole = tree.cost_usd.as_pico();
    let places = show::decimals(tree.cost_usd);
    let shown = tree.nodes.iter().take(MOST);
    let rows: Vec<(&RunTreeNode, i128)> = shown.zip(offsets(&tree.nodes)).collect();
    html! {
        div.scroll tabindex="0" role="region" aria-label="Runs of the tree" {
            table.data.flame {
                thead { tr { th scope="col" { "run" } th scope="col" { "part of the cost" } th.num scope="col" { "with all it started" } th.num scope="col" { "own" } th.num scope="col" { "calls" } th scope="col" { "agent and model" } th scope="col" { "went" } } }
                tbody {
                    @for (node, from) in rows {
                        tr {
                            th scope="row" { span.{ "l" (node.level.min(12)) } { a href={ "/runs/" (escaped(&node.run)) } { (printable(&node.run)) } } }
                            td { (step(from, from.saturating_add(node.tree_cost_usd.as_pico()), whole, COLOURS.get(usize::try_from(node.level).unwrap_or_default() % COLOURS.len()).copied().unwrap_or_default())) }
                            td.num { (show::dollars(node.tree_cost_usd, places)) }
                            td.num { (show::dollars(node.cost_usd, places)) }
                            td.num { a href=(calls_of(&node.run)) { (show::count(node.calls)) } @if node.denied > 0 { " + " (node.denied) " refused" } }
                            td { @for part in node.parts.iter().take(3) { div { (name("agent", &part.agent)) " " (name("model", &part.model)) } } }
                            td { (badge(if node.status.name() == "ok" { "good" } else { "warn" }, node.status.name())) }
                        }
                    }
                }
            }
        }
        @if tree.nodes.len() > MOST { p.empty { "The first " (MOST) " of " (tree.nodes.len()) " runs are shown; the query gives all." } }
    }
}

/// The calls of a run, one by one. A run is found whenever it was.
fn calls_of(run: &str) -> String {
    address("/records", &[("since".to_owned(), "365d".to_owned()), ("run".to_owned(), run.to_owned())])
}

fn name(of: &str, value: &str) -> Markup {
    html! { @if let Some(to) = page_of(of, value, None) { a href=(to) { (printable(value)) } } }
}

/// Where each run begins: behind the own cost of the one that started it, and behind its earlier siblings.
fn offsets(nodes: &[RunTreeNode]) -> Vec<i128> {
    // For each level, where the next run of it begins.
    let mut next: Vec<i128> = vec![0];
    nodes
        .iter()
        .map(|node| {
            let level = usize::try_from(node.level).unwrap_or(usize::MAX).min(next.len().saturating_sub(1));
            let from = next.get(level).copied().unwrap_or_default();
            next.truncate(level.saturating_add(1));
            if let Some(place) = next.get_mut(level) {
                *place = from.saturating_add(node.tree_cost_usd.as_pico());
            }
            next.push(from.saturating_add(node.cost_usd.as_pico()));
            from
        })
        .collect()
}

/// Most runs of a tree that a page shows.
const MOST: usize = 500;
const COLOURS: [&str; 4] = ["f0", "f1", "f2", "f3"];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_begins_behind_its_starter_and_its_earlier_siblings() {
        let node = |level: u64, own: &str, tree: &str| -> RunTreeNode {
            serde_json::from_value(json!({
                "run": "r", "level": level, "start": null, "duration_ms": 0, "status": "ok", "calls": 1, "denied": 0,
                "cost_usd": own, "tree_cost_usd": tree, "parts": [],
            }))
            .unwrap()
        };
        let nodes =
            [node(0, "1.0", "10.0"), node(1, "2.0", "5.0"), node(2, "3.0", "3.0"), node(1, "4.0", "4.0")];
        let dollars: Vec<i128> = offsets(&nodes).into_iter().map(|pico| pico / 1_000_000_000_000).collect();
        assert_eq!(dollars, [0, 1, 3, 6]);
    }
}

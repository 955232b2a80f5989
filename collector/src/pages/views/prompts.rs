//! What prompts are made of, what that costs, and when it changed.

use axum::response::Response;
use maud::{Markup, html};

use crate::model::answers::prompts::PromptsAnswer;
use crate::model::table::Table;
use crate::pages::ask::Refused;
use crate::pages::asked::Asked;
use crate::pages::frame;
use crate::pages::panels::{card, hint};
use crate::pages::show;
use crate::pages::tables::{Look, draw, moved};
use crate::pages::visitor::Visitor;

/// `GET /prompts`.
pub(in crate::pages) async fn show(visitor: Visitor) -> Response {
    let body = prompts(&visitor).await;
    visitor.show("Prompts", body)
}

async fn prompts(visitor: &Visitor) -> Result<Markup, Refused> {
    let asked = Asked::of(visitor, "30d", &[]);
    let query = asked.about("/api/v1/prompts");
    let answer: PromptsAnswer = visitor.api.get(&query).await?;
    let of = |table: &str| query.clone().with("table", table);
    let look = |title: &'static str, table: &str, empty: &'static str| Look {
        title,
        asked: Some(&asked),
        export: Some(of(table)),
        empty,
        without: &[],
    };
    Ok(html! {
        (frame::head(visitor, "Prompts", &asked, &[]))
        p.asked { "Kept are counts and keyed prints, never a text." }
        (hint(answer.hint.as_ref()))
        @if answer.calls_without_prints > 0 {
            p.note { (show::count(answer.calls_without_prints)) " calls of this time were not looked at: their gateways have no secret for prints, or they are known from totals only." }
        }
        (card(visitor, "System prompts, the dearest first", &query, draw(&system_prompts(&answer), &look("System prompts", "prompts", "No prompt of this time was looked at."))))
        (card(visitor, "What prompts are made of", &of("agents"), draw(&answer.agents_table(), &look("Parts of prompts", "agents", "No prompt of this time was looked at."))))
        (card(visitor, "When they changed", &of("changes"), draw(&answer.changes_table(), &look("Changes", "changes", "No system prompt and no tools changed in this time."))))
    })
}

/// What a month of each costs stands first.
fn system_prompts(answer: &PromptsAnswer) -> Table {
    let order = [
        ("system_month_usd", 1),
        ("calls", 2),
        ("system_tokens_per_call", 3),
        ("cached_percent", 4),
        ("missed_usd", 5),
    ];
    order.into_iter().fold(answer.table(), |table, (name, to)| moved(table, name, to))
}

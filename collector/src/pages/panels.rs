//! Parts that pages are made of: cards with the question behind them, figures, notes.

use maud::{Markup, html};

use super::ask::Refused;
use super::query::{Query, quoted};
use super::show;
use super::visitor::Visitor;

/// A card with a title, and below it how the same is asked elsewhere.
pub(super) fn card(visitor: &Visitor, title: &str, query: &Query, body: Markup) -> Markup {
    html! {
        section.card {
            h2 { (title) }
            (body)
            (source(visitor, query))
        }
    }
}

/// The same, of an answer that may be none.
pub(super) fn card_of<T>(
    visitor: &Visitor,
    title: &str,
    query: &Query,
    answer: Result<T, Refused>,
    draw: impl FnOnce(T) -> Markup,
) -> Markup {
    let body = match answer {
        Ok(answer) => draw(answer),
        Err(refused) => problem(&refused),
    };
    card(visitor, title, query, body)
}

/// What went wrong in a part of a page.
pub(super) fn problem(refused: &Refused) -> Markup {
    html! { p.message.problem { (show::said(&refused.message)) } }
}

/// How the numbers above are asked for with `curl` and on the command line.
pub(super) fn source(visitor: &Visitor, query: &Query) -> Markup {
    let address = format!("{}{}", visitor.base(), query.address());
    html! {
        details.source {
            summary { "Query" }
            pre tabindex="0" {
                "curl " (quoted(&address)) "\n"
                @if let Some(command) = query.command() { (command) "\n" }
            }
            a href=(query.address()) { "Open the answer" }
        }
    }
}

/// A figure at a glance.
pub(super) fn figure(name: &str, value: &Markup, note: &Markup, to: Option<&str>) -> Markup {
    html! {
        div.figure {
            h2 { (name) }
            p.value { @match to { Some(to) => a href=(to) { (value) }, None => (value) } }
            p.note { (note) }
        }
    }
}

/// A word that says how something is.
pub(super) fn badge(class: &str, word: &str) -> Markup {
    html! { span.badge.(class) { (word) } }
}

/// What an answer says where it has no rows.
pub(super) fn hint(hint: Option<&String>) -> Markup {
    html! { @if let Some(hint) = hint { p.empty { (show::said(hint)) } } }
}

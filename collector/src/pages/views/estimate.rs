//! What an agent will cost before it is launched: models side by side.
//!
//! The form asks this page by address, in numbers. Where the collector was built with the estimator, a script
//! takes the form over: it counts a prompt's text and prices it in the browser, with the same arithmetic.

use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::model::answers::plan::{Planned, SavedPlan, side_by_side};
use crate::model::clock::now_ms;
use crate::model::role::Role;
use crate::model::table::Table;
use crate::pages::ask::Refused;
use crate::pages::assets;
use crate::pages::estimate_file::{LIMITS, current_prices, readable};
use crate::pages::forms::{Sent, csrf_of};
use crate::pages::query::{Query, escaped};
use crate::pages::show;
use crate::pages::tables::{Look, draw};
use crate::pages::visitor::Visitor;

/// `GET /estimate`: with numbers in the address, so that a plan can be sent around; no prompt is part of it.
pub(in crate::pages) async fn show(visitor: Visitor) -> Response {
    let body = estimate(&visitor).await;
    visitor.show("Estimate", body)
}

/// `GET /estimate/prices`: the book as the estimator of this page takes it.
pub(in crate::pages) async fn prices(visitor: Visitor) -> Response {
    let book = visitor.site.app.prices.book();
    let made = tokio::task::spawn_blocking(move || current_prices(&book, now_ms())).await;
    match made {
        Ok(Some(json)) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        _ => (StatusCode::INSUFFICIENT_STORAGE, "the book has more prices than a page takes").into_response(),
    }
}

/// `POST /estimate/keep`: keeps a plan's numbers with an agent.
pub(in crate::pages) async fn keep(sent: Sent) -> Response {
    let done = kept(&sent).await;
    sent.then("/estimate", done)
}

async fn kept(sent: &Sent) -> Result<String, Refused> {
    let agent = sent.field("agent");
    let pairs: Vec<(String, String)> =
        FIELDS.iter().map(|name| ((*name).to_owned(), sent.field(name).to_owned())).collect();
    let query = Query::new(format!("/api/v1/plans/{}", escaped(agent)));
    let saved: SavedPlan = sent.visitor.api.change(Method::PUT, &query, plan(&pairs).to_string()).await?;
    Ok(format!(
        "The plan is kept with {}; tollgate estimate --check {} compares it later.",
        saved.agent, saved.agent
    ))
}

async fn estimate(visitor: &Visitor) -> Result<Markup, Refused> {
    let is_asked = visitor.pair("models").is_some();
    let answer = if is_asked { Some(priced(visitor).await) } else { None };
    let of = |name: &str| visitor.pair(name).map(str::to_owned);
    Ok(html! {
        header.title { h1 { "Estimate" } p.asked { "what an agent will cost, before it is launched" } }
        (form(&of))
        (state())
        div #answer tabindex="-1" aria-live="polite" {
            @match &answer {
                None => {},
                Some(Err(refused)) => p.message.problem role="alert" { (show::said(&refused.message)) },
                Some(Ok(planned)) => (shown(planned)),
            }
        }
        (keeping(visitor, answer.is_some_and(|answer| answer.is_ok())))
        section.card {
            h2 { "On the command line" }
            p { "A request counted and priced on your machine, with the most that the call can come to; and this page as one file, for people without a collector:" }
            pre tabindex="0" { "tollgate estimate --offline --provider openai request.json\ntollgate estimate --page estimate.html\n" }
        }
    })
}

/// The form, with these values where there are any.
pub(in crate::pages) fn form(of: &dyn Fn(&str) -> Option<String>) -> Markup {
    let or = |name: &str, otherwise: &str| of(name).unwrap_or_else(|| otherwise.to_owned());
    html! {
        form.card.stack.wide-form method="get" action="/estimate" data-estimate {
            label.wide data-with-estimator hidden {
                "Prompt: counted in this browser, sent nowhere"
                // Without a name, it is part of no address.
                textarea #prompt rows="7" spellcheck="false" placeholder="The text that each call begins with, or leave this empty and give the number of its tokens" {}
            }
            label { "Models, with commas between" input name="models" required value=(or("models", "gpt-4o,gpt-4o-mini,claude-sonnet-4-5")) maxlength="1000"; }
            label { "Tokens of a prompt" input name="prompt_tokens" type="number" min="0" required value=(or("prompt_tokens", "2000")); }
            label { "Tokens of an answer" input name="output_tokens" type="number" min="0" required value=(or("output_tokens", "300")); }
            label { "Calls" input name="calls" required value=(or("calls", "100000/month")) placeholder="100000/month" maxlength="40"; }
            label { "Part of prompts read from caches" input name="cache_share" value=(or("cache_share", "")) placeholder="0.8" inputmode="decimal" maxlength="10"; }
            label { "Calls of a conversation" input name="history_turns" type="number" min="1" value=(or("history_turns", "")); }
            label { "Tokens that a further question adds" input name="question_tokens" type="number" min="0" value=(or("question_tokens", "")); }
            button type="submit" { "Price it" }
        }
    }
}

/// What the script needs, and where it says how it goes; without the estimator, how to get it.
fn state() -> Markup {
    let modules = ["estimator", "o200k_base", "cl100k_base"].map(assets::module);
    let [Some(own), Some(o200k), Some(cl100k)] = modules else {
        return html! {
            p.note #estimator-state {
                "This collector was built without the estimator of pages, which counts a prompt's text in the browser. "
                code { "cargo xtask estimator" } ", and then a build of the collector, add it. Until then "
                code { "tollgate estimate --prompt FILE" } " counts texts."
            }
        };
    };
    let size = |name: &str| readable(assets::packed(&format!("{name}.wasm.gz")).map_or(0, <[u8]>::len));
    html! {
        p.note #estimator-state role="status" data-estimator=(own.join(" ")) data-prices="/estimate/prices"
            data-o200k_base=(o200k.join(" ")) data-size-o200k_base=(size("o200k_base"))
            data-cl100k_base=(cl100k.join(" ")) data-size-cl100k_base=(size("cl100k_base")) data-ready=(LIMITS) {}
        script src=(assets::estimate()) defer {}
    }
}

/// The form that keeps a plan; for those who may.
fn keeping(visitor: &Visitor, is_shown: bool) -> Markup {
    html! {
        @if visitor.may(Role::Write) {
            form.card.inline #keep method="post" action="/estimate/keep" hidden[!is_shown] {
                (csrf_of(visitor))
                @for name in FIELDS {
                    input type="hidden" name=(name) data-of=(name) value=(visitor.pair(name).unwrap_or_default());
                }
                label { "Keep these numbers with the proposal of the agent " input name="agent" required maxlength="200"; }
                button type="submit" { "Keep it" }
                span.note { "Numbers only; the prompt is not sent." }
            }
        } @else {
            p.note { a href="/sign-in?to=/estimate" { "Sign in" } " with a token that may write to keep a plan with an agent." }
        }
    }
}

async fn priced(visitor: &Visitor) -> Result<Planned, Refused> {
    let query = Query::new("/api/v1/estimate/plan");
    visitor.api.change(Method::POST, &query, plan(&visitor.pairs).to_string()).await
}

/// The API's plan of a form's fields.
fn plan(pairs: &[(String, String)]) -> Value {
    let of = |name: &str| {
        let pair = pairs.iter().find(|(key, _)| key == name);
        pair.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let mut plan = Map::new();
    let models = of("models").unwrap_or_default().split(',').map(str::trim).filter(|one| !one.is_empty());
    plan.insert("models".into(), models.map(Value::from).collect());
    for name in ["prompt_tokens", "output_tokens", "history_turns", "question_tokens"] {
        let Some(text) = of(name) else { continue };
        let number: Value = text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from);
        plan.insert(name.into(), number);
    }
    for name in ["calls", "cache_share"] {
        if let Some(text) = of(name) {
            plan.insert(name.into(), text.into());
        }
    }
    Value::Object(plan)
}

fn shown(planned: &Planned) -> Markup {
    let table: Table = side_by_side(planned);
    html! {
        section.card {
            h2 { "Side by side, the cheapest first" }
            (draw(&table, &Look { title: "Models side by side", empty: "No model was named.", ..Look::default() }))
            ul.note {
                li { "Prices of book " code { (planned.price_version) } "." }
                @for one in &planned.assumptions { li { (one) } }
                @for row in &planned.rows { @for note in &row.notes { li { (row.model) ": " (note) } } }
            }
        }
    }
}

/// The numbers of a plan.
const FIELDS: [&str; 7] =
    ["models", "prompt_tokens", "output_tokens", "calls", "cache_share", "history_turns", "question_tokens"];

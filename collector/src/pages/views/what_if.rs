//! What recorded calls would cost at another model.

use axum::response::Response;
use maud::{Markup, html};

use crate::model::answers::what_if::WhatIfAnswer;
use crate::model::text::printable;
use crate::pages::ask::Refused;
use crate::pages::asked::Asked;
use crate::pages::frame;
use crate::pages::panels::{card, figure, hint};
use crate::pages::show;
use crate::pages::tables::{Look, draw};
use crate::pages::visitor::Visitor;

/// `GET /what-if`.
pub(in crate::pages) async fn show(visitor: Visitor) -> Response {
    let body = what_if(&visitor).await;
    visitor.show("What if", body)
}

async fn what_if(visitor: &Visitor) -> Result<Markup, Refused> {
    let asked = Asked::of(visitor, "30d", &["to_model"]);
    let model = visitor.pair("to_model").filter(|model| !model.is_empty());
    let mut query = asked.about("/api/v1/what-if");
    if let Some(model) = model {
        query = query.with("to_model", model);
    }
    let answer: WhatIfAnswer = visitor.api.get(&query).await?;
    Ok(html! {
        (frame::head(visitor, "What if", &asked, &["to_model"]))
        form.inline method="get" action="/what-if" {
            @for (name, value) in visitor.pairs.iter().filter(|(name, _)| name != "to_model") { input type="hidden" name=(name) value=(value); }
            label { "Price these calls at " input name="to_model" value=[model] placeholder="each one's nearest smaller relative" size="32" maxlength="200"; }
            button type="submit" { "Price" }
        }
        (hint(answer.hint.as_ref()))
        div.figures {
            (figure("Now", &html! { (show::money(answer.cost_usd)) }, &html! { "what these calls cost" }, None))
            (figure("Would cost", &html! { (show::money(answer.would_cost_usd)) }, &html! { @match model { Some(model) => { "at " (printable(model)) } None => "at smaller relatives of their models" } }, None))
            (figure("Saves", &html! { (show::money(answer.saving_usd)) }, &html! { "in " (asked.words()) }, None))
        }
        (card(visitor, "By agent and model of now", &query, draw(&answer.table(), &Look {
            title: "What calls would cost",
            asked: Some(&asked),
            export: Some(query.clone()),
            empty: "No call of this time has a model with a cheaper relative.",
            without: &["input_tokens", "output_tokens"],
        })))
        section.card { h2 { "What these numbers take for granted" } ul { @for one in &answer.assumptions { li { (one) } } } }
    })
}

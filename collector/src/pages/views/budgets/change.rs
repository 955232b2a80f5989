//! Changes of budgets: more for this window, another limit, another definition, a new one.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::api::extract::Segment;
use crate::model::answers::budgets::{BudgetChange, BudgetChanged, BudgetRow, ToppedUp};
use crate::model::role::Role;
use crate::model::text::printable;
use crate::pages::ask::Refused;
use crate::pages::forms::{Sent, csrf_of};
use crate::pages::query::{Query, address, escaped};
use crate::pages::show;
use crate::pages::visitor::Visitor;

/// Forms for whoever may change a budget; for others, what is needed.
pub(super) fn forms(visitor: &Visitor, name: &str, rows: &[BudgetRow], defined: &Value) -> Markup {
    if !visitor.may(Role::Write) {
        return needs(visitor);
    }
    let path = format!("/budgets/{}", escaped(name));
    let values: Vec<&str> =
        rows.iter().filter_map(|row| row.value.as_deref()).filter(|value| !value.is_empty()).collect();
    let is_filed = rows.iter().any(|row| row.source == "file");
    let (key, limit) = limit_of(defined).unwrap_or(("limit_usd", String::new()));
    html! {
        div.grid {
            form.card.stack method="post" action={ (path) "/top-up" } {
                h2 { "Add to this window" }
                (csrf_of(visitor))
                label { "Amount" input name="amount" required placeholder="5.00" inputmode="decimal" maxlength="40"; }
                @if rows.iter().any(|row| row.each.is_some()) {
                    label { "Of" input name="value" list="values" required maxlength="200"; }
                    datalist #values { @for value in values { option value=(value) {} } }
                }
                p.hint { "Holds until the window ends. Below 0 takes back what was added." }
                button type="submit" { "Top up" }
            }
            @if is_filed {
                section.card { h2 { "Another limit" } p { "This budget stands in the configuration file: change it there, and the collector takes it within seconds." } }
            } @else {
                form.card.stack method="post" action={ (path) "/limit" } {
                    h2 { "Another limit" }
                    (csrf_of(visitor))
                    label { (key.replace("_usd", " in $").replace('_', " in ")) input name="limit" required value=(limit) inputmode="decimal" maxlength="40"; }
                    p.hint { "Holds from now on, in every window. Gateways have it within seconds." }
                    button type="submit" { "Change the limit" }
                }
                details.card {
                    summary { "Change all of the definition" }
                    form.stack method="post" action={ (path) "/define" } {
                        (csrf_of(visitor))
                        label for="definition" { "Keys of " code { "[[budgets]]" } ", as JSON" }
                        textarea #definition name="definition" rows="14" spellcheck="false" { (serde_json::to_string_pretty(defined).unwrap_or_default()) }
                        button type="submit" { "Change the budget" }
                    }
                }
            }
        }
    }
}

fn needs(visitor: &Visitor) -> Markup {
    html! {
        section.card {
            h2 { "Change it" }
            @match &visitor.who {
                Some((name, _)) => p { strong { (printable(name)) } " may read. Changing a budget needs the role " code { "write" } "." },
                None => p { a href=(address("/sign-in", &[("to".into(), visitor.path.clone())])) { "Sign in" } " with a token that may write, to top it up or change it." },
            }
        }
    }
}

/// A form for a budget that is not there yet.
pub(super) fn new(visitor: &Visitor) -> Markup {
    if !visitor.may(Role::Write) {
        return needs(visitor);
    }
    html! {
        details.card open[visitor.pair("new").is_some()] {
            summary { "New budget" }
            form.stack.wide-form method="post" action="/budgets" {
                (csrf_of(visitor))
                label { "Name" input name="name" required maxlength="64"; }
                label { "Limit in $" input name="limit_usd" required placeholder="250.00" inputmode="decimal" maxlength="40"; }
                label { "Window" select name="window" { @for window in ["month", "week", "day", "hour"] { option value=(window) { (window) } } } }
                label { "Only of team" input name="team" maxlength="200"; }
                label { "Only of agent" input name="agent" maxlength="200"; }
                label { "A counter for each" select name="each" { option value="" { "none: one for all" } @for each in ["agent", "team", "feature"] { option value=(each) { (each) } } } }
                label { "What does not fit" select name="action" { option value="shadow" { "goes on, is counted (shadow)" } option value="warn" { "goes on with a warning" } option value="deny" { "is refused" } } }
                button type="submit" { "Make it" }
            }
        }
    }
}

/// Key and value of the limit in a definition.
fn limit_of(defined: &Value) -> Option<(&'static str, String)> {
    LIMITS.into_iter().find_map(|key| {
        let value = defined.get(key)?;
        Some((key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    })
}

/// `POST /budgets/{name}/top-up`.
pub(in crate::pages) async fn top_up(Segment(name): Segment, sent: Sent) -> Response {
    let query = Query::new(format!("/api/v1/budgets/{}/top-up", escaped(&name)));
    let body = json!({"amount": sent.field("amount"), "value": sent.field("value")}).to_string();
    let done = sent.visitor.api.change::<ToppedUp>(Method::POST, &query, body).await;
    let done = done.map(|done| {
        format!("The limit of {} in this window is now {}.", done.budget, show::quantity(done.limit))
    });
    sent.then(&format!("/budgets/{}", escaped(&name)), done)
}

/// `POST /budgets/{name}/limit`.
pub(in crate::pages) async fn limit(Segment(name): Segment, sent: Sent) -> Response {
    let done = relimited(&sent, &name).await;
    sent.then(&format!("/budgets/{}", escaped(&name)), done)
}

async fn relimited(sent: &Sent, name: &str) -> Result<String, Refused> {
    let query = Query::new(format!("/api/v1/budgets/{}", escaped(name)));
    let mut defined: Map<String, Value> = sent.visitor.api.get(&query).await?;
    let key = LIMITS.into_iter().find(|key| defined.contains_key(*key)).unwrap_or("limit_usd");
    let text = sent.field("limit");
    let limit = match (key, text.parse::<u64>()) {
        ("limit_usd", _) | (_, Err(_)) => Value::from(text),
        (_, Ok(number)) => Value::from(number),
    };
    defined.insert(key.to_owned(), limit);
    put(sent, name, &Value::Object(defined)).await.map(|said| format!("{said} Its limit is {text}."))
}

/// `POST /budgets/{name}/define`.
pub(in crate::pages) async fn define(Segment(name): Segment, sent: Sent) -> Response {
    let done = match serde_json::from_str::<Value>(sent.field("definition")) {
        Ok(defined) => put(&sent, &name, &defined).await,
        Err(error) => {
            Err(Refused::new(axum::http::StatusCode::BAD_REQUEST, format!("that is not JSON: {error}")))
        }
    };
    sent.then(&format!("/budgets/{}", escaped(&name)), done)
}

/// `POST /budgets`.
pub(in crate::pages) async fn create(sent: Sent) -> Response {
    let name = sent.field("name").to_owned();
    let mut scope = Map::new();
    for of in ["team", "agent"] {
        if !sent.field(of).is_empty() {
            scope.insert(of.to_owned(), sent.field(of).into());
        }
    }
    let mut defined = json!({
        "limit_usd": sent.field("limit_usd"), "window": sent.field("window"), "action": sent.field("action"),
    });
    if let Some(members) = defined.as_object_mut() {
        if !scope.is_empty() {
            members.insert("scope".to_owned(), scope.into());
        }
        if !sent.field("each").is_empty() {
            members.insert("each".to_owned(), sent.field("each").into());
        }
    }
    let done = put(&sent, &name, &defined).await;
    let to = if done.is_ok() { format!("/budgets/{}", escaped(&name)) } else { "/budgets?new=1".to_owned() };
    sent.then(&to, done)
}

async fn put(sent: &Sent, name: &str, defined: &Value) -> Result<String, Refused> {
    let query = Query::new(format!("/api/v1/budgets/{}", escaped(name)));
    let done: BudgetChanged = sent.visitor.api.change(Method::PUT, &query, defined.to_string()).await?;
    let what = match done.result {
        BudgetChange::Created => "is new",
        BudgetChange::Changed => "has changed; what was spent stays",
        BudgetChange::CountsOtherwise => "counts otherwise now; its counters begin with what records say",
        BudgetChange::Same => "was so before",
        BudgetChange::Removed => "is gone",
    };
    Ok(format!("Budget {} {what}.", done.budget))
}

const LIMITS: [&str; 3] = ["limit_usd", "limit_tokens", "limit_calls"];

//! Two periods side by side: what changed, and what the change is made of.

use axum::response::Response;
use maud::{Markup, html};
use tollgate_core::money::Picodollars;

use crate::model::answers::compare::{Comparison, ComparisonRow, Difference, Status, tables};
use crate::model::answers::summary::By;
use crate::pages::ask::Refused;
use crate::pages::asked::Asked;
use crate::pages::charts::step;
use crate::pages::frame;
use crate::pages::panels::{card, figure, hint};
use crate::pages::query::address;
use crate::pages::show;
use crate::pages::tables::{Look, draw, page_of};
use crate::pages::visitor::Visitor;

/// `GET /compare`.
pub(in crate::pages) async fn show(visitor: Visitor) -> Response {
    let body = compare(&visitor).await;
    visitor.show("Compare", body)
}

async fn compare(visitor: &Visitor) -> Result<Markup, Refused> {
    let asked = Asked::of(visitor, "7d", &["by", "with", "top"]);
    let mut query = asked.about("/api/v1/compare");
    for name in ["by", "with", "top"] {
        if let Some(value) = visitor.pair(name).filter(|value| !value.is_empty()) {
            query = query.with(name, value);
        }
    }
    let answer: Comparison = visitor.api.get(&query).await?;
    let total = &answer.total;
    Ok(html! {
        (frame::head(visitor, "Compare", &asked, &["by", "with", "top"]))
        (choices(visitor, &answer))
        div.figures {
            (figure("Before", &html! { (show::money(total.before_usd)) }, &html! { (show::time(&answer.with.from)) " to " (show::time(&answer.with.to)) }, None))
            (figure("Now", &html! { (show::money(total.after_usd)) }, &html! { (show::time(&answer.from)) " to " (show::time(&answer.to)) @if answer.partial { ", not over yet" } }, Some(&asked.records())))
            (figure("Change", &html! { span.{ (class(total.change_usd)) } { (show::signed(total.change_usd, show::decimals(total.change_usd))) } }, &html! {
                @if let Some(change) = total.change_percent { (show::change(change)) ", " }
                @if let Some(explained) = answer.explained_percent { (show::percent(explained)) " of it in the rows below" }
            }, None))
        }
        (hint(answer.hint.as_ref()))
        div.grid {
            (card(visitor, "What the change is made of", &query, waterfall(total)))
            (card(visitor, "In words", &query, said(&answer, &asked)))
        }
        (card(visitor, &by_title(&answer), &query, draw(&tables::for_screen(&answer), &Look {
            title: "Changes",
            asked: Some(&asked),
            export: Some(query.clone()),
            empty: "Nothing changed.",
            without: &[],
        })))
    })
}

fn by_title(answer: &Comparison) -> String {
    let names: Vec<&str> = answer.by.iter().map(|by| by.name()).collect();
    match (names.is_empty(), answer.is_found) {
        (true, _) => "In all".to_owned(),
        (false, true) => format!("By {}, which explains most", names.join(" and ")),
        (false, false) => format!("By {}", names.join(" and ")),
    }
}

fn choices(visitor: &Visitor, answer: &Comparison) -> Markup {
    let with = |name: &str, value: &str| {
        let mut pairs: Vec<_> = visitor.pairs.iter().filter(|(key, _)| key != name).cloned().collect();
        if !value.is_empty() {
            pairs.push((name.to_owned(), value.to_owned()));
        }
        address(&visitor.path, &pairs)
    };
    let by: Vec<&str> = answer.by.iter().map(|by| by.name()).collect();
    let own = by.join(",");
    html! {
        nav.period aria-label="Told apart by" {
            span { "By" }
            a href=(with("by", "")) aria-current=[answer.is_found.then_some("true")] { "what explains most" }
            @for name in ["agent", "team", "model", "feature", "environment", "agent,model"] {
                a href=(with("by", name)) aria-current=[(!answer.is_found && own == name).then_some("true")] { (name) }
            }
            form.inline method="get" action="/compare" {
                @for (name, value) in visitor.pairs.iter().filter(|(name, _)| name != "with") { input type="hidden" name=(name) value=(value); }
                label { "Compared with " input name="with" value=[visitor.pair("with")] placeholder="the time before, 2026-10, or START..END" size="34" maxlength="80"; }
                button.quiet type="submit" { "Compare" }
            }
        }
    }
}

/// From the cost before to that of now, one step for each cause.
fn waterfall(total: &Difference) -> Markup {
    let mut steps = vec![("before", Picodollars::ZERO, total.before_usd, "whole")];
    let mut at = total.before_usd;
    for (name, amount) in total.parts.all() {
        if amount != Picodollars::ZERO {
            steps.push((name, at, at + amount, if amount.as_pico() > 0 { "more" } else { "less" }));
            at += amount;
        }
    }
    steps.push(("now", Picodollars::ZERO, total.after_usd, "whole"));
    let most =
        steps.iter().map(|(_, from, to, _)| from.as_pico().max(to.as_pico())).max().unwrap_or_default();
    let places = show::decimals(Picodollars::from_pico(most));
    let low = axis_start(&steps, most);
    let (from_low, height) = (|amount: Picodollars| amount.as_pico().saturating_sub(low).max(0), most - low);
    html! {
        @if low > 0 { p.note { "The bars begin at " (show::money(Picodollars::from_pico(low))) ", so that small steps are seen." } }
        div.scroll tabindex="0" role="region" aria-label="What the change is made of" {
            table.data.waterfall {
                thead { tr { th scope="col" { "cause" } th scope="col" { "from before to now" } th.num scope="col" { "amount" } } }
                tbody {
                    @for (name, from, to, class) in steps {
                        tr {
                            th scope="row" { (name) div.note { (means(name)) } }
                            td { (step(from_low(from), from_low(to), height, class)) }
                            td.num { @if class == "whole" { (show::dollars(to, places)) } @else { (show::signed(to - from, places)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Where bars begin: at nothing, or, where all steps are small beside the sums, a little below the lowest.
fn axis_start(steps: &[(&str, Picodollars, Picodollars, &str)], most: i128) -> i128 {
    let lowest = steps.iter().map(|(_, _, to, _)| to.as_pico()).min().unwrap_or_default();
    let span = most.saturating_sub(lowest);
    match lowest > most / 3 * 2 {
        true => lowest.saturating_sub(span.max(most / 1000)),
        false => 0,
    }
}

fn means(part: &str) -> &'static str {
    match part {
        "volume" => "more or fewer calls",
        "mix" => "other models, providers and service tiers",
        "input" => "longer or shorter prompts",
        "output" => "longer or shorter answers",
        "cache" => "another part read from caches",
        "price" => "other prices of the same tokens",
        "other" => "tools, pieces, time, and what providers say themselves",
        _ => "",
    }
}

/// The rows that changed most, in words.
pub(super) fn said(answer: &Comparison, asked: &Asked) -> Markup {
    let places = show::decimals(answer.total.change_usd);
    html! {
        @if answer.rows.is_empty() { p.empty { "Nothing changed." } }
        ul.changes {
            @for row in answer.rows.iter().take(6) {
                li {
                    span.amount.{ (class(row.difference.change_usd)) } { (show::signed(row.difference.change_usd, places)) }
                    div {
                        (names(answer, row, asked))
                        @match row.status {
                            Some(Status::New) => span.badge.warn { "new" },
                            Some(Status::Gone) => span.badge.plain { "gone" },
                            None => {},
                        }
                        @if let Some(said) = &row.said { p { (said) } }
                    }
                }
            }
        }
    }
}

fn names(answer: &Comparison, row: &ComparisonRow, asked: &Asked) -> Markup {
    let name = |by: &By| row.keys.value(*by).filter(|value| !value.is_empty());
    html! {
        @if let Some(others) = row.others { "(" (show::count(others)) " others)" }
        @else {
            @for (at, by) in answer.by.iter().enumerate() {
                @if at > 0 { ", " }
                @match name(by) {
                    Some(value) => {
                        @match page_of(by.name(), value, Some(asked)) {
                            Some(to) => a href=(to) { (value) },
                            None => (value),
                        }
                    }
                    None => span.none { "(no " (by.name()) ")" },
                }
            }
        }
    }
}

fn class(change: Picodollars) -> &'static str {
    match change.as_pico() {
        0 => "even",
        more if more > 0 => "up",
        _ => "down",
    }
}

//! Statements of a month, and bills beside what gateways saw.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use maud::{Markup, html};

use crate::model::answers::List;
use crate::model::answers::chargeback::{Chargeback, Statement};
use crate::model::answers::corrections::MonthRow;
use crate::model::answers::reconcile::Reconciliation;
use crate::model::clock::now;
use crate::model::table::Table;
use crate::model::text::printable;
use crate::pages::ask::Refused;
use crate::pages::forms::{Sent, csrf_of};
use crate::pages::panels::{badge, card, card_of, figure, problem};
use crate::pages::query::{Query, address};
use crate::pages::show;
use crate::pages::tables::{Look, draw, facts};
use crate::pages::visitor::Visitor;

/// `GET /statements`.
pub(in crate::pages) async fn show(visitor: Visitor) -> Response {
    let body = statements(&visitor).await;
    visitor.show("Statements", body)
}

async fn statements(visitor: &Visitor) -> Result<Markup, Refused> {
    let month = visitor.pair("month").map_or_else(this_month, str::to_owned);
    let payer = visitor.pair("payer").filter(|payer| !payer.is_empty());
    let all = Query::new("/api/v1/chargeback").with("month", month.clone());
    let query = payer.map_or_else(|| all.clone(), |payer| all.clone().with("team", payer));
    let mut nothing = None;
    let answer: Chargeback = match visitor.api.get(&query).await {
        // As on the first of a month: the other months are a click away.
        Err(refused) if payer.is_some() && refused.status == StatusCode::BAD_REQUEST => {
            nothing = Some(refused);
            visitor.api.get(&all).await?
        }
        answer => answer?,
    };
    let shown = if nothing.is_some() { &all } else { &query };
    let months: List<MonthRow> = visitor.api.get(&Query::new("/api/v1/months")).await?;
    let closed = months.rows.iter().map(|row| row.month.clone());
    let to = |month: &str| {
        let mut pairs = vec![("month".to_owned(), month.to_owned())];
        pairs.extend(payer.map(|payer| ("payer".to_owned(), payer.to_owned())));
        address("/statements", &pairs)
    };
    let mut choices: Vec<String> = (0..6).filter_map(months_ago).chain(closed).collect();
    choices.sort_unstable_by(|one, other| other.cmp(one));
    choices.dedup();
    Ok(html! {
        header.title {
            h1 { "Statements" @if let Some(payer) = payer { " of " (printable(payer)) } }
            p.asked { (answer.month) ", UTC " (state(&answer)) }
        }
        nav.period aria-label="Month" {
            @for one in &choices { a href=(to(one)) aria-current=[(*one == month).then_some("true")] { (one) } }
            @if payer.is_some() { a href=(address("/statements", &[("month".into(), month.clone())])) { "All payers" } }
        }
        div.figures {
            (figure("The month", &html! { span data-exact=(answer.total_usd) { (show::money(answer.total_usd)) } }, &html! { (show::count(answer.calls)) " calls" }, None))
            @if let (Some(_), [one]) = (payer, answer.statements.as_slice()) {
                (figure(&one.payer, &html! { (show::money(one.total_usd)) }, &html! { (show::money(one.own_usd)) " own, " (show::money(one.shared_usd)) " shared, " (show::money(one.corrections_usd)) " corrected" }, None))
            }
        }
        @if let Some(refused) = &nothing { (problem(refused)) }
        (card(visitor, "Who pays what", shown, html! {
            (draw(&answer.overview(), &Look { title: "Who pays what", export: Some(shown.clone()), empty: "Nobody pays anything in this month.", ..Look::default() }))
            ul.leads { @for one in &answer.statements { li { a href=(address("/statements", &[("month".into(), month.clone()), ("payer".into(), one.payer.clone())])) { "Statement of " (printable(&one.payer)) } } } }
        }))
        @if payer.is_some() && nothing.is_none() { @for one in &answer.statements { (lines(visitor, &query, &answer, one)) } }
    })
}

/// What a team is charged in this month, on its page.
pub(super) async fn of_team(visitor: &Visitor, name: &str) -> Markup {
    let month = this_month();
    let query = Query::new("/api/v1/chargeback").with("month", month.clone()).with("team", name);
    let answer = visitor.api.get::<Chargeback>(&query).await;
    let all = address("/statements", &[("month".into(), month.clone()), ("payer".into(), name.to_owned())]);
    let title = format!("Statement of {month}, so far");
    if answer.as_ref().is_err_and(|refused| refused.status == StatusCode::BAD_REQUEST) {
        let body =
            html! { p.empty { "It pays nothing in " (month) " yet." } p { a href=(all) { "Other months" } } };
        return card(visitor, &title, &query, body);
    }
    card_of(visitor, &title, &query, answer, |answer| {
        html! {
            @for one in &answer.statements {
                (facts(&[
                    ("Own calls", html! { (show::money(one.own_usd)) }),
                    ("Its part of what is shared", html! { (show::money(one.shared_usd)) }),
                    ("Corrections of closed months", html! { (show::money(one.corrections_usd)) }),
                    ("In all", html! { strong { (show::money(one.total_usd)) } }),
                ]))
            }
            p { a href=(all) { "Line by line, and other months" } }
        }
    })
}

fn state(answer: &Chargeback) -> Markup {
    html! {
        @match (&answer.closed_at, answer.partial) {
            (Some(at), _) => { (badge("good", "closed")) " " (show::time(at)) }
            (None, true) => (badge("warn", "not over")),
            (None, false) => (badge("plain", "open")),
        }
    }
}

fn lines(visitor: &Visitor, query: &Query, answer: &Chargeback, one: &Statement) -> Markup {
    let alone = Chargeback { statements: vec![one.clone()], ..answer.clone() };
    let table: Table = alone.lines();
    let without = ["month", "payer", "payer_kind"];
    card(
        visitor,
        &format!("Lines of {}", one.payer),
        query,
        draw(
            &table,
            &Look {
                title: "Lines",
                export: Some(query.clone()),
                empty: "There is no line.",
                without: &without,
                asked: None,
            },
        ),
    )
}

fn this_month() -> String {
    months_ago(0).unwrap_or_default()
}

fn months_ago(months: i32) -> Option<String> {
    let today = now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date().first_of_month();
    let day = today.checked_sub(jiff::Span::new().months(months)).ok()?;
    Some(format!("{:04}-{:02}", day.year(), day.month()))
}

/// `GET /reconcile`.
pub(in crate::pages) async fn reconcile(visitor: Visitor) -> Response {
    let body = Ok(form(&visitor));
    visitor.show("Reconciliation", body)
}

fn form(visitor: &Visitor) -> Markup {
    html! {
        header.title { h1 { "Reconciliation" } p.asked { "what bills say, beside what gateways saw" } }
        @if visitor.session.is_some() {
            form.card.stack method="post" action="/reconcile" {
                h2 { "A bill" }
                (csrf_of(visitor))
                label { "A file" input type="file" data-into="bill" accept=".csv,.json,.jsonl,.txt"; }
                label for="bill" { "Or its text: a cost export of a provider or a cloud, or FOCUS, as CSV or JSON" }
                textarea #bill name="bill" rows="10" required spellcheck="false" {}
                label { "Only of provider" input name="provider" maxlength="60"; }
                label { "Time zone of its days" input name="tz" placeholder="UTC" maxlength="60"; }
                p.hint { "Nothing is booked by this. Files of any length: " code { "tollgate reconcile FILE" } "." }
                button type="submit" { "Compare" }
            }
        } @else {
            section.card { p { a href="/sign-in?to=/reconcile" { "Sign in" } " to compare a bill here, or run:" } pre tabindex="0" { "tollgate reconcile bill.csv\n" } }
        }
    }
}

/// `POST /reconcile`: shows the gap; nothing is kept.
pub(in crate::pages) async fn compare(sent: Sent) -> Response {
    let body = compared(&sent).await;
    sent.visitor.show("Reconciliation", body)
}

async fn compared(sent: &Sent) -> Result<Markup, Refused> {
    let mut query = Query::new("/api/v1/reconcile");
    for name in ["provider", "tz"] {
        if !sent.field(name).is_empty() {
            query = query.with(name, sent.field(name));
        }
    }
    let bill = sent.field("bill").to_owned();
    let answer: Reconciliation = sent.visitor.api.change(Method::POST, &query, bill).await?;
    let look = |title| Look {
        title,
        empty: "The bill has no line of a provider that gateways meter.",
        ..Look::default()
    };
    Ok(html! {
        header.title { h1 { "Reconciliation" } p.asked { (show::count(answer.lines)) " lines read, days in " (answer.tz) } }
        section.card { h2 { "By provider" } (draw(&answer.totals_table(), &look("By provider"))) }
        section.card { h2 { "By day and model" } (draw(&answer.table(), &look("By day and model"))) }
        p { a href="/reconcile" { "Another bill" } }
    })
}

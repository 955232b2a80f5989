//! What the collector is and does: its audit trail, its gateways, its settings.

use axum::response::Response;
use maud::{Markup, html};

use crate::model::answers::audit::{Accounts, Trail, TrailEntry};
use crate::model::answers::budgets::{Budgets, GatewayAccount};
use crate::model::answers::gateways::GatewaysAnswer;
use crate::model::answers::summary::SummaryAnswer;
use crate::model::clock::rfc3339;
use crate::model::text::printable;
use crate::pages::ask::Refused;
use crate::pages::asked::Asked;
use crate::pages::frame::role_name;
use crate::pages::panels::{badge, card, card_of};
use crate::pages::query::{Query, address};
use crate::pages::show;
use crate::pages::tables::facts;
use crate::pages::views::spend;
use crate::pages::visitor::Visitor;

/// `GET /audit`.
pub(in crate::pages) async fn audit(visitor: Visitor) -> Response {
    let body = trail(&visitor).await;
    visitor.show("Audit", body)
}

/// The newest entries first: the API has the oldest first, so that a page is one that ends where it is asked.
async fn trail(visitor: &Visitor) -> Result<Markup, Refused> {
    let ask = |after: u64| {
        Query::new("/api/v1/audit").with("limit", PAGE.to_string()).with("cursor", after.to_string())
    };
    let before: Option<u64> = visitor.pair("before").and_then(|before| before.parse().ok());
    let end = match before {
        Some(before) => before.saturating_sub(1),
        None => {
            let first: Trail = visitor.api.get(&Query::new("/api/v1/audit").with("limit", "1")).await?;
            first.head.split(':').next().and_then(|seq| seq.parse().ok()).unwrap_or_default()
        }
    };
    let query = ask(end.saturating_sub(PAGE));
    let mut page: Trail = visitor.api.get(&query).await?;
    page.rows.retain(|entry| entry.seq <= end);
    page.rows.reverse();
    let accounts: Result<Accounts, Refused> = visitor.api.get(&Query::new("/api/v1/accounts")).await;
    Ok(html! {
        header.title { h1 { "Audit" } p.asked { "what was changed, and by whom; " code { (printable(&page.head)) } } }
        (card_of(visitor, "What became of every record", &Query::new("/api/v1/accounts"), accounts, |of| balance(&of)))
        (card(visitor, "The trail, the newest first", &query, html! {
            @if page.rows.is_empty() { p.empty { "Nothing was changed yet." } }
            @else { (entries(&page.rows)) }
            nav.pager aria-label="Pages" {
                @if before.is_some() { a href="/audit" { "First page" } }
                @if end > PAGE { a href=(address("/audit", &[("before".into(), end.saturating_sub(PAGE).saturating_add(1).to_string())])) rel="next" { "Older" } }
            }
        }))
    })
}

fn balance(of: &Accounts) -> Markup {
    let count = |count: u64| html! { (show::count(count)) };
    html! {
        p { @if of.balanced { (badge("good", "balanced")) " Every record that arrived is accounted for." } @else { (badge("bad", "not balanced")) " The sums do not agree: see " code { "tollgate audit" } "." } }
        (facts(&[
            ("Received", count(of.received)),
            ("Stored", count(of.stored)),
            ("Known before", count(of.duplicate)),
            ("In totals", count(of.folded)),
            ("Dropped", html! { (show::count(of.dropped.values().copied().fold(0, u64::saturating_add))) @for (reason, number) in &of.dropped { " " (reason) ": " (show::count(*number)) } }),
            ("Removed by age", count(of.expired)),
            ("Kept one by one", count(of.kept)),
        ]))
    }
}

fn entries(rows: &[TrailEntry]) -> Markup {
    html! {
        div.tablebox data-table {
            div.tools { input.filter type="search" hidden placeholder="Filter rows" aria-label="Filter entries"; }
            div.scroll tabindex="0" role="region" aria-label="Audit trail" {
                table.data {
                    thead { tr { th scope="col" { "no." } th scope="col" { "time" } th scope="col" { "who" } th scope="col" { "did" } th scope="col" { "to" } th scope="col" { "before and after" } } }
                    tbody {
                        @for entry in rows {
                            tr {
                                th scope="row" { (entry.seq) }
                                td { (show::time_or(entry.time.as_deref(), "–")) }
                                td { (printable(&entry.actor)) }
                                td { (printable(&entry.action)) }
                                td { (printable(&entry.subject)) }
                                td { details { summary { "Show" } pre tabindex="0" {
                                    "before " (printable(entry.before.as_ref().map_or("nothing", |raw| raw.get()))) "\n"
                                    "after  " (printable(entry.after.as_ref().map_or("nothing", |raw| raw.get()))) "\n"
                                } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// `GET /gateways`.
pub(in crate::pages) async fn gateways(visitor: Visitor) -> Response {
    let body = all_gateways(&visitor).await;
    visitor.show("Gateways", body)
}

async fn all_gateways(visitor: &Visitor) -> Result<Markup, Refused> {
    let asked = Asked::of(visitor, "24h", &[]);
    let query = asked.about("/api/v1/summary").with("by", "gateway").with("trend", "true");
    let budgets = Query::new("/api/v1/budgets");
    let seen = Query::new("/api/v1/gateways");
    let (answer, held, gateways) = tokio::join!(
        visitor.api.get::<SummaryAnswer>(&query),
        visitor.api.get::<Budgets>(&budgets),
        visitor.api.get::<GatewaysAnswer>(&seen)
    );
    Ok(html! {
        (crate::pages::frame::head(visitor, "Gateways", &asked, &[]))
        (card_of(visitor, "Last sync, and what they hold", &seen, gateways, |gateways| last_syncs(&gateways)))
        (card_of(visitor, "Calls by gateway", &query, answer, |answer| spend::table("By gateway", &answer, &asked, &query)))
        (card_of(visitor, "Leases: what they hold of budgets", &budgets, held, |held| leases(&held)))
    })
}

fn last_syncs(gateways: &GatewaysAnswer) -> Markup {
    let holds = |of: u64, all: u64| match (of, all) {
        (_, 0) => html! { span.none { "–" } },
        (of, all) if of == all => badge("good", "in force"),
        (of, all) => html! { (badge("warn", "older")) " on " (all.saturating_sub(of)) " of " (all) },
    };
    html! {
        @if gateways.rows.is_empty() { p.empty { "No gateway has reported yet. " code { "docs/operations.md" } " says how one is connected." } }
        @else {
            div.scroll tabindex="0" role="region" aria-label="Last sync" { table.data {
                thead { tr { th scope="col" { "gateway" } th scope="col" { "last sync" } th scope="col" { "state" } th.num scope="col" { "Envoys" } th scope="col" { "version" } th scope="col" { "budgets and rules" } th scope="col" { "prices" } th.num scope="col" { "records late by" } th.num scope="col" { "records lost" } th.num scope="col" { "calls under (other)" } } }
                tbody { @for one in &gateways.rows { tr {
                    th scope="row" { (printable(&one.gateway)) }
                    td { (show::time_or(Some(&one.last_sync), "–")) }
                    td { @if one.reports { (badge("good", "reports")) } @else { (badge("warn", "silent")) } }
                    td.num { (show::count(one.envoys)) }
                    td { (if one.versions.is_empty() { "–".to_owned() } else { one.versions.join(", ") }) }
                    td { (holds(one.with_policy, one.envoys)) }
                    td { (holds(one.with_prices, one.envoys)) }
                    td.num data-v=(one.late_ms) { (late(one.late_ms)) }
                    td.num { (show::count(one.dropped)) }
                    td.num { (show::count(one.shared_values)) }
                } } }
            } }
        }
    }
}

/// How long records waited in an outbox, such as `0.3 s`.
fn late(ms: u64) -> String {
    match ms / 1_000 {
        seconds @ 0..100 => format!("{seconds}.{} s", ms % 1_000 / 100),
        seconds @ 100..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn leases(held: &Budgets) -> Markup {
    let rows: Vec<(&str, &GatewayAccount)> = held
        .rows
        .iter()
        .flat_map(|row| row.gateways.iter().map(move |one| (row.budget.as_str(), one)))
        .collect();
    html! {
        @if rows.is_empty() { p.empty { "No gateway holds anything of a budget." } }
        @else {
            div.tablebox data-table { div.scroll tabindex="0" role="region" aria-label="Leases" { table.data {
                thead { tr { th scope="col" { "gateway" } th scope="col" { "budget" } th.num scope="col" { "granted" } th.num scope="col" { "used" } th.num scope="col" { "held" } th scope="col" { "lease ends" } } }
                tbody { @for (budget, one) in rows.iter().take(500) { tr {
                    th scope="row" { (printable(one.gateway.as_deref().unwrap_or(&one.instance))) }
                    td { a href={ "/budgets/" (crate::pages::query::escaped(budget)) } { (printable(budget)) } }
                    td.num { (show::quantity(one.granted)) }
                    td.num { (show::quantity(one.used)) }
                    td.num { (show::quantity(one.held)) }
                    td { (show::time_or(one.lease_ends.as_deref(), "–")) }
                } } }
            } } }
        }
    }
}

/// `GET /settings`.
pub(in crate::pages) async fn settings(visitor: Visitor) -> Response {
    let body = Ok(held(&visitor));
    visitor.show("Settings", body)
}

/// The configuration as it holds, without anything that is secret.
// Long: one line for each setting.
fn held(visitor: &Visitor) -> Markup {
    let app = &visitor.site.app;
    let config = app.config();
    let yes = |is: bool| html! { (if is { "yes" } else { "no" }) };
    let book = app.prices.book();
    html! {
        header.title { h1 { "Settings" } p.asked { "as they hold now; they are changed in tollgate.toml" } }
        @if let Some(error) = app.config_error() { p.message.problem role="alert" { "The file on disk is not used: " (error) } }
        div.grid {
            section.card { h2 { "Collector" } (facts(&[
                ("Version", html! { (env!("CARGO_PKG_VERSION")) }),
                ("Started", show::time_or(rfc3339(app.started_ms).as_deref(), "–")),
                ("Listens on", html! { code { (config.listen) } }),
                ("Speaks TLS", yes(config.tls.is_some())),
                ("Asked under", html! { (config.public_url.as_deref().unwrap_or("its address")) }),
                ("Further hosts", html! { (if config.hosts.is_empty() { "none".to_owned() } else { config.hosts.join(", ") }) }),
                ("Data directory", html! { code { (config.data_dir.display()) } }),
                ("Price book", html! { code { (book.version()) } }),
            ])) }
            section.card { h2 { "Access" }
                (facts(&[("Reading needs a token", yes(!crate::work::access::reading_is_open(&config)))]))
                @if config.access.tokens.is_empty() { p.empty { "No further tokens than those of the data directory." } }
                @else { div.scroll tabindex="0" role="region" aria-label="Tokens" { table.data {
                    thead { tr { th scope="col" { "token" } th scope="col" { "role" } th scope="col" { "gateways" } } }
                    tbody { @for token in &config.access.tokens { tr { th scope="row" { (token.name) } td { (role_name(token.role)) } td { (if token.gateways.is_empty() { "any".to_owned() } else { token.gateways.join(", ") }) } } } }
                } } }
            }
            section.card { h2 { "Alerts" } (facts(&[
                ("Channels", html! { (if config.alerts.channels.is_empty() { "none".to_owned() } else { config.alerts.channels.keys().cloned().collect::<Vec<_>>().join(", ") }) }),
                ("Rules", html! { (config.alerts.rules.len()) }),
                ("Reports by mail", html! { (config.reports.len()) }),
            ])) }
            section.card { h2 { "Keeping" } (facts(&[
                ("Rollup rows of an hour", html! { (show::count(config.rollups.rows_per_hour)) }),
                ("Records are kept", html! { @match config.retention.records_days { Some(days) => { (days) " days" } None => "for ever" } }),
                ("Summaries are kept", html! { "for ever" }),
            ])) }
        }
    }
}

/// Entries of a page.
const PAGE: u64 = 100;

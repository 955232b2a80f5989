//! The price book, what it lacks, and where providers say otherwise.

use axum::response::Response;
use maud::{Markup, html};

use crate::model::answers::prices::{Drifting, MissingPrices, PricedModelRow, Prices};
use crate::model::answers::summary::{By, SummaryAnswer};
use crate::model::dimension::Dimension;
use crate::model::table::{Cell, Column, Kind, Table};
use crate::model::text::printable;
use crate::pages::ask::Refused;
use crate::pages::panels::{card, card_of};
use crate::pages::query::{Query, address};
use crate::pages::tables::{Look, draw};
use crate::pages::visitor::Visitor;

/// `GET /prices`.
pub(in crate::pages) async fn show(visitor: Visitor) -> Response {
    let body = prices(&visitor).await;
    visitor.show("Prices", body)
}

async fn prices(visitor: &Visitor) -> Result<Markup, Refused> {
    let used = Query::new("/api/v1/summary").with("by", "provider").with("since", "30d");
    let used: SummaryAnswer = visitor.api.get(&used).await?;
    let by = By::Dimension(Dimension::Provider);
    let mut providers: Vec<&str> = used.rows.iter().filter_map(|row| row.keys.value(by)).collect();
    let own = visitor.pair("provider").or_else(|| providers.first().copied()).unwrap_or("openai").to_owned();
    if !providers.contains(&own.as_str()) {
        providers.push(&own);
    }
    let others = visitor.pairs.iter().filter(|(name, _)| name != "provider").cloned().collect::<Vec<_>>();
    let query = Query::new("/api/v1/prices").with("provider", own.clone()).and(&others);
    let missing = Query::new("/api/v1/prices/missing").with("since", "30d");
    let drift = Query::new("/api/v1/prices/drift");
    let (answer, missing_of, drift_of) = tokio::join!(
        visitor.api.get::<Prices>(&query),
        visitor.api.get::<MissingPrices>(&missing),
        visitor.api.get::<Drifting>(&drift),
    );
    let answer = answer?;
    Ok(html! {
        header.title { h1 { "Prices" } p.asked { "book " code { (answer.version) } } }
        (card_of(visitor, "Calls of thirty days without a price", &missing, missing_of, |answer| {
            draw(&lacking(&answer), &Look { title: "Without a price", empty: "Every call of this time has a price for all it used.", ..Look::default() })
        }))
        (card_of(visitor, "Where providers say otherwise", &drift, drift_of, |answer| {
            draw(&drifting(&answer), &Look { title: "Drift", empty: "No provider said what a call costs.", ..Look::default() })
        }))
        nav.period aria-label="Provider" {
            span { "Provider" }
            @for provider in &providers { a href=(address("/prices", &[("provider".into(), (*provider).to_owned())])) aria-current=[(*provider == own).then_some("true")] { (printable(provider)) } }
            form.inline method="get" action="/prices" { label { "Other " input name="provider" size="12" maxlength="60"; } }
        }
        (card(visitor, "Dollars for a million tokens", &query, draw(&book(&answer.rows), &Look { title: "Prices", empty: "The book has no such row.", ..Look::default() })))
    })
}

/// The price that holds, plain calls.
fn book(rows: &[PricedModelRow]) -> Table {
    let columns = vec![
        Column::text("provider_id").titled("provider"),
        Column::text("priced").titled("model"),
        Column::new("input", Kind::Right),
        Column::new("output", Kind::Right),
        Column::new("cache_read", Kind::Right),
        Column::text("since").if_any(),
        Column::text("discount").if_any(),
        Column::text("read").titled("read on"),
    ];
    Table::new(columns).with(rows.iter().filter_map(|row| {
        let price = row.prices.last()?;
        let rates = serde_json::to_value(&price.rates).ok()?;
        let rate = |kind: &str| {
            let each = rates
                .get(kind)
                .and_then(|rate| rate.as_str()?.parse::<tollgate_core::money::Picodollars>().ok());
            Cell::said(each.map(million))
        };
        Some(vec![
            row.provider.as_str().into(),
            row.model.as_str().into(),
            rate("input"),
            rate("output"),
            rate("cache_read"),
            Cell::said(price.from.as_deref()),
            Cell::said(price.discount.as_deref()),
            price.checked.as_str().into(),
        ])
    }))
}

/// What a million of them cost, without zeros at the end.
fn million(each: tollgate_core::money::Picodollars) -> String {
    let text = each.times(1_000_000).to_string();
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let rest = rest.trim_end_matches('0');
    format!("${whole}.{rest:0<2}")
}

fn lacking(answer: &MissingPrices) -> Table {
    let columns = vec![
        Column::text("provider"),
        Column::text("request_model"),
        Column::text("response_model").if_any(),
        Column::text("service_tier").if_any(),
        Column::count("unpriced_calls"),
        Column::count("input_tokens").titled("tokens in"),
        Column::count("output_tokens").titled("tokens out"),
        Column::text("why"),
    ];
    Table::new(columns).with(answer.rows.iter().map(|row| {
        vec![
            row.provider.as_str().into(),
            row.request_model.as_str().into(),
            row.response_model.as_str().into(),
            row.service_tier.as_str().into(),
            row.unpriced_calls.into(),
            row.input_tokens.into(),
            row.output_tokens.into(),
            row.why.as_str().into(),
        ]
    }))
}

fn drifting(answer: &Drifting) -> Table {
    let columns = vec![
        Column::text("provider"),
        Column::text("model"),
        Column::count("told").titled("calls"),
        Column::count("off_calls").titled("off by over 1 %"),
        Column::count("doubted_calls").titled("doubted").if_any(),
        Column::count("without_price").if_any(),
        Column::money("book_usd"),
        Column::money("provider_usd"),
        Column::money("difference_usd"),
        Column::new("difference_percent", Kind::Right).titled("%"),
    ];
    Table::new(columns).with(answer.rows.iter().map(|row| {
        vec![
            row.provider.as_str().into(),
            row.model.as_str().into(),
            row.calls.into(),
            row.off_calls.into(),
            row.doubted_calls.into(),
            row.without_price.into(),
            row.book_usd.into(),
            row.provider_usd.into(),
            row.difference_usd.into(),
            row.difference_percent.as_str().into(),
        ]
    }))
}

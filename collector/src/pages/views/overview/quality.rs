//! Shares of spend that somebody should look into: of nobody, estimated, without a price, outside production.

use maud::{Markup, html};
use tollgate_core::money::Picodollars;

use super::sum;
use crate::model::answers::summary::{By, SummaryAnswer};
use crate::model::decimal::Decimal;
use crate::model::dimension::Dimension;
use crate::pages::asked::Asked;
use crate::pages::charts::bar;
use crate::pages::query::address;
use crate::pages::show;

/// One line for each share.
// Long: four rows, one line for each of their cells.
pub(super) fn table(
    asked: &Asked,
    period: &SummaryAnswer,
    unattributed: Option<&SummaryAnswer>,
    environments: &SummaryAnswer,
) -> Markup {
    let all = &period.total.numbers;
    let by = By::Dimension(Dimension::Environment);
    let is_production = |name: &str| name == "production" || name == "prod";
    let elsewhere = sum(environments
        .rows
        .iter()
        .filter(|row| !row.keys.value(by).is_some_and(is_production))
        .map(|row| row.numbers.cost_usd));
    let nobody = unattributed.map(|answer| answer.total.numbers.cost_usd).unwrap_or_default();
    let share = |part: Picodollars| Decimal::percent(part.as_pico(), all.cost_usd.as_pico());
    let with = |name: &str, value: &str| asked.only(name, value).records();
    let rows: [(&str, String, Option<Decimal>, String, &str); 4] = [
        (
            "Unattributed",
            show::money(nobody),
            share(nobody),
            with("unattributed", "true"),
            "calls without an agent or a team",
        ),
        (
            "Estimated",
            show::money(all.estimated_cost_usd),
            share(all.estimated_cost_usd),
            with("cost_status", "estimated"),
            "counted by the gateway, as the provider did not say",
        ),
        (
            "Unpriced",
            format!("{} calls", show::count(all.unpriced)),
            Decimal::percent(all.unpriced, all.calls),
            with("cost_status", "unpriced"),
            "share of calls whose model has no price for all they used",
        ),
        (
            "Not production",
            show::money(elsewhere),
            share(elsewhere),
            address("/environments", &asked.period),
            "other environments, and calls that name none",
        ),
    ];
    html! {
        div.scroll tabindex="0" role="region" aria-label="Shares of spend" {
            table.data.quality {
                thead { tr { th scope="col" { "what" } th.num scope="col" { "amount" } th.num scope="col" { "share" } th scope="col" { "of all" } th scope="col" { "means" } } }
                tbody {
                    @for (name, amount, share, to, means) in rows {
                        tr {
                            th scope="row" { a href=(to) { (name) } }
                            td.num { (amount) }
                            td.num { (share.map_or_else(|| "–".to_owned(), show::percent)) }
                            td { @if let Some(share) = share { (bar(share.units(), 10_000)) } }
                            td { (means) }
                        }
                    }
                }
            }
        }
    }
}

//! `tollgate records --explain`: one record's price, line by line.

use tollgate_core::money::Picodollars;
use tollgate_core::record::{CostSource, Note};

use super::client::{self, Collector};
use super::output::{self, Look, Page};
use crate::model::answers::explain::{ExplainedLine, ExplainedRow, Explanation};
use crate::model::table::{Cell, Column, Kind, Table};
use crate::model::text::printable;

/// Asks and prints.
pub(super) fn explain(collector: &Collector, id: &str, look: Look) -> anyhow::Result<()> {
    let body = collector.get(&format!("/api/v1/records/{}/explain", client::segment(id)), &[])?;
    if look.is_json() {
        return output::print(&body);
    }
    render(&client::read(&body)?, Page::new(look.screen())).print()
}

// Long: one statement for each line of the explanation, in their order.
fn render(answer: &Explanation, page: Page) -> Page {
    let named = |model: &Option<String>| model.as_deref().map_or_else(|| "no model".to_owned(), printable);
    let mut out = vec![
        format!(
            "record {} of {}",
            printable(&answer.id),
            printable(answer.time.as_deref().unwrap_or_default())
        ),
        format!(
            "{}: asked for {}, answered by {}",
            printable(&answer.provider),
            named(&answer.request_model),
            named(&answer.response_model)
        ),
        format!("price book {}", printable(answer.price_version.as_deref().unwrap_or("none"))),
    ];
    answer.rows.iter().for_each(|row| used(row, &mut out));
    let none = || Cell::Nothing;
    let total = vec!["sum".into(), none(), none(), none(), none(), answer.book_cost_usd.to_string().into()];
    let lines = Table::new(columns()).with(answer.lines.iter().map(line)).total(total);
    let page = page.words(&out.join("\n")).gap().table(&lines);
    let mut out = Vec::new();
    out.push(whose_word(answer.cost_usd, answer.cost_source));
    out.push(format!("status {}", answer.cost_status.name()));
    if let Some(said) = answer.provider_cost_usd {
        let is_doubted = answer.notes.contains(&Note::ProviderCostDoubted);
        let why =
            if is_doubted { ", less than a tenth of the book's charge, which is not believed" } else { "" };
        out.push(format!("the provider says {said}{why}"));
    }
    for adjustment in &answer.adjustments {
        let time = |time: &Option<String>| printable(time.as_deref().unwrap_or_default());
        out.push(format!(
            "adjustment ({}) made {}, booked {}: {} to {}",
            adjustment.reason.name(),
            time(&adjustment.made),
            time(&adjustment.booked),
            adjustment.amount_usd,
            adjustment.cost_usd
        ));
    }
    if !answer.adjustments.is_empty() {
        out.push(format!("with adjustments {}", answer.adjusted_cost_usd));
    }
    if let Some(today) = &answer.today {
        out.push(format!(
            "by today's book {}: {} ({})",
            printable(&today.price_version),
            today.cost_usd,
            today.cost_status.name()
        ));
    }
    page.words(&out.join("\n"))
}

/// Says which row was used, why, and where it comes from.
fn used(row: &ExplainedRow, out: &mut Vec<String>) {
    let from = row.from.as_ref().map(|from| format!(" from {}", printable(from))).unwrap_or_default();
    out.push(format!("row {}{from}: {}", printable(&row.model), printable(&row.why)));
    if let Some(source) = &row.source {
        let checked = row.checked.as_deref().unwrap_or_default();
        out.push(format!("  source {} (checked {})", printable(source), printable(checked)));
    }
    if let Some(note) = &row.note {
        out.push(format!("  note: {}", printable(note)));
    }
}

fn line(line: &ExplainedLine) -> Vec<Cell> {
    vec![
        line.model.clone().into(),
        line.kind.to_string().into(),
        line.quantity.into(),
        line.rate.to_string().into(),
        Cell::said(line.discount.clone()),
        line.cost_usd.to_string().into(),
    ]
}

/// What the call costs, and by whose word.
fn whose_word(cost: Picodollars, source: CostSource) -> String {
    match source {
        CostSource::Provider => format!("cost {cost}, by the provider's own word"),
        CostSource::Book => format!("cost {cost}, by the price book"),
    }
}

/// Rates with all their decimals: they are what is explained.
fn columns() -> Vec<Column> {
    vec![
        Column::text("model").kept(),
        Column::text("kind").kept().whole(),
        Column::count("quantity").kept(),
        Column::new("rate", Kind::Right).kept().whole(),
        Column::text("discount").weight(50).if_any(),
        Column::new("cost_usd", Kind::Right).kept().whole(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::output::Screen;
    use super::*;
    use serde_json::json;

    #[test]
    fn no_name_of_a_caller_or_provider_makes_a_line_or_moves_the_cursor() {
        let hostile = "m\n\u{1b}[2J\r\u{202e}x";
        let told = |of: &str| -> Explanation {
            let row = json!({
                "model": of, "from": of, "step": null, "facts": {of: of}, "variant": of, "input_above": null,
                "discount": of, "why": of, "source": of, "checked": of, "note": of,
            });
            let line = json!({
                "model": of, "kind": "input", "quantity": 1, "rate": "1.0", "discount": of, "cost_usd": "1.0",
            });
            let adjustment = json!({
                "reason": "late", "made": of, "booked": of, "amount_usd": "1.0", "cost_usd": "1.0",
                "cost_status": "measured", "cost_source": "book", "price_version": of, "lines": [line],
            });
            let told = json!({
                "id": of, "time": of, "provider": of, "request_model": of, "response_model": of, "price_version": of,
                "rows": [row], "lines": [line], "book_cost_usd": "1.0", "cost_usd": "1.0", "cost_status": "measured",
                "cost_source": "book", "provider_cost_usd": "1.0", "notes": [], "adjustments": [adjustment],
                "adjusted_cost_usd": "1.0",
                "today": {"price_version": of, "cost_usd": "1.0", "cost_status": "measured", "rows": [row]},
            });
            serde_json::from_value(told).unwrap()
        };
        let wide = |told: &Explanation| render(told, Page::new(Screen::plain(500)));
        let shown = wide(&told(hostile)).text().to_owned();
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{shown:?}");
        assert_eq!(shown.lines().count(), wide(&told("m")).text().lines().count(), "{shown}");
        render(&told(&"m".repeat(60)), Page::new(Screen::plain(80))).assert_fits(80);
    }
}

//! `tollgate records --explain`: one record's price, line by line.

use serde_json::Value;

use super::client::{self, Collector};
use super::output::{self, Column, ColumnKind, Format};

/// Asks and prints.
pub(super) fn explain(collector: &Collector, id: &str, format: Format) -> anyhow::Result<()> {
    let body = collector.get(&format!("/api/v1/records/{}/explain", client::segment(id)), &[])?;
    if format == Format::Json {
        return output::print(&body);
    }
    output::print(&render(&client::json(&body)?))
}

// Long: one statement for each line of the explanation, in their order.
fn render(answer: &Value) -> String {
    let text = client::field;
    let list =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut out = vec![
        format!("record {} of {}", text(answer, "id"), text(answer, "time")),
        format!(
            "{}: asked for {}, answered by {}",
            text(answer, "provider"),
            or(&text(answer, "request_model"), "no model"),
            or(&text(answer, "response_model"), "no model")
        ),
        format!("price book {}", or(&text(answer, "price_version"), "none")),
    ];
    for row in list(answer, "rows") {
        let from = text(&row, "from");
        let from = if from.is_empty() { String::new() } else { format!(" from {from}") };
        out.push(format!("row {}{from}: {}", text(&row, "model"), text(&row, "why")));
        let source = text(&row, "source");
        if !source.is_empty() {
            out.push(format!("  source {source} (checked {})", text(&row, "checked")));
        }
        let note = text(&row, "note");
        if !note.is_empty() {
            out.push(format!("  note: {note}"));
        }
    }
    let columns = LINES.map(|(name, kind)| Column::new(name, kind));
    let lines: Vec<Vec<String>> = list(answer, "lines")
        .iter()
        .map(|line| LINES.iter().map(|(name, _)| text(line, name)).collect())
        .collect();
    let total = ["sum", "", "", "", "", &text(answer, "book_cost_usd")].map(str::to_owned);
    out.push(String::new());
    out.push(output::table(&columns, &lines, Some(&total)));
    out.push(whose_word(&text(answer, "cost_usd"), &text(answer, "cost_source")));
    out.push(format!("status {}", text(answer, "cost_status")));
    let said = text(answer, "provider_cost_usd");
    if !said.is_empty() {
        let notes = list(answer, "notes");
        let is_doubted = notes.iter().any(|note| note == "provider_cost_doubted");
        let why =
            if is_doubted { ", less than a tenth of the book's charge, which is not believed" } else { "" };
        out.push(format!("the provider says {said}{why}"));
    }
    for adjustment in list(answer, "adjustments") {
        out.push(format!(
            "adjustment ({}) made {}, booked {}: {} to {}",
            text(&adjustment, "reason"),
            text(&adjustment, "made"),
            text(&adjustment, "booked"),
            text(&adjustment, "amount_usd"),
            text(&adjustment, "cost_usd")
        ));
    }
    if !list(answer, "adjustments").is_empty() {
        out.push(format!("with adjustments {}", text(answer, "adjusted_cost_usd")));
    }
    if let Some(today) = answer.get("today").filter(|today| !today.is_null()) {
        out.push(format!(
            "by today's book {}: {} ({})",
            text(today, "price_version"),
            text(today, "cost_usd"),
            text(today, "cost_status")
        ));
    }
    out.join("\n")
}

/// What the call costs, and by whose word.
fn whose_word(cost: &str, source: &str) -> String {
    match source {
        "provider" => format!("cost {cost}, by the provider's own word"),
        _ => format!("cost {cost}, by the price book"),
    }
}

fn or<'a>(text: &'a str, instead: &'a str) -> &'a str {
    if text.is_empty() { instead } else { text }
}

const LINES: [(&str, ColumnKind); 6] = [
    ("model", ColumnKind::Text),
    ("kind", ColumnKind::Text),
    ("quantity", ColumnKind::Count),
    ("rate", ColumnKind::Text),
    ("discount", ColumnKind::Text),
    ("cost_usd", ColumnKind::Money),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_name_of_a_caller_or_provider_makes_a_line_or_moves_the_cursor() {
        let hostile = "m\n\u{1b}[2J\r\u{202e}x";
        let row =
            json!({"model": hostile, "why": hostile, "from": hostile, "source": hostile, "note": hostile});
        let line =
            json!({"model": hostile, "kind": "input", "quantity": 1, "rate": "1.0", "cost_usd": "1.0"});
        let told = |of: &str| {
            let adjustment =
                json!({"reason": of, "made": of, "booked": of, "amount_usd": of, "cost_usd": of});
            json!({
                "id": of, "time": of, "provider": of, "request_model": of, "response_model": of, "price_version": of,
                "rows": [row], "lines": [line], "book_cost_usd": "1.0", "cost_usd": "1.0", "cost_status": of,
                "provider_cost_usd": of, "adjustments": [adjustment],
                "today": {"price_version": of, "cost_usd": "1.0", "cost_status": of},
            })
        };
        let shown = render(&told(hostile));
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{shown:?}");
        assert_eq!(shown.lines().count(), render(&told("m")).lines().count(), "{shown}");
    }
}

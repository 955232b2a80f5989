//! Statements as one HTML file, which prints well and asks for nothing elsewhere.

use std::fmt::Write;

use tollgate_core::money::Picodollars;

use super::{Chargeback, PayerKind, Statement};

/// The file.
#[must_use]
pub fn html(of: &Chargeback) -> String {
    let month = escaped(&of.month);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>Statements for {month}</title>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <style>{STYLE}</style></head>\n<body>\n<h1>Cost of LLM calls, {month}</h1>\n"
    );
    let state = match (&of.closed_at, of.partial) {
        (Some(at), _) => {
            format!("The month was closed at {}: its own costs do not change any more.", escaped(at))
        }
        (None, true) => "The month is not over: these are costs up to now.".to_owned(),
        (None, false) => "The month is not closed: corrections still change it.".to_owned(),
    };
    let count = of.calls;
    // Writing to a text does not fail.
    let _ = writeln!(
        out,
        "<p>{state} {count} calls, <strong>${}</strong> in all. Times are UTC.</p>",
        of.total_usd
    );
    overview(&mut out, of);
    for one in &of.statements {
        statement(&mut out, one, &month);
    }
    out.push_str("</body></html>\n");
    out
}

fn overview(out: &mut String, of: &Chargeback) {
    out.push_str(
        "<table><thead><tr><th>Payer<th class=n>Calls<th class=n>Own $<th class=n>Corrections $<th class=n>Shared $\
         <th class=n>Total $</tr></thead>\n<tbody>\n",
    );
    for one in &of.statements {
        let _ = writeln!(
            out,
            "<tr><td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            named(one),
            one.calls,
            one.own_usd,
            one.corrections_usd,
            one.shared_usd,
            one.total_usd
        );
    }
    let _ = writeln!(
        out,
        "</tbody><tfoot><tr><td>Total<td class=n>{}<td><td><td><td class=n>{}</tr></tfoot></table>",
        of.statements.iter().fold(0u64, |sum, one| sum.saturating_add(one.calls)),
        of.total_usd
    );
    if of.shared.is_empty() {
        return;
    }
    out.push_str("<h2>Shared costs</h2>\n<table><thead><tr><th>Name<th>Split<th class=n>Calls<th class=n>Cost $</tr></thead>\n<tbody>\n");
    for one in &of.shared {
        let _ = writeln!(
            out,
            "<tr><td>{}<td>{}<td class=n>{}<td class=n>{}</tr>",
            escaped(&one.name),
            escaped(&one.split),
            one.calls,
            one.cost_usd
        );
    }
    out.push_str("</tbody></table>\n");
}

fn statement(out: &mut String, of: &Statement, month: &str) {
    let _ = writeln!(out, "<section><h2>{}, {month}: ${}</h2>", named(of), of.total_usd);
    for (amount, words) in [
        (of.estimated_usd, "of its own costs are estimated: its providers did not report what was used"),
        (of.late_usd, "of its own costs are of calls of earlier months, reported after these were closed"),
    ] {
        if amount != Picodollars::ZERO {
            let _ = writeln!(out, "<p class=note>${amount} {words}.</p>");
        }
    }
    out.push_str(
        "<table><thead><tr><th>Agent<th>Feature<th>Environment<th>Model<th class=n>Calls<th class=n>Tokens in\
         <th class=n>Tokens out<th class=n>Cost $</tr></thead>\n<tbody>\n",
    );
    for line in &of.lines {
        let model = line.model.as_deref().unwrap_or("unknown");
        let model = format!("{} / {}", escaped(&line.provider), escaped(model));
        let what = if line.is_correction { " (correction of closed months)" } else { "" };
        let _ = writeln!(
            out,
            "<tr><td>{}{what}<td>{}<td>{}<td>{model}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            escaped(&line.agent),
            escaped(&line.feature),
            escaped(&line.environment),
            line.calls,
            line.input_tokens,
            line.output_tokens,
            line.cost_usd
        );
    }
    for share in &of.shares {
        let _ = writeln!(
            out,
            "<tr class=shared><td colspan=7>Shared: {} ({} of ${})<td class=n>{}</tr>",
            escaped(&share.name),
            escaped(&share.split),
            share.of_usd,
            share.cost_usd
        );
    }
    let _ = writeln!(
        out,
        "</tbody><tfoot><tr><td colspan=7>Total<td class=n>{}</tr></tfoot></table></section>",
        of.total_usd
    );
}

fn named(of: &Statement) -> String {
    let name = escaped(&of.payer);
    match of.kind {
        PayerKind::Team => name,
        PayerKind::CostCenter => format!("{name} (cost center)"),
        PayerKind::Unattributed => format!("{name} (no team was named)"),
    }
}

/// A text that is nothing but text.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            one if one.is_control() => escaped.push('\u{fffd}'),
            one => escaped.push(one),
        }
    }
    escaped
}

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;color:#1a1a1a;max-width:72rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #ddd;vertical-align:top;overflow-wrap:anywhere}\
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}tfoot td{font-weight:600;border-top:2px solid #555}\
.note{color:#555}.shared td{color:#333;font-style:italic}\
@media print{body{margin:0;max-width:none;font-size:9pt}section{break-before:page}thead{display:table-header-group}\
tr{break-inside:avoid}}@page{margin:15mm}";

#[cfg(test)]
mod tests {
    use super::super::StatementLine;
    use super::*;

    #[test]
    fn names_are_text_whatever_they_have_and_nothing_is_asked_for_elsewhere() {
        let evil = "<script src=\"//x\">&'\u{1b}";
        let line = StatementLine { agent: evil.into(), model: Some(evil.into()), ..StatementLine::default() };
        let statement = Statement { payer: evil.into(), lines: vec![line], ..Statement::default() };
        let page = html(&Chargeback {
            month: "2026-10".into(),
            statements: vec![statement],
            ..Chargeback::default()
        });
        assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
        assert_eq!(page.matches("&lt;script src=&quot;//x&quot;&gt;&amp;&#39;\u{fffd}").count(), 4);
        for elsewhere in ["href", "src=", "url(", "@import", "http:", "https:"] {
            let found = page.replace("src=&quot;", "");
            assert!(!found.contains(elsewhere), "{elsewhere}");
        }
    }
}

//! A report as HTML that every mail client shows: tables and inline styles, nothing from elsewhere, no
//! script.
//!
//! The chart is made of table cells. Many clients show no SVG at all, and pictures only when asked; cells
//! they all draw, also where pictures are off, and a screen reader reads the amounts beside them.

use std::fmt::Write;

use super::{MailReport, TopRows, changed, counted, dollars};
use crate::model::text::printable;

/// The page.
// Long: one part of the page after the other.
#[must_use]
pub fn html(of: &MailReport) -> String {
    let title = escaped(&of.subject());
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"margin:0;padding:16px;{FONT}\">\n<h1 style=\"font-size:20px\">Cost of LLM calls: {}</h1>\n\
         <p>{}, {} {}<br>{}, {}</p>\n",
        escaped(&of.name),
        escaped(&of.scope),
        escaped(&of.every),
        escaped(&of.period),
        escaped(&of.days),
        escaped(&of.time_zone)
    );
    out.push_str(TABLE);
    for (name, value) in of.facts() {
        // Writing to a text does not fail.
        let _ = writeln!(
            out,
            "<tr><th align=\"left\" {CELL}>{name}</th><td {CELL}>{}</td></tr>",
            escaped(&value)
        );
    }
    out.push_str("</table>\n");
    if !of.look_at.is_empty() {
        out.push_str(&headed("What to look at"));
        out.push_str("<ul>\n");
        for line in &of.look_at {
            let _ = writeln!(out, "<li>{}</li>", escaped(line));
        }
        out.push_str("</ul>\n");
    }
    let parts = of.parts();
    if !parts.is_empty() {
        out.push_str(&headed(&format!("What changed against {}", of.before())));
        out.push_str(TABLE);
        for (name, amount) in parts {
            let _ = writeln!(
                out,
                "<tr><td {CELL}>{name}</td><td align=\"right\" {CELL}>{}</td></tr>",
                escaped(&amount)
            );
        }
        out.push_str("</table>\n");
    }
    chart(&mut out, of);
    of.tops.iter().filter(|top| !top.rows.is_empty()).for_each(|top| rows(&mut out, top));
    if !of.budgets.is_empty() {
        out.push_str(&headed("Budgets, in the windows that held at the end"));
        out.push_str(TABLE);
        for one in &of.budgets {
            let _ = writeln!(
                out,
                "<tr><td {CELL}>{}</td><td {CELL}>{}</td><td align=\"right\" {CELL}>{}</td>\
                 <td align=\"right\" {CELL}>{}%</td></tr>",
                escaped(&one.title()),
                escaped(&one.window),
                escaped(&one.used_of()),
                one.percent
            );
        }
        out.push_str("</table>\n");
    }
    let _ = writeln!(
        out,
        "<p style=\"color:#666666;font-size:12px\">{}</p>\n</body></html>",
        escaped(&of.foot())
    );
    out
}

fn chart(out: &mut String, of: &MailReport) {
    out.push_str(&headed(&format!("Cost by {}", of.costs_by)));
    out.push_str(TABLE);
    for part in &of.costs {
        let long = part.bar(of.most(), BAR);
        // A cell of no width is drawn a little wide by some clients.
        let bar = match long {
            0 => String::new(),
            long => format!(
                "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr><td \
                 bgcolor=\"#3b6ea5\" width=\"{long}\" height=\"12\" style=\"width:{long}px;height:12px;font-size:1px;\
                 line-height:12px\">&nbsp;</td></tr></table>"
            ),
        };
        let _ = writeln!(
            out,
            "<tr><td {CELL}>{}</td><td width=\"{BAR}\" {CELL}>{bar}</td><td align=\"right\" {CELL}>{}</td></tr>",
            escaped(&part.label),
            escaped(&dollars(part.cost_usd))
        );
    }
    out.push_str("</table>\n");
}

fn rows(out: &mut String, top: &TopRows) {
    let name = escaped(top.by.name());
    out.push_str(&headed(&format!("By {name}")));
    out.push_str(TABLE);
    let _ = writeln!(
        out,
        "<tr><th align=\"left\" {CELL}>{name}</th><th align=\"right\" {CELL}>calls</th>\
         <th align=\"right\" {CELL}>cost</th><th align=\"right\" {CELL}>share</th>\
         <th align=\"right\" {CELL}>change</th></tr>"
    );
    for row in &top.rows {
        let share = row.derived.share_percent.map_or_else(String::new, |share| format!("{share}%"));
        let _ = write!(out, "<tr><td {CELL}>{}</td>", escaped(&top.name(row)));
        for value in [counted(row.numbers.calls), dollars(row.numbers.cost_usd), share, changed(row)] {
            let _ = write!(out, "<td align=\"right\" {CELL}>{}</td>", escaped(&value));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

fn headed(title: &str) -> String {
    format!("<h2 style=\"font-size:16px;margin:20px 0 6px\">{title}</h2>\n")
}

/// A text of others within HTML, also within quotes.
fn escaped(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Width of the longest bar, in pixels.
const BAR: i128 = 240;
const FONT: &str = "font-family:Helvetica,Arial,sans-serif;font-size:14px;color:#222222";
const TABLE: &str = "<table cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"border-collapse:collapse;\
                     font-size:14px\">\n";
const CELL: &str = "style=\"padding:2px 12px 2px 0\"";

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, sample};
    use super::*;

    #[test]
    fn no_name_is_anything_but_text_and_nothing_comes_from_elsewhere() {
        let (plain, hostile) = (html(&sample("search")), html(&sample(HOSTILE)));
        let tags = |page: &str| page.matches('<').count();
        assert_eq!(tags(&plain), tags(&hostile), "a name made a tag");
        for wrong in ["<script", "<img", "<link", "<svg", "src=", "href=", "url(", "@import"] {
            assert!(!plain.contains(wrong), "{wrong} in\n{plain}");
        }
        for page in [&plain, &hostile] {
            assert!(page.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')), "{page:?}");
        }
        assert!(hostile.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;"), "{hostile}");
        for shown in ["$123.45", "1,234,567; 0 failed", "width=\"240\" height", "$90.00 of $100.00"] {
            assert!(plain.contains(shown), "no {shown} in\n{plain}");
        }
    }
}

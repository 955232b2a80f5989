//! A report as plain text, in lines of at most 80 columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{MailReport, TopRows, changed, counted, dollars};
use crate::model::text::printable;

/// The text.
#[must_use]
pub fn text(of: &MailReport) -> String {
    let mut lines = vec![
        fit(&printable(&format!("Cost of LLM calls: {}", of.name)), WIDTH),
        fit(&printable(&format!("{}, {} {}", of.scope, of.every, of.period)), WIDTH),
        fit(&printable(&format!("{}, {}", of.days, of.time_zone)), WIDTH),
        String::new(),
    ];
    for (name, value) in of.facts() {
        wrapped(&mut lines, &format!("{name:14}"), &value);
    }
    if !of.look_at.is_empty() {
        headed(&mut lines, "What to look at");
        of.look_at.iter().for_each(|line| wrapped(&mut lines, "- ", line));
    }
    let parts = of.parts();
    if !parts.is_empty() {
        headed(&mut lines, &format!("What changed against {}", of.before()));
    }
    for (name, amount) in parts {
        lines.push(format!("{name:32}{amount:>14}"));
    }
    headed(&mut lines, &format!("Cost by {}", of.costs_by));
    for part in &of.costs {
        let bar = "#".repeat(part.bar(of.most(), BAR));
        lines.push(format!("{}{bar:BAR_WIDTH$}{:>14}", padded(&part.label, 18), dollars(part.cost_usd)));
    }
    of.tops.iter().filter(|top| !top.rows.is_empty()).for_each(|top| rows(&mut lines, top));
    if !of.budgets.is_empty() {
        headed(&mut lines, "Budgets, in the windows that held at the end");
        for one in &of.budgets {
            let (title, used) = (padded(&one.title(), 38), fit(&one.used_of(), 32));
            lines.push(format!("{title}{used:>32}{:>7}%", one.percent));
        }
    }
    lines.push(String::new());
    wrapped(&mut lines, "", &of.foot());
    let mut text = lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

fn rows(lines: &mut Vec<String>, top: &TopRows) {
    headed(lines, &format!("By {}", top.by.name()));
    lines.push(format!("{:32}{:>13}{:>14}{:>9}{:>12}", "", "calls", "cost", "share", "change"));
    for row in &top.rows {
        let share = row.derived.share_percent.map_or_else(String::new, |share| format!("{share}%"));
        lines.push(format!(
            "{}{:>13}{:>14}{share:>9}{:>12}",
            padded(&top.name(row), 32),
            counted(row.numbers.calls),
            dollars(row.numbers.cost_usd),
            fit(&changed(row), 11)
        ));
    }
}

fn headed(lines: &mut Vec<String>, title: &str) {
    lines.push(String::new());
    lines.push(title.to_owned());
    lines.push("-".repeat(title.width()));
}

/// Words in lines, of which all but the first are indented by what stands before it.
fn wrapped(lines: &mut Vec<String>, before: &str, words: &str) {
    let room = WIDTH.saturating_sub(before.width());
    let mut line = before.to_owned();
    let mut used = 0;
    for word in printable(words).split(' ') {
        // A name may be longer than a line.
        for piece in pieces(word, room) {
            let wide = piece.width();
            if used > 0 && used + 1 + wide > room {
                lines.push(std::mem::replace(&mut line, " ".repeat(before.width())));
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(&piece);
            used += wide;
        }
    }
    lines.push(line);
}

/// A word in pieces of at most so many columns.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > room {
            pieces.push(String::new());
            used = 0;
        }
        used += wide;
        if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
    }
    pieces
}

/// A text of at most so many columns, ended by an ellipsis where some is left out.
fn fit(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let mut cut = pieces(text, most.saturating_sub(1)).into_iter().next().unwrap_or_default();
    cut.push('…');
    cut
}

/// A text in exactly so many columns, with a space at its end.
fn padded(text: &str, width: usize) -> String {
    let mut text = fit(text, width.saturating_sub(1));
    text.push_str(&" ".repeat(width.saturating_sub(text.width())));
    text
}

/// Columns of a line.
const WIDTH: usize = 80;
/// Columns of the longest bar.
const BAR: i128 = 46;
/// Columns of bars, with a space.
const BAR_WIDTH: usize = 48;

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, sample};
    use super::*;

    #[test]
    fn lines_have_at_most_eighty_columns_and_no_name_makes_a_line() {
        let plain = text(&sample("search"));
        let count = plain.lines().count();
        for name in [HOSTILE, &"東京".repeat(60), &"long words ".repeat(30), &HOSTILE.repeat(9)] {
            let said = text(&sample(name));
            let wide = said.lines().find(|line| line.width() > 80);
            assert_eq!(wide, None, "{said}");
            let is_fit = |c: char| c == '\n' || (!c.is_control() && c != '\u{202e}' && c != '\u{2028}');
            assert!(said.chars().all(is_fit), "{said:?}");
            assert!(said.lines().all(|line| !line.starts_with("Bcc")), "{said}");
        }
        assert_eq!(text(&sample("agents")).lines().count(), count);
        for line in [
            "Cost          $123.45",
            "Change        +$23.45 (+23.45%) against the week before ($100.00)",
            "Calls         1,234,567; 0 failed",
            "- budget b (search) is used to 90%: $90.00 of $100.00",
        ] {
            assert!(plain.lines().any(|own| own == line), "no `{line}` in\n{plain}");
        }
    }
}

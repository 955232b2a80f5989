//! A table as lines: no wider than the screen, numbers at the right of their columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::fit::{GAP, Need, fit};
use super::screen::Screen;
use super::wording::Wording;
use crate::model::table::{Cell, Column, Kind, Table};

/// A table as it is shown.
pub(super) struct Drawn {
    /// Its lines, each with its end.
    pub(super) text: String,
    /// Titles of the columns that had no room, without pictures.
    pub(super) left_out: Vec<String>,
}

/// Draws a table.
pub(super) fn draw(table: &Table, screen: Screen) -> Drawn {
    let shown: Vec<Shown<'_>> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(at, column)| !column.if_any || table.cells(*at).any(|cell| !cell.is_empty()))
        .map(|(at, column)| Shown::of(table, at, column, screen))
        .collect();
    let needs: Vec<Need> = shown.iter().map(Shown::need).collect();
    let widths = fit(&needs, screen.width);
    let left_out =
        shown.iter().zip(&widths).filter(|(one, width)| width.is_none() && !one.column.kind.is_picture());
    let left_out = left_out.map(|(one, _)| one.column.title.clone()).collect();
    let columns: Vec<(Shown<'_>, usize)> =
        shown.into_iter().zip(widths).filter_map(|(one, width)| Some((one, width?))).collect();

    let mut lines = vec![line(&columns, screen, |one| (one.column.title.as_str(), Some(TITLE)))];
    for at in 0..table.rows.len() {
        lines.push(line(&columns, screen, |one| one.cell(at)));
    }
    if table.total.is_some() {
        lines.push(String::new());
        lines.push(line(&columns, screen, |one| (one.total.as_str(), Some(TOTAL))));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    Drawn { text, left_out }
}

/// A column in words.
struct Shown<'t> {
    column: &'t Column,
    words: Vec<(String, Option<&'static str>)>,
    total: String,
}

impl<'t> Shown<'t> {
    fn of(table: &Table, at: usize, column: &'t Column, screen: Screen) -> Self {
        let wording = Wording::of(table, at, column.kind, screen.is_exact);
        let words = table.rows.iter().map(|row| {
            let cell = row.get(at).unwrap_or(&Cell::Nothing);
            (wording.word(cell), colour(column.kind, cell))
        });
        let total = table.total.as_ref().and_then(|total| total.get(at)).filter(|_| column.kind != Kind::Bar);
        Self {
            column,
            words: words.collect(),
            total: total.map(|cell| wording.word(cell)).unwrap_or_default(),
        }
    }

    fn need(&self) -> Need {
        let words = self.words.iter().map(|(word, _)| word.width());
        let widest = words.chain([self.total.width()]).max().unwrap_or(0);
        // A picture of nothing is not worth its title.
        let is_empty = self.column.kind.is_picture() && widest == 0;
        Need::of(self.column, if is_empty { 0 } else { widest.max(self.column.title.width()) })
    }

    fn cell(&self, row: usize) -> (&str, Option<&'static str>) {
        self.words.get(row).map_or(("", None), |(word, colour)| (word.as_str(), *colour))
    }
}

/// One line, without spaces at its end.
fn line<'c>(
    columns: &'c [(Shown<'c>, usize)],
    screen: Screen,
    word: impl Fn(&'c Shown<'c>) -> (&'c str, Option<&'static str>),
) -> String {
    let mut line = String::new();
    // Spaces that are not written before something stands behind them.
    let mut blank = 0_usize;
    for (at, (one, width)) in columns.iter().enumerate() {
        let (word, colour) = word(one);
        let word = cut(word, *width);
        let rest = width.saturating_sub(word.width());
        let is_left = matches!(one.column.kind, Kind::Text | Kind::Time | Kind::Bar | Kind::Sparkline);
        let (before, after) = if is_left { (0, rest) } else { (rest, 0) };
        blank = blank.saturating_add(if at == 0 { before } else { before.saturating_add(GAP) });
        if !word.is_empty() {
            line.push_str(&" ".repeat(std::mem::take(&mut blank)));
            line.push_str(&colour.map_or_else(|| word.clone(), |colour| screen.painted(&word, colour)));
        }
        blank = blank.saturating_add(after);
    }
    line
}

/// A text of this width at most, its end replaced by `…` where it is longer.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1_usize;
    for c in text.chars() {
        used = used.saturating_add(c.width().unwrap_or(0));
        if used > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// More is red, less is green: what changes is money spent.
fn colour(kind: Kind, cell: &Cell) -> Option<&'static str> {
    match (kind, cell) {
        (Kind::Change, Cell::Decimal(change)) if change.units() > 0 => Some(RED),
        (Kind::Change, Cell::Decimal(change)) if change.units() < 0 => Some(GREEN),
        (Kind::Change, Cell::Text(_)) => Some(RED),
        (Kind::Bar | Kind::Sparkline, _) => Some(CYAN),
        _ => None,
    }
}

const TITLE: &str = "1";
const TOTAL: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decimal::Decimal;

    fn table() -> Table {
        let columns = vec![
            Column::text("agent").kept(),
            Column::count("input_tokens"),
            Column::count("denied").if_any(),
            Column::money("cost_usd"),
            Column::new("change_percent", Kind::Change).weight(10),
            Column::new("share", Kind::Bar),
        ];
        let row = |agent: &str, tokens: u64, cost: &str, change: &str| {
            let change: Decimal = change.parse().unwrap();
            vec![
                agent.into(),
                tokens.into(),
                Cell::Count(0),
                Cell::Money(cost.parse().unwrap()),
                Cell::Decimal(change),
                Cell::Decimal(change),
            ]
        };
        let total = vec![
            "total".into(),
            Cell::Count(1_234_572),
            Cell::Count(0),
            Cell::Money("1234.5123".parse().unwrap()),
        ];
        Table::new(columns)
            .with([row("bot", 1_234_567, "1234.5", "12.34"), row("東京-agent", 5, "0.0123", "-5.00")])
            .total(total)
    }

    fn drawn(width: usize) -> String {
        draw(&table(), Screen::plain(width)).text
    }

    #[test]
    fn numbers_are_aligned_and_amounts_share_their_decimals() {
        let expected = "\
agent       input tokens     cost $  change %  share
bot            1,234,567  1,234.500    +12.3%  ████████
東京-agent             5      0.012     -5.0%

total          1,234,572  1,234.512
";
        assert_eq!(drawn(80), expected);
        let exact = draw(&table(), Screen { is_exact: true, ..Screen::plain(80) }).text;
        assert!(exact.contains("1,234.512300000000"), "{exact}");
    }

    #[test]
    fn what_has_no_room_goes_and_names_are_cut_last() {
        let narrow = draw(&table(), Screen::plain(40));
        assert_eq!(narrow.left_out, ["change %"]);
        assert!(narrow.text.lines().all(|line| line.width() <= 40), "{}", narrow.text);
        let long = Table::new(vec![Column::text("agent").kept(), Column::count("calls").kept()])
            .with([vec!["x".repeat(64).into(), Cell::Count(1)]]);
        let text = draw(&long, Screen::plain(40)).text;
        assert_eq!(text.lines().nth(1).unwrap(), format!("{}…      1", "x".repeat(32)));
        let wide = draw(&long, Screen { width: None, ..Screen::plain(40) }).text;
        assert!(wide.contains(&"x".repeat(64)));
    }

    #[test]
    fn no_name_makes_a_line_or_moves_the_cursor() {
        let table = Table::new(vec![Column::text("agent")]).with([vec!["a\r\nb\u{1b}[2J\u{9b}x".into()]]);
        let text = draw(&table, Screen::plain(80)).text;
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn colours_change_no_place() {
        let coloured = draw(&table(), Screen { has_colour: true, ..Screen::plain(80) }).text;
        let mut plain = coloured.clone();
        for code in [TITLE, RED, GREEN, CYAN, "0"] {
            plain = plain.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert!(coloured.contains("\u{1b}[31m+12.3%\u{1b}[0m"), "{coloured}");
        assert_eq!(plain, drawn(80));
    }
}

//! What a page is shown on: its width, and whether it has colours.

use std::io::IsTerminal;

use terminal_size::{Width, terminal_size};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a page is shown on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) struct Screen {
    /// Its columns; none where lines may be of any length.
    pub(in crate::cli) width: Option<usize>,
    /// Whether amounts have all their decimals.
    pub(in crate::cli) is_exact: bool,
    /// Whether it has colours.
    pub(in crate::cli) has_colour: bool,
}

impl Screen {
    /// The terminal that standard output is, or what stands for it.
    pub(in crate::cli) fn of_terminal(is_wide: bool, is_exact: bool) -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let is_terminal = std::io::stdout().is_terminal();
        let own = terminal_size().filter(|_| is_terminal).map(|(Width(columns), _)| usize::from(columns));
        Self {
            width: (!is_wide).then(|| columns(variable("COLUMNS").as_deref(), own)),
            is_exact,
            has_colour: has_colour(variable, is_terminal),
        }
    }

    /// One without colours, for tests.
    #[cfg(test)]
    pub(in crate::cli) const fn plain(width: usize) -> Self {
        Self { width: Some(width), is_exact: false, has_colour: false }
    }

    /// Words on as many lines as they need, broken between words.
    pub(super) fn broken(self, line: &str) -> String {
        let Some(width) = self.width.filter(|width| line.width() > *width) else { return line.to_owned() };
        // What goes on stands as far in as its beginning, up to half of the line.
        let text = line.trim_start_matches(' ');
        let indent = line.len().saturating_sub(text.len()).min(width / 2);
        let room = width.saturating_sub(indent);
        let mut lines = Vec::new();
        let mut open = String::new();
        for part in text.split(' ').flat_map(|word| parts(word, room)) {
            if !open.is_empty() && open.width().saturating_add(1).saturating_add(part.width()) > room {
                lines.push(std::mem::take(&mut open));
            }
            if !open.is_empty() {
                open.push(' ');
            }
            open.push_str(&part);
        }
        lines.push(open);
        lines.into_iter().map(|line| " ".repeat(indent) + &line).collect::<Vec<_>>().join("\n")
    }

    /// In the colour of what matters less.
    pub(super) fn dim(self, text: &str) -> String {
        self.painted(text, "2")
    }

    /// In a colour, by its number of the terminal's sequences.
    pub(super) fn painted(self, text: &str, colour: &str) -> String {
        match self.has_colour && !text.is_empty() {
            true => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

/// A word in parts of this width at most.
fn parts(word: &str, width: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut used = 0_usize;
    for c in word.chars() {
        let wide = c.width().unwrap_or(0);
        if used.saturating_add(wide) > width {
            parts.push(String::new());
            used = 0;
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
        used = used.saturating_add(wide);
    }
    parts
}

/// `COLUMNS` where it is a number, else what the terminal says, else 80: so a pipe, whose other end nobody
/// knows, gets the same everywhere.
fn columns(variable: Option<&str>, own: Option<usize>) -> usize {
    let named = variable.and_then(|text| text.trim().parse().ok()).filter(|columns| *columns > 0);
    named.or(own.filter(|columns| *columns > 0)).unwrap_or(COLUMNS).max(COLUMNS_MIN)
}

/// By <https://no-color.org> and <https://bixense.com/clicolors> (read 2026-11-30): `NO_COLOR` takes colours
/// away, `CLICOLOR_FORCE` gives them to what is no terminal.
fn has_colour(variable: impl Fn(&str) -> Option<String>, is_terminal: bool) -> bool {
    let is_set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if is_set("NO_COLOR").is_some() {
        return false;
    }
    let is_forced = is_set("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    is_forced || is_terminal && is_set("TERM").is_none_or(|term| term != "dumb")
}

/// Columns where nobody says how many there are.
const COLUMNS: usize = 80;
/// Columns that a table needs to be one.
const COLUMNS_MIN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_is_what_is_said_else_the_terminals_else_eighty() {
        for (variable, own, expected) in [
            (None, None, 80),
            (None, Some(132), 132),
            (Some("100"), Some(132), 100),
            (Some("100"), None, 100),
            (Some("wide"), Some(132), 132),
            (Some("0"), Some(0), 80),
            (Some("5"), None, 40),
        ] {
            assert_eq!(columns(variable, own), expected, "{variable:?} {own:?}");
        }
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        for (variables, is_terminal, expected) in [
            (&[] as &[(&str, &str)], true, true),
            (&[], false, false),
            (&[("NO_COLOR", "1")], true, false),
            (&[("NO_COLOR", "")], true, true),
            (&[("CLICOLOR_FORCE", "1")], false, true),
            (&[("CLICOLOR_FORCE", "0")], false, false),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
            (&[("TERM", "dumb")], true, false),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(has_colour(variable, is_terminal), expected, "{variables:?} {is_terminal}");
        }
    }

    #[test]
    fn words_are_broken_between_words_and_long_ones_within() {
        let screen = Screen::plain(10);
        assert_eq!(screen.broken("ten wide c"), "ten wide c");
        assert_eq!(screen.broken("one two three four"), "one two\nthree four");
        assert_eq!(screen.broken("abcdefghijklmno p"), "abcdefghij\nklmno p");
        assert_eq!(screen.broken("  source of it all"), "  source\n  of it\n  all");
    }
}

//! Output of the commands: tables for people, files for sheets, the API's JSON for programs.
//!
//! A command fills a [`Table`], puts it on a [`Page`] with what is to be said around it, and prints the page.

mod draw;
mod fit;
mod picture;
mod screen;
mod wording;

use std::io::{IsTerminal as _, Write};

use clap::{Args, ValueEnum};

use crate::model::table::Table;
use crate::model::table::export::Export;
use crate::model::text::{printable, printable_json, printable_lines};
pub(super) use screen::Screen;

/// Form of an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// The API's answer, unchanged
    Json,
    /// RFC 4180, with a header
    Csv,
    /// A JSON object a line
    Jsonl,
    /// Apache Parquet, for a file or a pipe
    Parquet,
}

/// How an answer is shown.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// Form of the answer
    #[arg(long, value_enum, default_value_t, global = true, help_heading = "Output")]
    pub(super) format: Format,
    /// Show all columns and whole names, wider than the terminal
    #[arg(long, global = true, help_heading = "Output")]
    wide: bool,
    /// Show amounts with all twelve decimals
    #[arg(long, global = true, help_heading = "Output")]
    exact: bool,
}

impl Look {
    /// Whether the API's answer is printed as it is.
    pub(super) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether it is for people.
    pub(super) fn is_table(self) -> bool {
        self.format == Format::Table
    }

    /// What is shown on.
    pub(super) fn screen(self) -> Screen {
        Screen::of_terminal(self.wide, self.exact)
    }

    /// Prints a table, drawn or as a file.
    pub(super) fn print(self, table: &Table) -> anyhow::Result<()> {
        match self.export() {
            Some(export) => print_export(export, table),
            None => Page::new(self.screen()).table(table).print(),
        }
    }

    /// The form for sheets that is asked for.
    pub(super) const fn export(self) -> Option<Export> {
        match self.format {
            Format::Csv => Some(Export::Csv),
            Format::Jsonl => Some(Export::Jsonl),
            Format::Parquet => Some(Export::Parquet),
            Format::Table | Format::Json => None,
        }
    }
}

/// Prints a table as a file for sheets.
pub(super) fn print_export(export: Export, table: &Table) -> anyhow::Result<()> {
    if export == Export::Parquet && std::io::stdout().is_terminal() {
        anyhow::bail!("Parquet is not for a terminal: send it to a file, as in `> rows.parquet`");
    }
    write_out(&export.write(table)?)
}

/// What is shown to people: lines of words, which are broken at the screen's edge, and tables, which fit it.
/// Nothing on it moves a cursor.
#[derive(Debug)]
pub(super) struct Page {
    screen: Screen,
    text: String,
}

impl Page {
    /// An empty page.
    pub(super) const fn new(screen: Screen) -> Self {
        Self { screen, text: String::new() }
    }

    /// Adds lines of words.
    #[must_use]
    pub(super) fn words(mut self, words: &str) -> Self {
        for line in printable_lines(words).lines() {
            self.text.push_str(&self.screen.broken(line));
            self.text.push('\n');
        }
        self
    }

    /// Adds lines that stay as they are, such as what is to be copied.
    #[must_use]
    pub(super) fn verbatim(mut self, lines: &str) -> Self {
        self.text.push_str(&printable_lines(lines));
        self.text.push('\n');
        self
    }

    /// Adds a line that matters less, where there is something to say.
    #[must_use]
    pub(super) fn note(mut self, words: &str) -> Self {
        for line in self.screen.broken(&printable(words)).lines() {
            self.text.push_str(&self.screen.dim(line));
            self.text.push('\n');
        }
        self
    }

    /// Adds an empty line.
    #[must_use]
    pub(super) fn gap(mut self) -> Self {
        self.text.push('\n');
        self
    }

    /// Adds a table, and a line on what had no room.
    #[must_use]
    pub(super) fn table(mut self, table: &Table) -> Self {
        let drawn = draw::draw(table, self.screen);
        self.text.push_str(&drawn.text);
        if drawn.left_out.is_empty() {
            return self;
        }
        self.note(&format!("not shown: {}; --wide shows all", drawn.left_out.join(", ")))
    }

    /// As it is printed.
    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Fails where a line is wider.
    #[cfg(test)]
    pub(super) fn assert_fits(&self, width: usize) {
        use unicode_width::UnicodeWidthStr;
        let wide: Vec<&str> = self.text.lines().filter(|line| line.width() > width).collect();
        assert!(wide.is_empty(), "{wide:#?} in\n{}", self.text);
    }

    /// Prints it.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        write_out(self.text.as_bytes())
    }
}

/// Prints, and takes a reader that has seen enough for granted. Whatever it says, no more than lines reach a
/// terminal.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let text = match text.starts_with(['{', '[']) {
        true => printable_json(text),
        false => printable_lines(text),
    };
    print_exactly(&text)
}

/// Texts of which each is one line, whatever it has in it.
pub(super) fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}

/// Says something beside what a command prints, on standard error.
pub(super) fn say(text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    // Nobody is left to tell where that cannot be written.
    let _ = write!(std::io::stderr().lock(), "{}{end}", printable_lines(text));
}

/// Prints byte for byte, for what is hashed.
pub(super) fn print_exactly(text: &str) -> anyhow::Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write_out(format!("{text}{end}").as_bytes())
}

/// Prints bytes.
pub(super) fn write_out(bytes: &[u8]) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

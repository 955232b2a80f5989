//! `tollgate chargeback`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};

use super::client::{self, Collector};
use super::export::NewFile;
use super::output::{self, Page, Screen};
use crate::model::answers::chargeback::{Chargeback, html};
use crate::model::table::export::Export;

/// Arguments of `tollgate chargeback`.
#[derive(Args, Debug)]
pub(super) struct ChargebackArgs {
    #[command(flatten)]
    collector: Collector,
    /// The month, such as 2026-10, UTC
    #[arg(long)]
    month: String,
    /// Only the statement of this team or cost center
    #[arg(long)]
    team: Option<String>,
    /// Form of the statements
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// File to write; without one, standard output
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,
    /// Show all columns and whole names, wider than the terminal
    #[arg(long)]
    wide: bool,
    /// Show amounts with all twelve decimals
    #[arg(long)]
    exact: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Form {
    /// Columns for people
    #[default]
    Table,
    /// RFC 4180, with a header: every line of every statement
    Csv,
    /// The API's answer, unchanged
    Json,
    /// Apache Parquet: every line of every statement
    Parquet,
    /// One file that prints well
    Html,
}

impl ChargebackArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let team = self.team.as_deref().map(|team| ("team", team));
        let asked: Vec<_> = std::iter::once(("month", self.month.as_str())).chain(team).collect();
        let body = self.collector.get("/api/v1/chargeback", &asked)?;
        let answer: Chargeback = client::read(&body)?;
        let bytes = match self.format {
            Form::Table if self.to_file.is_none() => return self.shown(&answer).print(),
            Form::Table => bail!("`--to-file` needs a `--format` for files: csv, json, parquet or html"),
            Form::Json if self.to_file.is_none() => return output::print(&body),
            Form::Json => body.into_bytes(),
            Form::Html => html::html(&answer).into_bytes(),
            Form::Csv => Export::Csv.write(&answer.lines())?,
            Form::Parquet => Export::Parquet.write(&answer.lines())?,
        };
        let Some(file) = &self.to_file else {
            if self.format == Form::Parquet && std::io::stdout().is_terminal() {
                bail!("Parquet is not for a terminal: name a file with `--to-file`");
            }
            return output::write_out(&bytes);
        };
        let mut new = NewFile::create(file)?;
        new.write_all(&bytes)?;
        new.keep()
    }

    fn shown(&self, answer: &Chargeback) -> Page {
        let state = match (&answer.closed_at, answer.partial) {
            (Some(at), _) => format!("closed at {at}"),
            (None, true) => "not over".to_owned(),
            (None, false) => "not closed".to_owned(),
        };
        let page = Page::new(Screen::of_terminal(self.wide, self.exact))
            .words(&format!("{}, UTC, {state}", answer.month))
            .gap()
            .table(&answer.overview());
        match self.team {
            None => page,
            Some(_) => page.gap().table(&answer.lines()),
        }
    }
}

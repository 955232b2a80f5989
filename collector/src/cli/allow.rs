//! `tollgate allow`: lists of models, and what one would have refused.

use clap::{Args, Subcommand};

use super::client::{self, Collector};
use super::output::{self, Look, Page};
use crate::model::answers::List;
use crate::model::answers::allow::{AllowRow, AllowTried, lists, scope_text};

/// Arguments of `tollgate allow`.
#[derive(Args, Debug)]
pub(super) struct AllowArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    collector: Collector,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show lists of models, with those of agents (this is what happens without a command)
    List,
    /// Show what a list would have refused of the calls of a time
    Try(Try),
}

#[derive(Args, Debug)]
struct Try {
    /// A list that there is; `agent:NAME` is that of an agent's models
    #[arg(required_unless_present = "models", conflicts_with_all = ["models", "scope", "untold"])]
    name: Option<String>,
    /// Models of a list that there is not yet, such as gpt-5*,!gpt-5-pro
    #[arg(long, value_delimiter = ',', value_name = "MODEL")]
    models: Vec<String>,
    /// Which calls it is for, such as team=support; repeat for several
    #[arg(long, value_name = "NAME=VALUE")]
    scope: Vec<String>,
    /// Let calls through whose models nobody can tell
    #[arg(long)]
    untold: bool,
    /// How far back, such as 24h, 7d or 4w
    #[arg(long, default_value = "7d", conflicts_with = "from")]
    since: String,
    /// Start, such as 2026-11-01 or 2026-11-01T08:00:00Z
    #[arg(long)]
    from: Option<String>,
    /// End, exclusive
    #[arg(long)]
    to: Option<String>,
}

impl AllowArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.command.unwrap_or(Command::List) {
            Command::List => {
                let body = self.collector.get("/api/v1/allow", &[])?;
                if self.look.is_json() {
                    return output::print(&body);
                }
                let answer: List<AllowRow> = client::read(&body)?;
                if answer.rows.is_empty() && self.look.is_table() {
                    return output::print("no lists of models; write [[allow]] into tollgate.toml");
                }
                self.look.print(&lists(&answer.rows))
            }
            Command::Try(asked) => asked.run(&self.collector, self.look),
        }
    }
}

impl Try {
    fn run(&self, ask: &Collector, look: Look) -> anyhow::Result<()> {
        let mut asked: Vec<(&str, &str)> = Vec::new();
        asked.extend(self.name.as_deref().map(|name| ("name", name)));
        asked.extend(self.models.iter().map(|model| ("models", model.as_str())));
        asked.extend(self.scope.iter().map(|scope| ("scope", scope.as_str())));
        asked.extend(self.untold.then_some(("untold", "true")));
        match self.from.as_deref() {
            Some(from) => asked.push(("from", from)),
            None => asked.push(("since", self.since.as_str())),
        }
        asked.extend(self.to.as_deref().map(|to| ("to", to)));
        let body = ask.get("/api/v1/allow/try", &asked)?;
        if look.is_json() {
            return output::print(&body);
        }
        let answer: AllowTried = client::read(&body)?;
        match look.export() {
            Some(export) => output::print_export(export, &answer.table()),
            None => page(&answer, look).print(),
        }
    }
}

fn page(answer: &AllowTried, look: Look) -> Page {
    let AllowTried { list, from, to, .. } = answer;
    let head = format!(
        "`{}` for {}: {}\nfrom {from} to {to}: {} calls in its scope, of which it would have refused {}",
        list.name,
        scope_text(&list.scope),
        list.models.join(" "),
        answer.calls,
        answer.refused_calls,
    );
    let mut page = Page::new(look.screen()).words(&head);
    if !answer.rows.is_empty() {
        page = page.gap().table(&answer.table());
    }
    page = page.gap();
    answer.notes.iter().fold(page, |page, note| page.note(note))
}

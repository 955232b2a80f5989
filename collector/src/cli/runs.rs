//! `tollgate runs`.

use clap::{Args, Subcommand, ValueEnum};

use super::client::{self, Ask, Collector, segment};
use super::output::{self, Look, Page, Screen};
use crate::model::answers::runs::{RunTree, RunsAnswer};

/// Arguments of `tollgate runs`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RunsArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one run with all that it started
    Show(Show),
}

#[derive(Args, Debug)]
struct List {
    #[command(flatten)]
    ask: Ask,
    /// What comes first: the most of this
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// How many actions to list, at most 1000: 20 unless told, in files all
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    top: Option<u16>,
    /// List what an action costs at each agent instead
    #[arg(long)]
    agents: bool,
    #[command(flatten)]
    look: Look,
}

#[derive(Args, Debug)]
struct Show {
    /// Id of the run, as its caller named it
    run: String,
    #[command(flatten)]
    collector: Collector,
    #[command(flatten)]
    look: Look,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Sort {
    /// Dollars
    #[default]
    Cost,
    /// Calls
    Calls,
    /// Time from the first call to the end of the last
    Duration,
    /// Levels of runs that started runs
    Depth,
    /// The latest
    Start,
}

impl RunsArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Some(Command::Show(show)) => show.run(),
            None => self.list.run(),
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let sort = self.sort.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let is_file = !self.look.is_json() && !self.look.is_table();
        let is_all = is_file && !self.agents && self.top.is_none();
        let top = self.top.unwrap_or(if is_all { PAGE_MAX } else { TOP }).to_string();
        let body = self.ask.get("/api/v1/runs", &[("sort", &sort), ("limit", &top)])?;
        if self.look.is_json() {
            return output::print(&body);
        }
        let mut answer: RunsAnswer = client::read(&body)?;
        // The same time for all pages, also where it was told as so long ago.
        let ask = self.ask.between(&answer.from, &answer.to);
        while let Some(cursor) = answer.next_cursor.take().filter(|_| is_all) {
            let more = [("sort", sort.as_str()), ("limit", top.as_str()), ("cursor", cursor.as_str())];
            let page: RunsAnswer = client::read(&ask.get("/api/v1/runs", &more)?)?;
            answer.rows.extend(page.rows);
            answer.next_cursor = page.next_cursor;
        }
        if is_file {
            return self.look.print(&if self.agents { answer.agents_table() } else { answer.table() });
        }
        page(&answer, self.agents, self.look.screen()).print()
    }
}

impl Show {
    fn run(self) -> anyhow::Result<()> {
        let body = self.collector.get(&format!("/api/v1/runs/{}", segment(&self.run)), &[])?;
        if self.look.is_json() {
            return output::print(&body);
        }
        let tree: RunTree = client::read(&body)?;
        if !self.look.is_table() {
            return self.look.print(&tree.table());
        }
        let mut page = Page::new(self.look.screen());
        if !tree.started_by.is_empty() {
            page = page.words(&format!("started by {}", tree.started_by.join(", started by "))).gap();
        }
        behind(page.table(&tree.table()), tree.unfollowed_records).print()
    }
}

fn page(answer: &RunsAnswer, agents: bool, screen: Screen) -> Page {
    let page =
        Page::new(screen).words(&format!("runs that started from {} to {}", answer.from, answer.to)).gap();
    if answer.actions == 0 {
        let why = answer.hint.as_deref().unwrap_or("no call named a run then");
        let page = page.words(why);
        return behind(page, answer.unfollowed_records);
    }
    let page = if agents { page } else { page.table(&answer.table()).gap() };
    let shown = answer.rows.len();
    let page = match answer.actions.saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX)) {
        more @ 1.. if !agents => page.words(&format!("and {more} more; --top shows more of them")).gap(),
        _ => page,
    };
    behind(
        page.words("what one action costs, by agent").table(&answer.agents_table()),
        answer.unfollowed_records,
    )
}

/// Says how much is missing, if anything is.
pub(super) fn behind(page: Page, unfollowed_records: u64) -> Page {
    match unfollowed_records {
        0 => page,
        records => page.gap().words(&format!("{records} records that came lately are not counted here yet")),
    }
}

/// Actions of a list unless told.
const TOP: u16 = 20;
/// Most actions of a page.
const PAGE_MAX: u16 = 1000;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run() -> Value {
        json!({
            "run": "0190a5d4-ac96-774b-8000-000000000001", "agent": "support-inbox-triage", "start": "2026-11-20T10:00:00Z",
            "duration_ms": 84_000, "status": "ok", "calls": 27, "denied": 1, "errors": 2, "runs": 5, "depth": 3, "started": 2,
            "input_tokens": 120_000, "output_tokens": 4_000, "first_input_tokens": 900, "last_input_tokens": 12_000,
            "cost_usd": "0.412300000000",
        })
    }

    #[test]
    fn the_list_fits_eighty_columns_and_says_what_is_not_listed() {
        let agent = json!({
            "agent": "support-inbox-triage", "actions": 412, "cost_usd": "120.000000000000",
            "median_cost_usd": "0.210000000000", "p90_cost_usd": "0.900000000000", "max_cost_usd": "4.100000000000",
            "median_calls": 18, "p90_calls": 30, "max_calls": 212,
        });
        let answer: RunsAnswer = serde_json::from_value(json!({
            "from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z", "rows": [run()], "actions": 412, "agents": [agent],
            "unfollowed_records": 3,
        }))
        .unwrap();
        let page = page(&answer, false, Screen::plain(80));
        page.assert_fits(80);
        for words in ["27", "0.41", "and 411 more", "median $", "3 records"] {
            assert!(page.text().contains(words), "{words} in\n{}", page.text());
        }
    }

    #[test]
    fn a_tree_shows_each_run_under_the_one_that_started_it() {
        let part = |feature: &str, cost: &str| {
            json!({
                "agent": "a", "team": "t", "feature": feature, "environment": "production", "provider": "openai", "model": "gpt-5",
                "calls": 1, "denied": 0, "errors": 0, "input_tokens": 10, "output_tokens": 2, "cost_usd": cost,
            })
        };
        let node = |run: &str, level: u64, parts: Vec<Value>| {
            json!({
                "run": run, "level": level, "start": "2026-11-20T10:00:00Z", "duration_ms": 1_200, "status": "ok",
                "calls": parts.len(), "denied": 0, "cost_usd": "0.500000000000", "tree_cost_usd": "0.700000000000", "parts": parts,
            })
        };
        let two = vec![part("plan", "0.3"), part("write", "0.2")];
        let tree: RunTree = serde_json::from_value(json!({
            "run": "top", "started_by": [], "calls": 3, "cost_usd": "0.700000000000", "unfollowed_records": 0,
            "nodes": [node("top", 0, two), node("below", 1, vec![part("look", "0.2")])],
        }))
        .unwrap();
        let page = Page::new(Screen::plain(80)).table(&tree.table());
        page.assert_fits(80);
        let lines: Vec<&str> =
            page.text().lines().map(|line| line.split("  a").next().unwrap().trim_end()).collect();
        assert_eq!(lines[2..4], ["  -", "  -"], "{}", page.text());
        assert!(page.text().lines().nth(4).unwrap().starts_with("  below"), "{}", page.text());
    }
}

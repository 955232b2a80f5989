//! `--help`: commands by topic, examples, exit codes; completions of shells, and man pages.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::{Cli, output};

/// The command line, as it is parsed and shown.
pub(super) fn command() -> Command {
    let mut command = Cli::command();
    for (path, examples) in EXAMPLES {
        command = with_examples(command, path, examples);
    }
    let topics = topics(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{topics}Options:\n{{options}}\n\n{EXIT_CODES}"
    ))
}

/// Arguments of `tollgate completions`.
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints them.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command(), "tollgate", &mut script);
        output::print_exactly(String::from_utf8(script).context("completions are no text")?.trim_end())
    }
}

/// Arguments of `tollgate man`.
#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// The directory, which is made where it is missing; one page for each command
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

impl ManArgs {
    /// Writes them.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let shown = self.to.display();
        std::fs::create_dir_all(&self.to).with_context(|| format!("`{shown}` cannot be made"))?;
        // Topics stand in the way of the list that a page makes itself.
        let command = command().help_template("{all-args}").after_help(EXIT_CODES);
        clap_mangen::generate_to(command, &self.to)
            .with_context(|| format!("man pages cannot be written to `{shown}`"))?;
        output::print(&format!("man pages are in {shown}; read one with `man -l {shown}/tollgate.1`"))
    }
}

fn with_examples(command: Command, path: &[&str], examples: &'static str) -> Command {
    match path {
        [] => command.after_help(examples),
        [first, rest @ ..] => command.mut_subcommand(*first, |sub| with_examples(sub, rest, examples)),
    }
}

/// Commands with what they do, under their topics. What no topic names stands last.
fn topics(command: &Command) -> String {
    let shown: Vec<(&str, String)> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(|sub| (sub.get_name(), sub.get_about().map(ToString::to_string).unwrap_or_default()))
        .collect();
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let listed = |text: &mut String, title: &str, names: &[&str]| {
        let rows: Vec<&(&str, String)> =
            names.iter().filter_map(|name| shown.iter().find(|(known, _)| known == name)).collect();
        if rows.is_empty() {
            return;
        }
        text.push_str(&format!("{title}:\n"));
        for (name, about) in rows {
            text.push_str(&format!("  {name:width$}  {about}\n"));
        }
        text.push('\n');
    };
    let mut text = String::new();
    for (title, names) in TOPICS {
        listed(&mut text, title, names);
    }
    let named = |name: &&str| TOPICS.iter().any(|(_, names)| names.contains(name));
    let others: Vec<&str> = shown.iter().map(|(name, _)| *name).filter(|name| !named(name)).collect();
    listed(&mut text, "Others", &others);
    text
}

/// Commands by topic.
const TOPICS: &[(&str, &[&str])] = &[
    ("Running", &["serve", "check", "schema", "token", "demo-data", "completions", "man"]),
    (
        "Reports",
        &[
            "summary",
            "compare",
            "baseline",
            "runs",
            "prompts",
            "what-if",
            "top",
            "records",
            "reports",
            "anomalies",
            "chargeback",
        ],
    ),
    ("Budgets, rules and alerts", &["budgets", "agents", "allow", "keys", "explain", "alerts"]),
    ("Prices", &["prices", "estimate", "meter", "reprice", "close-month"]),
    ("Keeping", &["backup", "restore", "import", "export", "reconcile", "audit"]),
];
/// What the process exits with.
const EXIT_CODES: &str = "Exit codes:
  0    all went well
  1    it failed, as when no collector answers, or a check found something; standard error says what
  2    the command line or a configuration is wrong; nothing was done
  130  it was interrupted";
/// Examples by command. Each is parsed by a test.
const EXAMPLES: &[(&[&str], &str)] = &[
    (
        &["summary"],
        "Examples:
  tollgate summary --by model --month 2026-10 --tz Europe/Berlin
  tollgate summary --by day,team --since 14d
  tollgate summary --by agent --top 10 --format csv
  tollgate summary --unattributed --by key,gateway",
    ),
    (
        &["compare"],
        "Examples:
  tollgate compare
  tollgate compare --month 2026-10 --by agent,feature --top 5
  tollgate compare --from 2026-11-16 --to 2026-11-30 --with 2026-11-01..2026-11-15",
    ),
    (
        &["baseline"],
        "Examples:
  tollgate baseline
  tollgate baseline --agent triage --days 14
  tollgate baseline --from 2026-11-01 --format json",
    ),
    (
        &["top"],
        "Keys: q quit, s sort, / filter, arrows and page keys move.

Examples:
  tollgate top
  tollgate top --by team --every 5
  tollgate top --once",
    ),
    (
        &["records"],
        "Examples:
  tollgate records --agent triage --since 1h
  tollgate records --cost-status unpriced --since 7d --wide
  tollgate records --explain 01890a5d-ac96-774b-8000-000000000001",
    ),
    (
        &["budgets"],
        "Examples:
  tollgate budgets
  tollgate budgets list --budget support-month --format json
  tollgate budgets suggest --factor 1.5 --window month
  tollgate budgets top-up support-month 5.00",
    ),
    (
        &["budgets", "suggest"],
        "Examples:
  tollgate budgets suggest --team support
  tollgate budgets suggest --from-baseline --window month",
    ),
    (
        &["agents"],
        "Examples:
  tollgate agents
  tollgate agents approve triage --team support --owner dana --model gpt-5* --review 2027-06-30
  tollgate agents export --format csv",
    ),
    (
        &["keys"],
        "Examples:
  tollgate keys hash --agent triage --team support",
    ),
    (
        &["explain"],
        "Examples:
  tollgate explain --call call.json
  tollgate explain --call - --filter plugin.json
  tollgate explain 01890a5d-ac96-774b-bcce-b302099a8057",
    ),
    (
        &["allow"],
        "Examples:
  tollgate allow list
  tollgate allow try support-models --since 4w
  tollgate allow try --models gpt-5*,!gpt-5-pro --scope team=support --scope environment=prod*",
    ),
    (
        &["alerts"],
        "Examples:
  tollgate alerts
  tollgate alerts test ops
  tollgate alerts reviews",
    ),
    (
        &["reports"],
        "Examples:
  tollgate reports list
  tollgate reports preview search-weekly --period 2026-W47 --format html
  tollgate reports send search-weekly --period 2026-W47 --again",
    ),
    (
        &["anomalies"],
        "Examples:
  tollgate anomalies
  tollgate anomalies --format json",
    ),
    (
        &["audit"],
        "Examples:
  tollgate audit list
  tollgate audit verify",
    ),
    (
        &["prices"],
        "Examples:
  tollgate prices list
  tollgate prices missing
  tollgate prices drift",
    ),
    (
        &["estimate"],
        "Examples:
  tollgate estimate --provider openai --model gpt-5 --text hello
  tollgate estimate --prompt prompt.txt --model gpt-4o,gpt-4o-mini --output-tokens 300 --calls 100000/month
  tollgate estimate --prompt-tokens 2000 --model gpt-4o --output-tokens 300 --calls 5000/day --save support
  tollgate estimate --check support",
    ),
    (
        &["runs"],
        "Examples:
  tollgate runs --since 7d --agent research --top 5
  tollgate runs --agents --format csv
  tollgate runs show 7f3c",
    ),
    (
        &["what-if"],
        "Examples:
  tollgate what-if --agent classifier --model gpt-4o-mini
  tollgate what-if --all --since 30d",
    ),
    (
        &["prompts"],
        "Examples:
  tollgate prompts --since 30d
  tollgate prompts --agent support --show changes",
    ),
    (
        &["demo-data"],
        "Examples:
  tollgate demo-data --days 90 --to demo
  tollgate demo-data --records 1000",
    ),
    (
        &["reconcile"],
        "Examples:
  tollgate reconcile costs.csv
  tollgate reconcile openai.json anthropic.json --tz UTC --max-gap 2 --format csv
  tollgate reconcile invoice.csv --dry-run
  tollgate reconcile invoice.csv --book --reason 'invoice 2026-10'",
    ),
    (
        &["reprice"],
        "Examples:
  tollgate reprice --since 4w --dry-run",
    ),
];

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    #[test]
    fn every_command_has_one_topic_and_every_topic_has_commands_that_there_are() {
        let command = command();
        let mut named: Vec<&str> = TOPICS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut known: Vec<&str> =
            command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(Command::get_name).collect();
        named.sort_unstable();
        known.sort_unstable();
        assert_eq!(named, known);
        let help = command.clone().render_help().to_string();
        for text in ["Reports:\n  summary", "Options:\n", "Exit codes:\n  0    all went well"] {
            assert!(help.contains(text), "no `{text}` in\n{help}");
        }
        assert!(help.lines().all(|line| line.len() <= 110), "{help}");
    }

    #[test]
    fn every_example_is_a_command() {
        for (path, text) in EXAMPLES {
            for line in text.lines().filter(|line| line.starts_with("  ")) {
                let words = line.split_whitespace();
                let matches = command().try_get_matches_from(words);
                let read = matches.and_then(|matches| Cli::from_arg_matches(&matches));
                assert!(read.is_ok(), "{path:?}: {line}: {read:?}");
            }
        }
    }

    #[test]
    fn options_of_the_collector_and_of_output_come_after_those_of_the_command() {
        let mut command = command();
        command.build();
        for name in ["summary", "compare", "baseline", "prompts", "what-if", "records", "anomalies"] {
            let help = command.find_subcommand_mut(name).unwrap().render_long_help().to_string();
            let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("no `{text}` in {name}:\n{help}"));
            assert!(at("\nOptions:") < at("\nFilters:"), "{name}");
            for global in ["\nOutput:", "\nCollector:"] {
                assert!(at("\nFilters:") < at(global) && at(global) < at("\nExamples:"), "{name}");
            }
        }
    }

    #[test]
    fn completions_and_man_pages_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "tollgate", &mut script);
            assert!(String::from_utf8(script).unwrap().contains("compare"), "{shell}");
        }
        let dir = tempfile::tempdir().unwrap();
        ManArgs { to: dir.path().join("man") }.run().unwrap();
        let page = std::fs::read_to_string(dir.path().join("man/tollgate-compare.1")).unwrap();
        assert!(page.contains("previous") && page.contains("Examples"), "{page}");
        assert!(dir.path().join("man/tollgate-budgets-suggest.1").exists());
    }
}

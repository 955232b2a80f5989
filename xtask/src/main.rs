//! `cargo xtask`: builds, starts, tests and measures Tollgate.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod ask;
mod attack;
mod bench;
mod chaos;
mod demo;
mod estimator;
mod fuzz;
mod rules;
mod signals;
mod test;
mod up;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use tollgate_tests::{artifacts, process};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whatever was started must not outlive a step that failed.
            process::stop_all();
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

// Long: one arm for each command.
fn run(arguments: &[String]) -> Result<()> {
    let Some((command, options)) = arguments.split_first() else {
        eprint!("{USAGE}");
        bail!("which command?");
    };
    match command.as_str() {
        "build" => {
            let options = Options::parse(options, &["--static"], &[])?;
            if options.has("--static") {
                estimator::build()?;
                let tollgate = artifacts::build_static_collector()?;
                println!("{} ({} KiB)", tollgate.display(), std::fs::metadata(&tollgate)?.len() / 1024);
                return Ok(());
            }
            build()
        }
        "estimator" => {
            Options::parse(options, &[], &[])?;
            let folder = estimator::build()?;
            for file in std::fs::read_dir(&folder)? {
                let file = file?;
                println!("{} ({} KiB)", file.path().display(), file.metadata()?.len() / 1024);
            }
            Ok(())
        }
        "up" => {
            let options = Options::parse(options, &["--demo", "--exit"], &[])?;
            signals::stop_children()?;
            up::up(options.has("--demo"), options.has("--exit"))
        }
        "test" => {
            let options = Options::parse(options, &["--all"], &["--only"])?;
            test::test(options.value("--only"), options.has("--all"))
        }
        "bench" => {
            let options =
                Options::parse(options, &["--backtest"], &["--rounds", "--seconds", "--pairs", "--seed"])?;
            signals::stop_children()?;
            if options.has("--backtest") {
                return bench::backtest(options.number("--seed", 1)?);
            }
            bench::bench(
                options.number("--rounds", 9)?,
                options.number("--seconds", 3)?,
                options.number("--pairs", 40)?,
            )
        }
        "fuzz" => {
            let options = Options::parse(options, &[], &["--seconds", "--target"])?;
            fuzz::fuzz(options.number("--seconds", 60)?, options.value("--target"))
        }
        "attack" => {
            Options::parse(options, &[], &[])?;
            signals::stop_children()?;
            attack::attack()
        }
        "chaos" => {
            let options = Options::parse(options, &[], &["--only"])?;
            signals::stop_children()?;
            chaos::chaos(options.value("--only"))
        }
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        unknown => {
            eprint!("{USAGE}");
            bail!("there is no command `{unknown}`")
        }
    }
}

fn build() -> Result<()> {
    let filter = artifacts::build_filter()?;
    estimator::build()?;
    let tollgate = artifacts::build_collector()?;
    println!("{} ({} KiB)", filter.display(), std::fs::metadata(&filter)?.len() / 1024);
    println!("{}", tollgate.display());
    Ok(())
}

/// What follows a command: flags, and options with a value.
struct Options(Vec<(String, Option<String>)>);

impl Options {
    fn parse(given: &[String], flags: &[&str], values: &[&str]) -> Result<Self> {
        let mut options = Vec::new();
        let mut given = given.iter();
        while let Some(name) = given.next() {
            if flags.contains(&name.as_str()) {
                options.push((name.clone(), None));
            } else if values.contains(&name.as_str()) {
                let value = given.next().with_context(|| format!("{name} needs a value"))?;
                options.push((name.clone(), Some(value.clone())));
            } else {
                bail!("`{name}` is not an option of this command");
            }
        }
        Ok(Self(options))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name)?.1.as_deref()
    }

    fn number(&self, name: &str, default: u32) -> Result<u32> {
        let Some(value) = self.value(name) else {
            return Ok(default);
        };
        value.parse().with_context(|| format!("{name}: `{value}` is not a number"))
    }
}

const USAGE: &str = "\
cargo xtask COMMAND

  build                builds target/tollgate.wasm and target/release/tollgate
  build --static       builds a `tollgate` that needs no library: target/x86_64-unknown-linux-musl/release/tollgate
  estimator            builds the modules of the page of estimates, which the next build of the collector takes up
  up                   starts the gateway and the collector on loopback; Ctrl-C stops them
  up --demo            the same with simulated providers and traffic of several agents; prints the summary
  up --demo --exit     ends after the summary; exit code 0 only if it agrees with the providers' own ledger
  test [--only STEP]   what proves the project within an hour
  test --all           everything that proves it
  bench [--rounds N] [--seconds S] [--pairs P]
                       what Tollgate costs an Envoy: a table, and target/bench.json; P times with and without budgets
  bench --backtest [--seed N]
                       how well anomalies are found: recall, precision and delay over generated weeks
  fuzz [--seconds N] [--target NAME]
                       fuzzes every decoder, the request side and whole calls, each for N seconds
  attack               callers who try to pass a budget or to close it for others, judged by the providers' own ledger
  chaos [--only NAME]  bursts, kills, losses and outages against budgets: a table; fails where a limit does not hold
";

//! `cargo xtask test`: everything that proves the project.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use tollgate_tests::artifacts::{self, WASM_TARGET, Workspace};
use tollgate_tests::envoy;

use crate::{estimator, rules};

/// A step: its name, and what it runs.
struct Step {
    name: &'static str,
    run: fn() -> Result<()>,
    /// Whether it has no room in the hour that the proof of each change may take.
    is_long: bool,
}

/// Runs every step that fits into an hour, all with `all`, or the one named; stops at the first that fails.
pub(crate) fn test(only: Option<&str>, all: bool) -> Result<()> {
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    if let Some(only) = only
        && !names.contains(&only)
    {
        bail!("there is no step `{only}`; the steps are {}", names.join(", "));
    }
    let start = Instant::now();
    let mut times = Vec::new();
    let is_asked = |step: &&Step| only.map_or(all || !step.is_long, |only| only == step.name);
    for step in STEPS.iter().filter(is_asked) {
        println!("== {}", step.name);
        let begun = Instant::now();
        (step.run)().map_err(|error| error.context(format!("step `{}`", step.name)))?;
        times.push(format!("{} {}s", step.name, begun.elapsed().as_secs()));
    }
    println!("== passed in {}s: {}", start.elapsed().as_secs(), times.join(", "));
    if only.is_none() && !all {
        let left: Vec<&str> = STEPS.iter().filter(|step| step.is_long).map(|step| step.name).collect();
        println!("== not run, `--all` runs them too: {}", left.join(", "));
    }
    Ok(())
}

const STEPS: [Step; 11] = [
    step("format", || cargo(&["fmt", "--all", "--check"], "`cargo fmt` mends it")),
    step("rules", rules::check),
    // Before all that builds the collector, which takes its modules up.
    step("estimator", || estimator::build().map(drop)),
    step("lints", lints),
    step("lints-wasm", lints_wasm),
    step("units", units),
    step("end-to-end", end_to_end),
    long("end-to-end-long", end_to_end_long),
    long("minihost", minihost),
    long("versions", versions),
    long("documentation", documentation),
];

const fn step(name: &'static str, run: fn() -> Result<()>) -> Step {
    Step { name, run, is_long: false }
}

const fn long(name: &'static str, run: fn() -> Result<()>) -> Step {
    Step { name, run, is_long: true }
}

fn lints() -> Result<()> {
    let mut arguments = vec!["clippy", "--quiet", "--workspace", "--all-targets"];
    arguments.extend(WITHOUT_WASM);
    arguments.extend(["--", "-D", "warnings"]);
    cargo(&arguments, "mend what clippy names")
}

fn lints_wasm() -> Result<()> {
    artifacts::ensure_wasm_target()?;
    let mut arguments =
        vec!["clippy", "--quiet", "--target", WASM_TARGET, "--features", "tollgate-filter/test-panic"];
    arguments.extend(["-p", "tollgate-filter", "-p", "tollgate-bench-noop", "-p", "tollgate-bench-readonly"]);
    arguments.extend(["--", "-D", "warnings"]);
    cargo(&arguments, "mend what clippy names")
}

/// The tests of all crates but those that need Envoy or the built module: side by side, where `cargo-nextest`
/// is installed.
fn units() -> Result<()> {
    let with = |command: &[&'static str]| [command, &artifacts::WITH_UNITS].concat();
    if command(&["nextest", "--version"])?.output().is_ok_and(|output| output.status.success()) {
        let quiet = ["--status-level", "slow", "--show-progress", "none"];
        cargo(
            &with(&[&["nextest", "run", "--no-fail-fast"][..], &quiet].concat()),
            "a unit or property test fails",
        )?;
        return cargo(&with(&["test", "--quiet", "--doc"]), "a doc test fails");
    }
    cargo(&with(&["test", "--quiet"]), "a unit, property or doc test fails")
}

fn end_to_end() -> Result<()> {
    let root = &Workspace::find()?.root;
    let mut suites: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(root.join("tests/tests"))? {
        let name = entry?.file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        if !LONG_SUITES.contains(&name.as_str()) {
            suites.push(name);
        }
    }
    suites.sort();
    run_suites(&suites.iter().map(String::as_str).collect::<Vec<_>>(), None)
}

/// With the collector that users have.
fn end_to_end_long() -> Result<()> {
    artifacts::build_filter()?;
    artifacts::build_collector()?;
    let mut arguments = vec!["test", "--package", "tollgate-tests"];
    arguments.extend(LONG_SUITES.iter().flat_map(|suite| ["--test", suite]));
    cargo(&arguments, "an end-to-end test fails; its logs are below target/e2e")
}

fn minihost() -> Result<()> {
    artifacts::build_filter()?;
    cargo(
        &["test", "--quiet", "--package", "tollgate-minihost"],
        "the module does not stand a fault of its host: the message names the host call, its time and the status",
    )
}

/// Runs end-to-end suites, with the newest Envoy or another version.
fn run_suites(suites: &[&str], version: Option<&str>) -> Result<()> {
    artifacts::build_filter()?;
    artifacts::build_collector_for_tests()?;
    let mut arguments = vec!["test", "--package", "tollgate-tests", "--lib"];
    arguments.extend(suites.iter().flat_map(|suite| ["--test", suite]));
    let mut command = command(&arguments)?;
    command.env(artifacts::COLLECTOR_FOR_TESTS, "1");
    if let Some(version) = version {
        command.env(envoy::VERSION, version).env_remove("TOLLGATE_ENVOY");
    }
    artifacts::run(&mut command, "an end-to-end test fails; its logs are below target/e2e")
}

/// The suites in which versions of Envoy may differ, on all that people have but the newest, which
/// `end-to-end` ran. One version after the other: beside each other, on two cores, bursts of calls come too
/// late for what a test waits for.
fn versions() -> Result<()> {
    let (_, older) = envoy::VERSIONS.split_last().unwrap_or((&"", &[]));
    for version in older {
        println!("-- Envoy {version}");
        run_suites(&SUITES, Some(version))?;
    }
    Ok(())
}

fn documentation() -> Result<()> {
    let mut arguments = vec!["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"];
    arguments.extend(WITHOUT_WASM);
    let mut command = command(&arguments)?;
    // Links to private items are for those who read the source; broken ones are for nobody.
    command.env("RUSTDOCFLAGS", "-D rustdoc::broken_intra_doc_links");
    artifacts::run(&mut command, "mend what rustdoc names")
}

fn cargo(arguments: &[&str], advice: &str) -> Result<()> {
    artifacts::run(&mut command(arguments)?, advice)
}

fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&Workspace::find()?.root).args(arguments);
    Ok(command)
}

/// What runs on every version.
const SUITES: [&str; 6] = ["envoy_configs", "metering", "streaming", "budgets", "outages", "attribution"];

/// Suites that wait for minutes, for what is compiled by pip, or for answers that only a collector as users
/// have it gives in time.
const LONG_SUITES: [&str; 6] = ["anomalies", "attack", "exports", "folding", "pages", "runaways"];

/// Crates that only build for wasm.
const WITHOUT_WASM: [&str; 4] = ["--exclude", "tollgate-bench-noop", "--exclude", "tollgate-bench-readonly"];

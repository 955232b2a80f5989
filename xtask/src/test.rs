//! `cargo xtask test`: everything that proves the project.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use tollgate_tests::artifacts::{self, WASM_TARGET, Workspace};
use tollgate_tests::envoy;

use crate::rules;

/// A step: its name, and what it runs.
struct Step {
    name: &'static str,
    run: fn() -> Result<()>,
}

/// Runs every step, or the one named, and stops at the first that fails.
pub(crate) fn test(only: Option<&str>) -> Result<()> {
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    if let Some(only) = only
        && !names.contains(&only)
    {
        bail!("there is no step `{only}`; the steps are {}", names.join(", "));
    }
    let start = Instant::now();
    let mut times = Vec::new();
    for step in STEPS.iter().filter(|step| only.is_none_or(|only| only == step.name)) {
        println!("== {}", step.name);
        let begun = Instant::now();
        (step.run)().map_err(|error| error.context(format!("step `{}`", step.name)))?;
        times.push(format!("{} {}s", step.name, begun.elapsed().as_secs()));
    }
    println!("== passed in {}s: {}", start.elapsed().as_secs(), times.join(", "));
    Ok(())
}

const STEPS: [Step; 8] = [
    Step { name: "format", run: || cargo(&["fmt", "--all", "--check"], "`cargo fmt` mends it") },
    Step { name: "rules", run: rules::check },
    Step { name: "lints", run: lints },
    Step { name: "lints-wasm", run: lints_wasm },
    Step { name: "units", run: units },
    Step { name: "end-to-end", run: end_to_end },
    Step { name: "versions", run: versions },
    Step { name: "documentation", run: documentation },
];

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
    let mut crates = vec!["--workspace", "--exclude", "tollgate-tests", "--exclude", "tollgate-minihost"];
    crates.extend(WITHOUT_WASM);
    let with = |command: &[&'static str]| [command, &crates].concat();
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
    artifacts::build_filter()?;
    artifacts::build_collector()?;
    cargo(
        &["test", "--quiet", "--package", "tollgate-minihost"],
        "the module does not stand a fault of its host: the message names the host call, its time and the status",
    )?;
    cargo(&["test", "--package", "tollgate-tests"], "an end-to-end test fails; its logs are below target/e2e")
}

/// The suites in which versions of Envoy may differ, on all that people have but the newest, which
/// `end-to-end` ran. One version after the other: beside each other, on two cores, bursts of calls come too
/// late for what a test waits for.
fn versions() -> Result<()> {
    artifacts::build_filter()?;
    artifacts::build_collector()?;
    let (_, older) = envoy::VERSIONS.split_last().unwrap_or((&"", &[]));
    for version in older {
        println!("-- Envoy {version}");
        let mut arguments = vec!["test", "--quiet", "--package", "tollgate-tests"];
        arguments.extend(SUITES.iter().flat_map(|suite| ["--test", suite]));
        let mut command = command(&arguments)?;
        command.env(envoy::VERSION, version).env_remove("TOLLGATE_ENVOY");
        artifacts::run(
            &mut command,
            &format!("a test fails on Envoy {version}; its logs are below target/e2e"),
        )?;
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

/// Crates that only build for wasm.
const WITHOUT_WASM: [&str; 4] = ["--exclude", "tollgate-bench-noop", "--exclude", "tollgate-bench-readonly"];

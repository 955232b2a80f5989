//! `cargo xtask fuzz`: runs every target of `core/fuzz`, from seeds made of the fixtures, and prints what
//! each did.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use serde_json::Value;
use tollgate_tests::artifacts::{self, Workspace};

/// One target's run.
struct Fuzzed {
    target: String,
    executions: String,
    per_second: String,
    /// As libFuzzer itself tells them.
    seconds: String,
    finding: Option<String>,
}

/// Runs every target, or `only` one, for so many seconds. Fails when one found something.
pub(crate) fn fuzz(seconds: u32, only: Option<&str>) -> Result<()> {
    let workspace = Workspace::find()?;
    let mut chosen = targets(workspace)?;
    let all_names = chosen.join(", ");
    chosen.retain(|target| only.is_none_or(|only| only == target));
    if chosen.is_empty() {
        bail!("--target: `{}` is none of {all_names}", only.unwrap_or_default());
    }
    let binaries = build(workspace)?;
    let mut all = Vec::new();
    println!("{:<12} {:>12} {:>10} {:>8}  finding", "target", "executions", "a second", "seconds");
    for target in chosen {
        let seeds = workspace.file(&format!("target/fuzz/seeds/{target}"));
        sow(workspace, &target, &seeds)?;
        let fuzzed = run(workspace, &binaries.join(&target), &target, &seeds, seconds)?;
        let finding = fuzzed.finding.as_deref().unwrap_or("none");
        let Fuzzed { target, executions, per_second, seconds, .. } = &fuzzed;
        println!("{target:<12} {executions:>12} {per_second:>10} {seconds:>8}  {finding}");
        all.push(fuzzed);
    }
    let found: Vec<&str> =
        all.iter().filter(|one| one.finding.is_some()).map(|one| one.target.as_str()).collect();
    if !found.is_empty() {
        bail!(
            "{} found something; run the target's binary with the file named above to see it",
            found.join(", ")
        );
    }
    Ok(())
}

/// Builds the targets without a sanitizer: `core` has no `unsafe`, and what is looked for are panics,
/// overflows, hangs and different answers. Gives the folder of their binaries.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let cargo_fuzz = cargo_fuzz(workspace)?;
    let mut command = Command::new(cargo_fuzz);
    command.args(["build", "--sanitizer", "none", "--target-dir"]).arg(workspace.file("target/fuzz"));
    // libFuzzer's instrumentation is a flag that stable compilers hide.
    command.current_dir(workspace.file("core")).env("RUSTC_BOOTSTRAP", "1");
    artifacts::run(&mut command, "libFuzzer is C++: a C++ compiler must be installed")?;
    let about = Command::new("rustc").arg("-vV").output().context("rustc -vV")?;
    let about = String::from_utf8_lossy(&about.stdout).into_owned();
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok(workspace.file("target/fuzz").join(host).join("release"))
}

/// The installed `cargo-fuzz`, else one that is installed under `target`.
fn cargo_fuzz(workspace: &Workspace) -> Result<PathBuf> {
    let on_path = Command::new("cargo-fuzz").arg("--version").output();
    if on_path.is_ok_and(|output| output.status.success()) {
        return Ok("cargo-fuzz".into());
    }
    let root = workspace.file("target/tools");
    let binary = root.join("bin/cargo-fuzz");
    if !binary.exists() {
        let mut install = Command::new("cargo");
        install.args(["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ, "--root"]).arg(&root);
        artifacts::run(&mut install, "cargo-fuzz comes from crates.io, which must be reachable")?;
    }
    Ok(binary)
}

fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.file("core/fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Writes seeds: every body of the fixtures behind a few of the two bytes that choose.
fn sow(workspace: &Workspace, target: &str, seeds: &Path) -> Result<()> {
    fs::create_dir_all(seeds)?;
    let mut bodies: Vec<Vec<u8>> = match target {
        "inflate" => COMPRESSED.iter().map(|body| body.to_vec()).collect(),
        _ => fixtures(workspace)?,
    };
    bodies.retain(|body| body.len() < SEED_BYTES_MAX);
    for (number, body) in bodies.iter().enumerate() {
        for choice in 0..CHOICES {
            // Spread over all that can be chosen; the fuzzer finds the others.
            let chosen = u8::try_from((number * 7 + usize::from(choice) * 5) % 26).unwrap_or(0);
            let seed = [&[if target == "inflate" { choice } else { chosen }, choice][..], body].concat();
            fs::write(seeds.join(format!("fixture-{number}-{choice}")), seed)?;
        }
    }
    Ok(())
}

fn fixtures(workspace: &Workspace) -> Result<Vec<Vec<u8>>> {
    let mut bodies = Vec::new();
    for entry in fs::read_dir(workspace.file("core/testdata"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in fs::read_to_string(&path)?.lines() {
            let fixture: Value = serde_json::from_str(line)?;
            let answer = fixture.get("response_body_base64").and_then(Value::as_str).unwrap_or_default();
            bodies.push(base64::engine::general_purpose::STANDARD.decode(answer)?);
            let request = fixture.get("request_body").and_then(Value::as_str);
            bodies.extend(request.map(|body| body.as_bytes().to_vec()));
        }
    }
    Ok(bodies)
}

fn run(workspace: &Workspace, binary: &Path, target: &str, seeds: &Path, seconds: u32) -> Result<Fuzzed> {
    let findings = workspace.file(&format!("target/fuzz/findings/{target}"));
    fs::create_dir_all(&findings)?;
    let output = Command::new(binary)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=16384", "-print_final_stats=1"])
        .arg(seeds)
        .output()
        .with_context(|| binary.display().to_string())?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let stat = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
        line.map_or_else(|| "–".to_owned(), |value| value.trim_start_matches(':').trim().to_owned())
    };
    let seconds =
        told.lines().find_map(|line| line.strip_prefix("Done ")?.split_once(" runs in ")?.1.split_once(' '));
    let seconds = seconds.map(|(seconds, _)| seconds);
    let finding = (!output.status.success()).then(|| {
        let written = told.lines().find_map(|line| line.split_once("Test unit written to "));
        let why = told.lines().find(|line| line.contains("panicked at") || line.contains("ERROR:"));
        let file = written.map_or("no file", |(_, file)| file);
        format!("{} ({file})", why.unwrap_or("it ended with an error"))
    });
    Ok(Fuzzed {
        target: target.to_owned(),
        executions: stat("number_of_executed_units"),
        per_second: stat("average_exec_per_sec"),
        seconds: seconds.unwrap_or("–").to_owned(),
        finding,
    })
}

/// The version of cargo-fuzz that is installed where there is none.
const CARGO_FUZZ: &str = "0.13.2";
/// Seeds made of one body.
const CHOICES: u8 = 4;
/// Longer bodies are left out: they slow the fuzzer more than they show it.
const SEED_BYTES_MAX: usize = 8_192;
/// `hello` as gzip, deflate, brotli and zstd, none of them squeezed.
const COMPRESSED: [&[u8]; 4] = [
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01\x05\x00\xfa\xffhello\x86\xa6\x106\x05\x00\x00\x00",
    b"\x78\x01\x01\x05\x00\xfa\xffhello\x06\x2c\x02\x15",
    b"\x0b\x02\x80hello\x03",
    b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello",
];

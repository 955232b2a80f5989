//! Packages of Python and Node that tests use, each set in an environment of its own below `target/`: the
//! providers' official SDKs, and tools that check from outside.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::artifacts::{self, Workspace};

/// The Python of the virtual environment with what `tests/sdk/requirements.txt` pins; made on first use.
///
/// # Errors
/// Python, its `venv` module or PyPI is missing; the message says what to do.
pub fn environment() -> Result<PathBuf> {
    made("python3", "sdk-venv", "tests/sdk/requirements.txt")
}

/// The same with what `tests/tools/requirements.txt` pins.
///
/// # Errors
/// As [`environment`].
pub fn tools() -> Result<PathBuf> {
    made("python3", "tools-venv", "tests/tools/requirements.txt")
}

/// The same with what `tests/pages/requirements.txt` pins: what drives a browser.
///
/// # Errors
/// As [`environment`].
pub fn pages() -> Result<PathBuf> {
    made("python3", "pages-venv", "tests/pages/requirements.txt")
}

/// The same with what `tests/exports/requirements.txt` pins: what reads exports. `None`, and the reason on
/// standard error, where no Python is new enough for it.
///
/// # Errors
/// As [`environment`].
pub fn exports() -> Result<Option<PathBuf>> {
    match newer_python() {
        Some(python) => made(&python, "exports-venv", "tests/exports/requirements.txt").map(Some),
        None => {
            eprintln!(
                "skipped: the validator of FOCUS needs Python 3.12 or newer, and there is no {} and no such version of pyenv",
                NEWER.join(", ")
            );
            Ok(None)
        }
    }
}

/// A Python from 3.12 on, with its `venv` module: one on `PATH`, or one of pyenv.
fn newer_python() -> Option<String> {
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let versions = root.and_then(|root| fs::read_dir(root.join("versions")).ok());
    let of_pyenv = versions.into_iter().flatten().flatten().map(|version| version.path().join("bin/python"));
    let of_path = NEWER.iter().map(PathBuf::from);
    let is_new = |python: &PathBuf| {
        let asked = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))";
        Command::new(python).args(["-c", asked]).output().is_ok_and(|done| done.status.success())
    };
    of_path.chain(of_pyenv).find(is_new).map(|python| python.to_string_lossy().into_owned())
}

fn made(python: &str, name: &str, requirements: &str) -> Result<PathBuf> {
    let workspace = Workspace::find()?;
    let home = workspace.target.join(name);
    let made = home.join("bin/python");
    let requirements = workspace.file(requirements);
    let wanted = fs::read(&requirements)?;
    let stamp = home.join("requirements.txt");
    let _lock = artifacts::lock(name)?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(made);
    }
    eprintln!("installing Python packages from PyPI, to {}", home.display());
    let _ = fs::remove_dir_all(&home);
    let mut venv = Command::new(python);
    venv.args(["-m", "venv"]).arg(&home);
    artifacts::run(&mut venv, "Python's venv is needed: `apt-get install python3-venv`")?;
    let mut pip = Command::new(&made);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(&requirements);
    artifacts::run(&mut pip, "the packages come from PyPI: is it reached from here?")?;
    fs::write(&stamp, wanted)?;
    Ok(made)
}

/// The Node SDKs that `tests/sdk/package.json` pins, and the scripts beside them, installed on first use;
/// gives their directory.
///
/// # Errors
/// As [`grafana`].
fn node_environment() -> Result<PathBuf> {
    node_made("sdk-node", "tests/sdk", "refusals.mjs")
}

/// Grafana's types and what checks JSON against them, as `tests/grafana/package.json` pins them, installed on
/// first use; gives their directory.
///
/// # Errors
/// Node, npm or its registry is missing; the message says what to do.
pub fn grafana() -> Result<PathBuf> {
    node_made("grafana-node", "tests/grafana", "dashboard.ts")
}

/// What `from/package.json` pins, and a script beside it, in a folder of this name below `target/`.
fn node_made(name: &str, from: &str, script: &str) -> Result<PathBuf> {
    let workspace = Workspace::find()?;
    let home = workspace.target.join(name);
    let from = workspace.file(from);
    let _lock = artifacts::lock(name)?;
    fs::create_dir_all(&home)?;
    let wanted = fs::read(from.join("package.json"))?;
    let stamp = home.join("installed.json");
    if !fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        eprintln!("installing Node packages with npm, to {}", home.display());
        fs::write(home.join("package.json"), &wanted)?;
        let mut npm = Command::new("npm");
        npm.current_dir(&home).args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
        ]);
        artifacts::run(&mut npm, "Node 20 and npm are needed: `apt-get install nodejs npm`")?;
        fs::write(&stamp, wanted)?;
    }
    fs::copy(from.join(script), home.join(script))?;
    Ok(home)
}

/// Runs `tests/sdk/SCRIPT`, in Python or Node, against the gateway; it prints one JSON line for each call it
/// made.
///
/// # Errors
/// The script fails; with what it said.
pub fn run(script: &str, gateway: SocketAddr) -> Result<Vec<Value>> {
    let workspace = Workspace::find()?;
    let mut command = match script.ends_with(".mjs") {
        true => {
            let mut node = Command::new("node");
            node.arg(node_environment()?.join(script));
            node
        }
        false => {
            let mut python = Command::new(environment()?);
            python.arg(workspace.file("tests/sdk").join(script));
            python
        }
    };
    let output = command
        .arg(format!("http://{gateway}"))
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .env("NO_PROXY", "*")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{script} failed: {printed}{}", String::from_utf8_lossy(&output.stderr));
    }
    printed
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("{script} printed {line}")))
        .collect()
}

/// Names of Pythons that are new enough, where they are on `PATH`.
const NEWER: [&str; 4] = ["python3.14", "python3.13", "python3.12", "python3"];

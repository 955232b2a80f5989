//! What is built: the filter's module for Envoy, the collector, and the small filters of the benchmark.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Target that Envoy's V8 runs.
pub const WASM_TARGET: &str = "wasm32-wasip1";

/// Where the sources are and where builds go.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Root of the repository.
    pub root: PathBuf,
    /// Cargo's target directory, as configured here.
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo, once for each process.
    ///
    /// # Errors
    /// Cargo does not run, or answers something else.
    pub fn find() -> Result<&'static Self> {
        static FOUND: OnceLock<Workspace> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(found);
        }
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("`tests` lies in the repository")?;
        let output = cargo(root)
            .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
            .output()
            .context("cannot run cargo: install Rust with rustup")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let target = metadata.get("target_directory").and_then(Value::as_str);
        let target = PathBuf::from(target.context("cargo metadata names no target directory")?);
        Ok(FOUND.get_or_init(|| Self { root: root.to_owned(), target }))
    }

    /// A file of the repository.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The filter's module.
    pub fn filter(&self) -> PathBuf {
        self.target.join("tollgate.wasm")
    }

    /// The filter's module with panics to order.
    pub fn panicking_filter(&self) -> PathBuf {
        self.target.join("tollgate-test-panic.wasm")
    }

    /// The collector and command line.
    pub fn tollgate(&self) -> PathBuf {
        self.target.join(if is_for_tests() { DEBUG } else { "release/tollgate" })
    }
}

/// Builds the filter's module to `target/tollgate.wasm`.
///
/// # Errors
/// The build fails, or the wasm target cannot be had.
pub fn build_filter() -> Result<PathBuf> {
    let workspace = Workspace::find()?;
    build_wasm("tollgate-filter", &[], &workspace.filter())
}

/// Builds the filter's module with panics to order to `target/tollgate-test-panic.wasm`.
///
/// # Errors
/// The build fails, or the wasm target cannot be had.
pub fn build_panicking_filter() -> Result<PathBuf> {
    let workspace = Workspace::find()?;
    build_wasm("tollgate-filter", &["--features", "test-panic"], &workspace.panicking_filter())
}

/// Builds one of the benchmark's filters (`noop`, `readonly`) to `target/bench-NAME.wasm`.
///
/// # Errors
/// The build fails, or the wasm target cannot be had.
pub fn build_bench_filter(name: &str) -> Result<PathBuf> {
    let workspace = Workspace::find()?;
    let to = workspace.target.join(format!("bench-{name}.wasm"));
    build_wasm(&format!("tollgate-bench-{name}"), &[], &to)
}

/// Whether the collector is to be built as its own tests are, and not for users: it is there sooner, and what
/// overflows is found. `cargo xtask test` asks for it by this variable.
fn is_for_tests() -> bool {
    std::env::var_os(COLLECTOR_FOR_TESTS).is_some()
}

/// Asks for a collector as its own tests are built.
pub const COLLECTOR_FOR_TESTS: &str = "TOLLGATE_COLLECTOR_FOR_TESTS";

/// Builds the collector to `target/release/tollgate`, or to `target/debug/tollgate` with
/// [`COLLECTOR_FOR_TESTS`].
///
/// # Errors
/// The build fails.
pub fn build_collector() -> Result<PathBuf> {
    if is_for_tests() {
        return build_collector_for_tests();
    }
    let workspace = Workspace::find()?;
    let mut command = cargo(&workspace.root);
    command.args(["build", "--quiet", "--release", "--package", "tollgate-collector"]);
    run(&mut command, "the collector does not build")?;
    Ok(workspace.tollgate())
}

/// Builds the collector to `target/debug/tollgate`, as its own tests are built: where these have run, it is
/// there.
///
/// # Errors
/// The build fails.
pub fn build_collector_for_tests() -> Result<PathBuf> {
    let workspace = Workspace::find()?;
    let mut command = cargo(&workspace.root);
    // The same crates as those tests: with others it would get other features, and be built again.
    command.args(["test", "--quiet", "--no-run"]).args(WITH_UNITS);
    run(&mut command, "the collector does not build")?;
    Ok(workspace.target.join(DEBUG))
}

/// The crates whose tests need neither Envoy nor the built module.
pub const WITH_UNITS: [&str; 9] = [
    "--workspace",
    "--exclude",
    "tollgate-tests",
    "--exclude",
    "tollgate-minihost",
    "--exclude",
    "tollgate-bench-noop",
    "--exclude",
    "tollgate-bench-readonly",
];

/// Where that lies in cargo's target directory.
const DEBUG: &str = "debug/tollgate";

/// Builds the modules of the page of estimates, which the collector's build then takes up.
///
/// # Errors
/// The build fails.
pub fn build_estimator() -> Result<()> {
    let mut command = cargo(&Workspace::find()?.root);
    command.args(["run", "--quiet", "--package", "xtask", "--", "estimator"]);
    run(&mut command, "the estimator of pages does not build")
}

/// Builds the collector as one binary that needs no library of the system it runs on, for the machine's
/// processor, and looks whether it is one. SQLite is C and needs a C compiler for musl (Debian's
/// `musl-tools`).
///
/// # Errors
/// The target or the C compiler is missing, it does not build, or asks for a loader.
pub fn build_static_collector() -> Result<PathBuf> {
    let workspace = Workspace::find()?;
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    ensure_target(&target)?;
    if Command::new("musl-gcc").arg("--version").output().is_err() {
        bail!("there is no `musl-gcc`, with which SQLite is built: install `musl-tools`");
    }
    let mut command = cargo(&workspace.root);
    command.args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "tollgate-collector",
        "--target",
        &target,
    ]);
    run(&mut command, "the collector does not build for musl")?;
    let binary = workspace.target.join(&target).join("release/tollgate");
    if names_loader(&std::fs::read(&binary)?) {
        bail!("{} is not static: it asks for a loader", binary.display());
    }
    Ok(binary)
}

/// Whether a 64-bit little-endian ELF file has a program header that names a loader (`PT_INTERP`, 3).
fn names_loader(elf: &[u8]) -> bool {
    let number = |at: usize, bytes: usize| -> usize {
        let bytes = elf.get(at..at + bytes).unwrap_or_default();
        bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (start, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|header| number(start + header * size, 4) == 3)
}

/// Adds the wasm target to the toolchain where it is missing.
///
/// # Errors
/// rustup cannot be run or cannot add it.
pub fn ensure_wasm_target() -> Result<()> {
    ensure_target(WASM_TARGET)
}

/// Adds a target to the toolchain where it is missing.
///
/// # Errors
/// rustup cannot be run or cannot add it.
pub fn ensure_target(target: &str) -> Result<()> {
    let workspace = Workspace::find()?;
    let installed = Command::new("rustc")
        .current_dir(&workspace.root)
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .context("cannot run rustc: install Rust with rustup")?;
    let libraries = String::from_utf8_lossy(&installed.stdout).trim().to_owned();
    if Path::new(&libraries).is_dir() {
        return Ok(());
    }
    let mut command = Command::new("rustup");
    command.current_dir(&workspace.root).args(["target", "add", target]);
    run(&mut command, &format!("add the target by hand: `rustup target add {target}`"))
}

/// Holds the file `NAME.lock` in the target directory, so that processes do a step one after the other.
///
/// # Errors
/// The file cannot be made or locked.
pub fn lock(name: &str) -> Result<File> {
    let workspace = Workspace::find()?;
    fs::create_dir_all(&workspace.target)?;
    let path = workspace.target.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Runs a step; its output is the user's to see, its failure comes with `advice`.
///
/// # Errors
/// The step cannot be started or fails.
pub fn run(command: &mut Command, advice: &str) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot run {name}: {advice}"))?;
    if !status.success() {
        bail!("{name} failed ({status}): {advice}");
    }
    Ok(())
}

fn build_wasm(package: &str, features: &[&str], to: &Path) -> Result<PathBuf> {
    ensure_wasm_target()?;
    let workspace = Workspace::find()?;
    // Two variants of one package go to one file of cargo's: build and copy in one go.
    let _lock = lock("tollgate-wasm")?;
    let mut command = cargo(&workspace.root);
    command
        .args(["build", "--quiet", "--profile", "wasm", "--target", WASM_TARGET, "--package", package])
        .args(features);
    run(&mut command, &format!("{package} does not build for {WASM_TARGET}"))?;
    let module = format!("{WASM_TARGET}/wasm/{}.wasm", package.replace('-', "_"));
    let from = workspace.target.join(module);
    // By rename: an Envoy that runs keeps the module that it has.
    let fresh = to.with_extension("wasm.new");
    fs::copy(&from, &fresh).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::rename(&fresh, to)?;
    Ok(to.to_owned())
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // What cargo tells the crate that runs is not for the builds that it starts.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_asks_for_a_loader_is_told_from_one_that_does_not() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(names_loader(&own), "tests are linked to the system's library");
        // The same with its program header of type 3 (`PT_INTERP`) made one of type 0 (`PT_NULL`).
        let number = |at: usize, bytes: usize| {
            own[at..at + bytes].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let (start, size, count) = (number(32, 8), number(54, 2), number(56, 2));
        let mut without = own.clone();
        for header in 0..count {
            if number(start + header * size, 4) == 3 {
                without[start + header * size] = 0;
            }
        }
        assert!(!names_loader(&without));
        assert!(!names_loader(b"") && !names_loader(b"no program"));
    }
}

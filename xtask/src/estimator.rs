//! `cargo xtask estimator`: the modules of the page on which people price what they have not started yet.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use tollgate_tests::artifacts::{self, Workspace};
use wasm_bindgen_cli_support::Bindgen;

/// Builds the modules, and lays them compressed where the collector's build takes them from: `NAME.js.gz` and
/// `NAME.wasm.gz` in `target/estimator`. Gives that folder.
///
/// # Errors
/// The target cannot be had, or a module does not build.
pub(crate) fn build() -> Result<PathBuf> {
    artifacts::ensure_target(TARGET)?;
    let workspace = Workspace::find()?;
    let _lock = artifacts::lock("tollgate-estimator")?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&workspace.root).args(["build", "--quiet", "--profile", "page", "--target", TARGET]);
    command.args(MODULES.iter().flat_map(|(_, package)| ["--package", package]));
    artifacts::run(&mut command, "the estimator does not build for pages")?;
    let folder = workspace.target.join("estimator");
    fs::create_dir_all(&folder)?;
    for (name, package) in MODULES {
        let module = format!("{TARGET}/page/{}.wasm", package.replace('-', "_"));
        let module = workspace.target.join(module);
        bind(name, &module, &folder).with_context(|| format!("{} cannot be bound", module.display()))?;
    }
    Ok(folder)
}

/// Writes what binds a module to a page, where the module is newer than what was written before.
fn bind(name: &str, module: &Path, folder: &Path) -> Result<()> {
    let bound = folder.join(format!("{name}.wasm.gz"));
    let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    if time(&bound) >= time(module) {
        return Ok(());
    }
    let mut bindgen = Bindgen::new();
    // Scripts and no modules: these are refused to pages that are files.
    bindgen.input_path(module).out_name(name).typescript(false).no_modules(true)?.no_modules_global(name)?;
    bindgen.remove_name_section(true);
    let mut output = bindgen.generate_output()?;
    pack(&folder.join(format!("{name}.js.gz")), output.js().as_bytes())?;
    pack(&bound, &output.wasm_mut().emit_wasm())
}

fn pack(to: &Path, bytes: &[u8]) -> Result<()> {
    // Without a time, so that equal modules are equal files.
    let mut packed = GzBuilder::new().write(Vec::new(), Compression::best());
    packed.write_all(bytes)?;
    fs::write(to, packed.finish()?).with_context(|| format!("cannot write {}", to.display()))
}

const TARGET: &str = "wasm32-unknown-unknown";
/// Names on the page, which are those of encodings, and packages.
const MODULES: [(&str, &str); 3] = [
    ("estimator", "tollgate-estimator"),
    ("o200k_base", "tollgate-o200k-base"),
    ("cl100k_base", "tollgate-cl100k-base"),
];

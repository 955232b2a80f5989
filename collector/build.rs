//! Takes up the modules of the page of estimates, where `cargo xtask estimator` has laid them: compressed, in
//! `estimator` of the target directory. Without them the collector builds all the same, and its page says how
//! they are made.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let from = folder(&out);
    // Cargo looks whether anything in it has changed; of a folder that is not there, it says so each time.
    fs::create_dir_all(&from)?;
    println!("cargo::rerun-if-changed={}", from.display());
    let mut list = String::from("[\n");
    if NAMES.iter().all(|name| from.join(name).is_file()) {
        for name in NAMES {
            fs::copy(from.join(name), out.join(name))?;
            let _ = writeln!(
                list,
                "(\"{name}\", include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\")).as_slice()),"
            );
        }
    }
    list.push_str("]\n");
    fs::write(out.join("estimator.rs"), list)
}

/// `estimator` in the target directory: `OUT_DIR` is `TARGET/PROFILE/build/PACKAGE/out`, with the triple
/// between where it was asked for.
fn folder(out: &Path) -> PathBuf {
    let above = out.ancestors().nth(4).unwrap_or(out);
    let is_of_triple = above.file_name() == env::var_os("TARGET").as_deref();
    let target = above.parent().filter(|_| is_of_triple).unwrap_or(above);
    target.join("estimator")
}

const NAMES: [&str; 6] = [
    "estimator.js.gz",
    "estimator.wasm.gz",
    "o200k_base.js.gz",
    "o200k_base.wasm.gz",
    "cl100k_base.js.gz",
    "cl100k_base.wasm.gz",
];

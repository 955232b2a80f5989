//! How far the estimate of a text is from the count of a public encoding. Of answers that broke off:
//! `cut_streams.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where
#![allow(clippy::cast_precision_loss)] // errors in percent

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tollgate_core::estimate::TextCounter;

/// Whole texts, against o200k: this project's own, and those of `TOLLGATE_TEXTS`, a file of `{"kind","text"}`
/// a line.
#[test]
fn texts_are_counted_as_the_encoding_counts_them() {
    let bpe = tiktoken_rs::o200k_base().unwrap();
    let mut errors = Errors::default();
    let mut look = |kind: &str, text: &str| {
        let truth = bpe.encode_ordinary(text).len() as f64;
        let mut counter = TextCounter::default();
        counter.feed(text.as_bytes());
        if truth >= 50.0 {
            errors.add(kind, (counter.tokens() as f64 - truth) / truth);
        }
    };
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")) {
        let kind = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_owned();
        look(&kind, &fs::read_to_string(&path).unwrap());
    }
    if let Some(path) = std::env::var_os("TOLLGATE_TEXTS") {
        for line in fs::read_to_string(path).unwrap().lines() {
            let one: Value = serde_json::from_str(line).unwrap();
            look(one["kind"].as_str().unwrap(), one["text"].as_str().unwrap());
        }
    }
    errors.print("texts");
    for (kind, most) in [("md", 0.03), ("rs", 0.05), ("py", 0.05), ("toml", 0.10)] {
        assert!(errors.median(kind) <= most, "{kind}: {}", errors.median(kind));
    }
}

/// Texts of the project.
fn files(root: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for folder in ["", "core/testdata"] {
        texts(&root.join(folder), &mut found);
    }
    let mut folders = ["core/src", "collector/src", "filter/src"].map(|folder| root.join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        folders.extend(texts(&folder, &mut found));
    }
    found
}

/// Adds the texts of a folder; gives the folders in it.
fn texts(folder: &Path, found: &mut Vec<std::path::PathBuf>) -> Vec<std::path::PathBuf> {
    let known = ["md", "rs", "py", "sql", "toml"].map(std::ffi::OsStr::new);
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| known.contains(&extension)) {
            found.push(path);
        } else if path.is_dir() {
            folders.push(path);
        }
    }
    folders
}

/// Relative errors by group.
#[derive(Default)]
struct Errors(BTreeMap<String, Vec<f64>>);

impl Errors {
    fn add(&mut self, group: &str, error: f64) {
        self.0.entry(group.to_owned()).or_default().push(error);
    }

    fn quantile(&self, group: &str, of: f64) -> f64 {
        let mut sizes: Vec<f64> = self.0[group].iter().map(|error| error.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the list
        let at = (of * (sizes.len() - 1) as f64).round() as usize;
        sizes[at]
    }

    fn median(&self, group: &str) -> f64 {
        self.quantile(group, 0.5)
    }

    fn print(&self, what: &str) {
        for (group, errors) in &self.0 {
            let percent = |of: f64| 100.0 * self.quantile(group, of);
            println!(
                "{what}, {group}: {} measured, error {:.1} % (median), {:.1} % (75th), {:.1} % (90th), {:.1} % (worst), mean {:+.1} %",
                errors.len(),
                percent(0.5),
                percent(0.75),
                percent(0.9),
                percent(1.0),
                100.0 * errors.iter().sum::<f64>() / errors.len() as f64
            );
        }
    }
}

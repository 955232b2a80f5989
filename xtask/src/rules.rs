//! Rules of the source that no lint knows: where what may stand.

mod directions;
mod lengths;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use directions::{Apart, Order};
use source::Crate;
use tollgate_tests::artifacts::Workspace;

/// A rule: files under `within`, but not under `except`, must not hold any of `words`.
struct Rule {
    within: &'static [&'static str],
    except: &'static [&'static str],
    extension: &'static str,
    comment: &'static str,
    words: &'static [&'static str],
    why: &'static str,
}

/// Checks every rule; all that is broken is named.
pub(crate) fn check() -> Result<()> {
    let root = &Workspace::find()?.root;
    let mut broken = Vec::new();
    for rule in RULES {
        for within in rule.within {
            for file in files(&root.join(within), rule.extension)? {
                let place = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
                if !rule.except.iter().any(|except| place.starts_with(except)) {
                    rule.check(&place, &fs::read_to_string(&file)?, &mut broken);
                }
            }
        }
    }
    for within in EVERYWHERE {
        for file in files(&root.join(within), "rs")? {
            let place = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            lengths::comments(&place, &fs::read_to_string(&file)?, &mut broken);
        }
    }
    floors(root, &mut broken)?;
    if !broken.is_empty() {
        bail!(
            "{} broken:\n  {}",
            if broken.len() == 1 { "a rule is" } else { "rules are" },
            broken.join("\n  ")
        );
    }
    Ok(())
}

/// The rules that read the code: directions, circles, lengths.
fn floors(root: &Path, broken: &mut Vec<String>) -> Result<()> {
    for folder in SOURCES {
        let own = Crate::read(root, folder)?;
        ORDERS.iter().filter(|order| order.folder == *folder).for_each(|order| order.check(&own, broken));
        APART.iter().filter(|apart| apart.folder == *folder).for_each(|apart| apart.check(&own, broken));
        directions::circles(&own, broken);
        lengths::check(&own, |place| fs::read_to_string(root.join(place)).ok(), broken);
    }
    Ok(())
}

impl Rule {
    fn check(&self, place: &str, text: &str, broken: &mut Vec<String>) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split(self.comment).next().unwrap_or_default();
            for word in self.words {
                if holds(code, word) {
                    broken.push(format!("{place}:{}: `{word}`: {}", number + 1, self.why));
                }
            }
        }
    }
}

/// Whether `word` stands in `code` as a word of its own.
fn holds(code: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|head| head.chars().next_back());
        let after = code.get(at + word.len()..).and_then(|tail| tail.chars().next());
        !part(before) && !part(after)
    })
}

fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if directory.is_file() {
        found.push(directory.to_owned());
    }
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(found);
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|known| known == extension) {
            found.push(path);
        }
    }
    Ok(found)
}

/// All that is Rust.
const EVERYWHERE: &[&str] = &["core", "filter", "collector", "estimator", "tests", "xtask"];

const RULES: &[Rule] = &[
    Rule {
        within: EVERYWHERE,
        // The benchmark's filters use the SDK's entry macro, which exports a function by an unsafe attribute.
        except: &[
            "filter/src/host/calls.rs",
            "filter/src/host/memory.rs",
            "tests/filters",
            "xtask/src/rules.rs",
        ],
        extension: "rs",
        comment: "//",
        words: &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "allow(unsafe_code"],
        why: "only filter/src/host/calls.rs makes raw host calls, and only filter/src/host/memory.rs hands out memory",
    },
    Rule {
        within: &["core", "filter", "collector", "estimator", "tests/src", "tests/simulator", "xtask"],
        // The test of an old database reads it without the collector.
        except: &["collector/src/store", "collector/tests/migration.rs", "xtask/src/rules.rs"],
        extension: "rs",
        comment: "//",
        words: &["SELECT", "INSERT INTO", "UPDATE", "DELETE FROM", "CREATE TABLE"],
        why: "SQL stands in collector/src/store alone",
    },
    Rule {
        within: &["core/src"],
        except: &[],
        extension: "rs",
        comment: "//",
        words: &["std::fs", "std::net", "std::env", "std::thread", "SystemTime", "Instant"],
        why: "core does no I/O, reads no clock and starts nothing",
    },
    Rule {
        within: &["collector/src"],
        except: &["collector/src/model/clock.rs"],
        extension: "rs",
        comment: "//",
        words: &["Timestamp::now", "Zoned::now", "SystemTime::now"],
        why: "the collector reads the clock in model/clock.rs alone",
    },
    Rule {
        within: &["tests/simulator"],
        except: &[],
        extension: "toml",
        comment: "#",
        words: &["tollgate-core", "tollgate-collector"],
        why: "the simulator's ledger must not share a mistake with what it checks",
    },
];

/// Whose rooms, circles and lengths are looked at.
const SOURCES: &[&str] = &["core/src", "filter/src", "collector/src", "estimator/src", "xtask/src"];

const ORDERS: &[Order] = &[
    Order {
        folder: "core/src",
        rooms: &[
            "lean",
            "decode",
            "money",
            "usage",
            "provider",
            "attribution",
            "keys",
            "estimate",
            "answer",
            "price",
            "record",
            "request",
            "budget",
            "protocol",
            "call",
            "plan",
        ],
    },
    Order {
        folder: "filter/src",
        rooms: &["panics", "host", "metrics", "shared", "budgets", "gateway", "collector", "call", "root"],
    },
    Order {
        folder: "collector/src",
        rooms: &["model", "config", "store", "work", "api", "pages", "http", "cli"],
    },
];

const APART: &[Apart] =
    &[Apart { folder: "core/src", room: "decode", others: &["price", "budget", "record"] }];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_words() {
        assert!(holds("let x = unsafe { y };", "unsafe"));
        assert!(!holds("#![allow(unsafe_code)]", "unsafe"));
        assert!(!holds("is_unsafe()", "unsafe"));
    }
}

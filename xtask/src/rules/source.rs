//! Rust source as rules read it: as text, line by line, without comments and without tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::files;

/// The files of a crate that are no tests.
pub(super) struct Crate {
    /// By the path of their module, from the crate's root.
    pub(super) files: BTreeMap<Vec<String>, Source>,
}

/// One file.
pub(super) struct Source {
    /// Where it is, from the workspace's root.
    pub(super) place: String,
    /// Its lines without comments; `None` for those of tests.
    pub(super) lines: Vec<Option<String>>,
    /// Modules that are files of their own, and whether they are tests.
    children: Vec<(String, bool)>,
    /// Names that it hands on, and what they mean.
    pub(super) handed_on: BTreeMap<String, Vec<String>>,
    /// Paths that it names, from the crate's root, with their lines.
    pub(super) imports: Vec<(usize, Vec<String>)>,
}

impl Crate {
    /// The crate whose sources are in `folder`, such as `core/src`.
    pub(super) fn read(root: &Path, folder: &str) -> Result<Self> {
        let mut texts = Vec::new();
        for path in files(&root.join(folder), "rs")? {
            let place = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            texts.push((place, std::fs::read_to_string(&path)?));
        }
        Ok(Self::of(folder, &texts))
    }

    /// The same of texts by their places.
    pub(super) fn of(folder: &str, texts: &[(String, String)]) -> Self {
        let mut files = BTreeMap::new();
        for (place, text) in texts {
            let module = module_of(place.strip_prefix(folder).unwrap_or(place));
            let source = Source::of(place.clone(), text, &module);
            files.insert(module, source);
        }
        let tests: Vec<Vec<String>> = files
            .iter()
            .flat_map(|(module, source): (&Vec<String>, &Source)| {
                let tests = source.children.iter().filter(|(_, is_test)| *is_test);
                tests.map(|(name, _)| [module.as_slice(), std::slice::from_ref(name)].concat())
            })
            .collect();
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self { files }
    }

    /// The module whose file says what this path names; names that others hand on are followed.
    pub(super) fn file_of(&self, path: &[String]) -> Option<&[String]> {
        let mut path = path.to_vec();
        for _ in 0..HANDS_MAX {
            let module =
                (0..=path.len()).rev().find_map(|length| self.files.get_key_value(path.get(..length)?));
            let (module, source) = module?;
            let next = path.get(module.len()).and_then(|name| source.handed_on.get(name));
            match next {
                Some(meant) if *meant != path => path.clone_from(meant),
                _ => return Some(module),
            }
        }
        None
    }
}

impl Source {
    fn of(place: String, text: &str, module: &[String]) -> Self {
        let (lines, children) = without_tests(text);
        let code: String =
            lines.iter().flat_map(|line| [line.as_deref().unwrap_or_default(), "\n"]).collect();
        let named: BTreeSet<&str> = children.iter().map(|(name, _)| name.as_str()).collect();
        let mut source =
            Self { place, lines, children: Vec::new(), handed_on: BTreeMap::new(), imports: Vec::new() };
        let paths = paths(&code, module, &named);
        for (line, is_handed_on, path, name) in paths {
            // A map of the own rooms uses only what it also says itself.
            let is_map = is_handed_on && path.starts_with(module);
            if !is_map || count(&code, &name) > 1 {
                source.imports.push((line, path.clone()));
            }
            if is_handed_on {
                source.handed_on.insert(name, path);
            }
        }
        source.children = children;
        source
    }
}

/// `/price/file.rs` is `price::file`, `/lib.rs` and `/main.rs` are the root.
fn module_of(place: &str) -> Vec<String> {
    let path = place.trim_start_matches('/').trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|name| !matches!(*name, "lib" | "main")).map(str::to_owned).collect()
}

/// The lines without comments and tests, and the modules that are files of their own.
fn without_tests(text: &str) -> (Vec<Option<String>>, Vec<(String, bool)>) {
    let (mut lines, mut children) = (Vec::new(), Vec::new());
    // Whether the item that comes is a test, and with what line a test that was begun ends.
    let (mut is_test, mut until): (bool, Option<String>) = (false, None);
    for line in text.lines() {
        let code = line.split("//").next().unwrap_or_default().trim_end();
        if let Some(end) = &until {
            if code == end || end == ";" && code.ends_with(end) {
                until = None;
            }
            lines.push(None);
            continue;
        }
        let item = code.trim_start();
        if item == "#[cfg(test)]" || item.starts_with("#[cfg(all(test,") {
            is_test = true;
        }
        let name = item.split_once("mod ").and_then(|(_, name)| name.strip_suffix(';'));
        if let Some(name) = name.filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_')) {
            children.push((name.to_owned(), is_test));
        }
        lines.push((!is_test).then(|| code.to_owned()));
        if is_test && !item.is_empty() && !item.starts_with("#[") {
            let indent = code.get(..code.len() - item.len()).unwrap_or_default();
            until = match item {
                _ if item.ends_with(';') || item.ends_with('}') => None,
                _ if item.starts_with("use ") => Some(";".to_owned()),
                _ => Some(format!("{indent}}}")),
            };
            is_test = false;
        }
    }
    (lines, children)
}

/// Every path of the own crate that the code names: its line, whether it is handed on, what it means from the
/// crate's root, and the name that it has here.
fn paths(
    code: &str,
    module: &[String],
    children: &BTreeSet<&str>,
) -> Vec<(usize, bool, Vec<String>, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::") {
        let head = code.get(..at).unwrap_or_default();
        let first = head.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let before = head.strip_suffix(first).unwrap_or_default();
        if before.ends_with(':') || before.ends_with('$') || before.ends_with("(in ") {
            continue;
        }
        let base = match first {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => parent(module),
            child if children.contains(child) => [module, &[child.to_owned()]].concat(),
            _ => continue,
        };
        let is_handed_on =
            before.ends_with("use ") && before.lines().next_back().unwrap_or_default().contains("pub");
        let line = head.matches('\n').count() + 1;
        let mut leaves = Vec::new();
        tree(code.get(at + 2..).unwrap_or_default(), base, &mut leaves);
        found.extend(leaves.into_iter().map(|(path, name)| (line, is_handed_on, path, name)));
    }
    found
}

/// Reads what follows `::`: a name, a name and more, or a group in braces. Gives what is left.
fn tree<'a>(rest: &'a str, mut base: Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) -> &'a str {
    let rest = rest.trim_start();
    if let Some(mut group) = rest.strip_prefix('{') {
        loop {
            group = tree(group, base.clone(), leaves).trim_start();
            match group.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => group = more,
                Some(more) => return more.trim_start().strip_prefix('}').unwrap_or_default(),
                None => return group.strip_prefix('}').unwrap_or_default(),
            }
        }
    }
    let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (name, rest) = rest.split_at(length);
    match name {
        "" | "self" => {}
        "super" => base = parent(&base),
        _ => base.push(name.to_owned()),
    }
    if let Some(more) = rest.strip_prefix("::") {
        return tree(more, base, leaves);
    }
    if let Some(named) = rest.strip_prefix(" as ") {
        let length = named.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(named.len());
        let (name, rest) = named.split_at(length);
        leaves.push((base, name.to_owned()));
        return rest;
    }
    let name = base.last().cloned().unwrap_or_default();
    leaves.push((base, name));
    rest.strip_prefix('*').unwrap_or(rest)
}

fn parent(module: &[String]) -> Vec<String> {
    module.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default()
}

/// How often `name` stands in the code as a word.
fn count(code: &str, name: &str) -> usize {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| *word == name).count()
}

/// Hands through which a name may go.
const HANDS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[(&str, &str)]) -> Crate {
        let texts: Vec<_> = texts.iter().map(|(place, text)| ((*place).into(), (*text).into())).collect();
        Crate::of("core/src", &texts)
    }

    fn imports(text: &str) -> Vec<String> {
        let own = read(&[("core/src/a/b.rs", text)]);
        own.files.values().flat_map(|source| &source.imports).map(|(_, path)| path.join("::")).collect()
    }

    #[test]
    fn paths_are_read_in_every_form() {
        for (text, named) in [
            ("use crate::c::D;", &["c::D"][..]),
            ("use crate::{c::{D, e::F as G},\n    h::*};", &["c::D", "c::e::F", "h"]),
            ("use super::c::{self, D,\n};", &["a::c", "a::c::D"]),
            ("use super::super::c;", &["c"]),
            ("mod x;\nuse x::{Y, Z};\nfn f() { x::g(); }", &["a::b::x::Y", "a::b::x::Z", "a::b::x::g"]),
            ("fn f() -> crate::c::D { self::g() }", &["c::D", "a::b::g"]),
            ("// crate::c::D\npub(in crate::c) fn f() { std::mem::take(y) }", &[]),
        ] {
            assert_eq!(imports(text), named, "{text}");
        }
    }

    #[test]
    fn tests_are_left_out() {
        let text = "use crate::c::D;\n#[cfg(test)]\nuse crate::e::{\n    F,\n};\n#[cfg(test)]\nfn f() {\n    crate::g::h();\n}\n\
                    #[cfg(test)]\nmod tests {\n    use crate::i::J;\n    fn f() {\n        crate::i::g();\n    }\n    use crate::i::K;\n}\nuse crate::k::L;\n";
        assert_eq!(imports(text), ["c::D", "k::L"]);
        let own = read(&[
            ("core/src/a.rs", "#[cfg(test)]\nmod tests;\nmod b;"),
            ("core/src/a/tests.rs", "use crate::c::D;"),
            ("core/src/a/tests/more.rs", "use crate::c::D;"),
            ("core/src/a/b.rs", ""),
        ]);
        assert_eq!(own.files.keys().map(|module| module.join("::")).collect::<Vec<_>>(), ["a", "a::b"]);
    }

    #[test]
    fn names_that_are_handed_on_lead_to_who_says_what_they_mean() {
        let own = read(&[
            ("core/src/lib.rs", "pub mod a;"),
            ("core/src/a.rs", "mod b;\npub use b::{C, D as E};\nfn f(c: C) {}"),
            ("core/src/a/b.rs", "pub use crate::g::C;"),
            ("core/src/g.rs", ""),
        ]);
        let file = |path: &str| {
            let path: Vec<String> = path.split("::").map(str::to_owned).collect();
            own.file_of(&path).unwrap().join("::")
        };
        assert_eq!(
            (file("a::C"), file("a::E"), file("a::F"), file("x")),
            ("g".into(), "a::b".into(), "a".into(), "".into())
        );
        let used: Vec<_> =
            own.files.values().flat_map(|source| &source.imports).map(|(_, path)| path.join("::")).collect();
        assert_eq!(used, ["a::b::C", "g::C"], "a map uses only what it says itself");
    }
}

//! A TOML document whose keys are taken one by one, so that every mistake is found, not only the first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// The document, and what is wrong with it so far.
pub(super) struct Document<'t> {
    text: &'t str,
    errors: Vec<ConfigError>,
    root: Option<DeTable<'t>>,
}

/// A table of the document: what was asked for and what is left.
pub(super) struct Section<'t> {
    /// `ingest.` before the keys of `[ingest]`; empty at the top.
    prefix: String,
    left: BTreeMap<String, Entry<'t>>,
    known: BTreeSet<&'static str>,
}

struct Entry<'t> {
    line: usize,
    value: DeValue<'t>,
    text: &'t str,
}

impl<'t> Document<'t> {
    /// Parses as much as can be parsed.
    pub(super) fn new(text: &'t str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut document = Self { text, errors: Vec::new(), root: Some(root.into_inner()) };
        for error in errors {
            let line = error.span().map(|span| document.line(span.start));
            document.errors.push(ConfigError { line, message: error.message().replace('\n', ", ") });
        }
        document
    }

    /// The top of the document; empty when it was taken before.
    pub(super) fn root(&mut self) -> Section<'t> {
        let table = self.root.take().unwrap_or_default();
        self.table(String::new(), table)
    }

    /// The table `[key]` of a section; empty where there is none.
    pub(super) fn section(&mut self, of: &mut Section<'t>, key: &'static str) -> Section<'t> {
        let prefix = format!("{}{key}.", of.prefix);
        let table = match of.take(key) {
            None => DeTable::default(),
            Some(Entry { value: DeValue::Table(table), .. }) => table,
            Some(entry) => {
                self.wrong(of, key, &entry, &format!("a section `[{}{key}]`", of.prefix));
                DeTable::default()
            }
        };
        self.table(prefix, table)
    }

    /// A value that has a text form.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        right: &str,
    ) -> Option<T> {
        let entry = of.take(key)?;
        let value = entry.value.as_str().and_then(|text| text.parse().ok());
        if value.is_none() {
            self.wrong(of, key, &entry, right);
        }
        value
    }

    /// A path.
    pub(super) fn path(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<PathBuf> {
        let entry = of.take(key)?;
        match entry.value.as_str() {
            Some(path) if !path.is_empty() => Some(PathBuf::from(path)),
            _ => {
                self.wrong(of, key, &entry, "a path in quotes");
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: clap::ValueEnum>(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
    ) -> Option<T> {
        let entry = of.take(key)?;
        let word = entry.value.as_str().unwrap_or_default();
        let value = T::from_str(word, false).ok();
        if value.is_none() {
            let words: Vec<String> = T::value_variants()
                .iter()
                .filter_map(clap::ValueEnum::to_possible_value)
                .map(|value| format!("`{}`", value.get_name()))
                .collect();
            self.wrong(of, key, &entry, &format!("one of {}", words.join(", ")));
        }
        value
    }

    /// Reports what nobody asked for in this section.
    pub(super) fn finish(&mut self, section: Section<'t>) {
        let known = &section.known;
        for (key, entry) in &section.left {
            let right = match known.iter().find(|known| is_near(known, key)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
                    format!("there are {}", known.join(", "))
                }
            };
            self.errors.push(ConfigError {
                line: Some(entry.line),
                message: format!("`{}{key}` is not a key; {right}", section.prefix),
            });
        }
    }

    /// All mistakes, in the order of the file.
    pub(super) fn errors(mut self) -> Vec<ConfigError> {
        self.errors.sort_by_key(|error| error.line);
        self.errors
    }

    fn table(&self, prefix: String, table: DeTable<'t>) -> Section<'t> {
        let entry = |value: Spanned<DeValue<'t>>| Entry {
            line: self.line(value.span().start),
            text: self.text.get(value.span()).unwrap_or_default(),
            value: value.into_inner(),
        };
        Section {
            prefix,
            left: table
                .into_iter()
                .map(|(key, value)| (key.into_inner().into_owned(), entry(value)))
                .collect(),
            known: BTreeSet::new(),
        }
    }

    fn wrong(&mut self, of: &Section<'t>, key: &str, entry: &Entry<'t>, right: &str) {
        let value = entry.value.as_str().unwrap_or(entry.text);
        let value: String = value.chars().take(80).collect();
        self.errors.push(ConfigError {
            line: Some(entry.line),
            message: format!("`{}{key}` is `{value}`, not {right}", of.prefix),
        });
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        before.matches('\n').count().saturating_add(1)
    }
}

impl<'t> Section<'t> {
    fn take(&mut self, key: &'static str) -> Option<Entry<'t>> {
        self.known.insert(key);
        self.left.remove(key)
    }
}

/// Whether one is the other with a letter or two more at the end, or with other case or separators.
fn is_near(known: &str, given: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_', ' '], "");
    let (known, given) = (plain(known), plain(given));
    let near = known.len().abs_diff(given.len()) <= 2;
    !given.is_empty() && near && (known.starts_with(&given) || given.starts_with(&known))
}

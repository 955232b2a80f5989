//! A TOML document whose keys are taken one by one, so that every mistake is found, not only the first.
//!
//! Long: one reader for each kind of value, and what a schema says of that kind beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use serde_json::Value;
use tollgate_core::keys::{Asked, Kind, general};
use tollgate_core::money::Picodollars;
use tollgate_core::price::quoted;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::ConfigError;
use crate::model::nearest::{listed, or_rather};

/// The document, and what is wrong with it so far.
pub(super) struct Document<'t> {
    text: &'t str,
    errors: Vec<ConfigError>,
    root: Option<DeTable<'t>>,
    /// Every key that a reader asked for, where someone wants to know.
    asked: Option<Vec<Asked>>,
}

/// A table of the document: what was asked for and what is left.
pub(super) struct Section<'t> {
    /// `ingest.` before the keys of `[ingest]`; empty at the top.
    prefix: String,
    line: usize,
    left: BTreeMap<String, Entry<'t>>,
    known: BTreeSet<&'static str>,
}

/// Where a table and its keys stand, by number of the line.
pub(super) struct Lines {
    table: usize,
    keys: BTreeMap<String, usize>,
}

impl Lines {
    /// The line of a key, or of the part of it that stands in the table, such as `scope` in `scope.team`; of
    /// the table where it has none.
    pub(super) fn of(&self, key: &str) -> usize {
        let own = key.split(['.', '[']).next().unwrap_or_default();
        self.keys.get(key).or_else(|| self.keys.get(own)).copied().unwrap_or(self.table)
    }
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
        let mut document = Self { text, errors: Vec::new(), root: Some(root.into_inner()), asked: None };
        for error in errors {
            let line = error.span().map(|span| document.line(span.start));
            document.errors.push(ConfigError { line, message: error.message().replace('\n', ", ") });
        }
        document
    }

    /// The same, with a list of what its readers ask for.
    pub(super) fn with_asked(text: &'t str) -> Self {
        Self { asked: Some(Vec::new()), ..Self::new(text) }
    }

    /// What was asked for, in that order.
    pub(super) fn asked(self) -> Vec<Asked> {
        self.asked.unwrap_or_default()
    }

    /// The top of the document; empty when it was taken before.
    pub(super) fn root(&mut self) -> Section<'t> {
        let table = self.root.take().unwrap_or_default();
        self.table(String::new(), table)
    }

    /// The table `[key]` of a section; empty where there is none.
    pub(super) fn section(&mut self, of: &mut Section<'t>, key: &'static str) -> Section<'t> {
        let prefix = format!("{}{key}.", of.prefix);
        let table = match self.take(of, key, || Kind::Table) {
            None => DeTable::default(),
            Some(Entry { value: DeValue::Table(table), .. }) => table,
            Some(entry) => {
                self.wrong(of, key, &entry, &format!("a section `[{}{key}]`", of.prefix));
                DeTable::default()
            }
        };
        self.table(prefix, table)
    }

    /// The tables `[[key]]` of a section; none where there are none.
    pub(super) fn tables(&mut self, of: &mut Section<'t>, key: &'static str) -> Vec<Section<'t>> {
        let Some(entry) = self.take(of, key, || Kind::Tables) else { return Vec::new() };
        let DeValue::Array(items) = entry.value else {
            self.wrong(of, key, &entry, &format!("tables `[[{}{key}]]`", of.prefix));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let line = self.line(item.span().start);
            let prefix = format!("{}{key}[{index}].", of.prefix);
            match item.into_inner() {
                DeValue::Table(table) => tables.push(Section { line, ..self.table(prefix, table) }),
                other => self.errors.push(ConfigError {
                    line: Some(line),
                    message: format!("`{}{key}[{index}]` is `{}`, not a table", of.prefix, rendered(&other)),
                }),
            }
        }
        tables
    }

    /// The tables `[[key]]` of a section as JSON, each with its lines, for a reader of their own.
    pub(super) fn json_tables(&mut self, of: &mut Section<'t>, key: &'static str) -> Vec<(Lines, Value)> {
        let json = |table: Section<'t>| {
            let mut lines = Lines { table: table.line, keys: BTreeMap::new() };
            let mut read = serde_json::Map::new();
            for (key, entry) in table.left {
                lines.keys.insert(key.clone(), entry.line);
                read.insert(key, as_json(&entry.value));
            }
            (lines, Value::Object(read))
        };
        self.tables(of, key).into_iter().map(json).collect()
    }

    /// A list of names.
    pub(super) fn names(&mut self, of: &mut Section<'t>, key: &'static str) -> Vec<String> {
        let Some(entry) = self.take(of, key, || Kind::list(Kind::Text)) else { return Vec::new() };
        let names = entry.value.as_array().and_then(|items| {
            items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        names.unwrap_or_else(|| {
            self.wrong(of, key, &entry, "a list of names such as `[\"triage\"]`");
            Vec::new()
        })
    }

    /// Reports a mistake that another reader found.
    pub(super) fn report(&mut self, error: ConfigError) {
        self.errors.push(error);
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, of: &mut Section<'t>, key: &'static str, right: &str) -> Option<String> {
        let entry = self.take(of, key, || Kind::Text)?;
        let text = entry.value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        if text.is_none() {
            self.wrong(of, key, &entry, right);
        }
        text
    }

    /// A text that must be there.
    pub(super) fn needed(&mut self, of: &mut Section<'t>, key: &'static str, right: &str) -> Option<String> {
        if !of.left.contains_key(key) {
            self.at(of, &format!("`{}{key}` is missing; give {right}", of.prefix));
        }
        let text = self.text(of, key, right);
        self.must(of, key);
        text
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<bool> {
        let entry = self.take(of, key, || Kind::Flag)?;
        let value = entry.value.as_bool();
        if value.is_none() {
            self.wrong(of, key, &entry, "`true` or `false`");
        }
        value
    }

    /// A list of texts, none of them empty.
    pub(super) fn list(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        right: &str,
    ) -> Option<Vec<String>> {
        let entry = self.take(of, key, || Kind::list(Kind::Text))?;
        let text = |item: &Spanned<DeValue<'t>>| {
            item.get_ref().as_str().filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let list =
            entry.value.as_array().and_then(|items| items.iter().map(text).collect::<Option<Vec<_>>>());
        if list.is_none() {
            self.wrong(of, key, &entry, right);
        }
        list
    }

    /// The tables `[key.NAME]` of a section, by their names.
    pub(super) fn named(&mut self, of: &mut Section<'t>, key: &'static str) -> Vec<(String, Section<'t>)> {
        let Some(entry) = self.take(of, key, || Kind::Named) else { return Vec::new() };
        let DeValue::Table(table) = entry.value else {
            self.wrong(of, key, &entry, &format!("tables `[{}{key}.NAME]`", of.prefix));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, item) in table {
            let line = self.line(name.span().start);
            let name = name.into_inner().into_owned();
            let prefix = format!("{}{key}.{name}.", of.prefix);
            match item.into_inner() {
                DeValue::Table(table) => {
                    sections.push((name, Section { line, ..self.table(prefix, table) }));
                }
                other => self.errors.push(ConfigError {
                    line: Some(line),
                    message: format!("`{}{key}.{name}` is `{}`, not a table", of.prefix, rendered(&other)),
                }),
            }
        }
        sections
    }

    /// A whole number above zero.
    pub(super) fn count(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<u64> {
        let entry = self.take(of, key, || Kind::Whole(1, u64::MAX))?;
        let number = entry
            .value
            .as_integer()
            .and_then(|n| u64::from_str_radix(&n.as_str().replace('_', ""), n.radix()).ok());
        let number = number.filter(|number| *number > 0);
        if number.is_none() {
            self.wrong_number(of, key, &entry, "a whole number above 0");
        }
        number
    }

    /// An hour of the day.
    pub(super) fn hour(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<i8> {
        let entry = self.take(of, key, || Kind::Whole(0, 23))?;
        let number = entry.value.as_integer().filter(|number| number.radix() == 10);
        let hour = number.and_then(|number| number.as_str().replace('_', "").parse().ok());
        let hour = hour.filter(|hour| (0..24).contains(hour));
        if hour.is_none() {
            self.wrong_number(of, key, &entry, "an hour of the day from 0 to 23");
        }
        hour
    }

    /// A port of TCP.
    pub(super) fn port(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<u16> {
        let entry = self.take(of, key, || Kind::Whole(1, u16::MAX.into()))?;
        let number = entry.value.as_integer().filter(|number| number.radix() == 10);
        let port = number.and_then(|number| number.as_str().replace('_', "").parse().ok());
        let port = port.filter(|port| *port > 0);
        if port.is_none() {
            self.wrong_number(of, key, &entry, "a port from 1 to 65535");
        }
        port
    }

    /// A table of texts, such as `{ geo = "eu" }`.
    pub(super) fn words(&mut self, of: &mut Section<'t>, key: &'static str) -> BTreeMap<String, String> {
        let Some(entry) = self.take(of, key, || Kind::Map(Vec::new(), Box::new(Kind::Text))) else {
            return BTreeMap::new();
        };
        let words = entry.value.as_table().and_then(|table| {
            let word = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                Some((key.get_ref().clone().into_owned(), value.get_ref().as_str()?.to_owned()))
            };
            table.iter().map(word).collect::<Option<BTreeMap<_, _>>>()
        });
        words.unwrap_or_else(|| {
            self.wrong(of, key, &entry, "a table of words such as `{ geo = \"eu\" }`");
            BTreeMap::new()
        })
    }

    /// A table of whole numbers above zero, such as `{ support = 2 }`.
    pub(super) fn counts(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        right: &str,
    ) -> Option<BTreeMap<String, u64>> {
        let entry = self.take(of, key, || Kind::Map(Vec::new(), Box::new(Kind::Whole(1, u64::MAX))))?;
        let count = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            let number = value.get_ref().as_integer()?;
            let number = u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()?;
            Some((key.get_ref().clone().into_owned(), number)).filter(|(_, number)| *number > 0)
        };
        let counts = entry.value.as_table().and_then(|table| table.iter().map(count).collect::<Option<_>>());
        if counts.is_none() {
            self.wrong(of, key, &entry, right);
        }
        counts
    }

    /// These keys, whose members are these, as TOML for a reader of their own.
    pub(super) fn toml(
        &mut self,
        of: &mut Section<'t>,
        keys: &[&'static str],
        members: fn() -> Vec<Asked>,
    ) -> String {
        let mut text = String::new();
        if self.is_asked() {
            let given = members()
                .into_iter()
                .filter(|member| keys.iter().any(|key| member.path.split('.').next() == Some(key)));
            let prefix = general(&of.prefix);
            self.ask(given.map(|member| Asked { path: format!("{prefix}{}", member.path), ..member }));
        }
        for key in keys {
            of.known.insert(key);
            if let Some(entry) = of.left.remove(*key) {
                text.push_str(&format!("{key} = {}\n", rendered(&entry.value)));
            }
        }
        text
    }

    /// Reports a mistake in a section as a whole.
    pub(super) fn at(&mut self, section: &Section<'t>, message: &str) {
        self.errors.push(ConfigError { line: Some(section.line), message: message.to_owned() });
    }

    /// A value that has a text form.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        right: &str,
    ) -> Option<T> {
        let entry = self.take(of, key, || Kind::Text)?;
        let value = entry.value.as_str().and_then(|text| text.parse().ok());
        if value.is_none() {
            self.wrong(of, key, &entry, right);
        }
        value
    }

    /// A path.
    pub(super) fn path(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<PathBuf> {
        let entry = self.take(of, key, || Kind::Text)?;
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
        let entry = self.take(of, key, || Kind::Word(words::<T>()))?;
        let word = entry.value.as_str().unwrap_or_default();
        let value = T::from_str(word, false).ok();
        if value.is_none() {
            let words: Vec<String> = words::<T>().iter().map(|word| format!("`{word}`")).collect();
            self.wrong(of, key, &entry, &format!("one of {}", words.join(", ")));
        }
        value
    }

    /// One of these words, and what it stands for.
    pub(super) fn word<T: Copy>(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let names = || words.iter().map(|(name, _)| *name);
        let entry = self.take(of, key, || Kind::word(names()))?;
        let said = entry.value.as_str().unwrap_or_default();
        let found = words.iter().find(|(name, _)| *name == said).map(|(_, value)| *value);
        if found.is_none() {
            self.wrong(of, key, &entry, &format!("one of {}", or_rather(said, names())));
        }
        found
    }

    /// A list of these words, and what each stands for.
    pub(super) fn word_list<T: Copy>(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<Vec<T>> {
        let names = || words.iter().map(|(name, _)| *name);
        let entry = self.take(of, key, || Kind::list(Kind::word(names())))?;
        let items = entry.value.as_array().map(|items| items.iter().map(Spanned::get_ref));
        let Some(items) = items else {
            self.wrong(of, key, &entry, &format!("a list of {}", listed(names())));
            return None;
        };
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        for item in items {
            let said = item.as_str().unwrap_or_default();
            match words.iter().find(|(name, _)| *name == said) {
                Some((_, value)) => found.push(*value),
                None => unknown.push(item.as_str().map_or_else(|| rendered(item), str::to_owned)),
            }
        }
        for one in &unknown {
            self.errors.push(ConfigError {
                line: Some(entry.line),
                message: format!("`{}{key}` has `{one}`, not one of {}", of.prefix, or_rather(one, names())),
            });
        }
        unknown.is_empty().then_some(found)
    }

    /// Dollars above zero: a text such as `"0.50"`, or a whole number.
    pub(super) fn dollars(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<Picodollars> {
        let entry = self.take(of, key, || Kind::Dollars)?;
        let text = match &entry.value {
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
            other => other.as_str().map(str::to_owned),
        };
        let dollars = text.and_then(|text| text.parse().ok()).filter(|dollars| *dollars > Picodollars::ZERO);
        if dollars.is_none() {
            self.wrong(of, key, &entry, "dollars above 0 such as `\"0.50\"`");
        }
        dollars
    }

    /// A table as JSON, with its line, for a reader of its own.
    pub(super) fn json(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<(usize, Value)> {
        let entry = self.take(of, key, || Kind::Table)?;
        Some((entry.line, as_json(&entry.value)))
    }

    /// Notes that a key must be there, after it was read.
    pub(super) fn must(&mut self, of: &Section<'t>, key: &'static str) {
        let path = format!("{}{key}", general(&of.prefix));
        for asked in self.asked.iter_mut().flatten().filter(|asked| asked.path == path) {
            asked.required = true;
        }
    }

    /// Notes what another reader asks for; of two notes on one key the later one holds.
    pub(super) fn ask(&mut self, keys: impl IntoIterator<Item = Asked>) {
        if let Some(asked) = &mut self.asked {
            asked.extend(keys);
        }
    }

    /// Whether someone wants to know what is asked for.
    pub(super) const fn is_asked(&self) -> bool {
        self.asked.is_some()
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

    /// The key of a section, which may hold this.
    fn take(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        kind: impl FnOnce() -> Kind,
    ) -> Option<Entry<'t>> {
        if let Some(asked) = &mut self.asked {
            let path = format!("{}{key}", general(&of.prefix));
            asked.push(Asked { path, kind: kind(), required: false });
        }
        of.known.insert(key);
        of.left.remove(key)
    }

    fn table(&self, prefix: String, table: DeTable<'t>) -> Section<'t> {
        let entry = |value: Spanned<DeValue<'t>>| Entry {
            line: self.line(value.span().start),
            text: self.text.get(value.span()).unwrap_or_default(),
            value: value.into_inner(),
        };
        Section {
            prefix,
            line: 1,
            left: table
                .into_iter()
                .map(|(key, value)| (key.into_inner().into_owned(), entry(value)))
                .collect(),
            known: BTreeSet::new(),
        }
    }

    /// The same of a number, which may stand in quotes.
    fn wrong_number(&mut self, of: &Section<'t>, key: &str, entry: &Entry<'t>, right: &str) {
        let text = entry.value.as_str().filter(|text| text.parse::<f64>().is_ok());
        let Some(text) = text else { return self.wrong(of, key, entry, right) };
        let text: String = text.chars().take(80).collect();
        let message = format!(
            "`{}{key}` is `\"{text}\"`, which is text, not a number; write {right} without quotes",
            of.prefix
        );
        self.errors.push(ConfigError { line: Some(entry.line), message });
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
    /// Its name in messages, such as `prices.override[0]`.
    pub(super) fn name(&self) -> &str {
        self.prefix.trim_end_matches('.')
    }

    /// The line on which it begins.
    pub(super) const fn line(&self) -> usize {
        self.line
    }

    /// Whether it has a key that was not read yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// The line of a key, where it is there.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        self.left.get(key).map(|entry| entry.line)
    }
}

/// The words of a choice.
fn words<T: clap::ValueEnum>() -> Vec<String> {
    let values = T::value_variants().iter().filter_map(clap::ValueEnum::to_possible_value);
    values.map(|value| value.get_name().to_owned()).collect()
}

/// A value as JSON. A number that JSON has no room for, and a date, are texts.
fn as_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            let whole = i64::from_str_radix(&digits, number.radix());
            whole.map_or_else(
                |_| Value::String(digits),
                |whole| match u64::try_from(whole) {
                    Ok(whole) => whole.into(),
                    Err(_) => whole.into(),
                },
            )
        }
        DeValue::Float(number) => {
            let digits = number.as_str().replace('_', "");
            let parsed = digits.parse().ok().and_then(serde_json::Number::from_f64);
            parsed.map_or(Value::String(digits), Value::Number)
        }
        DeValue::Array(items) => items.iter().map(|item| as_json(item.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| (key.get_ref().clone().into_owned(), as_json(value.get_ref())))
            .collect(),
        other => Value::String(other.as_str().map_or_else(|| rendered(other), str::to_owned)),
    }
}

/// A value as TOML on one line.
fn rendered(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| rendered(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) => {
            let entries: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{} = {}", quoted(key.get_ref()), rendered(value.get_ref())))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// Whether one is the other with a letter or two more at the end, or with other case or separators.
fn is_near(known: &str, given: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_', ' '], "");
    let (known, given) = (plain(known), plain(given));
    let near = known.len().abs_diff(given.len()) <= 2;
    !given.is_empty() && near && (known.starts_with(&given) || given.starts_with(&known))
}

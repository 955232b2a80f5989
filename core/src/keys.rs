//! Configuration as JSON, read key by key, so that every mistake is found and not only the first.

#[cfg(feature = "book")]
mod asked;

use serde_json::{Map, Value};

#[cfg(feature = "book")]
pub use asked::{Asked, Kind, general};

use crate::attribution::{Field, is_name};

/// One mistake in a configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigError {
    /// Where it is, such as `collector.interval_ms`.
    pub key: String,
    /// What is wrong with which value, and what would be right.
    pub problem: String,
}

/// The keys of one object, each read once; what is wrong goes to one list.
pub(crate) struct Keys<'a> {
    path: String,
    object: &'a Map<String, Value>,
    known: Vec<String>,
    found: &'a mut Found,
}

/// What reading finds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What is wrong.
    pub(crate) errors: Vec<ConfigError>,
    /// What was asked for.
    #[cfg(feature = "book")]
    pub(crate) asked: Vec<Asked>,
}

/// Notes for a schema what a key may hold; nothing in the filter's module.
macro_rules! note {
    ($keys:expr, $name:expr, $kind:expr) => {{
        #[cfg(feature = "book")]
        $keys.note($name, $kind);
    }};
}
pub(crate) use note;

impl<'a> Keys<'a> {
    pub(crate) fn new(path: &str, object: &'a Map<String, Value>, found: &'a mut Found) -> Self {
        Self { path: path.to_owned(), object, known: Vec::new(), found }
    }

    /// Notes what a key may hold; of two notes the later one holds.
    #[cfg(feature = "book")]
    pub(crate) fn note(&mut self, name: &str, kind: Kind) {
        let path = general(&self.key(name));
        self.found.asked.push(Asked { path, kind, required: false });
    }

    pub(crate) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Notes that a key must be there, after it was read.
    pub(crate) fn must(&mut self, name: &str) {
        #[cfg(feature = "book")]
        {
            let path = general(&self.key(name));
            self.found
                .asked
                .iter_mut()
                .filter(|asked| asked.path == path)
                .for_each(|asked| asked.required = true);
        }
        #[cfg(not(feature = "book"))]
        let _ = name;
    }

    pub(crate) fn wrong(&mut self, name: &str, problem: &str) {
        let error = ConfigError { key: self.key(name), problem: problem.to_owned() };
        if !self.found.errors.contains(&error) {
            self.found.errors.push(error);
        }
    }

    pub(crate) fn get(&mut self, name: &str) -> Option<&'a Value> {
        if !self.known.iter().any(|known| known == name) {
            self.known.push(name.to_owned());
        }
        self.object.get(name)
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.object.keys().cloned().collect()
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        note!(self, name, Kind::Text);
        let value = self.get(name)?;
        let text = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        if text.is_none() {
            self.wrong(name, &format!("`{}` is not a text", shown(value)));
            return Some(String::new());
        }
        text
    }

    pub(crate) fn name(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        if !is_name(&text) {
            self.wrong(name, &format!("`{text}` is not a name: 1 to 64 of A-Z a-z 0-9 . _ / -"));
        }
        Some(text)
    }

    pub(crate) fn flag(&mut self, name: &str, default: bool) -> bool {
        note!(self, name, Kind::Flag);
        let Some(value) = self.get(name) else { return default };
        value.as_bool().unwrap_or_else(|| {
            self.wrong(name, &format!("`{}` is neither true nor false", shown(value)));
            default
        })
    }

    /// Whether the key is there; reading it is another matter.
    pub(crate) fn has(&mut self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        note!(self, name, Kind::word(words.iter().map(|(word, _)| *word)));
        let value = self.get(name)?;
        let text = value.as_str().map_or_else(|| shown(value), str::to_owned);
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(name, &format!("`{text}` is not one of {}", words.join(", ")));
        }
        found
    }

    pub(crate) fn number(&mut self, name: &str, range: std::ops::RangeInclusive<u64>, default: u64) -> u64 {
        note!(self, name, Kind::Whole(*range.start(), *range.end()));
        let Some(value) = self.get(name) else { return default };
        value.as_u64().filter(|number| range.contains(number)).unwrap_or_else(|| {
            let (low, high) = (range.start(), range.end());
            self.wrong(name, &format!("`{}` is not a whole number from {low} to {high}", shown(value)));
            default
        })
    }

    /// A whole number; the lowest, where it is another one, and none where nothing is given.
    pub(crate) fn number_if_given(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let low = *range.start();
        let number = self.number(name, range, low);
        self.has(name).then_some(number)
    }

    pub(crate) fn field(&mut self, name: &str) -> Option<Field> {
        let field = self.text(name).and_then(|text| Field::from_name(&text));
        note!(self, name, Kind::word(Field::ALL.iter().map(|(_, name, _)| *name)));
        if field.is_none() {
            let names: Vec<&str> = Field::ALL.iter().map(|(_, name, _)| *name).collect();
            self.wrong(name, &format!("is not one of {}", names.join(", ")));
        }
        field
    }

    pub(crate) fn texts(&mut self, name: &str) -> Vec<String> {
        note!(self, name, Kind::list(Kind::Text));
        let items = self.get(name).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    pub(crate) fn object<T>(&mut self, name: &str, read: impl FnOnce(&mut Keys<'_>) -> T) -> Option<T> {
        note!(self, name, Kind::Table);
        let value = self.get(name)?;
        let Some(object) = value.as_object() else {
            self.wrong(name, &format!("`{}` is not an object", shown(value)));
            return None;
        };
        Some(read(&mut Keys::new(&self.key(name), object, self.found)))
    }

    pub(crate) fn list<T>(&mut self, name: &str, read: impl Fn(&mut Keys<'_>) -> T) -> Vec<T> {
        note!(self, name, Kind::Tables);
        let Some(value) = self.get(name) else { return Vec::new() };
        let Some(items) = value.as_array() else {
            self.wrong(name, &format!("`{}` is not a list", shown(value)));
            return Vec::new();
        };
        let mut read_items = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", self.key(name));
            match item.as_object() {
                Some(object) => read_items.push(read(&mut Keys::new(&path, object, self.found))),
                None => {
                    self.wrong(&format!("{name}[{index}]"), &format!("`{}` is not an object", shown(item)));
                }
            }
        }
        read_items
    }

    pub(crate) fn nothing_else(&mut self) {
        for name in self.all() {
            if !self.known.contains(&name) {
                let known = self.known.join(", ");
                self.wrong(&name, &format!("is not a key here; there are {known}"));
            }
        }
    }
}

/// A value for an error message, cut.
pub(crate) fn shown(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

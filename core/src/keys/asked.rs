//! What a reader of a configuration asks for: its keys and what each may hold, for schemas and for documents.

use serde_json::Value;

/// A key that a reader asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// Where it is, such as `budgets.limit_usd`; items of a list have no number.
    pub path: String,
    /// What it may hold.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
}

/// What a key may hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A text that is not empty.
    Text,
    /// One of these words.
    Word(Vec<String>),
    /// `true` or `false`.
    Flag,
    /// A whole number, from and to, both inclusive.
    Whole(u64, u64),
    /// Dollars: a text, or a whole number.
    Dollars,
    /// A list of what each item may hold.
    List(Box<Kind>),
    /// One, or a list that is not empty.
    OneOrMore(Box<Kind>),
    /// A table whose keys are free, or are these, and hold this.
    Map(Vec<String>, Box<Kind>),
    /// A table, whose keys are asked for as `path.key`.
    Table,
    /// A list of tables, whose keys are asked for as `path.key`.
    Tables,
    /// A table of tables with free names, whose keys are asked for as `path.NAME.key`.
    Named,
    /// What another reader reads: any table.
    Other,
}

impl Kind {
    /// One of these words.
    pub fn word<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Word(words.into_iter().map(str::to_owned).collect())
    }

    /// A list of these.
    #[must_use]
    pub fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    /// A value of this kind, as far as a reader sees without what other keys say.
    #[must_use]
    pub fn sample(&self) -> Value {
        match self {
            Self::Text | Self::Dollars => "1".into(),
            Self::Word(words) => words.first().map_or(Value::Null, |word| word.as_str().into()),
            Self::Flag => true.into(),
            Self::Whole(from, _) => (*from).into(),
            Self::List(of) | Self::OneOrMore(of) => Value::Array(vec![of.sample()]),
            Self::Tables => Value::Array(vec![Value::Object(serde_json::Map::new())]),
            Self::Map(..) | Self::Table | Self::Named | Self::Other => Value::Object(serde_json::Map::new()),
        }
    }
}

/// A path without the numbers of list items: `budgets[3].scope` is `budgets.scope`.
#[must_use]
pub fn general(path: &str) -> String {
    let mut general = String::with_capacity(path.len());
    let mut is_index = false;
    for character in path.chars() {
        match character {
            '[' => is_index = true,
            ']' => is_index = false,
            _ if is_index => {}
            other => general.push(other),
        }
    }
    general
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_items_are_no_part_of_a_general_path() {
        assert_eq!(general("budgets[3].scope.tags"), "budgets.scope.tags");
        assert_eq!(general("listen"), "listen");
    }
}

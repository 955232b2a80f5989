//! Tables: columns that say what they hold, and rows of typed values.
//!
//! A report fills one table. What becomes of it is decided elsewhere: `cli/output` draws it for a terminal,
//! [`export`] writes it for sheets and programs, for the command line and over HTTP alike.

pub mod export;

use tollgate_core::money::Picodollars;

use crate::model::decimal::Decimal;

/// Columns and rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Its columns, from left to right.
    pub columns: Vec<Column>,
    /// Its rows, each with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// What stands apart below the rows; exports leave it out.
    pub total: Option<Vec<Cell>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name in the API and in exports.
    pub name: String,
    /// Its name on a screen.
    pub title: String,
    /// What it holds.
    pub kind: Kind,
    /// How much it matters: on a narrow screen the least goes first, [`KEEP`] never.
    pub weight: u8,
    /// Whether its texts are of no use when cut, such as ids.
    pub is_whole: bool,
    /// So many characters of a text stay where it is cut, as long as other columns can go.
    pub least: usize,
    /// Whether a screen shows it only where one of its cells is neither nothing nor zero.
    pub if_any: bool,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Words.
    Text,
    /// Words that stand at the right, such as rates.
    Right,
    /// A time as RFC 3339 has it; a screen shows whole seconds.
    Time,
    /// A whole number.
    Count,
    /// Milliseconds; a screen shows them in words.
    Duration,
    /// Dollars. Those of a column share their number of decimals.
    Money,
    /// Parts in a hundred.
    Percent,
    /// Parts in a hundred, more or less than before.
    Change,
    /// A number with a point.
    Ratio,
    /// A bar as long as its part in a hundred, for a screen with room.
    Bar,
    /// Amounts over time as a line of blocks, for a screen with room.
    Sparkline,
}

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    /// None.
    #[default]
    Nothing,
    /// Words.
    Text(String),
    /// A whole number.
    Count(i128),
    /// Dollars.
    Money(Picodollars),
    /// A number with a point.
    Decimal(Decimal),
    /// Amounts in the order of time.
    Amounts(Vec<Picodollars>),
}

impl Table {
    /// A table without rows.
    pub const fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new(), total: None }
    }

    /// The same with these rows.
    #[must_use]
    pub fn with(mut self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// The same with this row below.
    #[must_use]
    pub fn total(mut self, total: Vec<Cell>) -> Self {
        self.total = Some(total);
        self
    }

    /// The cells of a column.
    pub fn cells(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.rows.iter().chain(&self.total).filter_map(move |row| row.get(column))
    }
}

impl Column {
    /// A column whose title is its name with spaces.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        let name = name.into();
        let title = name.replace("_usd", " $").replace("_percent", " %").replace('_', " ");
        Self { name, title, kind, weight: MIDDLE, is_whole: false, least: LEAST, if_any: false }
    }

    /// A column of words.
    pub fn text(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Text)
    }

    /// A column of times, which are never cut.
    pub fn time(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Time).whole()
    }

    /// A column of whole numbers.
    pub fn count(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Count)
    }

    /// A column of lengths of time, in milliseconds.
    pub fn duration(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Duration).titled("duration").whole()
    }

    /// A column of dollars.
    pub fn money(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Money)
    }

    /// The same under this title.
    #[must_use]
    pub fn titled(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// The same, which matters so much.
    #[must_use]
    pub fn weight(self, weight: u8) -> Self {
        Self { weight, ..self }
    }

    /// The same, which is never left out.
    #[must_use]
    pub fn kept(self) -> Self {
        self.weight(KEEP)
    }

    /// The same, whose texts are never cut.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { is_whole: true, ..self }
    }

    /// The same, of whose texts so many characters stay.
    #[must_use]
    pub fn least(self, least: usize) -> Self {
        Self { least, ..self }
    }

    /// The same, shown only where it has something.
    #[must_use]
    pub fn if_any(self) -> Self {
        Self { if_any: true, ..self }
    }
}

impl Kind {
    /// Whether only a screen has it, and only where all else has room.
    pub const fn is_picture(self) -> bool {
        matches!(self, Self::Bar | Self::Sparkline)
    }

    /// Whether its cells are words.
    pub const fn is_words(self) -> bool {
        matches!(self, Self::Text | Self::Right | Self::Time)
    }
}

impl Cell {
    /// Words; what is not there is nothing.
    pub fn said(value: Option<impl ToString>) -> Self {
        value.map_or(Self::Nothing, |value| Self::Text(value.to_string()))
    }

    /// A number with a point, where there is one.
    pub fn decimal(value: Option<Decimal>) -> Self {
        value.map_or(Self::Nothing, Self::Decimal)
    }

    /// Dollars, where they are known.
    pub fn money(value: Option<Picodollars>) -> Self {
        value.map_or(Self::Nothing, Self::Money)
    }

    /// Whether it is nothing, no words, or zero.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Text(text) => text.is_empty(),
            Self::Count(count) => *count == 0,
            Self::Money(amount) => *amount == Picodollars::ZERO,
            Self::Decimal(decimal) => decimal.units() == 0,
            Self::Amounts(amounts) => amounts.iter().all(|amount| *amount == Picodollars::ZERO),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Count(count.into())
    }
}

impl From<Picodollars> for Cell {
    fn from(amount: Picodollars) -> Self {
        Self::Money(amount)
    }
}

/// The weight of a column that is never left out.
pub const KEEP: u8 = u8::MAX;
/// Characters of a name that tell it apart from most others.
const LEAST: usize = 16;
/// The weight of a column of which nothing else is said.
const MIDDLE: u8 = 100;

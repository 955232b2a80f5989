//! Who spent what.

pub mod derived;
pub mod metric;
pub mod tables;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tollgate_core::money::Picodollars;

use crate::model::dimension::Dimension;
use crate::model::unit::Unit;
use derived::Derived;

/// What was spent in a time, told apart by what was asked for.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Summary")]
pub struct SummaryAnswer {
    /// Start: that of the question, rounded down to the hour.
    pub from: String,
    /// End, exclusive: that of the question, rounded up to the hour.
    pub to: String,
    /// What rows are told apart by, in the order of the question.
    pub by: Vec<By>,
    /// Rows by time, then by cost, the largest first, unless `sort` asks for another order.
    pub rows: Vec<SummaryRow>,
    /// Sum of all rows.
    pub total: SummaryTotal,
    /// Calls, refused ones too, that gateways folded into totals: they are counted in the rows and have no
    /// record.
    pub folded_calls: u64,
    /// Records that came so lately that their outcome, run and tags are not counted yet; 0 where rows are not
    /// told apart by these.
    #[serde(default)]
    pub unfollowed_records: u64,
    /// Whether the time asked for is not over.
    #[serde(default)]
    pub partial: bool,
    /// How many rows were asked for beside the others; absent where all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<u64>,
    /// The period before, where `compare` asks for it; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousPeriod>,
    /// What one amount of a row's `trend` is about: `hour`, `day`, `week` or `month`; absent without a trend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend_by: Option<String>,
    /// Where nothing was found: what was looked for, and what there is; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// With what a summary is compared.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct PreviousPeriod {
    /// Its start.
    pub from: String,
    /// Its end, exclusive.
    pub to: String,
}

/// One row of a summary: what it is about, then its numbers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct SummaryRow {
    /// What it is about.
    #[serde(flatten)]
    pub keys: Keys,
    /// Its numbers.
    #[serde(flatten)]
    pub numbers: Numbers,
    /// What is made of them.
    #[serde(flatten)]
    pub derived: Derived,
    /// That the question or the present cuts its hour, day, week or month; absent where it is whole.
    #[serde(default, skip_serializing_if = "is_not")]
    pub partial: bool,
    /// How many rows this one is the sum of, where `top` leaves them out; absent in a row of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<u64>,
    /// What it cost in each part of the time, the first first; absent unless `trend` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Vec<Picodollars>>,
}

/// The sum of all rows.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct SummaryTotal {
    /// Its numbers.
    #[serde(flatten)]
    pub numbers: Numbers,
    /// What is made of them.
    #[serde(flatten)]
    pub derived: Derived,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
const fn is_not(partial: &bool) -> bool {
    !*partial
}

/// What a row of a summary is about: a value for each name of `by`, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys(pub Vec<(By, Option<String>)>);

/// What was used and spent.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Numbers {
    /// Calls that reached a provider.
    pub calls: u64,
    /// Calls that were refused.
    pub denied: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Calls that had no price for all they used.
    pub unpriced: u64,
    /// Tokens of prompts, with those read from and written to caches.
    pub input_tokens: u64,
    /// The part of `input_tokens` read from caches.
    pub cache_read_tokens: u64,
    /// The part of `input_tokens` written to caches.
    pub cache_write_tokens: u64,
    /// Tokens of answers, with those of reasoning.
    pub output_tokens: u64,
    /// The part of `output_tokens` that is reasoning.
    pub reasoning_tokens: u64,
    /// What all of it costs, corrections of prices included.
    pub cost_usd: Picodollars,
    /// The part of `cost_usd` from counts that gateways estimated.
    pub estimated_cost_usd: Picodollars,
    /// Calls whose cost is estimated.
    #[serde(default)]
    pub estimated_calls: u64,
}

/// What rows of a summary are told apart by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum By {
    /// A dimension.
    Dimension(Dimension),
    /// The day, in the time zone of the question.
    Day,
    /// The hour.
    Hour,
    /// The week, from Monday on, in the time zone of the question.
    Week,
    /// The month, in the time zone of the question.
    Month,
}

impl By {
    /// All of them, in the order of documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        Dimension::ALL.into_iter().chain(Dimension::FACETS).map(Self::Dimension).chain([
            Self::Hour,
            Self::Day,
            Self::Week,
            Self::Month,
        ])
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|by| by.name() == name)
    }

    /// The one with this name in a question; `key` stands for `key_id`.
    pub fn asked(name: &str) -> Option<Self> {
        Dimension::or_facet(name).map(Self::Dimension).or_else(|| Self::from_name(name))
    }

    /// The unit of time, where it is one.
    pub const fn unit(self) -> Option<Unit> {
        match self {
            Self::Dimension(_) => None,
            Self::Hour => Some(Unit::Hour),
            Self::Day => Some(Unit::Day),
            Self::Week => Some(Unit::Week),
            Self::Month => Some(Unit::Month),
        }
    }

    /// The name in questions and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dimension(dimension) => dimension.name(),
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

impl Keys {
    /// The row's value; none where it has none, or is not told apart by that.
    pub fn value(&self, by: By) -> Option<&str> {
        self.0.iter().find(|(own, _)| *own == by).and_then(|(_, value)| value.as_deref())
    }
}

impl Serialize for By {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for By {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| {
            serde::de::Error::custom(format!("`{name}` is nothing that rows are told apart by"))
        })
    }
}

impl JsonSchema for By {
    fn schema_name() -> Cow<'static, str> {
        "By".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Self::all().map(Self::name).collect();
        json_schema!({
            "description": "What rows of a summary are told apart by.",
            "type": "string",
            "enum": names,
        })
    }
}

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (by, value) in &self.0 {
            map.serialize_entry(by.name(), value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadKeys)
    }
}

/// Reads the keys among the members of a row.
struct ReadKeys;

impl<'de> Visitor<'de> for ReadKeys {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row of a summary")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Keys, A::Error> {
        let mut keys = Keys::default();
        while let Some(name) = members.next_key::<String>()? {
            match By::from_name(&name) {
                Some(by) => keys.0.push((by, members.next_value()?)),
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(keys)
    }
}

impl JsonSchema for Keys {
    fn schema_name() -> Cow<'static, str> {
        "Keys".into()
    }

    /// One member for each that rows can be told apart by. Those that were not asked for are absent.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let describe = |by: By| {
            let means = match by {
                By::Day => "The day, in the time zone of the question; absent where `by` does not name it.",
                By::Hour => "The start of the hour; absent where `by` does not name it.",
                By::Week => "The week as in ISO 8601, such as 2026-W47; absent where `by` does not name it.",
                By::Month => "The month, such as 2026-11; absent where `by` does not name it.",
                By::Dimension(_) => {
                    "Its value, empty or null where calls have none; absent where `by` does not name it."
                }
            };
            let schema =
                serde_json::json!({"description": means, "oneOf": [{"type": "string"}, {"type": "null"}]});
            (by.name().to_owned(), schema)
        };
        let properties: serde_json::Map<String, serde_json::Value> = By::all().map(describe).collect();
        json_schema!({"type": "object", "properties": properties})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_in_the_order_of_its_question() {
        let team = By::Dimension(Dimension::Team);
        let row = SummaryRow {
            keys: Keys(vec![(By::Day, Some("2026-11-01".into())), (team, None)]),
            numbers: Numbers { calls: 3, ..Numbers::default() },
            ..SummaryRow::default()
        };
        let json = serde_json::to_string(&row).unwrap();
        assert!(json.starts_with(r#"{"day":"2026-11-01","team":null,"calls":3,"denied":0,"#), "{json}");
        assert_eq!(serde_json::from_str::<SummaryRow>(&json).unwrap(), row);
        assert_eq!((row.keys.value(By::Day), row.keys.value(team)), (Some("2026-11-01"), None));
    }
}

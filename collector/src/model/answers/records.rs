//! Calls one by one.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tollgate_core::record::UsageRecord;

use crate::model::clock::rfc3339;

/// A page of records, the newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RecordsPage {
    /// The records.
    pub rows: Vec<RecordRow>,
    /// Where the next page starts; null on the last one.
    pub next_cursor: Option<String>,
}

/// A record as the API shows it: with `time` in place of `time_ms`, and with `charges` even where there is
/// none. All else is as the record is stored, so that no other field of it is named here.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordRow(pub UsageRecord);

impl RecordRow {
    /// When the call was admitted, RFC 3339 in UTC.
    pub fn time(&self) -> String {
        rfc3339(self.0.head.time_ms).unwrap_or_default()
    }
}

impl Serialize for RecordRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = self.0.to_json();
        let stored: Members<'_> = serde_json::from_slice(&json).map_err(S::Error::custom)?;
        let mut shown = serializer.serialize_map(None)?;
        for (name, value) in stored.0 {
            if name == TIME_MS {
                shown.serialize_entry(TIME, &self.time())?;
                continue;
            }
            if name == BEHIND_CHARGES && self.0.charges.is_empty() {
                shown.serialize_entry(CHARGES, &self.0.charges)?;
            }
            shown.serialize_entry(name, value)?;
        }
        shown.end()
    }
}

impl<'de> Deserialize<'de> for RecordRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members: Map<String, Value> = Map::deserialize(deserializer)?;
        let time = members.remove(TIME).ok_or_else(|| D::Error::missing_field(TIME))?;
        let time: Timestamp =
            time.as_str().unwrap_or_default().parse().map_err(|_| D::Error::custom("`time` is no time"))?;
        members.insert(TIME_MS.to_owned(), time.as_millisecond().into());
        UsageRecord::deserialize(Value::Object(members)).map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for RecordRow {
    fn schema_name() -> Cow<'static, str> {
        "Record".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = UsageRecord::json_schema(generator);
        schema.insert("description".to_owned(), DESCRIPTION.into());
        if let Some(Value::Object(members)) = schema.get_mut("properties") {
            members.remove(TIME_MS);
            let time = json!({"type": "string", "description": "When the call was admitted."});
            members.insert(TIME.to_owned(), time);
        }
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.iter_mut().filter(|name| *name == TIME_MS).for_each(|name| *name = TIME.into());
            let at = required.iter().position(|name| name == BEHIND_CHARGES).unwrap_or(required.len());
            required.insert(at, CHARGES.into());
        }
        schema
    }
}

/// The members of an object in their order, as they are written.
struct Members<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

const TIME: &str = "time";
const TIME_MS: &str = "time_ms";
const CHARGES: &str = "charges";
/// What follows the charges in a record.
const BEHIND_CHARGES: &str = "cost_usd";
const DESCRIPTION: &str = "A record as the API shows it: with `time` instead of milliseconds. What is not known of a call is absent.";

#[cfg(test)]
mod tests {
    use super::*;

    use tollgate_core::money::Picodollars;
    use tollgate_core::price::Charge;
    use tollgate_core::record::{Head, Note, Work};
    use tollgate_core::usage::Kind;

    fn record() -> UsageRecord {
        UsageRecord {
            head: Head {
                id: r#"a "b""#.into(),
                time_ms: 1_763_900_000_123,
                service_tier: Some("flex".into()),
                ..Head::default()
            },
            provider_cost_usd: Some(Picodollars::from_pico(1)),
            charged_usd: Some(Picodollars::from_pico(1)),
            attempts: Some(2),
            request_hash: Some("aa".into()),
            work: Some(Box::new(Work { fetched: Some("resp_1".into()), ..Work::default() })),
            notes: vec![Note::NoUsage],
            ..UsageRecord::default()
        }
    }

    #[test]
    fn a_row_is_its_record_with_a_time_and_with_charges_even_where_there_is_none() {
        let charge = Charge {
            model: "m".into(),
            kind: Kind::Input,
            quantity: 1,
            rate: Picodollars::ZERO,
            cost_usd: Picodollars::ZERO,
        };
        for charges in [vec![], vec![charge]] {
            let record = UsageRecord { charges, ..record() };
            let stored = serde_json::to_string(&record).unwrap();
            let shown = serde_json::to_string(&RecordRow(record.clone())).unwrap();
            let (before, rest) = shown.split_once(r#","time":"2025-11-23T12:13:20.123Z","#).unwrap();
            let again =
                format!(r#"{before},"time_ms":1763900000123,{}"#, rest.replace(r#""charges":[],"#, ""));
            assert_eq!(again, stored);
            assert!(shown.contains(r#""charges":["#));
            assert_eq!(serde_json::from_str::<RecordRow>(&shown).unwrap(), RecordRow(record));
        }
    }

    #[test]
    fn what_has_no_time_is_no_row() {
        for json in ["{}", r#"{"time":7}"#, r#"{"time":"yesterday"}"#] {
            assert!(serde_json::from_str::<RecordRow>(json).is_err(), "{json}");
        }
    }
}

//! What is left of each budget, and what a change of one did.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tollgate_core::budget::scope::{Dimension, Scope};
use tollgate_core::budget::{Action, Amount, Unit};
use tollgate_core::money::Picodollars;

/// What is left of each budget in the windows that hold now.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Budgets {
    /// When this holds, by the collector's clock; null where that is no time of the calendar.
    pub now: Option<String>,
    /// One row for each counter.
    pub rows: Vec<BudgetRow>,
}

/// A counter of a budget in the window that holds now.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "BudgetCounter")]
pub struct BudgetRow {
    /// Name of the budget.
    pub budget: String,
    /// Value of the budget's `each`; empty where it has none, null where nobody has used the budget yet.
    pub value: Option<String>,
    /// Which calls count.
    pub scope: Scope,
    /// Of what each value has a counter of its own; null where one counter is for all calls.
    pub each: Option<Dimension>,
    /// What is counted.
    pub unit: Unit,
    /// What becomes of a call that does not fit.
    pub action: Action,
    /// Where the budget is defined: `file` or `api`.
    pub source: String,
    /// How long a limit lasts, such as `month` or `rolling 24h`.
    pub window: String,
    /// Time zone of the window, such as `Europe/Zurich`.
    pub time_zone: String,
    /// Start of the window; null where that is no time of the calendar.
    pub from: Option<String>,
    /// End of the window, exclusive; null where it has none, as a prepaid one, or moves on, as a rolling one.
    pub to: Option<String>,
    /// How much may be spent in the window, with what was carried over and topped up.
    pub limit: Quantity,
    /// What counts as spent, with what calls under way hold.
    pub used: Quantity,
    /// The part of `used` that calls under way hold.
    pub held: Quantity,
    /// The part of `used` above the records' costs, of calls of which nobody knows what they cost.
    pub kept: Quantity,
    /// What gateways were granted and have not given back.
    pub granted: Quantity,
    /// What gateways that are silent may have spent unseen.
    pub presumed: Quantity,
    /// `limit` less `used`; below 0 where the limit was passed.
    pub remaining: Quantity,
    /// Whether more is granted than the limit, as it was lowered since.
    pub over_granted: bool,
    /// `used` in percent of `limit`, rounded down, at most 65535, which is also that of a limit of nothing.
    pub percent: u16,
    /// Calls refused in the window as each may cost more than is left. Refusals for other reasons, such as
    /// calls under way or a collector that is away, are not among them.
    pub denied: u64,
    /// Calls under way.
    pub in_flight: u64,
    /// What is spent in a day at the rate of the window so far.
    pub burn_per_day: Quantity,
    /// When the limit is reached at that rate; null where it is not within the window, or is already.
    pub limit_reached: Option<String>,
    /// What each gateway holds of it.
    pub gateways: Vec<GatewayAccount>,
}

/// What one run of a gateway holds of a counter.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct GatewayAccount {
    /// Name of the gateway; null where the run never reported under one.
    pub gateway: Option<String>,
    /// The run, as `release` takes it.
    pub instance: String,
    /// What it was granted and has not given back.
    pub granted: Quantity,
    /// What it used, with what its calls under way hold.
    pub used: Quantity,
    /// What its calls under way hold.
    pub held: Quantity,
    /// Whether it still reports.
    pub live: bool,
    /// When it last reported; null where that is no time of the calendar.
    pub last_seen: Option<String>,
    /// Until when it may use its grant unless it reports again; null where that is no time of the calendar.
    pub lease_ends: Option<String>,
}

/// What became of a budget's definition.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct BudgetChanged {
    /// Name of the budget.
    pub budget: String,
    /// What was done.
    pub result: BudgetChange,
}

/// What was done to a budget's definition.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetChange {
    /// It is new.
    Created,
    /// It is another now; what was spent stays.
    Changed,
    /// It counts otherwise now: its counters begin with what records say.
    CountsOtherwise,
    /// It was so before.
    Same,
    /// It is gone; what was spent stays recorded.
    Removed,
}

/// The limit after a top-up.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ToppedUp {
    /// Name of the budget.
    pub budget: String,
    /// The limit of the window that holds now.
    pub limit: Quantity,
}

/// What was given back of what was kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct KeptReleased {
    /// Name of the budget.
    pub budget: String,
    /// How much was given back.
    pub released: Quantity,
}

/// What was taken back from a run of a gateway that is gone.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct InstanceReleased {
    /// The run.
    pub instance: String,
    /// Counters of which something was taken back.
    pub released_counters: u64,
}

/// A quantity of a budget's unit: dollars as a decimal string, tokens or calls as a whole number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Quantity {
    /// Dollars.
    Dollars(Picodollars),
    /// Tokens or calls.
    Count(i128),
}

impl Quantity {
    /// An amount of this unit.
    pub const fn of(unit: Unit, amount: Amount) -> Self {
        match unit {
            Unit::Dollars => Self::Dollars(Picodollars::from_pico(amount.0)),
            Unit::Tokens | Unit::Calls => Self::Count(amount.0),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dollars(dollars) => dollars.fmt(f),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Dollars(dollars) => dollars.serialize(serializer),
            // What is beyond JSON's integers is a string of digits, so that no reader rounds it.
            Self::Count(count) => match i64::try_from(*count) {
                Ok(count) => serializer.serialize_i64(count),
                Err(_) => serializer.collect_str(count),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = match &value {
            Value::String(text) if text.contains('.') => text.parse().ok().map(Self::Dollars),
            Value::String(text) => text.parse().ok().map(Self::Count),
            value => value.as_i64().map(|count| Self::Count(count.into())),
        };
        read.ok_or_else(|| {
            serde::de::Error::custom(format!("`{value}` is not dollars and not a whole number"))
        })
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An amount of a budget's unit: dollars as a decimal string; tokens or calls as a whole \
                number, or as a string of digits beyond 64 bits.",
            "anyOf": [
                generator.subschema_for::<Picodollars>(),
                {"type": "integer"},
                {"type": "string", "pattern": "^-?[0-9]+$"},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_reads_back_as_it_is_written() {
        for (unit, amount, json) in [
            (Unit::Dollars, 5_500_000_000_000, r#""5.500000000000""#),
            (Unit::Dollars, -1, r#""-0.000000000001""#),
            (Unit::Tokens, 1_200, "1200"),
            (Unit::Calls, -7, "-7"),
            (Unit::Tokens, 1 << 80, r#""1208925819614629174706176""#),
        ] {
            let quantity = Quantity::of(unit, Amount(amount));
            assert_eq!(serde_json::to_string(&quantity).unwrap(), json);
            assert_eq!(serde_json::from_str::<Quantity>(json).unwrap(), quantity);
        }
        for wrong in ["null", "1.5", r#""five""#, r#""1.2.3""#, "[]"] {
            assert!(serde_json::from_str::<Quantity>(wrong).is_err(), "{wrong}");
        }
    }
}

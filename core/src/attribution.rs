//! Attribution: who spent, from header values.

pub mod key_id;
pub mod presets;
mod reader;

pub use reader::{AttributionReader, AttributionRules, Handling, distrust, is_name, set_trusted};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Who made a call. A name is [`UNATTRIBUTED`] when missing and [`INVALID`] when malformed or repeated.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Attribution {
    /// The agent or application.
    pub agent: String,
    /// The team that answers for it.
    pub team: String,
    /// The product feature.
    pub feature: String,
    /// Environment, such as `production`.
    pub environment: String,
    /// One user-visible interaction, which may make many calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The run that started this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_run: Option<String>,
    /// Free keys and values, at most [`TAGS_MAX`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(description = "Free keys and values, a bounded number of them.")
    )]
    pub tags: BTreeMap<String, String>,
    /// Which of these stand on more than the caller's word.
    #[serde(skip_serializing_if = "TrustedFields::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub trusted: TrustedFields,
}

impl Default for Attribution {
    fn default() -> Self {
        Self {
            agent: UNATTRIBUTED.into(),
            team: UNATTRIBUTED.into(),
            feature: UNATTRIBUTED.into(),
            environment: UNATTRIBUTED.into(),
            run: None,
            parent_run: None,
            tags: BTreeMap::new(),
            trusted: TrustedFields::default(),
        }
    }
}

impl Attribution {
    /// Whether the caller said anything about who it is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A part of an attribution, as configuration names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// `agent`.
    Agent,
    /// `team`.
    Team,
    /// `feature`.
    Feature,
    /// `environment`.
    Environment,
    /// `run`.
    Run,
    /// `parent_run`.
    ParentRun,
    /// `tags`.
    Tags,
}

impl Field {
    /// Every field with its name in configuration and its own header.
    pub const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Agent, "agent", "x-tollgate-agent"),
        (Self::Team, "team", "x-tollgate-team"),
        (Self::Feature, "feature", "x-tollgate-feature"),
        (Self::Environment, "environment", "x-tollgate-environment"),
        (Self::Run, "run", "x-tollgate-run"),
        (Self::ParentRun, "parent_run", "x-tollgate-parent-run"),
        (Self::Tags, "tags", "x-tollgate-tags"),
    ];

    /// The field with this name in configuration.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known, _)| *known == name).map(|(field, ..)| field)
    }
}

/// Fields whose values stand on more than the caller's word. In JSON a list of their names.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct TrustedFields(u8);

impl TrustedFields {
    /// All fields.
    pub const ALL: Self = Self(u8::MAX);

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether this field is one.
    pub const fn contains(self, field: Field) -> bool {
        self.0 & 1 << field as u8 != 0
    }

    /// This field is none any more.
    pub const fn remove(&mut self, field: Field) {
        self.0 &= !(1 << field as u8);
    }

    /// This field is one, too.
    pub const fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u8;
    }

    /// A number that stands for them.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Those that a number stands for.
    pub const fn of_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Field::ALL.into_iter().filter(move |(field, ..)| self.contains(*field)).map(|(_, name, _)| name)
    }
}

impl From<Vec<String>> for TrustedFields {
    /// Names that are no field's are passed over: a newer gateway may know more.
    fn from(names: Vec<String>) -> Self {
        let mut fields = Self::default();
        names.iter().filter_map(|name| Field::from_name(name)).for_each(|field| fields.insert(field));
        fields
    }
}

impl From<TrustedFields> for Vec<String> {
    fn from(fields: TrustedFields) -> Self {
        fields.names().map(str::to_owned).collect()
    }
}

/// How far an attribution can be trusted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttributionSource {
    /// An identity that Envoy verified (mTLS, JWT).
    Verified,
    /// The keyed hash of the API key.
    Key,
    /// Metadata of the route.
    Route,
    /// The caller's headers.
    SelfDeclared,
    /// Nobody said.
    #[default]
    None,
}

impl AttributionSource {
    const ALL: [Self; 5] = [Self::Verified, Self::Key, Self::Route, Self::SelfDeclared, Self::None];

    /// The one with this name in JSON.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }

    /// Whether it is more than the caller's word.
    pub const fn is_trusted(self) -> bool {
        !matches!(self, Self::SelfDeclared | Self::None)
    }

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Key => "key",
            Self::Route => "route",
            Self::SelfDeclared => "self_declared",
            Self::None => "none",
        }
    }
}

/// Stands where a name is missing.
pub const UNATTRIBUTED: &str = "unattributed";
/// Stands where a name is malformed or repeated.
pub const INVALID: &str = "invalid";
/// Tags kept of one call.
pub const TAGS_MAX: usize = 16;
/// Longest name, and longest tag key or value, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

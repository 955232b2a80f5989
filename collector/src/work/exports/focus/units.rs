//! What kinds are counted and priced in.

use tollgate_core::money::Picodollars;
use tollgate_core::usage::Kind;

use super::decimal;
use crate::model::decimal::Decimal;

/// A unit of consumption, with how many of it have a price.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Unit {
    /// Its name.
    pub(super) consumed: &'static str,
    /// Ten to the power of this many are one of what is counted: milliseconds are told as seconds.
    below: u8,
    /// Ten to the power of this many units have a price.
    block: u8,
}

impl Unit {
    /// That of a kind.
    pub(super) const fn of(kind: Kind) -> Self {
        match kind {
            Kind::WebSearch | Kind::FileSearch => Self::one("Searches"),
            Kind::WebFetch | Kind::Page => Self::one("Pages"),
            Kind::Image => Self::one("Images"),
            Kind::AudioMillisecond => Self { consumed: "Seconds", below: 3, block: 0 },
            Kind::SearchUnit => Self::one("Units"),
            Kind::Character => Self { consumed: "Characters", below: 0, block: 6 },
            Kind::CodeSession => Self::one("Sessions"),
            Kind::Request => Self::one("Requests"),
            _ => Self { consumed: "Tokens", below: 0, block: 6 },
        }
    }

    /// One that is counted and priced by the piece.
    const fn one(consumed: &'static str) -> Self {
        Self { consumed, below: 0, block: 0 }
    }

    /// So many of what is counted, in this unit.
    pub(super) fn consumed(self, quantity: u64) -> Decimal {
        pointed(i128::from(quantity), self.below)
    }

    /// The same in units that have a price.
    pub(super) fn priced(self, quantity: u64) -> Decimal {
        pointed(i128::from(quantity), self.below.saturating_add(self.block))
    }

    /// The name of what has a price.
    pub(super) fn priced_unit(self) -> String {
        match self.block {
            0 => self.consumed.to_owned(),
            block => format!("{} {}", 10u64.saturating_pow(block.into()), self.consumed),
        }
    }

    /// The price of that, of the price of one that is counted.
    pub(super) fn price(self, rate: Picodollars) -> Decimal {
        let by = self.below.saturating_add(self.block);
        trimmed(rate.as_pico(), 12u8.saturating_sub(by))
    }
}

/// With at least one decimal.
fn pointed(units: i128, places: u8) -> Decimal {
    if places == 0 { decimal(units.saturating_mul(10), 1) } else { decimal(units, places) }
}

/// Without zeros at its end, but for one behind the point.
fn trimmed(mut units: i128, mut places: u8) -> Decimal {
    while places > 1 && units % 10 == 0 {
        (units, places) = (units / 10, places - 1);
    }
    decimal(units, places)
}

/// What a kind is called to people.
pub(super) fn meter(kind: Kind) -> String {
    let name = match kind {
        Kind::Input => "Input Tokens",
        Kind::CacheRead => "Cache Read Input Tokens",
        Kind::CacheReadAudio => "Cache Read Audio Tokens",
        Kind::CacheReadImage => "Cache Read Image Tokens",
        Kind::CacheWrite | Kind::CacheWriteTtl(_) => "Cache Write Input Tokens",
        Kind::InputAudio => "Input Audio Tokens",
        Kind::InputImage => "Input Image Tokens",
        Kind::InputVideo => "Input Video Tokens",
        Kind::InputTool => "Input Tool Tokens",
        Kind::Output => "Output Tokens",
        Kind::Reasoning => "Reasoning Output Tokens",
        Kind::Citation => "Citation Tokens",
        Kind::OutputAudio => "Output Audio Tokens",
        Kind::OutputImage => "Output Image Tokens",
        Kind::WebSearch => "Web Searches",
        Kind::WebFetch => "Web Fetches",
        Kind::FileSearch => "File Searches",
        Kind::Image => "Images",
        Kind::AudioMillisecond => "Audio",
        Kind::Page => "Pages",
        Kind::SearchUnit => "Search Units",
        Kind::Character => "Characters",
        Kind::CodeSession => "Code Sessions",
        Kind::Request => "Requests",
    };
    name.to_owned()
}

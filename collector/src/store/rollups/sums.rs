//! Sums: what a rollup row holds, as bytes in the database.
//!
//! One blob rather than a column for each number: money is wider than SQLite's integers and must neither
//! round nor overflow, a new kind of token needs no new column, and a summary reads a row in one piece.
//! The bytes are a format number, the totals as variable-length integers, then the kinds.

use std::collections::BTreeMap;

use tollgate_core::money::Picodollars;
use tollgate_core::record::{Folded, KindTotal, OutOfRange, UsageRecord, kinds_of};
use tollgate_core::usage::{CacheTtl, Kind};

pub use tollgate_core::record::Totals;

use crate::store::database::error::StoreError;

/// Counts, tokens and money of a set of records.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sums {
    /// The numbers of a summary.
    pub totals: Totals,
    /// Quantity and cost of every kind that occurred.
    pub kinds: BTreeMap<Kind, KindSum>,
}

/// Quantity and cost of one kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KindSum {
    /// Tokens, or things counted.
    pub quantity: u64,
    /// What they cost.
    pub cost: Picodollars,
}

/// A sum left the range of its numbers, or its bytes are not a sum.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SumsError {
    /// A total would pass 2⁶⁴, or an amount 2¹²⁷ pico-dollars.
    #[error("a rollup total is out of range")]
    OutOfRange,
    /// The stored bytes were not written by this module.
    #[error("a rollup row is damaged or of a newer format")]
    Damaged,
}

impl Sums {
    /// The sums of one record.
    pub fn of(record: &UsageRecord) -> Self {
        Self { totals: Totals::of(record), kinds: by_kind(&kinds_of(record)) }
    }

    /// The sums of records that a gateway has folded.
    pub fn of_folded(folded: &Folded) -> Self {
        Self { totals: folded.totals.clone(), kinds: by_kind(&folded.kinds) }
    }

    /// Adds others to these.
    ///
    /// # Errors
    /// [`SumsError::OutOfRange`]; these sums are then half added and to be thrown away.
    pub fn add(&mut self, other: &Self) -> Result<(), SumsError> {
        self.totals.add(&other.totals)?;
        for (kind, theirs) in &other.kinds {
            let mine = self.kinds.entry(*kind).or_default();
            mine.quantity = plus(mine.quantity, theirs.quantity)?;
            mine.cost = plus_money(mine.cost, theirs.cost)?;
        }
        Ok(())
    }

    /// Adds the sums of these bytes.
    ///
    /// # Errors
    /// As [`Sums::add`] and [`Sums::decode`]; these sums are then half added and to be thrown away.
    pub fn add_encoded(&mut self, bytes: &[u8]) -> Result<(), SumsError> {
        let mut reader = Reader { bytes };
        let totals = reader.totals()?;
        self.totals.add(&totals)?;
        reader.kinds(|kind, theirs| {
            let mine = self.kinds.entry(kind).or_default();
            mine.quantity = plus(mine.quantity, theirs.quantity)?;
            mine.cost = plus_money(mine.cost, theirs.cost)?;
            Ok(())
        })
    }

    /// Takes others out of these, which contain them.
    ///
    /// # Errors
    /// [`SumsError::OutOfRange`] where they do not; these sums are then half taken and to be thrown away.
    pub fn take(&mut self, other: &Self) -> Result<(), SumsError> {
        let mut theirs = other.totals.clone();
        for (mine, theirs) in self.totals.counts_mut().into_iter().zip(theirs.counts_mut()) {
            *mine = mine.checked_sub(*theirs).ok_or(SumsError::OutOfRange)?;
        }
        for (mine, theirs) in self.totals.money_mut().into_iter().zip(theirs.money_mut()) {
            *mine = plus_money(*mine, -*theirs)?;
        }
        for (kind, theirs) in &other.kinds {
            let mine = self.kinds.entry(*kind).or_default();
            mine.quantity = mine.quantity.checked_sub(theirs.quantity).ok_or(SumsError::OutOfRange)?;
            mine.cost = plus_money(mine.cost, -theirs.cost)?;
        }
        self.kinds.retain(|_, sum| *sum != KindSum::default());
        Ok(())
    }

    /// The money that these have more than others, without counts: what a closed month leaves to the open
    /// one.
    ///
    /// # Errors
    /// [`SumsError::OutOfRange`].
    pub fn money_since(&self, before: &Self) -> Result<Self, SumsError> {
        let mut more = Self::default();
        let (mut after, mut old) = (self.totals.clone(), before.totals.clone());
        let money = after.money_mut().into_iter().zip(old.money_mut());
        for (more, (after, old)) in more.totals.money_mut().into_iter().zip(money) {
            *more = plus_money(*after, -*old)?;
        }
        for kind in self.kinds.keys().chain(before.kinds.keys()) {
            let cost = |sums: &Self| sums.kinds.get(kind).map_or(Picodollars::ZERO, |sum| sum.cost);
            let cost = plus_money(cost(self), -cost(before))?;
            if cost != Picodollars::ZERO {
                more.kinds.insert(*kind, KindSum { quantity: 0, cost });
            }
        }
        Ok(more)
    }

    /// The bytes of a rollup row.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(FORMAT);
        for count in self.totals.counts() {
            put_count(&mut bytes, count);
        }
        for money in self.totals.money() {
            put(&mut bytes, zigzag(money.as_pico()));
        }
        for (kind, sum) in &self.kinds {
            bytes.push(code(*kind));
            put_count(&mut bytes, sum.quantity);
            put(&mut bytes, zigzag(sum.cost.as_pico()));
        }
        bytes
    }

    /// The sums of these bytes.
    ///
    /// # Errors
    /// [`SumsError::Damaged`] for anything that [`Sums::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, SumsError> {
        let mut reader = Reader { bytes };
        let totals = reader.totals()?;
        let mut kinds = BTreeMap::new();
        reader.kinds(|kind, sum| {
            kinds.insert(kind, sum);
            Ok(())
        })?;
        Ok(Self { totals, kinds })
    }
}

/// Totals at the front of a rollup row.
pub(in crate::store) trait InRow: Sized {
    /// Adds them, without reading the row's kinds.
    ///
    /// # Errors
    /// [`SumsError::Damaged`] and [`SumsError::OutOfRange`]; these totals are then half added and to be
    /// thrown away.
    fn add_encoded(&mut self, bytes: &[u8]) -> Result<(), SumsError>;

    /// Reads them, without reading the row's kinds.
    ///
    /// # Errors
    /// [`SumsError::Damaged`].
    fn decode(bytes: &[u8]) -> Result<Self, SumsError>;
}

impl InRow for Totals {
    fn add_encoded(&mut self, bytes: &[u8]) -> Result<(), SumsError> {
        let mut reader = Reader { bytes };
        reader.format()?;
        for mine in self.counts_mut() {
            *mine = plus(*mine, reader.count()?)?;
        }
        for mine in self.money_mut() {
            *mine = plus_money(*mine, reader.money()?)?;
        }
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<Self, SumsError> {
        Reader { bytes }.totals()
    }
}

fn by_kind(kinds: &[KindTotal]) -> BTreeMap<Kind, KindSum> {
    let mut sums: BTreeMap<Kind, KindSum> = BTreeMap::new();
    for KindTotal { kind, quantity, cost_usd } in kinds {
        let sum = sums.entry(*kind).or_default();
        sum.quantity = sum.quantity.saturating_add(*quantity);
        sum.cost += *cost_usd;
    }
    sums
}

impl From<OutOfRange> for StoreError {
    fn from(cause: OutOfRange) -> Self {
        Self::Sums(cause.into())
    }
}

impl From<OutOfRange> for SumsError {
    fn from(_: OutOfRange) -> Self {
        Self::OutOfRange
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn format(&mut self) -> Result<(), SumsError> {
        let Some((&FORMAT, rest)) = self.bytes.split_first() else {
            return Err(SumsError::Damaged);
        };
        self.bytes = rest;
        Ok(())
    }

    fn totals(&mut self) -> Result<Totals, SumsError> {
        self.format()?;
        let mut totals = Totals::default();
        for count in totals.counts_mut() {
            *count = self.count()?;
        }
        for money in totals.money_mut() {
            *money = self.money()?;
        }
        Ok(totals)
    }

    fn kinds(
        &mut self,
        mut each: impl FnMut(Kind, KindSum) -> Result<(), SumsError>,
    ) -> Result<(), SumsError> {
        while let Some((code, rest)) = self.bytes.split_first() {
            self.bytes = rest;
            let kind =
                Kind::ALL.into_iter().find(|kind| self::code(*kind) == *code).ok_or(SumsError::Damaged)?;
            let sum = KindSum { quantity: self.count()?, cost: self.money()? };
            each(kind, sum)?;
        }
        Ok(())
    }

    fn count(&mut self) -> Result<u64, SumsError> {
        match self.narrow() {
            Some(value) => Ok(value),
            None => u64::try_from(self.wide()?).map_err(|_| SumsError::Damaged),
        }
    }

    /// A number below 2⁶³, as nearly all are, read without wide arithmetic; nothing is read of a larger one.
    fn narrow(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (at, byte) in self.bytes.iter().enumerate().take(9) {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.bytes = self.bytes.get(at.saturating_add(1)..).unwrap_or_default();
                return Some(value);
            }
        }
        None
    }

    fn money(&mut self) -> Result<Picodollars, SumsError> {
        if let Some(value) = self.narrow() {
            let magnitude = i128::from(value >> 1);
            return Ok(Picodollars::from_pico(if value & 1 == 1 { !magnitude } else { magnitude }));
        }
        let value = self.wide()?;
        let magnitude = i128::try_from(value >> 1).map_err(|_| SumsError::Damaged)?;
        let pico = if value & 1 == 1 { !magnitude } else { magnitude };
        Ok(Picodollars::from_pico(pico))
    }

    fn wide(&mut self) -> Result<u128, SumsError> {
        let mut value = 0u128;
        for (at, byte) in self.bytes.iter().enumerate().take(19) {
            let part = u128::from(byte & 0x7f);
            if at == 18 && part > 0b11 {
                return Err(SumsError::Damaged);
            }
            value |= part << (7 * at);
            if byte & 0x80 == 0 {
                self.bytes = self.bytes.get(at.saturating_add(1)..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(SumsError::Damaged)
    }
}

/// The same bytes as [`put`] writes, without wide arithmetic.
fn put_count(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8; // seven bits fit
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn put(bytes: &mut Vec<u8>, mut value: u128) {
    if let Ok(narrow) = u64::try_from(value) {
        return put_count(bytes, narrow);
    }
    loop {
        let low = (value & 0x7f) as u8; // seven bits fit
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// Small amounts of either sign become small numbers.
const fn zigzag(value: i128) -> u128 {
    ((value << 1) ^ (value >> 127)).cast_unsigned()
}

fn plus(left: u64, right: u64) -> Result<u64, SumsError> {
    left.checked_add(right).ok_or(SumsError::OutOfRange)
}

fn plus_money(left: Picodollars, right: Picodollars) -> Result<Picodollars, SumsError> {
    let sum = left.as_pico().checked_add(right.as_pico());
    sum.map(Picodollars::from_pico).ok_or(SumsError::OutOfRange)
}

/// The byte that stands for a kind in the database; never changed, never used again.
const fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Input => 1,
        Kind::CacheRead => 2,
        Kind::CacheReadAudio => 3,
        Kind::CacheReadImage => 4,
        Kind::CacheWrite => 5,
        Kind::CacheWriteTtl(CacheTtl::FiveMinutes) => 6,
        Kind::CacheWriteTtl(CacheTtl::HalfHour) => 7,
        Kind::CacheWriteTtl(CacheTtl::OneHour) => 8,
        Kind::CacheWriteTtl(CacheTtl::TwelveHours) => 9,
        Kind::InputAudio => 10,
        Kind::InputImage => 11,
        Kind::InputVideo => 12,
        Kind::InputTool => 13,
        Kind::Output => 14,
        Kind::Reasoning => 15,
        Kind::OutputAudio => 16,
        Kind::OutputImage => 17,
        Kind::WebSearch => 18,
        Kind::WebFetch => 19,
        Kind::FileSearch => 20,
        Kind::Image => 21,
        Kind::AudioMillisecond => 22,
        Kind::Page => 23,
        Kind::SearchUnit => 24,
        Kind::Request => 25,
        Kind::Character => 26,
        Kind::CodeSession => 27,
        Kind::Citation => 28,
    }
}

/// First byte of the format written here.
const FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_sums() -> impl Strategy<Value = Sums> {
        let counts = proptest::array::uniform12(prop_oneof![0u64..1000, any::<u64>()]);
        let money = || prop_oneof![-1000i128..1000, any::<i128>()].prop_map(Picodollars::from_pico);
        let kinds = proptest::collection::btree_map(
            proptest::sample::select(Kind::ALL.to_vec()),
            (any::<u64>(), money()).prop_map(|(quantity, cost)| KindSum { quantity, cost }),
            0..6,
        );
        (counts, money(), money(), money(), kinds).prop_map(|(counts, cost, estimated, provider, kinds)| {
            let mut totals =
                Totals { cost, estimated_cost: estimated, provider_cost: provider, ..Totals::default() };
            for (field, count) in totals.counts_mut().into_iter().zip(counts) {
                *field = count;
            }
            Sums { totals, kinds }
        })
    }

    proptest! {
        #[test]
        fn bytes_give_the_same_sums(sums in any_sums()) {
            let bytes = sums.encode();
            prop_assert_eq!(Sums::decode(&bytes), Ok(sums.clone()));
            prop_assert_eq!(Totals::decode(&bytes), Ok(sums.totals));
        }

        #[test]
        fn adding_bytes_is_adding_their_sums(mine in any_sums(), theirs in any_sums()) {
            let (mut by_sums, mut by_bytes) = (mine.clone(), mine.clone());
            let added = by_sums.add(&theirs);
            prop_assert_eq!(by_bytes.add_encoded(&theirs.encode()), added);
            let (mut totals, mut read) = (mine.totals.clone(), mine.totals);
            prop_assert_eq!(read.add_encoded(&theirs.encode()), totals.add(&theirs.totals).map_err(SumsError::from));
            if added.is_ok() {
                prop_assert_eq!(by_bytes, by_sums);
                prop_assert_eq!(read, totals);
            }
        }

        #[test]
        fn what_is_added_can_be_taken_out_again(mine in any_sums(), theirs in any_sums()) {
            let mut sum = mine.clone();
            if sum.add(&theirs).is_ok() && sum.take(&theirs).is_ok() {
                let mut kept = mine;
                kept.kinds.retain(|_, sum| *sum != KindSum::default());
                prop_assert_eq!(sum, kept);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Sums::decode(&bytes);
            let _ = Sums::decode(&[&[FORMAT], bytes.as_slice()].concat());
        }
    }

    #[test]
    fn codes_are_one_to_one() {
        let mut codes: Vec<u8> = Kind::ALL.into_iter().map(code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Kind::ALL.len());
    }

    #[test]
    fn a_sum_out_of_range_is_an_error_and_never_wraps() {
        let mut sums = Sums::default();
        sums.totals.calls = u64::MAX;
        let mut one = Sums::default();
        one.totals.calls = 1;
        assert_eq!(sums.add(&one), Err(SumsError::OutOfRange));
        let mut sums = Sums::default();
        sums.totals.cost = Picodollars::from_pico(i128::MAX);
        let mut one = Sums::default();
        one.totals.cost = Picodollars::from_pico(1);
        assert_eq!(sums.add(&one), Err(SumsError::OutOfRange));
    }

    #[test]
    fn sums_beyond_sixty_four_bits_stay_exact() {
        let cost = Picodollars::from_pico(i128::from(i64::MAX));
        let record = UsageRecord { cost_usd: cost, ..UsageRecord::default() };
        let mut sums = Sums::default();
        for _ in 0..10 {
            sums.add(&Sums::of(&record)).unwrap();
        }
        let read = Sums::decode(&sums.encode()).unwrap();
        assert_eq!(read.totals.cost.as_pico(), i128::from(i64::MAX) * 10);
    }
}

//! Sums: what a rollup row holds, as bytes in the database.
//!
//! One blob rather than a column for each number: money is wider than SQLite's integers and must neither
//! round nor overflow, a new kind of token needs no new column, and a summary reads a row in one piece.
//! The bytes are a format number, the totals as variable-length integers, then the kinds.

use tollgate_core::money::Picodollars;
use tollgate_core::record::{KindTotal, OutOfRange};
use tollgate_core::usage::{CacheTtl, Kind};

pub use tollgate_core::record::{Sums, Totals};

use crate::store::database::error::StoreError;
use crate::store::database::numbers::{Reader, put_count, put_money};

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

/// What is written as a rollup row.
pub(in crate::store) trait AsRow {
    /// The bytes of a rollup row.
    fn encode(&self) -> Vec<u8>;
}

impl AsRow for Sums {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(FORMAT);
        for count in self.totals.counts() {
            put_count(&mut bytes, count);
        }
        for money in self.totals.money() {
            put_money(&mut bytes, money);
        }
        let mut kinds: Vec<&KindTotal> = self.kinds.iter().collect();
        kinds.sort_unstable_by_key(|one| one.kind);
        for one in kinds {
            bytes.push(code(one.kind));
            put_count(&mut bytes, one.quantity);
            put_money(&mut bytes, one.cost_usd);
        }
        bytes
    }
}

/// What is read from a rollup row: all of it, or the totals at its front without its kinds.
pub(in crate::store) trait InRow: Sized {
    /// Adds what the row has.
    ///
    /// # Errors
    /// [`SumsError::Damaged`] and [`SumsError::OutOfRange`]; these are then half added and to be thrown away.
    fn add_encoded(&mut self, bytes: &[u8]) -> Result<(), SumsError>;

    /// Reads the row.
    ///
    /// # Errors
    /// [`SumsError::Damaged`] for anything that [`AsRow::encode`] does not write.
    fn decode(bytes: &[u8]) -> Result<Self, SumsError>;
}

impl InRow for Sums {
    fn add_encoded(&mut self, bytes: &[u8]) -> Result<(), SumsError> {
        let mut reader = Reader { bytes };
        self.totals.add(&reader.totals()?)?;
        reader.kinds(|theirs| Ok(self.add_kind(theirs)?))
    }

    fn decode(bytes: &[u8]) -> Result<Self, SumsError> {
        let mut reader = Reader { bytes };
        let mut sums = Self { totals: reader.totals()?, kinds: Vec::new() };
        reader.kinds(|one| {
            sums.kinds.retain(|known| known.kind != one.kind);
            sums.kinds.push(one);
            Ok(())
        })?;
        Ok(sums)
    }
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

    fn kinds(&mut self, mut each: impl FnMut(KindTotal) -> Result<(), SumsError>) -> Result<(), SumsError> {
        while let Some((code, rest)) = self.bytes.split_first() {
            self.bytes = rest;
            let kind =
                Kind::ALL.into_iter().find(|kind| self::code(*kind) == *code).ok_or(SumsError::Damaged)?;
            each(KindTotal { kind, quantity: self.count()?, cost_usd: self.money()? })?;
        }
        Ok(())
    }
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
    use tollgate_core::record::UsageRecord;

    fn any_sums() -> impl Strategy<Value = Sums> {
        let counts = proptest::array::uniform12(prop_oneof![0u64..1000, any::<u64>()]);
        let money = || prop_oneof![-1000i128..1000, any::<i128>()].prop_map(Picodollars::from_pico);
        let kinds = proptest::collection::btree_map(
            proptest::sample::select(Kind::ALL.to_vec()),
            (any::<u64>(), money()),
            0..6,
        );
        (counts, money(), money(), money(), kinds).prop_map(|(counts, cost, estimated, provider, kinds)| {
            let mut totals =
                Totals { cost, estimated_cost: estimated, provider_cost: provider, ..Totals::default() };
            for (field, count) in totals.counts_mut().into_iter().zip(counts) {
                *field = count;
            }
            let one = |(kind, (quantity, cost_usd))| KindTotal { kind, quantity, cost_usd };
            Sums { totals, kinds: kinds.into_iter().map(one).collect() }
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
            prop_assert_eq!(by_bytes.add_encoded(&theirs.encode()), added.map_err(SumsError::from));
            let (mut totals, mut read) = (mine.totals.clone(), mine.totals);
            prop_assert_eq!(read.add_encoded(&theirs.encode()), totals.add(&theirs.totals).map_err(SumsError::from));
            if added.is_ok() {
                prop_assert_eq!(by_bytes, by_sums);
                prop_assert_eq!(read, totals);
            }
        }

        #[test]
        fn what_is_added_can_be_subtracted_again(mine in any_sums(), theirs in any_sums()) {
            let mut sum = mine.clone();
            if sum.add(&theirs).is_ok() && sum.subtract(&theirs).is_ok() {
                let mut kept = mine;
                kept.forget_nothing();
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
        assert_eq!(sums.add(&one), Err(OutOfRange));
        let mut sums = Sums::default();
        sums.totals.cost = Picodollars::from_pico(i128::MAX);
        let mut one = Sums::default();
        one.totals.cost = Picodollars::from_pico(1);
        assert_eq!(sums.add(&one), Err(OutOfRange));
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

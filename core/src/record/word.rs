//! Whose word the cost of a call is: the provider's, where it named one that can be, or else the book's.

use crate::money::Picodollars;
use crate::price::Priced;
use crate::price::charge::CostStatus;
use crate::record::{CostSource, Note, UsageRecord};

/// What a call costs, and whose word that is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Owed {
    /// How much.
    pub cost: Picodollars,
    /// How far that can be trusted.
    pub status: CostStatus,
    /// Whose word it is.
    pub source: CostSource,
    /// The provider's word as the record keeps it: without one that no call costs.
    pub word: Option<Picodollars>,
    /// What is odd about that word.
    pub note: Option<Note>,
    /// Whether it is by rates that are not known to be for such a call.
    pub guessed: bool,
}

impl Priced {
    /// What is owed for a call with this price whose provider said that it costs `word`, and whose counts are
    /// `measured` or else estimated.
    ///
    /// - The provider's word counts, also where the book has no price; but nothing is no price where nobody
    ///   else says so.
    /// - A word of less than a tenth of the book's charge is not believed: no upstream talks a budget down.
    /// - One that no call costs is left out: below nothing, or above [`COST_MAX`], or above a hundred dollars
    ///   and a thousand times the book's charge (another unit, taken for dollars).
    /// - Of a call that broke off, or has attempts that nobody saw, what the provider said is the least that
    ///   it cost.
    pub fn owed(&self, word: Option<Picodollars>, measured: bool) -> Owed {
        let (cost, status) = (self.cost, self.status(measured));
        let book = Owed { cost, status, source: CostSource::Book, word, note: None, guessed: self.guessed };
        let Some(said) = word else { return book };
        if !is_possible(said) || self.complete && is_absurd(said, cost) {
            return Owed { word: None, note: Some(Note::ProviderCostIgnored), ..book };
        }
        let is_no_price = said == Picodollars::ZERO && !self.complete;
        if is_no_price || !measured && said <= cost {
            return book;
        }
        if is_doubted(said, cost) {
            return Owed { note: Some(Note::ProviderCostDoubted), ..book };
        }
        let status = if measured { CostStatus::Measured } else { CostStatus::Estimated };
        Owed { cost: said, status, source: CostSource::Provider, guessed: false, ..book }
    }
}

impl Owed {
    /// Gives a record this cost. Its charges are the book's in any case.
    pub fn put(self, record: &mut UsageRecord) {
        record.cost_usd = self.cost;
        record.cost_status = self.status;
        record.cost_source = self.source;
        record.provider_cost_usd = self.word;
        record.notes.retain(|note| *note != Note::RateGuessed);
        if self.guessed {
            record.notes.push(Note::RateGuessed);
        }
        if let Some(note) = self.note.filter(|note| !record.notes.contains(note)) {
            record.notes.push(note);
        }
    }
}

impl UsageRecord {
    /// The sum of the charges: what the call costs by the book.
    pub fn book_cost(&self) -> Picodollars {
        self.charges.iter().map(|charge| charge.cost_usd).sum()
    }

    /// Whether the cost follows from what the record says: by the book it is the sum of the charges, where
    /// there are any; by the provider's word it is that word, and not one that is doubted.
    pub fn is_cost_sound(&self) -> bool {
        match self.cost_source {
            CostSource::Book => self.charges.is_empty() || self.cost_usd == self.book_cost(),
            CostSource::Provider => {
                self.provider_cost_usd == Some(self.cost_usd)
                    && is_possible(self.cost_usd)
                    && !is_doubted(self.cost_usd, self.book_cost())
            }
        }
    }
}

impl UsageRecord {
    /// Whether its cost is a word of its provider's that no call costs, as [`Priced::owed`] would have found.
    pub fn is_word_absurd(&self) -> bool {
        self.cost_source == CostSource::Provider && is_absurd(self.cost_usd, self.book_cost())
    }
}

/// Whether a call may cost this.
pub fn is_possible(cost: Picodollars) -> bool {
    (Picodollars::ZERO..=COST_MAX).contains(&cost)
}

/// Whether a provider's word is under a tenth of the book's charge.
fn is_doubted(said: Picodollars, book: Picodollars) -> bool {
    said.as_pico().saturating_mul(10) < book.as_pico()
}

fn is_absurd(said: Picodollars, book: Picodollars) -> bool {
    said > ABSURD_FROM && book > Picodollars::ZERO && said.as_pico() / 1_000 > book.as_pico()
}

/// The most that one call costs: a million dollars.
pub const COST_MAX: Picodollars = Picodollars::from_pico(1_000_000_000_000_000_000);
/// Below this no word is absurd: a hundred dollars.
const ABSURD_FROM: Picodollars = Picodollars::from_pico(100_000_000_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    const DOLLAR: i128 = 1_000_000_000_000;

    fn priced(pico: i128, complete: bool) -> Priced {
        Priced { cost: Picodollars::from_pico(pico), complete, ..Priced::default() }
    }

    fn owed(book: (i128, bool), word: i128, measured: bool) -> (i128, CostStatus, CostSource, Option<Note>) {
        let owed = priced(book.0, book.1).owed(Some(Picodollars::from_pico(word)), measured);
        (owed.cost.as_pico(), owed.status, owed.source, owed.note)
    }

    #[test]
    fn the_providers_own_word_wins() {
        let (measured, provider) = (CostStatus::Measured, CostSource::Provider);
        for word in [10, 100, 99, 500, 40 * DOLLAR] {
            assert_eq!(owed((100, true), word, true), (word, measured, provider, None), "{word}");
        }
        assert_eq!(owed((0, false), 7, true), (7, measured, provider, None), "the book has no price");
        assert_eq!(owed((100, false), 700, true), (700, measured, provider, None), "nor for all of it");
        assert_eq!(owed((0, true), 0, true), (0, measured, provider, None), "both say that it is free");
        let nothing = (0, CostStatus::Unpriced, CostSource::Book, None);
        assert_eq!(owed((0, false), 0, true), nothing, "nobody else says that it is free");
        let relative = Priced { estimated: true, ..priced(100, true) };
        let owed = relative.owed(Some(Picodollars::from_pico(90)), true);
        assert_eq!((owed.cost.as_pico(), owed.status), (90, measured), "a relative's price is a guess");
    }

    #[test]
    fn a_word_that_no_call_costs_is_seen_in_a_record_too() {
        let record = |source, word: i128, charges: i128| UsageRecord {
            cost_source: source,
            cost_usd: Picodollars::from_pico(word),
            charges: vec![crate::price::Charge {
                model: "m".into(),
                kind: crate::usage::Kind::Input,
                quantity: 1,
                rate: Picodollars::from_pico(charges),
                cost_usd: Picodollars::from_pico(charges),
            }],
            ..UsageRecord::default()
        };
        let absurd = 25_000 * DOLLAR;
        assert!(record(CostSource::Provider, absurd, DOLLAR).is_word_absurd());
        assert!(!record(CostSource::Provider, absurd, 100 * DOLLAR).is_word_absurd());
        assert!(!record(CostSource::Provider, 99 * DOLLAR, 1).is_word_absurd());
        assert!(!record(CostSource::Book, absurd, 1).is_word_absurd());
    }

    #[test]
    fn without_a_word_the_book_holds() {
        let owed = priced(100, true).owed(None, true);
        assert_eq!((owed.cost.as_pico(), owed.source, owed.word), (100, CostSource::Book, None));
    }

    #[test]
    fn less_than_a_tenth_of_the_books_charge_is_not_believed() {
        let doubted = Some(Note::ProviderCostDoubted);
        for word in [0, 1, 9] {
            let expected = (100, CostStatus::Measured, CostSource::Book, doubted);
            assert_eq!(owed((100, true), word, true), expected, "{word}");
            assert_eq!(
                priced(100, true).owed(Some(Picodollars::from_pico(word)), true).word.unwrap().as_pico(),
                word
            );
        }
        assert_eq!(owed((100, false), 9, true), (100, CostStatus::Unpriced, CostSource::Book, doubted));
    }

    #[test]
    fn what_no_call_costs_is_left_out_with_a_note() {
        let ignored = Some(Note::ProviderCostIgnored);
        for word in [-1, i128::MIN, COST_MAX.as_pico() + 1, i128::MAX, 31_500 * DOLLAR] {
            let expected = (DOLLAR, CostStatus::Measured, CostSource::Book, ignored);
            assert_eq!(owed((DOLLAR, true), word, true), expected, "{word}");
            assert_eq!(priced(DOLLAR, true).owed(Some(Picodollars::from_pico(word)), true).word, None);
        }
        assert_eq!(owed((0, false), -1, true).1, CostStatus::Unpriced);
    }

    #[test]
    fn of_what_broke_off_the_word_is_the_least() {
        let estimated = CostStatus::Estimated;
        assert_eq!(owed((100, true), 60, false), (100, estimated, CostSource::Book, None));
        assert_eq!(owed((100, true), 5, false), (100, estimated, CostSource::Book, None));
        assert_eq!(owed((100, true), 130, false), (130, estimated, CostSource::Provider, None));
        assert_eq!(owed((0, false), 130, false), (130, estimated, CostSource::Provider, None));
    }

    #[test]
    fn a_records_cost_is_its_charges_or_a_word_that_can_be() {
        let charge = |pico: i128| crate::price::charge::Charge {
            model: "m".into(),
            kind: crate::usage::Kind::Input,
            quantity: 1,
            rate: Picodollars::from_pico(pico),
            cost_usd: Picodollars::from_pico(pico),
        };
        let record = |source, cost: i128, word: Option<i128>, charges: &[i128]| UsageRecord {
            cost_source: source,
            cost_usd: Picodollars::from_pico(cost),
            provider_cost_usd: word.map(Picodollars::from_pico),
            charges: charges.iter().copied().map(charge).collect(),
            ..UsageRecord::default()
        };
        use CostSource::{Book, Provider};
        for (is_sound, record) in [
            (true, record(Book, 30, None, &[10, 20])),
            (false, record(Book, 31, Some(31), &[10, 20])),
            (true, record(Provider, 31, Some(31), &[10, 20])),
            (true, record(Provider, 31, Some(31), &[])),
            (false, record(Provider, 31, Some(30), &[10, 20])),
            (false, record(Provider, 31, None, &[])),
            (false, record(Provider, 2, Some(2), &[10, 20])),
            (false, record(Provider, -1, Some(-1), &[])),
            (false, record(Provider, COST_MAX.as_pico() + 1, Some(COST_MAX.as_pico() + 1), &[])),
        ] {
            assert_eq!(record.is_cost_sound(), is_sound, "{record:?}");
        }
    }

    #[test]
    fn a_record_notes_a_word_once() {
        let mut record = UsageRecord::default();
        for _ in 0..2 {
            priced(100, true).owed(Some(Picodollars::from_pico(1)), true).put(&mut record);
        }
        assert_eq!(record.notes, [Note::ProviderCostDoubted]);
        assert_eq!(record.provider_cost_usd, Some(Picodollars::from_pico(1)));
    }
}

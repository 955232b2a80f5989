//! How far the price book and the providers' own words are apart, by row of the book.

use tollgate_core::money::Picodollars;
use tollgate_core::record::{Note, UsageRecord};

/// What calls cost by the book, and by the word of the providers that named a cost.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reported {
    /// Calls whose provider said what the whole call cost.
    pub calls: u64,
    /// Of these, calls of which the two differ by more than 1 %.
    pub off_calls: u64,
    /// Calls whose word is under a tenth of the book's charge, and is not believed.
    pub doubted_calls: u64,
    /// Calls that the book has no price for.
    pub without_price: u64,
    /// What all of them cost by the book; nothing for those that it has no price for.
    pub book: Picodollars,
    /// What all of them cost by their providers.
    pub provider: Picodollars,
}

/// A row of the book whose charges and reports are to be looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Drift {
    /// Provider id.
    pub provider: String,
    /// The row: canonical id of its model; where there is none, the model that answered.
    pub model: String,
    /// The calls.
    pub reported: Reported,
}

impl Reported {
    /// What a record adds, and to which row; nothing where its provider said nothing, or not of the whole
    /// call.
    pub fn of(record: &UsageRecord) -> Option<(&str, Self)> {
        let provider = record.provider_cost_usd.filter(|_| !record.usage_estimated)?;
        let book = record.book_cost();
        let lacks_row = record.price_basis.iter().any(|basis| basis.step.is_none());
        let is_priced = !record.charges.is_empty() && !lacks_row;
        let row =
            record.price_basis.first().map(|basis| basis.model.as_str()).or_else(|| record.head.model());
        let reported = Self {
            calls: 1,
            off_calls: u64::from(is_priced && is_off(book, provider)),
            doubted_calls: u64::from(record.notes.contains(&Note::ProviderCostDoubted)),
            without_price: u64::from(!is_priced),
            book: if is_priced { book } else { Picodollars::ZERO },
            provider,
        };
        Some((row.unwrap_or_default(), reported))
    }

    /// Adds others to these.
    pub fn add(&mut self, more: &Self) {
        for (mine, theirs) in [
            (&mut self.calls, more.calls),
            (&mut self.off_calls, more.off_calls),
            (&mut self.doubted_calls, more.doubted_calls),
            (&mut self.without_price, more.without_price),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        self.book += more.book;
        self.provider += more.provider;
    }

    /// Takes others, which are among these, out of them.
    pub fn take(&mut self, less: &Self) {
        for (mine, theirs) in [
            (&mut self.calls, less.calls),
            (&mut self.off_calls, less.off_calls),
            (&mut self.doubted_calls, less.doubted_calls),
            (&mut self.without_price, less.without_price),
        ] {
            *mine = mine.saturating_sub(theirs);
        }
        self.book += -less.book;
        self.provider += -less.provider;
    }

    /// How far the book is from the providers, in hundredths of a percent of what these say: above nothing
    /// where the book charges more. Where they say nothing and the book does, it is the whole.
    pub fn off_by(&self) -> i128 {
        let (book, provider) = (self.book.as_pico(), self.provider.as_pico());
        let difference = book.saturating_sub(provider).saturating_mul(WHOLE);
        difference.checked_div(provider).unwrap_or(if book > 0 { WHOLE } else { 0 })
    }

    /// Whether the two differ by more than 1 %, or a word is not believed.
    pub fn is_drift(&self) -> bool {
        self.doubted_calls > 0 || is_off(self.book, self.provider)
    }
}

/// A part as people read it: hundredths of a percent as percent, whole ones from a thousand on.
pub fn percent(hundredths: i128) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    let amount = hundredths.unsigned_abs();
    match amount {
        100_000.. => format!("{sign}{}", amount / 100),
        _ => format!("{sign}{}.{:02}", amount / 100, amount % 100),
    }
}

fn is_off(book: Picodollars, provider: Picodollars) -> bool {
    let difference = book.as_pico().saturating_sub(provider.as_pico()).saturating_abs();
    difference.saturating_mul(100) > provider.as_pico()
}

/// All of it, in hundredths of a percent.
const WHOLE: i128 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::price::Step;
    use tollgate_core::price::{Charge, PriceBasis};
    use tollgate_core::record::{CostSource, Head};
    use tollgate_core::usage::Kind;

    fn record(book: Option<i128>, word: Option<i128>) -> UsageRecord {
        let pico = Picodollars::from_pico;
        let charge = |cost| Charge {
            model: "m".into(),
            kind: Kind::Input,
            quantity: 1,
            rate: pico(cost),
            cost_usd: pico(cost),
        };
        UsageRecord {
            head: Head { response_model: Some("m-2026".into()), ..Head::default() },
            charges: book.map(charge).into_iter().collect(),
            price_basis: vec![PriceBasis {
                model: if book.is_some() { "m" } else { "m-2026" }.into(),
                step: book.map(|_| Step::Exact),
                ..PriceBasis::default()
            }],
            provider_cost_usd: word.map(pico),
            cost_source: CostSource::Provider,
            ..UsageRecord::default()
        }
    }

    fn of(records: &[UsageRecord]) -> Reported {
        let mut sum = Reported::default();
        records.iter().filter_map(Reported::of).for_each(|(_, one)| sum.add(&one));
        sum
    }

    #[test]
    fn a_row_drifts_where_its_charges_are_more_than_a_percent_off() {
        for (book, word, drifts, off_by) in [
            (100, 100, false, 0),
            (101, 100, false, 100),
            (99, 100, false, -100),
            (102, 100, true, 200),
            (98, 100, true, -200),
            (100, 0, true, 10_000),
            (0, 0, false, 0),
        ] {
            let reported = of(&[record(Some(book), Some(word))]);
            assert_eq!((reported.is_drift(), reported.off_by()), (drifts, off_by), "{book} {word}");
        }
    }

    #[test]
    fn a_word_that_is_not_believed_shows_among_many_that_agree() {
        let mut records = vec![record(Some(1_000), Some(1_000)); 500];
        assert!(!of(&records).is_drift());
        let mut doubted = record(Some(1_000), Some(1));
        doubted.notes.push(Note::ProviderCostDoubted);
        records.push(doubted);
        let reported = of(&records);
        assert_eq!((reported.calls, reported.off_calls, reported.doubted_calls), (501, 1, 1));
        assert!(reported.is_drift());
    }

    #[test]
    fn what_the_book_has_no_price_for_is_told_by_the_model_that_answered() {
        let record = record(None, Some(70));
        let (row, reported) = Reported::of(&record).unwrap();
        assert_eq!((row, reported.without_price, reported.off_calls), ("m-2026", 1, 0));
        assert!(reported.is_drift());
    }

    #[test]
    fn a_call_without_a_word_or_with_a_part_of_one_says_nothing() {
        assert_eq!(Reported::of(&record(Some(70), None)), None);
        assert_eq!(Reported::of(&UsageRecord { usage_estimated: true, ..record(Some(70), Some(7)) }), None);
    }

    #[test]
    fn parts_are_written_with_their_sign() {
        for (hundredths, text) in [(0, "0.00"), (-7, "-0.07"), (12_345, "123.45"), (-10_000, "-100.00")] {
            assert_eq!(percent(hundredths), text);
        }
    }
}

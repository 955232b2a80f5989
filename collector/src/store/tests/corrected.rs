//! Corrections and closed months: sums are records plus adjustments.

use super::*;
use crate::model::answers::explain::Reason;

const OCTOBER_MS: u64 = 1_761_000_000_000; // 2025-10-20
const NOVEMBER_MS: u64 = START_MS; // 2025-11-23

fn with_cost(record: &UsageRecord, rate: i128, status: CostStatus) -> UsageRecord {
    let (input, output) = (record.usage.input_tokens.unwrap_or(0), record.usage.output_tokens.unwrap_or(0));
    UsageRecord { cost_status: status, ..charged(record.clone(), input, output, rate) }
}

fn measured(number: u64, time_ms: u64, rate: i128) -> UsageRecord {
    let mut record = charged(record(number), 9, 5, rate);
    record.head.time_ms = time_ms;
    record.cost_status = CostStatus::Measured;
    record
}

impl TestStore {
    fn all_counted(&self) -> Vec<Counted> {
        let query = RecordsQuery { limit: 1000, ..RecordsQuery::default() };
        self.runtime.block_on(self.store.counted(query)).unwrap().0
    }

    fn reprice(&self, rate: i128, now_ms: u64) -> u64 {
        let corrections = self
            .all_counted()
            .into_iter()
            .map(|Counted { record, base }| Correction {
                after: with_cost(&record, rate, CostStatus::Measured),
                before: record,
                base,
            })
            .collect();
        self.runtime.block_on(self.store.correct(corrections, entry(now_ms))).unwrap()
    }

    fn pack(&self, now_ms: u64) {
        while self.runtime.block_on(self.store.pack(None, now_ms)).unwrap() {}
    }

    fn close_month(&self, month: &str, now_ms: u64) -> Closing {
        self.runtime.block_on(self.store.close_month(month.parse().unwrap(), entry(now_ms))).unwrap()
    }

    fn totals(&self, from_ms: u64, to_ms: u64) -> Totals {
        self.summary(SummaryQuery {
            from_hour: from_ms as i64 / MS_PER_HOUR,
            to_hour: to_ms as i64 / MS_PER_HOUR,
            by: vec![],
            every: Every::Period,
            zone: TimeZone::UTC,
            filters: Filters::default(),
            tag_key: None,
        })
        .total
    }

    fn adjusted(&self, number: u64) -> Vec<Adjustment> {
        let id = record(number).head.id.parse().unwrap();
        self.runtime.block_on(self.store.adjustments(id)).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_old_total_plus_the_adjustments_is_the_new_total_exactly(
        records in proptest::collection::vec(any_record(), 1..20),
        rates in proptest::collection::vec(0i128..1 << 62, 1..4),
        closes in any::<bool>(),
        packs in any::<bool>(),
    ) {
        let test = TestStore::new();
        test.ingest(&records);
        let far = START_MS + 60 * 86_400_000;
        let before = test.totals(0, far * 2);
        if closes {
            prop_assert_eq!(test.close_month("2025-11", far), Closing::Done);
        }
        let kept = test.page(RecordsQuery { limit: 1000, ..RecordsQuery::default() }).records;
        for rate in &rates {
            if packs {
                // What is booked now is over, too.
                test.pack(far + 7 * 86_400_000);
            }
            prop_assert_eq!(test.reprice(*rate, far), kept.len() as u64);
        }
        let adjustments: Picodollars =
            (0..60).flat_map(|number| test.adjusted(number)).map(|one| one.amount_usd).sum();
        let after = test.totals(0, far * 2);
        prop_assert_eq!(before.cost + adjustments, after.cost);
        let counted: Picodollars = test.all_counted().iter().map(|one| one.record.cost_usd).sum();
        prop_assert_eq!(counted, after.cost);
        prop_assert_eq!(test.page(RecordsQuery { limit: 1000, ..RecordsQuery::default() }).records, kept);
        if !closes {
            let mut sums = Totals::default();
            for one in test.all_counted() {
                sums.add(&Sums::of(&one.record).totals).unwrap();
            }
            prop_assert_eq!(after, sums);
        }
    }
}

#[test]
fn a_closed_month_stays_as_it_was_and_what_comes_later_is_booked_in_the_open_one() {
    let test = TestStore::new();
    test.ingest(&[measured(1, OCTOBER_MS, 100), measured(2, NOVEMBER_MS, 100)]);
    assert_eq!(test.close_month("2025-11", NOVEMBER_MS), Closing::NotOver);
    assert_eq!(test.close_month("2025-10", NOVEMBER_MS), Closing::Done);
    assert_eq!(test.close_month("2025-10", NOVEMBER_MS), Closing::Already);
    assert_eq!(test.close_month("2025-09", NOVEMBER_MS), Closing::Already);
    let november = "2025-11".parse::<Month>().unwrap().from_hour() as u64 * MS_PER_HOUR as u64;
    let october = || test.totals(0, november);
    let closed = october();
    assert_eq!((closed.calls, closed.cost.as_pico()), (1, 1_400));

    test.reprice(150, NOVEMBER_MS);
    assert_eq!(october(), closed, "a correction does not touch it");
    let rest = test.totals(november, NOVEMBER_MS * 2);
    assert_eq!((rest.calls, rest.cost.as_pico()), (1, 2_100 + 700), "the new price and October's difference");

    let mut late = Batch::new(Sender { received_ms: NOVEMBER_MS, ..Sender::default() });
    late.push(&measured(3, OCTOBER_MS, 10)).unwrap();
    test.runtime.block_on(test.store.ingest(late)).unwrap();
    assert_eq!(october(), closed, "a late record does not touch it");
    let rest = test.totals(november, NOVEMBER_MS * 2);
    assert_eq!((rest.calls, rest.cost.as_pico()), (2, 2_800 + 140));
    assert_eq!(test.adjusted(3)[0].reason, Reason::Late);
    let months = test.runtime.block_on(test.store.closed_months()).unwrap();
    assert_eq!((months[0].month.as_str(), months[0].totals.cost), ("2025-10", closed.cost));

    // A late record's own correction stays where the record is counted.
    test.reprice(20, NOVEMBER_MS);
    assert_eq!(october(), closed);
    assert_eq!(test.totals(0, NOVEMBER_MS * 2).cost.as_pico(), 3 * 14 * 20);
}

#[test]
fn a_correction_of_what_was_corrected_meanwhile_is_left_out() {
    let test = TestStore::new();
    test.ingest(&[measured(1, NOVEMBER_MS, 100)]);
    let stale = test.all_counted();
    assert_eq!(test.reprice(150, NOVEMBER_MS), 1);
    let corrections = stale
        .into_iter()
        .map(|Counted { record, base }| Correction {
            after: with_cost(&record, 200, CostStatus::Measured),
            before: record,
            base,
        })
        .collect();
    assert_eq!(test.runtime.block_on(test.store.correct(corrections, entry(NOVEMBER_MS))).unwrap(), 0);
    assert_eq!(test.totals(0, NOVEMBER_MS * 2).cost.as_pico(), 14 * 150);
}

#[test]
fn what_was_unpriced_counts_as_priced_after_its_correction() {
    let test = TestStore::new();
    let mut unpriced = record(1);
    unpriced.usage = Usage { input_tokens: Some(9), output_tokens: Some(5), ..Usage::default() };
    test.ingest(&[unpriced]);
    assert_eq!(test.totals(0, START_MS * 2).unpriced_calls, 1);
    test.reprice(7, START_MS);
    let totals = test.totals(0, START_MS * 2);
    assert_eq!((totals.unpriced_calls, totals.calls, totals.cost.as_pico()), (0, 1, 98));
}

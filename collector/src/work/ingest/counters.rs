//! What a gateway may report of a counter. Its totals only grow from nothing, so a number below it, or beyond
//! all money, is none that a counter can have: such a report is left out, and what was known before stays.

use tollgate_core::budget::Amount;
use tollgate_core::protocol::sync::CounterReport;

use crate::model::text::printable;

/// The report, where it can be.
///
/// # Errors
/// Names the counter, the number, and what would be right.
pub(super) fn possible(mut report: CounterReport) -> Result<CounterReport, String> {
    let CounterReport { key, report: told } = &report;
    let wrong = |field: &str, value: &dyn std::fmt::Display, right: &str| {
        let budget: String = printable(&key.budget).chars().take(TEXT_CHARS_MAX).collect();
        Err(format!("counter of budget `{budget}`: `{field}` is {value}, not {right}"))
    };
    for (field, Amount(value)) in [
        ("granted", told.granted),
        ("returned", told.returned),
        ("used", told.used),
        ("held", told.held),
        ("kept", told.kept),
        ("want", told.want),
    ] {
        if !(0..=AMOUNT_MAX).contains(&value) {
            return wrong(field, &value, "from 0 to 10^30");
        }
    }
    for (field, value) in [("version", told.version), ("denied", told.denied), ("generation", key.generation)]
    {
        if value > NUMBER_MAX {
            return wrong(field, &value, "at most 2^62");
        }
    }
    if key.budget.is_empty() || key.budget.len() > NAME_BYTES_MAX {
        return wrong("budget", &key.budget.len(), "a name of 1 to 256 bytes");
    }
    if key.value.len() > NAME_BYTES_MAX || key.value.chars().any(char::is_control) {
        return wrong("value", &key.value.len(), "at most 256 bytes without control characters");
    }
    if key.span.start_ms >= key.span.end_ms || key.span.start_ms > TIME_MS_MAX {
        return wrong("span", &key.span.start_ms, "the start of a window");
    }
    // Parts of what they are parts of.
    let told = &mut report.report;
    told.returned = told.returned.min(told.granted);
    told.held = told.held.min(told.used);
    told.kept = told.kept.min(told.used);
    Ok(report)
}

/// Pico-dollars, tokens or calls: no counter comes near.
const AMOUNT_MAX: i128 = 1_000_000_000_000_000_000_000_000_000_000;
/// Counts and versions, which are stored as 64 bits with a sign.
const NUMBER_MAX: u64 = 1 << 62;
/// Longest name of a budget, and value of its `each`, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Of a budget's name so much is shown.
const TEXT_CHARS_MAX: usize = 64;
/// End of the year 9999.
const TIME_MS_MAX: u64 = 253_402_207_200_000;

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::budget::ledger::Report;
    use tollgate_core::budget::scope::CounterKey;
    use tollgate_core::budget::window::Span;

    fn report() -> CounterReport {
        CounterReport {
            key: CounterKey {
                budget: "b".into(),
                generation: 1,
                value: String::new(),
                span: Span { start_ms: 1, end_ms: 2 },
            },
            report: Report { granted: Amount(9), returned: Amount(2), used: Amount(5), ..Report::default() },
        }
    }

    #[test]
    fn a_number_that_no_counter_has_is_not_taken() {
        assert!(possible(report()).is_ok());
        type Spoil = fn(&mut CounterReport);
        let cases: &[(&str, Spoil)] = &[
            ("used", |r| r.report.used = Amount(-1)),
            ("used", |r| r.report.used = Amount(-1_000_000_000_000_000_000)),
            ("used", |r| r.report.used = Amount(i128::MAX)),
            ("returned", |r| r.report.returned = Amount(-1)),
            ("granted", |r| r.report.granted = Amount(i128::MIN)),
            ("held", |r| r.report.held = Amount(-5)),
            ("kept", |r| r.report.kept = Amount(-5)),
            ("want", |r| r.report.want = Amount(-5)),
            ("version", |r| r.report.version = u64::MAX),
            ("denied", |r| r.report.denied = u64::MAX),
            ("generation", |r| r.key.generation = u64::MAX),
            ("budget", |r| r.key.budget = "x".repeat(257)),
            ("value", |r| r.key.value = "x".repeat(257)),
            ("value", |r| r.key.value = "a\nb".into()),
            ("span", |r| r.key.span.start_ms = 3),
        ];
        for (field, spoil) in cases {
            let mut spoilt = report();
            spoil(&mut spoilt);
            let said = possible(spoilt).unwrap_err();
            assert!(said.contains(&format!("`{field}`")), "{field}: {said}");
        }
    }

    #[test]
    fn nobody_gives_back_more_than_was_granted_nor_holds_more_than_is_used() {
        let mut more = report();
        (more.report.returned, more.report.held, more.report.kept) = (Amount(10), Amount(6), Amount(7));
        let told = possible(more).unwrap().report;
        assert_eq!((told.returned, told.held, told.kept), (Amount(9), Amount(5), Amount(5)));
    }
}

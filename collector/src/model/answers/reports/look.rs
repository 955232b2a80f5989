//! What someone should look at in a report.

use tollgate_core::money::Picodollars;

use super::{MailReport, calls, dollars};
use crate::model::compare::words::signed_dollars;
use crate::model::decimal::Decimal;
use crate::model::text::printable;

/// The gravest first; none where nothing stands out.
pub(super) fn at(report: &MailReport) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(hint) = &report.hint {
        all.push(printable(&format!("there were no calls at all: {hint}")));
    }
    for one in report.budgets.iter().filter(|one| one.percent >= BUDGET_PERCENT) {
        all.push(format!("budget {} is used to {}%: {}", one.title(), one.percent, one.used_of()));
    }
    let drivers = report.drivers.iter().filter(|row| row.others.is_none());
    for row in drivers.filter(|row| row.difference.change_usd != Picodollars::ZERO).take(DRIVERS) {
        let keys: Vec<String> = row
            .keys
            .0
            .iter()
            .map(|(by, value)| format!("{} {}", by.name(), value.as_deref().unwrap_or("(none)")))
            .collect();
        let said = row.said.as_ref().map_or_else(String::new, |said| format!(": {said}"));
        let change = signed_dollars(row.difference.change_usd);
        all.push(printable(&format!("{} {change}{said}", keys.join(", "))));
    }
    let numbers = &report.total.numbers;
    if numbers.denied > 0 {
        all.push(format!("refused: {}", calls(numbers.denied)));
    }
    if numbers.unpriced > 0 {
        all.push(format!(
            "without a price, so that their cost is not in these numbers: {}",
            calls(numbers.unpriced)
        ));
    }
    let matters = |percent: Option<Decimal>| percent.filter(|part| part.rounded(0).units() >= SHARE_PERCENT);
    if let Some(percent) = matters(report.unattributed_percent) {
        all.push(format!(
            "{percent}% of the cost ({}) names no agent or no team",
            dollars(report.unattributed_usd)
        ));
    }
    if let Some(percent) = matters(report.estimated_percent) {
        all.push(format!("{percent}% of the cost is estimated"));
    }
    all
}

/// Most drivers that are named.
const DRIVERS: usize = 5;
/// From so many percent on a budget is named.
const BUDGET_PERCENT: u16 = 80;
/// From so many percent on a share of the cost is named.
const SHARE_PERCENT: i128 = 10;

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn what_stands_out_is_named_and_nothing_else() {
        let expected = [
            "budget b (s) is used to 90%: $90.00 of $100.00",
            "agent s +$23.45: calls +12%, more s",
            "refused: 3 calls",
            "without a price, so that their cost is not in these numbers: 2 calls",
            "24.30% of the cost is estimated",
        ];
        assert_eq!(sample("s").look_at, expected);
        let mut quiet = sample("s");
        quiet.budgets[0].percent = 79;
        quiet.drivers.clear();
        quiet.total.numbers.denied = 0;
        quiet.total.numbers.unpriced = 0;
        quiet.estimated_percent = None;
        assert_eq!(at(&quiet), [""; 0]);
    }
}

//! Rollups as rows of a table: an hour of calls that have all dimensions in common.

use tollgate_core::record::Totals;

use crate::model::clock::{MS_PER_HOUR, rfc3339};
use crate::model::dimension::Dimension;
use crate::model::table::{Cell, Column};
use crate::store::DetailRow;

/// What rows are told apart by, beside the hour.
pub const BY: [Dimension; 12] = [
    Dimension::Gateway,
    Dimension::Agent,
    Dimension::Team,
    Dimension::Feature,
    Dimension::Environment,
    Dimension::AttributionSource,
    Dimension::KeyId,
    Dimension::Provider,
    Dimension::Operation,
    Dimension::RequestModel,
    Dimension::ResponseModel,
    Dimension::ServiceTier,
];

/// The columns.
pub fn columns() -> Vec<Column> {
    let mut columns = vec![Column::time("hour")];
    columns.extend(BY.map(|by| Column::text(by.name())));
    columns.extend(Totals::COUNTS.map(Column::count));
    columns.extend(Totals::MONEY.map(Column::money));
    columns.extend(["corrected_usd", "late_usd"].map(Column::money));
    columns.push(Column::text("kinds"));
    columns
}

/// An hour's row of [`BY`]. Its cost has what corrections of closed months added, which `corrected_usd` says.
pub fn cells(row: &DetailRow) -> Vec<Cell> {
    let hour_ms = u64::try_from(row.hour.unwrap_or(0).saturating_mul(MS_PER_HOUR)).unwrap_or(0);
    let mut totals = row.sums.totals.clone();
    totals.cost += row.corrected;
    let mut cells = vec![Cell::said(rfc3339(hour_ms))];
    cells.extend(row.values.iter().map(|value| Cell::said(value.as_ref())));
    cells.extend(totals.counts().map(Cell::from));
    cells.extend(totals.money().map(Cell::from));
    cells.extend([row.corrected.into(), row.late.into()]);
    cells
        .push(Cell::said(serde_json::to_string(&row.sums.kinds).ok().filter(|_| !row.sums.kinds.is_empty())));
    cells
}

#[cfg(test)]
mod tests {
    use tollgate_core::money::Picodollars;

    use super::*;
    use crate::store::Every;
    use crate::work::exports::sample::{Sample, spans};

    #[test]
    fn rows_add_up_to_the_summary() {
        let sample = Sample::new(5, 200);
        let cost = columns().iter().position(|column| column.name == "cost_usd").unwrap();
        for hours in spans() {
            let rows: Vec<_> = sample.details(hours, &BY, Every::Hour).iter().map(cells).collect();
            assert!(rows.iter().all(|row| row.len() == columns().len()));
            let amount = |row: &Vec<Cell>| match row[cost] {
                Cell::Money(amount) => amount,
                _ => panic!("no money"),
            };
            let sum: Picodollars = rows.iter().map(amount).sum();
            assert_eq!(sum, sample.summary(hours, &[]).total.cost);
        }
    }
}

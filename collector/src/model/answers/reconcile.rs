//! What gateways saw, what bills say, and the gap between them by cause.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use crate::model::table::{Column, Table};

/// Bills against what gateways saw.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Reconciliation {
    /// Time zone of days.
    pub tz: String,
    /// By day, provider and model.
    pub rows: Vec<ReconciledRow>,
    /// By provider; day and model are empty.
    pub totals: Vec<ReconciledRow>,
    /// Lines of bills that were read.
    pub lines: u64,
    /// Lines among them of services that no gateway meters, or of other providers than asked for.
    pub passed_over_lines: u64,
    /// Amounts with more than twelve decimals, which were rounded half away from zero.
    pub rounded_amounts: u64,
    /// Providers whose gap over all days is wider than was asked for.
    pub too_wide: Vec<String>,
    /// What is booked of the gap; null where nothing was to be.
    pub booking: Option<BillBooking>,
}

/// What is booked of a bill: corrected totals as adjustments.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct BillBooking {
    /// Whether it was written. False where it is only shown, and where there was nothing to book.
    pub written: bool,
    /// What the bill is called.
    pub name: String,
    /// Why it is booked; null where nobody said so.
    pub reason: Option<String>,
    /// SHA-256 of the bill's days, providers, models and costs, hexadecimal.
    pub digest: String,
    /// Sum of the rows.
    pub amount_usd: Picodollars,
    /// What is booked, by day, provider and model.
    pub rows: Vec<BookedRow>,
    /// Gaps that are not booked.
    pub left: Vec<LeftRow>,
}

/// What is booked of one day, provider and model.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct BookedRow {
    /// The day.
    pub day: String,
    /// Id of the provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// What it adds; below 0 where the bill is lower.
    pub amount_usd: Picodollars,
    /// Whose it is.
    pub attribution: Attribution,
    /// Whether the day's month is closed, so that it is booked in the first open hour.
    pub month_was_closed: bool,
}

/// Whose a booked amount is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "BilledAttribution")]
pub enum Attribution {
    /// Of those whose calls were seen that day, by what these cost.
    Calls,
    /// Of nobody: no call was seen.
    Unattributed,
}

/// A gap that is not booked.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct LeftRow {
    /// The day.
    pub day: String,
    /// Id of the provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The gap.
    pub gap_usd: Picodollars,
    /// Why it is left.
    pub why: NotBooked,
}

/// Why a gap is not booked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotBooked {
    /// The bill has no line of the provider on that day: it is not about it.
    DayNotInBill,
    /// On that day the bill and the gateways each name a model of the provider that the other does not: they
    /// may be the same one.
    ModelNotMatched,
}

/// One day, provider and model.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ReconciledRow {
    /// The day.
    pub day: String,
    /// Id of the provider.
    pub provider: String,
    /// The model, as gateways name it where they saw it, otherwise as the bill does.
    pub model: String,
    /// Calls that gateways saw.
    pub calls: u64,
    /// What they cost by the gateways.
    pub gateway_usd: Picodollars,
    /// What the bill says, credits taken off.
    pub bill_usd: Picodollars,
    /// By how much the bill is higher; below 0 where it is lower. The sum of its causes.
    pub gap_usd: Picodollars,
    /// Why.
    #[serde(flatten)]
    pub causes: Causes,
}

/// A gap by cause.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Causes {
    /// Calls that no gateway saw: it has none of that provider and model on that day.
    pub past_the_gateway_usd: Picodollars,
    /// What counts that gateways estimated may be off by: at most what these cost.
    pub estimated_usd: Picodollars,
    /// Calls without a price for all they used: at most their share of the bill, by number of calls.
    pub unpriced_usd: Picodollars,
    /// The same tokens at another price.
    pub price_difference_usd: Picodollars,
    /// What the day before or after cancels to a fiftieth.
    pub time_zone_usd: Picodollars,
    /// The rest.
    pub unknown_usd: Picodollars,
}

impl Causes {
    /// All of them together: the gap.
    #[must_use]
    pub fn sum(&self) -> Picodollars {
        self.amounts().into_iter().sum()
    }

    const fn amounts(&self) -> [Picodollars; 6] {
        [
            self.past_the_gateway_usd,
            self.estimated_usd,
            self.unpriced_usd,
            self.price_difference_usd,
            self.time_zone_usd,
            self.unknown_usd,
        ]
    }
}

impl ReconciledRow {
    /// Adds another one's numbers.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.gateway_usd += other.gateway_usd;
        self.bill_usd += other.bill_usd;
        self.gap_usd += other.gap_usd;
        let (own, more) = (&mut self.causes, &other.causes);
        own.past_the_gateway_usd += more.past_the_gateway_usd;
        own.estimated_usd += more.estimated_usd;
        own.unpriced_usd += more.unpriced_usd;
        own.price_difference_usd += more.price_difference_usd;
        own.time_zone_usd += more.time_zone_usd;
        own.unknown_usd += more.unknown_usd;
    }
}

impl Reconciliation {
    /// The rows as a table.
    #[must_use]
    pub fn table(&self) -> Table {
        table(&self.rows, vec![Column::text("day").kept().whole()])
    }

    /// What is booked as a table.
    #[must_use]
    pub fn booked_table(&self) -> Table {
        let columns = vec![
            Column::text("day").kept().whole(),
            Column::text("provider").kept(),
            Column::text("model").kept(),
            Column::money("amount_usd").kept(),
            Column::text("attribution").weight(100),
        ];
        let rows = self.booking.iter().flat_map(|booking| &booking.rows);
        Table::new(columns).with(rows.map(|row| {
            let whose = match row.attribution {
                Attribution::Calls => "calls",
                Attribution::Unattributed => "unattributed",
            };
            vec![
                row.day.clone().into(),
                row.provider.clone().into(),
                row.model.clone().into(),
                row.amount_usd.into(),
                whose.into(),
            ]
        }))
    }

    /// The totals as a table.
    #[must_use]
    pub fn totals_table(&self) -> Table {
        table(&self.totals, vec![])
    }
}

/// Rows, with days and models where a column for days leads.
fn table(rows: &[ReconciledRow], lead: Vec<Column>) -> Table {
    let is_by_day = !lead.is_empty();
    let mut columns = lead;
    columns.push(Column::text("provider").kept());
    if is_by_day {
        columns.push(Column::text("model").kept());
    }
    columns.push(Column::count("calls").weight(60));
    columns.push(Column::money("gateway_usd").weight(200));
    columns.push(Column::money("bill_usd").weight(200));
    columns.push(Column::money("gap_usd").kept());
    let causes = ["past_the_gateway", "estimated", "unpriced", "price_difference", "time_zone", "unknown"];
    columns.extend(causes.map(|cause| Column::money(format!("{cause}_usd")).weight(150).if_any()));
    Table::new(columns).with(rows.iter().map(|row| {
        let mut cells = Vec::new();
        if is_by_day {
            cells.push(row.day.clone().into());
        }
        cells.push(row.provider.clone().into());
        if is_by_day {
            cells.push(row.model.clone().into());
        }
        cells.push(row.calls.into());
        cells.extend([row.gateway_usd.into(), row.bill_usd.into(), row.gap_usd.into()]);
        cells.extend(row.causes.amounts().map(Into::into));
        cells
    }))
}

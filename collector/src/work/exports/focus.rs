//! FOCUS, the FinOps Open Cost and Usage Specification: rows of version 1.2, with the two names of providers
//! that 1.3 brought. Read at <https://focus.finops.org> in November 2026.
//!
//! A row is an hour or day of one team, agent, feature, environment, provider, model, service tier and kind
//! of token. What a provider reported beyond the book's charges is a row of its own, and so is what
//! corrections of closed months added: the costs of all rows are exactly the summary's.

mod names;
mod rates;
mod units;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;
use tollgate_core::money::Picodollars;
use tollgate_core::price::PriceBook;
use tollgate_core::record::KindTotal;
use tollgate_core::usage::Kind;

use crate::model::clock::{HOURS_PER_DAY, MS_PER_HOUR};
use crate::model::decimal::Decimal;
use crate::model::dimension::Dimension;
use crate::model::table::{Cell, Column};
use crate::store::{DetailRow, Every};
use names::Seller;
use rates::{Rates, UnitPrice};
use units::Unit;

/// What rows are told apart by, beside time and kind.
pub const BY: [Dimension; 7] = [
    Dimension::Team,
    Dimension::Agent,
    Dimension::Feature,
    Dimension::Environment,
    Dimension::Provider,
    Dimension::Model,
    Dimension::ServiceTier,
];

/// Makes rows of FOCUS out of rows of [`BY`].
#[derive(Debug)]
pub struct Focus {
    rates: Rates,
    every: Every,
}

/// What the rows of one group have in common.
struct Group<'a> {
    team: &'a str,
    agent: &'a str,
    feature: &'a str,
    environment: &'a str,
    provider: &'a str,
    model: &'a str,
    tier: Option<&'a str>,
    seller: Seller,
    times: [String; 4],
}

/// One charge of a group.
struct Line<'a> {
    /// What stands in the SKU's id.
    name: &'a str,
    meter: String,
    category: &'static str,
    class: Option<&'static str>,
    cost: Picodollars,
    used: Option<(Unit, u64)>,
    price: Option<UnitPrice>,
    savings: Option<Picodollars>,
}

/// What is told of a group once, beside its first row.
#[derive(Default)]
struct Beside {
    calls: u64,
    estimated_calls: u64,
    estimated: Picodollars,
    unpriced_calls: u64,
    late: Picodollars,
}

impl Focus {
    /// Rows by hour or by day. Unit prices are those of `book`; `list` is the same without the operator's
    /// discounts.
    pub fn new(book: Arc<PriceBook>, list: Arc<PriceBook>, every: Every) -> Self {
        Self { rates: Rates::new(book, list), every }
    }

    /// The rows of a group, none where no call reached a provider and nothing was paid.
    pub fn rows(&mut self, row: &DetailRow) -> Vec<Vec<Cell>> {
        let value = |place: usize| row.values.get(place).and_then(Option::as_deref);
        let named = |place| value(place).unwrap_or(NOBODY);
        let hour = row.hour.unwrap_or(0);
        let (provider, model) = (named(4), named(5));
        let group = Group {
            team: named(0),
            agent: named(1),
            feature: named(2),
            environment: named(3),
            provider,
            model,
            tier: value(6),
            seller: Seller::of(provider, model),
            times: self.times(hour),
        };
        let lines = self.lines(&group, row, hour);
        let totals = &row.sums.totals;
        let mut beside = Beside {
            calls: totals.calls,
            estimated_calls: totals.estimated_calls,
            estimated: totals.estimated_cost,
            unpriced_calls: totals.unpriced_calls,
            late: row.late,
        };
        lines.iter().map(|line| group.cells(line, std::mem::take(&mut beside))).collect()
    }

    fn lines<'r>(&mut self, group: &Group<'_>, row: &'r DetailRow, hour: i64) -> Vec<Line<'r>> {
        let mut kinds = row.sums.kinds.clone();
        kinds.sort_by_key(|one| one.kind);
        let mut lines: Vec<Line<'r>> = Vec::new();
        let mut by_kinds = Picodollars::ZERO;
        for KindTotal { kind, quantity, cost_usd } in kinds {
            by_kinds += cost_usd;
            let price = self.rates.explain((group.provider, group.model, hour), kind, quantity, cost_usd);
            let savings = price.and_then(|price| price.savings(kind, quantity));
            lines.push(Line {
                name: kind.name(),
                meter: units::meter(kind),
                category: "Usage",
                class: None,
                cost: cost_usd,
                used: Some((Unit::of(kind), quantity)),
                price,
                savings,
            });
        }
        let beside = |name, meter: &str, class, cost| Line {
            name,
            meter: meter.to_owned(),
            category: "Adjustment",
            class,
            cost,
            used: None,
            price: None,
            savings: None,
        };
        if lines.is_empty() && row.sums.totals.calls > 0 {
            // Calls that used nothing, as they failed: so that calls add up too.
            lines.push(Line {
                name: Kind::Request.name(),
                meter: units::meter(Kind::Request),
                category: "Usage",
                class: None,
                cost: Picodollars::ZERO,
                used: Some((Unit::of(Kind::Request), row.sums.totals.calls)),
                price: None,
                savings: None,
            });
        }
        let reported = row.sums.totals.cost - by_kinds - row.billed;
        if reported != Picodollars::ZERO {
            lines.push(beside("reported", "Difference To Reported Cost", None, reported));
        }
        if row.billed != Picodollars::ZERO {
            lines.push(beside("bill", "Difference To Bill", None, row.billed));
        }
        if row.corrected != Picodollars::ZERO {
            lines.push(beside(
                "correction",
                "Correction Of Closed Months",
                Some("Correction"),
                row.corrected,
            ));
        }
        lines
    }

    /// Start and end of the charge, and of its month.
    fn times(&self, hour: i64) -> [String; 4] {
        let hours = if self.every == Every::Day { HOURS_PER_DAY } else { 1 };
        let at =
            |hour: i64| Timestamp::from_millisecond(hour.saturating_mul(MS_PER_HOUR)).unwrap_or_default();
        let first = at(hour).to_zoned_datetime(TimeZone::UTC).date().first_of_month();
        let midnight = |date: Date| format!("{date}T00:00:00Z");
        let next = first.last_of_month().tomorrow().unwrap_or(first);
        [at(hour).to_string(), at(hour.saturating_add(hours)).to_string(), midnight(first), midnight(next)]
    }
}

impl Group<'_> {
    // Long: one line for each column.
    /// In the order of [`columns`].
    fn cells(&self, line: &Line<'_>, beside: Beside) -> Vec<Cell> {
        let [start, end, month, next] = self.times.clone();
        let tier = self.tier.map(|tier| format!("/{tier}")).unwrap_or_default();
        let sku = format!("{}/{}{tier}/{}", self.provider, self.model, line.name);
        let is_usage = line.used.is_some();
        let unit = line.used.map(|(unit, _)| unit);
        let list = match (line.price, line.used) {
            (Some(price), Some((_, quantity))) => price.list.times(quantity),
            _ => line.cost,
        };
        let unit_price = |rate: fn(UnitPrice) -> Picodollars| {
            Cell::decimal(line.price.zip(unit).map(|(price, unit)| unit.price(rate(price))))
        };
        let price_id = line.price.zip(unit).map(|(price, unit)| format!("{sku}/{}", unit.price(price.rate)));
        let usage = |text: &str| Cell::said(is_usage.then_some(text));
        let seller = &self.seller;
        vec![
            line.cost.into(),
            self.provider.into(),
            format!("{} account", seller.provider).into(),
            USD.into(),
            next.into(),
            month.into(),
            line.category.into(),
            Cell::said(line.class),
            format!("{} of {}", line.meter, self.model).into(),
            "Usage-Based".into(),
            end.into(),
            start.into(),
            Cell::Nothing,
            Cell::decimal(line.used.map(|(unit, quantity)| unit.consumed(quantity))),
            Cell::said(unit.map(|unit| unit.consumed)),
            line.cost.into(),
            unit_price(|price| price.rate),
            line.cost.into(),
            seller.host.clone().into(),
            Cell::Nothing,
            seller.host.clone().into(),
            list.into(),
            unit_price(|price| price.list),
            usage("Standard"),
            USD.into(),
            unit_price(|price| price.rate),
            line.cost.into(),
            unit_price(|price| price.list),
            Cell::decimal(line.used.map(|(unit, quantity)| unit.priced(quantity))),
            Cell::said(unit.map(|unit| unit.priced_unit())),
            seller.host.clone().into(),
            seller.publisher.clone().into(),
            self.agent.into(),
            self.agent.into(),
            "Agent".into(),
            "AI and Machine Learning".into(),
            seller.service.clone().into(),
            seller.host.clone().into(),
            "Generative AI".into(),
            sku.into(),
            line.meter.as_str().into(),
            Cell::said(price_id.as_ref().map(|_| self.sku_details(line.name))),
            Cell::said(price_id),
            self.team.into(),
            self.team.into(),
            "Team".into(),
            self.tags().into(),
            line.name.into(),
            self.model.into(),
            Cell::Count(beside.calls.into()),
            Cell::Count(beside.estimated_calls.into()),
            beside.estimated.into(),
            Cell::Count(beside.unpriced_calls.into()),
            beside.late.into(),
            Cell::money(line.savings),
        ]
    }

    fn sku_details(&self, kind: &str) -> String {
        let mut details = json!({"x_Model": self.model, "x_TokenType": kind});
        if let (Some(tier), Some(details)) = (self.tier, details.as_object_mut()) {
            details.insert("x_ServiceTier".into(), tier.into());
        }
        details.to_string()
    }

    fn tags(&self) -> String {
        let tags: BTreeMap<&str, &str> = [
            ("agent", self.agent),
            ("environment", self.environment),
            ("feature", self.feature),
            ("team", self.team),
        ]
        .into();
        json!(tags).to_string()
    }
}

// Long: one line for each column.
/// The columns: those of FOCUS by name, then our own.
pub fn columns() -> Vec<Column> {
    use crate::model::table::Kind::{Count, Money, Ratio, Text};
    [
        ("BilledCost", Money),
        ("BillingAccountId", Text),
        ("BillingAccountName", Text),
        ("BillingCurrency", Text),
        ("BillingPeriodEnd", Text),
        ("BillingPeriodStart", Text),
        ("ChargeCategory", Text),
        ("ChargeClass", Text),
        ("ChargeDescription", Text),
        ("ChargeFrequency", Text),
        ("ChargePeriodEnd", Text),
        ("ChargePeriodStart", Text),
        ("CommitmentDiscountStatus", Text),
        ("ConsumedQuantity", Ratio),
        ("ConsumedUnit", Text),
        ("ContractedCost", Money),
        ("ContractedUnitPrice", Ratio),
        ("EffectiveCost", Money),
        ("HostProviderName", Text),
        ("InvoiceId", Text),
        ("InvoiceIssuerName", Text),
        ("ListCost", Money),
        ("ListUnitPrice", Ratio),
        ("PricingCategory", Text),
        ("PricingCurrency", Text),
        ("PricingCurrencyContractedUnitPrice", Ratio),
        ("PricingCurrencyEffectiveCost", Money),
        ("PricingCurrencyListUnitPrice", Ratio),
        ("PricingQuantity", Ratio),
        ("PricingUnit", Text),
        ("ProviderName", Text),
        ("PublisherName", Text),
        ("ResourceId", Text),
        ("ResourceName", Text),
        ("ResourceType", Text),
        ("ServiceCategory", Text),
        ("ServiceName", Text),
        ("ServiceProviderName", Text),
        ("ServiceSubcategory", Text),
        ("SkuId", Text),
        ("SkuMeter", Text),
        ("SkuPriceDetails", Text),
        ("SkuPriceId", Text),
        ("SubAccountId", Text),
        ("SubAccountName", Text),
        ("SubAccountType", Text),
        ("Tags", Text),
        ("x_TokenKind", Text),
        ("x_Model", Text),
        ("x_Calls", Count),
        ("x_EstimatedCalls", Count),
        ("x_EstimatedCost", Money),
        ("x_UnpricedCalls", Count),
        ("x_LateCost", Money),
        ("x_CacheSavings", Money),
    ]
    .into_iter()
    .map(|(name, kind)| Column::new(name, kind))
    .collect()
}

/// A number that always has a point: a column of whole numbers alone is read as one of integers.
fn decimal(units: i128, places: u8) -> Decimal {
    Decimal::exact(units, places)
}

/// Stands where a name is missing.
const NOBODY: &str = "unattributed";
const USD: &str = "USD";

#[cfg(test)]
mod tests;

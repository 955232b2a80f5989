//! What a report says: the answers of summaries, comparisons and budgets about its period.

use jiff::{Timestamp, ToSpan};
use tollgate_core::budget::scope;
use tollgate_core::money::Picodollars;

use crate::api::error::ApiError;
use crate::api::hours::{first_hour, instant};
use crate::api::summary::question::Question;
use crate::api::{budgets, compare, period, summary};
use crate::config::{Every, Report};
use crate::model::answers::budgets::BudgetRow;
use crate::model::answers::reports::{BudgetUse, MailReport, PartCost, TopRows};
use crate::model::answers::summary::By;
use crate::model::clock::millis;
use crate::model::decimal::Decimal;
use crate::model::dimension::Dimension;
use crate::model::unit::Unit;
use crate::store::{Filters, StoreError};
use crate::work::app::App;
use crate::work::mailed::schedule::Period;

/// What a report says of a period that is over.
///
/// # Errors
/// When the store fails.
// Long: one line for each field of the answer.
pub(super) async fn of(app: &App, report: &Report, period: &Period) -> Result<MailReport, ApiError> {
    let store = &app.store;
    let (unit, by) = match report.every {
        Every::Day => (Unit::Hour, By::Hour),
        Every::Week | Every::Month => (Unit::Day, By::Day),
    };
    let by_part = summary::answer(store, &question(report, period, vec![by])?).await?;
    let nobody = {
        let mut question = question(report, period, vec![])?;
        question.filters.only_unattributed();
        summary::answer(store, &question).await?.total.numbers
    };
    let compared = compare::about(store, question(report, period, vec![])?).await?;
    let mut tops = Vec::new();
    for dimension in TOPS.into_iter().filter(|one| !report.scope.iter().any(|(known, _)| known == one)) {
        let by = By::Dimension(dimension);
        let mut question = question(report, period, vec![by])?;
        (question.top, question.is_compared) = (Some(TOP), true);
        tops.push(TopRows { by, rows: summary::answer(store, &question).await?.rows });
    }
    let cost_of = |label: &str| {
        let row = by_part.rows.iter().find(|row| row.keys.value(by) == Some(label));
        row.map_or(Picodollars::ZERO, |row| row.numbers.cost_usd)
    };
    let parts = parts(report, period, unit);
    let costs =
        parts.map(|(at, label)| PartCost { cost_usd: cost_of(&label), label: shown(report, unit, at) });
    let costs: Vec<PartCost> = costs.collect();
    let (total, numbers) = (by_part.total, &nobody);
    let cost = total.numbers.cost_usd.as_pico();
    let made = MailReport {
        name: report.name.clone(),
        every: report.every.unit().name().to_owned(),
        period: period.name.clone(),
        days: days(report, period),
        from: period.from.to_string(),
        to: period.to.to_string(),
        time_zone: zone_name(report),
        scope: report.scope_text(),
        estimated_percent: Decimal::percent(total.numbers.estimated_cost_usd.as_pico(), cost),
        unpriced_percent: Decimal::percent(total.numbers.unpriced, total.numbers.calls),
        unattributed_usd: numbers.cost_usd,
        unattributed_percent: Decimal::percent(numbers.cost_usd.as_pico(), cost),
        total,
        change: compared.total,
        drivers: compared.rows,
        tops,
        costs_by: unit.name().to_owned(),
        costs,
        budgets: budgets(app, report, period).await?,
        look_at: Vec::new(),
        hint: compared.hint,
    };
    Ok(made.with_look_at())
}

/// The name of a report's zone.
pub(super) fn zone_name(report: &Report) -> String {
    report.zone.iana_name().unwrap_or("UTC").to_owned()
}

fn question(report: &Report, period: &Period, by: Vec<By>) -> Result<Question, ApiError> {
    let mut filters = Filters::default();
    for (dimension, value) in &report.scope {
        filters.accept(*dimension, value.clone());
    }
    let asked = period::Period { from: Some(period.from), to: Some(period.to), zone: report.zone.clone() };
    // The period is over, so that what is asked for does not depend on when.
    Question::about(by, asked, filters, period.over)
}

/// Every day or hour of a period: when it begins, and how rows name it.
fn parts(report: &Report, period: &Period, unit: Unit) -> impl Iterator<Item = (Timestamp, String)> {
    let zone = report.zone.clone();
    // Hours of summaries are hours of UTC, also in a zone that is off by a part of one.
    let (first, end) = match unit {
        Unit::Hour => (instant(first_hour(period.from, &zone)), period.over),
        _ => (period.from, period.to),
    };
    let next = {
        let zone = zone.clone();
        move |at: &Timestamp| Some(unit.span(*at, &zone)?.1).filter(|next| *next < end)
    };
    std::iter::successors(Some(first), next).map(move |at| (at, unit.label(at, &zone)))
}

/// A day or an hour as people read it.
fn shown(report: &Report, unit: Unit, at: Timestamp) -> String {
    let local = at.to_zoned_datetime(report.zone.clone());
    let format = if unit == Unit::Hour { "%H:%M" } else { "%a %Y-%m-%d" };
    local.strftime(format).to_string()
}

fn days(report: &Report, period: &Period) -> String {
    let day = |at: Timestamp| at.to_zoned_datetime(report.zone.clone()).date();
    let (first, last) = (day(period.from), day(period.to.checked_sub(1.millisecond()).unwrap_or(period.to)));
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// Budgets that are for nothing else than what the report is about, the fullest first.
async fn budgets(app: &App, report: &Report, period: &Period) -> Result<Vec<BudgetUse>, StoreError> {
    let at = millis(period.to).saturating_sub(1);
    let mut all = Vec::new();
    for (stored, states) in app.store.budget_outlook(at).await? {
        all.extend(states.iter().map(|state| budgets::row(&stored, Some(state), at)));
    }
    all.retain(|row| is_within(report, row));
    all.sort_by(|one, other| {
        let names = |row: &BudgetRow| (row.budget.clone(), row.value.clone());
        other.percent.cmp(&one.percent).then_with(|| names(one).cmp(&names(other)))
    });
    all.truncate(BUDGETS);
    let used = |row: BudgetRow| BudgetUse {
        budget: row.budget,
        value: row.value.unwrap_or_default(),
        window: row.window,
        limit: row.limit,
        used: row.used,
        percent: row.percent,
        denied: row.denied,
    };
    Ok(all.into_iter().map(used).collect())
}

fn is_within(report: &Report, row: &BudgetRow) -> bool {
    report.scope.iter().all(|(dimension, value)| {
        let Some(dimension) = scope::Dimension::parse(dimension.name()) else { return false };
        let is_each = row.each.as_ref() == Some(&dimension) && row.value.as_ref() == Some(value);
        is_each || matches!(row.scope.values(&dimension), [only] if only == value)
    })
}

/// By what the rows that spent most are told apart.
const TOPS: [Dimension; 4] = [Dimension::Team, Dimension::Agent, Dimension::Feature, Dimension::Model];
/// Rows of each, beside the others.
const TOP: u64 = 5;
/// Most budgets that are shown.
const BUDGETS: usize = 10;

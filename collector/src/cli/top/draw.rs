//! Draws the view.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, TableState};
use tollgate_core::money::Picodollars;

use super::state::{Minute, Row, State};
use crate::model::answers::budgets::{BudgetRow, Quantity};
use crate::model::decimal::Decimal;
use crate::model::text::printable;

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let budgets = state.budgets();
    // Half of the screen at most is of budgets.
    let room = usize::from(frame.area().height / 2);
    let lines = u16::try_from(budgets.len().saturating_add(1).min(room)).unwrap_or(u16::MAX);
    let budget_lines = if budgets.is_empty() { 0 } else { lines };
    let [head, rows, gap, below, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(1),
        Constraint::Length(u16::from(budget_lines > 0)),
        Constraint::Length(budget_lines),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let _ = gap;
    frame.render_widget(Paragraph::new(header(state)), head);
    spenders(frame, rows, state);
    bars(frame, below, &budgets);
    frame.render_widget(Paragraph::new(footer(state)).style(DIM), foot);
}

fn header(state: &State) -> Vec<Line<'static>> {
    let total = state.total();
    let at = state.at().map_or_else(String::new, |at| at.to_string().chars().take(19).collect());
    let (cost, calls, refused) = rates(total.minute);
    vec![
        Line::from(format!("tollgate top  {at}Z  ${cost}/min  {calls} calls/min  {refused} refused/min"))
            .style(BOLD),
        Line::from(format!(
            "today: ${}  {} calls  {} refused  {} failed",
            dollars(total.today.cost_usd, 2),
            total.today.calls,
            total.today.denied,
            total.today.errors
        )),
    ]
}

fn spenders(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let rows = state.rows();
    let row = |row: &Row| {
        let (cost, calls, refused) = rates(row.minute);
        TableRow::new(
            [
                cost,
                calls,
                refused,
                dollars(row.today.cost_usd, 2),
                row.today.calls.to_string(),
                row.today.denied.to_string(),
            ]
            .into_iter()
            .fold(vec![Cell::from(row.name.clone())], |mut cells, number| {
                cells.push(Cell::from(Line::from(number).right_aligned()));
                cells
            }),
        )
    };
    let titles = ["$/min", "calls/min", "refused/min", "$ today", "calls", "refused"];
    let head = titles.iter().fold(vec![Cell::from(state.by.clone())], |mut cells, title| {
        cells.push(Cell::from(Line::from(*title).right_aligned()));
        cells
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(11),
        Constraint::Length(10),
        Constraint::Length(9),
        Constraint::Length(8),
    ];
    let table = Table::new(rows.iter().map(row), widths)
        .header(TableRow::new(head).style(BOLD))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let selected = state.selected.min(rows.len().saturating_sub(1));
    let mut place = TableState::new().with_selected((!rows.is_empty()).then_some(selected));
    frame.render_stateful_widget(table, area, &mut place);
}

fn bars(frame: &mut Frame<'_>, area: Rect, budgets: &[&BudgetRow]) {
    if area.height == 0 {
        return;
    }
    let row = |row: &&BudgetRow| {
        let value = row.value.as_deref().filter(|value| !value.is_empty());
        let name = value.map_or_else(|| row.budget.clone(), |value| format!("{} {value}", row.budget));
        let amounts = format!("{} of {}", amount(row.used), amount(row.limit));
        TableRow::new([
            Cell::from(printable(&name)),
            Cell::from(bar(row.percent)),
            Cell::from(Line::from(format!("{}%", row.percent)).right_aligned()),
            Cell::from(Line::from(amounts).right_aligned()),
            Cell::from(Line::from(row.denied.to_string()).right_aligned()),
        ])
    };
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(BAR),
        Constraint::Length(6),
        Constraint::Length(24),
        Constraint::Length(8),
    ];
    let head = TableRow::new([
        Cell::from("budget"),
        Cell::from(""),
        Cell::from(Line::from("used").right_aligned()),
        Cell::from(""),
        Cell::from(Line::from("refused").right_aligned()),
    ]);
    let table = Table::new(budgets.iter().map(row), widths).header(head.style(BOLD));
    frame.render_widget(table, area);
}

fn footer(state: &State) -> String {
    match (&state.failure, state.is_typing) {
        (_, true) => format!("/{}_  (Enter keeps it, Esc clears it)", printable(&state.filter)),
        (Some(failure), false) => failure.clone(),
        (None, false) => {
            let filter = match state.filter.as_str() {
                "" => "/ filter".to_owned(),
                filter => format!("/{} (Esc clears)", printable(filter)),
            };
            format!("q quit  s sort: {}  {filter}  arrows move", state.sort.name())
        }
    }
}

/// Cost, calls and refusals of a minute; before that is known, a dash.
fn rates(minute: Option<Minute>) -> (String, String, String) {
    let Some(minute) = minute else { return ("-".to_owned(), "-".to_owned(), "-".to_owned()) };
    (dollars(minute.cost, 4), minute.calls.to_string(), minute.denied.to_string())
}

fn amount(quantity: Quantity) -> String {
    match quantity {
        Quantity::Dollars(amount) => format!("${}", dollars(amount, 2)),
        Quantity::Count(count) => count.to_string(),
    }
}

fn dollars(amount: Picodollars, places: u8) -> String {
    let shown = Decimal::ratio(amount.as_pico(), PICO_PER_DOLLAR, places);
    shown.map_or_else(|| amount.to_string(), |one| one.to_string())
}

/// As full as the budget; one that was passed is full.
fn bar(percent: u16) -> String {
    let full = usize::from(percent.min(100)).saturating_mul(BAR.into()).div_ceil(100);
    let empty = usize::from(BAR).saturating_sub(full);
    format!("{}{}", "█".repeat(full), "░".repeat(empty))
}

/// Columns of a bar.
const BAR: u16 = 16;
const PICO_PER_DOLLAR: i128 = 1_000_000_000_000;
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);

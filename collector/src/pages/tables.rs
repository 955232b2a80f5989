//! Tables of the API's answers, as HTML: numbers at the right, names that lead on, and a file of the same.

use maud::{Markup, html};
use tollgate_core::money::Picodollars;

use super::asked::Asked;
use super::charts;
use super::query::{Query, address, escaped};
use super::show;
use crate::model::dimension::Dimension;
use crate::model::table::{Cell, Column, Kind, Table};
use crate::model::text::{duration, printable};

/// How a table is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Look<'a> {
    /// What it is, for those who hear it.
    pub(super) title: &'a str,
    /// What it is about, for links to records.
    pub(super) asked: Option<&'a Asked>,
    /// The question whose answer is the same as a file.
    pub(super) export: Option<Query>,
    /// What to say where there is no row.
    pub(super) empty: &'a str,
    /// Columns that are left out.
    pub(super) without: &'a [&'a str],
}

/// Draws a table.
pub(super) fn draw(table: &Table, look: &Look<'_>) -> Markup {
    if table.rows.is_empty() {
        return html! { p.empty { (look.empty) } };
    }
    let is_shown = |(at, column): &(usize, &Column)| {
        !look.without.contains(&column.name.as_str())
            && (!column.if_any || table.cells(*at).any(|cell| !cell.is_empty()))
    };
    let shown: Vec<(usize, &Column)> = table.columns.iter().enumerate().filter(is_shown).collect();
    let places: Vec<u8> = shown.iter().map(|(at, _)| places(table, *at)).collect();
    let cells = |row: &[Cell], is_row: bool| -> Vec<Markup> {
        let each = shown.iter().zip(&places).enumerate();
        each.map(|(number, ((at, column), places))| {
            let cell = row.get(*at).unwrap_or(&Cell::Nothing);
            let inner = linked(table, row, column, cell, look.asked.filter(|_| is_row), *places);
            match (number == 0, is_words(column.kind)) {
                (true, _) => html! { th scope="row" { (inner) } },
                (_, true) => html! { td { (inner) } },
                _ => html! { td.num { (inner) } },
            }
        })
        .collect()
    };
    html! {
        div.tablebox data-table {
            div.tools {
                @if table.rows.len() > FEW {
                    input.filter type="search" hidden placeholder="Filter rows" aria-label={ "Filter rows of " (look.title) };
                }
                @if let Some(export) = &look.export { (files(export)) }
            }
            div.scroll tabindex="0" role="region" aria-label=(look.title) {
                table.data {
                    thead { tr {
                        @for (_, column) in &shown {
                            th scope="col" class=[(!is_words(column.kind)).then_some("num")] { (title(column)) }
                        }
                    } }
                    tbody { @for row in &table.rows { tr { @for cell in cells(row, true) { (cell) } } } }
                    @if let Some(total) = &table.total {
                        tfoot { tr { @for cell in cells(total, false) { (cell) } } }
                    }
                }
            }
        }
    }
}

/// Moves a column to another place.
pub(super) fn moved(mut table: Table, name: &str, to: usize) -> Table {
    let Some(from) = table.columns.iter().position(|column| column.name == name) else { return table };
    let to = to.min(table.columns.len().saturating_sub(1));
    let column = table.columns.remove(from);
    table.columns.insert(to, column);
    for row in table.rows.iter_mut().chain(&mut table.total).filter(|row| from < row.len() && to < row.len())
    {
        let cell = row.remove(from);
        row.insert(to, cell);
    }
    table
}

/// Links to the same as files.
pub(super) fn files(query: &Query) -> Markup {
    html! {
        span.files {
            a href=(query.clone().with("format", "csv").address()) download="tollgate.csv" { "CSV" }
            a href=(query.address()) { "JSON" }
        }
    }
}

fn title(column: &Column) -> &str {
    match (column.kind, column.title.as_str()) {
        (Kind::Bar, "") => "share",
        (_, title) => title,
    }
}

const fn is_words(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Time | Kind::Bar | Kind::Sparkline)
}

/// Decimals that the amounts of a column share: as many as the largest of the table has, so that rows can be
/// read across. What is of one call is small, and has its own.
fn places(table: &Table, column: usize) -> u8 {
    let largest = |at: usize| {
        let amounts = table.cells(at).filter_map(|cell| match cell {
            Cell::Money(amount) => Some(amount.as_pico().checked_abs().unwrap_or(i128::MAX)),
            _ => None,
        });
        amounts.max().unwrap_or_default()
    };
    let is_small = |at: &usize| {
        table.columns.get(*at).is_some_and(|one| SMALL.iter().any(|part| one.name.contains(part)))
    };
    let most = match is_small(&column) {
        true => largest(column),
        false => (0..table.columns.len()).filter(|at| !is_small(at)).map(largest).max().unwrap_or_default(),
    };
    show::decimals(Picodollars::from_pico(most))
}

fn linked(
    table: &Table,
    row: &[Cell],
    column: &Column,
    cell: &Cell,
    asked: Option<&Asked>,
    places: u8,
) -> Markup {
    let inner = worded(column.kind, cell, places);
    let to = match (cell, asked) {
        (Cell::Text(text), _) => page_of(&column.name, text, asked),
        (Cell::Count(count), Some(asked)) if column.name == "calls" && *count > 0 => {
            records_of(table, row, asked)
        }
        _ => None,
    };
    match to {
        Some(to) => html! { a href=(to) { (inner) } },
        None => inner,
    }
}

/// A cell as people read it.
fn worded(kind: Kind, cell: &Cell, places: u8) -> Markup {
    match (kind, cell) {
        (_, Cell::Nothing) => html! { span.none { "–" } },
        (Kind::Time, Cell::Text(text)) => show::time(text),
        (_, Cell::Text(text)) if text.is_empty() => html! { span.none { "(none)" } },
        (_, Cell::Text(text)) if is_time(text) => show::time(text),
        (_, Cell::Text(text)) => html! { (printable(text)) },
        (Kind::Duration, Cell::Count(ms)) => {
            html! { span data-v=(ms) { (duration(u64::try_from(*ms).unwrap_or_default())) } }
        }
        (_, Cell::Count(count)) => html! { (show::count(*count)) },
        (_, Cell::Money(amount)) => html! { (show::dollars(*amount, places)) },
        (Kind::Bar, Cell::Decimal(share)) => {
            charts::bar(share.units(), 10_i128.saturating_pow(u32::from(share.places()).saturating_add(2)))
        }
        (Kind::Percent, Cell::Decimal(number)) => html! { (show::percent(*number)) },
        (Kind::Change, Cell::Decimal(number)) => {
            let class = if number.units() > 0 { "up" } else { "down" };
            html! { span.(class) { (show::change(*number)) } }
        }
        (_, Cell::Decimal(number)) => html! { (show::decimal(*number)) },
        (_, Cell::Amounts(amounts)) => charts::sparkline(amounts),
    }
}

fn is_time(text: &str) -> bool {
    text.len() >= 20 && text.get(10..11) == Some("T") && text.parse::<jiff::Timestamp>().is_ok()
}

/// The page about a name.
pub(super) fn page_of(column: &str, value: &str, asked: Option<&Asked>) -> Option<String> {
    let folder = match column {
        "agent" => "agents",
        "team" => "teams",
        "feature" => "features",
        "model" => "models",
        "environment" => "environments",
        "provider" => "providers",
        "run" => "runs",
        "budget" => "budgets",
        _ => return None,
    };
    if value.is_empty() || value.starts_with('(') || value == "total" {
        return None;
    }
    let path = format!("/{folder}/{}", escaped(value));
    let is_in_time = !matches!(folder, "runs" | "budgets");
    Some(asked.filter(|_| is_in_time).map_or_else(|| path.clone(), |asked| asked.link_in_time(&path)))
}

/// The calls that a row is about, one by one; none where records cannot be asked for what tells it apart.
fn records_of(table: &Table, row: &[Cell], asked: &Asked) -> Option<String> {
    let mut one = asked.clone();
    for (column, cell) in table.columns.iter().zip(row) {
        match (Dimension::or_facet(&column.name), cell) {
            (Some(Dimension::Tag), _) => return None,
            (Some(_), Cell::Text(value)) if !value.starts_with('(') => one = one.only(&column.name, value),
            (Some(_), _) => return None,
            (None, Cell::Text(day)) if column.name == "day" => {
                let day: jiff::civil::Date = day.trim_end_matches('*').parse().ok()?;
                one.period.retain(|(name, _)| name == "tz");
                one.period.push(("from".to_owned(), day.to_string()));
                one.period.push(("to".to_owned(), day.tomorrow().ok()?.to_string()));
            }
            (None, _) => {}
        }
    }
    Some(one.records())
}

/// Names and values, one below the other.
pub(super) fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } }
    }
}

/// A link to the next page of a list, and to the first.
pub(super) fn pager(path: &str, pairs: &[(String, String)], next: Option<&str>) -> Markup {
    let others: Vec<_> = pairs.iter().filter(|(name, _)| name != "cursor").cloned().collect();
    let with = |cursor: &str| [&others[..], &[("cursor".to_owned(), cursor.to_owned())]].concat();
    html! {
        nav.pager aria-label="Pages" {
            @if pairs.len() > others.len() { a href=(address(path, &others)) { "First page" } }
            @if let Some(next) = next { a href=(address(path, &with(next))) rel="next" { "Next page" } }
        }
    }
}

/// Parts of names of columns that are about one call or one action.
const SMALL: [&str; 4] = ["per_call", "median", "p90", "max_"];
/// Longer tables can be filtered.
const FEW: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new(vec![Column::text("agent"), Column::count("calls"), Column::money("cost_usd")])
            .with([vec!["a/<b>".into(), 1234_u64.into(), Picodollars::from_pico(5_000_000_000).into()]])
    }

    #[test]
    fn names_are_escaped_and_numbers_lead_to_their_records() {
        let asked = Asked {
            period: vec![("since".into(), "7d".into())],
            filters: vec![("team".into(), "x".into())],
            is_default: false,
        };
        let drawn =
            draw(&table(), &Look { title: "t", asked: Some(&asked), ..Look::default() }).into_string();
        assert!(drawn.contains(r#"<a href="/agents/a%2F%3Cb%3E?since=7d">a/&lt;b&gt;</a>"#), "{drawn}");
        let records = r#"<a href="/records?since=7d&amp;team=x&amp;agent=a%2F%3Cb%3E">1,234</a>"#;
        assert!(drawn.contains(records), "{drawn}");
        assert!(drawn.contains("$0.005000"), "{drawn}");
    }

    #[test]
    fn a_column_moves_with_its_cells() {
        let moved = moved(table().total(vec!["total".into(), 1234_u64.into(), Cell::Nothing]), "cost_usd", 1);
        assert_eq!(moved.columns[1].name, "cost_usd");
        assert!(matches!(moved.rows[0][1], Cell::Money(_)) && moved.rows[0][2] == Cell::Count(1234));
        assert_eq!(moved.total.unwrap()[1], Cell::Nothing);
    }

    #[test]
    fn a_table_without_rows_says_so() {
        let empty = Table::new(vec![Column::text("agent")]);
        let drawn = draw(&empty, &Look { empty: "no agents yet", ..Look::default() }).into_string();
        assert_eq!(drawn, r#"<p class="empty">no agents yet</p>"#);
    }
}

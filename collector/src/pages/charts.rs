//! Pictures of amounts, drawn here as SVG: no script, no style in attributes, and a table beside each.
//!
//! A picture is stretched to its place; words stand beside it in HTML, so that they are never stretched.

mod running;

use maud::{Markup, html};
use tollgate_core::money::Picodollars;

use super::show;
pub(super) use running::{Reached, running};

/// One colour of a chart.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// What it is.
    pub(super) name: String,
    /// An amount for each column.
    pub(super) amounts: Vec<Picodollars>,
}

/// Stacked columns over time, with an axis, names of colours, and a table that says the same.
pub(super) fn columns(title: &str, palette: &str, labels: &[String], series: &[Series]) -> Markup {
    let sums: Vec<i128> = (0..labels.len())
        .map(|at| {
            series.iter().filter_map(|one| one.amounts.get(at)).map(|amount| amount.as_pico().max(0)).sum()
        })
        .collect();
    let most = nice(sums.iter().copied().max().unwrap_or_default());
    let places = show::decimals(Picodollars::from_pico(most));
    let line = |quarter: i128| show::dollars(Picodollars::from_pico(most / 4 * quarter), places);
    let width = labels.len().max(1).saturating_mul(COLUMN);
    html! {
        figure.chart.(palette) {
            div.plot {
                div.axis aria-hidden="true" { @for quarter in (0..=4).rev() { span { (line(quarter)) } } }
                svg role="img" aria-label={ (title) ", a table with the same numbers follows" }
                    viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" {
                    @for quarter in 1..=4 {
                        @let y = HEIGHT - HEIGHT / 4 * quarter;
                        line.grid x1="0" x2=(width) y1=(y) y2=(y) {}
                    }
                    @for (at, label) in labels.iter().enumerate() { (column(at, label, series, most)) }
                }
                div.labels aria-hidden="true" { @for label in spread(labels) { span { (label) } } }
            }
            figcaption {
                ul.legend {
                    @for (at, one) in series.iter().enumerate() {
                        li { (key(at)) (one.name) }
                    }
                }
                details.twin {
                    summary { "As a table" }
                    (twin(title, labels, series, &sums))
                }
            }
        }
    }
}

fn column(at: usize, label: &str, series: &[Series], most: i128) -> Markup {
    let mut below = 0_i128;
    let mut parts = Vec::new();
    for (number, one) in series.iter().enumerate() {
        let amount = one.amounts.get(at).map_or(0, |amount| amount.as_pico().max(0));
        if amount > 0 {
            let (low, high) =
                (length(below, most, HEIGHT), length(below.saturating_add(amount), most, HEIGHT));
            parts.push((number, HEIGHT - high, high - low, &one.name, amount));
            below = below.saturating_add(amount);
        }
    }
    html! {
        @for (number, y, height, name, amount) in parts {
            rect.{ "c" (number % COLOURS) } x=(at * COLUMN + 1) y=(y) width=(COLUMN - 2) height=(height) {
                title { (label) ": " (name) " " (show::money(Picodollars::from_pico(amount))) }
            }
        }
    }
}

fn twin(title: &str, labels: &[String], series: &[Series], sums: &[i128]) -> Markup {
    let places = show::decimals(Picodollars::from_pico(sums.iter().copied().max().unwrap_or_default()));
    let cell = |amount: Picodollars| show::dollars(amount, places);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(title) {
            table.data {
                thead { tr {
                    th scope="col" { "time" }
                    @for one in series { th.num scope="col" { (one.name) } }
                    th.num scope="col" { "sum" }
                } }
                tbody {
                    @for (at, label) in labels.iter().enumerate() {
                        tr {
                            th scope="row" { (label) }
                            @for one in series {
                                td.num { (one.amounts.get(at).copied().map(cell).unwrap_or_default()) }
                            }
                            td.num { (cell(Picodollars::from_pico(sums.get(at).copied().unwrap_or_default()))) }
                        }
                    }
                }
            }
        }
    }
}

/// The colour of a series, beside its name.
pub(super) fn key(at: usize) -> Markup {
    html! {
        svg.key viewBox="0 0 10 10" aria-hidden="true" {
            rect.{ "c" (at % COLOURS) } width="10" height="10" rx="2" {}
        }
    }
}

/// Amounts over time in one line of text.
pub(super) fn sparkline(amounts: &[Picodollars]) -> Markup {
    let most = amounts.iter().map(|amount| amount.as_pico()).max().unwrap_or_default().max(1);
    let last = i128::try_from(amounts.len()).unwrap_or(1).saturating_sub(1).max(1);
    let point = |(at, amount): (usize, &Picodollars)| {
        let x = length(i128::try_from(at).unwrap_or_default(), last, 100);
        format!("{x},{}", 22 - length(amount.as_pico().max(0), most, 20))
    };
    let points: Vec<String> = amounts.iter().enumerate().map(point).collect();
    html! {
        @if amounts.len() > 1 {
            svg.spark viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true" {
                polyline points=(points.join(" ")) {}
            }
        }
    }
}

/// A bar as long as its part of the whole.
pub(super) fn bar(part: i128, whole: i128) -> Markup {
    html! {
        svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.back width="1000" height="10" {}
            rect.c0 width=(length(part.max(0), whole, 1000)) height="10" {}
        }
    }
}

/// How full something is: what is used, the part of it that is held, and the whole.
pub(super) fn meter(used: i128, held: i128, limit: i128, state: &str) -> Markup {
    let (all, solid) = (length(used, limit, 1000), length(used.saturating_sub(held), limit, 1000));
    html! {
        svg.meter.(state) viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.back width="1000" height="10" {}
            rect.held width=(all) height="10" {}
            rect.used width=(solid) height="10" {}
        }
    }
}

/// A part of a whole that begins somewhere within it: a step of a waterfall, a frame of a flame.
pub(super) fn step(from: i128, to: i128, whole: i128, class: &str) -> Markup {
    let (low, high) = (length(from.min(to), whole, 1000), length(from.max(to), whole, 1000));
    html! {
        svg.step viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.(class) x=(low) width=((high - low).max(2)) height="10" {}
        }
    }
}

/// `part` of `whole` as a part of this length.
fn length(part: i128, whole: i128, of: i128) -> i128 {
    part.saturating_mul(of).checked_div(whole).unwrap_or_default().clamp(0, of)
}

/// The next of 1, 2, 4, 5, 8 or 10 times a power of ten that is no less: quarters of it are short numbers.
fn nice(most: i128) -> i128 {
    let mut power = 1_i128;
    while power.saturating_mul(10) < most {
        power = power.saturating_mul(10);
    }
    [1, 2, 4, 5, 8, 10]
        .map(|times| power.saturating_mul(times))
        .into_iter()
        .find(|top| *top >= most)
        .unwrap_or(most)
        .max(4)
}

/// A few labels that say where an axis begins and ends.
fn spread(labels: &[String]) -> Vec<&str> {
    let most = 6;
    if labels.len() <= most {
        return labels.iter().map(String::as_str).collect();
    }
    let last = labels.len().saturating_sub(1);
    (0..most).filter_map(|at| labels.get(last * at / (most - 1)).map(String::as_str)).collect()
}

/// Units of a column's width.
const COLUMN: usize = 10;
/// Units of a chart's height.
const HEIGHT: i128 = 1000;
/// Colours that the stylesheet has.
const COLOURS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_short_number_that_is_no_less() {
        for (most, top) in
            [(0, 4), (7, 8), (80, 80), (81, 100), (1_234, 2_000), (2_001, 4_000), (99_999, 100_000)]
        {
            assert_eq!(nice(most), top, "{most}");
        }
    }

    #[test]
    fn lengths_stay_within_their_place() {
        assert_eq!(length(1, 3, 1000), 333);
        assert_eq!((length(5, 3, 1000), length(-1, 3, 1000), length(1, 0, 1000)), (1000, 0, 0));
        assert_eq!(length(i128::MAX, 1, 1000), 1000);
    }

    #[test]
    fn names_in_a_chart_are_escaped() {
        let series = [Series { name: "<script>".into(), amounts: vec![Picodollars::from_pico(5)] }];
        let drawn = columns("spend", "many", &["2026-11-01".into()], &series).into_string();
        assert!(!drawn.contains("<script>") && drawn.contains("&lt;script&gt;"), "{drawn}");
    }
}

//! A sum as it grows over a time, beside what it may come to.

use maud::{Markup, html};
use tollgate_core::money::Picodollars;

use super::{HEIGHT, length, nice};
use crate::pages::show;

/// What was reached at a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::pages) struct Reached {
    /// The time, as people read it.
    pub(in crate::pages) label: String,
    /// Where it is between the beginning, 0, and the end, 1000.
    pub(in crate::pages) at: i128,
    /// The sum up to then.
    pub(in crate::pages) sum: Picodollars,
}

/// The sum as a line, the limit above it, and between them the pace at which it would just last; `ends` are
/// the words for beginning and end.
pub(in crate::pages) fn running(
    title: &str,
    ends: [&str; 2],
    reached: &[Reached],
    limit: Picodollars,
) -> Markup {
    let last = reached.last().map_or(Picodollars::ZERO, |last| last.sum);
    let most = nice(last.as_pico().max(limit.as_pico()));
    let places = show::decimals(Picodollars::from_pico(most));
    let line = |quarter: i128| show::dollars(Picodollars::from_pico(most / 4 * quarter), places);
    let high = |amount: Picodollars| HEIGHT - length(amount.as_pico(), most, HEIGHT);
    html! {
        figure.chart.running {
            div.plot {
                div.axis aria-hidden="true" { @for quarter in (0..=4).rev() { span { (line(quarter)) } } }
                svg role="img" aria-label={ (title) ", a table with the same numbers follows" }
                    viewBox={ "0 0 1000 " (HEIGHT) } preserveAspectRatio="none" {
                    @for quarter in 1..=4 {
                        @let y = HEIGHT - HEIGHT / 4 * quarter;
                        line.grid x1="0" x2="1000" y1=(y) y2=(y) {}
                    }
                    line.pace x1="0" x2="1000" y1=(HEIGHT) y2=(high(limit)) {}
                    line.limit x1="0" x2="1000" y1=(high(limit)) y2=(high(limit)) {}
                    polyline points=(points(reached, &high)) {}
                }
                div.labels aria-hidden="true" { @for end in ends { span { (end) } } }
            }
            figcaption {
                ul.legend {
                    li { (sample("spent")) "Spent" }
                    li { (sample("limit")) "Limit" }
                    li { (sample("pace")) "The pace that just lasts" }
                }
                details.twin {
                    summary { "As a table" }
                    div.scroll tabindex="0" role="region" aria-label=(title) {
                        table.data {
                            thead { tr { th scope="col" { "until" } th.num scope="col" { "spent" } th.num scope="col" { "limit" } } }
                            tbody { @for one in reached { tr {
                                th scope="row" { (one.label) }
                                td.num { (show::dollars(one.sum, places)) }
                                td.num { (show::dollars(limit, places)) }
                            } } }
                        }
                    }
                }
            }
        }
    }
}

fn points(reached: &[Reached], high: &dyn Fn(Picodollars) -> i128) -> String {
    let begin = format!("0,{HEIGHT}");
    let rest = reached.iter().map(|one| format!("{},{}", one.at.clamp(0, 1000), high(one.sum)));
    std::iter::once(begin).chain(rest).collect::<Vec<_>>().join(" ")
}

fn sample(class: &str) -> Markup {
    html! {
        svg.key.(class) viewBox="0 0 10 10" aria-hidden="true" { line x1="0" x2="10" y1="5" y2="5" {} }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_goes_from_nothing_to_what_is_reached_and_the_table_says_the_same() {
        let reached =
            |label: &str, at, pico| Reached { label: label.into(), at, sum: Picodollars::from_pico(pico) };
        let dollar = 1_000_000_000_000;
        let all = [reached("11-01", 100, dollar), reached("11-02", 200, 4 * dollar)];
        let drawn =
            running("spent", ["11-01", "12-01"], &all, Picodollars::from_pico(8 * dollar)).into_string();
        assert!(drawn.contains("points=\"0,1000 100,875 200,500\""), "{drawn}");
        assert!(drawn.contains("class=\"limit\" x1=\"0\" x2=\"1000\" y1=\"0\""), "{drawn}");
        assert!(drawn.contains("$4.00") && drawn.contains("$8.00"), "{drawn}");
    }
}

//! Today beside the seven days before, hour by hour.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use maud::{Markup, html};
use tollgate_core::money::Picodollars;

use super::sum;
use crate::model::answers::summary::{By, SummaryAnswer};
use crate::model::clock::now;
use crate::model::decimal::{Decimal, divided};
use crate::pages::charts::{Series, columns};
use crate::pages::show;

/// What hours cost, UTC: those of today, and what they usually cost.
#[derive(Debug)]
pub(super) struct Today {
    /// Today until now.
    pub(super) so_far: Picodollars,
    /// By hour of the day.
    today: Vec<Picodollars>,
    /// The mean of the same hour on the seven days before.
    usual: Vec<Picodollars>,
    /// Today until the hour that is not over.
    whole_hours: Picodollars,
    /// What is usual until then.
    usual_by_now: Picodollars,
    /// The last seven times 24 hours.
    week: Picodollars,
}

impl Today {
    /// Of a summary by hour since the start of the day seven days ago.
    pub(super) fn of(hours: &SummaryAnswer) -> Self {
        Self::at(hours, now())
    }

    fn at(hours: &SummaryAnswer, now: Timestamp) -> Self {
        let today = now.to_zoned_datetime(TimeZone::UTC).date();
        let this_hour = usize::try_from(now.to_zoned_datetime(TimeZone::UTC).hour()).unwrap_or_default();
        let week_ago = now.checked_sub(Span::new().hours(7 * 24)).unwrap_or(now);
        let mut own = vec![Picodollars::ZERO; 24];
        let mut before = vec![Picodollars::ZERO; 24];
        let mut week = Picodollars::ZERO;
        for row in &hours.rows {
            let Some(at) = row.keys.value(By::Hour).and_then(|hour| hour.parse::<Timestamp>().ok()) else {
                continue;
            };
            let zoned = at.to_zoned_datetime(TimeZone::UTC);
            let side = if zoned.date() == today { &mut own } else { &mut before };
            if let Some(place) = usize::try_from(zoned.hour()).ok().and_then(|hour| side.get_mut(hour)) {
                *place += row.numbers.cost_usd;
            }
            if at >= week_ago {
                week += row.numbers.cost_usd;
            }
        }
        let usual: Vec<Picodollars> = before
            .into_iter()
            .map(|sum| Picodollars::from_pico(divided(sum.as_pico(), 7).unwrap_or_default()))
            .collect();
        Self {
            so_far: sum(own.iter().copied()),
            whole_hours: sum(own.iter().take(this_hour).copied()),
            usual_by_now: sum(usual.iter().take(this_hour).copied()),
            today: own,
            usual,
            week,
        }
    }

    /// What the month comes to, where the rest of it costs as much a day as the last seven days.
    pub(super) fn forecast(&self, to_date: Picodollars) -> Picodollars {
        let now = now().to_zoned_datetime(TimeZone::UTC);
        let end = now
            .date()
            .last_of_month()
            .tomorrow()
            .ok()
            .and_then(|day| day.to_zoned_datetime(TimeZone::UTC).ok());
        let rest =
            end.map_or(0, |end| end.timestamp().as_second().saturating_sub(now.timestamp().as_second()));
        let more = divided(self.week.as_pico().saturating_mul(rest.into()), WEEK_SECONDS).unwrap_or_default();
        to_date + Picodollars::from_pico(more)
    }

    /// How the whole hours of today compare, in words.
    pub(super) fn beside_usual(&self) -> Markup {
        html! {
            @match Decimal::change(self.whole_hours, self.usual_by_now) {
                Some(_) if self.so_far == Picodollars::ZERO => { "no call yet; " (show::money(self.usual_by_now)) " is usual by now" }
                Some(change) => {
                    span.{ (if change.units() > 0 { "up" } else { "down" }) } { (show::change(change)) }
                    " against " (show::money(self.usual_by_now)) ", usual by the last full hour"
                }
                None => "nothing usual to compare with yet",
            }
        }
    }
}

/// Hours of today and what is usual, added up.
pub(super) fn chart(today: &Today) -> Markup {
    let labels: Vec<String> = (0..24).map(|hour| format!("{hour:02}:00")).collect();
    let over = |at: usize| -> Picodollars {
        let (own, usual) = (today.today.get(at), today.usual.get(at));
        own.copied().unwrap_or_default() - usual.copied().unwrap_or_default()
    };
    // What is usual, split where today ends, so that one stack shows both.
    let both = |of: fn(Picodollars, Picodollars) -> Picodollars| -> Vec<Picodollars> {
        (0..24).map(|at| of(today.today.get(at).copied().unwrap_or_default(), over(at))).collect()
    };
    let series = [
        Series {
            name: "today, up to what is usual".into(),
            amounts: both(|own, over| if over.as_pico() > 0 { own - over } else { own }),
        },
        Series {
            name: "today, above what is usual".into(),
            amounts: both(|_, over| if over.as_pico() > 0 { over } else { Picodollars::ZERO }),
        },
        Series {
            name: "usual, not reached".into(),
            amounts: both(|_, over| {
                if over.as_pico() < 0 { Picodollars::from_pico(-over.as_pico()) } else { Picodollars::ZERO }
            }),
        },
    ];
    columns("Today by hour, beside the mean of the seven days before", "beside", &labels, &series)
}

const WEEK_SECONDS: i128 = 7 * 24 * 60 * 60;

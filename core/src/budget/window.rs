//! Windows: the times after which a budget starts anew.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How long a limit lasts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// An hour of the clock.
    Hour,
    /// A calendar day.
    Day,
    /// Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
    /// Three calendar months, from January, April, July or October.
    Quarter,
    /// The last so many minutes, in [`BUCKETS`] parts that leave as wholes.
    Rolling(u64),
    /// No end: what is spent stays spent until the limit is raised.
    Prepaid,
}

/// Parts of a rolling window.
pub const BUCKETS: u64 = 60;

/// From when to when, Unix milliseconds UTC; the end is exclusive.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Span {
    /// Start; names the window among those of its budget.
    pub start_ms: u64,
    /// End, exclusive; `u64::MAX` where there is none.
    #[cfg_attr(
        feature = "schema",
        schemars(description = "End, exclusive; 18446744073709551615 where there is none.")
    )]
    pub end_ms: u64,
}

impl Span {
    /// Whether this instant is in it.
    pub const fn contains(&self, now_ms: u64) -> bool {
        self.start_ms <= now_ms && now_ms < self.end_ms
    }
}

/// A date and an hour on a wall clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Civil {
    /// Year.
    pub year: i64,
    /// Month, from 1.
    pub month: u64,
    /// Day of the month, from 1.
    pub day: u64,
    /// Hour, from 0.
    pub hour: u64,
}

/// A calendar and clock somewhere. `core` knows fixed offsets from UTC; a collector brings time zones.
pub trait Zone {
    /// What the wall shows.
    fn civil(&self, now_ms: u64) -> Civil;
    /// When the wall shows it, Unix milliseconds UTC; where it never does, the first instant after.
    fn instant(&self, civil: Civil) -> u64;
}

/// A clock that is ahead of UTC by so many minutes, always.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Offset {
    /// Minutes ahead of UTC.
    pub minutes: i64,
}

impl Offset {
    /// `UTC`, or an offset such as `+05:30`.
    pub fn parse(name: &str) -> Option<Self> {
        if matches!(name, "UTC" | "Etc/UTC" | "Z") {
            return Some(Self::default());
        }
        let sign = match name.get(..1)? {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        let (hours, minutes) = name.get(1..)?.split_once(':')?;
        let number = |text: &str, most: i64| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i64>().ok().filter(|number| digits && *number <= most)
        };
        Some(Self { minutes: sign * (number(hours, 14)? * 60 + number(minutes, 59)?) })
    }
}

/// Whether two names are of one calendar, as far as names tell.
pub fn is_same_zone(one: &str, other: &str) -> bool {
    match (Offset::parse(one), Offset::parse(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.eq_ignore_ascii_case(other),
        _ => false,
    }
}

impl Zone for Offset {
    fn civil(&self, now_ms: u64) -> Civil {
        let minutes =
            i64::try_from(now_ms / MS_PER_MINUTE).unwrap_or(i64::MAX / 2).saturating_add(self.minutes);
        let (year, month, day) = date(minutes.div_euclid(1_440));
        Civil { year, month, day, hour: minutes.rem_euclid(1_440).unsigned_abs() / 60 }
    }

    fn instant(&self, civil: Civil) -> u64 {
        let hour = i64::try_from(civil.hour).unwrap_or(0);
        let minutes = days(civil.year, civil.month, civil.day) * 1_440 + hour * 60 - self.minutes;
        u64::try_from(minutes).unwrap_or(0).saturating_mul(MS_PER_MINUTE)
    }
}

impl Window {
    /// `hour`, `day`, `week`, `month`, `quarter`, `prepaid`, or `rolling 24h` (minutes `m`, hours `h`, days
    /// `d`).
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "quarter" => Self::Quarter,
            "prepaid" => Self::Prepaid,
            rolling => {
                let length = rolling.strip_prefix("rolling ")?;
                let (number, unit) = length.split_at_checked(length.len().checked_sub(1)?)?;
                let minutes = match unit {
                    "m" => 1,
                    "h" => 60,
                    "d" => 1_440,
                    _ => return None,
                };
                let minutes = number.parse::<u64>().ok()?.checked_mul(minutes)?;
                Self::Rolling(Some(minutes).filter(|minutes| (1..=ROLLING_MINUTES_MAX).contains(minutes))?)
            }
        })
    }

    /// The span that holds now: of a rolling window the part that is filled now.
    #[must_use]
    pub fn span(self, now_ms: u64, zone: &dyn Zone) -> Span {
        let civil = zone.civil(now_ms);
        let day = |shift: i64| {
            let (year, month, day) = date(days(civil.year, civil.month, civil.day) + shift);
            Civil { year, month, day, hour: 0 }
        };
        let month = |month: u64, by: u64| {
            let next = month + by;
            let year = civil.year + i64::from(next > 12);
            [
                Civil { month, day: 1, hour: 0, ..civil },
                Civil { year, month: (next - 1) % 12 + 1, day: 1, hour: 0 },
            ]
        };
        let [start, end] = match self {
            Self::Hour => return hour(now_ms, zone, civil),
            Self::Day => [day(0), day(1)],
            Self::Week => {
                let weekday = (days(civil.year, civil.month, civil.day) + 3).rem_euclid(7);
                [day(-weekday), day(7 - weekday)]
            }
            Self::Month => month(civil.month, 1),
            Self::Quarter => month((civil.month - 1) / 3 * 3 + 1, 3),
            Self::Rolling(minutes) => {
                let bucket_ms = minutes.saturating_mul(MS_PER_MINUTE) / BUCKETS;
                let start_ms = now_ms - now_ms % bucket_ms;
                return Span { start_ms, end_ms: start_ms.saturating_add(bucket_ms) };
            }
            Self::Prepaid => return Span { start_ms: 0, end_ms: u64::MAX },
        };
        Span { start_ms: zone.instant(start), end_ms: zone.instant(end) }
    }

    /// Whether a time zone decides when it begins.
    pub const fn has_calendar(self) -> bool {
        !matches!(self, Self::Rolling(_) | Self::Prepaid)
    }

    /// How far back spending counts from the start of a span: of a rolling window all its parts but the one
    /// that is filled now, else nothing.
    pub const fn reach_ms(self) -> u64 {
        match self {
            Self::Rolling(minutes) => {
                let length_ms = minutes.saturating_mul(MS_PER_MINUTE);
                length_ms - length_ms / BUCKETS
            }
            _ => 0,
        }
    }
}

/// An hour of the wall clock; one that the clock shows twice is two.
fn hour(now_ms: u64, zone: &dyn Zone, civil: Civil) -> Span {
    let shown = zone.instant(civil);
    let since_ms = now_ms.saturating_sub(shown) % MS_PER_HOUR;
    let start_ms = now_ms - since_ms;
    Span { start_ms, end_ms: start_ms + MS_PER_HOUR }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hour => f.write_str("hour"),
            Self::Day => f.write_str("day"),
            Self::Week => f.write_str("week"),
            Self::Month => f.write_str("month"),
            Self::Quarter => f.write_str("quarter"),
            Self::Prepaid => f.write_str("prepaid"),
            Self::Rolling(minutes) if minutes % 1_440 == 0 => write!(f, "rolling {}d", minutes / 1_440),
            Self::Rolling(minutes) if minutes % 60 == 0 => write!(f, "rolling {}h", minutes / 60),
            Self::Rolling(minutes) => write!(f, "rolling {minutes}m"),
        }
    }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar, by years that begin in March.
fn days(year: i64, month: u64, day: u64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::try_from((month + 9) % 12).unwrap_or(0);
    let day_of_year = (153 * month + 2) / 5 + i64::try_from(day).unwrap_or(1) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day since 1970-01-01.
fn date(days: i64) -> (i64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month + 2) / 5 + 1).unsigned_abs();
    let month = if month < 10 { month + 3 } else { month - 9 }.unsigned_abs();
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

const MS_PER_MINUTE: u64 = 60_000;
const MS_PER_HOUR: u64 = 3_600_000;
/// Ninety days.
const ROLLING_MINUTES_MAX: u64 = 90 * 1_440;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> u64 {
        let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
        let day = days(i64::try_from(number(0..4)).unwrap(), number(5..7), number(8..10));
        u64::try_from(day).unwrap() * 86_400_000
            + number(11..13) * MS_PER_HOUR
            + number(14..16) * MS_PER_MINUTE
    }

    #[test]
    fn calendar_windows_begin_and_end_on_the_calendar() {
        for (window, zone, now, start, end) in [
            ("hour", "UTC", "2026-11-25T12:59", "2026-11-25T12:00", "2026-11-25T13:00"),
            ("hour", "+05:30", "2026-11-25T12:59", "2026-11-25T12:30", "2026-11-25T13:30"),
            ("day", "UTC", "2026-02-28T23:59", "2026-02-28T00:00", "2026-03-01T00:00"),
            ("day", "-03:00", "2026-11-25T01:00", "2026-11-24T03:00", "2026-11-25T03:00"),
            ("week", "UTC", "2026-11-25T12:00", "2026-11-23T00:00", "2026-11-30T00:00"),
            ("week", "UTC", "2026-11-23T00:00", "2026-11-23T00:00", "2026-11-30T00:00"),
            ("month", "UTC", "2024-02-29T12:00", "2024-02-01T00:00", "2024-03-01T00:00"),
            ("month", "UTC", "2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
            ("quarter", "UTC", "2026-11-25T12:00", "2026-10-01T00:00", "2027-01-01T00:00"),
            ("quarter", "UTC", "2026-03-31T12:00", "2026-01-01T00:00", "2026-04-01T00:00"),
            ("rolling 1h", "UTC", "2026-11-25T12:59", "2026-11-25T12:59", "2026-11-25T13:00"),
            ("rolling 24h", "UTC", "2026-11-25T12:59", "2026-11-25T12:48", "2026-11-25T13:12"),
        ] {
            let span = Window::parse(window).unwrap().span(at(now), &Offset::parse(zone).unwrap());
            assert_eq!((span.start_ms, span.end_ms), (at(start), at(end)), "{window} {zone} {now}");
        }
    }

    #[test]
    fn a_rolling_window_reaches_back_over_all_its_other_parts() {
        assert_eq!(Window::Rolling(60).reach_ms(), 59 * MS_PER_MINUTE);
        assert_eq!(Window::Month.reach_ms(), 0);
    }

    #[test]
    fn what_is_no_window_or_offset_is_refused() {
        for text in ["", "year", "rolling", "rolling 0h", "rolling 1y", "rolling 91d", "rolling é", "Month"]
        {
            assert_eq!(Window::parse(text), None, "{text}");
        }
        for text in ["", "utc", "+1:00", "+15:00", "01:00", "+01:60", "Europe/Zurich", "é1:00"] {
            assert_eq!(Offset::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn now_is_in_its_span_and_the_next_begins_where_it_ends(
            now_ms in 0u64..8_000_000_000_000,
            minutes in -14i64 * 60..14 * 60,
            window in prop_oneof![
                Just(Window::Hour), Just(Window::Day), Just(Window::Week), Just(Window::Month),
                Just(Window::Quarter), (1u64..100_000).prop_map(Window::Rolling)
            ],
        ) {
            let now_ms = now_ms + 86_400_000 * 100;
            let zone = Offset { minutes };
            let span = window.span(now_ms, &zone);
            prop_assert!(span.contains(now_ms), "{span:?}");
            prop_assert_eq!(window.span(span.end_ms, &zone).start_ms, span.end_ms);
            prop_assert_eq!(window.span(span.start_ms, &zone), span);
            prop_assert_eq!(Window::parse(&window.to_string()), Some(window));
        }
    }
}

//! The time a question is about: `since`, or `from` and `to`, or a `month`, in a time zone.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::error::ApiError;
use super::params::Params;
use crate::model::unit::{Unit, start_of};
use crate::store::Month;

/// A span of time, `to` exclusive.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// Start.
    pub from: Option<Timestamp>,
    /// End.
    pub to: Option<Timestamp>,
    /// Where civil times and days are meant.
    pub zone: TimeZone,
}

impl Period {
    /// Reads `since`, `from`, `to`, `month` and `tz`. A time that is not given is open.
    ///
    /// # Errors
    /// Names the parameter, its value and what would be right.
    pub fn read(params: &mut Params, now: Timestamp) -> Result<Self, ApiError> {
        let zone = match params.one("tz")? {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(&name).map_err(|_| {
                ApiError::parameter(format!("`tz` is `{name}`, not a time zone such as `Europe/Berlin`"))
            })?,
        };
        if let Some(month) = params.one("month")? {
            if ["since", "from", "to"].iter().any(|name| params.peek(name).is_some()) {
                return Err(ApiError::parameter("give `month` or `since`, `from` and `to`, not both"));
            }
            return Self::of_month("month", &month, zone);
        }
        let to = params.one("to")?;
        let to = to.map(|text| instant("to", &text, &zone)).transpose()?;
        let from = match (params.one("from")?, params.one("since")?) {
            (Some(_), Some(_)) => {
                return Err(ApiError::parameter("give `since` or `from`, not both"));
            }
            (Some(from), None) => Some(instant("from", &from, &zone)?),
            (None, Some(since)) => Some(before(to.unwrap_or(now), &since)?),
            (None, None) => None,
        };
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(ApiError::parameter(format!("`from` {from} is not before `to` {to}")));
        }
        Ok(Self { from, to, zone })
    }

    /// A calendar month of a zone.
    ///
    /// # Errors
    /// Names the parameter and its value, where that is no month.
    pub fn of_month(name: &str, text: &str, zone: TimeZone) -> Result<Self, ApiError> {
        let wrong = || ApiError::parameter(format!("`{name}` is `{text}`, not a month such as `2026-10`"));
        let first = text.parse::<Month>().map_err(|_| wrong())?.first();
        let (from, to) = start_of(first, &zone)
            .and_then(|from| Some((from, Unit::Month.span(from, &zone)?.1)))
            .ok_or_else(wrong)?;
        Ok(Self { from: Some(from), to: Some(to), zone })
    }
}

fn before(end: Timestamp, since: &str) -> Result<Timestamp, ApiError> {
    let wrong = || {
        ApiError::parameter(format!(
            "`since` is `{since}`, not a length of time such as `90m`, `24h`, `7d` or `4w`"
        ))
    };
    let unit_at = since.len().checked_sub(1).ok_or_else(wrong)?;
    let (number, unit) = since.split_at_checked(unit_at).ok_or_else(wrong)?;
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        "w" => 7 * 24 * 60,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
    let length = SignedDuration::from_mins(i64::from(number).saturating_mul(minutes));
    let start = end.checked_sub(length).ok().filter(|start| *start >= Timestamp::UNIX_EPOCH);
    start.ok_or_else(|| {
        ApiError::parameter(format!("`since` is `{since}`, which reaches back to before 1970"))
    })
}

/// A time, in the zone where it has no offset.
///
/// # Errors
/// Names the parameter, its value and what would be right.
pub(super) fn instant(name: &str, text: &str, zone: &TimeZone) -> Result<Timestamp, ApiError> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    // A `+` that was not escaped in the query comes as a space.
    if let Ok(instant) = text.replace(' ', "+").parse::<Timestamp>() {
        return Ok(instant);
    }
    text.parse::<DateTime>()
        .and_then(|civil| civil.to_zoned_datetime(zone.clone()))
        .map(|zoned| zoned.timestamp())
        .map_err(|_| {
            ApiError::parameter(format!(
                "`{name}` is `{text}`, not a time such as `2026-11-01` or `2026-11-01T08:00:00Z`"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn since_counts_back_from_the_end() {
        let end = at("2026-11-23T12:00:00Z");
        for (since, from) in [
            ("90m", "2026-11-23T10:30:00Z"),
            ("24h", "2026-11-22T12:00:00Z"),
            ("7d", "2026-11-16T12:00:00Z"),
            ("4w", "2026-10-26T12:00:00Z"),
        ] {
            assert_eq!(before(end, since).unwrap(), at(from));
        }
        for wrong in
            ["", "d", "7", "0d", "-1d", "7D", "1y", "7 d", "7dd", "99999999999d", "4294967295w", "7é"]
        {
            assert!(before(end, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_meant_in_the_zone() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (text, instant) in [
            ("2026-11-01", "2026-10-31T23:00:00Z"),
            ("2026-07-01T08:30", "2026-07-01T06:30:00Z"),
            ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            ("2026-11-01T00:00:00+02:00", "2026-10-31T22:00:00Z"),
            ("2026-11-01T00:00:00 02:00", "2026-10-31T22:00:00Z"),
        ] {
            assert_eq!(super::instant("from", text, &berlin).unwrap(), at(instant), "{text}");
        }
        for wrong in ["", "yesterday", "2026-13-01", "20"] {
            assert!(super::instant("from", wrong, &berlin).is_err(), "{wrong}");
        }
    }
}

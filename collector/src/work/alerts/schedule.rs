//! When a delivery is due: quiet hours, digests, a channel's rate, and the wait after a failure. Pure.

use std::collections::VecDeque;

use crate::config::{Channel, Quiet};
use crate::model::clock::instant;

/// How long after the attempt with this number, from 1, the next one comes, in milliseconds; `None` when it
/// was the last. Doubles from a second to half an hour, and differs a little by `spread` so that many do not
/// come at once.
pub fn wait_ms(attempt: u32, spread: u64) -> Option<u64> {
    if attempt >= ATTEMPTS_MAX {
        return None;
    }
    let doubled = 1_000u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX).min(WAIT_MAX_MS);
    Some(doubled.saturating_add(spread % (doubled / 4 + 1)))
}

/// Until when a channel is to be left in peace, if it is now.
pub fn quiet_until_ms(quiet: &Quiet, now_ms: u64) -> Option<u64> {
    let now = instant(now_ms)?.to_zoned_datetime(quiet.zone.clone());
    let time = now.time();
    let over_night = quiet.from > quiet.to;
    let is_quiet = if over_night {
        time >= quiet.from || time < quiet.to
    } else {
        time >= quiet.from && time < quiet.to
    };
    if !is_quiet {
        return None;
    }
    let day = if over_night && time >= quiet.from { now.date().tomorrow().ok()? } else { now.date() };
    let end = day.to_datetime(quiet.to).to_zoned_datetime(quiet.zone.clone()).ok()?;
    u64::try_from(end.timestamp().as_millisecond()).ok()
}

/// Messages that a channel got in the last minute.
#[derive(Clone, Debug, Default)]
pub struct Rate(VecDeque<u64>);

impl Rate {
    /// Whether one more may go now; when not, from when on.
    ///
    /// # Errors
    /// The time from which on one more may go, Unix milliseconds UTC.
    pub fn admit(&mut self, channel: &Channel, now_ms: u64) -> Result<(), u64> {
        // A clock that was set back leaves times in the future, which would hold for ever.
        while self.0.front().is_some_and(|sent| now_ms.saturating_sub(*sent) >= 60_000 || *sent > now_ms) {
            self.0.pop_front();
        }
        if u64::try_from(self.0.len()).unwrap_or(u64::MAX) < channel.per_minute {
            self.0.push_back(now_ms);
            return Ok(());
        }
        Err(self.0.front().map_or(now_ms, |first| first.saturating_add(60_000)))
    }
}

/// Attempts before a delivery is given up: two to two and a half hours.
const ATTEMPTS_MAX: u32 = 15;
const WAIT_MAX_MS: u64 = 30 * 60_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use jiff::Timestamp;

    fn channel(text: &str) -> Channel {
        let text = format!("[channels.c]\ntype = 'slack'\nurl = 'https://x'\n{text}");
        Config::parse("t", &text).unwrap().alerts.channels.remove("c").unwrap()
    }

    fn ms(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    #[test]
    fn waits_grow_to_half_an_hour_and_end() {
        let waits: Vec<u64> = (1..20).map_while(|attempt| wait_ms(attempt, 0)).collect();
        assert_eq!(waits.len(), 14);
        assert_eq!((waits[0], waits[1], waits[13]), (1_000, 2_000, 1_800_000));
        assert!((1_000..=1_250).contains(&wait_ms(1, 987_654_321).unwrap()));
    }

    #[test]
    fn quiet_hours_end_when_they_say_also_over_night() {
        let quiet = channel("quiet = '22:00-07:00'\ntime_zone = 'Europe/Berlin'").quiet.unwrap();
        for (now, until) in [
            ("2026-11-25T20:59:00Z", None),
            ("2026-11-25T21:00:00Z", Some("2026-11-26T06:00:00Z")),
            ("2026-11-26T05:59:59Z", Some("2026-11-26T06:00:00Z")),
            ("2026-11-26T06:00:00Z", None),
        ] {
            assert_eq!(quiet_until_ms(&quiet, ms(now)), until.map(ms), "{now}");
        }
        let noon = channel("quiet = '12:00-13:00'").quiet.unwrap();
        assert_eq!(quiet_until_ms(&noon, ms("2026-11-25T12:30:00Z")), Some(ms("2026-11-25T13:00:00Z")));
        assert_eq!(quiet_until_ms(&noon, ms("2026-11-25T13:00:00Z")), None);
    }

    #[test]
    fn a_channel_gets_no_more_than_its_rate() {
        let channel = channel("per_minute = 2");
        let mut rate = Rate::default();
        assert_eq!(rate.admit(&channel, 1_000_000), Ok(()));
        assert_eq!(rate.admit(&channel, 1_010_000), Ok(()));
        assert_eq!(rate.admit(&channel, 1_020_000), Err(1_060_000));
        assert_eq!(rate.admit(&channel, 1_060_000), Ok(()));
        assert_eq!(rate.admit(&channel, 5), Ok(()), "a clock set back does not silence it");
    }
}

//! Agents and models that are new. Pure.

use crate::model::anomaly::Kind;
use crate::model::clock::HOUR_MS;
use crate::store::FirstCall;

/// What a first call is at this time, where anybody is known since `known_since_ms`: a new agent, a new model
/// of an agent that was there before, or nothing that is news (any more).
pub fn newcomer(first: &FirstCall, known_since_ms: Option<u64>, now_ms: u64) -> Option<Kind> {
    if !is_enough_known(known_since_ms, now_ms) || first.first_ms < news_since_ms(now_ms) {
        return None;
    }
    let is_new = first.agent_since_ms >= news_since_ms(now_ms);
    Some(if is_new { Kind::NewAgent } else { Kind::NewModel })
}

/// Whether what was there before is known well enough to call anything new. Nothing is new to a collector
/// that has just begun.
pub fn is_enough_known(known_since_ms: Option<u64>, now_ms: u64) -> bool {
    known_since_ms.is_some_and(|since| now_ms.saturating_sub(since) >= KNOWN_MS)
}

/// First calls at or after this are news.
pub const fn news_since_ms(now_ms: u64) -> u64 {
    now_ms.saturating_sub(NEW_MS)
}

/// For how long a first call is news.
pub const NEW_MS: u64 = HOUR_MS;
/// How long a collector must have known its agents before one can be new.
const KNOWN_MS: u64 = 24 * HOUR_MS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_call_is_news_for_an_hour_once_a_day_is_known() {
        const NOW: u64 = 100 * 3_600_000;
        let first = |first_ms, agent_since_ms| FirstCall {
            agent: "a".into(),
            model: "m".into(),
            first_ms,
            agent_since_ms,
        };
        for (known, first, expected) in [
            (None, first(NOW, NOW), None),
            (Some(NOW - 3_600_000), first(NOW, NOW), None),
            (Some(0), first(NOW, NOW), Some(Kind::NewAgent)),
            (Some(0), first(NOW, 5), Some(Kind::NewModel)),
            (Some(0), first(NOW - NEW_MS, NOW - NEW_MS), Some(Kind::NewAgent)),
            (Some(0), first(NOW - NEW_MS - 1, 5), None),
        ] {
            assert_eq!(newcomer(&first, known, NOW), expected, "{first:?}");
        }
    }
}

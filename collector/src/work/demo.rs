//! Sample data: the usage records of a company with five agents, the same bytes for the same arguments.
//!
//! There is something to find in it. The support agent's system prompt becomes longer four weeks before the
//! end, in one feature, and its cost rises by two fifths. The classifier uses a frontier model for answers of
//! some tokens, with 2,000 tokens of instructions that are never read from a cache. One question to the
//! research agent is 15 to 30 calls of it and its sub-agents; at the end of a month a budget refuses some.
//! Code review spends much in staging. Some calls have no name, no price, or an estimated one.

mod call;
mod company;
mod random;
mod story;

use jiff::civil::Weekday;
use tollgate_core::price::PriceBook;
use tollgate_core::record::UsageRecord;
use tollgate_core::record::id::CallIds;

use crate::model::clock::{DAY_MS, HOUR_MS, instant};
use company::{AGENTS, Agent};
use random::{Random, mixed};

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asked {
    /// End, exclusive: the start of a day, Unix milliseconds UTC.
    pub end_ms: u64,
    /// Days before it.
    pub days: u64,
    /// Records in all.
    pub records: u64,
    /// Another seed makes other records of the same story.
    pub seed: u64,
}

/// Days of records, in the order of time.
#[derive(Debug)]
pub struct Days<'a> {
    book: &'a PriceBook,
    asked: Asked,
    day: u64,
    /// Weights and records of the days before.
    done: (u64, u64),
    weights: u64,
    /// Records that go on after midnight.
    over: Vec<UsageRecord>,
    /// Of each agent, records that its last action made beyond what was due.
    ahead: [u64; AGENTS.len()],
    /// Records that are still to come.
    left: usize,
}

/// What happens while records of a day are made.
#[derive(Debug)]
struct Scene<'a> {
    book: &'a PriceBook,
    random: Random,
    ids: CallIds,
    /// Since when the prompt of the support agent is longer.
    changed_ms: u64,
    end_ms: u64,
    records: Vec<UsageRecord>,
}

impl<'a> Days<'a> {
    /// Records priced by this book.
    pub fn new(book: &'a PriceBook, asked: Asked) -> Self {
        let weights =
            (0..asked.days).flat_map(|day| AGENTS.iter().map(move |agent| weight(asked, day, agent)));
        let weights = weights.sum();
        let left = usize::try_from(asked.records).unwrap_or(usize::MAX);
        Self { book, asked, day: 0, done: (0, 0), weights, over: Vec::new(), ahead: [0; AGENTS.len()], left }
    }

    /// Records that are due of an agent on a day, so that those of all days are as many as asked for.
    fn quota(&mut self, day: u64, agent: &Agent) -> u64 {
        let (before, given) = self.done;
        let sum = before.saturating_add(weight(self.asked, day, agent));
        let due = u128::from(self.asked.records) * u128::from(sum) / u128::from(self.weights.max(1));
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        self.done = (sum, due);
        due.saturating_sub(given)
    }

    /// An agent's records of actions that begin on this day. No action is cut: what it has beyond what is due
    /// is taken from the next days.
    fn of_agent(&mut self, day: u64, start_ms: u64, place: usize, agent: &Agent) -> Vec<UsageRecord> {
        let due = self.quota(day, agent);
        let Some(ahead) = self.ahead.get_mut(place) else { return Vec::new() };
        let quota = due.saturating_sub(*ahead);
        let salt = day.saturating_mul(64).saturating_add(u64::try_from(place).unwrap_or(0));
        let seed = mixed(self.asked.seed ^ mixed(salt));
        let mut scene = Scene {
            book: self.book,
            random: Random::new(seed),
            ids: CallIds::new(seed),
            changed_ms: self.asked.changed_ms(),
            end_ms: self.asked.end_ms,
            records: Vec::new(),
        };
        let made = |scene: &Scene<'_>| u64::try_from(scene.records.len()).unwrap_or(u64::MAX);
        while made(&scene) < quota {
            let hour = u64::try_from(scene.random.weighed(agent.hours)).unwrap_or(0);
            let at_ms = start_ms.saturating_add(hour * HOUR_MS).saturating_add(scene.random.below(HOUR_MS));
            scene.act(agent, at_ms);
        }
        *ahead = ahead.saturating_add(made(&scene)).saturating_sub(due);
        scene.records
    }
}

impl Iterator for Days<'_> {
    type Item = Vec<UsageRecord>;

    fn next(&mut self) -> Option<Vec<UsageRecord>> {
        let day = self.day;
        if day >= self.asked.days {
            return None;
        }
        self.day = day.saturating_add(1);
        let start_ms = self.asked.start_ms().saturating_add(day.saturating_mul(DAY_MS));
        let mut records = std::mem::take(&mut self.over);
        for (place, agent) in AGENTS.iter().enumerate() {
            records.append(&mut self.of_agent(day, start_ms, place, agent));
        }
        records.sort_by(|one, other| {
            (one.head.time_ms, &one.head.id).cmp(&(other.head.time_ms, &other.head.id))
        });
        let end_ms = start_ms.saturating_add(DAY_MS);
        let split = records.partition_point(|record| record.head.time_ms < end_ms);
        self.over = records.split_off(split);
        records.truncate(self.left);
        self.left = self.left.saturating_sub(records.len());
        Some(records)
    }
}

impl Asked {
    /// Start of the first day.
    pub const fn start_ms(&self) -> u64 {
        self.end_ms.saturating_sub(self.days.saturating_mul(DAY_MS))
    }

    /// When the support agent's prompt became longer.
    pub const fn changed_ms(&self) -> u64 {
        let days = self.days.saturating_mul(28) / 90;
        self.end_ms.saturating_sub(days.saturating_mul(DAY_MS))
    }
}

impl Scene<'_> {
    /// Adds a record. What would come after the end comes just before it.
    fn take(&mut self, mut record: UsageRecord) {
        record.head.time_ms = record.head.time_ms.min(self.end_ms.saturating_sub(1));
        self.records.push(record);
    }

    fn hour_of_day(&self, at_ms: u64) -> u64 {
        at_ms % DAY_MS / HOUR_MS
    }

    /// Whether it is the end of a month, when little is left of budgets.
    fn is_spent(&self, at_ms: u64) -> bool {
        let day = instant(at_ms).map(|time| time.to_zoned_datetime(jiff::tz::TimeZone::UTC).date());
        day.is_some_and(|day| day.days_in_month() - day.day() < 3)
    }
}

/// What an agent does on a day, beside what all do on all days.
fn weight(asked: Asked, day: u64, agent: &Agent) -> u64 {
    let start_ms = asked.start_ms().saturating_add(day.saturating_mul(DAY_MS));
    let weekday =
        instant(start_ms).map(|time| time.to_zoned_datetime(jiff::tz::TimeZone::UTC).date().weekday());
    let is_weekend = matches!(weekday, Some(Weekday::Saturday | Weekday::Sunday));
    let percent = if is_weekend { agent.weekend_percent } else { 100 };
    let salt = asked.seed ^ day.rotate_left(20) ^ agent.weight.rotate_left(40);
    let daily = Random::new(mixed(salt)).between(92, 108);
    agent.weight.saturating_mul(percent).saturating_mul(daily)
}

#[cfg(test)]
mod tests;

//! The gateway's side of a budget: one counter in one window, as it stands in Envoy's shared data.
//!
//! Three totals, never deltas: `granted` (the collector's; only grows), `returned` (the gateway's own; only
//! grows, and grows here before anyone hears of it), `used` (worst cases of calls under way and costs of
//! settled ones). A call is admitted only while `used` stays within `granted − returned`. So lost, repeated
//! and reordered messages change nothing: what arrives is merged by the larger total.

use super::Amount;
use super::ledger::{Grant, Report};
use super::reservation::Reservation;
use super::window::Span;

/// One counter in one window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counter {
    /// Whose: see [`super::scope::CounterKey`]. In a slot of shared data it names what the slot holds.
    pub key: Vec<u8>,
    /// The window.
    pub span: Span,
    /// What collectors have granted, in all.
    pub granted: Amount,
    /// What was given back, in all.
    pub returned: Amount,
    /// What calls have used: settled costs, and the holds of calls under way.
    pub used: Amount,
    /// The part of `used` that calls under way hold, and those to come.
    pub held: Amount,
    /// The part of `used` above the records' costs: worst cases kept because nobody knows what was charged.
    pub kept: Amount,
    /// What other gateways have used, as last heard.
    pub elsewhere: Amount,
    /// The part of `elsewhere` that calls under way hold.
    pub elsewhere_held: Amount,
    /// What other gateways are granted and have not used, as last heard.
    pub leased_elsewhere: Amount,
    /// The part of `elsewhere` that is kept.
    pub kept_elsewhere: Amount,
    /// The limit, as last heard.
    pub limit: Amount,
    /// About the most that one of its calls held lately: [`Counter::ease`] is made of it.
    pub recent_hold: Amount,
    /// Grows with every change; orders reports of `used`.
    pub version: u64,
    /// Calls under way, and those that room is held for.
    pub in_flight: u32,
    /// The smallest hold that the collector had nothing for, since when nothing changed; 0 where there is
    /// none.
    pub exhausted_from: Amount,
    /// The version that the collector has acknowledged.
    pub acknowledged: u64,
    /// Calls that were refused on it, as each may cost more than is left.
    pub denied: u64,
    /// When the last lease ends of a gateway that is not heard of any more, collector's clock, Unix
    /// milliseconds UTC; 0 where there is none.
    pub leased_until_ms: u64,
}

/// What is put in the place of what calls held, now that they have ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Settlement {
    /// What they held.
    pub hold: Amount,
    /// What they are charged instead.
    pub charge: Amount,
    /// The part of `charge` that their records do not have.
    pub kept: Amount,
    /// How many they are.
    pub calls: u32,
}

impl Settlement {
    /// Of a call of which nobody knows what was spent: all of its hold stays charged.
    #[cfg(test)]
    pub(super) const fn abandoned(hold: Amount) -> Self {
        Self { hold, charge: hold, kept: hold, calls: 1 }
    }

    /// Of a call that was not admitted elsewhere: nothing of it went on.
    pub const fn rolled_back(hold: Amount) -> Self {
        Self { hold, charge: Amount::ZERO, kept: Amount::ZERO, calls: 1 }
    }

    /// Whether it changes nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Both at once.
    #[must_use]
    pub const fn and(mut self, other: Self) -> Self {
        self.add(&other);
        self
    }

    /// Adds what is to be put in the place of other calls' holds.
    pub const fn add(&mut self, other: &Self) {
        self.hold = self.hold.plus(other.hold);
        self.charge = self.charge.plus(other.charge);
        // Mostly nothing.
        if other.kept.0 != 0 {
            self.kept = self.kept.plus(other.kept);
        }
        self.calls = self.calls.saturating_add(other.calls);
    }
}

/// How a call is to be admitted on a counter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Enforce {
    /// Only where its hold fits into the grant.
    Grant,
    /// In any case: the budget warns, or lets calls pass while the collector is away.
    Nothing,
}

impl Counter {
    /// A counter that nobody has granted anything.
    pub fn new(key: Vec<u8>, span: Span, limit: Amount) -> Self {
        Self { key, span, limit, ..Self::default() }
    }

    /// What may still be admitted; below zero where more was used than granted.
    pub const fn free(&self) -> Amount {
        self.granted.minus(self.returned).minus(self.used)
    }

    /// Charges a call's hold.
    ///
    /// # Errors
    /// Where it does not fit: how much is missing. Nothing is charged then.
    pub fn admit(&mut self, hold: Amount, enforce: Enforce) -> Result<(), Amount> {
        let free = self.free();
        self.recent_hold = hold.max(Amount(self.recent_hold.0 - self.recent_hold.0 / FORGETS));
        if enforce == Enforce::Grant && hold > free {
            return Err(hold.minus(free));
        }
        self.used = self.used.plus(hold);
        self.held = self.held.plus(hold);
        self.in_flight = self.in_flight.saturating_add(1);
        self.version += 1;
        Ok(())
    }

    /// Holds room for calls to come.
    pub fn reserve(&mut self, room: Reservation) {
        self.used = self.used.plus(room.amount);
        self.held = self.held.plus(room.amount);
        self.in_flight = self.in_flight.saturating_add(room.calls);
        self.version += 1;
    }

    /// Holds more for a call under way; false where that does not fit, and nothing changes.
    pub fn extend(&mut self, more: Amount, enforce: Enforce) -> bool {
        let fits = enforce == Enforce::Nothing || more <= self.free();
        if fits {
            self.used = self.used.plus(more);
            self.held = self.held.plus(more);
            self.version += 1;
        }
        fits
    }

    /// Puts what calls cost in the place of their holds.
    pub fn settle(&mut self, settlement: Settlement) {
        let Settlement { hold, charge, kept, calls } = settlement;
        self.used = self.used.minus(hold).plus(charge);
        self.held = self.held.minus(hold);
        self.kept = self.kept.plus(kept);
        self.in_flight = self.in_flight.saturating_sub(calls);
        self.version += 1;
        if charge < hold {
            self.exhausted_from = Amount::ZERO;
        }
    }

    /// Charges what was not held: a turn of a session, or work that another call began.
    pub fn charge(&mut self, amount: Amount) {
        self.used = self.used.plus(amount);
        self.version += 1;
    }

    /// What a few of its calls would hold, as far as that is a small part of the limit: an idle counter gives
    /// back the rest. So the next call does not wait, and an outage is lived through. Where a few are more
    /// than that it is one of them, and where one alone is a large part it is nothing: a gateway that ends
    /// leaves it unused until its lease ends, and restarts would close the budget.
    pub fn ease(&self) -> Amount {
        if self.recent_hold > Amount(self.limit.0 / LARGE_PARTS) {
            return Amount::ZERO;
        }
        let few = Amount(self.recent_hold.0.saturating_mul(EASE_CALLS));
        few.min(self.recent_hold.max(Amount(self.limit.0 / EASE_PARTS)))
    }

    /// Gives back what is free above this. Gives how much that was.
    pub fn give_back(&mut self, keep: Amount) -> Amount {
        let back = self.free().minus(keep).or_nothing();
        if back > Amount::ZERO {
            self.returned = self.returned.plus(back);
            self.version += 1;
        }
        back
    }

    /// Merges what a collector says, and gives back what it asks for. Old news changes nothing.
    pub fn merge(&mut self, grant: &Grant) {
        let before = self.free();
        if grant.acknowledged > self.version {
            // It was made anew in the place of one that the collector knows: later reports are to count.
            self.version = grant.acknowledged.saturating_add(1);
        }
        self.granted = self.granted.max(grant.granted);
        self.returned = self.returned.max(grant.returned);
        self.elsewhere = grant.elsewhere;
        self.elsewhere_held = grant.elsewhere_held;
        self.leased_elsewhere = grant.leased_elsewhere;
        self.kept_elsewhere = grant.kept_elsewhere;
        self.leased_until_ms = grant.leased_until_ms;
        self.limit = grant.limit;
        self.acknowledged = self.acknowledged.max(grant.acknowledged);
        if self.free() > before {
            self.exhausted_from = Amount::ZERO;
        }
        if let Some(keep) = grant.keep {
            self.give_back(keep);
        }
    }

    /// Remembers that a collector has nothing for a hold of this size.
    pub fn exhaust(&mut self, hold: Amount) {
        if self.exhausted_from == Amount::ZERO || hold < self.exhausted_from {
            self.exhausted_from = hold;
        }
    }

    /// Whether a collector has already said that it has nothing for a hold of this size.
    pub fn is_exhausted_for(&self, hold: Amount) -> bool {
        self.exhausted_from > Amount::ZERO && hold >= self.exhausted_from
    }

    /// Whether no call was ever charged on it, and none is under way: nothing is lost with it.
    pub fn never_spent(&self) -> bool {
        self.used == Amount::ZERO && self.in_flight == 0
    }

    /// What is spent and settled, here and elsewhere, as far as known.
    pub const fn spent(&self) -> Amount {
        self.used.minus(self.held).plus(self.elsewhere).minus(self.elsewhere_held)
    }

    /// Whether a hold of this size has room once all calls under way have ended for nothing: else it stays
    /// refused until the window ends or the limit is raised.
    pub fn may_clear(&self, hold: Amount) -> bool {
        self.spent().plus(hold) <= self.limit
    }

    /// What a gateway reports of it.
    pub fn report(&self, want: Amount) -> Report {
        let Self { granted, returned, used, held, kept, in_flight, denied, version, .. } = *self;
        let ease = self.ease();
        Report { granted, returned, used, held, kept, in_flight, denied, version, want, ease, idle: false }
    }

    /// Whether its slot may be used for another counter: the window is over, no call is under way, and the
    /// collector knows all of it (`reported`), or there is none to know it. Long after its end nothing is
    /// waited for.
    pub const fn is_over(&self, now_ms: u64, reported: bool) -> bool {
        let settled = self.in_flight == 0 && (!reported || self.acknowledged >= self.version);
        let is_late = now_ms > self.span.end_ms.saturating_add(LATE_MS);
        self.span.end_ms <= now_ms && (settled || is_late)
    }

    /// As bytes: fixed numbers, then the key.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; FIXED_BYTES];
        bytes.reserve_exact(self.key.len());
        self.write_numbers(&mut bytes);
        bytes.extend_from_slice(&self.key);
        bytes
    }

    /// Writes its numbers over those of a counter with the same key.
    pub fn write_numbers(&self, bytes: &mut [u8]) {
        let amounts = [
            self.granted,
            self.returned,
            self.used,
            self.held,
            self.kept,
            self.elsewhere,
            self.elsewhere_held,
            self.leased_elsewhere,
            self.kept_elsewhere,
            self.limit,
            self.recent_hold,
            self.exhausted_from,
        ];
        let numbers = [
            self.span.start_ms,
            self.span.end_ms,
            self.version,
            self.acknowledged,
            u64::from(self.in_flight),
            self.denied,
            self.leased_until_ms,
        ];
        let Some(fixed) = bytes.first_chunk_mut::<FIXED_BYTES>() else { return };
        let (layout, mut rest) = fixed.split_at_mut(1);
        layout.fill(LAYOUT);
        for amount in amounts {
            put(&mut rest, amount.0.to_le_bytes());
        }
        for number in numbers {
            put(&mut rest, number.to_le_bytes());
        }
    }

    /// The counter in these bytes; `None` where another layout wrote them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key = Self::key_of(bytes)?.to_vec();
        Some(Self { key, ..Self::numbers(bytes)? })
    }

    /// The key of the counter in these bytes.
    pub fn key_of(bytes: &[u8]) -> Option<&[u8]> {
        (*bytes.first()? == LAYOUT).then(|| bytes.get(FIXED_BYTES..)).flatten()
    }

    /// The counter in these bytes, without its key.
    pub fn numbers(bytes: &[u8]) -> Option<Self> {
        let (layout, mut rest) = bytes.first_chunk::<FIXED_BYTES>()?.split_first()?;
        if *layout != LAYOUT {
            return None;
        }
        let mut amount = || Some(Amount(i128::from_le_bytes(take(&mut rest)?)));
        let [granted, returned, used, held, kept] = [amount()?, amount()?, amount()?, amount()?, amount()?];
        let [elsewhere, elsewhere_held, leased_elsewhere, kept_elsewhere] =
            [amount()?, amount()?, amount()?, amount()?];
        let [limit, recent_hold, exhausted_from] = [amount()?, amount()?, amount()?];
        let mut number = || Some(u64::from_le_bytes(take(&mut rest)?));
        let [start_ms, end_ms, version, acknowledged, in_flight, denied, leased_until_ms] =
            [number()?, number()?, number()?, number()?, number()?, number()?, number()?];
        Some(Self {
            key: Vec::new(),
            span: Span { start_ms, end_ms },
            granted,
            returned,
            used,
            held,
            kept,
            elsewhere,
            elsewhere_held,
            leased_elsewhere,
            kept_elsewhere,
            limit,
            recent_hold,
            version,
            in_flight: u32::try_from(in_flight).ok()?,
            exhausted_from,
            acknowledged,
            denied,
            leased_until_ms,
        })
    }
}

/// The next bytes of a counter of known length; inlined, so that no place is looked up when it runs.
#[inline(always)]
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

/// Writes the next bytes of a counter of known length.
#[inline(always)]
fn put<const N: usize>(rest: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((place, after)) = std::mem::take(rest).split_first_chunk_mut::<N>() {
        *place = bytes;
        *rest = after;
    }
}

/// Version of the bytes.
const LAYOUT: u8 = 2;
const AMOUNTS: usize = 12;
const FIXED_BYTES: usize = 1 + AMOUNTS * 16 + 7 * 8;
/// Calls that find room on a counter that was idle.
const EASE_CALLS: i128 = 4;
/// The small part of a limit.
const EASE_PARTS: i128 = 50;
/// The large one.
const LARGE_PARTS: i128 = 20;
/// With each call a counter forgets this part of what earlier ones held.
const FORGETS: i128 = 8;
/// So long after its end a window's counter waits for calls to end, and for a collector to hear of it.
const LATE_MS: u64 = 3 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(granted: i128) -> Counter {
        let span = Span { start_ms: 0, end_ms: 100 };
        Counter { granted: Amount(granted), ..Counter::new(b"k".to_vec(), span, Amount(1_000)) }
    }

    fn settlement(hold: i128, charge: i128) -> Settlement {
        Settlement { hold: Amount(hold), charge: Amount(charge), calls: 1, ..Settlement::default() }
    }

    #[test]
    fn a_call_is_admitted_only_where_its_hold_fits() {
        let mut counter = counter(10);
        assert_eq!(counter.admit(Amount(7), Enforce::Grant), Ok(()));
        assert_eq!(counter.admit(Amount(7), Enforce::Grant), Err(Amount(4)));
        assert_eq!(counter.admit(Amount(3), Enforce::Grant), Ok(()));
        counter.settle(settlement(7, 2));
        assert_eq!((counter.free(), counter.held, counter.in_flight), (Amount(5), Amount(3), 1));
        counter.settle(Settlement::rolled_back(Amount(3)));
        assert_eq!((counter.used, counter.held, counter.in_flight), (Amount(2), Amount::ZERO, 0));
        assert_eq!(counter.admit(Amount(99), Enforce::Nothing), Ok(()));
    }

    #[test]
    fn settlements_put_together_are_those_one_by_one() {
        let (mut one_by_one, mut together) = (counter(100), counter(100));
        for counter in [&mut one_by_one, &mut together] {
            for hold in [7, 20, 9] {
                counter.admit(Amount(hold), Enforce::Grant).unwrap();
            }
        }
        let settlements = [settlement(7, 2), Settlement::abandoned(Amount(20)), settlement(9, 11)];
        settlements.into_iter().for_each(|settlement| one_by_one.settle(settlement));
        together.settle(settlements.into_iter().fold(Settlement::default(), Settlement::and));
        together.version = one_by_one.version;
        assert_eq!(together, one_by_one);
        assert_eq!((together.used, together.held, together.kept), (Amount(33), Amount::ZERO, Amount(20)));
    }

    #[test]
    fn an_idle_counter_keeps_what_a_few_calls_hold_and_no_large_part_of_its_limit() {
        for (hold, limit, expected) in
            [(1, 1_000, 4), (10, 1_000, 20), (50, 1_000, 50), (51, 1_000, 0), (100, 1_000, 0), (0, 1_000, 0)]
        {
            let mut counter = Counter { limit: Amount(limit), ..counter(500) };
            counter.admit(Amount(hold), Enforce::Grant).unwrap();
            counter.settle(settlement(hold, 0));
            assert_eq!(counter.ease(), Amount(expected), "{hold} of {limit}");
            assert_eq!(counter.give_back(counter.ease()), Amount(500 - expected));
            assert_eq!((counter.free(), counter.give_back(counter.ease())), (Amount(expected), Amount::ZERO));
        }
    }

    #[test]
    fn old_and_repeated_grants_change_nothing() {
        let mut counter = counter(10);
        let grant = Grant { granted: Amount(25), limit: Amount(1_000), ..Grant::default() };
        counter.merge(&grant);
        let after = counter.clone();
        counter.merge(&grant);
        counter.merge(&Grant { granted: Amount(20), ..grant });
        assert_eq!(counter, after);
        assert_eq!(counter.free(), Amount(25));
    }

    #[test]
    fn what_is_given_back_is_gone_before_anyone_hears_of_it() {
        let mut counter = counter(10);
        counter.admit(Amount(4), Enforce::Grant).unwrap();
        let grant = Grant { keep: Some(Amount(1)), limit: Amount(1_000), ..Grant::default() };
        counter.merge(&grant);
        assert_eq!((counter.returned, counter.free()), (Amount(5), Amount(1)));
        assert!(counter.admit(Amount(2), Enforce::Grant).is_err());
    }

    #[test]
    fn what_was_exhausted_is_asked_for_again_after_a_refund() {
        let mut counter = counter(10);
        counter.admit(Amount(10), Enforce::Grant).unwrap();
        counter.exhaust(Amount(8));
        counter.exhaust(Amount(9));
        assert!(counter.is_exhausted_for(Amount(8)) && !counter.is_exhausted_for(Amount(7)));
        counter.settle(settlement(10, 9));
        assert!(!counter.is_exhausted_for(Amount(8)));
    }

    #[test]
    fn a_slot_is_free_when_window_and_calls_are_over_and_the_collector_knows() {
        let mut counter = counter(10);
        counter.admit(Amount(1), Enforce::Grant).unwrap();
        assert!(!counter.is_over(100, false), "a call is under way");
        counter.settle(Settlement::abandoned(Amount(1)));
        assert_eq!((counter.used, counter.kept, counter.held), (Amount(1), Amount(1), Amount::ZERO));
        assert!(!counter.is_over(99, false) && counter.is_over(100, false));
        assert!(!counter.is_over(100, true) && counter.is_over(100 + LATE_MS + 1, true));
        counter.acknowledged = counter.version;
        assert!(counter.is_over(100, true));
    }

    #[test]
    fn bytes_read_back_as_written() {
        let counter = Counter {
            used: Amount(-3),
            held: Amount(i128::MAX),
            version: 9,
            in_flight: 3,
            denied: 4,
            exhausted_from: Amount(5),
            ..counter(1 << 90)
        };
        assert_eq!(Counter::from_bytes(&counter.to_bytes()), Some(counter.clone()));
        let bytes = counter.to_bytes();
        for length in 0..bytes.len() - 1 {
            assert_eq!(Counter::from_bytes(&bytes[..length]), None);
        }
        assert_eq!(Counter::from_bytes(&[2; 200]), None);
    }
}
